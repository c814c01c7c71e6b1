"""Solves the accounts of one household together: relaxation, branches, whole trades, a bound.

Clarabel solves the convex relaxation; its prices give a lower bound (`coupled/bound`) that already
counts whole steps, tickets and the choice that each wash window leaves. The relaxed plan is
rounded, repaired and improved (`coupled/improve`). Where the bound is not met, the window whose
two sides are both wanted is branched on, best bound first.
"""

import heapq
from dataclasses import dataclass

import numpy as np

from rebalancer.engine.columns import Bools, Floats, Ints
from rebalancer.engine.coupled.bound import (
    KEPT,
    OPEN,
    UNBOUGHT,
    Bound,
    bound_household,
    build_windows,
)
from rebalancer.engine.coupled.improve import Improver, Offer
from rebalancer.engine.coupled.relaxation import Relaxation, Relaxed
from rebalancer.engine.coupled.tables import Tables, build_tables, price_gains
from rebalancer.engine.coupled.terms import (
    FEASIBLE,
    INFEASIBLE,
    OPTIMAL,
    UNROUNDED,
    CoupledSolution,
    Coupling,
    add_up,
    measure_household,
    no_coupling,
)
from rebalancer.engine.problem import Problem, Solution, measure_cash

__all__ = ["CoupledSolution", "Coupling", "measure_household", "no_coupling", "solve_coupled"]

BRANCHES_MAX = 12
FAILURES_MAX = 3  # trials in a row that found no better sides
GAP_MAX = 1e-6  # of the household's value: 0.01 basis points
WANTED = 1e-6  # share of the household's value below which a relaxed trade is none


@dataclass(frozen=True)
class _Branch:
    """Windows decided so far, a bound on every plan that decides them so, and what comes next."""

    sides: Ints
    value: float
    chosen: Ints  # the best sides known of all windows, within `sides`
    window: int  # whose other side is wanted most; -1: none's

    def __lt__(self, other: "_Branch") -> bool:
        return self.value < other.value


def solve_coupled(
    problem: Problem,
    coupling: Coupling,
    *,
    start: Solution | None = None,
    branches_max: int = BRANCHES_MAX,
    gap_max: float = GAP_MAX,
) -> CoupledSolution:
    """Return the best plan found for one household, and a bound that no plan beats.

    Never worse than doing nothing or than `start`, where those are allowed. `gap_max` is the
    distance from the bound, as a share of the household's value, at which the search ends.

    :raises ValueError: when the Problem holds another number of households than one, or a loss
        lies in two wash windows.
    """
    search = _Search(problem, coupling, gap_max)
    search.offer_trade(np.zeros(len(problem.held)))
    if start is not None:
        search.offer_trade(start.trade)
    bound = search.run(branches_max)
    return _build_solution(problem, coupling, search, bound)


class _Search:
    """The branches of one household and the best plan among them."""

    def __init__(self, problem: Problem, coupling: Coupling, gap_max: float) -> None:
        self._tables = build_tables(problem, coupling)
        self._windows = build_windows(self._tables)
        self._relaxation = Relaxation(self._tables)
        self._improver = Improver(self._tables, problem.security)
        self._money = float(problem.value.sum())
        self._gap = gap_max * self._money
        self._known: dict[bytes, tuple[Relaxed, Bound]] = {}
        self._branches_max = 0
        self.branches = 0
        self.best: Offer | None = None

    def offer_trade(self, trade: Floats) -> None:
        """Take a plan of someone else's as it is, where it meets every limit."""
        sides = np.full(self._windows.size, UNBOUGHT)
        bought = trade[self._tables.window_position] > 0
        owner = np.repeat(np.arange(self._windows.size), np.diff(self._tables.window_offsets))
        sides[owner[bought]] = KEPT
        self._keep(self._improver.take(self._restrict(sides), trade))

    def run(self, branches_max: int) -> float:
        """Search until the bound is met or the branches are used up; return the bound."""
        self._branches_max = branches_max
        sides = np.full(self._windows.size, OPEN)
        root = self._price(sides)
        if root is None:
            return np.inf
        heap, closed = [self._explore(sides, -np.inf, self._choose_sides(*root))], np.inf
        while heap and heap[0].value < min(self._target(), closed):
            branch = heapq.heappop(heap)
            if branch.window < 0 or self.branches >= branches_max:
                closed = min(closed, branch.value)
                continue
            for side in (KEPT, UNBOUGHT):
                decided, chosen = branch.sides.copy(), branch.chosen.copy()
                decided[branch.window] = chosen[branch.window] = side
                heapq.heappush(heap, self._explore(decided, branch.value, chosen))
        bound = min(closed, heap[0].value if heap else np.inf)
        if self.best is not None and bound < self._target():
            self._keep(self._improver.finish(self.best, bound + self._gap))
        return min(bound, self._objective())

    def _explore(self, sides: Ints, value: float, chosen: Ints) -> _Branch:
        """Look for the best sides of the open windows, and round the plan that has them.

        The prices of a decided household say which windows should be decided otherwise; when none
        should, they prove it: the open bound at these prices is what the decided household costs.
        Flipping all at once may overshoot, so after a failure only the most wanted half is.
        """
        value = max([value, *(bound.count(sides) for _, bound in self._known.values())])
        best, failures = np.inf, 0
        best_chosen, wanted, relaxed = chosen, np.zeros(len(chosen)), None
        while failures < FAILURES_MAX and value < self._target():
            priced = self._price(chosen)
            failures += 1
            if priced is not None:
                trial, bound = priced
                value = max(value, bound.count(sides))
                if bound.count(chosen) < best:
                    best, failures = bound.count(chosen), 0
                    best_chosen, relaxed = chosen, trial
                    wanted = np.where(sides == OPEN, bound.measure_savings(chosen), 0.0)
            if wanted.sum() <= self._gap / 2 or self.branches >= self._branches_max:
                break
            chosen = _flip(best_chosen, wanted, failures)
        if relaxed is not None and best < self._target():
            self._round(best_chosen, relaxed)
        window = int(wanted.argmax()) if wanted.sum() > self._gap / 2 else -1
        return _Branch(sides, value, best_chosen, window)

    def _objective(self) -> float:
        return np.inf if self.best is None else self.best.objective

    def _target(self) -> float:
        return self._objective() - self._gap

    def _keep(self, offer: Offer | None) -> None:
        if offer is not None and offer.objective < self._objective():
            self.best = offer

    def _restrict(self, sides: Ints) -> Tables:
        """Return the tables with what the chosen sides forbid taken out."""
        no_buy, no_sale = self._forbid(sides)
        slices = self._tables.slices
        return self._tables._replace(
            buy_max=np.where(no_buy, 0.0, self._tables.buy_max),
            slices=slices._replace(amount=np.where(no_sale, 0.0, slices.amount)),
        )

    def _forbid(self, sides: Ints) -> tuple[Bools, Bools]:
        """Return which positions may not be bought and which slices may not be sold."""
        tables = self._tables
        no_buy = np.zeros(len(tables.held), dtype=bool)
        owner = np.repeat(np.arange(len(sides)), np.diff(tables.window_offsets))
        no_buy[tables.window_position[sides[owner] == UNBOUGHT]] = True
        side = np.append(sides, OPEN)[tables.slices.window]  # -1: the one appended
        return no_buy, side == KEPT

    def _price(self, sides: Ints) -> tuple[Relaxed, Bound] | None:
        """Solve the relaxation with these sides, once; None where it has no plan."""
        key = sides.tobytes()
        if key not in self._known:
            relaxed = self._relaxation.solve(*self._forbid(sides))
            self.branches += 1
            if not relaxed.is_feasible:
                return None
            self._known[key] = relaxed, bound_household(self._tables, self._windows, relaxed)
        return self._known[key]

    def _measure_wishes(self, relaxed: Relaxed) -> tuple[Floats, Floats]:
        """Return by window the losses that the relaxation sells and what it buys."""
        tables, count = self._tables, self._windows.size
        at_loss = tables.slices.window >= 0
        sold = add_up(tables.slices.window[at_loss], relaxed.sold[at_loss], count)
        owner = np.repeat(np.arange(count), np.diff(tables.window_offsets))
        return sold, add_up(owner, relaxed.bought[tables.window_position], count)

    def _choose_sides(self, relaxed: Relaxed, bound: Bound) -> Ints:
        """Return a side for every window: the one wanted, or the cheaper where both are."""
        sold, bought = self._measure_wishes(relaxed)
        floor = WANTED * self._money
        sides = np.where(bound.sides[:, 1] < bound.sides[:, 0], UNBOUGHT, KEPT)
        sides = np.where((sold > floor) & (bought <= floor), UNBOUGHT, sides)
        return np.where((bought > floor) & (sold <= floor), KEPT, sides)

    def _round(self, sides: Ints, relaxed: Relaxed) -> None:
        tables = self._restrict(sides)
        if relaxed.gain_price > 0:
            tables = price_gains(tables, relaxed.gain_price)
        owner = np.repeat(np.arange(len(tables.held)), np.diff(tables.slices.offsets))
        wish = relaxed.bought - add_up(owner, relaxed.sold, len(tables.held))
        self._keep(self._improver.improve(tables, wish))


def _flip(chosen: Ints, wanted: Floats, failures: int) -> Ints:
    """Return the sides with the most wanted windows flipped: fewer after each failure."""
    count = int(np.ceil((wanted > 0).sum() / 2**failures))
    flipped = chosen.copy()
    windows = np.argsort(-wanted, kind="stable")[:count]
    flipped[windows] = KEPT + UNBOUGHT - chosen[windows]
    return flipped


def _build_solution(
    problem: Problem, coupling: Coupling, search: _Search, bound: float
) -> CoupledSolution:
    """Return the best plan as trades and steps, its objective measured afresh."""
    offer = search.best
    if offer is None:
        nothing = np.zeros(len(problem.held))
        return CoupledSolution(
            trade=nothing,
            steps=nothing.astype(np.int64),
            is_exit=nothing.astype(bool),
            sold=np.zeros(len(problem.amount)),
            cash=problem.cash.copy(),
            objective=np.inf,
            bound=bound,
            branches=search.branches,
            status=INFEASIBLE if np.isinf(bound) else UNROUNDED,
        )
    trade = offer.trade
    is_exit = (trade < 0) & (trade == -problem.held)
    steps = np.where(is_exit, 0, np.round(trade / problem.step)).astype(np.int64)
    sold = offer.split(problem)
    objective = measure_household(problem, coupling, trade, sold)
    bound = min(bound, objective)
    gap = GAP_MAX * float(problem.value.sum())
    return CoupledSolution(
        trade=trade,
        steps=steps,
        is_exit=is_exit,
        sold=sold,
        cash=measure_cash(problem, trade),
        objective=objective,
        bound=bound,
        branches=search.branches,
        status=OPTIMAL if objective - bound <= gap else FEASIBLE,
    )
