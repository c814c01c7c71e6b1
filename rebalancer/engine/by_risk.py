"""Households whose drift is priced by risk: each account by its covariance, losses kept apart."""

from dataclasses import replace

import numpy as np

from rebalancer.domain.kinds import DriftMeasure, Path
from rebalancer.engine.book import Book
from rebalancer.engine.columns import Floats
from rebalancer.engine.covariance.solve import solve_covariance
from rebalancer.engine.formulate import Formulation
from rebalancer.engine.netting.plan import list_sold
from rebalancer.engine.outcome import Outcome, find_washed, list_window
from rebalancer.engine.problem import Problem
from rebalancer.engine.risk import build_penalty_matrix

# A covariance matrix is kept so far from singular, against its largest variance.
RIDGE = 1e-6


def solve_by_risk(book: Book, outcome: Outcome) -> Outcome:
    """Solve with the securities' covariance; the accounts of the household each by itself.

    Where that sells a loss and buys it again, both sides of the wash window are tried, and so on:
    depth first, leaving out what cannot beat the best plan found.
    """
    matrices = build_matrices(book, outcome.formulation)
    found = _keep_losses_apart(
        replace(outcome, matrices=matrices, is_netted=False, path=Path.COVARIANCE),
        outcome.formulation.to_solve,
        "drift is priced by the risk of being off target",
        np.inf,
    )
    assert found is not None  # noqa: S101 - nothing is worse than infinity
    return found[1]


def _keep_losses_apart(
    outcome: Outcome, problem: Problem, reason: str, worst: float
) -> tuple[float, Outcome] | None:
    """Return the best plan that keeps losses apart with its objective, if better than `worst`.

    `problem` lacks what earlier branches took out of it. The plan's bound is that of the best
    branch still to be had, those left out included.
    """
    solution = solve_covariance(problem, outcome.matrices or ())
    objective, bound = float(solution.objective.sum()), float(solution.bound.sum())
    if bound >= worst:
        return None
    plan = replace(
        outcome,
        trade=solution.trade,
        steps=solution.steps,
        is_exit=solution.is_exit,
        sold=list_sold(problem, solution.trade, problem.tau()),
        bound=bound,
        path_reason=reason,
    )
    group = find_washed(plan.coupling, plan.trade, plan.sold)
    if group is None:
        return objective, plan
    segments, positions = list_window(plan.coupling, group)
    kept, unbought = problem.amount.copy(), problem.buy_max.copy()
    kept[segments], unbought[positions] = 0.0, 0.0
    label = plan.coupling.wash_labels[group]
    best: tuple[float, Outcome] | None = None
    bounds = []
    for part in (replace(problem, buy_max=unbought), replace(problem, amount=kept)):
        branch = _keep_losses_apart(
            replace(outcome, path=Path.WASH),
            part,
            f"drift is priced by risk; {label} and its like are either sold at a loss or bought",
            worst if best is None else min(worst, best[0]),
        )
        if branch is not None:
            bounds.append(branch[1].bound)
            if best is None or branch[0] < best[0]:
                best = branch
    if best is None:
        return None
    # A branch left out costs more than the best; one taken costs its bound at least.
    return best[0], replace(best[1], bound=max(bound, min(bounds)))


def build_matrices(book: Book, formulation: Formulation) -> tuple[Floats, ...]:
    """Return the drift matrix of each account: risk aversion * covariance * horizon.

    An account whose policy prices drift by weight has its penalties on the diagonal, and those of
    its groups over their members, whose targets add up to the group's.
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
            matrices.append(_weigh_by_group(problem, span))
    return tuple(matrices)


def _weigh_by_group(problem: Problem, span: slice) -> Floats:
    """Return the matrix that prices the drift of one account's positions as the Problem does."""
    group = problem.group[span]
    matrix = np.diag(problem.penalty[span])
    for number in np.unique(group[group >= 0]):
        member = (group == number).astype(np.float64)
        matrix += problem.group_penalty[number] * np.outer(member, member)
    return matrix
