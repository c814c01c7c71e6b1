"""Peers for convex accounts, as well put to them as we can: Clarabel by itself, and cvxpy.

Both see the account divided by its value, costs in basis points, sparse matrices. What building
those matrices takes is kept apart from what the solver takes.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import clarabel
import cvxpy
import numpy as np
from scipy import sparse

from rebalancer.engine.problem import Problem

BPS = 1e4
TIGHT = 1e-11


@dataclass(frozen=True)
class Row:
    """One account in shares of its value: columns by position, and by lot with its position."""

    value: float
    held: np.ndarray
    target: np.ndarray
    penalty: np.ndarray  # [positions], or a matrix over them
    buy_cost: np.ndarray
    sell_cost: np.ndarray
    buy_max: np.ndarray
    amount: np.ndarray
    price: np.ndarray  # of selling a lot: tax and cost
    owner: np.ndarray
    cash: float
    cash_min: float
    cash_target: float
    cash_penalty: float


def take_account(problem: Problem, account: int, matrix: np.ndarray | None = None) -> Row:
    """Return one account as the peers see it; `matrix` replaces the penalties by position."""
    positions = slice(*problem.position_offsets[account : account + 2])
    counts = np.diff(problem.segment_offsets)[positions]
    first = problem.segment_offsets[problem.position_offsets[account]]
    lots = slice(first, first + counts.sum())
    owner = np.repeat(np.arange(len(counts)), counts)
    value = float(problem.value[account])
    sell_cost = problem.sell_cost[positions]
    return Row(
        value=value,
        held=problem.held[positions] / value,
        target=problem.target[positions] / value,
        penalty=problem.penalty[positions] if matrix is None else matrix,
        buy_cost=problem.buy_cost[positions],
        sell_cost=sell_cost,
        buy_max=np.minimum(problem.buy_max[positions] / value, 10.0),
        amount=problem.amount[lots] / value,
        price=problem.tau()[lots] + sell_cost[owner],
        owner=owner,
        cash=float(problem.cash[account]) / value,
        cash_min=float(problem.cash_min[account]) / value,
        cash_target=float(problem.cash_target[account]) / value,
        cash_penalty=float(problem.cash_penalty[account]),
    )


# --- Clarabel ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Timed:
    """A peer's optimum in money, and the processor seconds of building and of solving."""

    objective: float
    building: float
    solving: float


def solve_by_clarabel(row: Row, *, tolerance: float | None = None) -> Timed:
    """Return the optimum of one account; `tolerance` None: the solver's own, 1e-8."""
    start = time.process_time()
    cone = _build_cone(row)
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    if tolerance is not None:
        for name in ("tol_gap_abs", "tol_gap_rel", "tol_feas"):
            setattr(settings, name, tolerance)
    built = time.process_time()
    solution = clarabel.DefaultSolver(*cone, settings).solve()
    solved = time.process_time()
    assert str(solution.status) in ("Solved", "AlmostSolved", "InsufficientProgress")
    objective = row.value * (solution.obj_val / BPS + row.cash_penalty * row.cash_target**2 / 2)
    return Timed(objective, built - start, solved - built)


def _build_cone(row: Row) -> tuple[object, ...]:
    """Return P, q, A, b and the cones; columns: off target, bought, sold by lot, cash."""
    n, m = len(row.held), len(row.owner)
    width = 2 * n + m + 1
    selling = sparse.csc_matrix((np.ones(m), (row.owner, np.arange(m))), (n, m))
    drift = row.penalty if row.penalty.ndim == 2 else np.diag(row.penalty)
    quadratic = sparse.block_diag(
        [np.triu(drift), sparse.csc_matrix((n + m, n + m)), [[row.cash_penalty]]], "csc"
    )
    price = np.concatenate(
        [np.zeros(n), row.buy_cost, row.price, [-row.cash_penalty * row.cash_target]]
    )
    trades = sparse.hstack([sparse.eye(n), -sparse.eye(n), selling, sparse.csc_matrix((n, 1))])
    flow = np.concatenate([np.zeros(n), 1 + row.buy_cost, -(1 - row.sell_cost[row.owner]), [1.0]])
    below = -sparse.eye(width, format="csr")[n:]
    above = sparse.eye(width, format="csr")[n : 2 * n + m]
    rows = sparse.vstack([trades, flow[None, :], below, above], "csc")
    right = np.concatenate(
        [
            row.held - row.target,
            [row.cash],
            np.zeros(n + m),
            [-row.cash_min],
            row.buy_max,
            row.amount,
        ]
    )
    cones = [
        clarabel.ZeroConeT(n + 1),
        clarabel.NonnegativeConeT(len(right) - n - 1),
    ]
    return quadratic * BPS, price * BPS, rows, right, cones


# --- cvxpy ---------------------------------------------------------------------------------------


def solve_by_cvxpy(row: Row) -> float:
    """Return the optimum of one account, in money, stated anew: what a script does."""
    problem = _state(_list_data(row), row.owner)
    problem.solve(solver=cvxpy.CLARABEL)
    return float(problem.value) * row.value / BPS


class Stated:
    """An account stated once with parameters, then set to others: cvxpy at its fastest."""

    def __init__(self, positions: int, lots: int) -> None:
        self.lots = lots
        shapes = dict.fromkeys(("price", "proceeds", "amount"), (positions * lots,))
        shapes |= dict.fromkeys(("root", "off", "buy_cost", "buy_max"), (positions,))
        shapes |= dict.fromkeys(("cash_root", "cash_off", "cash", "cash_min"), ())
        self.parameters = {name: cvxpy.Parameter(shape) for name, shape in shapes.items()}
        self.problem = _state(self.parameters, np.repeat(np.arange(positions), lots))

    def solve(self, row: Row) -> float:
        """Return the optimum of an account with at most so many lots, in money."""
        for name, number in _list_data(self._fill_up(row)).items():
            self.parameters[name].value = number
        self.problem.solve(solver=cvxpy.CLARABEL)
        return float(self.problem.value) * row.value / BPS

    def _fill_up(self, row: Row) -> Row:
        """Return the row with empty lots, so that every position has equally many."""
        owner = np.repeat(np.arange(len(row.held)), self.lots)
        first = np.searchsorted(row.owner, row.owner)
        place = row.owner * self.lots + np.arange(len(row.owner)) - first
        amount, price = np.zeros(len(owner)), row.sell_cost[owner]
        amount[place], price[place] = row.amount, row.price
        return replace(row, owner=owner, amount=amount, price=price)


def _list_data(row: Row) -> dict[str, Any]:
    root, cash_root = np.sqrt(BPS * row.penalty / 2), np.sqrt(BPS * row.cash_penalty / 2)
    return {
        "root": root,
        "off": root * (row.held - row.target),
        "cash_root": cash_root,
        "cash_off": cash_root * row.cash_target,
        "buy_cost": row.buy_cost,
        "buy_max": row.buy_max,
        "price": row.price,
        "proceeds": 1 - row.sell_cost[row.owner],
        "amount": row.amount,
        "cash": row.cash,
        "cash_min": row.cash_min,
    }


def _state(data: Mapping[str, Any], owner: np.ndarray) -> cvxpy.Problem:
    n, m = data["root"].shape[0], len(owner)
    bought, sold, cash = cvxpy.Variable(n), cvxpy.Variable(m), cvxpy.Variable()
    selling = sparse.csc_matrix((np.ones(m), (owner, np.arange(m))), (n, m))
    off = cvxpy.multiply(data["root"], bought - selling @ sold) + data["off"]
    idle = data["cash_root"] * cash - data["cash_off"]
    cost = data["buy_cost"] @ bought + data["price"] @ sold
    paid = cvxpy.sum(bought) + data["buy_cost"] @ bought - data["proceeds"] @ sold
    limits = [bought >= 0, bought <= data["buy_max"], sold >= 0, sold <= data["amount"]]
    return cvxpy.Problem(
        cvxpy.Minimize(cvxpy.sum_squares(off) + cvxpy.square(idle) + BPS * cost),
        [*limits, cash >= data["cash_min"], paid + cash == data["cash"]],
    )
