"""What trading cost: the shortfall of each block and order, and what is learnt from it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db.models import F, QuerySet, Sum

from portfolios.domain.kinds import Side
from portfolios.domain.money import BPS
from portfolios.queries.prices import list_closes
from rebalancer import models
from rebalancer.domain.calibration import SAMPLES_MIN, Sample
from rebalancer.domain.execution import measure_expected_cost_bps
from rebalancer.domain.kinds import CostSource
from rebalancer.domain.lifecycle import CLOSED_ORDER
from rebalancer.domain.limits import Limits
from rebalancer.domain.shortfall import Shortfall, measure_shortfall


@dataclass(frozen=True, slots=True)
class MeasuredCost:
    """Spread and impact of a security as its executions tell them."""

    half_spread_bps: Decimal
    coefficient: Decimal


@dataclass(frozen=True, slots=True)
class BlockCost:
    """A block that is over, with what it cost; `has_close`: what did not fill could be valued."""

    block: models.Block
    decision_price: Decimal
    shortfall: Shortfall
    has_close: bool

    @property
    def average_price(self) -> Decimal | None:
        """Return what a share came to on average, None where nothing filled."""
        block = self.block
        return block.filled_value / block.filled_quantity if block.filled_quantity else None

    @property
    def expected_bps(self) -> Decimal:
        """Return the half spread and impact that were expected, in bps."""
        return self.block.expected_cost_bps

    @property
    def trading_bps(self) -> Decimal | None:
        """Return what spread and impact came to, in bps of what was filled; None: nothing was."""
        return measure_trading_bps(self.block)


def get_measured_costs(*, firm_id: int, limits: Limits) -> dict[int, MeasuredCost]:
    """Return the newest estimates that plans may reckon with, by security.

    There are none where the firm goes by its own figures, or has too few executions.
    """
    if limits.cost_source != CostSource.MEASURED:
        return {}
    return {
        row.security_id: MeasuredCost(row.half_spread_bps, row.impact_coefficient)
        for row in list_newest_estimates(firm_id)
        if row.spread_sample_count + row.impact_sample_count >= SAMPLES_MIN
    }


def list_newest_estimates(firm_id: int) -> QuerySet[models.CostEstimate]:
    """Return the newest estimate of each security of a firm, with its security."""
    return (
        models.CostEstimate.objects.filter(firm_id=firm_id)
        .select_related("security")
        .order_by("security_id", "-as_of_date")
        .distinct("security_id")
    )


def list_blocks(
    *, firm_id: int, since: date | None = None, until: date | None = None
) -> QuerySet[models.Block]:
    """Return a firm's blocks that are over and were not taken apart, newest first."""
    rows = models.Block.objects.filter(
        firm_id=firm_id, status__in=sorted(CLOSED_ORDER), is_dissolved=False
    )
    if since is not None:
        rows = rows.filter(session_date__gte=since)
    if until is not None:
        rows = rows.filter(session_date__lte=until)
    return rows.select_related("security").order_by("-session_date", "-pk")


def measure_blocks(blocks: Iterable[models.Block]) -> list[BlockCost]:
    """Return what these blocks cost, in their order; two queries for all of them."""
    rows = list(blocks)
    decided = {
        block_id: value / quantity
        for block_id, value, quantity in models.Order.objects.filter(block__in=rows)
        .values_list("block_id")
        .annotate(value=Sum(F("quantity") * F("trade__price")), shares=Sum("quantity"))
    }
    closes = _load_closes([(row.security_id, row.session_date) for row in rows])
    return [
        _measure_block(
            row,
            decided.get(row.pk, row.arrival_price),
            closes.get((row.security_id, row.session_date)),
        )
        for row in rows
    ]


def _measure_block(
    block: models.Block, decision_price: Decimal, close: Decimal | None
) -> BlockCost:
    shortfall = measure_shortfall(
        side=Side(block.side),
        # A broker may fill more than was ordered; nothing was missed then.
        quantity=max(block.quantity, block.filled_quantity),
        decision_price=decision_price,
        arrival_price=block.arrival_price,
        filled_quantity=block.filled_quantity,
        filled_value=block.filled_value,
        close_price=close or block.arrival_price,
        expected_bps=block.expected_cost_bps,
    )
    return BlockCost(block, decision_price, shortfall, close is not None)


def measure_orders(orders: Iterable[models.Order]) -> list[tuple[models.Order, Shortfall]]:
    """Return what orders cost that went out in a block; block and trade are at hand."""
    rows = [(order, order.block) for order in orders]
    closes = _load_closes(
        [(order.security_id, block.session_date) for order, block in rows if block]
    )
    return [
        (
            order,
            measure_shortfall(
                side=Side(order.side),
                quantity=order.quantity,
                decision_price=order.trade.price,
                arrival_price=block.arrival_price,
                filled_quantity=order.filled_quantity,
                filled_value=order.filled_amount,
                close_price=closes.get(
                    (order.security_id, block.session_date), block.arrival_price
                ),
                expected_bps=block.expected_cost_bps,
            ),
        )
        for order, block in rows
        if block
    ]


def _load_closes(wanted: Sequence[tuple[int, date]]) -> Mapping[tuple[int, date], Decimal]:
    return list_closes(
        security_ids={security_id for security_id, _day in wanted},
        days={day for _security_id, day in wanted},
    )


def measure_trading_bps(block: models.Block) -> Decimal | None:
    """Return what spread and impact cost a block, in bps of what it filled at arrival."""
    at_arrival = block.filled_quantity * block.arrival_price
    if not at_arrival:
        return None
    sign = 1 if block.side == Side.BUY else -1
    cost: Decimal = sign * (block.filled_value - at_arrival) / at_arrival / BPS
    return cost


def list_samples(
    *, firm_id: int, since: date, until: date
) -> dict[int, tuple[models.Block, list[Sample]]]:
    """Return what each security's blocks of a time tell of its costs, with one of them."""
    found: dict[int, tuple[models.Block, list[Sample]]] = {}
    for block in list_blocks(firm_id=firm_id, since=since, until=until).order_by("pk"):
        cost = measure_trading_bps(block)
        if cost is None:
            continue
        security = block.security
        scale = None
        if security.daily_volume and security.volatility:
            scale = measure_expected_cost_bps(
                quantity=block.filled_quantity,
                half_spread_bps=Decimal(0),
                daily_volume=security.daily_volume,
                yearly_volatility=security.volatility,
            )
        found.setdefault(security.pk, (block, []))[1].append(Sample(cost, scale))
    return found
