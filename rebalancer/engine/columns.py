"""The kinds of columns the engine works on, and the integers that owned amounts are kept in."""

from datetime import date
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SHARE_UNITS, CENTS, PRICE_UNITS, WEIGHT_UNITS = 10**8, 10**2, 10**6, 10**8
EPOCH = date(1970, 1, 1)


def sum_in_order(values: Floats) -> Floats:
    """Return sums over the last axis, added from first to last.

    NumPy's own sum groups its terms by how many there are: securities of no concern would change
    the last digit, and with it which of two equally good plans is taken.
    """
    if not values.shape[-1]:
        return np.zeros(values.shape[:-1])
    total: Floats = np.cumsum(values, axis=-1)[..., -1]
    return total


def to_units(number: Decimal, units: int) -> int:
    """Return `number` as an exact count of 1/`units`.

    :raises ValueError: when it has more places than that, or is not finite.
    """
    scaled = number * units
    if not scaled.is_finite() or scaled != scaled.to_integral_value():
        raise ValueError(f"{number} has more places than 1/{units} can hold")
    return int(scaled)


def from_units(count: int, units: int) -> Decimal:
    """Return the exact number that `count` of 1/`units` stands for."""
    return Decimal(int(count)) / units


def to_day(day: date) -> int:
    """Return a date as days since 1970-01-01."""
    return (day - EPOCH).days
