"""How far netted plans are from the proved optimum of random households: tests, benchmarks."""

from dataclasses import dataclass

import numpy as np

from rebalancer.engine.kernel.solve import solve_convex, solve_discrete
from rebalancer.engine.netting.solve import solve_netted
from tests.rebalancer.engine.random_households import draw_households, gather_years
from tests.rebalancer.engine.reference import measure_netted, pour, solve_with_scip

BPS = 1e4


@dataclass(frozen=True)
class Gaps:
    """By household, in basis points of its value."""

    gap: np.ndarray  # objective less SCIP's
    proof: np.ndarray  # SCIP's objective less our bound
    scip_gap: np.ndarray  # SCIP's objective less its own bound
    fixed_rates: np.ndarray  # what statutory rates would cost more than SCIP
    solves: np.ndarray


def measure_gaps(seed: int, count: int, *, is_whole=False, seconds=20.0, **kinds) -> Gaps:
    """Solve `count` random households both ways; `kinds` go to `draw_households`."""
    problem, years = draw_households(seed, count, **kinds)
    year = gather_years(years)
    solve = solve_discrete if is_whole else solve_convex
    _, report = solve_netted(problem, year, solve, relaxed=solve_convex if is_whole else None)
    fixed = solve(problem).trade
    rows = []
    for h in range(count):
        accounts = list(range(*problem.household_offsets[h : h + 2]))
        answer = solve_with_scip(problem, accounts, tax=years[h], seconds=seconds)
        assert answer is not None
        best, value = answer.objective, problem.value[accounts].sum()
        sold = pour(problem, fixed, problem.tau(), accounts)
        row = (
            report.objective[h] - best,
            best - report.bound[h],
            best - answer.bound,
            measure_netted(problem, accounts, fixed, sold, years[h]) - best,
        )
        rows.append([number / value * BPS for number in row])
    return Gaps(*np.array(rows).T, solves=report.solves)
