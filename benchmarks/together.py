"""Drift by covariance beside Clarabel and SCIP, and whole households beside their MIQP."""

from collections.abc import Iterator

import numpy as np

from benchmarks.peers import TIGHT, solve_by_clarabel, take_account
from benchmarks.table import Goal, Line, hushing, spend
from rebalancer.engine.coupled.solve import solve_coupled
from rebalancer.engine.covariance.solve import solve_covariance
from tests.rebalancer.engine.random_coupled import build_household
from tests.rebalancer.engine.random_problems import draw_problem
from tests.rebalancer.engine.reference_coupled import list_faults, solve_household_with_scip
from tests.rebalancer.engine.reference_covariance import draw_matrices, solve_covariance_with_scip

BPS = 1e4


def compare_covariance(*, cases: int = 200, of_scip: int = 8) -> Iterator[Line]:
    """Compare accounts whose drift is measured with a full covariance."""
    for positions in (12, 20):
        problem = draw_problem(
            4, accounts=cases, positions=positions, has_losses=False, has_tickets=False
        )
        matrices = draw_matrices(5, problem)
        solve_covariance(problem, matrices, is_discrete=False)
        seconds, solution = spend(
            lambda p=problem, m=matrices: solve_covariance(p, m, is_discrete=False), times=3
        )
        rows = [take_account(problem, a, matrix) for a, matrix in enumerate(matrices)]
        peer = float(np.mean([solve_by_clarabel(row).solving for row in rows]))
        best = np.array([solve_by_clarabel(row, tolerance=TIGHT).objective for row in rows])
        gap = (solution.objective - best) / problem.value * BPS
        ours = seconds / cases
        yield Line(
            f"Clarabel, the solver alone: {positions} securities",
            cases,
            ours,
            peer,
            (gap.mean(), gap.max()),
            goals=(
                Goal("times as fast", peer / ours, 25, is_least=True),
                Goal("above its optimum at 1e-11, worst", gap.max(), 1e-6, "bp"),
            ),
        )
    yield _compare_whole(of_scip)


def _compare_whole(cases: int) -> Line:
    problem = draw_problem(6, accounts=cases, positions=8)
    matrices = draw_matrices(7, problem)
    solve_covariance(problem, matrices)
    ours, solution = spend(lambda: solve_covariance(problem, matrices), times=3)
    with hushing():
        peer, answers = spend(
            lambda: [
                solve_covariance_with_scip(problem, a, matrix, seconds=3.0)
                for a, matrix in enumerate(matrices)
            ]
        )
    best = np.array([np.inf if one is None else one[1] for one in answers])
    gap = (solution.objective - best) / problem.value * BPS
    return Line(
        "SCIP, whole shares, 8 securities, 3 s each",
        cases,
        ours / cases,
        peer / cases,
        (gap.mean(), gap.max()),
    )


def compare_households(
    *, cases: int = 30, of_scip: int = 3, seconds: float = 10.0
) -> Iterator[Line]:
    """Compare households of 5 accounts x 20 securities x 5 lots, location and wash windows."""
    drawn = [build_household(np.random.default_rng(100 + seed)) for seed in range(cases)]
    solve_coupled(*drawn[0])
    times, found, faults = [], [], 0
    for problem, coupling in drawn:
        spent, solution = spend(lambda p=problem, c=coupling: solve_coupled(p, c))
        times.append(spent)
        found.append(solution)
        faults += len(list_faults(problem, coupling, solution))
    money = np.array([problem.value.sum() for problem, _ in drawn])
    objective = np.array([one.objective for one in found])
    proof = objective - np.array([one.bound for one in found])
    gap = proof / money * BPS
    share = proof / np.abs(objective) * 100
    mean = float(np.mean(times))
    yield Line(
        "ours, its own certificate as the gap",
        cases,
        mean,
        gap=(gap.mean(), gap.max()),
        goals=(
            Goal("per household", mean * 1e3, 25, "ms"),
            Goal("away from the bound, mean share of the objective", share.mean(), 0.1, "%"),
            Goal("rules broken", faults, 0),
        ),
        notes=(f"slowest {max(times) * 1e3:.0f} ms, median {np.median(times) * 1e3:.0f} ms",),
    )
    with hushing():
        peer, answers = spend(
            lambda: [solve_household_with_scip(*one, seconds=seconds) for one in drawn[:of_scip]]
        )
    best = np.array([one[0] for one in answers])
    above = (objective[:of_scip] - best) / money[:of_scip] * BPS
    bound = np.array([max(one[1], ours.bound) for one, ours in zip(answers, found, strict=False)])
    share = (objective[:of_scip] - bound) / np.abs(objective[:of_scip]) * 100
    yield Line(
        f"SCIP, the whole MIQP, {seconds:.0f} s each",
        of_scip,
        mean,
        peer / of_scip,
        (above.mean(), above.max()),
        goals=(Goal("away from what is proved, worst", share.max(), 0.1, "%"),),
        notes=("a gap below zero: SCIP has not found our plan in its time",),
    )
