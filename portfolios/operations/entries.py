"""The one writer of the books: stores events, and moves the running totals that follow from them.

An event is one `BookEvent`; any number of them take a fixed number of queries. Whoever changes an
account's books first locks its cash balance, in order of account.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from portfolios import models
from portfolios.domain import ledger
from portfolios.domain.kinds import EntryKind, Pocket
from portfolios.domain.lots import LotUse, OpeningLot


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


def lock_books(account_ids: Sequence[int]) -> dict[int, models.CashBalance]:
    """Keep everybody else from changing these accounts' books until the transaction ends."""
    return {
        balance.account_id: balance
        for balance in models.CashBalance.objects.select_for_update()
        .filter(account_id__in=account_ids)
        .order_by("account_id")
    }


def write_events(events: Sequence[BookEvent]) -> list[models.JournalEntry]:
    """Store events and what follows from them. The caller holds the locks of their accounts."""
    if not events:
        return []
    entries = models.JournalEntry.objects.bulk_create(
        models.JournalEntry(
            account_id=event.account_id,
            kind=event.kind,
            entry_date=event.entry_date,
            source=event.source,
            memo=event.memo,
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
        for entry, event in zip(entries, events, strict=True)
        for lot in event.opened_lots
    )
    models.Disposal.objects.bulk_create(
        models.Disposal(
            entry=entry,
            lot_id=use.lot_id,
            disposed_date=event.entry_date,
            quantity=use.quantity,
            proceeds=use.proceeds,
            cost=use.cost,
            is_long_term=use.is_long_term,
        )
        for entry, event in zip(entries, events, strict=True)
        for use in event.lot_uses
    )
    _reduce_lots(events)
    _move_totals(events)
    return entries


def _reduce_lots(events: Sequence[BookEvent]) -> None:
    quantity: dict[int, Decimal] = defaultdict(Decimal)
    cost: dict[int, Decimal] = defaultdict(Decimal)
    for event in events:
        for use in event.lot_uses:
            quantity[use.lot_id] += use.quantity
            cost[use.lot_id] += use.cost
    lots = list(models.Lot.objects.filter(pk__in=quantity))
    for lot in lots:
        lot.quantity -= quantity[lot.pk]
        lot.cost -= cost[lot.pk]
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
