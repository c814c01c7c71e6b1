"""Looking at accounts: measure drift, store one check per account, cause and period."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
from django.conf import settings
from django.db import transaction

from accounts.domain.roles import PriceSourceKind
from accounts.operations.audit import record_audit_entry
from accounts.queries import people, planning
from portfolios.queries import market
from rebalancer import models
from rebalancer.domain.kinds import Cause, CheckStatus, Trigger
from rebalancer.domain.lifecycle import ProposalEvent, ProposalStatus, advance_proposal
from rebalancer.domain.policy import PolicyTerms
from rebalancer.engine.book import Book
from rebalancer.engine.drift import Drift, Rows, measure_drift
from rebalancer.engine.outcome import Case
from rebalancer.engine.risk import measure_tracking_error
from rebalancer.engine.route import measure_gains
from rebalancer.engine.targets import Targets, resolve_targets
from rebalancer.operations import proposals
from rebalancer.operations.shards import NOT_LOOKED_AT, count_attempt, split_looks
from rebalancer.operations.trail import audit_proposals
from rebalancer.queries.books import load_book
from rebalancer.queries.work import DueLook, list_due_looks
from robo.common.builds import check_build
from robo.common.errors import Refused

# Below this a calendar rebalance has nothing to do: one hundredth of a point in all.
DRIFT_NOTICEABLE = 1e-4


def find_due_checks(
    *,
    firm_id: int,
    price_date: date,
    now: datetime,
    shards_max: int | None = None,
    on_shard: Callable[[], None] = lambda: None,
) -> Counter[str]:
    """Look at every account that is due, and return how many checks ended in which status.

    Shard by shard, each stored on its own: with `shards_max` the rest is left for the next call.
    Accounts whose looks workers did not survive are set aside after a few attempts (`shards`).
    """
    looks = list_due_looks(firm_id=firm_id, price_date=price_date)
    counts: Counter[str] = Counter()
    if not looks:
        return counts
    shards, hopeless = split_looks(firm_id=firm_id, price_date=price_date, looks=looks)
    counts += _set_aside(firm_id, hopeless, price_date)
    for shard in shards[:shards_max]:
        with count_attempt(firm_id=firm_id, price_date=price_date, looks=shard):
            counts += check_drift(firm_id=firm_id, looks=shard, price_date=price_date, now=now)
        on_shard()
    return counts


def _set_aside(firm_id: int, looks: Sequence[DueLook], price_date: date) -> Counter[str]:
    """Store checks of accounts that cannot be looked at."""
    checks = [
        models.Check(
            firm_id=firm_id,
            account_id=look.account_id,
            cause=look.cause,
            period_key=look.period_key,
            price_date=price_date,
            status=CheckStatus.BLOCKED,
            reason=NOT_LOOKED_AT,
        )
        for look in looks
    ]
    models.Check.objects.bulk_create(checks, ignore_conflicts=True)
    return Counter(check.status for check in checks)


@transaction.atomic
def check_drift(
    *, firm_id: int, looks: Sequence[DueLook], price_date: date, now: datetime
) -> Counter[str]:
    """Measure these accounts and store a check for each; repeating a look stores nothing.

    A fixed number of queries, whatever the number of accounts. A pending proposal whose account is
    back inside its bands expires.
    """
    book = load_book(
        firm_id=firm_id,
        account_ids=sorted({look.account_id for look in looks}),
        price_date=price_date,
        is_whole_household=True,
    )
    targets = resolve_targets(book)
    at = {int(account_id): index for index, account_id in enumerate(book.account_ids)}
    drifts = {
        is_flow: measure_drift(book, targets, is_flow=is_flow)
        for is_flow in sorted({look.cause is Cause.CASH_FLOW for look in looks})
    }
    findings = _look_further(
        book, targets, drifts, {at[k.account_id] for k in looks if k.account_id in at}
    )
    unsuited = find_unsuited(
        firm_id=firm_id, account_ids=sorted({look.account_id for look in looks}), now=now
    )
    checks = [
        _describe(
            firm_id,
            look,
            book,
            targets,
            drifts[look.cause is Cause.CASH_FLOW],
            at[look.account_id],
            findings,
            unsuited.get(look.account_id, ""),
        )
        for look in looks
        if look.account_id in at
    ]
    before = _list_existing(checks)
    models.Check.objects.bulk_create(checks, ignore_conflicts=True)
    fresh = [c for c in checks if (c.account_id, c.cause, c.period_key) not in before]
    _expire_needless(fresh, now)
    return Counter(check.status for check in fresh)


def find_unsuited(*, firm_id: int, account_ids: Sequence[int], now: datetime) -> dict[int, str]:
    """Return, by account, why its household's risk profile lets nothing be proposed, after "it"."""
    firm = people.get_firm(firm_id)
    # Answers are dated by the real clock, also where the market is simulated.
    return planning.list_profile_gaps(
        account_ids,
        today=now.date(),
        months_max=settings.PROFILE_MONTHS_MAX,
        is_needed=firm.price_source != PriceSourceKind.SIMULATED,
    )


def request_check(*, account_id: int, user_id: int, now: datetime) -> models.Check:
    """Look at one account because a person asks, and propose at once if trades are due.

    :raises Refused: when trades of the account are under way, or no price is on record.
    :raises OtherBuild: where the database is not the one that this code is made for.
    """
    account = people.get_account(account_id)
    is_busy = models.Proposal.objects.filter(
        account_id=account_id, status__in=[ProposalStatus.APPROVED, ProposalStatus.EXECUTING]
    ).exists()
    if is_busy:
        raise Refused("Trades of this account are under way; look again when they are done.")
    price_date = market.get_newest_price_date(account.firm_id)
    if price_date is None:
        raise Refused("No price has been recorded yet.")
    key = f"REQUEST-{now:%Y%m%dT%H%M%S%f}"
    with transaction.atomic():
        check_build()
        check_drift(
            firm_id=account.firm_id,
            looks=[DueLook(account_id, Cause.REQUESTED, key)],
            price_date=price_date,
            now=now,
        )
        check = models.Check.objects.get(
            account_id=account_id, cause=Cause.REQUESTED, period_key=key
        )
        record_audit_entry(
            firm_id=account.firm_id,
            actor_id=user_id,
            household_id=account.household_id,
            action="rebalancer.check.requested",
            object_id=str(account.public_id),
            summary=f"Asked for a look at {account.name}: {check.status.lower()}",
        )
    if check.status == CheckStatus.DUE:
        proposals.propose(firm_id=account.firm_id, price_date=price_date, now=now)
        check.refresh_from_db()
    return check


@dataclass(frozen=True)
class _Findings:
    """What policies that look at risk or at benefit need to know, by account of the Book."""

    tracking_error: dict[int, float]
    gain: dict[int, float]  # what the best plan gains over doing nothing, money


def _look_further(
    book: Book, targets: Targets, drifts: Mapping[bool, Drift], accounts: set[int]
) -> _Findings:
    """Measure risk and benefit where policies act on them."""
    by_trigger = {
        trigger: sorted(
            a
            for a in accounts - set(targets.blocked)
            if book.policies[book.policy_index[a]].trigger is trigger
        )
        for trigger in (Trigger.RISK, Trigger.ECONOMIC)
    }
    if not any(by_trigger.values()):
        return _Findings({}, {})
    drift = next(iter(drifts.values()))
    # A household with one target has no benefit by account: there its bands decide.
    economic = [a for a in by_trigger[Trigger.ECONOMIC] if not book.tax_terms(a).is_together]
    gains: Sequence[float] = ()
    if economic:
        gains = measure_gains(Case(book, targets, drift), np.array(economic)).tolist()
    return _Findings(
        tracking_error={
            account: _measure_tracking_error(book, drift, account)
            for account in by_trigger[Trigger.RISK]
        },
        gain=dict(zip(economic, gains, strict=True)),
    )


def _measure_tracking_error(book: Book, drift: Drift, account: int) -> float:
    """Return the risk of being off target, per year; cash counts as riskless."""
    assert book.covariance is not None  # noqa: S101 - such an account is blocked
    rows = drift.by_security
    known = np.isfinite(np.diag(book.covariance))
    return measure_tracking_error(
        weights=rows.weights[account, :-1][known],
        targets=rows.targets[account, :-1][known],
        covariance=book.covariance[np.ix_(known, known)],
    )


def _describe(
    firm_id: int,
    look: DueLook,
    book: Book,
    targets: Targets,
    drift: Drift,
    account: int,
    findings: _Findings,
    unsuited: str,
) -> models.Check:
    policy = book.policies[book.policy_index[account]] if book.policy_index[account] >= 0 else None
    model = book.models[book.model_index[account]] if book.model_index[account] >= 0 else None
    check = models.Check(
        firm_id=firm_id,
        account_id=look.account_id,
        policy_id=policy.policy_id if policy else None,
        model_version_id=model.version_id if model else None,
        cause=look.cause,
        period_key=look.period_key,
        price_date=book.price_date,
    )
    if account in targets.blocked or policy is None or unsuited:
        check.status = CheckStatus.BLOCKED
        check.reason = targets.blocked.get(account, unsuited)
        return check
    check.value = Decimal(str(round(float(book.values[account]), 2)))
    check.is_breached = bool(drift.is_breached[account])
    check.drift_max = Decimal(str(round(float(drift.drift_max[account]), 8)))
    check.drift = describe_rows(drift.rows_of(policy.band_level), account)
    if account in findings.tracking_error:
        check.tracking_error = Decimal(f"{findings.tracking_error[account]:.8f}")
    if account in findings.gain:
        check.certificate = {
            "gain": f"{findings.gain[account]:.2f}",
            "hurdle": f"{_measure_hurdle(book, policy, account):.2f}",
        }
    wants_trades, check.reason = _judge(look, book, drift, account, findings)
    check.status = CheckStatus.DUE if wants_trades else CheckStatus.QUIET
    return check


def _judge(
    look: DueLook, book: Book, drift: Drift, account: int, findings: _Findings
) -> tuple[bool, str]:
    """Return whether an account calls for trades, and why in words where the bands do not say."""
    policy = book.policies[book.policy_index[account]]
    if drift.is_cash_short[account]:
        return True, "cash is short of what is needed soon"
    if look.cause is Cause.RISK:
        error = findings.tracking_error[account]
        is_due = error > float(policy.tracking_error_max)
        return is_due, (f"tracking error {error:.2%} a year, limit {policy.tracking_error_max:.2%}")
    if look.cause is Cause.ECONOMIC and account in findings.gain:
        gain, hurdle = findings.gain[account], _measure_hurdle(book, policy, account)
        return gain > hurdle, f"the best plan gains {gain:,.2f}, the hurdle is {hurdle:,.2f}"
    is_scheduled = look.cause is Cause.CALENDAR and drift.drift_total[account] > DRIFT_NOTICEABLE
    return bool(drift.is_breached[account]) or bool(is_scheduled), ""


def _measure_hurdle(book: Book, policy: PolicyTerms, account: int) -> float:
    """Return what a plan must gain, in money; never less than a cent."""
    return max(float(policy.hurdle_bps) / 1e4 * float(book.values[account]), 0.01)


def describe_rows(rows: Rows, account: int) -> list[dict[str, Any]]:
    """Return one account's rows that are held or wanted, as decimal strings."""
    return [
        {
            "label": label,
            "weight": f"{rows.weights[account, i]:.8f}",
            "target": f"{rows.targets[account, i]:.8f}",
            "low": f"{rows.low[account, i]:.8f}",
            "high": f"{rows.high[account, i]:.8f}",
            "is_breached": bool(rows.breached[account, i]),
        }
        for i, label in enumerate(rows.labels)
        if rows.weights[account, i] > 0 or rows.targets[account, i] > 0
    ]


def _list_existing(checks: Sequence[models.Check]) -> set[tuple[int, str, str]]:
    """Return the keys already on record, locked out of being counted twice by two ticks at once."""
    return set(
        models.Check.objects.filter(
            account_id__in={check.account_id for check in checks},
            period_key__in={check.period_key for check in checks},
        ).values_list("account_id", "cause", "period_key")
    )


def _expire_needless(checks: Sequence[models.Check], now: datetime) -> None:
    quiet = [check.account_id for check in checks if check.status == CheckStatus.QUIET]
    needless = list(
        models.Proposal.objects.select_for_update()
        .filter(account_id__in=quiet, status=ProposalStatus.PENDING)
        .order_by("account_id")
    )
    for proposal in needless:
        proposal.status = advance_proposal(proposal.status, ProposalEvent.EXPIRE)
        proposal.closed_at = now
        proposal.close_reason = "The account is back inside its bands."
    models.Proposal.objects.bulk_update(needless, ["status", "closed_at", "close_reason"])
    audit_proposals(needless, event="expired", summary="The account is back inside its bands")
