"""What planning trades must know of the market: securities, usable prices, published models."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
from django.db.models import Max, Q
from numpy.typing import NDArray

from portfolios import models
from portfolios.analytics.covariance import estimate_covariance
from portfolios.domain.corporate_actions import (
    CHANGING_HOLDINGS,
    ENDING,
    SPLITS,
    expect_price,
    multiply_splits,
    scale_price,
    split_by_status,
)
from portfolios.domain.kinds import ActionKind, ActionStatus, ModelStatus, SubstituteUse
from portfolios.queries.corporate_actions import SAID, load_actions

# A year of sessions to estimate from; with fewer days in common than this nothing is estimated.
COVARIANCE_DAYS, COMMON_DAYS_MIN = 252, 30


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
    substitutes: tuple[int, ...]  # in taxable accounts
    sheltered_substitutes: tuple[int, ...]
    identical_group: str
    sector: str
    issuer: str
    daily_volume: Decimal | None
    volatility: Decimal | None
    qualified_yield: Decimal
    ordinary_yield: Decimal
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
    """Return (market day, price) by security id: the newest not after `price_date` nor too old.

    Prices are those of a share as the books count it: a split that is booked already divides an
    older price. A security whose split, merger or end is due but not in the books has none, be it
    confirmed or not.
    """
    rows = (
        models.Price.objects.filter(
            security__firm_id=firm_id,
            price_date__lte=price_date,
            price_date__gte=price_date - timedelta(days=age_days_max),
        )
        .order_by("security_id", "-price_date")
        .distinct("security_id")
        .values_list("security_id", "price_date", "price")
    )
    actions = load_actions(firm_id=firm_id, kinds=CHANGING_HOLDINGS, statuses=SAID)
    prices: dict[int, tuple[date, Decimal]] = {}
    for security_id, day, price in rows:
        booked, due = split_by_status(actions.get(security_id, ()))
        if not any(action.effective_date <= price_date for action in due):
            prices[security_id] = (day, scale_price(price, multiply_splits(booked, after=day)))
    return prices


def list_security_facts(
    *, firm_id: int, price_date: date, age_days_max: int
) -> list[SecurityFacts]:
    """Return every security of a firm, in the order of classes and symbols."""
    prices = get_latest_prices(firm_id=firm_id, price_date=price_date, age_days_max=age_days_max)
    substitutes = _list_substitutes(firm_id)
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
            substitutes=tuple(substitutes[row.pk, SubstituteUse.TAXABLE]),
            sheltered_substitutes=tuple(substitutes[row.pk, SubstituteUse.SHELTERED]),
            identical_group=row.identical_group,
            sector=row.sector,
            issuer=row.issuer,
            daily_volume=row.daily_volume,
            volatility=row.volatility,
            qualified_yield=row.qualified_yield,
            ordinary_yield=row.ordinary_yield,
            price=prices[row.pk][1] if row.pk in prices else None,
        )
        for row in models.Security.objects.filter(firm_id=firm_id)
        .select_related("asset_class")
        .order_by("asset_class__rank", "asset_class__name", "symbol")
    ]


def _list_substitutes(firm_id: int) -> dict[tuple[int, str], list[int]]:
    """Return substitute ids by security and kind of account; those of the kind alone come first."""
    substitutes: dict[tuple[int, str], list[int]] = defaultdict(list)
    rows = (
        models.Substitute.objects.filter(security__firm_id=firm_id)
        .annotate(is_for_any=Q(used_in=SubstituteUse.ANY))
        .order_by("security_id", "is_for_any", "rank", "pk")
        .values_list("security_id", "substitute_id", "used_in")
    )
    for security_id, substitute_id, used_in in rows:
        for kind in (SubstituteUse.TAXABLE, SubstituteUse.SHELTERED):
            if used_in in (SubstituteUse.ANY, kind):
                substitutes[security_id, kind].append(substitute_id)
    return substitutes


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
    """Return (symbol, class code, newest close before a day) of the firm's priced securities.

    The close is what it is worth on that day: after a split or dividend that takes effect on it.
    Securities that are bought out or no longer listed by then are left out.
    """
    actions = load_actions(firm_id=firm_id)
    ended = {
        security_id
        for security_id, known in actions.items()
        if any(a.kind in ENDING and a.effective_date <= before for a in known)
    }
    return [
        (symbol, code, expect_price(price, actions.get(key, ()), price_date=day, until=before))
        for key, symbol, code, day, price in models.Price.objects.filter(
            security__firm_id=firm_id, price_date__lt=before
        )
        .order_by("security_id", "-price_date")
        .distinct("security_id")
        .values_list(
            "security_id", "security__symbol", "security__asset_class__code", "price_date", "price"
        )
        if key not in ended
    ]


def get_renamed_symbols(firm_id: int) -> dict[str, str]:
    """Return today's symbol by each that a security was called before."""
    return dict(
        models.CorporateAction.objects.filter(
            firm_id=firm_id, kind=ActionKind.SYMBOL_CHANGE, status=ActionStatus.APPLIED
        )
        .order_by("effective_date", "id")
        .values_list("old_symbol", "security__symbol")
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


def load_returns(
    *, security_ids: Sequence[int], price_date: date, days: int
) -> NDArray[np.float64]:
    """Return daily returns [days, securities] up to `price_date`; NaN where a price is missing.

    The days are the newest on which any of the securities has a price. A split is no return.
    """
    columns = {security_id: index for index, security_id in enumerate(security_ids)}
    rows = list(
        models.Price.objects.filter(
            security_id__in=security_ids,
            price_date__lte=price_date,
            # Seven days a week carry at most five sessions, and holidays fewer.
            price_date__gte=price_date - timedelta(days=days * 8 // 5),
        ).values_list("price_date", "security_id", "price")
    )
    dates = sorted({day for day, _security_id, _price in rows})[-days - 1 :]
    lines = {day: index for index, day in enumerate(dates)}
    prices = np.full((len(dates), len(columns)), np.nan)
    splits = load_actions(security_ids=security_ids, kinds=SPLITS)
    for day, security_id, price in rows:
        if day in lines:
            prices[lines[day], columns[security_id]] = float(price)
    for security_id, known in splits.items():
        factors = [multiply_splits(known, after=day, until=price_date) for day in dates]
        prices[:, columns[security_id]] /= np.array(factors, dtype=np.float64)
    returns: NDArray[np.float64] = prices[1:] / prices[:-1] - 1.0
    return returns


def load_covariance(
    *, volatilities: Mapping[int, Decimal | None], price_date: date
) -> dict[tuple[int, int], float]:
    """Return the covariance of returns per year by pairs of the securities given.

    Estimated where there is enough history in common; a security without it keeps its stated
    `volatility` and is taken as uncorrelated. Where neither is known its own variance is NaN.
    """
    security_ids = sorted(volatilities)
    returns = load_returns(security_ids=security_ids, price_date=price_date, days=COVARIANCE_DAYS)
    known = _choose_common(returns)
    matrix: dict[tuple[int, int], float] = {}
    for security_id in security_ids:
        stated = volatilities[security_id]
        matrix[security_id, security_id] = float("nan") if stated is None else float(stated) ** 2
    if known:
        estimated = estimate_covariance(returns[:, known], days_least=COMMON_DAYS_MIN)
        for i, row in enumerate(known):
            for j, column in enumerate(known):
                matrix[security_ids[row], security_ids[column]] = float(estimated[i, j])
    return matrix


def _choose_common(returns: NDArray[np.float64]) -> list[int]:
    """Return the columns with enough days in common; those with the fewest days give way first."""
    is_known = np.isfinite(returns)
    chosen = [int(i) for i in np.flatnonzero(is_known.sum(axis=0) >= COMMON_DAYS_MIN)]
    while chosen and is_known[:, chosen].all(axis=1).sum() < COMMON_DAYS_MIN:
        chosen.remove(min(chosen, key=lambda i: (is_known[:, i].sum(), -i)))
    return chosen
