"""Rounding and splitting of money and shares. Exact: Decimal in, Decimal out."""

from collections.abc import Sequence
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

ZERO = Decimal(0)
CENT = Decimal("0.01")
PRICE_STEP = Decimal("0.000001")
QUANTITY_STEP = Decimal("0.00000001")
# The engine counts in 64 bits of QUANTITY_STEP; no holding may come near what they hold.
QUANTITY_MAX = Decimal("1e10")
BPS = Decimal("0.0001")


def round_money(amount: Decimal) -> Decimal:
    """Return `amount` to the cent, half to even; done once, where an amount is stored or sent."""
    return amount.quantize(CENT, ROUND_HALF_EVEN)


def round_price(price: Decimal) -> Decimal:
    """Return `price` to six places, half to even."""
    return price.quantize(PRICE_STEP, ROUND_HALF_EVEN)


def floor_to_step(quantity: Decimal, step: Decimal) -> Decimal:
    """Return the largest multiple of `step` that does not exceed `quantity` (both >= 0)."""
    return ((quantity / step).to_integral_value(ROUND_DOWN) * step).quantize(QUANTITY_STEP)


def split_by_ratio(
    amount: Decimal, ratios: Sequence[Decimal], unit: Decimal = CENT
) -> list[Decimal]:
    """Split `amount` in proportion to `ratios` by largest remainder: the parts sum to it exactly.

    Ties go to the earlier part, so that the same input always gives the same answer.

    :raises ValueError: when a ratio is negative, all are zero, or `amount` is not whole units.
    """
    if any(ratio < 0 for ratio in ratios) or not any(ratios):
        raise ValueError("ratios must not be negative, and not all zero")
    units = amount / unit
    if units != units.to_integral_value():
        raise ValueError(f"{amount} is not a multiple of {unit}")
    total = sum(ratios, ZERO)
    exact = [units * ratio / total for ratio in ratios]
    floors = [part.to_integral_value(ROUND_DOWN) for part in exact]
    left = int(units - sum(floors, ZERO))
    sign = 1 if left >= 0 else -1
    by_remainder = sorted(range(len(exact)), key=lambda i: (-abs(exact[i] - floors[i]), i))
    for i in by_remainder[: abs(left)]:
        floors[i] += sign
    return [part * unit for part in floors]
