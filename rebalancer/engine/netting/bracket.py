"""Closes in on the price at which something of many units (households, accounts) crosses zero.

The quantity falls as its price rises, sometimes in a jump (a lot that suddenly pays to sell); both
ends of the last bracket are kept, because a mixture of the two is then what is wanted.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rebalancer.engine.columns import Bools, Floats, Ints
from rebalancer.engine.netting.plan import Plan
from rebalancer.engine.subproblem import Selection

# Where false position has moved one end only, the other end's excess counts half (Illinois). No
# guess lies nearer to an end than this share of the bracket, so that a jump is closed in as well.
NEAREST = 0.02
ROUNDS_MAX = 80

# Right beside a jump a kernel's answer can be rough: further above its own bound than the ends are,
# by more than this share of the value. Such an answer moves nothing; after so many in a row a
# bracket this narrow is left as it is, and in a wider one the problem itself must be rough.
ROUGH = 1e-10
ROUGH_MAX = 6
NARROW = 1e-6


@dataclass(frozen=True)
class Answer:
    """The plan of some units at their prices."""

    price: Floats  # [units asked]
    excess: Floats  # [units asked]
    gap: Floats  # [units asked] by how much the priced objective is above its bound, share of value
    plan: Plan
    selection: Selection


Ask = Callable[[Ints, Floats], Answer]


@dataclass(frozen=True)
class End:
    """One end of every unit's bracket."""

    price: Floats  # [units]
    excess: Floats  # [units]
    gap: Floats  # [units]
    plan: Plan  # of all units' accounts

    def move(self, units: Ints, is_moved: Bools, answer: Answer) -> None:
        """Take over the answer for those of the asked units that are to move."""
        self.price[units[is_moved]] = answer.price[is_moved]
        self.excess[units[is_moved]] = answer.excess[is_moved]
        self.gap[units[is_moved]] = answer.gap[is_moved]
        self.plan.put(answer.plan, answer.selection, is_moved)

    def copy_from(self, other: "End", is_copied: Bools, everything: Selection) -> None:
        """Take over another end's state of some units."""
        self.price[is_copied] = other.price[is_copied]
        self.excess[is_copied] = other.excess[is_copied]
        self.gap[is_copied] = other.gap[is_copied]
        self.plan.put(other.plan, everything, is_copied)


def close_in(
    ask: Ask, low: End, high: End, *, width: float, excess_max: Floats, is_smooth: bool = True
) -> int:
    """Move both ends (excess > 0 at the low price, <= 0 at the high one) together, in place.

    A unit is done when its bracket is narrower than `width`, or when an excess is within
    `excess_max` of zero. With whole shares (not `is_smooth`) every answer counts. Returns how many
    times it asked.
    """
    weight_low, weight_high = low.excess.copy(), high.excess.copy()
    side, rough = np.zeros(len(low.price), np.int64), np.zeros(len(low.price), np.int64)
    for rounds in range(ROUNDS_MAX):
        is_hopeless = (rough >= ROUGH_MAX) & (high.price - low.price < NARROW)
        is_open = (high.price - low.price > width) & ~is_hopeless
        is_open &= (low.excess > excess_max) & (high.excess < -excess_max)
        units = np.flatnonzero(is_open)
        if not len(units):
            return rounds
        gap = high.price[units] - low.price[units]
        share = weight_low[units] / (weight_low[units] - weight_high[units])
        # After a rough answer, elsewhere: the next of a sequence that never comes back.
        is_moved_on = (rough[units] > 0) & (rough[units] < ROUGH_MAX)
        share = np.where(is_moved_on, (share + 0.618 * rough[units]) % 1.0, share)
        price = low.price[units] + gap * np.clip(share, NEAREST, 1 - NEAREST)
        answer = ask(units, price)
        allowed = ROUGH + 2 * np.maximum(np.abs(low.gap[units]), np.abs(high.gap[units]))
        is_good = (np.abs(answer.gap) <= allowed) | (rough[units] >= ROUGH_MAX) | (not is_smooth)
        rough[units] = np.where(is_good & (rough[units] < ROUGH_MAX), 0, rough[units] + ~is_good)
        is_low, is_high = is_good & (answer.excess > 0), is_good & (answer.excess <= 0)
        low.move(units, is_low, answer)
        high.move(units, is_high, answer)
        weight_low[units[is_low]] = answer.excess[is_low]
        weight_high[units[is_high]] = answer.excess[is_high]
        weight_high[units[is_low & (side[units] > 0)]] /= 2
        weight_low[units[is_high & (side[units] < 0)]] /= 2
        side[units] = np.where(is_low, 1, np.where(is_high, -1, side[units]))
    return ROUNDS_MAX
