"""Small builders of facts for tests: securities, prices, models; and where the market data is."""

import os
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from portfolios import models
from portfolios.domain.pricing import Quote
from portfolios.operations import models as model_operations
from portfolios.operations.prices import record_prices
from portfolios.operations.securities import SecurityDetails, create_asset_class, create_security

CHECKOUT = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("EVENKEEL_DATA_DIR", CHECKOUT.parent / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not DATA_DIR.is_dir(),
    reason=f"the market data folder {DATA_DIR.name} is not beside the checkout",
)


def make_asset_class(admin, code="us-shares", name=None, rank=1):
    """Give the firm an asset class, made once."""
    found = models.AssetClass.objects.filter(firm_id=admin.firm_id, code=code).first()
    if found is not None:
        return found
    pk = create_asset_class(
        firm_id=admin.firm_id,
        code=code,
        name=name or code.replace("-", " ").capitalize(),
        rank=rank,
        actor_id=admin.pk,
    )
    return models.AssetClass.objects.get(pk=pk)


def make_security(admin, symbol, *, code="us-shares", **details):
    """Give the firm a security."""
    details = {
        "name": f"{symbol} fund",
        "share_step": Decimal(1),
        "half_spread_bps": Decimal(2),
        **details,
    }
    pk = create_security(
        firm_id=admin.firm_id,
        details=SecurityDetails(
            symbol=symbol, asset_class_id=make_asset_class(admin, code).pk, **details
        ),
        actor_id=admin.pk,
    )
    return models.Security.objects.get(pk=pk)


def make_price(admin, symbol, day, price):
    """Put a price on record through the front door; fails the test when it is refused."""
    report = record_prices(
        firm_id=admin.firm_id,
        quotes=[Quote(symbol, day, str(price))],
        source="test",
        now=datetime.combine(day, datetime.max.time(), tzinfo=UTC),
        actor_id=admin.pk,
    )
    assert not report.refused, report.refused


def make_published_model(author, publisher, weights, *, name="Balanced", cash="0"):
    """Give the firm a model in force; `weights` are fractions by symbol, as text."""
    securities = dict(
        models.Security.objects.filter(firm_id=author.firm_id).values_list("symbol", "id")
    )
    model_id = model_operations.create_model(
        firm_id=author.firm_id, name=name, description="", actor_id=author.pk
    )
    version = model_operations.save_draft(
        model_id=model_id,
        weights={securities[symbol]: Decimal(weight) for symbol, weight in weights.items()},
        cash_weight=Decimal(cash),
        reason="first edition",
        actor_id=author.pk,
    )
    model_operations.submit_for_review(version_id=version.pk, actor_id=author.pk)
    model_operations.publish_model(
        version_id=version.pk,
        now=datetime.combine(date(2024, 1, 2), datetime.min.time(), tzinfo=UTC),
        actor_id=publisher.pk,
    )
    return models.ModelPortfolio.objects.get(pk=model_id)
