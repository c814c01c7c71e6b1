"""Wash sales (26 USC 1091): losses denied because the same thing was bought within 30 days.

The whole household is matched at once, IRAs and spouses included, share for share. Sold shares are
never replacements: neither those sold earlier, nor those sold on the day of the loss.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby

from portfolios.domain.lots import is_long_term
from portfolios.domain.money import ZERO, round_money, split_by_ratio
from portfolios.domain.tax.events import (
    Acquisition,
    BasisPiece,
    LedgerFault,
    LotBasis,
    Realised,
    Sale,
    TaxView,
    index_ledger,
)
from portfolios.domain.tax.regime import Windows

WINDOW = timedelta(days=30)


@dataclass(slots=True)
class _Piece:
    """Shares of one lot with one history; `is_used` shares have taken up a loss already."""

    quantity: Decimal
    holding_start: date
    adjustment: Decimal = ZERO
    is_used: bool = False


@dataclass(slots=True)
class _Lot:
    """A purchase while the ledger is replayed; `cost` is the booked cost of what is left."""

    bought: Acquisition
    cost: Decimal
    pieces: list[_Piece] = field(default_factory=list)


@dataclass(slots=True)
class _Part:
    """The shares of one piece in one sale; `loss` is what is still deducted of their loss."""

    sale: Sale
    quantity: Decimal
    holding_start: date
    gain: Decimal
    loss: Decimal
    disallowed: Decimal = ZERO
    lost: Decimal = ZERO


def match_wash_sales(acquisitions: Iterable[Acquisition], sales: Iterable[Sale]) -> TaxView:
    """Return the gains a household reports and the basis it has left, wash sales adjusted.

    Sales are taken by day; on one day, by age of the shares sold. A loss is matched with the shares
    acquired from 30 days before to 30 days after it, the earliest first, and each share takes up
    one loss only. The shares sold, and the unsold rest of the purchase they came from (Rev. Rul.
    56-602), are not among them. The loss denied is added to the basis of its replacement shares, or
    is lost where they sit in a sheltered account (Rev. Rul. 2008-5).

    The days that the sold shares were held are added to those of their replacements (26 USC
    1223(3)): the holding period starts that many days before the replacement was acquired. Days on
    which neither was held count for nothing; some brokers keep the old purchase date instead, which
    would count them. Where a part of a lot was matched, a sale of that lot takes the shares held
    longest first; these are also the ones whose basis was raised.

    :raises LedgerFault: when purchases and sales contradict each other.
    """
    lots, parts = _replay(acquisitions, sales)
    open_lots = {lot_id: _to_basis(lot) for lot_id, lot in sorted(lots.items()) if lot.pieces}
    return TaxView(realised=tuple(_to_realised(parts)), lots=open_lots)


def find_wash_windows(
    acquisitions: Iterable[Acquisition], sales: Iterable[Sale], day: date
) -> Windows:
    """Return what would deny a loss: purchases to leave alone, and recent ones that are in the way.

    A loss that is denied already blocks nothing, and shares that took up a loss are no risk.

    :raises LedgerFault: when purchases and sales contradict each other.
    """
    lots, parts = _replay(
        [lot for lot in acquisitions if lot.day <= day],
        [sale for sale in sales if sale.day <= day],
    )
    blocked: dict[str, date] = {}
    for part in parts:
        until = part.sale.day + WINDOW
        if part.loss > 0 and until >= day:
            blocked[part.sale.group] = max(until, blocked.get(part.sale.group, until))
    at_risk: dict[str, list[int]] = defaultdict(list)
    for lot_id, lot in sorted(lots.items()):
        if lot.bought.day >= day - WINDOW and any(not piece.is_used for piece in lot.pieces):
            at_risk[lot.bought.group].append(lot_id)
    return Windows(
        buy_blocked=dict(sorted(blocked.items())),
        at_risk={group: tuple(ids) for group, ids in sorted(at_risk.items())},
    )


def _replay(
    acquisitions: Iterable[Acquisition], sales: Iterable[Sale]
) -> tuple[dict[int, _Lot], list[_Part]]:
    bought, ordered_sales = index_ledger(acquisitions, sales)
    lots = {
        lot_id: _Lot(lot, lot.cost, [_Piece(lot.quantity, lot.day)])
        for lot_id, lot in bought.items()
    }
    by_group: dict[str, list[_Lot]] = defaultdict(list)
    for lot in sorted(lots.values(), key=lambda lot: (lot.bought.day, lot.bought.lot_id)):
        by_group[lot.bought.group].append(lot)
    parts: list[_Part] = []
    for _day, same_day in groupby(ordered_sales, key=lambda sale: sale.day):
        # All that leaves on a day leaves before its losses look for replacements.
        todays = [part for sale in same_day for part in _take_shares(lots[sale.lot_id], sale)]
        for part in todays:
            _deny_loss(part, by_group[part.sale.group])
        parts += todays
    return lots, parts


def _take_shares(lot: _Lot, sale: Sale) -> list[_Part]:
    """Remove the shares sold; return what each piece of them gained (nothing if sheltered)."""
    taken = _take_pieces(lot, sale.quantity)
    lot.cost -= sale.cost
    if lot.cost < 0 or (lot.cost and not lot.pieces):
        raise LedgerFault(f"lot {sale.lot_id}: the costs of its sales do not add up to its cost")
    if sale.is_sheltered:
        return []
    quantities = [piece.quantity for piece in taken]
    money = zip(
        taken,
        split_by_ratio(sale.proceeds, quantities),
        split_by_ratio(sale.cost, quantities),
        strict=True,
    )
    parts = []
    for piece, proceeds, cost in money:
        gain = proceeds - cost - piece.adjustment
        parts.append(
            _Part(sale, piece.quantity, piece.holding_start, gain=gain, loss=max(-gain, ZERO))
        )
    return parts


def _take_pieces(lot: _Lot, quantity: Decimal) -> list[_Piece]:
    taken: list[_Piece] = []
    left = quantity
    lot.pieces.sort(key=_age)
    while left > 0:
        piece = lot.pieces[0]
        if piece.quantity <= left:
            taken.append(lot.pieces.pop(0))
        else:
            taken.append(_split_off(piece, left))
        left -= taken[-1].quantity
    return taken


def _age(piece: _Piece) -> tuple[date, Decimal, bool]:
    """Sort by holding period, then the higher basis first, then shares that took up a loss."""
    return piece.holding_start, -piece.adjustment / piece.quantity, not piece.is_used


def _split_off(piece: _Piece, quantity: Decimal) -> _Piece:
    """Take part of a piece out of it; the rest keeps the cents that rounding leaves."""
    adjustment = round_money(piece.adjustment * quantity / piece.quantity)
    piece.quantity -= quantity
    piece.adjustment -= adjustment
    return _Piece(quantity, piece.holding_start, adjustment, piece.is_used)


def _deny_loss(part: _Part, lots: Sequence[_Lot]) -> None:
    """Match one loss with its replacements, the earliest acquired first."""
    need = part.quantity
    for lot in _list_replacements(part, lots):
        for piece in [piece for piece in lot.pieces if not piece.is_used]:
            if not (need and part.loss):
                return
            matched = piece
            if need < piece.quantity:
                matched = _split_off(piece, need)
                lot.pieces.append(matched)
            denied = round_money(part.loss * matched.quantity / need)
            need -= matched.quantity
            part.loss -= denied
            part.disallowed += denied
            matched.is_used = True
            if lot.bought.is_sheltered:
                part.lost += denied
            else:
                matched.adjustment += denied
                matched.holding_start -= part.sale.day - part.holding_start


def _list_replacements(part: _Part, lots: Sequence[_Lot]) -> Iterator[_Lot]:
    first, last = part.sale.day - WINDOW, part.sale.day + WINDOW
    start = bisect_left(lots, first, key=lambda lot: lot.bought.day)
    for lot in lots[start:]:
        if lot.bought.day > last:
            return
        if lot.bought.lot_id != part.sale.lot_id:
            yield lot


def _to_basis(lot: _Lot) -> LotBasis:
    pieces = sorted(lot.pieces, key=_age)
    costs = split_by_ratio(lot.cost, [piece.quantity for piece in pieces])
    return LotBasis(
        lot_id=lot.bought.lot_id,
        pieces=tuple(
            BasisPiece(
                quantity=piece.quantity,
                cost=cost + piece.adjustment,
                holding_start=piece.holding_start,
                adjustment=piece.adjustment,
            )
            for piece, cost in zip(pieces, costs, strict=True)
        ),
    )


def _to_realised(parts: Iterable[_Part]) -> Iterator[Realised]:
    """Add up the pieces of each sale of a lot that have the same term."""

    def key(part: _Part) -> tuple[date, int, int, bool]:
        long_term = is_long_term(acquired_date=part.holding_start, sold_date=part.sale.day)
        return part.sale.day, part.sale.sale_id, part.sale.lot_id, long_term

    for (day, sale_id, lot_id, long_term), group in groupby(sorted(parts, key=key), key=key):
        same = list(group)
        yield Realised(
            sale_id=sale_id,
            lot_id=lot_id,
            day=day,
            gain=sum((part.gain + part.disallowed for part in same), ZERO),
            disallowed=sum((part.disallowed for part in same), ZERO),
            is_long_term=long_term,
            lost=sum((part.lost for part in same), ZERO),
        )
