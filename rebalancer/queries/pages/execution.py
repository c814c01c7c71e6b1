"""What the pages of execution show: costs by month, security and block, and how fair it was."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from django.db.models import Count, Max, Min, Q, QuerySet

from rebalancer import models
from rebalancer.domain.lifecycle import CLOSED_ORDER, OPEN_ORDER, OrderStatus
from rebalancer.domain.shortfall import Shortfall, sum_shortfalls
from rebalancer.queries.costs import (
    BlockCost,
    list_blocks,
    list_newest_estimates,
    measure_blocks,
)
from rebalancer.queries.fairness import RankTest, compare_accounts, list_shared, measure_shares

MONTHS_SHOWN, MONTHS_COMPARED = 12, 6
UNDER_WAY_SHOWN = 50
# Below this p-value a month's differences would be rare by luck alone.
SUSPECT = 0.01


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month, by its first and last day."""

    first: date
    last: date

    @property
    def code(self) -> str:
        """Return how addresses name it."""
        return f"{self.first:%Y-%m}"


@dataclass(frozen=True, slots=True)
class CostLine:
    """The cost of many blocks together, and what they have in common."""

    name: str
    block_count: int
    shortfall: Shortfall

    @property
    def expected_bps(self) -> Decimal:
        """Return the spread and impact that were expected, in bps of what was decided."""
        return self.shortfall.as_bps(self.shortfall.expected_trading)

    @property
    def delay_bps(self) -> Decimal:
        """Return what waiting cost, in bps of what was decided."""
        return self.shortfall.as_bps(self.shortfall.delay)

    @property
    def trading_bps(self) -> Decimal:
        """Return what spread and impact cost, in bps of what was decided."""
        return self.shortfall.as_bps(self.shortfall.trading)

    @property
    def missed_bps(self) -> Decimal:
        """Return what was missed by not filling, in bps of what was decided."""
        return self.shortfall.as_bps(self.shortfall.missed)

    @property
    def total_bps(self) -> Decimal:
        """Return the whole shortfall, in bps of what was decided."""
        return self.shortfall.as_bps(self.shortfall.total)


@dataclass(frozen=True, slots=True)
class CostPage:
    """A year of months, and the securities of the month that is looked at."""

    months: Sequence[CostLine]
    securities: Sequence[CostLine]
    estimates: Sequence[models.CostEstimate]


@dataclass(frozen=True, slots=True)
class MonthFairness:
    """A month's blocks: how many were not shared out fairly, and who had better luck."""

    month: Month
    block_count: int
    unfair_count: int
    test: RankTest

    @property
    def is_suspect(self) -> bool:
        """Return whether such differences would be rare by luck alone."""
        return self.test.p_value < SUSPECT


def read_month(code: str) -> Month | None:
    """Return the month of an address, None where it names none."""
    try:
        return get_month(date.fromisoformat(f"{code}-01")) if len(code) == len("2026-11") else None
    except (ValueError, OverflowError):
        return None


def get_month(day: date) -> Month:
    """Return the month of a day."""
    first = day.replace(day=1)
    return Month(first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1))


def find_newest_month(firm_id: int, today: date) -> Month:
    """Return the newest month in which a block was worked; this one, where there is none."""
    newest = list_blocks(firm_id=firm_id).aggregate(newest=Max("session_date"))["newest"]
    return get_month(newest or today)


def list_months(until: Month, count: int) -> list[Month]:
    """Return so many months, the newest first."""
    months = [until]
    while len(months) < count:
        months.append(get_month(months[-1].first - timedelta(days=1)))
    return months


def list_under_way(firm_id: int) -> QuerySet[models.Block]:
    """Return a firm's blocks at work, the newest first, with how many of their slices are over.

    `next_due_at` is when the next slice goes that was not sent yet.
    """
    is_over = Q(slices__status__in=sorted(CLOSED_ORDER))
    return (
        models.Block.objects.filter(firm_id=firm_id, status__in=sorted(OPEN_ORDER))
        .select_related("security")
        .annotate(
            slice_count=Count("slices"),
            done_count=Count("slices", filter=is_over),
            next_due_at=Min("slices__due_at", filter=Q(slices__status=OrderStatus.NEW)),
        )
        .order_by("-pk")[:UNDER_WAY_SHOWN]
    )


def load_costs(*, firm_id: int, newest: Month, month: Month) -> CostPage:
    """Return costs of a year by month, and those of one month by security."""
    since = list_months(newest, MONTHS_SHOWN)[-1].first
    costs = measure_blocks(list_blocks(firm_id=firm_id, since=since, until=newest.last))
    if since <= month.first <= newest.first:
        in_month = [cost for cost in costs if month.first <= cost.block.session_date <= month.last]
    else:
        in_month = measure_blocks(list_blocks(firm_id=firm_id, since=month.first, until=month.last))
    return CostPage(
        months=_sum_by(costs, [f"{cost.block.session_date:%Y-%m}" for cost in costs])[::-1],
        securities=_sum_by(in_month, [cost.block.security.symbol for cost in in_month]),
        estimates=sorted(list_newest_estimates(firm_id), key=lambda row: row.security.symbol),
    )


def describe_cost(cost: BlockCost) -> CostLine:
    """Return one block's cost as a line."""
    return CostLine(cost.block.security.symbol, 1, cost.shortfall)


def _sum_by(costs: Sequence[BlockCost], names: Iterable[str]) -> list[CostLine]:
    groups: dict[str, list[Shortfall]] = {}
    for cost, name in zip(costs, names, strict=True):
        groups.setdefault(name, []).append(cost.shortfall)
    return [
        CostLine(name, len(parts), sum_shortfalls(parts)) for name, parts in sorted(groups.items())
    ]


def load_fairness(*, firm_id: int, newest: Month) -> list[MonthFairness]:
    """Return how fair the last months were, newest first; months without a block are left out."""
    found = []
    for month in list_months(newest, MONTHS_COMPARED):
        since, until = month.first, month.last
        shares = measure_shares(list_shared(firm_id=firm_id, since=since, until=until))
        if shares:
            unfair = sum(not one.fairness.is_fair for one in shares)
            test = compare_accounts(firm_id=firm_id, since=since, until=until)
            found.append(MonthFairness(month, len(shares), unfair, test))
    return found
