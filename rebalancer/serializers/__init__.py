"""Shapes of decisions over the API: holdings, proposals and decisions; nothing here saves."""

import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from accounts.domain.roles import Role
from accounts.serializers import ReferenceSerializer
from portfolios.domain.kinds import Side
from rebalancer.access import UNDECIDED
from rebalancer.domain.kinds import Cause, TradeReason
from rebalancer.domain.lifecycle import ProposalStatus
from rebalancer.queries.pages.consents import shows_trades_early
from rebalancer.serializers.certificates import EngineAnswerSerializer, Reckoned
from rebalancer.serializers.checks import CheckSerializer as CheckSerializer
from rebalancer.serializers.consents import HASH_LENGTH, ClientWordSerializer
from rebalancer.serializers.orders import CancellationSerializer as CancellationSerializer
from rebalancer.serializers.orders import OrderQuery as OrderQuery
from rebalancer.serializers.orders import OrderSerializer as OrderSerializer
from rebalancer.serializers.orders import ProposalOrderSerializer
from robo.common.api.serializers import (
    Code,
    ErrorSerializer,
    InputSerializer,
    Money,
    PageQuery,
    Price,
    Quantity,
    Text,
    Weight,
)

NOTE_LENGTH_MAX = 500
TRADES_MAX = 500
CASH_MAX = Decimal("999999999.99")
# What a client is not shown of a proposal that an advisor is still looking at: it may change.
HIDDEN_WHILE_UNDECIDED = (
    "cash_after",
    "turnover_amount",
    "cost_amount",
    "short_term_gain",
    "long_term_gain",
    "tax_amount",
)


def name_trade(*, proposal_id: uuid.UUID, security_id: uuid.UUID) -> uuid.UUID:
    """Return the public id of a trade: a proposal has at most one trade of a security."""
    return uuid.uuid5(proposal_id, str(security_id))


# --- Accounts ------------------------------------------------------------------------------------


class HeldLotSerializer(serializers.Serializer[Any]):
    """An open tax lot, valued today."""

    acquired_date = serializers.DateField()
    quantity = Quantity()
    cost = Money()
    value = Money(allow_null=True)
    gain = Money(allow_null=True, help_text="not realised")
    is_long_term = serializers.BooleanField()


class HoldingSerializer(serializers.Serializer[Any]):
    """One security that is held, or wanted. Without a usable price, price and values are null."""

    symbol = serializers.CharField()
    name = serializers.CharField()
    asset_class = serializers.CharField(source="class_name")
    quantity = Quantity()
    price = Price(allow_null=True)
    price_date = serializers.DateField(allow_null=True)
    value = Money(allow_null=True)
    cost = Money()
    gain = Money(allow_null=True, help_text="not realised")
    weight = Weight()
    target = Weight()
    lots = HeldLotSerializer(many=True)


class BandSerializer(serializers.Serializer[Any]):
    """An asset class against its target and band."""

    label = serializers.CharField()  # type: ignore[assignment]
    weight = Weight()
    target = Weight()
    low = Weight()
    high = Weight()
    is_breached = serializers.BooleanField()


class HoldingsSerializer(serializers.Serializer[Any]):
    """An account as it stands: what it holds, lot by lot, against what its model wants."""

    account = ReferenceSerializer()
    currency = serializers.CharField()
    price_date = serializers.DateField(help_text="the market day of the values")
    value = Money()
    cash = Money()
    cash_weight = Weight()
    cash_target = Weight()
    gain = Money(help_text="not realised")
    drift_max = Weight(help_text="largest distance from target")
    is_breached = serializers.BooleanField()
    blocked = serializers.CharField(help_text="why it cannot be measured; empty when it can")
    policy = ReferenceSerializer(allow_null=True)
    classes = BandSerializer(many=True)
    holdings = HoldingSerializer(many=True)


class NothingSerializer(InputSerializer):
    """An empty object: the address says it all."""


class CashMoveSerializer(InputSerializer):
    """Money that came or went."""

    amount = Money(min_value=Decimal("0.01"), max_value=CASH_MAX)

    def validate_amount(self, value: Decimal) -> Decimal:
        """Return the amount, unless it came as a number and may have lost digits on its way.

        :raises ValidationError: when it was no string.
        """
        if not isinstance(self.initial_data["amount"], str):
            raise serializers.ValidationError("Write this as a string.", code="invalid")
        return value


class BookedCashSerializer(serializers.Serializer[Any]):
    """Money as it stands in the books."""

    account = ReferenceSerializer()
    amount = Money()
    entry_date = serializers.DateField()


# --- Proposals -----------------------------------------------------------------------------------


class ProposalSerializer(serializers.Serializer[Any]):
    """What a proposal comes to. A client sees null for figures that may still change."""

    id = serializers.UUIDField(source="public_id")
    account = ReferenceSerializer()
    household = ReferenceSerializer(source="account.household")
    status = Code(ProposalStatus)
    price_date = serializers.DateField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)
    value = Money()
    cash_before = Money()
    cash_after = Money(allow_null=True)
    turnover_amount = Money(allow_null=True)
    cost_amount = Money(allow_null=True, help_text="half spreads")
    short_term_gain = Money(allow_null=True)
    long_term_gain = Money(allow_null=True)
    tax_amount = Money(allow_null=True, help_text="below zero: saved")
    drift_before = Weight(help_text="half the sum of distances from target")
    drift_after = Weight()

    def to_representation(self, instance: Any) -> Any:
        """Return the figures that the reader may see."""
        shown = super().to_representation(instance)
        if is_hidden(instance, self.context["role"]):
            shown |= dict.fromkeys(HIDDEN_WHILE_UNDECIDED)
        return shown


def is_hidden(proposal: Any, role: str) -> bool:
    """Return whether the trades of a proposal are not yet shown to this role."""
    is_early = role == Role.CLIENT and proposal.status in UNDECIDED
    return is_early and not shows_trades_early(proposal)


class ProposalClassSerializer(serializers.Serializer[Any]):
    """An asset class before and after the trades."""

    label = serializers.CharField()  # type: ignore[assignment]
    target = Weight()
    low = Weight()
    high = Weight()
    before = Weight()
    after = Weight()
    is_breached = serializers.BooleanField()
    is_breached_after = serializers.BooleanField()


class TradeLotSerializer(serializers.Serializer[Any]):
    """How much of which lot a sale takes, in order."""

    rank = serializers.IntegerField()
    acquired_date = serializers.DateField(source="lot.acquired_date")
    quantity = Quantity()
    cost = Money()
    gain = Money()
    tax_amount = Money()
    is_long_term = serializers.BooleanField()


class TradeSerializer(serializers.Serializer[Any]):
    """A proposed quantity of one security, and why."""

    id = serializers.SerializerMethodField()
    symbol = serializers.CharField(source="security.symbol")
    name = serializers.CharField(source="security.name")
    asset_class = serializers.CharField(source="security.asset_class.name")
    side = Code(Side)
    quantity = Quantity()
    price = Price(help_text="the market price")
    fill_price = Price(help_text="with the half spread against us")
    amount = Money(help_text="cash paid or received")
    cost_amount = Money()
    short_term_gain = Money()
    long_term_gain = Money()
    tax_amount = Money()
    weight_before = Weight()
    weight_after = Weight()
    weight_target = Weight()
    reason = Code(TradeReason)
    explanation = serializers.CharField()
    drift_removed = Reckoned(
        source="drift_removed_amount", help_text="cost of drift that it takes away"
    )
    rule = serializers.CharField(help_text="what limited it; empty: nothing but its own price")
    next_best = serializers.CharField(help_text="the best other quantity, and how much dearer")
    lots = TradeLotSerializer(many=True, source="trade_lots")

    def get_id(self, trade: Any) -> uuid.UUID:
        """Return the id under which the trade can be removed."""
        return name_trade(
            proposal_id=self.context["proposal_id"], security_id=trade.security.public_id
        )


class DecisionSerializer(serializers.Serializer[Any]):
    """A person's yes or no."""

    is_approved = serializers.BooleanField()
    decided_by = serializers.CharField(source="decided_by.name")
    decided_at = serializers.DateTimeField()
    note = serializers.SerializerMethodField()

    def get_note(self, decision: Any) -> str:
        """Return the note; it is for colleagues, not for clients."""
        return "" if self.context["role"] == Role.CLIENT else str(decision.note)


class MovedPriceSerializer(serializers.Serializer[Any]):
    """A price that is not what it was when the proposal was made."""

    symbol = serializers.CharField()
    then = Price()
    now = Price(allow_null=True)
    change = Weight(allow_null=True)
    is_too_far = serializers.BooleanField(help_text="beyond the tolerance of the policy")


class ModelEditionSerializer(serializers.Serializer[Any]):
    """The version of the model that a proposal leads to."""

    id = serializers.UUIDField(source="model.public_id")
    name = serializers.CharField(source="model.name")
    version = serializers.IntegerField(source="number")


class ProposalPartsSerializer(ClientWordSerializer, EngineAnswerSerializer):
    """What only the detail of a proposal shows."""

    cause = Code(Cause)
    cause_sentence = serializers.CharField()
    content_hash = serializers.CharField(
        allow_null=True,
        help_text="what a decision or an answer is bound to; null for clients who are not asked",
    )
    proposed_by = serializers.CharField()
    policy = ReferenceSerializer()
    model = ModelEditionSerializer()
    supersedes = serializers.UUIDField(allow_null=True)
    superseded_by = serializers.UUIDField(allow_null=True)
    close_reason = serializers.CharField()
    notes = serializers.ListField(
        child=serializers.CharField(), help_text="what limited the plan, in sentences"
    )
    changes = serializers.ListField(
        child=serializers.CharField(), help_text="what would refuse an approval now, in sentences"
    )
    moved_prices = MovedPriceSerializer(many=True)
    classes = ProposalClassSerializer(many=True)
    trades = TradeSerializer(many=True, allow_null=True, help_text="null while hidden")
    decision = DecisionSerializer(allow_null=True)
    orders = ProposalOrderSerializer(many=True)


class ProposalDetailSerializer(ProposalPartsSerializer, ProposalSerializer):
    """A whole proposal: everything that its page shows."""


class ProposalQuery(PageQuery):
    """Which proposals to list."""

    status = Code(ProposalStatus, required=False)
    account = serializers.UUIDField(required=False)


class ApprovalSerializer(InputSerializer):
    """A yes, bound to what was seen."""

    content_hash = Text(max_length=HASH_LENGTH, help_text="as the proposal showed it")
    note = Text(max_length=NOTE_LENGTH_MAX, allow_blank=True, default="")


class RejectionSerializer(InputSerializer):
    """A no, bound to what was seen, with its reason."""

    content_hash = Text(max_length=HASH_LENGTH, help_text="as the proposal showed it")
    note = Text(max_length=NOTE_LENGTH_MAX, help_text="why, in a few words")


class TradeChoiceSerializer(InputSerializer):
    """The trades that a person wants out of a proposal."""

    trades = serializers.ListField(
        child=serializers.UUIDField(), allow_empty=False, max_length=TRADES_MAX
    )

    def validate_trades(self, value: list[uuid.UUID]) -> list[int]:
        """Return the trades' keys.

        :raises ValidationError: naming the first id that is no trade of the proposal.
        """
        known: Mapping[uuid.UUID, int] = self.context["trades"]
        for trade_id in value:
            if trade_id not in known:
                raise serializers.ValidationError(
                    f"{trade_id} is not a trade of this proposal.", code="unknown_trade"
                )
        return [known[trade_id] for trade_id in value]


class StaleSerializer(ErrorSerializer):
    """Not approved. When facts have moved, it names the proposal that took this one's place."""

    fresh_proposal_id = serializers.UUIDField(
        required=False, allow_null=True, help_text="null when nothing worth trading is left"
    )
