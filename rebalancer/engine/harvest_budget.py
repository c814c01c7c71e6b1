"""How far from target taking losses may leave an account: its policy's budget for harvesting."""

import numpy as np

from rebalancer.engine.book import Book
from rebalancer.engine.columns import Floats
from rebalancer.engine.drift import Drift
from rebalancer.engine.formulate import Formulation
from rebalancer.engine.problem import measure_cash


def overharvests(
    book: Book, drift: Drift, formulation: Formulation, trade: Floats, sold: Floats
) -> bool:
    """Return whether a household's plan takes losses and ends too far from target for it.

    `trade` is by position and `sold` by segment, in money. Too far is further than before by more
    than `harvest_drift_max`, as half the sum of the asset classes' distances in weight: what stands
    in for a security is of its class.
    """
    if not (sold[formulation.is_harvest] > 0).any():
        return False
    problem, accounts = formulation.problem, formulation.accounts
    values = np.zeros((len(accounts), len(book.securities) + 1))
    np.add.at(values, (formulation.account, problem.security), problem.held + trade)
    values[:, -1] = measure_cash(problem, trade)
    if book.households[book.household_index[accounts[0]]].is_together:
        values[:] = values.sum(axis=0)
    weights = values / values.sum(axis=1)[:, None]
    for row, account in enumerate(accounts):
        policy = book.policies[book.policy_index[account]]
        rows = drift.by_class
        after = np.append(book.sum_classes(weights[row, :-1]), weights[row, -1])
        before, target = rows.weights[account], rows.targets[account]
        worse = (np.abs(after - target).sum() - np.abs(before - target).sum()) / 2
        if worse > float(policy.harvest_drift_max):
            return True
    return False
