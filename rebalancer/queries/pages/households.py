"""The list of households with what they are worth and where they stand, by their newest checks."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from accounts.queries import people
from portfolios.domain.money import ZERO
from rebalancer import models
from rebalancer.domain.kinds import CheckStatus
from rebalancer.domain.lifecycle import OPEN_PROPOSAL, ProposalStatus

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
    value: Decimal = ZERO
    account_count: int = 0
    drift_max: Decimal = ZERO
    statuses: set[str] = field(default_factory=set)

    @property
    def status(self) -> str:
        """Return the worst status, or nothing before the first check."""
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
    # The newest check of every account, summed: a value that needs no price to be looked up.
    newest = (
        models.Check.objects.filter(account__household=OuterRef("pk"), account__is_open=True)
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
    rows: "Sequence[Household]", accounts: "QuerySet[Account]"
) -> list[HouseholdLine]:
    """Return households as lines, in a fixed number of queries."""
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
    for household_id in household_of.values():
        lines[household_id].account_count += 1
    for check in _newest_checks(sorted(household_of)):
        line = lines[household_of[check["account_id"]]]
        line.value += check["value"]
        line.drift_max = max(line.drift_max, check["drift_max"])
        if check["status"] == CheckStatus.BLOCKED:
            line.statuses.add("BLOCKED")
        else:
            line.statuses.add("BREACHED" if check["is_breached"] else "QUIET")
    for household_id, statuses in _open_proposals(ids).items():
        # A breach that is being seen to is no longer the news.
        lines[household_id].statuses.discard("BREACHED")
        lines[household_id].statuses |= statuses
    return list(lines.values())


def _newest_checks(account_ids: Sequence[int]) -> list[Mapping[str, Any]]:
    return list(
        models.Check.objects.filter(account_id__in=account_ids)
        .order_by("account_id", "-id")
        .distinct("account_id")
        .values("account_id", "status", "is_breached", "drift_max", "value")
    )


def _open_proposals(household_ids: Sequence[int]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = defaultdict(set)
    for household_id, status in models.Proposal.objects.filter(
        account__household_id__in=household_ids, status__in=sorted(OPEN_PROPOSAL)
    ).values_list("account__household_id", "status"):
        found[household_id].add("PENDING" if status == ProposalStatus.PENDING else "EXECUTING")
    return found
