"""Households whose drift is priced by risk: each account by its covariance, losses kept apart."""

from dataclasses import replace

import numpy as np

from rebalancer.domain.kinds import DriftMeasure, Path
from rebalancer.engine.book import Book
from rebalancer.engine.columns import Floats
from rebalancer.engine.covariance.solve import solve_covariance
from rebalancer.engine.formulate import Formulation
from rebalancer.engine.outcome import Outcome, find_washed, list_window
from rebalancer.engine.problem import Problem, Solution
from rebalancer.engine.risk import build_penalty_matrix
from rebalancer.engine.terms import sell_segments

# A covariance matrix is kept so far from singular, against its largest variance.
RIDGE = 1e-6


def solve_by_risk(book: Book, outcome: Outcome) -> Outcome:
    """Solve with the securities' covariance; the accounts of the household each by itself."""
    problem = outcome.formulation.to_solve
    matrices = build_matrices(book, outcome.formulation)
    solution = solve_covariance(problem, matrices)
    alone = replace(
        outcome,
        matrices=matrices,
        trade=solution.trade,
        steps=solution.steps,
        is_exit=solution.is_exit,
        sold=_sell_cheapest(problem, solution),
        bound=float(solution.bound.sum()),
        netted_tax=None,
        path=Path.COVARIANCE,
        path_reason="drift is priced by the risk of being off target",
    )
    return _keep_losses_apart(alone, problem)


def _keep_losses_apart(outcome: Outcome, problem: Problem) -> Outcome:
    """Branch on wash windows with trades on both sides; return the better plan of each branching.

    `problem` is what has been solved so far, with what earlier branches took out of it.
    """
    group = find_washed(outcome.coupling, outcome.trade, outcome.sold)
    if group is None or outcome.matrices is None:
        return outcome
    segments, positions = list_window(outcome.coupling, group)
    kept, unbought = problem.amount.copy(), problem.buy_max.copy()
    kept[segments], unbought[positions] = 0.0, 0.0
    branches = []
    for part in (replace(problem, amount=kept), replace(problem, buy_max=unbought)):
        solution = solve_covariance(part, outcome.matrices)
        branch = replace(
            outcome,
            trade=solution.trade,
            steps=solution.steps,
            is_exit=solution.is_exit,
            sold=_sell_cheapest(part, solution),
            bound=float(solution.bound.sum()),
            path=Path.WASH,
            path_reason=(
                "drift is priced by risk; "
                f"either {outcome.coupling.wash_labels[group]} is sold at a loss or bought"
            ),
        )
        branches.append((float(solution.objective.sum()), _keep_losses_apart(branch, part)))
    best = min(branches, key=lambda pair: pair[0])[1]
    return replace(best, bound=min(branch.bound for _objective, branch in branches))


def build_matrices(book: Book, formulation: Formulation) -> tuple[Floats, ...]:
    """Return the drift matrix of each account: risk aversion * covariance * horizon.

    An account whose policy prices drift by weight has its own penalties on the diagonal.
    """
    problem = formulation.problem
    matrices = []
    for row, account in enumerate(formulation.accounts):
        span = slice(problem.position_offsets[row], problem.position_offsets[row + 1])
        policy = book.policies[book.policy_index[account]]
        if policy.drift_measure is DriftMeasure.RISK and book.covariance is not None:
            securities = problem.security[span]
            matrix = build_penalty_matrix(
                book.covariance[np.ix_(securities, securities)],
                risk_aversion=float(policy.risk_aversion),
                horizon_years=float(policy.risk_horizon_years),
            )
            ridge = RIDGE * float(np.max(np.diag(matrix), initial=1.0))
            matrices.append(matrix + ridge * np.eye(len(securities)))
        else:
            matrices.append(np.diag(problem.penalty[span]))
    return tuple(matrices)


def _sell_cheapest(problem: Problem, solution: Solution) -> Floats:
    """Return the money sold of each segment, cheapest first."""
    return sell_segments(problem, solution.trade, problem.tau())
