"""The work list: what waits for somebody, by exception, and what was done lately.

Two kinds of rows make one list: proposals (pending, executing, done) and accounts whose newest
check asks for something without a proposal (out of band, blocked).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from rebalancer import models
from rebalancer.domain.kinds import CheckStatus
from rebalancer.domain.lifecycle import OPEN_PROPOSAL, ProposalStatus
from rebalancer.queries.pages import words

DONE_DAYS = 7
Row = TypeVar("Row", models.Proposal, models.Check)


class Tab(StrEnum):
    """The questions that the list answers, in the order of urgency."""

    PENDING = "pending"
    BREACHED = "breached"
    BLOCKED = "blocked"
    EXECUTING = "executing"
    DONE = "done"


class Sort(StrEnum):
    """What comes first."""

    DRIFT = "drift"
    VALUE = "value"
    AGE = "age"


TAB_STATUSES: Mapping[Tab, tuple[ProposalStatus, ...]] = {
    Tab.PENDING: (ProposalStatus.PENDING,),
    Tab.EXECUTING: (ProposalStatus.APPROVED, ProposalStatus.EXECUTING),
    Tab.DONE: (ProposalStatus.COMPLETED, ProposalStatus.COMPLETED_ADJUSTED),
}
PROPOSAL_TABS = frozenset(TAB_STATUSES)
_PROPOSAL_ORDER = {
    Sort.DRIFT: ("-drift_before", "-id"),
    Sort.VALUE: ("-value", "-id"),
    Sort.AGE: ("id",),
}
_CHECK_ORDER = {
    Sort.DRIFT: ("-drift_max", "-id"),
    Sort.VALUE: ("-value", "-id"),
    Sort.AGE: ("id",),
}


@dataclass(frozen=True, slots=True)
class Strain:
    """The asset class that strains its band most, for a drift bar."""

    label: str
    weight: Decimal
    target: Decimal
    low: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True)
class WorkRow:
    """One line of the list; a check has no proposal."""

    household_name: str
    household_public_id: UUID
    account_name: str
    account_public_id: UUID
    tax_status: str
    status: str
    strain: Strain | None
    drift: Decimal
    value: Decimal
    cause: str
    reason: str
    since: datetime
    price_date: date
    proposal_public_id: UUID | None = None
    content_hash: str = ""
    tax_amount: Decimal | None = None
    turnover_amount: Decimal | None = None
    trade_count: int = 0
    expires_at: datetime | None = None
    is_own: bool = False

    @property
    def choice(self) -> str:
        """Return what a bulk approval posts for this row: which proposal, as it was seen."""
        return f"{self.proposal_public_id}:{self.content_hash}"


def find_strain(rows: Sequence[Mapping[str, Any]], weight_key: str) -> Strain | None:
    """Return the row of stored classes that strains its band most, or None without rows."""
    worst, worst_strain = None, Decimal(-1)
    for row in rows:
        weight, target = Decimal(row[weight_key]), Decimal(row["target"])
        low, high = Decimal(row["low"]), Decimal(row["high"])
        room = high - target if weight >= target else target - low
        strain = abs(weight - target) / max(room, Decimal("0.000001"))
        if strain > worst_strain:
            worst, worst_strain = Strain(row["label"], weight, target, low, high), strain
    return worst


def newest_checks(checks: QuerySet[models.Check]) -> QuerySet[models.Check]:
    """Return those checks that are the newest of their account."""
    newer = models.Check.objects.filter(account=OuterRef("account"), id__gt=OuterRef("id"))
    return checks.filter(~Exists(newer))


def _checks_of(tab: Tab, checks: QuerySet[models.Check]) -> QuerySet[models.Check]:
    if tab is Tab.BLOCKED:
        return newest_checks(checks.filter(status=CheckStatus.BLOCKED))
    open_proposal = models.Proposal.objects.filter(
        account=OuterRef("account"), status__in=sorted(OPEN_PROPOSAL)
    )
    # Between two looks of a slow schedule the newest check still tells of what trades have cured.
    cure = models.Proposal.objects.filter(
        origin_check=OuterRef("pk"), status__in=TAB_STATUSES[Tab.DONE]
    )
    wanting = checks.filter(
        Q(status=CheckStatus.DUE)
        | Q(
            is_breached=True,
            status__in=[CheckStatus.NO_TRADE, CheckStatus.PROPOSED],
        )
    )
    return newest_checks(wanting).filter(~Exists(open_proposal), ~Exists(cure))


def _proposals_of(
    tab: Tab, proposals: QuerySet[models.Proposal], now: datetime
) -> QuerySet[models.Proposal]:
    rows = proposals.filter(status__in=TAB_STATUSES[tab])
    return rows.filter(closed_at__gte=now - timedelta(days=DONE_DAYS)) if tab is Tab.DONE else rows


def count_tabs(
    *, proposals: QuerySet[models.Proposal], checks: QuerySet[models.Check], now: datetime
) -> dict[Tab, int]:
    """Return how many rows each tab holds, in three queries."""
    recently = Q(closed_at__gte=now - timedelta(days=DONE_DAYS))
    counts = proposals.aggregate(
        **{
            str(tab): Count(
                "id", filter=Q(status__in=statuses) & (recently if tab is Tab.DONE else Q())
            )
            for tab, statuses in TAB_STATUSES.items()
        }
    )
    by_tab = {tab: int(counts[tab]) for tab in PROPOSAL_TABS}
    for tab in (Tab.BREACHED, Tab.BLOCKED):
        by_tab[tab] = _checks_of(tab, checks).count()
    return {tab: by_tab[tab] for tab in Tab}


def list_proposal_rows(
    *,
    tab: Tab,
    proposals: QuerySet[models.Proposal],
    search: str,
    sort: Sort,
    now: datetime,
) -> QuerySet[models.Proposal]:
    """Return the proposals of a tab, to be paged and then described."""
    rows = _search(_proposals_of(tab, proposals, now), search)
    return (
        rows.select_related("account__household", "origin_check")
        .annotate(trade_count=Count("trades"))
        .order_by(*_PROPOSAL_ORDER[sort])
    )


def list_check_rows(
    *, tab: Tab, checks: QuerySet[models.Check], search: str, sort: Sort
) -> QuerySet[models.Check]:
    """Return the checks of a tab, to be paged and then described."""
    rows = _search(_checks_of(tab, checks), search)
    return rows.select_related("account__household").order_by(*_CHECK_ORDER[sort])


def _search(rows: QuerySet[Row], search: str) -> QuerySet[Row]:
    if not search:
        return rows
    return rows.filter(
        Q(account__household__name__icontains=search)
        | Q(account__name__icontains=search)
        | Q(account__number__icontains=search)
    )


def describe_proposal(proposal: models.Proposal, *, user_id: int) -> WorkRow:
    """Return a proposal of `list_proposal_rows` as a line."""
    account = proposal.account
    return WorkRow(
        household_name=account.household.name,
        household_public_id=account.household.public_id,
        account_name=account.name,
        account_public_id=account.public_id,
        tax_status=words.TAX_STATUS_WORDS[account.tax_status],
        status=proposal.status,
        strain=find_strain(proposal.classes, "before"),
        drift=proposal.drift_before,
        value=proposal.value,
        cause=words.CAUSE_LABELS[proposal.origin_check.cause],
        reason=proposal.close_reason,
        since=proposal.closed_at or proposal.created_at,
        price_date=proposal.price_date,
        proposal_public_id=proposal.public_id,
        content_hash=proposal.content_hash,
        tax_amount=proposal.tax_amount,
        turnover_amount=proposal.turnover_amount,
        trade_count=getattr(proposal, "trade_count", 0),
        expires_at=proposal.expires_at,
        is_own=proposal.proposed_by_id == user_id,
    )


def describe_check(check: models.Check) -> WorkRow:
    """Return a check of `list_check_rows` as a line."""
    account = check.account
    return WorkRow(
        household_name=account.household.name,
        household_public_id=account.household.public_id,
        account_name=account.name,
        account_public_id=account.public_id,
        tax_status=words.TAX_STATUS_WORDS[account.tax_status],
        status=check.status,
        strain=find_strain(check.drift, "weight"),
        drift=check.drift_max,
        value=check.value,
        cause=words.LOOK_LABELS[check.cause],
        reason=check.reason,
        since=check.created_at,
        price_date=check.price_date,
    )


def find_chosen(
    *, proposals: QuerySet[models.Proposal], choices: Mapping[UUID, str]
) -> list[tuple[models.Proposal, str]]:
    """Return the chosen proposals that may be seen, each with the hash seen, oldest first."""
    rows = (
        proposals.filter(public_id__in=choices)
        .select_related("account__household")
        .order_by(F("id").asc())
    )
    return [(row, choices[row.public_id]) for row in rows]
