"""The convex part of a Problem by Clarabel: fractions of shares, no smallest trades, no tickets.

The solver sees money divided by the accounts' value and costs in basis points of it.
"""

from dataclasses import dataclass, replace

import clarabel
import numpy as np
from scipy import sparse

from rebalancer.engine.problem import Problem
from tests.rebalancer.engine.reference_measure import (
    Answer,
    list_accounts,
    measure_untaxed,
    positions_of,
    segments_of,
)

BPS = 1e4


@dataclass(frozen=True)
class Columns:
    """Where each variable stands among the convex solver's columns."""

    positions: list[int]
    segments: list[int]
    accounts: list[int]
    has_size: bool

    @property
    def count(self) -> int:
        sizes = len(self.positions) * self.has_size
        return len(self.positions) + len(self.segments) + len(self.accounts) + sizes

    def buy(self, position: int) -> int:
        return self.positions.index(position)

    def sell(self, segment: int) -> int:
        return len(self.positions) + self.segments.index(segment)

    def cash(self, account: int) -> int:
        return len(self.positions) + len(self.segments) + self.accounts.index(account)

    def impact(self, position: int) -> int:
        return self.count - len(self.positions) + self.buy(position)

    def trade_row(self, problem: Problem, position: int) -> np.ndarray:
        row = np.zeros(self.count)
        row[self.buy(position)] = 1
        for segment in segments_of(problem, position):
            row[self.sell(segment)] = -1
        return row


def list_squares(problem: Problem, columns: Columns, scale: float):
    """Yield (weight, row, constant) of every term weight / 2 (row x + constant)^2."""
    for account in columns.accounts:
        factor = scale / problem.value[account]
        groups: dict[int, tuple[np.ndarray, float]] = {}
        for i in positions_of(problem, account):
            row = columns.trade_row(problem, i)
            yield problem.penalty[i] * factor, row, (problem.held[i] - problem.target[i]) / scale
            old, held = groups.get(int(problem.group[i]), (np.zeros(columns.count), 0.0))
            groups[int(problem.group[i])] = old + row, held + problem.held[i]
        for group in range(*problem.group_offsets[account : account + 2]):
            row, held = groups.get(group, (np.zeros(columns.count), 0.0))
            miss = (held - problem.group_target[group]) / scale
            yield problem.group_penalty[group] * factor, row, miss
        row = np.zeros(columns.count)
        row[columns.cash(account)] = 1
        yield problem.cash_penalty[account] * factor, row, -problem.cash_target[account] / scale


def build_rows(problem: Problem, columns: Columns, scale: float, sides: dict[int, int]):
    """Return equalities (cash) and inequalities (bounds) as lists of (row, right-hand side)."""
    equal, less = [], []
    unit = np.eye(columns.count)
    for account in columns.accounts:
        row = unit[columns.cash(account)].copy()
        less.append((-row, -problem.cash_min[account] / scale))
        for i in positions_of(problem, account):
            row[columns.buy(i)] = 1 + problem.buy_cost[i]
            most = problem.buy_max[i] / scale if sides.get(i, 1) > 0 else 0.0
            less.append((-unit[columns.buy(i)], 0.0))
            less.append((unit[columns.buy(i)], min(most, 1e3)))
            for segment in segments_of(problem, i):
                row[columns.sell(segment)] = -(1 - problem.sell_cost[i])
                most = problem.amount[segment] / scale if sides.get(i, -1) < 0 else 0.0
                less.append((-unit[columns.sell(segment)], 0.0))
                less.append((unit[columns.sell(segment)], most))
        equal.append((row, problem.cash[account] / scale))
    return equal, less


def price_columns(problem: Problem, columns: Columns, scale: float, tau) -> np.ndarray:
    price = np.zeros(columns.count)
    for i in columns.positions:
        price[columns.buy(i)] = problem.buy_cost[i]
        for segment in segments_of(problem, i):
            price[columns.sell(segment)] = problem.sell_cost[i] + tau[segment]
        if columns.has_size:
            price[columns.impact(i)] = problem.impact[i] * scale**0.5
    return price


def limit_rows(problem: Problem, columns: Columns, scale, gains_limit, turnover_limits):
    """Yield the rows of a limit on the gains of the plan (money) and on each account's turnover."""
    if gains_limit is not None and np.isfinite(gains_limit):
        row = np.zeros(columns.count)
        for segment in columns.segments:
            row[columns.sell(segment)] = problem.gain[segment]
        yield row, gains_limit / scale
    for account, limit in zip(columns.accounts, turnover_limits or (), strict=False):
        if np.isfinite(limit):
            row = np.zeros(columns.count)
            for i in positions_of(problem, account):
                row += np.abs(columns.trade_row(problem, i))
            yield row, limit * problem.value[account] / scale


def solve_cone(problem: Problem, columns: Columns, scale, tau, sides, limits):
    """Return Clarabel's columns for fixed sides, or None where there is no feasible plan."""
    quadratic = np.zeros((columns.count, columns.count))
    price = price_columns(problem, columns, scale, tau)
    for weight, row, constant in list_squares(problem, columns, scale):
        quadratic += weight * np.outer(row, row)
        price += weight * constant * row
    equal, less = build_rows(problem, columns, scale, sides)
    less += list(limit_rows(problem, columns, scale, *limits))
    cones = [clarabel.ZeroConeT(len(equal)), clarabel.NonnegativeConeT(len(less))]
    rows = [row for row, _ in equal + less]
    right = [value for _, value in equal + less]
    if columns.has_size:
        for i in columns.positions:
            # impact^(2/3) * 1^(1/3) >= |trade|
            impact = np.zeros(columns.count)
            impact[columns.impact(i)] = -1
            rows += [impact, np.zeros(columns.count), -columns.trade_row(problem, i)]
            right += [0.0, 1.0, 0.0]
            cones.append(clarabel.PowerConeT(2 / 3))
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    for name in ("tol_gap_abs", "tol_gap_rel", "tol_feas", "tol_ktratio"):
        setattr(settings, name, 1e-11)
    settings.max_iter = 400
    solution = clarabel.DefaultSolver(
        sparse.csc_matrix(np.triu(quadratic)) * BPS,
        price * BPS,
        sparse.csc_matrix(np.array(rows)),
        np.array(right),
        cones,
        settings,
    ).solve()
    if "Infeasible" in str(solution.status):
        return None
    found = ("Solved", "AlmostSolved", "InsufficientProgress")
    assert str(solution.status) in found, solution.status
    return np.array(solution.x)


def unpack(problem: Problem, columns: Columns, scale: float, x: np.ndarray):
    """Return trades and sold segments, money; what is both bought and sold is netted."""
    trade, sold = np.zeros(len(problem.held)), np.zeros(len(problem.amount))
    for segment in columns.segments:
        sold[segment] = np.clip(x[columns.sell(segment)] * scale, 0, problem.amount[segment])
    both = []
    for i in columns.positions:
        bought = np.clip(x[columns.buy(i)] * scale, 0, problem.buy_max[i])
        rows = list(segments_of(problem, i))
        if min(bought, sold[rows].sum()) > 1e-8 * scale:
            both.append((min(bought, sold[rows].sum()), i))
        trade[i] = bought - sold[rows].sum()
    return trade, sold, [i for _, i in sorted(both, reverse=True)]


def solve_with_clarabel(
    problem: Problem, account, *, tau=None, gains_limit=None, turnover_limits=None
) -> Answer | None:
    """Return the optimum with fractions of shares: no steps, smallest trades or tickets.

    Several accounts share `gains_limit` (money, of this plan); `turnover_limits` are shares of
    each account's value. Where selling at a loss and buying back would pay, each of the two sides
    is tried. None: no plan keeps the limits.
    """
    accounts = list_accounts(account)
    tau = problem.tau() if tau is None else tau
    plain = ignore_indivisible(problem)
    positions = [i for a in accounts for i in positions_of(problem, a)]
    segments = [s for i in positions for s in segments_of(problem, i)]
    columns = Columns(positions, segments, accounts, bool(problem.impact[positions].any()))
    scale = float(problem.value[accounts].sum())
    best, open_sides = None, [{}]
    while open_sides:
        sides = open_sides.pop()
        x = solve_cone(plain, columns, scale, tau, sides, (gains_limit, turnover_limits))
        if x is None:
            continue
        trade, sold, both = unpack(plain, columns, scale, x)
        lowest = sum(measure_untaxed(plain, a, trade) for a in accounts) + sold @ tau
        for i in both:
            bought = x[columns.buy(i)] * scale
            lowest += (plain.buy_cost[i] + plain.sell_cost[i]) * bought
        if best is not None and lowest >= best.objective - 1e-12 * scale:
            continue
        if both:
            open_sides += [{**sides, both[0]: 1}, {**sides, both[0]: -1}]
            continue
        best = Answer(trade, sold, float(lowest), float(lowest))
    return best


def ignore_indivisible(problem: Problem) -> Problem:
    """Return the problem without tickets: what the convex relaxation sees."""
    return replace(
        problem,
        ticket_cash=np.zeros_like(problem.ticket_cash),
        ticket_price=np.zeros_like(problem.ticket_price),
    )
