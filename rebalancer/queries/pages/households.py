"""The list of households with what they are worth and where they stand at the prices of a day."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from accounts.queries import people
from portfolios.domain.money import ZERO
from rebalancer import models
from rebalancer.domain.lifecycle import OPEN_PROPOSAL, ProposalStatus
from rebalancer.queries.pages.standing import load_standings

if TYPE_CHECKING:
    from accounts.models import Account, Household

# The worst news of a household's accounts is the household's; first is worst.
WORST_FIRST = ("BLOCKED", "BREACHED", "PENDING", "EXECUTING", "QUIET")


class HouseholdSort(StrEnum):
    """What comes first."""

    NAME = "name"
    VALUE = "value"


@dataclass(slots=True)
class HouseholdLine:
    """One household."""

    public_id: UUID
    name: str
    advisor: str
    value: float = 0.0
    account_count: int = 0
    drift_max: float = 0.0
    statuses: set[str] = field(default_factory=set)

    @property
    def status(self) -> str:
        """Return the worst status, or nothing where there are no accounts."""
        return next((status for status in WORST_FIRST if status in self.statuses), "")


def list_household_rows(
    *, households: "QuerySet[Household]", search: str, sort: HouseholdSort
) -> "QuerySet[Household]":
    """Return the households to be paged and then described."""
    rows = households
    if search:
        rows = rows.filter(
            Q(name__icontains=search)
            | Q(accounts__number__icontains=search)
            | Q(accounts__name__icontains=search)
        ).distinct()
    if sort is HouseholdSort.NAME:
        return rows.order_by("name")
    # The newest check of every account, summed: near enough to order by, without a price to look
    # up for every household of the firm.
    newest = (
        # The household is two queries further out.
        models.Check.objects.filter(
            account__household=OuterRef(OuterRef("pk")), account__is_open=True
        )
        .order_by("account_id", "-id")
        .distinct("account_id")
        .values("pk")
    )
    total = (
        models.Check.objects.filter(pk__in=newest)
        .order_by()
        .values("account__household")
        .annotate(total=Sum("value"))
        .values("total")
    )
    return rows.annotate(value=Coalesce(Subquery(total), ZERO)).order_by("-value", "name")


def describe_households(
    rows: "Sequence[Household]",
    accounts: "QuerySet[Account]",
    *,
    price_date: date,
    sort: HouseholdSort = HouseholdSort.NAME,
) -> list[HouseholdLine]:
    """Return households of one firm as lines, measured as their own pages are, in the same order.

    A fixed number of queries.
    """
    if not rows:
        return []
    ids = [row.pk for row in rows]
    leads = people.list_lead_advisors(ids)
    lines = {
        row.pk: HouseholdLine(
            row.public_id, row.name, leads[row.pk].name if row.pk in leads else ""
        )
        for row in rows
    }
    household_of: dict[int, int] = dict(
        accounts.filter(household_id__in=ids, is_open=True)
        .order_by()
        .values_list("pk", "household_id")
    )
    standings = load_standings(
        firm_id=rows[0].firm_id, account_ids=sorted(household_of), price_date=price_date
    )
    for account_id, standing in standings.by_account.items():
        line = lines[household_of[account_id]]
        line.account_count += 1
        line.value += standing.value
        if standing.blocked:
            line.statuses.add("BLOCKED")
            continue
        line.drift_max = max(line.drift_max, standing.drift_max)
        line.statuses.add("BREACHED" if standing.is_breached else "QUIET")
    for household_id, statuses in _open_proposals(ids).items():
        # A breach that is being seen to is no longer the news.
        lines[household_id].statuses.discard("BREACHED")
        lines[household_id].statuses |= statuses
    if sort is HouseholdSort.VALUE:
        return sorted(lines.values(), key=lambda line: -line.value)
    return list(lines.values())


def _open_proposals(household_ids: Sequence[int]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = defaultdict(set)
    for household_id, status in models.Proposal.objects.filter(
        account__household_id__in=household_ids, status__in=sorted(OPEN_PROPOSAL)
    ).values_list("account__household_id", "status"):
        found[household_id].add("PENDING" if status == ProposalStatus.PENDING else "EXECUTING")
    return found
