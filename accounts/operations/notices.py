"""Notices by e-mail: written in the transaction of what they tell of, to each person once.

They hold names of things and no figures; whoever wants those signs in. None can be switched off.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from accounts import models
from accounts.domain.doors import MailKind
from accounts.queries.notices import list_people_of_stop

DEDUPE_LENGTH_MAX = 160


@dataclass(frozen=True, slots=True)
class News:
    """One event, and whom it is told to; `event` names it, and is told to a person once."""

    person_ids: Sequence[int]
    event: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def announce_all(kind: MailKind, news: Iterable[News]) -> int:
    """Tell of events of one kind, all at the same instant; return how many rows were asked for.

    :raises TransactionManagementError: outside a transaction, where notice and change could part.
    """
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError(
            "A notice belongs in the transaction of what it tells of."
        )
    rows = [
        models.OutgoingMail(
            person_id=person_id,
            kind=kind,
            facts=dict(one.facts),
            dedupe_key=f"{kind}:{one.event}:{person_id}"[:DEDUPE_LENGTH_MAX],
        )
        for one in news
        for person_id in sorted(set(one.person_ids))
    ]
    # One statement, hence one instant by PostgreSQL's clock for everybody.
    models.OutgoingMail.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def announce(
    *, person_ids: Iterable[int], kind: MailKind, event: str, facts: dict[str, Any] | None = None
) -> int:
    """Tell these people of one event; return how many rows were asked for.

    :raises TransactionManagementError: outside a transaction, where notice and change could part.
    """
    return announce_all(kind, [News(list(person_ids), event, facts or {})])


def announce_stop(
    *, firm_id: int | None, account_id: int | None, is_stopped: bool, what: str, event: str
) -> int:
    """Tell clients and staff at once that trading stopped or goes on; `firm_id` None: all firms."""
    return announce(
        person_ids=list_people_of_stop(firm_id=firm_id, account_id=account_id),
        kind=MailKind.TRADING_STOPPED if is_stopped else MailKind.TRADING_RESUMED,
        event=event,
        facts={"what": what},
    )
