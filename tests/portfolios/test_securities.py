"""Securities: what makes no sense is refused, what changes leaves its trace."""

from datetime import date
from decimal import Decimal

import pytest

from accounts.models import AuditEntry
from portfolios import models
from portfolios.operations.securities import (
    SecurityDetails,
    SecurityRefused,
    change_security,
    create_security,
)
from portfolios.queries.market import list_security_facts
from robo.common.errors import Conflict
from tests.market import make_asset_class, make_security

pytestmark = pytest.mark.django_db


@pytest.fixture
def funds(admin):
    return [
        make_security(admin, "VTI"),
        make_security(admin, "BND", code="bonds", name="Bond fund"),
    ]


def details(security, **changes):
    facts = {
        "symbol": security.symbol,
        "name": security.name,
        "asset_class_id": security.asset_class_id,
        "share_step": security.share_step,
        "half_spread_bps": security.half_spread_bps,
        **changes,
    }
    return SecurityDetails(**facts)


def test_a_change_of_a_security_leaves_what_changed_in_the_audit_trail(admin, funds):
    vti, bnd = funds
    changed = details(
        vti, themes=("esg",), substitute_ids=(bnd.pk,), half_spread_bps=Decimal("1.5")
    )
    change_security(security_id=vti.pk, details=changed, actor_id=admin.pk)
    entry = AuditEntry.objects.get(action="portfolios.security.changed")
    assert entry.detail == {
        "themes": [[], ["esg"]],
        "substitutes": [[], [bnd.pk]],
        "half_spread_bps": ["2", "1.5"],
    }
    change_security(security_id=vti.pk, details=changed, actor_id=admin.pk)
    assert AuditEntry.objects.filter(action="portfolios.security.changed").count() == 1


@pytest.mark.parametrize(
    ("changes", "culprit"),
    [
        ({"symbol": ""}, "symbol"),
        ({"symbol": "A B"}, "'A B'"),
        ({"symbol": "X" * 25}, "symbol"),
        ({"symbol": "A\x00"}, "symbol"),
        ({"name": " "}, "name"),
        ({"asset_class_id": 10**9}, "asset classes"),
        ({"share_step": Decimal(0)}, "step 0"),
        ({"share_step": Decimal("NaN")}, "step NaN"),
        ({"share_step": Decimal("1e-9")}, "step 1E-9"),
        ({"half_spread_bps": Decimal(-1)}, "spread of -1"),
        ({"half_spread_bps": Decimal("Infinity")}, "spread of Infinity"),
        ({"substitute_ids": (10**9,)}, "substitutes"),
        ({"taxable_substitute_ids": (10**9,)}, "substitutes"),
        ({"identical_group": "two words"}, "two words"),
        ({"daily_volume": Decimal(-1)}, "daily volume of -1"),
        ({"volatility": Decimal("5.1")}, "volatility of 5.1"),
        ({"qualified_yield": Decimal("NaN")}, "qualified yield of NaN"),
        ({"ordinary_yield": Decimal("1.01")}, "ordinary yield of 1.01"),
    ],
)
def test_a_security_that_makes_no_sense_is_refused(admin, changes, culprit):
    facts = {
        "symbol": "VTI",
        "name": "Fund",
        "asset_class_id": make_asset_class(admin).pk,
        "share_step": Decimal(1),
        "half_spread_bps": Decimal(2),
        **changes,
    }
    with pytest.raises(SecurityRefused, match=culprit):
        create_security(firm_id=admin.firm_id, details=SecurityDetails(**facts), actor_id=admin.pk)
    assert not models.Security.objects.exists()


def test_substitutes_are_kept_by_the_kind_of_account_they_are_for(admin, funds):
    vti, bnd = funds
    other, third = make_security(admin, "OTH"), make_security(admin, "THI")
    changed = details(
        vti,
        substitute_ids=(bnd.pk,),
        taxable_substitute_ids=(other.pk,),
        sheltered_substitute_ids=(third.pk,),
        identical_group="us-total",
        sector="Broad",
        issuer="Meridian",
        daily_volume=Decimal(100_000),
        volatility=Decimal("0.16"),
        qualified_yield=Decimal("0.013"),
    )
    change_security(security_id=vti.pk, details=changed, actor_id=admin.pk)
    facts = {
        row.symbol: row
        for row in list_security_facts(
            firm_id=admin.firm_id, price_date=date(2024, 1, 2), age_days_max=5
        )
    }["VTI"]
    assert facts.substitutes == (other.pk, bnd.pk), "its own kind comes first"
    assert facts.sheltered_substitutes == (third.pk, bnd.pk)
    assert (facts.identical_group, facts.sector, facts.issuer) == ("us-total", "Broad", "Meridian")
    assert (facts.daily_volume, facts.volatility) == (Decimal(100_000), Decimal("0.16"))
    assert (facts.qualified_yield, facts.ordinary_yield) == (Decimal("0.013"), 0)
    entry = AuditEntry.objects.get(action="portfolios.security.changed")
    assert entry.detail["taxable_substitutes"] == [[], [other.pk]]
    assert entry.detail["volatility"] == [None, "0.16"]
    change_security(security_id=vti.pk, details=changed, actor_id=admin.pk)
    assert AuditEntry.objects.filter(action="portfolios.security.changed").count() == 1
    with pytest.raises(SecurityRefused, match="named twice"):
        change_security(
            security_id=vti.pk,
            details=details(vti, substitute_ids=(bnd.pk,), taxable_substitute_ids=(bnd.pk,)),
            actor_id=admin.pk,
        )


def test_a_symbol_stands_once_on_the_list_and_never_changes(admin, funds):
    with pytest.raises(Conflict, match="VTI"):
        make_security(admin, "VTI")
    with pytest.raises(SecurityRefused, match="cannot change"):
        change_security(
            security_id=funds[0].pk, details=details(funds[0], symbol="VTX"), actor_id=admin.pk
        )
    with pytest.raises(SecurityRefused, match="itself"):
        change_security(
            security_id=funds[0].pk,
            details=details(funds[0], substitute_ids=(funds[0].pk,)),
            actor_id=admin.pk,
        )
