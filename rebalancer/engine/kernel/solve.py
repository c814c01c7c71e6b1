"""Solves many accounts at once with the compiled loops: the public functions over a Problem.

Every account is solved by itself, so its answer has the same bytes whatever stands beside it, in
whatever order, on however many threads.
"""

from dataclasses import fields

import numpy as np

from rebalancer.engine.columns import Bools, Floats, Ints
from rebalancer.engine.kernel.loops import finish_sheet, solve_sheet_convex, solve_sheet_discrete
from rebalancer.engine.kernel.rows import (
    BOUND,
    CASH_AFTER,
    CASH_PRICE,
    EXITED,
    OBJECTIVE,
    Pricing,
    Result,
    lay_out,
    make_result,
)
from rebalancer.engine.kernel.threads import run_in_ranges
from rebalancer.engine.problem import Problem, Solution

# Where a plan is this share of V from its bound, 0.02 basis points, it is good enough.
POLISH_TOLERANCE = 2e-6


def solve_convex(
    problem: Problem,
    *,
    tau: Floats | None = None,
    gain_price: Floats | None = None,
    turnover_price: Floats | None = None,
    threads: int | None = None,
) -> Solution:
    """Return the best trades of any amount: tickets, steps and smallest trades do not count.

    `tau` replaces the segments' price of selling. `gain_price` and `turnover_price` by account are
    what a unit of gain or of trade costs on top when deciding. `objective` leaves them out, `bound`
    does not: with them it bounds the objective plus the priced gain and turnover, so that less
    price times limit it bounds every plan within the limit.
    """
    pricing = Pricing(problem.tau() if tau is None else tau, gain_price, turnover_price)
    solution = _make_solution(problem)

    def solve_range(start: int, stop: int) -> None:
        sheet = lay_out(problem, pricing, start, stop)
        result = make_result(sheet)
        solve_sheet_convex(sheet, result)
        _put(problem, solution, result, start, stop)

    run_in_ranges(solve_range, problem.account_count, threads=threads)
    return solution


def solve_discrete(
    problem: Problem,
    *,
    tau: Floats | None = None,
    gain_price: Floats | None = None,
    turnover_price: Floats | None = None,
    polish_tolerance: float = POLISH_TOLERANCE,
    threads: int | None = None,
) -> Solution:
    """Return the best plans of whole steps found, and the bounds that no plan can beat.

    The prices are those of `solve_convex`. Polishing goes on to pairs of positions where a plan
    costs more than `polish_tolerance` of V above its bound. Where `cash_min` cannot be reached,
    all that raises cash is sold, `cash` says how far that goes, and the bound is -inf.
    """
    pricing = Pricing(problem.tau() if tau is None else tau, gain_price, turnover_price)
    solution = _make_solution(problem)

    def solve_range(start: int, stop: int) -> None:
        sheet = lay_out(problem, pricing, start, stop)
        result = make_result(sheet)
        solve_sheet_discrete(sheet, result, float(polish_tolerance))
        _put(problem, solution, result, start, stop)

    run_in_ranges(solve_range, problem.account_count, threads=threads)
    return solution


def finish_exactly(
    problem: Problem,
    solution: Solution,
    accounts: Ints,
    *,
    tau: Floats | None = None,
    node_limit: int = 200_000,
) -> tuple[Solution, Bools]:
    """Return the solution with these accounts' plans made the best there are, and where proved.

    The solution is one of `solve_discrete` without prices on gain or turnover, at the same `tau`.
    Nothing is proved where groups tie positions together, where fractions of shares leave too many
    plans, where more than `node_limit` would have to be looked at, or where cash falls short; the
    plan is never worse than before.
    """
    pricing = Pricing(problem.tau() if tau is None else tau, None, None)
    finished = Solution(**{f.name: getattr(solution, f.name).copy() for f in fields(solution)})
    proved = np.zeros(len(accounts), np.bool_)
    for k, a in enumerate(accounts):
        if np.isneginf(solution.bound[a]):
            continue
        sheet = lay_out(problem, pricing, int(a), int(a) + 1)
        if (sheet.member >= 0).any():
            continue
        result = make_result(sheet)
        positions = slice(int(problem.position_offsets[a]), int(problem.position_offsets[a + 1]))
        result.choice[:] = np.where(solution.is_exit[positions], EXITED, solution.steps[positions])
        result.accounts[0, BOUND] = solution.bound[a]
        result.accounts[0, CASH_PRICE] = solution.multiplier[a]
        proved[k] = finish_sheet(sheet, result, node_limit)
        _put(problem, finished, result, int(a), int(a) + 1)
    return finished, proved


def _make_solution(problem: Problem) -> Solution:
    accounts, positions = problem.account_count, len(problem.held)
    return Solution(
        trade=np.zeros(positions),
        steps=np.zeros(positions, np.int64),
        is_exit=np.zeros(positions, np.bool_),
        cash=np.zeros(accounts),
        objective=np.zeros(accounts),
        bound=np.zeros(accounts),
        multiplier=np.zeros(accounts),
    )


def _put(problem: Problem, solution: Solution, result: Result, start: int, stop: int) -> None:
    """Put the result of accounts `start` to `stop` in its place."""
    positions = slice(int(problem.position_offsets[start]), int(problem.position_offsets[stop]))
    solution.trade[positions] = result.trade
    solution.is_exit[positions] = result.choice == EXITED
    solution.steps[positions] = np.where(result.choice == EXITED, 0, result.choice)
    solution.cash[start:stop] = result.accounts[:, CASH_AFTER]
    solution.objective[start:stop] = result.accounts[:, OBJECTIVE]
    solution.bound[start:stop] = result.accounts[:, BOUND]
    solution.multiplier[start:stop] = result.accounts[:, CASH_PRICE]
