"""Accounts by themselves: convex ones beside Clarabel and cvxpy, whole shares beside SCIP."""

from collections.abc import Iterator

import numpy as np

from benchmarks.peers import TIGHT, Stated, solve_by_clarabel, solve_by_cvxpy, take_account
from benchmarks.table import Goal, Line, hushing, spend
from rebalancer.engine.kernel.solve import finish_exactly, solve_convex, solve_discrete
from rebalancer.engine.problem import Problem
from tests.rebalancer.engine.random_problems import draw_problem
from tests.rebalancer.engine.reference import is_feasible, solve_with_scip

BPS = 1e4
POSITIONS, LOTS = 12, 4
CONVEX = {"has_tickets": False, "has_smallest": False, "has_losses": False}


def compare_convex(*, cases: int = 2_000, of_cvxpy: int = 150) -> Iterator[Line]:
    """Compare accounts that may trade any amount; the peers take the first of the same cases."""
    problem = draw_problem(1, accounts=cases, positions=POSITIONS, lots_max=LOTS, **CONVEX)
    solve_convex(problem, threads=1)
    seconds, solution = spend(lambda: solve_convex(problem, threads=1), times=5)
    ours = seconds / cases
    rows = [take_account(problem, a) for a in range(cases)]
    timed = [solve_by_clarabel(row) for row in rows]
    best = np.array([solve_by_clarabel(row, tolerance=TIGHT).objective for row in rows])
    gap = (solution.objective - best) / problem.value * BPS
    solving = float(np.mean([one.solving for one in timed]))
    building = float(np.mean([one.building for one in timed]))
    loose = np.array([one.objective for one in timed])
    for name, peer in (("solver alone", solving), ("with building it", solving + building)):
        yield Line(
            f"Clarabel, {name}",
            cases,
            ours,
            peer,
            (gap.mean(), gap.max()),
            goals=(Goal("times as fast", peer / ours, 300, is_least=True),),
        )
    yield Line(
        "objective against Clarabel's at 1e-11",
        cases,
        gap=(gap.mean(), gap.max()),
        goals=(Goal("above it, worst", gap.max(), 1e-7, "bp"),),
        notes=(
            "at its own tolerance Clarabel is off by up to "
            f"{np.abs((loose - best) / problem.value * BPS).max():.1e} bp",
        ),
    )
    some = rows[:of_cvxpy]
    stated = Stated(POSITIONS, LOTS)
    stated.solve(some[0])
    for name, solve, goals in (
        ("cvxpy, each account stated anew", solve_by_cvxpy, True),
        ("cvxpy, stated once with parameters", stated.solve, False),
    ):
        seconds, found = spend(lambda solve=solve: [solve(row) for row in some])
        peer = seconds / len(some)
        gap = (solution.objective[: len(some)] - found) / problem.value[: len(some)] * BPS
        goal = Goal("times as fast", peer / ours, 3_000, is_least=True)
        yield Line(name, len(some), ours, peer, (gap.mean(), gap.max()), (goal,) if goals else ())


def compare_discrete(*, cases: int = 20_000, of_scip: int = 36) -> Iterator[Line]:
    """Compare whole shares, smallest trades and tickets; SCIP proves the optimum of some."""
    problem = draw_problem(2, accounts=cases, positions=POSITIONS, lots_max=LOTS)
    solve_discrete(problem, threads=1)
    seconds, solution = spend(lambda: solve_discrete(problem, threads=1), times=3)
    certificate = (solution.objective - solution.bound) / problem.value * BPS
    infeasible = sum(
        not is_feasible(problem, account, solution.trade, 1e-6) for account in range(cases)
    )
    ours = seconds / cases
    yield Line(
        "ours, its own certificate as the gap",
        cases,
        ours,
        gap=(certificate.mean(), certificate.max()),
        goals=(
            Goal("per account", ours * 1e6, 40, "us"),
            Goal("certificate, mean", certificate.mean(), 0.01, "bp"),
            Goal("infeasible", infeasible, 0),
        ),
        notes=(
            f"certificate p99 {np.percentile(certificate, 99):.3f}, "
            f"p99.9 {np.percentile(certificate, 99.9):.3f} bp",
        ),
    )
    with hushing():
        seconds, optima = spend(lambda: [solve_with_scip(problem, a) for a in range(of_scip)])
    gap = np.array(
        [
            (solution.objective[a] - one.objective) / problem.value[a] * BPS
            for a, one in enumerate(optima)
        ]
    )
    yield Line(
        "SCIP, optimum proved",
        of_scip,
        ours,
        seconds / of_scip,
        (gap.mean(), gap.max()),
        goals=(Goal("above SCIP's optimum, mean", gap.mean(), 0.01, "bp"),),
        notes=(f"within 0.01 bp: {np.mean(gap < 0.01):.0%}; SCIP's tolerance shows as a gap < 0",),
    )
    for has_losses in (False, True):
        whole = {"whole_share": 1.0, "has_losses": has_losses}
        problem = draw_problem(3, accounts=cases // 10, positions=POSITIONS, **whole)
        yield _finish(problem, "some lots at a loss" if has_losses else "no lot at a loss")


def _finish(problem: Problem, kind: str) -> Line:
    """Send accounts of whole shares to the exact finish; the gap is what it gained."""
    solution = solve_discrete(problem, threads=1)
    everyone = np.arange(problem.account_count)
    finish_exactly(problem, solution, everyone[:1])
    seconds, (finished, proved) = spend(lambda: finish_exactly(problem, solution, everyone))
    gain = (solution.objective - finished.objective) / problem.value * BPS
    return Line(
        f"exact finish, whole shares, {kind}",
        len(everyone),
        seconds / len(everyone),
        gap=(gain.mean(), gain.max()),
        goals=(Goal("proved", proved.mean() * 100, 99.5, "%", is_least=True),),
        notes=("the gap is that of the plans before they were finished",),
    )
