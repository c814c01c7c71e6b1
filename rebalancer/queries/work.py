"""Work lists: which looks are due, which checks want trades, which orders wait."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from accounts.queries import people
from portfolios.queries import books as book_queries
from portfolios.queries import market
from rebalancer import models
from rebalancer.domain.kinds import AUTOMATIC, Cause, Schedule, Trigger
from rebalancer.domain.lifecycle import ProposalStatus
from rebalancer.domain.schedule import find_latest_look
from rebalancer.queries.books import describe_policy
from rebalancer.queries.controls import list_cooling
from robo.common.builds import this_build
from robo.common.market_calendar import list_sessions

# What looks every trading day, whatever the schedule says.
DAILY_TRIGGERS = frozenset({Trigger.THRESHOLD, Trigger.RISK, Trigger.ECONOMIC})
# How far back a deposit or withdrawal is still worth a look of its own.
FLOW_DAYS = 10


@dataclass(frozen=True, slots=True)
class DueLook:
    """An account to look at, why, and the key under which it is looked at once."""

    account_id: int
    cause: Cause
    period_key: str


def list_due_looks(*, firm_id: int, price_date: date) -> list[DueLook]:
    """Return every look due at the close of `price_date` and not yet done, in account order.

    Accounts whose trades are under way are left out: they come up again when these are done. So
    are, for looks that nobody asked for, those in the cool-down after a rebalance.
    """
    firm = people.get_firm(firm_id)
    sessions = list_sessions(firm.exchange)
    wanted: list[DueLook] = []
    assignments = models.PolicyAssignment.objects.filter(
        this_build(),
        policy__firm_id=firm_id,
        policy__is_active=True,
        account__is_open=True,
        account__cash_balance__books_version__gt=0,
    ).select_related("policy")
    accounts_by_policy: dict[models.Policy, list[int]] = {}
    for row in assignments.order_by("account_id"):
        accounts_by_policy.setdefault(row.policy, []).append(row.account_id)
    managed = {a for ids in accounts_by_policy.values() for a in ids}
    for policy, account_ids in accounts_by_policy.items():
        terms = describe_policy(policy)
        is_daily = terms.trigger in DAILY_TRIGGERS
        look = find_latest_look(
            schedule=Schedule.DAILY if is_daily else terms.schedule,
            cron_line=terms.cron_line,
            sessions=sessions,
            market_date=price_date,
        )
        if look is not None:
            cause = Cause(terms.trigger)
            wanted.extend(DueLook(a, cause, look.period_key) for a in account_ids)
    wanted.extend(
        DueLook(account_id, Cause.CASH_FLOW, f"FLOW-{entry_id}")
        for account_id, entry_id in book_queries.list_cash_flows(
            firm_id=firm_id, since_date=price_date - timedelta(days=FLOW_DAYS)
        )
        if account_id in managed
    )
    wanted.extend(_list_model_changes(firm_id, sorted(managed)))
    cooling = list_cooling(firm_id=firm_id, session_date=price_date)
    wanted = [
        look for look in wanted if look.cause not in AUTOMATIC or look.account_id not in cooling
    ]
    return _leave_out_done(firm_id, wanted)


def _list_model_changes(firm_id: int, account_ids: Sequence[int]) -> list[DueLook]:
    published = market.get_published_versions(account_ids)
    latest = (
        models.Check.objects.filter(firm_id=firm_id, model_version__isnull=False)
        .order_by("account_id", "-id")
        .distinct("account_id")
        .values_list("account_id", "model_version_id")
    )
    return [
        DueLook(account_id, Cause.MODEL_CHANGE, f"MODEL-{published[account_id]}")
        for account_id, version_id in latest
        if account_id in published and published[account_id] != version_id
    ]


def _leave_out_done(firm_id: int, wanted: Sequence[DueLook]) -> list[DueLook]:
    keys = {look.period_key for look in wanted}
    done = set(
        models.Check.objects.filter(firm_id=firm_id, period_key__in=keys).values_list(
            "account_id", "cause", "period_key"
        )
    )
    busy = set(
        models.Proposal.objects.filter(
            firm_id=firm_id, status__in=[ProposalStatus.APPROVED, ProposalStatus.EXECUTING]
        ).values_list("account_id", flat=True)
    )
    return sorted(
        (
            look
            for look in wanted
            if look.account_id not in busy
            and (look.account_id, look.cause, look.period_key) not in done
        ),
        key=lambda look: (look.account_id, look.cause),
    )
