"""The road through the engine: which solver answers for which household, in one visible place.

Every household is first solved account by account (the compiled kernel, gains netted over the tax
return). That answer is the best of all whenever it keeps what ties the accounts together, for then
it is the best of a wider choice. Where it does not, the household goes one step further:

    a loss sold and bought again, a cap, a limit > all its accounts in one problem
    one target for all accounts                  > the same, always
    drift priced by covariance                   > coordinate descent over the full matrix
    cash cannot be raised                        > again, selling what is else kept back
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from rebalancer.domain.kinds import Destination, DriftMeasure, Mode, Path
from rebalancer.domain.policy import PolicyTerms
from rebalancer.engine.book import Book
from rebalancer.engine.by_risk import solve_by_risk
from rebalancer.engine.centers import Centers, build_centers
from rebalancer.engine.columns import Floats, Ints
from rebalancer.engine.coupled.solve import solve_coupled
from rebalancer.engine.coupled.terms import FEASIBLE, OPTIMAL
from rebalancer.engine.drift import Drift
from rebalancer.engine.formulate import Formulation, formulate, select_household
from rebalancer.engine.harvest_budget import overharvests
from rebalancer.engine.joined import drop_own_targets, hold_still
from rebalancer.engine.kernel.solve import solve_discrete
from rebalancer.engine.outcome import CENT, Case, Outcome, find_broken_tie
from rebalancer.engine.problem import Problem, measure_cash
from rebalancer.engine.segments import (
    LAST_RESORT,
    NO_HARVEST,
    ORDINARY,
    Leeway,
    build_segments,
)
from rebalancer.engine.separable import is_taxed, solve_separably
from rebalancer.engine.terms import measure_terms
from rebalancer.engine.ties import limit_turnover, measure_gains_left, tie_household


def choose_mode(book: Book, drift: Drift, account: int, *, is_flow: bool) -> Mode:
    """Return which trades an account's policy considers, by what is breached."""
    policy = book.policies[book.policy_index[account]]
    only_cash = not drift.rows_of(policy.band_level).breached[account, :-1].any()
    if is_flow and only_cash:
        return Mode.SPEND_CASH
    return Mode.FULL if policy.destination is Destination.TARGET else Mode.BAND_EDGE


def solve_households(case: Case, modes: Mapping[int, Mode]) -> dict[int, Outcome]:
    """Return an outcome by household of these accounts (Book index to mode).

    None of the accounts may be blocked. Where a household is managed together its other accounts in
    the Book count, but trade nothing unless they are asked for as well.
    """
    book = case.book
    together = np.array([row.is_together for row in book.households], np.bool_)
    alone = sorted(a for a in modes if not together[book.household_index[a]])
    outcomes: dict[int, Outcome] = {}
    if alone:
        outcomes = _solve_apart(case, np.array(alone), tuple(modes[a] for a in alone))
    for household in sorted({int(book.household_index[a]) for a in set(modes) - set(alone)}):
        span = range(book.household_offsets[household], book.household_offsets[household + 1])
        outcomes[household] = _solve_joined(case, np.array(span), modes)
    return outcomes


def measure_gains(case: Case, accounts: Ints) -> Floats:
    """Return, by account, how much better than doing nothing the best plan is, in money.

    For the economic trigger: whole shards at once, each account by itself.
    """
    modes = [choose_mode(case.book, case.drift, int(a), is_flow=False) for a in accounts]
    problem = _formulate(case, accounts, modes)[0].to_solve
    nothing = measure_terms(problem, np.zeros(len(problem.held)), half_spread=problem.buy_cost)
    gains: Floats = nothing.total - solve_discrete(problem).objective
    return gains


def _formulate(
    case: Case, accounts: Ints, modes: Sequence[Mode], leeway: Leeway = ORDINARY
) -> tuple[Formulation, Centers]:
    segments = build_segments(case.book, accounts, leeway)
    centers = build_centers(case.book, case.targets, case.drift, accounts, list(modes))
    formulation = formulate(case.book, case.targets, centers, segments, accounts, list(modes))
    return formulation, centers


# --- Each account by itself ----------------------------------------------------------------------


def _solve_apart(
    case: Case, accounts: Ints, modes: tuple[Mode, ...], leeway: Leeway = ORDINARY
) -> dict[int, Outcome]:
    """Solve accounts one by one, then look at each household whether its accounts agree."""
    formulation, centers = _formulate(case, accounts, modes, leeway)
    answer, taxed = solve_separably(case.book, formulation), is_taxed(formulation)
    offsets = formulation.problem.household_offsets
    outcomes = {}
    for row, (start, stop) in enumerate(zip(offsets[:-1], offsets[1:], strict=True)):
        part, selection = select_household(formulation, row)
        household = int(case.book.household_index[accounts[start]])
        is_netted = bool(taxed[row])
        outcome = Outcome(
            formulation=part,
            modes=modes[start:stop],
            coupling=tie_household(
                case.book,
                part,
                centers.take(slice(start, stop)),
                gains_left=max(_gains_left(case, household, part), 0.0),
            ),
            matrices=None,
            trade=answer.trade[selection.positions],
            steps=answer.steps[selection.positions],
            is_exit=answer.is_exit[selection.positions],
            sold=answer.sold[selection.segments],
            bound=float(answer.bound[row]),
            is_netted=is_netted,
            gains_exceeded=float(answer.gains_exceeded[row]),
            turnover_exceeded=float(answer.turnover_exceeded[row]),
            path=Path.NETTED if is_netted else Path.ACCOUNT,
            path_reason=(
                "gains and losses of one tax return are set against each other"
                if is_netted
                else "nothing ties its accounts together: each is best by itself"
            ),
            leeway=leeway,
        )
        outcomes[household] = _look_closer(case, outcome)
    return outcomes


def _gains_left(case: Case, household: int, formulation: Formulation) -> float:
    """Return the net gain that is left to choose once what must be sold is; may be negative."""
    return measure_gains_left(case.book, household) - max(formulation.forced_gain, 0.0)


def _look_closer(case: Case, outcome: Outcome) -> Outcome:
    """Send a household further where its accounts' own best plans do not do."""
    if any(policy.drift_measure is DriftMeasure.RISK for policy in _policies(case.book, outcome)):
        outcome = solve_by_risk(case.book, outcome)
    conflict = find_broken_tie(outcome, outcome.trade, outcome.sold)
    if conflict:
        outcome = _solve_together(outcome, conflict)

    def again(leeway: Leeway) -> Outcome:
        accounts = outcome.formulation.accounts
        [other] = _solve_apart(case, accounts, outcome.modes, leeway).values()
        return other

    return _reconsider(case, outcome, again)


def _reconsider(case: Case, outcome: Outcome, again: Callable[[Leeway], Outcome]) -> Outcome:
    """Solve again with other leeway where cash is short, or harvesting goes too far."""
    if outcome.leeway != ORDINARY:
        return outcome
    is_short = _is_cash_short(outcome.formulation.to_solve, outcome.trade)
    if is_short or outcome.is_infeasible:
        other = again(LAST_RESORT)
        reason = "cash is short" if is_short else "not every limit could be kept"
        return replace(other, path_reason=f"{reason}; {other.path_reason}")
    if overharvests(case.book, case.drift, outcome.formulation, outcome.trade, outcome.sold):
        other = again(NO_HARVEST)
        reason = "harvesting would leave it further from target than the policy allows"
        return replace(other, path_reason=f"{reason}; {other.path_reason}")
    return outcome


def _policies(book: Book, outcome: Outcome) -> list[PolicyTerms]:
    return [book.policies[i] for i in book.policy_index[outcome.formulation.accounts]]


def _is_cash_short(problem: Problem, trade: Floats) -> bool:
    return bool((measure_cash(problem, trade) < problem.cash_min - CENT).any())


# --- All accounts in one problem -----------------------------------------------------------------


def _solve_joined(
    case: Case, accounts: Ints, modes: Mapping[int, Mode], leeway: Leeway = ORDINARY
) -> Outcome:
    """Solve a household that is managed together; accounts not asked for are left as they are."""
    own_modes = tuple(modes.get(int(a), next(iter(modes.values()))) for a in accounts)
    asked = np.array([int(a) in modes for a in accounts])
    formulation, centers = _formulate(case, accounts, own_modes, leeway)
    formulation = hold_still(formulation, asked)
    household = int(case.book.household_index[accounts[0]])
    shared = drop_own_targets(formulation)
    empty = np.zeros(len(shared.problem.held))
    outcome = Outcome(
        formulation=shared,
        modes=own_modes,
        coupling=tie_household(
            case.book,
            shared,
            centers,
            gains_left=max(_gains_left(case, household, shared), 0.0),
        ),
        matrices=None,
        trade=empty,
        steps=empty.astype(np.int64),
        is_exit=empty.astype(np.bool_),
        sold=np.zeros(len(shared.problem.amount)),
        bound=-np.inf,
        is_netted=False,
        path=Path.HOUSEHOLD,
        path_reason="",
        gains_exceeded=max(-_gains_left(case, household, shared), 0.0),
        turnover_exceeded=float(
            np.maximum(shared.forced_turnover - limit_turnover(case.book, shared), 0.0).sum()
        ),
        leeway=leeway,
    )
    outcome = _solve_together(outcome, "one target for all accounts; each holds what suits it best")
    return _reconsider(case, outcome, lambda other: _solve_joined(case, accounts, modes, other))


def _solve_together(outcome: Outcome, reason: str) -> Outcome:
    """Solve a household's accounts in one problem; a plan that cannot be keeps everything still."""
    problem = outcome.formulation.to_solve
    if not len(problem.held):
        return replace(outcome, path=Path.HOUSEHOLD, path_reason=reason)
    found = solve_coupled(problem, outcome.coupling)
    return replace(
        outcome,
        matrices=None,
        trade=found.trade,
        steps=found.steps,
        is_exit=found.is_exit,
        sold=found.sold,
        bound=found.bound,
        is_netted=False,
        path=Path.HOUSEHOLD,
        path_reason=(
            f"{reason}; drift is priced by weight here" if outcome.matrices is not None else reason
        ),
        is_infeasible=found.status not in {OPTIMAL, FEASIBLE},
    )
