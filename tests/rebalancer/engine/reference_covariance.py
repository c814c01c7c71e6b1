"""Slow, independent answers where drift is measured by a full covariance: Clarabel and SCIP."""

from dataclasses import replace

import clarabel
import numpy as np
from pyscipopt import quicksum
from scipy import sparse

from rebalancer.engine.problem import Problem
from tests.rebalancer.engine.reference_measure import (
    measure_untaxed,
    positions_of,
    pour,
    segments_of,
)
from tests.rebalancer.engine.reference_scip import BPS, Formulation


def draw_matrices(seed: int, problem: Problem, *, factors: int = 3) -> list[np.ndarray]:
    """Return a drift matrix for every account: risk aversion 4, half a year, a few factors."""
    rng = np.random.default_rng(seed)
    matrices = []
    for count in np.diff(problem.position_offsets):
        loads = rng.normal(0, 1, (count, factors)) * np.array([0.12, 0.05, 0.03][:factors])
        loads[:, 0] += 0.1
        own = np.diag(rng.uniform(0.02, 0.1, count) ** 2)
        matrices.append(4 * 0.5 * (loads @ loads.T + own))
    return matrices


def measure_with_covariance(problem: Problem, account: int, matrix, trade, tau=None) -> float:
    """Return the objective of given trades of one account, in money."""
    tau = problem.tau() if tau is None else tau
    rows = list(positions_of(problem, account))
    e = problem.held[rows] + trade[rows] - problem.target[rows]
    drift = e @ matrix @ e / 2 / problem.value[account]
    plain = ignore_diagonal(problem)
    sold = pour(problem, trade, tau, account)
    return float(drift + measure_untaxed(plain, account, trade) + sold @ tau)


def ignore_diagonal(problem: Problem) -> Problem:
    return replace(
        problem,
        penalty=np.zeros_like(problem.penalty),
        group_penalty=np.zeros_like(problem.group_penalty),
    )


def relax_with_clarabel(problem: Problem, account: int, matrix) -> float:
    """Return the optimum, in money, with fractions of shares and without tickets.

    Selling and buying one security at once is allowed: no plan costs less than this.
    """
    value, rows = problem.value[account], np.array(positions_of(problem, account))
    parts = np.array([s for i in rows for s in segments_of(problem, i)], dtype=int)
    owner = np.array([k for k, i in enumerate(rows) for _ in segments_of(problem, i)], dtype=int)
    n, m = len(rows), len(parts)
    # Columns: off target, bought, sold by segment, cash, impact.
    e, b, s, c, x = (np.arange(*span) for span in ((0, n), (n, 2 * n), (2 * n, 2 * n + m),
                     (2 * n + m, 2 * n + m + 1), (2 * n + m + 1, 3 * n + m + 1)))  # fmt: skip
    unit, penalty = np.eye(3 * n + m + 1), problem.cash_penalty[account]
    bent = np.flatnonzero(problem.impact[rows] > 0)
    sold = np.zeros((n, len(unit)))
    sold[owner, s] = 1
    quadratic = np.zeros_like(unit)
    quadratic[:n, :n] = matrix
    quadratic[c, c] = penalty
    price = np.zeros(len(unit))
    price[b] = problem.buy_cost[rows]
    price[s] = problem.tau()[parts] + problem.sell_cost[rows][owner]
    price[c] = -penalty * problem.cash_target[account] / value
    price[x[bent]] = (problem.impact[rows] * np.sqrt(value))[bent]
    cash = unit[c] + (1 + problem.buy_cost[rows]) @ unit[b]
    cash = cash - (1 - problem.sell_cost[rows][owner]) @ unit[s]
    limited = np.isfinite(problem.buy_max[rows])
    zero = [unit[e] - unit[b] + sold, cash, unit[np.setdiff1d(x, x[bent])]]
    less = [-unit[b], -unit[s], unit[s], unit[b][limited], -unit[c]]
    right = [
        (problem.held - problem.target)[rows] / value,
        [problem.cash[account] / value],
        np.zeros(n - len(bent)),
        np.zeros(n + m),
        problem.amount[parts] / value,
        problem.buy_max[rows][limited] / value,
        [-problem.cash_min[account] / value],
    ]
    cones = [
        clarabel.ZeroConeT(sum(map(len, zero))),
        clarabel.NonnegativeConeT(sum(map(len, less))),
    ]
    for k in bent:  # impact^(2/3) * 1^(1/3) >= |trade|
        less.append(np.stack([-unit[x[k]], 0 * unit[0], -(unit[b[k]] - sold[k])]))
        right.append([0.0, 1.0, 0.0])
        cones.append(clarabel.PowerConeT(2 / 3))
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-12
    solution = clarabel.DefaultSolver(
        sparse.csc_matrix(np.triu(quadratic)) * BPS,
        price * BPS,
        sparse.csc_matrix(np.vstack(zero + less)),
        np.concatenate(right),
        cones,
        settings,
    ).solve()
    assert str(solution.status) in ("Solved", "AlmostSolved", "InsufficientProgress")
    target = problem.cash_target[account] / value
    return float(value * (solution.obj_val / BPS + penalty * target**2 / 2))


class Correlated(Formulation):
    """One account in full for SCIP: steps, smallest trades and tickets; drift by covariance."""

    def __init__(self, problem: Problem, account: int, matrix, effort) -> None:
        super().__init__(ignore_diagonal(problem), [account], problem.tau(), effort)
        off = []
        for i in positions_of(problem, account):
            trade = self.bought[i] - quicksum(self.sold[s] for s in segments_of(problem, i))
            off.append((problem.held[i] - problem.target[i]) / self.scale + trade)
        weights, axes = np.linalg.eigh(matrix)
        for weight, axis in zip(weights, axes.T, strict=True):
            along = quicksum(float(a) * e for a, e in zip(axis, off, strict=True))
            self.add_square(float(max(weight, 0.0)), along)
        self.price_segments(self.tau)


def solve_covariance_with_scip(problem: Problem, account: int, matrix, *, seconds=20.0):
    """Return (trades, objective, lower bound) of the discrete optimum, money; or None."""
    for tolerance in (1e-8, 1e-7):
        model = Correlated(problem, account, matrix, (seconds, tolerance))
        if model.solve():
            trade, _sold = model.read()
            bound = model.model.getDualbound() / BPS * model.scale
            return trade, measure_with_covariance(problem, account, matrix, trade), bound
    return None
