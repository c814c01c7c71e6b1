"""Shards of looks and checks: how many are taken on at once, and how often, until set aside.

An attempt is on record, and committed, before books are loaded and the engine is asked. So it is
known of what a worker did not survive, for want of memory or time or by an error: it comes after
all that was not tried yet, in ever smaller company, and at last alone (a check with its household).
What fails there as well waits for a person.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.models import Exists, F, OuterRef, QuerySet

from rebalancer import models
from rebalancer.domain.kinds import CheckStatus
from rebalancer.domain.lifecycle import OPEN_PROPOSAL, ProposalStatus
from rebalancer.queries.books import SHARD_ACCOUNTS
from rebalancer.queries.work import DueLook
from robo.common.builds import OtherBuild, this_build

logger = logging.getLogger(__name__)

# How many are tried together, by how often they were tried before; then alone.
COMPANY = (SHARD_ACCOUNTS, 100)
ATTEMPTS_MAX = len(COMPANY) + 2
SET_ASIDE = (
    f"set aside: {ATTEMPTS_MAX} attempts to plan its trades ended without an answer, for want of"
    " time or memory or by an error; the next look tries again"
)
NOT_LOOKED_AT = SET_ASIDE.replace("plan its trades", "look at it")

# --- Checks that want trades ----------------------------------------------------------------------


@transaction.atomic
def take_shard(*, firm_id: int) -> tuple[list[int], int]:
    """Count an attempt at some of the firm's checks that want trades.

    Return their ids, and how many others were set aside; neither when there is nothing to do. Call
    it outside of any transaction: what it counted must outlive what comes next.
    """
    rows = list(
        _list_due(firm_id)
        .select_for_update(skip_locked=True)
        .order_by("attempt_count", "id")
        .values_list("id", "attempt_count")[:SHARD_ACCOUNTS]
    )
    if not rows:
        return [], 0
    first, tried = rows[0]
    if tried >= ATTEMPTS_MAX:
        return [], _set_aside([pk for pk, _count in rows])
    if tried < len(COMPANY):
        chosen = [pk for pk, count in rows if count == tried][: COMPANY[tried]]
    else:
        chosen = _list_household(firm_id, first)
    models.Check.objects.filter(pk__in=chosen).update(attempt_count=F("attempt_count") + 1)
    return chosen, 0


def _list_due(firm_id: int) -> QuerySet[models.Check]:
    """Return the checks that want trades, but for accounts whose trades are under way."""
    under_way = models.Proposal.objects.filter(
        account_id=OuterRef("account_id"), status__in=OPEN_PROPOSAL - {ProposalStatus.PENDING}
    )
    return models.Check.objects.filter(
        this_build(), ~Exists(under_way), firm_id=firm_id, status=CheckStatus.DUE
    )


def _list_household(firm_id: int, check_id: int) -> list[int]:
    """Return the checks of the household that one is of, which are answered together."""
    [home] = models.Check.objects.filter(pk=check_id).values_list("account__household_id")
    rows = (
        _list_due(firm_id)
        .filter(account__household_id=home[0])
        .select_for_update(skip_locked=True, of=("self",))
        .order_by("id")
    )
    return [row.pk for row in rows]


def _set_aside(check_ids: list[int]) -> int:
    logger.error("checks %s were tried %s times: set aside", check_ids, ATTEMPTS_MAX)
    return models.Check.objects.filter(pk__in=check_ids).update(
        status=CheckStatus.BLOCKED, reason=SET_ASIDE
    )


@contextmanager
def forgive_checks(check_ids: Sequence[int]) -> Iterator[None]:
    """Not count an attempt that ended because the database was out of reach."""
    mine = models.Check.objects.filter(pk__in=check_ids, status=CheckStatus.DUE)
    with _forgiven(lambda: mine.update(attempt_count=F("attempt_count") - 1)):
        yield


@contextmanager
def _forgiven(undo: Callable[[], object]) -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError):
        # Nobody's fault; if it is still out of reach, this one counts.
        connection.close_if_unusable_or_obsolete()
        with suppress(DatabaseError, InterfaceError):
            undo()
        raise


# --- Looks, which have no row of their own yet ----------------------------------------------------


def split_looks(
    *, firm_id: int, price_date: date, looks: Sequence[DueLook]
) -> tuple[list[Sequence[DueLook]], list[DueLook]]:
    """Return looks in shards, those first that were not tried yet, and those tried too often."""
    tried = _count_failures(firm_id, price_date)
    shards: list[Sequence[DueLook]] = []
    for count in sorted({tried[look.account_id] for look in looks if tried[look.account_id]} | {0}):
        if count >= ATTEMPTS_MAX:
            break
        mine = [look for look in looks if tried[look.account_id] == count]
        company = COMPANY[count] if count < len(COMPANY) else 1
        shards += [mine[start : start + company] for start in range(0, len(mine), company)]
    return shards, [look for look in looks if tried[look.account_id] >= ATTEMPTS_MAX]


@transaction.atomic
def _count_failures(firm_id: int, price_date: date) -> Counter[int]:
    """Return how many shards of each account stayed behind; those of other days are dropped."""
    # What is locked is in the hands of a worker that lives.
    rows = list(
        models.LookShard.objects.select_for_update(skip_locked=True).filter(firm_id=firm_id)
    )
    past = [row.pk for row in rows if row.price_date != price_date]
    if past:
        models.LookShard.objects.filter(pk__in=past).delete()
    return Counter(
        account_id
        for row in rows
        if row.price_date == price_date
        for account_id in set(row.account_ids)
    )


@contextmanager
def count_attempt(*, firm_id: int, price_date: date, looks: Sequence[DueLook]) -> Iterator[None]:
    """Look inside one transaction, which takes the record of the attempt back if it gets there.

    :raises OtherBuild: where the database is not the one that this code is made for.
    """
    shard = models.LookShard.objects.create(
        firm_id=firm_id,
        price_date=price_date,
        account_ids=sorted({look.account_id for look in looks}),
    )
    mine = models.LookShard.objects.filter(pk=shard.pk)
    with _forgiven(mine.delete), transaction.atomic():
        if not mine.filter(this_build()).delete()[0]:
            raise OtherBuild("The database is of another build: these looks are left to others.")
        yield
