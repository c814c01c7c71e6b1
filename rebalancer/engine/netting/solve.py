"""The best trades of households whose gains are netted on one tax return.

Given the marginal rates of one regime of the return, a household's accounts are apart again, and a
kernel solves them. So every regime within reach is tried, and at each convex kink of the tax the
rates in between, until the gains lie on the kink; what the true tax makes cheapest is kept. Every
solve also proves a bound: a plane that stays below the tax, plus the kernel's own bound.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rebalancer.engine.columns import Floats, Ints
from rebalancer.engine.netting.bracket import Answer, End, close_in
from rebalancer.engine.netting.budgets import (
    LimitReport,
    Limits,
    Solve,
    no_limits,
    report_limits,
    solve_within,
    weigh_plan,
)
from rebalancer.engine.netting.plan import Plan, empty_plan, mix_plans, sum_accounts, sum_segments
from rebalancer.engine.netting.tax_return import (
    KINKS,
    REGIMES,
    Kink,
    TaxYear,
    find_lowest,
    find_regime,
    list_pairs,
    list_reachable,
    measure_reach,
    measure_year,
    price_segments,
    tax_of,
)
from rebalancer.engine.problem import Problem, Solution
from rebalancer.engine.subproblem import Selection, label_rows, select_households

# A household needs one solve where the tax is proved this near to the plane it was priced by.
SETTLED_SHARE = 1e-7

# How narrow the bracket of weights gets, and how near a kink is on it, share of the value.
WIDTH, WIDTH_WHOLE = 1e-10, 1e-5
ON_KINK = 1e-12

# A limit that cannot be met is missed by this much less (share of the value), or not pursued.
NEARER = 1e-9


@dataclass(frozen=True)
class NettingReport:
    """What the tax return makes of the plan, and the lots that it sells."""

    objective: Floats  # [households] costs and the change of the year's tax, money
    bound: Floats  # [households] no plan costs less
    tax_change: Floats  # [households] money
    short: Floats  # [households] net gains of the year with the plan, money
    long: Floats
    short_rate: Floats  # [households] marginal rates that the plan was chosen at
    long_rate: Floats
    solves: Ints  # [households] how often they were solved
    sold: Floats  # [segments] money
    limits: LimitReport


def solve_netted(
    problem: Problem,
    year: TaxYear,
    solve: Solve,
    *,
    relaxed: Solve | None = None,
    limits: Limits | None = None,
) -> tuple[Solution, NettingReport]:
    """Return the best plan under the true tax of the year, within the limits if any.

    `relaxed` is a kernel without steps, smallest trades and tickets, needed where `solve` knows
    them: it finds the rates at the kinks. An account's `objective` and `bound` hold its share of
    what the tax of the household differs from its marginal rates, so that they add up.
    """
    netting = _Netting(problem, year, limits or no_limits(problem), solve, relaxed)
    regime = find_regime(year, year.short, year.long)
    rest = netting.solve_first(regime)
    netting.solve_regimes(rest, regime)
    for kink in KINKS:
        netting.solve_kink(rest, kink)
    return netting.finish()


@dataclass(frozen=True)
class _Answer:
    """The plan of some households, and the marginal rates it was asked at."""

    units: Ints
    part: Problem
    selection: Selection
    plan: Plan
    limits: LimitReport
    short_rate: Floats
    long_rate: Floats


_AskRates = Callable[[Ints, Floats], _Answer]


class _Netting:
    """The best plan found so far of all households of a Problem, and what has been proved."""

    def __init__(
        self,
        problem: Problem,
        year: TaxYear,
        limits: Limits,
        solve: Solve,
        relaxed: Solve | None,
    ) -> None:
        households = len(year.short)
        self.problem, self.year, self.limits = problem, year, limits
        self.solve, self.relaxed = solve, relaxed
        self.reach = measure_reach(problem, year)
        self.value = sum_accounts(problem, problem.value)
        self.best = empty_plan(problem)
        self.objective = np.full(households, np.inf)
        self.missed = np.full(households, np.inf)
        self.bound = np.full(households, -np.inf)
        self.account_bound = np.full(problem.account_count, -np.inf)
        self.rates = np.zeros((2, households))
        self.gain_price = np.zeros(households)
        self.turnover_price = np.zeros(problem.account_count)
        self.solves = np.zeros(households, np.int64)
        # Net gains of the year at each regime's rates, where any amount may be traded.
        self.seen = np.full((REGIMES, 2, households), np.nan)

    def solve_first(self, regime: Ints) -> Ints:
        """Solve all households at the rates where they start; return those not settled by it."""
        units = np.arange(len(regime))
        pairs = np.array(list_pairs(self.year))
        short, long = pairs[regime, :, units].T
        answer = self.ask(units, short, long)
        self.keep(answer)
        gains = measure_year(self.problem, self.year, answer.plan.sold)
        if self.relaxed is None:
            self.seen[regime, :, units] = np.transpose(gains)
        least = find_lowest(self.year, self.reach, short, long)
        loss = tax_of(self.year, *gains) - short * gains[0] - long * gains[1] - least
        return np.flatnonzero(loss > SETTLED_SHARE * self.value)

    def solve_regimes(self, units: Ints, solved: Ints) -> None:
        """Solve households at the rates of each regime within reach, but for one solved before."""
        reachable = list_reachable(self.year, self.reach)
        for regime, (short, long) in enumerate(list_pairs(self.year)):
            chosen = units[reachable[regime][units]]
            unsolved = chosen[solved[chosen] != regime]
            if len(unsolved):
                answer = self.ask(unsolved, short[unsolved], long[unsolved])
                self.keep(answer)
                self.see(regime, answer, is_relaxed=self.relaxed is None)
            if self.relaxed is not None and len(chosen):
                answer = self.ask(chosen, short[chosen], long[chosen], is_relaxed=True)
                self.see(regime, answer, is_relaxed=True)

    def see(self, regime: int, answer: _Answer, *, is_relaxed: bool) -> None:
        """Remember the gains of an answer in which any amount may be traded."""
        if is_relaxed:
            year = self.year.take(answer.units)
            self.seen[regime][:, answer.units] = measure_year(answer.part, year, answer.plan.sold)

    def solve_kink(self, units: Ints, kink: Kink) -> None:
        """Solve the households whose gains pass a convex kink at the rates between its two."""
        below, above = (np.array(list_pairs(self.year)[side]) for side in (kink.below, kink.above))
        is_convex = (below <= above).all(axis=0) & (below < above).any(axis=0)
        passed = kink.measure(self.year, *self.seen[kink.below]) > 0
        passed &= kink.measure(self.year, *self.seen[kink.above]) < 0
        units = units[(is_convex & passed)[units]]
        if not len(units):
            return
        below, above = below[:, units], above[:, units]

        def ask(chosen: Ints, weight: Floats) -> _Answer:
            rates = below[:, chosen] + weight * (above - below)[:, chosen]
            return self.ask(units[chosen], *rates, is_relaxed=True)

        low, high = self.close_in_on(units, kink, ask)
        for end in (low, high):
            self.keep(self.ask(units, *(below + end.price * (above - below))))
        if self.relaxed is None:
            gap = low.excess - high.excess
            share = np.divide(-high.excess, gap, out=np.zeros_like(gap), where=gap > 0)
            self.keep_mixed(units, low, high, share, below + high.price * (above - below))

    def close_in_on(self, units: Ints, kink: Kink, ask: _AskRates) -> tuple[End, End]:
        """Return the nearest plans on both sides of a kink, by weight of its upper rates."""
        part, _ = select_households(self.problem, units)
        value, year = self.value[units], self.year.take(units)

        def measure(chosen: Ints, weight: Floats) -> Answer:
            found = ask(chosen, weight)
            gains = measure_year(found.part, year.take(chosen), found.plan.sold)
            excess = kink.measure(year.take(chosen), *gains) / value[chosen]
            gap = weigh_plan(found.part, found.plan) - found.plan.bound
            gap = sum_accounts(found.part, gap) / value[chosen]
            return Answer(weight, excess, gap, found.plan, select_households(part, chosen)[1])

        everyone = np.arange(len(units))
        ends = []
        for weight in (np.zeros(len(units)), np.ones(len(units))):
            found = measure(everyone, weight)
            ends.append(End(weight, found.excess, found.gap, found.plan))
        width = WIDTH if self.relaxed is None else WIDTH_WHOLE
        close_in(measure, *ends, width=width, excess_max=np.full(len(units), ON_KINK))
        return ends[0], ends[1]

    def keep_mixed(self, units: Ints, low: End, high: End, share: Floats, rates: Floats) -> None:
        """Keep what lies between both ends, exactly on the kink, where that is better."""
        part, selection = select_households(self.problem, units)
        plan = mix_plans(part, low.plan, high.plan, share[selection.unit])
        limits = self.limits.take(units, selection.accounts)
        report = report_limits(
            part, limits, plan, self.gain_price[units], self.turnover_price[selection.accounts]
        )
        plan.bound[:] = -np.inf
        self.keep(_Answer(units, part, selection, plan, report, rates[0], rates[1]))

    def ask(
        self, units: Ints, short_rate: Floats, long_rate: Floats, *, is_relaxed: bool = False
    ) -> _Answer:
        """Return the households' best plan at marginal rates."""
        part, selection = select_households(self.problem, units)
        self.solves[units] += 1
        solve = self.relaxed if is_relaxed and self.relaxed is not None else self.solve
        plan, report = solve_within(
            part,
            self.limits.take(units, selection.accounts),
            solve,
            tau=price_segments(part, short_rate, long_rate),
            is_divisible=is_relaxed or self.relaxed is None,
        )
        return _Answer(units, part, selection, plan, report, short_rate, long_rate)

    def keep(self, answer: _Answer) -> None:
        """Keep the plan of every household that it makes better off under the true tax."""
        self.prove(answer)
        units, selection = answer.units, answer.selection
        year = self.year.take(units)
        after = measure_year(answer.part, year, answer.plan.sold)
        change = tax_of(year, *after) - tax_of(year, year.short, year.long)
        objective = sum_accounts(answer.part, answer.plan.cost) + change
        missed = answer.limits.budget_exceeded_by / self.value[units]
        missed += sum_accounts(answer.part, answer.limits.turnover_exceeded_by)
        known = self.missed[units]
        is_better = missed < known - NEARER
        is_better |= (missed <= known + NEARER) & (objective < self.objective[units])
        kept = units[is_better]
        self.best.put(answer.plan, selection, is_better)
        self.objective[kept], self.missed[kept] = objective[is_better], missed[is_better]
        self.rates[0, kept] = answer.short_rate[is_better]
        self.rates[1, kept] = answer.long_rate[is_better]
        self.gain_price[kept] = answer.limits.gain_price[is_better]
        accounts = is_better[selection.unit]
        places = selection.accounts[accounts]
        self.turnover_price[places] = answer.limits.turnover_price[accounts]

    def prove(self, answer: _Answer) -> None:
        """Raise the bounds of the households for which an answer proves more than was known."""
        units, unit = answer.units, answer.selection.unit
        year, short, long = self.year.take(units), answer.short_rate, answer.long_rate
        above = find_lowest(year, self.reach.take(units), short, long)
        above += short * year.short + long * year.long - tax_of(year, year.short, year.long)
        share = answer.part.value / self.value[units][unit]
        by_account = answer.plan.bound + above[unit] * share
        bound = sum_accounts(answer.part, by_account)
        is_higher = bound > self.bound[units]
        self.bound[units[is_higher]] = bound[is_higher]
        accounts = is_higher[unit]
        self.account_bound[answer.selection.accounts[accounts]] = by_account[accounts]

    def finish(self) -> tuple[Solution, NettingReport]:
        """Return the best plans as a Solution, and the report."""
        problem, best = self.problem, self.best
        short, long = measure_year(problem, self.year, best.sold)
        change = tax_of(self.year, short, long)
        change -= tax_of(self.year, self.year.short, self.year.long)
        price = price_segments(problem, *self.rates) + problem.waiting
        by_account = best.cost + sum_segments(problem, price * best.sold)
        rest = self.objective - sum_accounts(problem, by_account)
        household = label_rows(problem.household_offsets)
        by_account += rest[household] * problem.value / self.value[household]
        solution = Solution(
            trade=best.trade,
            steps=best.steps,
            is_exit=best.is_exit,
            cash=best.cash,
            objective=by_account,
            bound=self.account_bound,
            multiplier=best.multiplier,
        )
        report = NettingReport(
            objective=self.objective,
            bound=self.bound,
            tax_change=change,
            short=short,
            long=long,
            short_rate=self.rates[0],
            long_rate=self.rates[1],
            solves=self.solves,
            sold=best.sold,
            limits=report_limits(problem, self.limits, best, self.gain_price, self.turnover_price),
        )
        return solution, report
