"""Raises a price, by account or household, until a limit holds; keeps the best plan there."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rebalancer.engine.columns import Floats, Ints
from rebalancer.engine.netting.bracket import Ask, End, close_in
from rebalancer.engine.netting.plan import Plan, add_up, mix_plans
from rebalancer.engine.problem import Problem
from rebalancer.engine.subproblem import select_everything

# Prices tried before a limit counts as one that cannot be met, and how they grow.
FIRST_PRICE, PRICE_GROWTH, PRICE_MAX = 1e-3, 8.0, 3e4

# How narrow the bracket of prices gets: narrow enough that a mixture of its ends is exact, and not
# so narrow that both stand on the jump itself. With whole shares nothing is mixed in the end.
WIDTH, WIDTH_WHOLE = 1e-10, 1e-6

# A limit that cannot be met is missed by this much less (share of the value), or not pursued.
NEARER = 1e-9

# The noise of adding up numbers of the size of the value; limits have more than this to spare.
NOISE = 2e-12

# Cash below its floor by more than this is not noise of a kernel, money.
CASH_NOISE = 1e-5


@dataclass(frozen=True)
class Press:
    """A limit on something of each unit, and how to ask for a plan at a price."""

    problem: Problem
    ask: Ask
    measure: Callable[[Plan], Floats]  # each unit's excess over its limit
    weigh: Callable[[Plan], Floats]  # each unit's objective
    unit: Ints  # [accounts]
    is_divisible: bool

    def run(self, plan: Plan) -> tuple[Plan, Floats]:
        """Return the best plan within the limit (or the nearest to it), and the price."""
        excess = self.measure(plan)
        gap = (self.weigh(plan) - self.sum_units(plan.bound)) / self.sum_units(self.problem.value)
        low = End(np.zeros(len(excess)), excess, gap, plan)
        high = End(np.zeros(len(excess)), excess.copy(), gap.copy(), plan.copy())
        self.raise_price(low, high)
        width = WIDTH if self.is_divisible else WIDTH_WHOLE
        close_in(
            self.ask,
            low,
            high,
            width=width,
            excess_max=np.zeros(len(excess)),
            is_smooth=self.is_divisible,
        )
        best = high.plan.copy()
        if self.is_divisible:
            self.mix(low, high, best)
        first, second = self.sum_units(low.plan.bound), self.sum_units(high.plan.bound)
        best.bound[:] = np.where((first > second)[self.unit], low.plan.bound, high.plan.bound)
        return best, high.price

    def raise_price(self, low: End, high: End) -> None:
        """Raise the high end's price until its limit holds; where none will do, take the best."""
        units, price = np.arange(len(low.price)), FIRST_PRICE
        while len(units) and price < PRICE_MAX:
            answer = self.ask(units, np.full(len(units), price))
            is_met = answer.excess <= 0
            high.move(units, is_met, answer)
            low.move(units, ~is_met & (answer.excess < low.excess[units] - NEARER), answer)
            units, price = units[~is_met], price * PRICE_GROWTH
        is_missed = np.zeros(len(low.price), np.bool_)
        is_missed[units] = True
        high.copy_from(low, is_missed, select_everything(self.problem, self.unit))

    def mix(self, low: End, high: End, best: Plan) -> None:
        """Put what lies between both ends, exactly at the limit, in place of what is worse."""
        gap = low.excess - high.excess
        share = np.divide(-high.excess, gap, out=np.zeros_like(gap), where=gap > 0)
        mixed = mix_plans(self.problem, low.plan, high.plan, share[self.unit])
        # At the limit: no further over it than the noise of adding the two plans up.
        is_better = (self.measure(mixed) <= NOISE) & (self.weigh(mixed) < self.weigh(best))
        lacks = mixed.cash < np.minimum(high.plan.cash, self.problem.cash_min) - CASH_NOISE
        is_better &= self.sum_units(lacks.astype(np.float64)) == 0
        best.put(mixed, select_everything(self.problem, self.unit), is_better & (share > 0))

    def sum_units(self, numbers: Floats) -> Floats:
        """Return each unit's sum over its accounts."""
        return add_up(self.unit, numbers, int(self.unit[-1]) + 1)
