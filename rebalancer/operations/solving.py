"""From checks to exact plans: what each account's proposal will hold, or why it gets none."""

import logging
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
from celery.exceptions import SoftTimeLimitExceeded

from rebalancer import models
from rebalancer.domain.kinds import BandLevel, Cause, CheckStatus, Mode
from rebalancer.domain.plan import Plan, PlanRefused
from rebalancer.engine.answer import Answer, TradeNote
from rebalancer.engine.answering import answer_outcome
from rebalancer.engine.book import Book, LockRow
from rebalancer.engine.case.report import describe_certificate
from rebalancer.engine.case.store import write_case
from rebalancer.engine.columns import CENTS, Floats, from_units
from rebalancer.engine.drift import CASH_LABEL, Drift, measure_drift
from rebalancer.engine.exact import measure_values_after
from rebalancer.engine.outcome import Case, Outcome
from rebalancer.engine.route import choose_mode, solve_households
from rebalancer.engine.targets import resolve_targets
from rebalancer.queries.books import load_book

logger = logging.getLogger(__name__)

NO_PLAN = "the engine gave no answer that can be used"


@dataclass(frozen=True)
class Wanted:
    """What a person asks of the engine beyond the policy: another mode, budget, or fewer trades."""

    mode: Mode | None = None
    gains_budget: Decimal | None = None
    extra_locks: Sequence[LockRow] = ()

    def describe(self) -> dict[str, str]:
        """Return what is asked for, as it is kept with the proposal."""
        terms = {"mode": self.mode, "gains_budget": self.gains_budget}
        return {key: str(value) for key, value in terms.items() if value is not None}


@dataclass(frozen=True)
class Solved:
    """One account's exact plan with all that its proposal shows."""

    check: models.Check
    plan: Plan
    case: dict[str, Any]
    answer: Answer
    household_plan: uuid.UUID  # shared by the accounts that were solved together
    policy_id: int
    approval_hours_max: int
    model_version_id: int
    books_version: int
    cash: Decimal
    required_cash: Decimal
    value: Decimal
    class_of: dict[int, str]  # security id -> asset class
    is_taxable: bool
    notes: tuple[str, ...]
    untraded: list[dict[str, str]]
    certificate: dict[str, Any]
    classes: list[dict[str, Any]]
    drift_before: float
    drift_after: float
    # security id -> (before, after, target)
    weights: dict[int, tuple[float, float, float]]
    trade_notes: dict[int, TradeNote]  # by security id


@dataclass(frozen=True)
class Unsolved:
    """Why an account gets no proposal, with the numbers that say so."""

    check: models.Check
    status: CheckStatus
    reason: str
    certificate: dict[str, Any] | None = None


def solve_checks(
    *,
    firm_id: int,
    checks: Sequence[models.Check],
    price_date: date,
    wanted: Wanted | None = None,
) -> tuple[list[Solved], list[Unsolved]]:
    """Solve the accounts of these checks, those of one household together."""
    if not checks:
        return [], []
    wanted = wanted or Wanted()
    book = load_book(
        firm_id=firm_id,
        account_ids=[check.account_id for check in checks],
        price_date=price_date,
        extra_locks=wanted.extra_locks,
        is_whole_household=True,
    )
    book = apply_budget(book, wanted)
    targets = resolve_targets(book)
    at = {int(account_id): index for index, account_id in enumerate(book.account_ids)}
    solved: list[Solved] = []
    unsolved: list[Unsolved] = []
    for is_flow in (False, True):
        mine = {
            at[check.account_id]: check
            for check in checks
            if check.account_id in at and (check.cause == Cause.CASH_FLOW) is is_flow
        }
        case = Case(book, targets, measure_drift(book, targets, is_flow=is_flow))
        _solve_case(case, mine, wanted, is_flow, solved, unsolved)
    unsolved += [
        Unsolved(check, CheckStatus.BLOCKED, "the account is closed")
        for check in checks
        if check.account_id not in at
    ]
    return solved, unsolved


def read_wanted(terms: Mapping[str, str]) -> Wanted:
    """Return what a person asked for, as `Wanted.describe` wrote it."""
    mode, budget = terms.get("mode"), terms.get("gains_budget")
    return Wanted(
        mode=None if mode is None else Mode(mode),
        gains_budget=None if budget is None else Decimal(budget),
    )


def apply_budget(book: Book, wanted: Wanted) -> Book:
    """Return the Book with the gains budget that a person asked for, if any."""
    if wanted.gains_budget is None:
        return book
    households = tuple(replace(row, gains_budget=wanted.gains_budget) for row in book.households)
    return replace(book, households=households)


def _solve_case(
    case: Case,
    checks: dict[int, models.Check],
    wanted: Wanted,
    is_flow: bool,  # noqa: FBT001 - private, and read beside its name
    solved: list[Solved],
    unsolved: list[Unsolved],
) -> None:
    """Solve the accounts (Book index to check) of one kind of look, and sort the answers."""
    book, blocked = case.book, find_blocked(case)
    unsolved += [
        Unsolved(check, CheckStatus.BLOCKED, blocked[account])
        for account, check in checks.items()
        if account in blocked
    ]
    modes = {
        account: wanted.mode or choose_mode(book, case.drift, account, is_flow=is_flow)
        for account in checks
        if account not in blocked
    }
    by_household: dict[int, dict[int, Mode]] = defaultdict(dict)
    for account, mode in modes.items():
        by_household[int(book.household_index[account])][account] = mode
    outcomes = _solve_all(case, modes)
    for household, mine in by_household.items():
        rows: Sequence[Solved | Unsolved]
        try:
            outcome = outcomes.get(household) or solve_households(case, mine)[household]
            answer = answer_outcome(case, household, outcome)
            number = uuid.uuid4()
            rows = [_sort_answer(case, answer, a, checks[a], number) for a in mine]
        except SoftTimeLimitExceeded:
            raise
        except PlanRefused as error:
            rows = _set_aside(mine, checks, f"the plan failed its check: {error}")
        except Exception as error:  # whatever a solver does to one household, the others get theirs
            logger.exception("household %s: no plan", book.households[household].household_id)
            rows = _set_aside(mine, checks, f"{NO_PLAN} ({type(error).__name__})")
        solved += [row for row in rows if isinstance(row, Solved)]
        unsolved += [row for row in rows if isinstance(row, Unsolved)]


def _solve_all(case: Case, modes: Mapping[int, Mode]) -> Mapping[int, Outcome]:
    """Return every household's outcome; none, where a solver breaks down on some of them."""
    try:
        return solve_households(case, modes)
    except SoftTimeLimitExceeded:
        raise
    except Exception:  # whose fault it is shows when they are solved one by one
        logger.exception("a solver broke down on %s accounts", len(modes))
        return {}


def _set_aside(
    accounts: Iterable[int], checks: Mapping[int, models.Check], reason: str
) -> list[Unsolved]:
    return [Unsolved(checks[account], CheckStatus.BLOCKED, reason) for account in accounts]


def find_blocked(case: Case) -> dict[int, str]:
    """Return why accounts cannot be solved; one holds up all that are managed with it."""
    book, blocked = case.book, dict(case.targets.blocked)
    for account, reason in case.targets.blocked.items():
        home = book.household_index[account]
        if book.households[home].is_together:
            for other in range(book.household_offsets[home], book.household_offsets[home + 1]):
                blocked.setdefault(other, f"waits for another account of the household: {reason}")
    return blocked


def _sort_answer(
    case: Case, answer: Answer, account: int, check: models.Check, number: uuid.UUID
) -> Solved | Unsolved:
    plan = answer.plans[account]
    certificate = describe_certificate(answer)
    problem = answer.find_problem(account, is_cash_short=bool(case.drift.is_cash_short[account]))
    if problem:
        is_blocked = bool(answer.conflict) and not plan.trades
        status = CheckStatus.BLOCKED if is_blocked else CheckStatus.NO_TRADE
        return Unsolved(check, status, problem, certificate)
    return _describe_solved(case, answer, account, check, number)


def _describe_solved(
    case: Case, answer: Answer, account: int, check: models.Check, number: uuid.UUID
) -> Solved:
    book, drift, plan = case.book, case.drift, answer.plans[account]
    policy = book.policies[book.policy_index[account]]
    members = _list_members(book, account)
    values_after, cash_after = _measure_after(book, answer, members)
    total_after = values_after.sum() + cash_after
    weights_after, cash_weight = values_after / total_after, cash_after / total_after
    rows = drift.rows_of(policy.band_level)
    by_class = policy.band_level is BandLevel.ASSET_CLASS
    after = np.append(book.sum_classes(weights_after) if by_class else weights_after, cash_weight)
    distance = float(np.abs(after - rows.targets[account]).sum() / 2)
    ids = [row.security_id for row in book.securities]
    shown = drift.by_security
    return Solved(
        check=check,
        plan=plan,
        case=write_case(book, members),
        answer=answer,
        household_plan=number,
        policy_id=policy.policy_id,
        approval_hours_max=policy.approval_hours_max,
        model_version_id=book.models[book.model_index[account]].version_id,
        books_version=int(book.books_version[account]),
        cash=from_units(book.cash_cents[account], CENTS),
        required_cash=Decimal(str(round(float(case.targets.required_cash[account]), 2))),
        value=Decimal(str(round(float(book.values[account]), 2))),
        class_of={row.security_id: row.class_name for row in book.securities},
        is_taxable=bool(book.is_taxable[account]),
        notes=answer.notes.get(account, ()),
        untraded=_list_untraded(book, answer, account),
        certificate=describe_certificate(answer),
        classes=_describe_classes(drift, account, book.sum_classes(weights_after), cash_weight),
        drift_before=float(drift.drift_total[account]),
        drift_after=distance,
        weights={
            ids[i]: (
                float(shown.weights[account, i]),
                float(weights_after[i]),
                float(shown.targets[account, i]),
            )
            for trade in plan.trades
            for i in [book.index_of_security[trade.security.security_id]]
        },
        trade_notes={
            ids[security]: note for (a, security), note in answer.trades.items() if a == account
        },
    )


def _list_members(book: Book, account: int) -> list[int]:
    """Return the accounts whose weights are shown together: all, where they are managed as one."""
    home = int(book.household_index[account])
    if not book.households[home].is_together:
        return [account]
    return list(range(book.household_offsets[home], book.household_offsets[home + 1]))


def _measure_after(book: Book, answer: Answer, members: Iterable[int]) -> tuple[Floats, float]:
    """Return what the accounts hold of each security, and in cash, after their plans."""
    values, cash = np.zeros(len(book.securities)), 0.0
    for account in members:
        plan = answer.plans.get(account, Plan((), Decimal(str(book.cash[account]))))
        values += measure_values_after(book, account, plan)
        cash += float(plan.cash_after)
    return values, cash


def _list_untraded(book: Book, answer: Answer, account: int) -> list[dict[str, str]]:
    return [
        {
            "symbol": book.securities[security].symbol,
            "code": note.code,
            "amount": f"{note.amount:.2f}",
            "saves": f"{note.saves:.2f}",
            "costs": f"{note.costs:.2f}",
            "words": note.words,
        }
        for (owner, security), note in sorted(answer.untraded.items())
        if owner == account
    ]


def _describe_classes(
    drift: Drift, account: int, classes_after: Floats, cash_after: float
) -> list[dict[str, Any]]:
    rows = drift.by_class
    after = [*classes_after, cash_after]
    return [
        {
            "label": label,
            "target": f"{rows.targets[account, i]:.8f}",
            "low": f"{rows.low[account, i]:.8f}",
            "high": f"{rows.high[account, i]:.8f}",
            "before": f"{rows.weights[account, i]:.8f}",
            "after": f"{after[i]:.8f}",
            "is_breached": bool(rows.breached[account, i]),
            "is_cash": label == CASH_LABEL,
        }
        for i, label in enumerate(rows.labels)
        if rows.weights[account, i] > 0 or rows.targets[account, i] > 0
    ]
