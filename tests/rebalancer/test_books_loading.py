"""What the Book is told: taxes of the year, washed lots, recent trades, caps, covariance."""

import uuid
from datetime import date, timedelta
from decimal import Decimal

import pytest

from accounts.domain.roles import TaxCountry, TaxStatus
from accounts.operations.people import set_tax_terms
from portfolios import models as facts
from portfolios.domain.kinds import Side
from portfolios.operations import books, securities
from portfolios.operations.securities import SecurityDetails
from rebalancer.queries.books import load_book
from rebalancer.queries.pages.household import load_gains
from tests import people
from tests.rebalancer.browsing import get, text_of
from tests.rebalancer.world import DAY, make_world

pytestmark = pytest.mark.django_db
D = Decimal
OLD = date(2020, 1, 2)
LAST_YEAR = date(2025, 12, 1)


@pytest.fixture
def world():
    return make_world()


def trade(world, account, side, symbol, quantity, amount, day, lot=None):
    """Book an execution as the broker's fills are."""
    books.book_fills(
        fills=[
            books.FillToBook(
                source=f"test:{uuid.uuid4()}",
                account_id=account.pk,
                security_id=world.security_ids[symbol],
                side=Side(side),
                quantity=D(quantity),
                amount=D(amount),
                fill_date=day,
                picks=((lot.pk, D(quantity)),) if lot else (),
            )
        ],
        currency="USD",
    )


def find_lot(account, day=OLD, **where):
    return facts.Lot.objects.get(account=account, acquired_date=day, **where)


def load(world, *accounts, day=DAY, **options):
    return load_book(
        firm_id=world.firm.pk,
        account_ids=[account.pk for account in accounts],
        price_date=day,
        **options,
    )


def describe(world, symbol, **changes):
    """Say something more of a security."""
    row = facts.Security.objects.get(pk=world.security_ids[symbol])
    details = SecurityDetails(
        symbol=row.symbol,
        name=row.name,
        asset_class_id=row.asset_class_id,
        share_step=row.share_step,
        half_spread_bps=row.half_spread_bps,
        **changes,
    )
    securities.change_security(security_id=row.pk, details=details, actor_id=world.admin.pk)


# --- Households ---------------------------------------------------------------------------------


def test_a_households_taxes_reach_the_book(world):
    values = {
        "carried_short_loss": D("100.00"),
        "carried_long_loss": D("2500.00"),
        "gains_budget": D("9000.00"),
        "loss_cap": D("1500.00"),
        "deduction_rate": D("0.24"),
        "carried_share": D("0.7"),
        "discount_rate": D("0.04"),
        "deferral_years": D("12.50"),
        "realised_share": D("0.5"),
        "is_together": True,
    }
    set_tax_terms(household_id=world.household.pk, values=values, actor_id=world.admin.pk)
    account = world.add_account("1000")
    terms = load(world, account).tax_terms(0)
    assert {name: getattr(terms, name) for name in values} == values
    assert (terms.regime, terms.household_id) == ("US", world.household.pk)


def test_the_years_gains_are_those_of_taxable_accounts_in_this_tax_year(world):
    joint = world.add_account("0", lots=[("USTM", "100", "5000", OLD), ("BOND", "50", "4500", DAY)])
    ira = world.add_account(
        "0", lots=[("USTM", "10", "100", OLD)], tax_status=TaxStatus.TAX_DEFERRED
    )
    lot = find_lot(joint)
    trade(world, joint, "SELL", "USTM", "10", "900", LAST_YEAR, lot)
    trade(world, joint, "SELL", "USTM", "10", "1000", date(2026, 2, 2), lot)
    trade(world, joint, "SELL", "BOND", "10", "950", DAY, find_lot(joint, DAY))
    trade(world, ira, "SELL", "USTM", "10", "1000", date(2026, 2, 2), find_lot(ira))
    terms = load(world, joint).tax_terms(0)
    assert (terms.year_long_gain, terms.year_short_gain) == (D("500"), D("50"))
    before = load(world, joint, day=date(2025, 12, 31)).tax_terms(0)
    assert (before.year_long_gain, before.year_short_gain) == (D("400"), 0)


def test_a_denied_loss_is_no_loss_of_the_year_and_raises_the_replacement(world):
    joint = world.add_account("2000", lots=[("USTM", "10", "1500", OLD)])
    trade(world, joint, "SELL", "USTM", "10", "1000", date(2026, 11, 2), find_lot(joint))
    trade(world, joint, "BUY", "USTM", "4", "420", date(2026, 11, 12))
    book = load(world, joint)
    # 4 of 10 shares were replaced: 200 of the loss of 500 is denied.
    assert book.tax_terms(0).year_long_gain == D("-300")
    assert book.tax_terms(0).year_short_gain == 0
    [cents], [day] = book.lot_cost_cents, book.lot_day
    assert cents == 62_000
    held = date(2026, 11, 2) - OLD
    assert date(1970, 1, 1) + timedelta(days=int(day)) == date(2026, 11, 12) - held
    booked = find_lot(joint, date(2026, 11, 12))
    assert booked.cost == D("420"), "the books keep what was paid"


def test_a_loss_washed_by_an_ira_is_lost_and_the_ira_keeps_its_cost(world):
    describe(world, "USTM", identical_group="us-total")
    describe(world, "USLC", identical_group="us-total")
    joint = world.add_account("0", lots=[("USTM", "10", "1500", OLD)])
    ira = world.add_account("2000", tax_status=TaxStatus.TAX_DEFERRED)
    trade(world, ira, "BUY", "USLC", "10", "500", date(2026, 10, 30))
    trade(world, joint, "SELL", "USTM", "10", "1000", date(2026, 11, 2), find_lot(joint))
    book = load(world, joint, ira)
    assert book.tax_terms(0).year_long_gain == 0
    assert list(book.lot_cost_cents) == [50_000]
    sale = [row for row in book.recent_trades if row.side is Side.SELL]
    assert [row.gain for row in sale] == [0], "a loss that is denied already forbids nothing"


def test_households_do_not_wash_each_others_losses(world):
    joint = world.add_account("0", lots=[("USTM", "10", "1500", OLD)])
    neighbours = people.make_household(world.firm)
    theirs = world.add_account("2000", household_id=neighbours.pk)
    trade(world, joint, "SELL", "USTM", "10", "1000", date(2026, 11, 2), find_lot(joint))
    trade(world, theirs, "BUY", "USTM", "10", "1000", date(2026, 11, 3))
    book = load(world, joint, theirs)
    gains = {row.household_id: row.year_long_gain for row in book.households}
    assert gains == {world.household.pk: D("-500"), neighbours.pk: 0}


def test_in_the_united_kingdom_the_pool_tells_gain_and_cost(world):
    values = {"tax_regime": TaxCountry.UK}
    set_tax_terms(household_id=world.household.pk, values=values, actor_id=world.admin.pk)
    joint = world.add_account(
        "0", lots=[("USTM", "10", "500", OLD), ("USTM", "10", "1500", LAST_YEAR)]
    )
    trade(world, joint, "SELL", "USTM", "10", "1000", date(2026, 5, 1), find_lot(joint))
    book = load(world, joint)
    # Booked: a gain of 500 on the first lot. The pool holds 20 shares for 2000.
    assert book.tax_terms(0).year_short_gain == 0
    assert list(book.lot_cost_cents) == [100_000]
    assert load(world, joint, day=date(2026, 4, 5)).tax_terms(0).year_short_gain == 0


def test_books_that_contradict_themselves_leave_booked_costs_and_say_so(world, caplog):
    joint = world.add_account("2000", lots=[("USTM", "10", "1500", OLD)])
    trade(world, joint, "SELL", "USTM", "5", "500", date(2026, 11, 2), find_lot(joint))
    trade(world, joint, "BUY", "USTM", "4", "420", date(2026, 11, 12))
    # Somebody has been at the table: less was acquired than was sold.
    facts.Lot.objects.filter(account=joint, acquired_date=OLD).update(
        opened_quantity=4, quantity=0, cost=0
    )
    book = load(world, joint)
    assert list(book.lot_cost_cents) == [42_000]
    assert book.tax_terms(0).year_long_gain == D("-250")
    assert "more was sold" in caplog.text


def test_the_households_page_shows_what_the_law_counts(world):
    joint = world.add_account("2000", lots=[("USTM", "10", "500", OLD), ("BOND", "10", "900", OLD)])
    trade(world, joint, "SELL", "USTM", "10", "1000", date(2026, 11, 2), find_lot(joint, cost=500))
    trade(world, joint, "SELL", "BOND", "10", "500", date(2026, 11, 2), find_lot(joint, cost=900))
    trade(world, joint, "BUY", "BOND", "10", "500", date(2026, 11, 3))
    world.household.refresh_from_db()
    gains = load_gains(household=world.household, day=DAY)
    # The loss of 400 is denied, so that 500 are taxed at 15 percent.
    assert (gains.long_term, gains.tax) == (D(500), D(75))
    assert (gains.label, gains.text) == (
        "Estimated tax 2026",
        "on $500.00 of realised gains",
    )
    values = {"carried_long_loss": D("300.00"), "is_together": True, "gains_budget": D("2500.00")}
    set_tax_terms(household_id=world.household.pk, values=values, actor_id=world.admin.pk)
    world.household.refresh_from_db()
    gains = load_gains(household=world.household, day=DAY)
    assert gains.tax == D(30)
    assert gains.text == "on $500.00 of realised gains, less $300.00 carried in"
    page = text_of(get(world.advisor, "household", world.household.public_id))
    for words in ("$0.00 short-term, $300.00 long-term", "$2,500.00 a year", "as one portfolio"):
        assert words in page
    set_tax_terms(
        household_id=world.household.pk,
        values={"tax_regime": TaxCountry.UK},
        actor_id=world.admin.pk,
    )
    world.household.refresh_from_db()
    assert load_gains(household=world.household, day=DAY).label == "Estimated tax 2026/27"


# --- Recent trades ------------------------------------------------------------------------------


def test_recent_trades_are_taxed_sales_and_purchases_that_are_in_no_lot(world):
    joint = world.add_account("9000", lots=[("USTM", "20", "3000", OLD), ("BOND", "5", "300", OLD)])
    ira = world.add_account(
        "9000", lots=[("BOND", "5", "300", OLD)], tax_status=TaxStatus.TAX_DEFERRED
    )
    recent, long_ago = DAY - timedelta(days=20), DAY - timedelta(days=62)
    trade(world, joint, "SELL", "USTM", "5", "400", long_ago, find_lot(joint, cost=3000))
    trade(world, joint, "SELL", "USTM", "5", "400", recent, find_lot(joint, opened_cost=3000))
    trade(world, joint, "SELL", "BOND", "5", "400", recent, find_lot(joint, opened_cost=300))
    trade(world, ira, "SELL", "BOND", "5", "400", recent, find_lot(ira))
    trade(world, joint, "BUY", "USLC", "3", "150", recent)
    trade(world, ira, "BUY", "INTL", "10", "400", recent)
    trade(world, ira, "BUY", "USLC", "10", "500", long_ago)
    symbols = {security_id: symbol for symbol, security_id in world.security_ids.items()}

    def trades(*accounts):
        return {
            (str(row.side), symbols[row.security_id], row.trade_date, row.is_taxable, row.gain)
            for row in load(world, *accounts).recent_trades
        }

    sales = {
        ("SELL", "USTM", recent, True, D("-350")),
        ("SELL", "BOND", recent, True, D("100")),
    }
    assert trades(joint, ira) == sales
    assert trades(joint) == sales | {("BUY", "INTL", recent, False, D(0))}
    assert trades(ira) == sales | {("BUY", "USLC", recent, True, D(0))}


def test_a_gain_does_not_hide_a_loss_of_the_same_day(world):
    joint = world.add_account(
        "0", lots=[("USTM", "5", "800", OLD), ("USTM", "5", "100", LAST_YEAR)]
    )
    day = DAY - timedelta(days=3)
    trade(world, joint, "SELL", "USTM", "5", "500", day, find_lot(joint))
    trade(world, joint, "SELL", "USTM", "5", "500", day, find_lot(joint, LAST_YEAR))
    gains = sorted(row.gain for row in load(world, joint).recent_trades if row.side is Side.SELL)
    assert gains == [D("-300"), D("400")]


def test_a_purchase_that_is_gone_again_still_counts(world):
    joint = world.add_account("2000")
    bought, sold = DAY - timedelta(days=9), DAY - timedelta(days=8)
    trade(world, joint, "BUY", "USTM", "5", "500", bought)
    trade(world, joint, "SELL", "USTM", "5", "510", sold, find_lot(joint, bought))
    rows = [row for row in load(world, joint).recent_trades if row.side is Side.BUY]
    assert [(row.trade_date, row.is_taxable) for row in rows] == [(bought, True)]


# --- Households managed as one -------------------------------------------------------------------


def test_only_households_managed_as_one_come_whole_and_what_was_not_asked_for_is_frozen(world):
    joint = world.add_account("100")
    ira = world.add_account("100", tax_status=TaxStatus.TAX_DEFERRED)
    closed = world.add_account("100")
    type(closed).objects.filter(pk=closed.pk).update(is_open=False)
    assert list(load(world, joint, is_whole_household=True).account_ids) == [joint.pk]
    set_tax_terms(
        household_id=world.household.pk, values={"is_together": True}, actor_id=world.admin.pk
    )
    whole = load(world, joint, is_whole_household=True)
    assert list(whole.account_ids) == [joint.pk, ira.pk]
    assert list(whole.is_frozen) == [False, True]
    assert list(load(world, joint).account_ids) == [joint.pk]


def test_substitutes_follow_the_kind_of_account(world):
    ids = world.security_ids
    describe(
        world,
        "USTM",
        substitute_ids=(ids["INTL"],),
        taxable_substitute_ids=(ids["USLC"],),
        identical_group="us-total",
        daily_volume=D(1000),
    )
    book = load(world, world.add_account("100"))
    row = book.securities[book.index_of_security[ids["USTM"]]]
    assert row.substitutes == (ids["USLC"], ids["INTL"])
    assert row.sheltered_substitutes == (ids["INTL"],)
    assert (row.identical_group, row.daily_volume) == ("us-total", D(1000))
