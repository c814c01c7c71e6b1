"""Shapes of looks at accounts: what was found, and the numbers that led to no trade."""

from typing import Any

from rest_framework import serializers

from rebalancer.domain.kinds import Cause, CheckStatus
from rebalancer.serializers.certificates import CertificateSerializer
from robo.common.api.serializers import Code, Money, Weight


class CheckBandSerializer(serializers.Serializer[Any]):
    """An asset class on the day of a check."""

    label = serializers.CharField()  # type: ignore[assignment]
    weight = Weight()
    target = Weight()
    low = Weight()
    high = Weight()


class CheckSerializer(serializers.Serializer[Any]):
    """One look at an account, and whether it called for trades."""

    price_date = serializers.DateField()
    cause = Code(Cause)
    status = Code(CheckStatus)
    reason = serializers.CharField()
    is_breached = serializers.BooleanField()
    drift_max = Weight()
    value = Money()
    drift = CheckBandSerializer(many=True)
    tracking_error = Weight(allow_null=True, help_text="a year; where the policy looks at risk")
    certificate = CertificateSerializer(
        allow_null=True, help_text="why no trade was worth it, in numbers; else null"
    )
    created_at = serializers.DateTimeField()
