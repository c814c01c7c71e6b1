"""Shapes of execution over the API: what each block cost against the price it was decided at."""

from typing import Any

from rest_framework import serializers

from portfolios.domain.kinds import Side
from rebalancer.domain.kinds import SliceStrategy
from rebalancer.domain.lifecycle import OrderStatus
from robo.common.api.serializers import Code, Money, PageQuery, Price, Quantity

SYMBOL_LENGTH_MAX = 24


class ExecutionQuery(PageQuery):
    """Which blocks to list; both days are included."""

    symbol = serializers.CharField(required=False, max_length=SYMBOL_LENGTH_MAX)
    since = serializers.DateField(required=False)
    until = serializers.DateField(required=False)


class Bps(serializers.DecimalField):
    """Basis points, as a string with 4 places."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=20, decimal_places=4, **options)


class ExecutionCostSerializer(serializers.Serializer[Any]):
    """A block's implementation shortfall; above zero is a cost, whichever side was traded."""

    id = serializers.UUIDField(source="block.public_id")
    session_date = serializers.DateField(source="block.session_date")
    symbol = serializers.CharField(source="block.security.symbol")
    side = Code(Side, source="block.side")
    status = Code(OrderStatus, source="block.status")
    strategy = Code(SliceStrategy, source="block.strategy")
    plan_note = serializers.CharField(source="block.plan_note", help_text="why it was cut so")
    quantity = Quantity(source="block.quantity")
    filled_quantity = Quantity(source="block.filled_quantity")
    decision_price = Price(help_text="of the proposals, weighted by quantity")
    arrival_price = Price(source="block.arrival_price", help_text="when it was formed")
    average_price = Price(allow_null=True, help_text="null: nothing filled")
    delay_amount = Money(source="shortfall.delay", help_text="from decision to arrival")
    trading_amount = Money(source="shortfall.trading", help_text="spread and impact")
    missed_amount = Money(source="shortfall.missed", help_text="not filled, at the close")
    fees_amount = Money(source="shortfall.fees")
    total_amount = Money(source="shortfall.total")
    expected_bps = Bps(help_text="half spread and impact, before it traded")
    trading_bps = Bps(allow_null=True, help_text="what they came to, of what filled at arrival")
