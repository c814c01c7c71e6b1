"""The hard wishes of a household as the search for conflicts reads them: who asks for what."""

from dataclasses import replace

import numpy as np

from rebalancer.domain.kinds import Mode
from rebalancer.engine.book import EXCLUDED, NO_SELL
from rebalancer.engine.centers import build_centers
from rebalancer.engine.columns import Floats
from rebalancer.engine.conflicts import WishKind, WishRow, describe_conflict, find_conflict
from rebalancer.engine.coupled.terms import Coupling
from rebalancer.engine.formulate import Formulation, formulate
from rebalancer.engine.outcome import Case, Outcome
from rebalancer.engine.segments import LAST_RESORT, build_segments
from rebalancer.engine.ties import measure_gains_left, tie_household


def name_conflict(case: Case, household: int, outcome: Outcome) -> str:
    """Return in a sentence the fewest wishes that cannot all be met, or an empty string.

    Looked for where the outcome keeps something it was asked for from being met.
    """
    accounts = outcome.formulation.accounts
    centers = build_centers(
        case.book, case.targets, case.drift, accounts, [Mode.FULL] * len(accounts)
    )
    free = replace(
        centers,
        may_sell=np.ones_like(centers.may_sell) & ~case.book.is_frozen[accounts][:, None],
        must_leave=np.zeros_like(centers.must_leave),
    )
    segments = build_segments(case.book, accounts, LAST_RESORT)
    formulation = formulate(
        case.book, case.targets, free, segments, accounts, [Mode.FULL] * len(accounts)
    )
    formulation = replace(
        formulation,
        problem=replace(formulation.problem, cash_min=np.full(len(accounts), -1e15)),
    )
    gains_left = measure_gains_left(case.book, household)
    coupling = tie_household(case.book, formulation, free, gains_left=gains_left)
    wishes = _list_wishes(case, formulation, coupling, gains_left)
    found = find_conflict(formulation.problem, coupling, wishes)
    return describe_conflict(found) if found else ""


def _list_wishes(
    case: Case, formulation: Formulation, coupling: Coupling, gains_left: float
) -> list[WishRow]:
    book, problem = case.book, formulation.problem
    wishes = []
    for row, account in enumerate(formulation.accounts):
        name = f"account {book.account_ids[account]}"
        required = float(case.targets.required_cash[account])
        if required > 0:
            wishes.append(WishRow(WishKind.CASH_NEED, name, row, -1, required))
        locks = book.locks_of(int(account))
        for position in range(problem.position_offsets[row], problem.position_offsets[row + 1]):
            security = int(problem.security[position])
            symbol = book.securities[security].symbol
            code = locks.get(security, 0)
            if code & NO_SELL and problem.held[position] > 0:
                wishes.append(WishRow(WishKind.NEVER_SELL, symbol, row, position))
            elif code & EXCLUDED and problem.held[position] > 0:
                wishes.append(WishRow(WishKind.MUST_LEAVE, symbol, row, position))
        limit = float(coupling.turnover_max[row])
        if np.isfinite(limit):
            wishes.append(WishRow(WishKind.TURNOVER, name, row, -1, limit))
    for cap, label in enumerate(coupling.cap_labels):
        wishes.append(WishRow(WishKind.CAP, label, -1, cap, float(coupling.cap_max[cap])))
    if np.isfinite(gains_left):
        wishes.append(WishRow(WishKind.GAINS, "the household", -1, -1, gains_left))
    return wishes


def is_wanting(outcome: Outcome, short_by: Floats) -> bool:
    """Return whether an outcome leaves a wish unmet: no plan, cash short, or a budget exceeded."""
    return outcome.is_unmet or bool((short_by > 0).any())
