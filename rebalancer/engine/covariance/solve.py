"""Trades of accounts whose drift is measured with a full covariance: exact, or in whole steps.

The problem is `problem.Problem`'s, with one change: the drift of an account is

    1 / (2 V) e' A e,   e = held + d - target,

over its positions, A its own symmetric positive semi-definite matrix (risk aversion times annual
covariance times horizon, see `risk.build_penalty_matrix`); `penalty` and the groups do not count.
"""

from collections.abc import Sequence

import numpy as np

from rebalancer.engine.columns import Floats, Ints
from rebalancer.engine.compiled import compiled
from rebalancer.engine.covariance.convex import (
    RIDGE,
    measure_bound,
    solve_continuous,
)
from rebalancer.engine.covariance.desk import (
    BUY_COST,
    BUY_MAX,
    CASH,
    CASH_MIN,
    SELL_COST,
    Desk,
    copy_into,
    refresh,
    sellable,
)
from rebalancer.engine.covariance.discrete import cash_after, measure
from rebalancer.engine.covariance.newton import (
    factor,
)
from rebalancer.engine.covariance.polish import solve_whole
from rebalancer.engine.covariance.sides import choose_sides
from rebalancer.engine.problem import Problem, Solution

# A matrix counts as positive semi-definite if so much (times its largest entry) repairs it.
TOLERANCE = 1e-9
# Entries on both sides of the diagonal may differ by so much, times the largest entry.
ASYMMETRY_MAX = 1e-9


def solve_covariance(
    problem: Problem,
    matrices: Sequence[Floats] | Floats,
    *,
    is_discrete: bool = True,
    tau: Floats | None = None,
) -> Solution:
    """Solve every account with its own drift matrix A (in position order; a list, or all flat).

    `tau` [segments] replaces the Problem's own price of selling. With `is_discrete` the trades are
    whole steps, or whole holdings, and keep the smallest trades; without it steps, smallest trades
    and tickets do not count. Where the cash floor cannot be reached, all that may be sold is sold,
    the cash tells by how much, and there is no bound.

    `bound` is a proved lower bound: the value of the continuous problem's dual at its solution,
    tickets included where `is_discrete`. Without tickets and loss lots worth a round trip it is the
    continuous optimum.

    :raises ValueError: for a matrix of the wrong size, not symmetric, not positive semi-definite or
        not finite (named by the account's place), or a `tau` of the wrong length.
    """
    counts = np.diff(problem.position_offsets)
    flat = _flatten(matrices, counts)
    offsets = np.concatenate([[0], np.cumsum(counts**2)])
    fault = int(_find_fault(flat, offsets, problem.position_offsets))
    if fault >= 0:
        raise ValueError(f"the drift matrix of account {fault} is not positive semi-definite")
    price = problem.tau() if tau is None else np.asarray(tau, float)
    if price.shape != problem.amount.shape:
        raise ValueError(f"{len(price)} prices of selling for {len(problem.amount)} segments")
    order = _waterfall(problem, price)
    trade = np.zeros(len(problem.held))
    answers = np.zeros((4, problem.account_count))
    _solve_all(
        _columns(problem, is_discrete=is_discrete),
        _money(problem, is_discrete=is_discrete),
        price[order],
        problem.amount[order],
        problem.segment_offsets,
        problem.position_offsets,
        flat,
        offsets,
        is_discrete,
        trade,
        answers,
    )
    is_exit = (
        (trade == -problem.held) & (problem.held > 0) if is_discrete else np.zeros(len(trade), bool)
    )
    steps = np.zeros(len(trade), np.int64)
    if is_discrete:
        steps[~is_exit] = np.round(trade[~is_exit] / problem.step[~is_exit]).astype(np.int64)
    cash, objective, bound, multiplier = answers
    return Solution(trade, steps, is_exit, cash, objective, bound, multiplier)


def _flatten(matrices: Sequence[Floats] | Floats, counts: Ints) -> Floats:
    """Return all matrices end to end, their form checked."""
    if isinstance(matrices, np.ndarray) and matrices.ndim == 1:
        flat = np.ascontiguousarray(matrices, float)
        if len(flat) != int((counts**2).sum()):
            raise ValueError(f"{len(flat)} entries for matrices of {int((counts**2).sum())}")
    else:
        if len(matrices) != len(counts):
            raise ValueError(f"{len(matrices)} drift matrices for {len(counts)} accounts")
        for account, (matrix, count) in enumerate(zip(matrices, counts, strict=True)):
            if np.shape(matrix) != (count, count):
                raise ValueError(
                    f"the drift matrix of account {account} is {np.shape(matrix)}, not {count} wide"
                )
        parts = [np.asarray(matrix, float).ravel() for matrix in matrices]
        flat = np.concatenate(parts) if parts else np.empty(0)
    if not np.isfinite(flat).all():
        ends = np.cumsum(counts**2)
        account = int(np.searchsorted(ends, np.flatnonzero(~np.isfinite(flat))[0], side="right"))
        raise ValueError(f"the drift matrix of account {account} has entries that are not numbers")
    return flat


def _waterfall(problem: Problem, tau: Floats) -> Ints:
    """Return the segments in position order, the cheapest to sell first, then by lot."""
    position = np.repeat(np.arange(len(problem.held)), np.diff(problem.segment_offsets))
    order: Ints = np.lexsort((problem.lot, tau, position))
    return order


def _columns(problem: Problem, *, is_discrete: bool) -> Floats:
    """Return the positions' numbers, one kind a row, in the order of `Desk.columns`."""
    none = np.zeros(len(problem.held))
    return np.vstack(
        [
            problem.target,
            problem.held,
            problem.buy_cost,
            problem.sell_cost,
            problem.impact,
            problem.buy_max,
            problem.step,
            problem.smallest if is_discrete else none,
            problem.ticket_cash if is_discrete else none,
        ]
    )


def _money(problem: Problem, *, is_discrete: bool) -> Floats:
    """Return the accounts' numbers, one account a row, in the order of `Desk.money`."""
    return np.column_stack(
        [
            problem.value,
            problem.cash,
            problem.cash_min,
            problem.cash_target,
            problem.cash_penalty,
            problem.ticket_price if is_discrete else np.zeros(problem.account_count),
        ]
    )


@compiled
def _find_fault(flat: Floats, offsets: Ints, position_offsets: Ints) -> int:
    """Return the first account whose matrix is not symmetric positive semi-definite, or -1."""
    for account in range(len(offsets) - 1):
        count = position_offsets[account + 1] - position_offsets[account]
        start = offsets[account]
        largest = 0.0
        for k in range(count * count):
            largest = max(largest, abs(flat[start + k]))
        lower = np.empty((count, count))
        for i in range(count):
            for j in range(count):
                lower[i, j] = flat[start + i * count + j]
                if abs(lower[i, j] - flat[start + j * count + i]) > ASYMMETRY_MAX * largest:
                    return account
            lower[i, i] += TOLERANCE * largest
        if largest > 0.0 and not factor(lower, count):
            return account
    return -1


@compiled
def _solve_all(
    columns: Floats,
    money: Floats,
    tau: Floats,
    amount: Floats,
    segment_offsets: Ints,
    position_offsets: Ints,
    flat: Floats,
    offsets: Ints,
    is_discrete: bool,  # noqa: FBT001 - compiled functions take no keywords
    trade: Floats,
    answers: Floats,
) -> None:
    """Solve the accounts one after the other; write trades, and cash, J, bound and mu."""
    for account in range(len(money)):
        start, end = position_offsets[account], position_offsets[account + 1]
        count = end - start
        matrix = flat[offsets[account] : offsets[account + 1]].copy().reshape((count, count))
        ridge = 0.0
        for i in range(count):
            ridge = max(ridge, RIDGE * max(matrix[i, i], 1e-6))
        for i in range(count):
            matrix[i, i] += ridge
        desk = Desk(
            columns[:, start:end].copy(),
            money[account],
            tau,
            amount,
            segment_offsets[start:end].copy(),
            segment_offsets[start + 1 : end + 1].copy(),
            matrix,
        )
        d, drift = trade[start:end], np.zeros(count)
        mu, bound = _solve_relaxed(desk, ridge, d, drift)
        if is_discrete:
            _solve_discrete(desk, mu, d, drift)
        elif np.isfinite(mu):
            mu = choose_sides(desk, mu, d, drift)
        for i in range(count):
            matrix[i, i] -= ridge
        answers[0, account] = cash_after(desk, d)
        answers[1, account] = measure(desk, d)
        answers[2, account] = bound
        answers[3, account] = mu


@compiled
def _solve_relaxed(desk: Desk, ridge: float, d: Floats, drift: Floats) -> tuple[float, float]:
    """Write the continuous trades to `d`; return the price of cash and the bound."""
    raised = desk.money[CASH] - desk.money[CASH_MIN]
    for i in range(len(d)):
        raised += sellable(desk, i) * (1.0 - desk.columns[SELL_COST, i])
    for i in range(len(d)):
        # No more can be bought than all the cash there can be; the bound needs a finite limit.
        affordable = max(raised, 0.0) / (1.0 + desk.columns[BUY_COST, i])
        desk.columns[BUY_MAX, i] = min(desk.columns[BUY_MAX, i], affordable)
    if raised < 0.0:
        for i in range(len(d)):
            d[i] = -sellable(desk, i)
        refresh(desk, d, drift)
        return np.inf, -np.inf
    refresh(desk, d, drift)
    mu = solve_continuous(desk, d, drift)
    if not np.isfinite(mu):
        return mu, -np.inf
    return mu, measure_bound(desk, ridge, mu, d, drift)


@compiled
def _solve_discrete(desk: Desk, mu: float, d: Floats, drift: Floats) -> None:
    """Replace the relaxed trades by the best whole ones from three starts.

    Nothing, the relaxed trades, and the best choice of what to trade at all: none is always best.
    """
    plan, plan_drift = d.copy(), drift.copy()
    other, other_drift = d.copy(), drift.copy()
    best = solve_whole(desk, np.inf, d, drift)
    for start in range(2 if np.isfinite(mu) else 0):
        if start == 1:
            mu = choose_sides(desk, mu, plan, plan_drift)
            copy_into(other, plan)
            copy_into(other_drift, plan_drift)
        total = solve_whole(desk, mu, other, other_drift)
        if total < best:
            best = total
            copy_into(d, other)
            copy_into(drift, other_drift)
