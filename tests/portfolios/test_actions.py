"""Corporate actions: recorded once, applied once on their day, and the books agree after each."""

from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from accounts.domain.roles import Role
from accounts.models import AuditEntry
from portfolios import models
from portfolios.domain.kinds import ActionKind, PriceRefusal, Side
from portfolios.domain.pricing import Quote
from portfolios.operations import books, dividends, rebuilding
from portfolios.operations.corporate_actions import (
    ActionDetails,
    ActionRefused,
    apply_actions,
    confirm_action,
    record_action,
    withdraw_action,
)
from portfolios.operations.corrections import reverse_entry
from portfolios.operations.prices import record_prices
from portfolios.queries import history, market
from portfolios.queries.books import check_books
from portfolios.queries.breaks import list_frozen
from portfolios.queries.corporate_actions import list_actions_since
from portfolios.queries.prices import list_price_history
from portfolios.queries.taxes import load_tax_standing
from robo.common.errors import Conflict, NotAllowed
from tests import people
from tests.market import make_price, make_security
from tests.portfolios.test_books import OLD, cash_of, fill, open_account

pytestmark = pytest.mark.django_db
D = Decimal
BEFORE, DAY, AFTER = date(2026, 11, 19), date(2026, 11, 20), date(2026, 11, 23)


@pytest.fixture
def place():
    """Give a firm with an admin and a security priced at 100 on the day before."""
    admin = people.make_user(people.make_firm(), Role.ADMIN)
    security = make_security(admin, "AAA")
    make_price(admin, "AAA", BEFORE, "100")
    supervisor = people.make_user(admin.firm, Role.SUPERVISOR)
    return SimpleNamespace(
        admin=admin, supervisor=supervisor, security=security, firm_id=admin.firm_id
    )


def record(place, kind, *, day=DAY, **terms):
    return record_action(
        firm_id=place.firm_id,
        details=ActionDetails(place.security.pk, kind, day, **terms),
        market_date=BEFORE,
        actor_id=place.admin.pk,
    )


def announce(place, kind, **terms):
    row = record(place, kind, **terms)
    confirm_action(action_id=row.pk, actor_id=place.supervisor.pk)
    row.refresh_from_db()
    return row


def split(place, new, old, day=DAY):
    kind = ActionKind.SPLIT if new > old else ActionKind.REVERSE_SPLIT
    return announce(place, kind, day=day, new_shares=new, old_shares=old)


def apply(place, day=DAY):
    return apply_actions(firm_id=place.firm_id, on_date=day)


def quote(place, day, text):
    return record_prices(
        firm_id=place.firm_id,
        quotes=[Quote("AAA", day, text)],
        source="test",
        now=datetime(2026, 11, 30, tzinfo=UTC),
        actor_id=place.admin.pk,
    )


def book(account_id, place, side, quantity, amount, picks=(), day=DAY):
    facts = fill(account_id, place.security, side, quantity, amount, picks)
    facts = books.FillToBook(
        **{name: getattr(facts, name) for name in facts.__slots__} | {"fill_date": day}
    )
    [entry] = books.book_fills(fills=[facts], currency="USD")
    return entry


def lots_of(account_id):
    rows = models.Lot.objects.filter(account_id=account_id).order_by("id")
    return list(rows.values_list("quantity", "cost"))


def agree(place):
    assert check_books(place.firm_id) == []
    assert rebuilding.rebuild_totals(firm_id=place.firm_id) == 0


# --- Splits ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "old", "lots", "in_lieu"),
    [
        (2, 1, [(20, "333.33"), (10, "100.01")], "0"),
        (3, 2, [("14.5", "322.22"), ("7.5", "100.01")], "33.33"),
        (1, 10, [(0, 0), ("1.0", "0")], "500.00"),
    ],
)
def test_a_split_multiplies_lots_at_unchanged_cost(place, new, old, lots, in_lieu):
    account_id = open_account(
        place.admin, "0", [(place.security, "10", "333.33"), (place.security, "5", "100.01")]
    )
    split(place, new, old)
    assert apply(place) == 1
    assert apply(place) == 0
    agree(place)
    shares = D(15) * new / old
    assert models.Holding.objects.get().quantity == int(shares)
    left = lots_of(account_id)
    sold = models.Disposal.objects.filter(lot__account_id=account_id)
    assert sum(cost for _q, cost in left) + sum(row.cost for row in sold) == D("433.34")
    price = round(D(100) * old / new, 6)
    assert cash_of(account_id) == round((shares - int(shares)) * price, 2) == D(in_lieu)
    if not sold:
        assert left == [(D(q), D(cost)) for q, cost in lots]
    assert models.CorporateAction.objects.get().applied_at is not None


def test_a_fraction_without_any_price_stays(place):
    models_price = models.Price.objects.filter(security=place.security)
    other = make_security(place.admin, "BBB")
    place.security = other
    assert not models_price.filter(security=other).exists()
    account_id = open_account(place.admin, "0", [(other, "5", "50")])
    split(place, 3, 2)
    apply(place)
    assert lots_of(account_id) == [(D("7.5"), 50)]
    agree(place)


def test_a_fill_of_before_the_split_that_comes_after_it_is_split_at_once(place):
    account_id = open_account(place.admin, "1000", [(place.security, "10", "500")])
    lot = models.Lot.objects.get()
    split(place, 2, 1)
    apply(place)
    sale = book(account_id, place, Side.SELL, "4", "400", [(lot.pk, D(4))], day=BEFORE)
    buy = book(account_id, place, Side.BUY, "3", "300", day=BEFORE)
    assert lots_of(account_id) == [(12, 300), (6, 300)]
    agree(place)
    for entry in (sale, buy):
        with transaction.atomic():
            reverse_entry(
                entry_id=entry.pk, source=f"bust:{entry.pk}", entry_date=AFTER, memo="Busted"
            )
    assert lots_of(account_id) == [(20, 500), (0, 0)]
    assert cash_of(account_id) == 1000
    agree(place)


def test_trades_of_after_the_split_are_in_new_shares_however_late_it_is_recorded(place):
    account_id = open_account(place.admin, "1000", [(place.security, "10", "500")])
    lot = models.Lot.objects.get()
    book(account_id, place, Side.SELL, "6", "300", [(lot.pk, D(6))])
    book(account_id, place, Side.BUY, "2", "100")
    split(place, 2, 1)
    apply(place, AFTER)
    assert lots_of(account_id) == [(14, 200), (2, 100)]
    agree(place)


def test_an_account_that_cannot_bear_a_split_gets_a_break_and_the_others_are_split(place):
    first = open_account(place.admin, "1000", [(place.security, "10", "500")])
    second = open_account(place.admin, "0", [(place.security, "10", "500")])
    lot = models.Lot.objects.get(account_id=first)
    book(first, place, Side.SELL, "6", "300", [(lot.pk, D(6))])
    split(place, 1, 5)  # of 10 old shares 2 are left, and 6 were sold
    apply(place)
    assert (lots_of(first), lots_of(second)) == ([(4, 200)], [(2, 500)])
    assert list_frozen([first, second]) == {(first, place.security.pk)}
    agree(place)


def test_a_correction_after_a_split_counts_in_new_shares(place):
    account_id = open_account(place.admin, "1000", [(place.security, "10", "500")])
    lot = models.Lot.objects.get()
    sale = book(account_id, place, Side.SELL, "4", "400", [(lot.pk, D(4))], day=BEFORE)
    buy = book(account_id, place, Side.BUY, "3", "300", day=BEFORE)
    split(place, 2, 1)
    apply(place)
    for entry in (sale, buy):
        reverse_entry(entry_id=entry.pk, source=f"bust:{entry.pk}", entry_date=AFTER, memo="Busted")
    assert lots_of(account_id) == [(20, 500), (0, 0)]
    assert cash_of(account_id) == 1000
    agree(place)


def test_wash_windows_count_shares_in_todays_units(place):
    """10 old shares sold at a loss, 20 new ones bought: all of the loss is denied, not half."""
    account_id = open_account(place.admin, "1000", [(place.security, "10", "900")])
    lot = models.Lot.objects.get()
    book(account_id, place, Side.SELL, "10", "500", [(lot.pk, D(10))], day=BEFORE)
    split(place, 2, 1)
    apply(place)
    book(account_id, place, Side.BUY, "20", "500", day=AFTER)
    household_id = lot.account.household_id
    standing = load_tax_standing(regimes={household_id: "US"}, account_ids=[account_id], day=AFTER)
    assert standing.year_gains[household_id] == (0, 0)
    new = models.Lot.objects.latest("id")
    assert standing.basis[new.pk][0] == 900


# --- Prices ------------------------------------------------------------------------------------


def test_a_recorded_split_is_no_jump_and_an_unrecorded_one_is(place):
    [refused] = quote(place, DAY, "50").refused
    assert refused.reason == PriceRefusal.JUMP
    split(place, 2, 1)
    assert quote(place, DAY, "50").recorded == 1
    # And a price that ignores the split is one too.
    other = split(place, 2, 1, day=AFTER)
    [refused] = quote(place, AFTER, "50").refused
    assert "+100.0% from 25.000000 (50.000000 before a corporate action)" in refused.detail
    withdraw_action(action_id=other.pk, actor_id=place.admin.pk)
    assert quote(place, AFTER, "50").recorded == 1


def test_a_special_dividend_explains_a_fall(place):
    assert quote(place, DAY, "60").refused
    announce(place, ActionKind.CASH_DIVIDEND, cash_per_share=D(40))
    assert quote(place, DAY, "60").recorded == 1


def test_prices_and_holdings_are_in_the_same_shares_at_every_moment(place):
    account_id = open_account(place.admin, "0", [(place.security, "10", "500")])

    def price(day):
        found = market.get_latest_prices(firm_id=place.firm_id, price_date=day, age_days_max=5)
        return found[place.security.pk][1] if place.security.pk in found else None

    split(place, 2, 1)
    assert price(BEFORE) == 100  # announced: the books are in old shares, so is the price
    assert price(DAY) is None  # due, not booked: nobody can say what the account is worth
    apply(place)
    assert price(DAY) == 50  # booked before any new price: the old one is halved
    quote(place, DAY, "55")
    assert price(DAY) == 55
    assert price(BEFORE) == 50
    assert lots_of(account_id)[0][0] == 20


def test_history_and_returns_show_no_split(place):
    account_id = open_account(place.admin, "0", [(place.security, "10", "500")])
    split(place, 2, 1)
    quote(place, DAY, "55")
    expected = (1000.0, 1100.0)
    for _ in range(2):  # whether it is in the books or not
        values = history.load_value_history(account_ids=[account_id], since=BEFORE, until=DAY)
        assert values.values == pytest.approx(expected)
        apply(place)
    returns = market.load_returns(security_ids=[place.security.pk], price_date=DAY, days=5)
    assert returns[-1][0] == pytest.approx(0.10)
    assert list_price_history(place.security.pk, since=OLD) == [(BEFORE, 50), (DAY, 55)]
    assert [
        row[3] for row in history.list_class_prices(firm_id=place.firm_id, since=BEFORE, until=DAY)
    ] == pytest.approx([50, 55])
    assert market.list_listings(place.firm_id, before=DAY) == [("AAA", "us-shares", 50)]
    # Seen from the day before, there was none.
    values = history.load_value_history(account_ids=[account_id], since=BEFORE, until=BEFORE)
    assert values.values == pytest.approx([1000.0])


# --- Names, mergers, endings -------------------------------------------------------------------


def test_a_symbol_changes_on_its_day(place):
    open_account(place.admin, "0", [(place.security, "10", "500")])
    announce(place, ActionKind.SYMBOL_CHANGE, new_symbol="ZZZ")
    assert apply(place, BEFORE) == 0
    assert apply(place) == 1
    place.security.refresh_from_db()
    assert place.security.symbol == "ZZZ"
    assert market.get_renamed_symbols(place.firm_id) == {"AAA": "ZZZ"}
    agree(place)


def test_a_symbol_that_was_taken_meanwhile_waits_for_a_person(place):
    row = announce(place, ActionKind.SYMBOL_CHANGE, new_symbol="ZZZ")
    make_security(place.admin, "ZZZ")
    assert apply(place) == 0
    row.refresh_from_db()
    assert row.status == "ANNOUNCED"


def test_a_merger_buys_every_lot_out_and_ends_the_security(place):
    account_id = open_account(
        place.admin, "0", [(place.security, "10", "333.33"), (place.security, "2.5", "100")]
    )
    announce(place, ActionKind.CASH_MERGER, cash_per_share=D("41.123456"))
    apply(place)
    assert cash_of(account_id) == D("514.04")
    assert lots_of(account_id) == [(0, 0), (0, 0)]
    household_id = models.Lot.objects.first().account.household_id
    gains = load_tax_standing(
        regimes={household_id: "US"}, account_ids=[account_id], day=DAY
    ).year_gains[household_id]
    assert gains == (0, D("80.71"))
    place.security.refresh_from_db()
    assert not place.security.is_active
    agree(place)


def test_what_is_no_longer_listed_is_frozen_where_it_is_held(place):
    holder = open_account(place.admin, "0", [(place.security, "10", "500")])
    other = open_account(place.admin, "100")
    announce(place, ActionKind.DELISTING)
    apply(place)
    assert list_frozen([holder, other]) == {(holder, place.security.pk)}
    assert market.list_listings(place.firm_id, before=AFTER) == []
    agree(place)


# --- Dividends ---------------------------------------------------------------------------------


def test_a_dividend_pays_who_held_before_the_ex_date(place):
    holder = open_account(place.admin, "0", [(place.security, "10", "500")])
    late = open_account(place.admin, "1000")
    busted = open_account(place.admin, "1000")
    book(late, place, Side.BUY, "5", "500", day=DAY)
    entry = book(busted, place, Side.BUY, "5", "500", day=BEFORE)
    with transaction.atomic():
        reverse_entry(entry_id=entry.pk, source="bust:1", entry_date=AFTER, memo="Busted")
    lot = models.Lot.objects.get(account_id=holder)
    book(holder, place, Side.SELL, "10", "600", [(lot.pk, D(10))], day=DAY)
    announce(place, ActionKind.CASH_DIVIDEND, cash_per_share=D("0.337"), pay_date=AFTER)
    assert apply(place) == 0
    assert apply(place, AFTER) == 1
    assert (cash_of(holder), cash_of(late), cash_of(busted)) == (D("603.37"), 500, 1000)
    entry = models.JournalEntry.objects.get(kind="DIVIDEND")
    assert entry.entry_date == AFTER
    # The command for the same ex-date pays nobody twice.
    assert (
        dividends.book_dividend(
            security_id=place.security.pk, ex_date=DAY, amount_per_share=D(1), currency="USD"
        )
        == 0
    )
    agree(place)


def choose(place, account_id, reinvests, security=None):
    dividends.choose_reinvestment(
        account_id=account_id,
        security_id=security.pk if security else None,
        reinvests=reinvests,
        actor_id=place.admin.pk,
    )


def test_a_dividend_is_reinvested_where_it_is_wished(place):
    other = make_security(place.admin, "BBB")
    lots = [(place.security, "100", "5000")]
    wishing, cash, but_this, but_other = (open_account(place.admin, "0", lots) for _ in range(4))
    choose(place, wishing, True)
    choose(place, but_this, True)
    choose(place, but_this, False, place.security)
    choose(place, but_other, False)
    choose(place, but_other, True, place.security)
    choose(place, but_other, False, other)
    quote(place, DAY, "99")
    announce(place, ActionKind.CASH_DIVIDEND, cash_per_share=D("2.5"))
    apply(place)
    assert [cash_of(pk) for pk in (wishing, cash, but_this, but_other)] == [52, 250, 250, 52]
    assert lots_of(wishing) == [(100, 5000), (2, 198)]
    new = models.Lot.objects.filter(account_id=wishing).latest("id")
    assert new.acquired_date == DAY
    household_id = new.account.household_id
    bought = load_tax_standing(regimes={household_id: "US"}, account_ids=[], day=DAY).recent_trades
    assert [(t.side, t.trade_date) for t in bought] == [(Side.BUY, DAY)]
    agree(place)
    choose(place, wishing, None)
    assert not models.ReinvestmentChoice.objects.filter(account_id=wishing).exists()


def test_a_reinvestment_never_washes_a_loss_of_the_household(place):
    account_id = open_account(
        place.admin, "0", [(place.security, "100", "9000"), (place.security, "10", "2000")]
    )
    dear = models.Lot.objects.latest("id")
    choose(place, account_id, True)
    book(account_id, place, Side.SELL, "10", "1000", [(dear.pk, D(10))], day=BEFORE)
    announce(place, ActionKind.CASH_DIVIDEND, cash_per_share=D("2.5"))
    apply(place)
    assert not models.JournalEntry.objects.filter(kind="REINVEST").exists()
    assert cash_of(account_id) == 1250
    assert load_tax_standing(
        regimes={dear.account.household_id: "US"}, account_ids=[account_id], day=DAY
    ).year_gains == {dear.account.household_id: (0, -1000)}


# --- On record -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "terms", "said"),
    [
        ("SPLIT", {"new_shares": 1, "old_shares": 2}, "reverse split"),
        ("REVERSE_SPLIT", {"new_shares": 2, "old_shares": 1}, "is it a split"),
        ("SPLIT", {"new_shares": 2}, "two whole numbers"),
        ("SPLIT", {"new_shares": 2_000_000, "old_shares": 1}, "two whole numbers"),
        ("SPLIT", {"new_shares": 2, "old_shares": 1, "cash_per_share": D(1)}, "no cash per share"),
        ("SYMBOL_CHANGE", {"new_symbol": ""}, "cannot be the new symbol"),
        ("SYMBOL_CHANGE", {"new_symbol": "A B"}, "cannot be the new symbol"),
        ("SYMBOL_CHANGE", {"new_symbol": "AAA"}, "cannot be the new symbol"),
        ("SYMBOL_CHANGE", {"new_symbol": "BBB"}, "another of your securities"),
        ("CASH_DIVIDEND", {}, "above zero"),
        ("CASH_DIVIDEND", {"cash_per_share": D("NaN")}, "above zero"),
        ("CASH_MERGER", {"cash_per_share": D("-1")}, "above zero"),
        ("CASH_MERGER", {"cash_per_share": D("0.0000001")}, "six decimal places"),
        ("DELISTING", {"cash_per_share": D(1)}, "no cash per share"),
        ("DELISTING", {"day": date(2036, 11, 20)}, "is the year right"),
        ("CASH_DIVIDEND", {"cash_per_share": D(1), "pay_date": OLD}, "is the year right"),
        ("CASH_DIVIDEND", {"cash_per_share": D(1), "pay_date": BEFORE}, "cannot pay on"),
    ],
)
def test_nonsense_is_refused_by_name(place, kind, terms, said):
    make_security(place.admin, "BBB")
    with pytest.raises(ActionRefused, match=said):
        announce(place, ActionKind(kind), **terms)
    assert not models.CorporateAction.objects.exists()


def test_an_action_is_recorded_once_and_of_ones_own_securities_only(place):
    row = split(place, 2, 1)
    with pytest.raises(Conflict, match="already"):
        split(place, 3, 1)
    withdraw_action(action_id=row.pk, actor_id=place.admin.pk)
    split(place, 3, 1)
    with pytest.raises(Conflict, match="withdrawn already"):
        withdraw_action(action_id=row.pk, actor_id=place.admin.pk)
    stranger = people.make_user(people.make_firm(), Role.ADMIN)
    place.security = make_security(stranger, "XXX")
    with pytest.raises(ActionRefused, match="not on your list"):
        split(place, 2, 1)
    assert AuditEntry.objects.filter(action="portfolios.action.recorded").count() == 2


def test_nobody_brings_an_action_about_alone(place):
    account_id = open_account(place.admin, "0", [(place.security, "10", "1000")])
    row = record(place, ActionKind.SPLIT, new_shares=2, old_shares=1)
    assert apply(place) == 0
    others = people.make_firm()
    for actor, said in (
        (place.admin, "You recorded this action"),
        (people.make_user(place.admin.firm, Role.ADVISOR), "Only a supervisor or an admin"),
        (people.make_user(others, Role.SUPERVISOR), "Only a supervisor or an admin"),
    ):
        with pytest.raises(NotAllowed, match=said):
            confirm_action(action_id=row.pk, actor_id=actor.pk)
    with pytest.raises(IntegrityError, match="action_by_two"), transaction.atomic():
        models.CorporateAction.objects.filter(pk=row.pk).update(
            status="ANNOUNCED", confirmed_by=place.admin, confirmed_at=Now()
        )
    # Half the price is a jump, as long as one person alone says why.
    quote(place, DAY, "50")
    assert models.RefusedPrice.objects.get().reason == "JUMP"
    confirm_action(action_id=row.pk, actor_id=place.supervisor.pk)
    with pytest.raises(Conflict, match="announced already"):
        confirm_action(action_id=row.pk, actor_id=place.supervisor.pk)
    assert apply(place) == 1
    assert models.Holding.objects.get(account_id=account_id).quantity == 20


def test_splits_are_booked_in_order(place):
    split(place, 2, 1)
    apply(place)
    with pytest.raises(Conflict, match="A later split of AAA is booked"):
        split(place, 3, 1, day=BEFORE)


def test_the_database_keeps_what_was_applied(place):
    row = split(place, 2, 1)
    rows = models.CorporateAction.objects.filter(pk=row.pk)
    with pytest.raises(IntegrityError, match="applied or withdrawn"), transaction.atomic():
        rows.update(new_shares=3)
    apply(place)
    for change in ({"status": "ANNOUNCED"}, {"status": "WITHDRAWN"}):
        with pytest.raises(IntegrityError, match="applied or withdrawn"), transaction.atomic():
            rows.update(**change)
    with pytest.raises(IntegrityError, match="applied or withdrawn"), transaction.atomic():
        rows.delete()


def test_what_took_effect_since_is_told_in_sentences(place):
    other = make_security(place.admin, "BBB")
    split(place, 2, 1)
    announce(place, ActionKind.CASH_DIVIDEND, cash_per_share=D("0.5"), day=AFTER)
    withdrawn = announce(place, ActionKind.DELISTING)
    withdraw_action(action_id=withdrawn.pk, actor_id=place.admin.pk)
    ids = [place.security.pk, other.pk]
    assert list_actions_since(ids, BEFORE, DAY) == ["AAA splits 2 for 1 on 20 Nov 2026"]
    assert len(list_actions_since(ids, BEFORE, AFTER)) == 2
    assert list_actions_since(ids, DAY, DAY) == list_actions_since([other.pk], OLD, AFTER) == []


def test_queries_do_not_grow_with_accounts(place, django_assert_max_num_queries):
    for _ in range(3):
        open_account(place.admin, "0", [(place.security, "10.5", "500")])
    split(place, 2, 1)
    with django_assert_max_num_queries(45):
        apply(place)
    for _ in range(12):
        open_account(place.admin, "0", [(place.security, "10.5", "500")])
    split(place, 2, 1, day=AFTER)
    with django_assert_max_num_queries(45):
        apply(place, AFTER)
    assert models.Holding.objects.filter(quantity=42).count() == 3
    agree(place)


# --- Dividends after what was taken back ---------------------------------------------------------


@pytest.mark.parametrize(
    ("ex_date", "shares"),
    [
        # The sale never was: all twenty are paid, whichever day the dividend belongs to.
        (date(2026, 11, 24), 20),
        (AFTER, 20),
        # Before the split, ten.
        (DAY, 10),
    ],
)
def test_a_sale_taken_back_after_a_split_counts_in_the_shares_of_the_day(place, ex_date, shares):
    account_id = open_account(place.admin, "0", [(place.security, "10", "500")])
    lot = models.Lot.objects.get()
    entry = book(account_id, place, Side.SELL, "4", "0", [(lot.pk, D(4))], day=BEFORE)
    split(place, 2, 1)
    apply(place)
    with transaction.atomic():
        reverse_entry(entry_id=entry.pk, source="bust:1", entry_date=AFTER, memo="Busted")
    assert lots_of(account_id)[0][0] == 20
    dividends.book_dividend(
        security_id=place.security.pk, ex_date=ex_date, amount_per_share=D(1), currency="USD"
    )
    assert cash_of(account_id) == shares
    agree(place)
