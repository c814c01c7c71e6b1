"""Shapes of the controls: what is stopped, what to stop, and the limits in force."""

from typing import Any

from rest_framework import serializers

from rebalancer.domain.kinds import BrokerKind, CostSource, SliceStrategy
from rebalancer.domain.limits import SwitchScope
from robo.common.api.serializers import Code, InputSerializer, Money, Text, Weight

REASON_LENGTH_MAX = 300
SYMBOL_LENGTH_MAX = 24


class SwitchSerializer(serializers.Serializer[Any]):
    """Something that is stopped."""

    id = serializers.UUIDField(source="public_id")
    scope = Code(SwitchScope)
    account = serializers.UUIDField(source="account.public_id", default=None, allow_null=True)
    symbol = serializers.CharField(source="security.symbol", default=None, allow_null=True)
    broker = serializers.CharField(help_text="empty unless a broker is stopped")
    reason = serializers.CharField()
    set_by = serializers.CharField(source="set_by.name")
    set_at = serializers.DateTimeField()
    is_clearing_asked = serializers.SerializerMethodField(
        help_text="one person asked for it to go on, another has yet to confirm"
    )

    def get_is_clearing_asked(self, row: Any) -> bool:
        """Return whether the first of two people has asked."""
        return row.clear_asked_by_id is not None


class StopSerializer(InputSerializer):
    """What to stop: exactly one of `account`, `symbol` and `broker` where the scope names one."""

    scope = Code(SwitchScope)
    account = serializers.UUIDField(required=False)
    symbol = Text(max_length=SYMBOL_LENGTH_MAX, required=False)
    broker = Code(BrokerKind, required=False)
    reason = Text(max_length=REASON_LENGTH_MAX)


class LimitsSerializer(serializers.Serializer[Any]):
    """The limits in force. Shares are fractions of one, amounts in the firm's currency."""

    revision = serializers.IntegerField(help_text="0: as delivered, the firm set none of its own")
    order_amount_max = Money()
    volume_share_max = Weight(help_text="of a usual day's volume")
    collar_bps = serializers.DecimalField(max_digits=8, decimal_places=3)
    account_turnover_max = Weight(help_text="bought and sold a day, of the account's value")
    account_orders_max = serializers.IntegerField(help_text="a day")
    account_gain_max = Money(help_text="realised in a day")
    firm_amount_max = Money(help_text="bought and sold a day")
    firm_orders_max = serializers.IntegerField(help_text="a day")
    rate_per_minute = serializers.IntegerField(help_text="instructions to brokers")
    duplicate_minutes = serializers.IntegerField()
    cool_down_days = serializers.IntegerField()
    open_minutes = serializers.IntegerField()
    close_minutes = serializers.IntegerField()
    settlement_days = serializers.IntegerField(help_text="sessions")
    slice_strategy = Code(SliceStrategy, help_text="how large blocks are spread over their day")
    slice_share_min = Weight(help_text="of a usual day's volume; smaller blocks go whole")
    participation_max = Weight(help_text="of what trades while a slice is at work")
    risk_aversion = serializers.DecimalField(
        max_digits=12, decimal_places=4, help_text="of the schedule by risk, times a million"
    )
    cost_source = Code(CostSource, help_text="whose word on spread and impact plans take")
    amount_today = Money(help_text="of firm_amount_max")
    orders_today = serializers.IntegerField(help_text="of firm_orders_max")
