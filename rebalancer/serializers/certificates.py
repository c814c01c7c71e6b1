"""Shapes of what the engine says of its plans: the certificate, and what is not traded and why."""

from typing import Any

from rest_framework import serializers

from rebalancer.domain.kinds import Mode, Path
from robo.common.api.serializers import Code, Money


class Reckoned(serializers.DecimalField):
    """Money that the engine reckons with and nobody books, as a string with 6 places."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=28, decimal_places=6, **options)


class TermsSerializer(serializers.Serializer[Any]):
    """What a plan costs, part by part."""

    drift = Reckoned(help_text="what is still off target")
    cash_drag = Reckoned(help_text="cash off its target")
    tax = Reckoned(help_text="below zero: saved")
    spread = Reckoned()
    commission = Reckoned()
    tickets = Reckoned(help_text="what fewer trades would be worth")
    impact = Reckoned(help_text="what large trades move the price")
    location = Reckoned(help_text="what is held in the account where it is taxed more")
    total = Reckoned()


class CertificateSerializer(serializers.Serializer[Any]):
    """How good a plan is: what it and simpler ones cost, and the least that any plan could."""

    plan = TermsSerializer()
    nothing = TermsSerializer(help_text="doing nothing")
    buy_only = TermsSerializer(allow_null=True, help_text="null: cash forbids it")
    naive = TermsSerializer(allow_null=True, help_text="straight to target")
    bound = Reckoned(allow_null=True, help_text="no plan costs less; null: not known")
    gap = Reckoned(allow_null=True, help_text="at most so much is left on the table")
    gap_bps = Reckoned(allow_null=True, help_text="the gap in 1/10,000 of the value")
    gain = Reckoned(help_text="by how much the plan is better than doing nothing")
    hurdle = Reckoned(help_text="what it must gain to be proposed")
    is_worth_it = serializers.BooleanField()

    def get_attribute(self, instance: Any) -> Any:
        """Return the stored certificate, or None where there is none."""
        return super().get_attribute(instance) or None


class UntradedSerializer(serializers.Serializer[Any]):
    """A trade that going straight to target would make, and why the plan does not."""

    symbol = serializers.CharField()
    code = serializers.CharField(help_text="TAX, INSIDE_NO_TRADE_ZONE, NEVER_BUY, WASH, …")
    amount = Money(help_text="below zero: a sale")
    saves = Money(help_text="what it would take away of the cost of drift")
    costs = Money(help_text="tax, spread and the rest")
    words = serializers.CharField()


class WantedSerializer(serializers.Serializer[Any]):
    """What a person asked for beyond the policy; null: nothing."""

    mode = Code(Mode, allow_null=True)
    gains_budget = Money(allow_null=True)


class EngineAnswerSerializer(serializers.Serializer[Any]):
    """How the engine came to a proposal, and how good it is."""

    mode = Code(Mode, help_text="which trades were considered")
    wanted = WantedSerializer()
    path = Code(Path, help_text="the road through the engine")
    path_reason = serializers.CharField()
    certificate = CertificateSerializer(
        allow_null=True, help_text="null while hidden, and for proposals of earlier engines"
    )
    untraded = UntradedSerializer(many=True)
    solved_with = serializers.ListField(
        child=serializers.UUIDField(),
        help_text="the proposals of the household's other accounts in the same plan",
    )
