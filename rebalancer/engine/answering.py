"""From outcomes in money to answers: exact plans through the gate, the certificate, the reasons."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import numpy as np

from portfolios.domain.kinds import Side
from rebalancer.domain.kinds import Mode, Path
from rebalancer.domain.plan import AccountTerms, Plan, verify_together
from rebalancer.engine.answer import Answer, Certificate, NoTradeNote, Terms, TradeNote
from rebalancer.engine.book import Book
from rebalancer.engine.columns import SHARE_UNITS, Floats
from rebalancer.engine.coupled.solve import solve_coupled
from rebalancer.engine.coupled.terms import FEASIBLE, OPTIMAL
from rebalancer.engine.drift import measure_drift
from rebalancer.engine.exact import describe_account, describe_caps, finish_plan
from rebalancer.engine.formulate import Formulation
from rebalancer.engine.household_terms import measure_household_terms
from rebalancer.engine.kernel.solve import solve_discrete
from rebalancer.engine.netting.plan import list_sold
from rebalancer.engine.outcome import CENT, Case, Outcome, find_broken_tie, keep_still
from rebalancer.engine.problem import Problem, measure_cash
from rebalancer.engine.reasons import (
    Solved,
    choose_reason,
    explain_no_trade,
    explain_trade_made,
)
from rebalancer.engine.route import choose_mode, solve_households
from rebalancer.engine.sizing import SizedPlan, size_account
from rebalancer.engine.targets import Targets, resolve_targets
from rebalancer.engine.ties import measure_gains_left
from rebalancer.engine.wishes import is_wanting, name_conflict

# A bound that the plan itself lies below by more than this share of the value proves nothing.
DISPROVED = 1e-6
NO_WHOLE_PLAN = "No plan in whole shares and smallest trades keeps every limit at once."
# What these modes are asked not to sell, they do not sell for want of cash either.
NO_SALES = {Mode.BUY_ONLY, Mode.HARVEST_ONLY, Mode.SPEND_CASH}
# Segments that a plan passed over come after all that it sells.
PASSED_OVER = 1e6


def solve_household(book: Book, household: int = 0, *, mode: Mode | None = None) -> Answer:
    """Return the best plans for one household of a Book, in a given mode or its policies' own.

    Accounts that are blocked or frozen get no plan; `blocked` says why.

    :raises PlanRefused: when the answer does not pass the exact gate.
    """
    targets = resolve_targets(book)
    case = Case(book, targets, measure_drift(book, targets))
    accounts = range(book.household_offsets[household], book.household_offsets[household + 1])
    asked = {
        account: mode or choose_mode(book, case.drift, account, is_flow=False)
        for account in accounts
        if account not in targets.blocked and not book.is_frozen[account]
    }
    answers = answer_households(case, asked)
    if household in answers:
        return answers[household]
    return _answer_nothing(targets, mode or Mode.FULL, accounts)


def answer_households(case: Case, modes: Mapping[int, Mode]) -> dict[int, Answer]:
    """Return the answer of every household of these accounts (Book index to mode).

    :raises PlanRefused: when an answer does not pass the exact gate.
    """
    outcomes = solve_households(case, modes)
    return {
        household: answer_outcome(case, household, outcome)
        for household, outcome in outcomes.items()
    }


def answer_outcome(case: Case, household: int, outcome: Outcome) -> Answer:
    """Return one household's outcome in exact numbers, proved and explained.

    :raises PlanRefused: when it does not pass the exact gate.
    """
    book, targets = case.book, case.targets
    if outcome.is_unmet:
        outcome = keep_still(outcome)
    problem = outcome.formulation.problem
    tau = problem.tau()
    order = np.where(outcome.sold > 0, tau, tau + PASSED_OVER)
    sized = [
        size_account(book, targets, outcome.formulation, outcome, row, order=order)
        for row in range(problem.account_count)
    ]
    trade = _measure_trade(book, problem, sized)
    solved = Solved(
        formulation=outcome.formulation,
        trade=trade,
        naive=_build_naive(book, targets, outcome),
        tau=tau,
        order=order,
        cash=measure_cash(problem, trade),
        coupling=outcome.coupling,
        matrices=outcome.matrices,
    )
    plans, terms = {}, {}
    for plan in sized:
        account = plan.account
        terms[account] = describe_account(book, targets, account, may_wash=outcome.is_last_resort)
        reasons = {
            t.security: choose_reason(book, targets, case.drift, solved, t.position)
            for t in plan.trades
        }
        plans[account] = finish_plan(book, terms[account], plan, reasons)
    _verify_household(book, household, terms, plans)
    return Answer(
        mode=outcome.modes[0],
        path=outcome.path,
        path_reason=outcome.path_reason,
        plans=plans,
        short_by={plan.account: plan.short_by for plan in sized},
        certificate=_certify(case, outcome, solved),
        trades=_explain_trades(book, solved, sized, plans),
        untraded=_explain_untraded(book, solved, outcome),
        notes={
            plan.account: _list_notes(targets, plan, plans[plan.account], outcome) for plan in sized
        },
        blocked={
            account: targets.blocked[account]
            for account in range(
                book.household_offsets[household], book.household_offsets[household + 1]
            )
            if account in targets.blocked
        },
        conflict=_name_conflict(case, household, outcome, sized),
    )


def _name_conflict(case: Case, household: int, outcome: Outcome, sized: list[SizedPlan]) -> str:
    short_by = np.array([float(plan.short_by) for plan in sized])
    if not is_wanting(outcome, short_by):
        return ""
    conflict = name_conflict(case, household, outcome)
    if conflict or NO_SALES & set(outcome.modes):
        return conflict
    # Fractions of shares might do what whole ones cannot: then no wish is to blame.
    return NO_WHOLE_PLAN


def _answer_nothing(targets: Targets, mode: Mode, accounts: range) -> Answer:
    """Return the answer for a household none of whose accounts can be looked at."""
    none = Terms()
    return Answer(
        mode=mode,
        path=Path.ACCOUNT,
        path_reason="no account can be looked at",
        plans={},
        short_by={},
        certificate=Certificate(none, none, None, None, None, 0.0, 0.0),
        trades={},
        untraded={},
        notes={},
        blocked={a: targets.blocked[a] for a in accounts if a in targets.blocked},
        conflict="",
    )


def _measure_trade(book: Book, problem: Problem, sized: list[SizedPlan]) -> Floats:
    """Return the money traded by position once quantities are exact."""
    trade = np.zeros(len(problem.held))
    for plan in sized:
        for row in plan.trades:
            trade[row.position] = row.units / SHARE_UNITS * book.prices[row.security]
    return trade


def _build_naive(book: Book, targets: Targets, outcome: Outcome) -> Floats:
    """Return what a rebalancer that knows no tax would trade: straight to target, whole steps."""
    problem, formulation = outcome.formulation.problem, outcome.formulation
    account = formulation.accounts[formulation.account]
    wanted = targets.weights[account, problem.security] * book.values[account]
    difference = wanted - problem.held
    steps = np.trunc(difference / problem.step) * problem.step
    return np.where(wanted <= 0, -problem.held, steps)


def _certify(case: Case, outcome: Outcome, solved: Solved) -> Certificate:
    book, formulation = case.book, outcome.formulation
    problem = formulation.problem
    policy = book.policies[book.policy_index[formulation.accounts[0]]]
    value = float(problem.value.sum())
    bound = None
    if np.isfinite(outcome.bound):
        # The bound is of what is left to choose: what must be sold anyway costs what it costs.
        forced = np.where(formulation.forced, solved.trade, 0.0)
        costs = measure_household_terms(book, outcome, forced, order=solved.order)
        bound = outcome.bound + costs.of_trading
    plan = measure_household_terms(book, outcome, solved.trade, order=solved.order)
    if bound is not None and bound > plan.total + DISPROVED * value:
        bound = None
    return Certificate(
        plan=plan,
        nothing=measure_household_terms(book, outcome, np.zeros(len(problem.held))),
        buy_only=_measure_buy_only(book, outcome),
        naive=_measure_naive(book, outcome, _limit(problem, solved.naive)),
        bound=bound,
        value=value,
        hurdle=float(policy.hurdle_bps) / 1e4 * value,
    )


def _measure_naive(book: Book, outcome: Outcome, trade: Floats) -> Terms | None:
    """Return the terms of going straight to target, or None where that may not be done."""
    problem = outcome.formulation.problem
    sold = list_sold(problem, trade, problem.tau())
    overdraws = (measure_cash(problem, trade) < problem.cash_min - CENT).any()
    if overdraws or find_broken_tie(outcome, trade, sold):
        return None
    return measure_household_terms(book, outcome, trade)


def _limit(problem: Problem, trade: Floats) -> Floats:
    """Return trades cut to what may be bought and sold."""
    starts = problem.segment_offsets
    sums = np.concatenate([[0.0], np.cumsum(problem.amount)])
    sellable = sums[starts[1:]] - sums[starts[:-1]]
    return np.clip(trade, -sellable, problem.buy_max)


def _measure_buy_only(book: Book, outcome: Outcome) -> Terms | None:
    """Return the terms of the best plan that sells nothing, or None where cash forbids it."""
    problem = replace(
        outcome.formulation.problem, amount=np.zeros(len(outcome.formulation.problem.amount))
    )
    if (problem.cash < problem.cash_min - CENT).any():
        return None
    if outcome.path is not Path.HOUSEHOLD or not len(problem.held):
        trade = solve_discrete(problem).trade
        breaks = find_broken_tie(outcome, trade, np.zeros(len(problem.amount)))
        return None if breaks else measure_household_terms(book, outcome, trade)
    found = solve_coupled(problem, outcome.coupling)
    if found.status not in {OPTIMAL, FEASIBLE}:
        return None
    return measure_household_terms(book, outcome, found.trade)


def _verify_household(
    book: Book,
    household: int,
    terms: Mapping[int, AccountTerms],
    plans: Mapping[int, Plan],
) -> None:
    left = measure_gains_left(book, household)
    is_together = book.households[household].is_together
    verify_together(
        plans=[(terms[account], plans[account]) for account in plans],
        groups={row.security_id: row.identical_group or row.symbol for row in book.securities},
        gains_left=None if np.isinf(left) else Decimal(str(round(left, 2))),
        caps=describe_caps(book, sorted(plans)) if is_together and plans else (),
    )


def _explain_trades(
    book: Book, solved: Solved, sized: list[SizedPlan], plans: Mapping[int, Plan]
) -> dict[tuple[int, int], TradeNote]:
    notes = {}
    for plan in sized:
        exact = {trade.security.security_id: trade for trade in plans[plan.account].trades}
        for trade in plan.trades:
            planned = exact[book.securities[trade.security].security_id]
            notes[plan.account, trade.security] = explain_trade_made(
                book, solved, trade.position, planned
            )
    return notes


def _explain_untraded(
    book: Book, solved: Solved, outcome: Outcome
) -> dict[tuple[int, int], NoTradeNote]:
    formulation = outcome.formulation
    problem = formulation.problem
    held_back = _find_washed(book, formulation)
    notes = {}
    for position in map(int, np.flatnonzero(np.abs(solved.naive) > 0)):
        row = int(formulation.account[position])
        account, security = int(formulation.accounts[row]), int(problem.security[position])
        note = explain_no_trade(
            book,
            solved,
            position,
            outcome.modes[row],
            is_at_risk=(account, security) in held_back,
        )
        if note is not None:
            notes[account, security] = note
    return notes


def _find_washed(book: Book, formulation: Formulation) -> set[tuple[int, int]]:
    """Return (account, security) of lots whose loss would be denied today."""
    lots = np.flatnonzero(book.washes.at_risk)
    return set(zip(book.lot_account[lots].tolist(), book.lot_security[lots].tolist(), strict=True))


def _list_notes(
    targets: Targets, sized: SizedPlan, plan: Plan, outcome: Outcome
) -> tuple[str, ...]:
    notes = list(targets.notes.get(sized.account, ()))
    if sized.short_by:
        notes.append(
            f"Cash stays {sized.short_by} short of what is needed: nothing else may be sold"
        )
    if outcome.is_last_resort and any(t.side is Side.SELL for t in plan.trades):
        notes.append("Cash is short: lots that would else be kept may be sold")
    return tuple(notes)
