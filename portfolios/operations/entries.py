"""The one writer of the books: stores events, and moves the running totals that follow from them.

An event is one `BookEvent`; any number of them take a fixed number of queries. Whoever changes an
account's books first locks its cash balance, in order of account.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db import connection

from portfolios import models
from portfolios.domain import ledger
from portfolios.domain.kinds import EntryKind, Pocket
from portfolios.domain.lots import LotChange, LotUse, OpeningLot, UndoneUse
from robo.common.errors import Refused


class BooksDisagree(Exception):
    """An event does not fit the books it should change; nothing of it was booked."""


class PeriodClosed(Refused, BooksDisagree):
    """The day of an event lies in a period whose books are closed."""


@dataclass(frozen=True, slots=True)
class BookEvent:
    """One journal entry with everything that it changes."""

    account_id: int
    kind: EntryKind
    entry_date: date
    source: str
    memo: str
    transfers: tuple[ledger.Transfer, ...]
    opened_lots: tuple[OpeningLot, ...] = ()
    lot_uses: tuple[LotUse, ...] = ()
    lot_changes: tuple[LotChange, ...] = ()
    undone_uses: tuple[UndoneUse, ...] = ()
    reverses_id: int | None = None
    settles_date: date | None = None


def lock_books(account_ids: Sequence[int]) -> dict[int, models.CashBalance]:
    """Keep everybody else from changing these accounts' books until the transaction ends."""
    return {
        balance.account_id: balance
        for balance in models.CashBalance.objects.select_for_update()
        .filter(account_id__in=account_ids)
        .order_by("account_id")
    }


def write_events(events: Sequence[BookEvent]) -> list[models.JournalEntry]:
    """Store events and what follows from them. The caller holds the locks of their accounts.

    :raises PeriodClosed: when an event's day lies in a closed period.
    """
    if not events:
        return []
    _check_periods(events)
    entries = models.JournalEntry.objects.bulk_create(
        models.JournalEntry(
            account_id=event.account_id,
            kind=event.kind,
            entry_date=event.entry_date,
            source=event.source,
            memo=event.memo,
            reverses_id=event.reverses_id,
            settles_date=event.settles_date,
        )
        for event in events
    )
    models.Transfer.objects.bulk_create(
        models.Transfer(
            entry=entry,
            source_pocket=move.source,
            target_pocket=move.target,
            quantity=move.quantity,
            currency=move.unit.currency,
            security_id=move.unit.security_id,
        )
        for entry, event in zip(entries, events, strict=True)
        for move in event.transfers
    )
    _write_lots(list(zip(entries, events, strict=True)))
    _move_lots(events)
    _move_totals(events)
    return entries


def list_closed_dates(account_ids: Sequence[int]) -> dict[int, date]:
    """Return the last closed day by account; absent where nothing is closed."""
    with connection.cursor() as cursor:
        cursor.execute(_CLOSED, [list(account_ids)])
        return dict(cursor.fetchall())


_CLOSED = """
    SELECT a.id, max(c.closed_through)
    FROM accounts_account a
    JOIN portfolios_closedperiod c
      ON c.firm_id = a.firm_id AND (c.account_id IS NULL OR c.account_id = a.id)
    WHERE a.id = ANY(%s) GROUP BY 1"""


def _check_periods(events: Sequence[BookEvent]) -> None:
    closed = list_closed_dates(sorted({event.account_id for event in events}))
    for event in events:
        last = closed.get(event.account_id)
        if last is not None and event.entry_date <= last:
            raise PeriodClosed(
                f"The books of account {event.account_id} are closed through {last}; "
                f"{event.source} of {event.entry_date} must be booked after that day."
            )


def _write_lots(booked: Sequence[tuple[models.JournalEntry, BookEvent]]) -> None:
    """Store the lots that events open, and what they do to lots there are."""
    models.Lot.objects.bulk_create(
        models.Lot(
            account_id=event.account_id,
            security_id=lot.security_id,
            opened_by=entry,
            acquired_date=lot.acquired_date,
            opened_quantity=lot.quantity,
            opened_cost=lot.cost,
            quantity=lot.quantity,
            cost=lot.cost,
        )
        for entry, event in booked
        for lot in event.opened_lots
    )
    models.LotAdjustment.objects.bulk_create(
        models.LotAdjustment(
            entry=entry, lot_id=change.lot_id, quantity=change.quantity, cost=change.cost
        )
        for entry, event in booked
        for change in event.lot_changes
    )
    uses = [
        models.Disposal(
            entry=entry,
            lot_id=use.lot_id,
            disposed_date=event.entry_date,
            quantity=use.quantity,
            proceeds=use.proceeds,
            cost=use.cost,
            is_long_term=use.is_long_term,
        )
        for entry, event in booked
        for use in event.lot_uses
    ]
    undone = [
        models.Disposal(
            entry=entry,
            lot_id=row.use.lot_id,
            disposed_date=row.disposed_date,
            quantity=-row.use.quantity,
            proceeds=-row.use.proceeds,
            cost=-row.use.cost,
            is_long_term=row.use.is_long_term,
            reverses_id=row.disposal_id,
        )
        for entry, event in booked
        for row in event.undone_uses
    ]
    models.Disposal.objects.bulk_create([*uses, *undone])


def _move_lots(events: Sequence[BookEvent]) -> None:
    quantity: dict[int, Decimal] = defaultdict(Decimal)
    cost: dict[int, Decimal] = defaultdict(Decimal)
    for event in events:
        for use in event.lot_uses:
            quantity[use.lot_id] -= use.quantity
            cost[use.lot_id] -= use.cost
        for change in event.lot_changes:
            quantity[change.lot_id] += change.quantity
            cost[change.lot_id] += change.cost
        for row in event.undone_uses:
            quantity[row.use.lot_id] += row.use.quantity
            cost[row.use.lot_id] += row.use.cost
    lots = list(models.Lot.objects.filter(pk__in=quantity))
    for lot in lots:
        lot.quantity += quantity[lot.pk]
        lot.cost += cost[lot.pk]
    if lots:
        models.Lot.objects.bulk_update(lots, ["quantity", "cost"])


def _move_totals(events: Sequence[BookEvent]) -> None:
    """Move cash balances, books versions and holdings by what the transfers say."""
    cash: dict[int, Decimal] = defaultdict(Decimal)
    shares: dict[tuple[int, int], Decimal] = defaultdict(Decimal)
    entry_count: dict[int, int] = defaultdict(int)
    for event in events:
        entry_count[event.account_id] += 1
        for move in event.transfers:
            sign = 1 if move.target in (Pocket.CASH, Pocket.SECURITIES) else -1
            if move.unit.security_id is None:
                cash[event.account_id] += sign * move.quantity
            else:
                shares[event.account_id, move.unit.security_id] += sign * move.quantity
    balances = list(models.CashBalance.objects.filter(account_id__in=entry_count))
    for balance in balances:
        balance.amount += cash[balance.account_id]
        balance.books_version += entry_count[balance.account_id]
    models.CashBalance.objects.bulk_update(balances, ["amount", "books_version"])
    if shares:
        models.Holding.objects.bulk_create(
            [
                models.Holding(account_id=account_id, security_id=security_id, quantity=0)
                for account_id, security_id in sorted(shares)
            ],
            ignore_conflicts=True,
        )
        holdings = [
            holding
            for holding in models.Holding.objects.filter(
                account_id__in={account_id for account_id, _security in shares},
                security_id__in={security_id for _account, security_id in shares},
            )
            if (holding.account_id, holding.security_id) in shares
        ]
        for holding in holdings:
            holding.quantity += shares[holding.account_id, holding.security_id]
        models.Holding.objects.bulk_update(holdings, ["quantity"])
