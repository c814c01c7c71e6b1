"""What planning trades must know of the market: securities, usable prices, published models."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from django.db.models import Max

from portfolios import models
from portfolios.domain.kinds import ModelStatus


@dataclass(frozen=True, slots=True)
class SecurityFacts:
    """One security with its newest usable price, if there is one."""

    security_id: int
    symbol: str
    class_name: str
    class_rank: int
    is_unclassified: bool
    share_step: Decimal
    half_spread_bps: Decimal
    is_active: bool
    themes: frozenset[str]
    substitutes: tuple[int, ...]
    price: Decimal | None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model version with its weights by security id."""

    version_id: int
    name: str
    cash_weight: Decimal
    weights: tuple[tuple[int, Decimal], ...]


def get_newest_price_date(firm_id: int) -> date | None:
    """Return the newest market day that the firm has any price of."""
    newest: date | None = models.Price.objects.filter(security__firm_id=firm_id).aggregate(
        newest=Max("price_date")
    )["newest"]
    return newest


def get_latest_prices(
    *, firm_id: int, price_date: date, age_days_max: int
) -> dict[int, tuple[date, Decimal]]:
    """Return (market day, price) by security id: the newest not after `price_date` nor too old."""
    return {
        security_id: (day, price)
        for security_id, day, price in models.Price.objects.filter(
            security__firm_id=firm_id,
            price_date__lte=price_date,
            price_date__gte=price_date - timedelta(days=age_days_max),
        )
        .order_by("security_id", "-price_date")
        .distinct("security_id")
        .values_list("security_id", "price_date", "price")
    }


def list_security_facts(
    *, firm_id: int, price_date: date, age_days_max: int
) -> list[SecurityFacts]:
    """Return every security of a firm, in the order of classes and symbols."""
    prices = get_latest_prices(firm_id=firm_id, price_date=price_date, age_days_max=age_days_max)
    substitutes: dict[int, list[int]] = defaultdict(list)
    for security_id, substitute_id in (
        models.Substitute.objects.filter(security__firm_id=firm_id)
        .order_by("security_id", "rank", "pk")
        .values_list("security_id", "substitute_id")
    ):
        substitutes[security_id].append(substitute_id)
    return [
        SecurityFacts(
            security_id=row.pk,
            symbol=row.symbol,
            class_name=row.asset_class.name,
            class_rank=row.asset_class.rank,
            is_unclassified=row.asset_class.is_unclassified,
            share_step=row.share_step,
            half_spread_bps=row.half_spread_bps,
            is_active=row.is_active,
            themes=frozenset(row.themes),
            substitutes=tuple(substitutes[row.pk]),
            price=prices[row.pk][1] if row.pk in prices else None,
        )
        for row in models.Security.objects.filter(firm_id=firm_id)
        .select_related("asset_class")
        .order_by("asset_class__rank", "asset_class__name", "symbol")
    ]


def list_model_facts(version_ids: Sequence[int]) -> list[ModelFacts]:
    """Return these model versions with their weights."""
    return [
        ModelFacts(
            version_id=version.pk,
            name=f"{version.model.name} v{version.number}",
            cash_weight=version.cash_weight,
            weights=tuple((weight.security_id, weight.weight) for weight in version.weights.all()),
        )
        for version in models.ModelVersion.objects.filter(pk__in=version_ids)
        .select_related("model")
        .prefetch_related("weights")
    ]


def get_published_versions(account_ids: Sequence[int]) -> dict[int, int]:
    """Return the published model version that each account follows; absent where there is none."""
    published = dict(
        models.ModelVersion.objects.filter(status=ModelStatus.PUBLISHED)
        .filter(model__assignments__account_id__in=account_ids)
        .distinct()
        .values_list("model_id", "pk")
    )
    return {
        account_id: published[model_id]
        for account_id, model_id in models.ModelAssignment.objects.filter(
            account_id__in=account_ids
        ).values_list("account_id", "model_id")
        if model_id in published
    }


def list_listings(firm_id: int, before: date) -> list[tuple[str, str, Decimal]]:
    """Return (symbol, class code, newest close before a day) of the firm's priced securities."""
    return list(
        models.Price.objects.filter(security__firm_id=firm_id, price_date__lt=before)
        .order_by("security_id", "-price_date")
        .distinct("security_id")
        .values_list("security__symbol", "security__asset_class__code", "price")
    )


def list_following_accounts(version_id: int) -> list[int]:
    """Return the accounts that follow a version's model."""
    return list(
        models.ModelAssignment.objects.filter(
            model__versions=version_id, account__is_open=True
        ).values_list("account_id", flat=True)
    )


def get_published_sibling(version_id: int) -> int | None:
    """Return the published version of the same model, if there is one."""
    return (
        models.ModelVersion.objects.filter(model__versions=version_id, status=ModelStatus.PUBLISHED)
        .values_list("pk", flat=True)
        .first()
    )
