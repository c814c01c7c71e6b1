"""From checks to exact plans: what each account's proposal will hold, or why it gets none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from rebalancer import models
from rebalancer.domain.kinds import Cause, CheckStatus, TradeReason
from rebalancer.domain.plan import Plan, PlanRefused
from rebalancer.engine.book import Book, Floats, LockRow
from rebalancer.engine.case import write_case
from rebalancer.engine.drift import CASH_LABEL, Drift, measure_drift
from rebalancer.engine.exact import finish_plan, measure_after
from rebalancer.engine.solve import choose_move, solve_account
from rebalancer.engine.targets import Targets, resolve_targets
from rebalancer.queries.books import load_book

# A plan must bring an account nearer its target than this (half the sum of distances in weight).
GAIN_NOTICEABLE = 1e-6


@dataclass(frozen=True)
class Solved:
    """One account's exact plan with all that its proposal shows."""

    check: models.Check
    plan: Plan
    case: dict[str, Any]
    notes: tuple[str, ...]
    classes: list[dict[str, Any]]
    drift_before: float
    drift_after: float
    # security id -> (before, after, target)
    weights: dict[int, tuple[float, float, float]]


@dataclass(frozen=True)
class Unsolved:
    """Why an account gets no proposal."""

    check: models.Check
    status: CheckStatus
    reason: str


def solve_checks(
    *,
    firm_id: int,
    checks: Sequence[models.Check],
    price_date: date,
    extra_locks: Sequence[LockRow],
) -> tuple[list[Solved], list[Unsolved]]:
    """Solve the accounts of these checks; `extra_locks` are trades that a person removed."""
    if not checks:
        return [], []
    book = load_book(
        firm_id=firm_id,
        account_ids=[check.account_id for check in checks],
        price_date=price_date,
        extra_locks=extra_locks,
    )
    targets = resolve_targets(book)
    drifts = {is_flow: measure_drift(book, targets, is_flow=is_flow) for is_flow in (False, True)}
    at = {int(account_id): index for index, account_id in enumerate(book.account_ids)}
    solved, unsolved = [], []
    for check in checks:
        if check.account_id not in at:
            unsolved.append(Unsolved(check, CheckStatus.BLOCKED, "the account is closed"))
            continue
        is_flow = check.cause == Cause.CASH_FLOW
        answer = _solve_one(book, targets, drifts[is_flow], check, at[check.account_id], is_flow)
        if isinstance(answer, Solved):
            solved.append(answer)
        else:
            unsolved.append(answer)
    return solved, unsolved


def _solve_one(
    book: Book,
    targets: Targets,
    drift: Drift,
    check: models.Check,
    account: int,
    is_flow: bool,  # noqa: FBT001 - private, and read beside its name
) -> Solved | Unsolved:
    if account in targets.blocked:
        return Unsolved(check, CheckStatus.BLOCKED, targets.blocked[account])
    sized = solve_account(
        book, targets, drift, account, choose_move(book, drift, account, is_flow=is_flow)
    )
    try:
        plan = finish_plan(book, targets, sized)
    except PlanRefused as error:
        return Unsolved(check, CheckStatus.BLOCKED, f"the plan failed its check: {error}")
    if not plan.trades:
        return Unsolved(check, CheckStatus.NO_TRADE, "no trade above the minimum would help")
    weights_after, cash_after = measure_after(book, account, plan)
    policy = book.policies[book.policy_index[account]]
    rows = drift.rows_of(policy.band_level)
    after = (
        (*(weights_after @ book.class_matrix), cash_after)
        if rows is drift.by_class
        else (*weights_after, cash_after)
    )
    distance = sum(abs(w - t) for w, t in zip(after, rows.targets[account], strict=True)) / 2
    gain = drift.drift_total[account] - distance
    # Letting go of what is excluded, or raising cash, is worth it where no weight comes nearer.
    must_trade = drift.is_cash_short[account] or any(
        trade.reason is TradeReason.EXCLUDED for trade in plan.trades
    )
    if gain < GAIN_NOTICEABLE and not must_trade:
        return Unsolved(check, CheckStatus.NO_TRADE, "no trade would bring it nearer its target")
    notes = list(sized.notes)
    if sized.short_by:
        notes.append(
            f"Cash stays {sized.short_by} short of what is needed: nothing else may be sold"
        )
    return Solved(
        check=check,
        plan=plan,
        case=write_case(book, account),
        notes=tuple(notes),
        classes=_describe_classes(book, drift, account, weights_after, cash_after),
        drift_before=float(drift.drift_total[account]),
        drift_after=float(distance),
        weights={
            trade.security.security_id: (
                float(book.held_values[account, i] / book.values[account]),
                float(weights_after[i]),
                float(targets.weights[account, i]),
            )
            for trade in plan.trades
            for i in [book.index_of_security[trade.security.security_id]]
        },
    )


def _describe_classes(
    book: Book, drift: Drift, account: int, weights_after: Floats, cash_after: float
) -> list[dict[str, Any]]:
    rows = drift.by_class
    after = [*(weights_after @ book.class_matrix), cash_after]
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
