"""Limits on what a plan realises and trades: a household's gains budget, an account's turnover.

Each limit has a price: gain or turnover pays it on top when trades are chosen, and the price rises
until the limit holds. Where the gain falls past the budget in a jump, the optimum is a mixture of
the plans on both sides; with whole shares it is the plan on the near side of the limit.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rebalancer.engine.columns import Floats, Ints
from rebalancer.engine.netting.bracket import Answer
from rebalancer.engine.netting.plan import (
    Plan,
    make_plan,
    sum_accounts,
    sum_positions,
    sum_segments,
)
from rebalancer.engine.netting.press import Press
from rebalancer.engine.problem import Problem, Solution
from rebalancer.engine.subproblem import select_accounts, select_households

# A kernel: `solve(problem, tau=, gain_price=, turnover_price=)`.
Solve = Callable[..., Solution]

# Limits are kept with this share of an account's value to spare: float noise breaks none of them.
SPARE = 1e-11


@dataclass(frozen=True)
class Limits:
    """What households may realise and accounts may trade; infinite where there is no limit."""

    gains_budget: Floats  # [households] net gain of the whole year, money
    gains_so_far: Floats  # [households] net gain of the year before the plan, money
    turnover: Floats  # [accounts] bought plus sold, share of the account's value

    def gains_left(self) -> Floats:
        """Return the net gain a plan may add: none where the year is over its budget already."""
        left: Floats = np.maximum(self.gains_budget - self.gains_so_far, 0.0)
        return left

    def take(self, households: Ints, accounts: Ints) -> "Limits":
        """Return the limits of some households and their accounts."""
        return Limits(
            self.gains_budget[households], self.gains_so_far[households], self.turnover[accounts]
        )


@dataclass(frozen=True)
class LimitReport:
    """Prices of the limits (0: does not bind), and by how much one that cannot be met is missed."""

    gain_price: Floats  # [households] what a dollar more of budget would save
    turnover_price: Floats  # [accounts]
    budget_exceeded_by: Floats  # [households] money
    turnover_exceeded_by: Floats  # [accounts] share of the value


def no_limits(problem: Problem) -> Limits:
    """Return limits that limit nothing."""
    households = len(problem.household_offsets) - 1
    return Limits(
        gains_budget=np.full(households, np.inf),
        gains_so_far=np.zeros(households),
        turnover=np.full(problem.account_count, np.inf),
    )


def measure_gains(problem: Problem, sold: Floats) -> Floats:
    """Return each household's net gain of a plan, money."""
    return sum_accounts(problem, sum_segments(problem, problem.gain * sold))


def measure_turnover(problem: Problem, trade: Floats) -> Floats:
    """Return what each account buys and sells, share of its value."""
    turnover: Floats = sum_positions(problem, np.abs(trade)) / problem.value
    return turnover


def solve_within(
    problem: Problem,
    limits: Limits,
    solve: Solve,
    *,
    tau: Floats | None = None,
    is_divisible: bool,
) -> tuple[Plan, LimitReport]:
    """Return the best plan within the limits at fixed prices of selling.

    `is_divisible`: any trade will do, so that plans may be mixed. The plan's `bound` holds for the
    sum over each household.
    """
    tau = problem.tau() if tau is None else tau
    search = _Search(problem, limits, solve, tau, is_divisible)
    plan, turnover_price = search.limit_turnover(None)
    gain_price = search.limit_gains(plan, turnover_price)
    return plan, report_limits(problem, limits, plan, gain_price, turnover_price)


def report_limits(
    problem: Problem, limits: Limits, plan: Plan, gain_price: Floats, turnover_price: Floats
) -> LimitReport:
    """Return the prices of the limits with how far the plan misses them."""
    excess = measure_gains(problem, plan.sold) + limits.gains_so_far - limits.gains_budget
    missed = measure_turnover(problem, plan.trade) - limits.turnover
    return LimitReport(
        gain_price=gain_price,
        turnover_price=turnover_price,
        budget_exceeded_by=np.maximum(excess, 0.0),
        turnover_exceeded_by=np.maximum(missed, 0.0),
    )


@dataclass(frozen=True)
class _Search:
    """The searches for both prices over one Problem; that of turnover stands inside the other."""

    problem: Problem
    limits: Limits
    solve: Solve
    tau: Floats
    is_divisible: bool

    def limit_turnover(self, gain_price: Floats | None) -> tuple[Plan, Floats]:
        """Return the best plan at a price of gain (by account), and the price of turnover."""
        problem, limit = self.problem, self.limits.turnover
        solution = self.solve(problem, tau=self.tau, gain_price=gain_price)
        plan = make_plan(problem, solution, self.tau, gain_price)
        price = np.zeros(problem.account_count)
        over = np.flatnonzero(measure_turnover(problem, plan.trade) > limit)
        if not len(over):
            return plan, price
        part, selection = select_accounts(problem, over)
        gain_price = None if gain_price is None else gain_price[over]
        limit = limit[over]

        def ask(units: Ints, price: Floats) -> Answer:
            some, rows = select_accounts(part, units)
            tau = self.tau[selection.segments][rows.segments]
            gains = None if gain_price is None else gain_price[units]
            found = self.solve(some, tau=tau, gain_price=gains, turnover_price=price)
            answer = make_plan(some, found, tau, gains)
            answer.bound[:] -= price * limit[units] * some.value
            excess = measure_turnover(some, answer.trade) - limit[units] * (1 - SPARE)
            gap = (weigh_plan(some, answer, gains) - answer.bound) / some.value + price * excess
            return Answer(price, excess, gap, answer, rows)

        def measure(answer: Plan) -> Floats:
            return measure_turnover(part, answer.trade) - limit * (1 - SPARE)

        def weigh(answer: Plan) -> Floats:
            return weigh_plan(part, answer, gain_price)

        press = Press(part, ask, measure, weigh, selection.unit, self.is_divisible)
        best, price[over] = press.run(plan.take(selection))
        plan.put(best, selection)
        return plan, price

    def limit_gains(self, plan: Plan, turnover_price: Floats) -> Floats:
        """Bring the plan within the budgets, in place; return the price of gain by household."""
        problem, left = self.problem, self.limits.gains_left()
        price = np.zeros(len(left))
        over = np.flatnonzero(measure_gains(problem, plan.sold) > left)
        if not len(over):
            return price
        part, selection = select_households(problem, over)
        value, left = sum_accounts(part, part.value), left[over]
        found_price = turnover_price[selection.accounts]

        def ask(units: Ints, price: Floats) -> Answer:
            some, rows = select_households(part, units)
            tau = self.tau[selection.segments][rows.segments]
            limits = self.limits.take(over[units], selection.accounts[rows.accounts])
            inner = _Search(some, limits, self.solve, tau, self.is_divisible)
            answer, found_price[rows.accounts] = inner.limit_turnover(price[rows.unit])
            share = some.value / value[units][rows.unit]
            answer.bound[:] -= (price * left[units])[rows.unit] * share
            excess = exceed(some, answer, left[units], value[units])
            gap = sum_accounts(some, weigh_plan(some, answer) - answer.bound) / value[units]
            return Answer(price, excess, gap + price * excess, answer, rows)

        def measure(answer: Plan) -> Floats:
            return exceed(part, answer, left, value)

        def weigh(answer: Plan) -> Floats:
            return sum_accounts(part, weigh_plan(part, answer))

        press = Press(part, ask, measure, weigh, selection.unit, self.is_divisible)
        best, price[over] = press.run(plan.take(selection))
        plan.put(best, selection)
        turnover_price[selection.accounts] = found_price
        return price


def exceed(problem: Problem, plan: Plan, left: Floats, value: Floats) -> Floats:
    """Return by how much each household's gain is past what is left, share of its value."""
    excess: Floats = (measure_gains(problem, plan.sold) - left) / value + SPARE
    return excess


def weigh_plan(problem: Problem, plan: Plan, gain_price: Floats | None = None) -> Floats:
    """Return each account's objective at the plan's prices, and at that of gain if any."""
    price = plan.tau + problem.waiting
    weight = plan.cost + sum_segments(problem, price * plan.sold)
    if gain_price is not None:
        weight += gain_price * sum_segments(problem, problem.gain * plan.sold)
    return weight
