"""Shapes of orders over the API: instructions to the broker, their fills, and cancelling one."""

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from accounts.domain.roles import Role
from accounts.serializers import ReferenceSerializer
from portfolios.domain.kinds import Side
from rebalancer.domain.lifecycle import OrderStatus
from rebalancer.queries.pages.orders import measure_average_price, tell_reason
from rebalancer.serializers.controls import REASON_LENGTH_MAX, SYMBOL_LENGTH_MAX
from robo.common.api.serializers import (
    Code,
    InputSerializer,
    Money,
    PageQuery,
    Price,
    Quantity,
    Text,
)


class AveragePrice(Price):
    """What a share of an order came to on average; null before the first fill."""

    def get_attribute(self, instance: Any) -> Decimal | None:
        """Return the average of the order's fills."""
        return measure_average_price(instance)


class Reason(serializers.CharField):
    """Why an order waits, or ended otherwise than filled; a client reads no words of staff."""

    def get_attribute(self, instance: Any) -> str:
        """Return the reason for this reader."""
        return tell_reason(instance, is_client=self.context["role"] == Role.CLIENT)


class FillSerializer(serializers.Serializer[Any]):
    """An order's share of what was traded for many at one price; below zero: taken back."""

    fill_date = serializers.DateField()
    quantity = Quantity()
    amount = Money()
    price = Price()
    recorded_at = serializers.DateTimeField()


class ProposalOrderSerializer(serializers.Serializer[Any]):
    """An instruction to the broker, with its fills."""

    id = serializers.UUIDField(source="public_id")
    client_order_id = serializers.CharField()
    symbol = serializers.CharField(source="security.symbol")
    side = Code(Side)
    quantity = Quantity()
    status = Code(OrderStatus)
    filled_quantity = Quantity()
    filled_amount = Money()
    average_price = AveragePrice(allow_null=True)
    reason = Reason(help_text="why it waits, or ended otherwise than filled; else empty")
    created_at = serializers.DateTimeField()
    submitted_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)
    fills = FillSerializer(many=True)


class OrderSerializer(ProposalOrderSerializer):
    """An order with where it comes from."""

    proposal_id = serializers.UUIDField(source="proposal.public_id")
    account = ReferenceSerializer()
    household = ReferenceSerializer(source="account.household")


class CancellationSerializer(InputSerializer):
    """Why an order is cancelled."""

    reason = Text(max_length=REASON_LENGTH_MAX, help_text="in a few words")


class OrderQuery(PageQuery):
    """Which orders to list."""

    status = Code(OrderStatus, required=False)
    side = Code(Side, required=False)
    symbol = serializers.CharField(required=False, max_length=SYMBOL_LENGTH_MAX)
    account = serializers.UUIDField(required=False)
    proposal = serializers.UUIDField(required=False)
