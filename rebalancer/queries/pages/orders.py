"""The order blotter: every order that the reader may see, with its fills."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db.models import Count, Prefetch, Q, QuerySet

from portfolios.domain.money import ZERO
from rebalancer import models
from rebalancer.domain.blocks import share_out
from rebalancer.domain.lifecycle import OPEN_ORDER, OrderStatus
from rebalancer.domain.stops import tell_client


@dataclass(frozen=True, slots=True)
class OrderLine:
    """An order as shown: while its block works, with the share that it has of it so far."""

    order: models.Order
    average_price: Decimal | None
    # What was filled of a working block is shared out for good when the block is over.
    provisional_quantity: Decimal
    reason: str  # why it waits, or ended otherwise than filled, for this reader

    @property
    def companion_count(self) -> int:
        """Return how many other orders are traded together with this one."""
        return len(self.order.block.statement) - 1 if self.order.block else 0


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
        rows.select_related("account__household", "security", "proposal", "block__security")
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


def tell_reason(order: models.Order, *, is_client: bool) -> str:
    """Return why an order waits, or ended otherwise than filled; its security is at hand."""
    return tell_client(order.reason, order.security.symbol) if is_client else order.reason


def describe_orders(orders: Iterable[models.Order], *, is_client: bool) -> list[OrderLine]:
    """Return orders as lines; their securities, and their blocks with securities, are at hand."""
    shares: dict[int, Mapping[str, Decimal]] = {}
    lines = []
    for order in orders:
        block = order.block
        provisional = ZERO
        if block is not None and block.status in OPEN_ORDER and block.filled_quantity:
            if block.pk not in shares:
                shares[block.pk] = _share_so_far(block)
            provisional = shares[block.pk].get(order.client_order_id, ZERO)
        lines.append(
            OrderLine(
                order,
                measure_average_price(order),
                provisional,
                tell_reason(order, is_client=is_client),
            )
        )
    return lines


def _share_so_far(block: models.Block) -> Mapping[str, Decimal]:
    parts = share_out(
        ordered=[Decimal(quantity) for _name, quantity in block.statement],
        share_step=block.security.share_step,
        filled=block.filled_quantity,
        value=block.filled_value,
    )
    return {name: part.quantity for (name, _q), part in zip(block.statement, parts, strict=True)}
