"""Tax lots: how a sale uses them up, what that gains, and whether the gain is long-term.

Plain values in, plain values out. Cost is conserved to the cent: the last piece of a lot takes what
rounding left over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from portfolios.domain.money import round_money, split_by_ratio


class NotEnoughShares(Exception):
    """A sale asks for more shares than its lots hold."""


@dataclass(frozen=True, slots=True)
class Lot:
    """What is left of shares bought together; `cost` is the basis of what is left."""

    lot_id: int
    quantity: Decimal
    cost: Decimal
    acquired_date: date


@dataclass(frozen=True, slots=True)
class LotUse:
    """Part of a sale: so much of one lot, its basis, its share of the proceeds."""

    lot_id: int
    quantity: Decimal
    cost: Decimal
    proceeds: Decimal
    is_long_term: bool

    @property
    def gain(self) -> Decimal:
        """Return the realised gain, negative for a loss."""
        return self.proceeds - self.cost


@dataclass(frozen=True, slots=True)
class LotChange:
    """Shares and basis added to a lot (or taken, where negative) by other than a sale."""

    lot_id: int
    quantity: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True)
class UndoneUse:
    """A part of a sale that is taken back; its figures are those of the part, positive."""

    disposal_id: int
    use: LotUse
    disposed_date: date


@dataclass(frozen=True, slots=True)
class OpeningLot:
    """Shares that an account already held when it was taken on."""

    security_id: int
    quantity: Decimal
    cost: Decimal
    acquired_date: date


def is_long_term(*, acquired_date: date, sold_date: date) -> bool:
    """Return whether shares were held more than one year (26 USC 1222).

    The count starts on the day after the purchase, so that what was bought on the last day of a
    month turns long-term on the first day of a month (Rev. Rul. 66-7).
    """
    first_day = acquired_date + timedelta(days=1)
    if (first_day.month, first_day.day) == (2, 29):
        return sold_date >= date(first_day.year + 1, 3, 1)
    return sold_date >= first_day.replace(year=first_day.year + 1)


def use_lots(
    *, picks: Sequence[tuple[Lot, Decimal]], proceeds: Decimal, sold_date: date
) -> tuple[LotUse, ...]:
    """Return what selling the picked quantities of lots for `proceeds` in all uses up.

    Proceeds are split by quantity, to the cent, by largest remainder: no share is below zero.

    :raises NotEnoughShares: when a pick exceeds its lot.
    """
    for lot, quantity in picks:
        if quantity <= 0 or quantity > lot.quantity:
            raise NotEnoughShares(f"lot {lot.lot_id} holds {lot.quantity}, asked for {quantity}")
    if not picks:
        return ()
    parts = split_by_ratio(proceeds, [quantity for _lot, quantity in picks])
    uses: list[LotUse] = []
    for (lot, quantity), part in zip(picks, parts, strict=True):
        cost = (
            lot.cost
            if quantity == lot.quantity
            else min(lot.cost, round_money(lot.cost * quantity / lot.quantity))
        )
        uses.append(
            LotUse(
                lot_id=lot.lot_id,
                quantity=quantity,
                cost=cost,
                proceeds=part,
                is_long_term=is_long_term(acquired_date=lot.acquired_date, sold_date=sold_date),
            )
        )
    return tuple(uses)


def take_from_lots(lots: Sequence[Lot], quantity: Decimal) -> list[tuple[Lot, Decimal]]:
    """Return which lots give up `quantity` shares, the oldest first.

    :raises NotEnoughShares: when they hold fewer.
    """
    picks: list[tuple[Lot, Decimal]] = []
    left = quantity
    for lot in sorted(lots, key=lambda lot: (lot.acquired_date, lot.lot_id)):
        taken = min(lot.quantity, left)
        if taken > 0:
            picks.append((lot, taken))
            left -= taken
    if left > 0:
        raise NotEnoughShares(f"{quantity - left} shares are held, asked for {quantity}")
    return picks
