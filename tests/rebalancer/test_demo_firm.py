"""The demo firm holds what it promises: a wash trap, a harvest, a budget, a shared portfolio."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from accounts.models import Account, Household
from accounts.queries.consents import (
    describe_firm_day,
    list_consent_gaps,
    list_mandate_facts,
)
from portfolios.models import Security
from portfolios.queries.books import check_books
from rebalancer.domain.kinds import Trigger
from rebalancer.engine.columns import EPOCH
from rebalancer.management import demo_firm
from rebalancer.management.demo_build import found_firm, let_things_happen
from rebalancer.queries.books import load_book
from rebalancer.queries.work import list_due_looks

NOW = datetime(2026, 11, 20, 22, tzinfo=UTC)
pytestmark = pytest.mark.django_db
D = Decimal


@pytest.fixture
def firm(settings, monkeypatch):
    settings.DEMO_PASSWORD = "as-even-as-a-keel"
    monkeypatch.setattr(demo_firm, "HISTORY_SESSIONS", 40)
    found_firm(NOW)
    [household] = Household.objects.filter(name="Weber")
    let_things_happen(household.firm_id, NOW)
    household.firm.refresh_from_db()
    return household.firm


def load(firm, name):
    accounts = Household.objects.get(firm=firm, name=name).accounts.order_by("pk")
    return load_book(
        firm_id=firm.pk,
        account_ids=[account.pk for account in accounts],
        price_date=firm.simulated_date,
    )


def list_lots(firm, book):
    """Return (account index, group, gain as a share of cost, age in days) of every lot."""
    today = (firm.simulated_date - EPOCH).days
    rows = []
    for i, security in enumerate(book.lot_security):
        value = book.lot_units[i] / 1e8 * book.prices[security]
        gain = value / (book.lot_cost_cents[i] / 100) - 1
        row = book.securities[security]
        rows.append(
            (book.lot_account[i], row.identical_group or row.symbol, gain, today - book.lot_day[i])
        )
    return rows


def test_every_trigger_has_accounts_that_are_looked_at(firm):
    causes = {
        str(look.cause) for look in list_due_looks(firm_id=firm.pk, price_date=firm.simulated_date)
    }
    assert {str(trigger) for trigger in Trigger} <= causes
    assert check_books(firm.pk) == []


def test_one_loss_would_be_washed_and_another_can_be_harvested(firm):
    book = load(firm, "Petrov")
    lots = list_lots(firm, book)
    assert [bool(taxed) for taxed in book.is_taxable] == [True, False]
    assert any(a == 1 and group == "meridian-us-total" and age <= 30 for a, group, _g, age in lots)
    assert any(a == 0 and group == "meridian-us-total" and g < -0.1 for a, group, g, _age in lots)
    assert book.covariance is not None, "one of its accounts is measured by risk"

    book = load(firm, "Costa")
    lots = list_lots(firm, book)
    assert any(a == 0 and group == "DEVX" and g < -0.2 for a, group, g, _age in lots)
    assert all(age > 61 for *_rest, age in lots)
    by_symbol = {row.symbol: row for row in book.securities}
    assert by_symbol["DEVX"].substitutes == (by_symbol["DEVC"].security_id,)
    assert book.policies[0].harvests_losses


def test_one_household_has_a_budget_and_one_is_managed_as_one_portfolio(firm):
    book = load(firm, "Weber")
    terms = book.tax_terms(0)
    assert (terms.gains_budget, terms.carried_long_loss) == (D(15000), D(4000))

    book = load(firm, "Larsen")
    assert book.tax_terms(0).is_together
    assert [bool(taxed) for taxed in book.is_taxable] == [True, False, False]
    assert len({row.qualified_yield + row.ordinary_yield for row in book.securities}) > 4

    rows = Security.objects.filter(firm=firm, asset_class__is_unclassified=False)
    assert rows.count() == 13
    for row in rows:
        assert row.volatility
        assert row.daily_volume
        assert row.sector
        assert row.issuer in {"Meridian", "Alder"}


def test_a_visitor_finds_a_text_to_accept_and_an_account_that_is_asked_first(firm):
    day = describe_firm_day(firm, firm.simulated_date)
    homes = {home.pk: home.name for home in Household.objects.filter(firm=firm)}
    gaps = list_consent_gaps(dict.fromkeys(homes, day))
    assert {homes[pk] for pk, missing in gaps.items() if missing} == {"Costa"}
    accounts = Account.objects.filter(firm=firm)
    asked = accounts.filter(is_discretionary=False)
    assert [account.household.name for account in asked] == ["Haddad"]
    mandated = list_mandate_facts([account.pk for account in accounts])
    assert len(mandated) == len(accounts) - 1
