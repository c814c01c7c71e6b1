"""What splits do to shares and prices. Ratios are exact; rounding happens once, where stored."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction

from portfolios.domain.kinds import ActionKind, ActionStatus
from portfolios.domain.lots import Lot, LotChange, NotEnoughShares
from portfolios.domain.money import PRICE_STEP, QUANTITY_STEP, ZERO, round_price, split_by_ratio

SPLITS = (ActionKind.SPLIT, ActionKind.REVERSE_SPLIT)
# After these the security is held no more, or cannot be sold.
ENDING = (ActionKind.CASH_MERGER, ActionKind.DELISTING)
# While one of these is due but not booked, holdings and prices do not fit each other.
CHANGING_HOLDINGS = (*SPLITS, *ENDING)


@dataclass(frozen=True, slots=True)
class Action:
    """A corporate action as prices and holdings feel it, from `effective_date` on."""

    security_id: int
    kind: ActionKind
    effective_date: date
    status: ActionStatus
    new_shares: int | None = None
    old_shares: int | None = None
    cash_per_share: Decimal | None = None

    @property
    def ratio(self) -> Fraction:
        """Return how many shares one share becomes."""
        if self.kind not in SPLITS or not self.new_shares or not self.old_shares:
            return Fraction(1)
        return Fraction(self.new_shares, self.old_shares)


def multiply_splits(
    actions: Iterable[Action], *, after: date, until: date | None = None
) -> Fraction:
    """Return how many shares one share of the day `after` has become (by the day `until`)."""
    factor = Fraction(1)
    for action in actions:
        if after < action.effective_date and (until is None or action.effective_date <= until):
            factor *= action.ratio
    return factor


def split_by_status(actions: Iterable[Action]) -> tuple[list[Action], list[Action]]:
    """Return the actions that are in the books, and those that are not yet."""
    booked: list[Action] = []
    due: list[Action] = []
    for action in actions:
        (booked if action.status is ActionStatus.APPLIED else due).append(action)
    return booked, due


def scale_quantity(quantity: Decimal, factor: Fraction) -> Decimal:
    """Return `quantity` shares after a split, to eight places, never rounded up."""
    if factor == 1:
        return quantity
    exact = quantity * factor.numerator / factor.denominator
    return exact.quantize(QUANTITY_STEP, ROUND_DOWN)


def scale_price(price: Decimal, factor: Fraction) -> Decimal:
    """Return the price of a share of before a split, put in shares of after it."""
    if factor == 1:
        return price
    # A price is never rounded away to nothing.
    return max(round_price(price * factor.denominator / factor.numerator), PRICE_STEP)


def expect_price(
    price: Decimal, actions: Sequence[Action], *, price_date: date, until: date
) -> Decimal:
    """Return what a price of one day is on another, if nothing but these actions moved it.

    Splits divide it; a dividend comes off it on its ex-date.
    """
    due = [action for action in actions if price_date < action.effective_date <= until]
    for action in sorted(due, key=lambda action: action.effective_date):
        price = scale_price(price, action.ratio)
        if action.kind is ActionKind.CASH_DIVIDEND and action.cash_per_share is not None:
            price = max(price - action.cash_per_share, PRICE_STEP)
    return price


def split_lots(
    lots: Sequence[Lot], counted: Mapping[int, Decimal], ratio: Fraction
) -> tuple[LotChange, ...]:
    """Return how a split changes the lots of one account; their cost in all stays as it is.

    `counted` are the shares of each lot (all above zero) that are still in the old units. The
    account's total is rounded down to eight places once; lots share it by largest remainder.

    :raises NotEnoughShares: when more was sold in new units than the split leaves of a lot.
    """
    total = scale_quantity(sum(counted.values(), ZERO), ratio)
    bases = [counted[lot.lot_id] for lot in lots]
    # Even the smallest holding leaves a crumb, so that its cost has somewhere to stay.
    parts = split_by_ratio(max(total, QUANTITY_STEP), bases, QUANTITY_STEP)
    left = {
        lot.lot_id: lot.quantity + part - base
        for lot, part, base in zip(lots, parts, bases, strict=True)
    }
    if any(quantity < 0 for quantity in left.values()):
        raise NotEnoughShares("more was sold since the split than it leaves")
    heir = max(lots, key=lambda lot: (left[lot.lot_id], -lot.lot_id))
    moved = sum((lot.cost for lot in lots if not left[lot.lot_id]), ZERO)
    changes = []
    for lot in lots:
        cost = -lot.cost if not left[lot.lot_id] else ZERO
        if lot is heir and left[lot.lot_id]:
            cost += moved
        change = LotChange(lot.lot_id, left[lot.lot_id] - lot.quantity, cost)
        if change.quantity or change.cost:
            changes.append(change)
    return tuple(changes)
