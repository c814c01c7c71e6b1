"""The order blotter: every order that the reader may see, with its fills."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db.models import Count, Prefetch, Q, QuerySet

from rebalancer import models
from rebalancer.domain.lifecycle import OPEN_ORDER, OrderStatus


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """What to show; an empty part does not narrow. `status` may also be OPEN."""

    status: str = ""
    side: str = ""
    symbol: str = ""
    search: str = ""
    since_date: date | None = None
    until_date: date | None = None


def list_orders(*, orders: QuerySet[models.Order], wanted: OrderFilter) -> QuerySet[models.Order]:
    """Return the orders of a filter, newest first, with account, household and fills."""
    rows = orders
    if wanted.status == "OPEN":
        rows = rows.filter(status__in=sorted(OPEN_ORDER))
    elif wanted.status:
        rows = rows.filter(status=wanted.status)
    if wanted.side:
        rows = rows.filter(side=wanted.side)
    if wanted.symbol:
        rows = rows.filter(security__symbol__iexact=wanted.symbol)
    if wanted.search:
        rows = rows.filter(
            Q(account__household__name__icontains=wanted.search)
            | Q(account__name__icontains=wanted.search)
            | Q(client_order_id__istartswith=wanted.search)
        )
    if wanted.since_date:
        rows = rows.filter(created_at__date__gte=wanted.since_date)
    if wanted.until_date:
        rows = rows.filter(created_at__date__lte=wanted.until_date)
    return (
        rows.select_related("account__household", "security", "proposal")
        .prefetch_related(Prefetch("fills", models.Fill.objects.order_by("id")))
        .order_by("-id")
    )


def count_orders(orders: QuerySet[models.Order]) -> Mapping[str, int]:
    """Return how many orders are open, filled, and ended otherwise, in one query."""
    counts = orders.aggregate(
        open=Count("pk", filter=Q(status__in=sorted(OPEN_ORDER))),
        filled=Count("pk", filter=Q(status=OrderStatus.FILLED)),
        other=Count(
            "pk",
            filter=Q(status__in=[OrderStatus.REJECTED, OrderStatus.CANCELLED, OrderStatus.EXPIRED]),
        ),
        unknown=Count("pk", filter=Q(status=OrderStatus.SUBMITTING)),
    )
    return {name: int(count) for name, count in counts.items()}


def measure_average_price(order: models.Order) -> Decimal | None:
    """Return what a share came to on average, None before the first fill."""
    return order.filled_amount / order.filled_quantity if order.filled_quantity else None
