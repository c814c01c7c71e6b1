"""Shapes of facts over the API: prices and model portfolios; nothing here saves."""

from typing import Any

from rest_framework import serializers

from accounts.serializers import ReferenceSerializer
from portfolios.domain.kinds import ModelStatus, PriceRefusal
from robo.common.api.serializers import Code, InputSerializer, PageQuery, Price, Text, Weight

QUOTES_MAX = 10_000
LETTERS_MAX = 60


class LatestPriceSerializer(serializers.Serializer[Any]):
    """The newest believed price of a security; null before the first."""

    symbol = serializers.CharField()
    name = serializers.CharField()
    asset_class = serializers.CharField(source="asset_class__name")
    price_date = serializers.DateField(source="latest_date", allow_null=True)
    price = Price(source="latest_price", allow_null=True)
    source = serializers.CharField(  # type: ignore[assignment]
        source="latest_source", allow_null=True
    )


class DayPriceSerializer(serializers.Serializer[Any]):
    """A closing price of one market day."""

    price_date = serializers.DateField()
    price = Price()


class HistoryQuery(PageQuery):
    """Which days of a security's history to list; both ends belong."""

    since_date = serializers.DateField(required=False)
    until_date = serializers.DateField(required=False)


class QuoteSerializer(InputSerializer):
    """What a source says a security cost at the close of a market day."""

    symbol = Text(max_length=LETTERS_MAX)
    price_date = serializers.DateField()
    price = Text(max_length=LETTERS_MAX, help_text="a decimal as a string, per share")


class RefusedQuoteSerializer(serializers.Serializer[Any]):
    """A quote that was not believed, and why; it is kept apart and never used."""

    symbol = serializers.CharField(source="quote.symbol")
    price_date = serializers.DateField(source="quote.price_date")
    price = serializers.CharField(source="quote.quoted", help_text="as it was sent")
    reason = Code(PriceRefusal)
    detail = serializers.CharField()


class PriceReportSerializer(serializers.Serializer[Any]):
    """What became of a batch of quotes."""

    recorded = serializers.IntegerField()
    unchanged = serializers.IntegerField(help_text="on record already, at the same price")
    refused = RefusedQuoteSerializer(many=True)


class ModelSerializer(ReferenceSerializer):
    """A model portfolio."""

    description = serializers.CharField()
    published_version = serializers.IntegerField(source="published_number", allow_null=True)
    published_at = serializers.DateTimeField(allow_null=True)
    version_in_work = serializers.IntegerField(source="work_number", allow_null=True)
    follower_count = serializers.IntegerField(
        source="followers", help_text="accounts that follow it"
    )


class ModelWeightSerializer(serializers.Serializer[Any]):
    """The target weight of one security."""

    symbol = serializers.CharField(source="security.symbol")
    name = serializers.CharField(source="security.name")
    asset_class = serializers.CharField(source="security.asset_class.name")
    weight = Weight()


class ModelVersionSerializer(serializers.Serializer[Any]):
    """One edition of a model portfolio."""

    number = serializers.IntegerField()
    status = Code(ModelStatus)
    author = serializers.CharField(source="author.name")
    publisher = serializers.CharField(source="publisher.name", allow_null=True)
    published_at = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField(help_text="why this edition exists")


class PublishedModelSerializer(serializers.Serializer[Any]):
    """What a model in force wants; the weights and cash add up to one."""

    number = serializers.IntegerField()
    cash_weight = Weight()
    weights = ModelWeightSerializer(many=True)


class ModelDetailSerializer(ReferenceSerializer):
    """A model portfolio with the version in force and all its versions, newest first."""

    description = serializers.CharField()
    follower_count = serializers.IntegerField()
    published = PublishedModelSerializer(allow_null=True)
    versions = ModelVersionSerializer(many=True)
