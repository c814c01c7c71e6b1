"""A household managed together as a Formulation: one target for all, and who may trade at all."""

from dataclasses import replace

import numpy as np

from rebalancer.engine.columns import Bools
from rebalancer.engine.formulate import Formulation
from rebalancer.engine.problem import Problem


def hold_still(formulation: Formulation, asked: Bools) -> Formulation:
    """Return the Formulation with the accounts that were not asked for unable to trade."""
    still = ~asked[formulation.account]
    of_segment = np.repeat(still, np.diff(formulation.problem.segment_offsets))

    def freeze(problem: Problem) -> Problem:
        cash_min = np.where(asked, problem.cash_min, np.minimum(problem.cash_min, problem.cash))
        return replace(
            problem,
            buy_max=np.where(still, 0.0, problem.buy_max),
            amount=np.where(of_segment, 0.0, problem.amount),
            cash_min=cash_min,
        )

    return replace(
        formulation,
        problem=freeze(formulation.problem),
        to_solve=freeze(formulation.to_solve),
        forced=formulation.forced & ~still,
    )


def drop_own_targets(formulation: Formulation) -> Formulation:
    """Return the Formulation without targets of its accounts' own: the household's count."""

    def drop(problem: Problem) -> Problem:
        return replace(
            problem,
            penalty=np.zeros_like(problem.penalty),
            group_penalty=np.zeros_like(problem.group_penalty),
        )

    return replace(
        formulation, problem=drop(formulation.problem), to_solve=drop(formulation.to_solve)
    )
