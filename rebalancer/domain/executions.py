"""What a broker's reports come to: fills, less what was busted, as they were corrected."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from portfolios.domain.money import QUANTITY_MAX, QUANTITY_STEP, ZERO
from rebalancer.domain.kinds import ExecutionKind

PRICE_MAX = Decimal("1e12")
# Further off the price at which a block set out, a fill is booked, and looked at by a person.
PRICE_DISTANCE_MAX = Decimal("0.5")


@dataclass(frozen=True, slots=True)
class Word:
    """One report: a fill, what a bust takes back, or what a fill should have said."""

    kind: ExecutionKind
    quantity: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True)
class Effect:
    """Shares that stand, and their value: quantity times price, unrounded."""

    quantity: Decimal
    value: Decimal


NOTHING = Effect(ZERO, ZERO)


def measure_effect(words: Sequence[Word]) -> Effect:
    """Return what stands of a fill after everything that was said of it since, in order.

    :raises ValueError: when more is taken back than was filled.
    """
    quantity, price = ZERO, ZERO
    for word in words:
        if word.kind is ExecutionKind.BUST:
            quantity -= word.quantity
            if quantity < 0:
                raise ValueError("more is taken back than was filled")
        else:
            quantity, price = word.quantity, word.price
    return Effect(quantity, quantity * price)


def find_flaw(word: Word) -> str:
    """Return why a report cannot be recorded at all, or an empty text."""
    quantity, price = word.quantity, word.price
    if not (quantity.is_finite() and 0 < quantity < QUANTITY_MAX):
        return f"{quantity} is no number of shares."
    if quantity != quantity.quantize(QUANTITY_STEP):
        return f"{quantity} shares are finer than the books."
    if not (price.is_finite() and 0 < price < PRICE_MAX):
        return f"{price} is no price."
    return ""


def is_absurd(price: Decimal, arrival_price: Decimal) -> bool:
    """Return whether a fill's price is too far from where the market stood."""
    return abs(price / arrival_price - 1) > PRICE_DISTANCE_MAX
