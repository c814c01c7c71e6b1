"""Executions in the books: transfers, lots and disposals, whatever split came meanwhile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from portfolios import models
from portfolios.domain import ledger
from portfolios.domain.corporate_actions import Action, multiply_splits, scale_quantity
from portfolios.domain.kinds import EntryKind, Side
from portfolios.domain.lots import Lot, LotChange, LotUse, NotEnoughShares, OpeningLot, use_lots
from portfolios.domain.money import ZERO
from portfolios.operations.entries import BookEvent, BooksDisagree, lock_books, write_events
from portfolios.operations.splits import build_late_split
from portfolios.queries.books import find_settlement_date, get_exchanges
from portfolios.queries.corporate_actions import load_splits

Splits = Mapping[int, Sequence[Action]]


@dataclass(frozen=True, slots=True)
class FillToBook:
    """An execution as the books need it; `picks` are (lot id, quantity) of a sale, in order."""

    source: str
    account_id: int
    security_id: int
    side: Side
    quantity: Decimal
    amount: Decimal
    fill_date: date
    picks: tuple[tuple[int, Decimal], ...] = ()
    memo: str = ""
    settles_date: date | None = None  # without it: the next session after the trade


def book_fills(*, fills: Sequence[FillToBook], currency: str) -> list[models.JournalEntry]:
    """Book executions: transfers, lots, disposals and running totals, in a fixed number of queries.

    Must run in the transaction that records the fills: neither exists without the other. A fill of
    before a split that is in the books already is booked as it says, with a split beside it. The
    entries come back in the order of the fills.

    :raises BooksDisagree: when a sale asks for shares that its lots do not hold, a buy for cash
        that is not there, or the day is in a closed period.
    """
    balances = lock_books(sorted({fill.account_id for fill in fills}))
    lot_ids = {lot_id for fill in fills for lot_id, _quantity in fill.picks}
    rows = models.Lot.objects.filter(pk__in=lot_ids)
    left = {row.pk: Lot(row.pk, row.quantity, row.cost, row.acquired_date) for row in rows}
    owners = {row.pk: (row.account_id, row.security_id) for row in rows}
    cash = {account_id: balance.amount for account_id, balance in balances.items()}
    exchanges = get_exchanges(sorted(balances))
    splits = load_splits(sorted({fill.security_id for fill in fills}))
    events: list[BookEvent] = []
    late: list[BookEvent] = []
    for fill in fills:
        uses: tuple[LotUse, ...] = ()
        if fill.side is Side.SELL:
            if any(owners.get(pk) != (fill.account_id, fill.security_id) for pk, _q in fill.picks):
                raise BooksDisagree(f"{fill.source}: a lot is not this account's and security's")
            uses, changes = _use_picks(fill, left, splits)
            if changes:
                late.append(_follow_splits(fill, changes, splits))
            cash[fill.account_id] += fill.amount
        else:
            cash[fill.account_id] -= fill.amount
        if cash[fill.account_id] < 0:
            raise BooksDisagree(f"{fill.source} would overdraw account {fill.account_id}")
        settles = find_settlement_date(exchanges[fill.account_id], fill.fill_date)
        events.append(_build_event(fill, currency, uses, fill.settles_date or settles))
    # A late sale's shares are put in its own units first: no lot is ever below zero on the way.
    entries = write_events([*late, *events])[len(late) :]
    _split_late_purchases(fills, entries, splits)
    return entries


def _use_picks(
    fill: FillToBook, left: dict[int, Lot], splits: Splits
) -> tuple[tuple[LotUse, ...], tuple[LotChange, ...]]:
    """Return what a sale takes, in the shares it says, and what splits since make of that."""
    if sum((quantity for _lot, quantity in fill.picks), ZERO) != fill.quantity:
        raise BooksDisagree(f"{fill.source}: the lots named do not add up to {fill.quantity}")
    factor = multiply_splits(splits.get(fill.security_id, ()), after=fill.fill_date)
    try:
        uses = use_lots(
            picks=[(left[lot_id], scale_quantity(said, factor)) for lot_id, said in fill.picks],
            proceeds=fill.amount,
            sold_date=fill.fill_date,
        )
    except (KeyError, NotEnoughShares) as error:
        raise BooksDisagree(f"{fill.source}: {error}") from error
    in_words: list[LotUse] = []
    changes: list[LotChange] = []
    for use, (_lot_id, said) in zip(uses, fill.picks, strict=True):
        lot = left[use.lot_id]
        left[use.lot_id] = replace(
            lot, quantity=lot.quantity - use.quantity, cost=lot.cost - use.cost
        )
        in_words.append(replace(use, quantity=said))
        if use.quantity != said:
            changes.append(LotChange(use.lot_id, said - use.quantity, ZERO))
    return tuple(in_words), tuple(changes)


def _build_event(
    fill: FillToBook, currency: str, uses: tuple[LotUse, ...], settles_date: date
) -> BookEvent:
    bought = OpeningLot(fill.security_id, fill.quantity, fill.amount, fill.fill_date)
    return BookEvent(
        account_id=fill.account_id,
        kind=EntryKind(fill.side),
        entry_date=fill.fill_date,
        source=fill.source,
        memo=fill.memo,
        transfers=ledger.transfers_for_trade(
            side=fill.side,
            security_id=fill.security_id,
            quantity=fill.quantity,
            amount=fill.amount,
            currency=currency,
        ),
        opened_lots=(bought,) if fill.side is Side.BUY else (),
        lot_uses=uses,
        settles_date=settles_date,
    )


def _split_late_purchases(
    fills: Sequence[FillToBook], entries: Sequence[models.JournalEntry], splits: Splits
) -> None:
    """Multiply the lots of purchases of before a split that is in the books already."""
    late = {}
    for fill, entry in zip(fills, entries, strict=True):
        factor = multiply_splits(splits.get(fill.security_id, ()), after=fill.fill_date)
        if fill.side is Side.BUY and factor != 1:
            late[entry.pk] = (fill, factor)
    if not late:
        return
    events = []
    for lot in models.Lot.objects.filter(opened_by_id__in=late).order_by("id"):
        fill, factor = late[lot.opened_by_id]
        extra = scale_quantity(lot.quantity, factor) - lot.quantity
        events.append(_follow_splits(fill, [LotChange(lot.pk, extra, ZERO)], splits))
    write_events(events)


def _follow_splits(fill: FillToBook, changes: Sequence[LotChange], splits: Splits) -> BookEvent:
    return build_late_split(
        source=fill.source,
        account_id=fill.account_id,
        security_id=fill.security_id,
        splits=splits[fill.security_id],
        fill_date=fill.fill_date,
        changes=changes,
    )
