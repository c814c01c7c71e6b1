"""Switches as senders hold them: a claim and a stop cannot pass each other.

Two locks do it. The advisory one is a fair queue: a stop that waits is not overtaken by senders
that come later, which shared row locks alone would allow. The row locks hold against anybody who
changes a switch by hand, in SQL. Senders share both, in one order: ALL, then firms by id.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Q

from accounts.queries.installation import is_look_only
from rebalancer import models
from rebalancer.domain.limits import SwitchScope
from rebalancer.domain.stops import say_stopped

# First key of the advisory lock; the second is the firm's id, and 0 for the whole installation.
SWITCHES_LOCK = 0x45_4B_53_57
EVERY_FIRM = 0
LOOK_ONLY = "its records were restored from a backup and are compared with the broker's."


@dataclass(frozen=True, slots=True)
class Stop:
    """One switch that is on."""

    scope: SwitchScope
    firm_id: int | None
    account_id: int | None
    security_id: int | None
    broker: str
    reason: str

    def covers(self, *, firm_id: int, account_id: int, security_id: int, broker: str) -> bool:
        """Return whether an order lies in the scope."""
        if self.scope is SwitchScope.ALL:
            return True
        if self.firm_id != firm_id:
            return False
        match self.scope:
            case SwitchScope.ACCOUNT:
                return self.account_id == account_id
            case SwitchScope.SECURITY:
                return self.security_id == security_id
            case SwitchScope.BROKER:
                return self.broker == broker
        return True


@dataclass(frozen=True, slots=True)
class Switches:
    """What is stopped, for as long as the transaction lasts in which this was read."""

    stops: tuple[Stop, ...]

    def find_stop(self, firm_id: int, account_id: int, security_id: int, broker: str) -> str:
        """Return why an order may not be sent, empty when it may."""
        for stop in self.stops:
            if stop.covers(
                firm_id=firm_id, account_id=account_id, security_id=security_id, broker=broker
            ):
                return say_stopped(stop.scope, stop.reason)
        return ""


def hold_switches(*, firm_ids: Iterable[int]) -> Switches:
    """Return what is stopped, and keep it so until the caller's transaction ends.

    Whoever sets a switch of these firms, or of all, waits for that; a stop that was set first is
    in the answer. Keep the transaction short, and call no broker in it.

    :raises TransactionManagementError: outside a transaction, where nothing would be held.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("Switches are held inside a transaction.")
    wanted = sorted(set(firm_ids))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock_shared(%s, key) FROM unnest(%s::int[]) AS key",
            [SWITCHES_LOCK, [EVERY_FIRM, *wanted]],
        )
        if len(_share_rows(cursor, wanted)) <= len(wanted):
            _make_rows(wanted)
            _share_rows(cursor, wanted)
    rows = models.Switch.objects.filter(is_stopped=True).filter(
        Q(firm_id__in=wanted) | Q(scope=SwitchScope.ALL)
    )
    stops = [
        Stop(
            scope=SwitchScope(row.scope),
            firm_id=row.firm_id,
            account_id=row.account_id,
            security_id=row.security_id,
            broker=row.broker,
            reason=row.reason,
        )
        for row in rows.order_by("pk")
    ]
    # A database that came back from a backup does not know what it sent since.
    restored = [firm_id for firm_id in wanted if is_look_only(firm_id)]
    stops += [Stop(SwitchScope.FIRM, firm_id, None, None, "", LOOK_ONLY) for firm_id in restored]
    return Switches(tuple(stops))


def lock_for_change(firm_id: int | None) -> None:
    """Wait for every sender of a firm (None: of all firms), and let none begin before we commit."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, %s)", [SWITCHES_LOCK, firm_id or EVERY_FIRM]
        )
    _make_rows([] if firm_id is None else [firm_id])
    is_whole = Q(scope=SwitchScope.ALL) if firm_id is None else Q(firm_id=firm_id, scope="FIRM")
    list(models.Switch.objects.select_for_update().filter(is_whole))


def _share_rows(cursor: object, firm_ids: list[int]) -> list[tuple[int]]:
    """Share the rows that stand for all firms and for these; return their ids."""
    cursor.execute(  # type: ignore[attr-defined]
        "SELECT id FROM rebalancer_switch"
        " WHERE scope = 'ALL' OR (scope = 'FIRM' AND firm_id = ANY(%s))"
        " ORDER BY firm_id NULLS FIRST FOR SHARE",
        [firm_ids],
    )
    rows: list[tuple[int]] = cursor.fetchall()  # type: ignore[attr-defined]
    return rows


def _make_rows(firm_ids: list[int]) -> None:
    """Write the rows that are locked, where they are missing."""
    models.Switch.objects.bulk_create(
        [
            models.Switch(scope=SwitchScope.ALL),
            *(models.Switch(scope=SwitchScope.FIRM, firm_id=firm_id) for firm_id in firm_ids),
        ],
        ignore_conflicts=True,
    )
