"""Corrections: an entry taken back leaves the books as if it had never been, and both on record."""

import uuid
from datetime import date
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.domain.roles import Role
from accounts.models import AuditEntry
from portfolios import models
from portfolios.domain.kinds import Side
from portfolios.operations import books, dividends, rebuilding
from portfolios.operations.corrections import reverse_entry
from portfolios.operations.entries import PeriodClosed
from portfolios.operations.periods import close_books
from portfolios.queries.books import check_books
from portfolios.queries.taxes import load_tax_standing
from robo.common.errors import Refused
from tests import people
from tests.market import make_security
from tests.portfolios.test_books import DAY, cash_of, fill, open_account

pytestmark = pytest.mark.django_db
D = Decimal
NEXT = date(2026, 11, 23)


@pytest.fixture
def admin():
    return people.make_user(people.make_firm(), Role.ADMIN)


@pytest.fixture
def security(admin):
    return make_security(admin, "AAA")


def book(account_id, security, side, quantity, amount, picks=()):
    facts = fill(account_id, security, side, quantity, amount, picks)
    [entry] = books.book_fills(fills=[facts], currency="USD")
    return entry


def take_back(entry, source="bust:1"):
    with transaction.atomic():
        return reverse_entry(entry_id=entry.pk, source=source, entry_date=NEXT, memo="Busted")


def lots_of(account_id):
    return list(
        models.Lot.objects.filter(account_id=account_id)
        .order_by("id")
        .values_list("quantity", "cost")
    )


def test_a_purchase_gives_its_money_back_and_takes_its_lot(admin, security):
    account_id = open_account(admin)
    entry = book(account_id, security, Side.BUY, "3", "300.00")
    reversal = take_back(entry)
    assert (reversal.reverses_id, entry.reversed_by) == (entry.pk, reversal)
    assert cash_of(account_id) == 1000
    assert lots_of(account_id) == [(0, 0)]
    assert models.Holding.objects.get().quantity == 0
    assert check_books(admin.firm_id) == []
    assert rebuilding.rebuild_totals(firm_id=admin.firm_id) == 0
    assert AuditEntry.objects.filter(action="portfolios.entry.reversed").count() == 1


def test_a_sale_gives_its_lots_back_and_its_gain_never_was(admin, security):
    account_id = open_account(admin, "0", [(security, "10", "333.33"), (security, "5", "100.01")])
    before = lots_of(account_id)
    first, second = models.Lot.objects.order_by("id")
    entry = book(
        account_id, security, Side.SELL, "7", "700.07", [(first.pk, D(3)), (second.pk, D(4))]
    )
    household_id = first.account.household_id
    year = {"regimes": {household_id: "US"}, "account_ids": [account_id], "day": NEXT}
    assert load_tax_standing(**year).year_gains[household_id] != (0, 0)
    take_back(entry)
    assert lots_of(account_id) == before
    assert cash_of(account_id) == 0
    assert check_books(admin.firm_id) == []
    standing = load_tax_standing(**year)
    assert standing.year_gains[household_id] == (0, 0)
    assert standing.recent_trades == ()
    rows = models.Disposal.objects.values_list("quantity", "proceeds", "cost")
    assert [sum(column) for column in zip(*rows, strict=True)] == [0, 0, 0]


def test_a_busted_purchase_is_no_wash_sale_purchase(admin, security):
    account_id = open_account(admin, "1000", [(security, "10", "900")])
    lot = models.Lot.objects.get()
    book(account_id, security, Side.SELL, "10", "500", [(lot.pk, D(10))])
    buy = book(account_id, security, Side.BUY, "10", "500")
    household_id = lot.account.household_id
    year = {"regimes": {household_id: "US"}, "account_ids": [], "day": NEXT}
    assert load_tax_standing(**year).year_gains[household_id] == (0, 0)  # denied
    take_back(buy)
    standing = load_tax_standing(**year)
    assert standing.year_gains[household_id] == (0, D(-400))
    assert [trade.side for trade in standing.recent_trades] == [Side.SELL]


def test_the_same_source_books_once_and_only_for_its_entry(admin, security):
    account_id = open_account(admin)
    first = book(account_id, security, Side.BUY, "1", "100")
    second = book(account_id, security, Side.BUY, "1", "100")
    assert take_back(first).pk == take_back(first).pk
    assert cash_of(account_id) == 900
    with pytest.raises(books.BooksDisagree, match="for something else"):
        take_back(second)
    with pytest.raises(books.BooksDisagree, match="reversed already"):
        take_back(first, source="bust:2")
    with pytest.raises(books.BooksDisagree, match="REVERSAL.* cannot be reversed"):
        take_back(models.JournalEntry.objects.get(source="bust:1"), source="bust:3")


def test_shares_that_were_sold_on_cannot_be_taken_back(admin, security):
    account_id = open_account(admin)
    buy = book(account_id, security, Side.BUY, "4", "400")
    lot = models.Lot.objects.get()
    sale = book(account_id, security, Side.SELL, "1", "90", [(lot.pk, D(1))])
    with pytest.raises(books.BooksDisagree, match="1 of its AAA were sold on"):
        take_back(buy)
    assert check_books(admin.firm_id) == []
    # Once the sale is taken back as well, so can the purchase be.
    take_back(sale, source="bust:sale")
    take_back(buy, source="bust:buy")
    assert (cash_of(account_id), lots_of(account_id)) == (1000, [(0, 0)])
    assert check_books(admin.firm_id) == []


def test_money_that_was_spent_cannot_be_taken_back(admin, security):
    account_id = open_account(admin, "0", [(security, "5", "100")])
    lot = models.Lot.objects.get()
    sale = book(account_id, security, Side.SELL, "5", "500", [(lot.pk, D(5))])
    book(account_id, security, Side.BUY, "1", "100.01")
    with pytest.raises(books.BooksDisagree, match=r"brought 500\.00, and 399\.99 is left"):
        take_back(sale)
    assert cash_of(account_id) == D("399.99")


def test_a_dividend_and_a_deposit_can_be_taken_back_an_opening_not(admin, security):
    account_id = open_account(admin, "100", [(security, "10", "100")])
    dividends.book_dividend(
        security_id=security.pk, ex_date=DAY, amount_per_share=D("0.5"), currency="USD"
    )
    deposit = books.deposit_cash(
        account_id=account_id,
        amount=D(7),
        entry_date=DAY,
        token=uuid.uuid4(),
        actor_id=admin.pk,
    )
    take_back(models.JournalEntry.objects.get(kind="DIVIDEND"), source="back:1")
    take_back(deposit, source="back:2")
    assert cash_of(account_id) == 100
    assert check_books(admin.firm_id) == []
    with pytest.raises(books.BooksDisagree, match="OPENING.* cannot be reversed"):
        take_back(models.JournalEntry.objects.get(kind="OPENING"), source="back:3")


def test_trades_settle_on_the_next_session(admin, security):
    account_id = open_account(admin)
    friday = book(account_id, security, Side.BUY, "1", "10")
    assert friday.settles_date == date(2026, 11, 23)
    assert take_back(friday).settles_date == friday.settles_date


# --- Closed periods ------------------------------------------------------------------------------


def close(admin, day, account_id=None):
    close_books(
        firm_id=admin.firm_id,
        account_id=account_id,
        through_date=day,
        market_date=DAY,
        actor_id=admin.pk,
    )


def test_nothing_is_booked_into_a_closed_period(admin, security):
    closed, free = open_account(admin), open_account(admin)
    entry = book(closed, security, Side.BUY, "1", "10")
    close(admin, DAY, closed)
    for account_id, is_free in ((closed, False), (free, True)):
        facts = fill(account_id, security, Side.BUY, "1", "10")
        if is_free:
            books.book_fills(fills=[facts], currency="USD")
            continue
        with pytest.raises(PeriodClosed, match="closed through 2026-11-20"), transaction.atomic():
            books.book_fills(fills=[facts], currency="USD")
        assert issubclass(PeriodClosed, books.BooksDisagree)
    # A correction is booked in the period that is open.
    assert take_back(entry).entry_date == NEXT
    close(admin, DAY)
    with pytest.raises(PeriodClosed), transaction.atomic():
        books.book_fills(fills=[fill(free, security, Side.BUY, "1", "10")], currency="USD")
    assert check_books(admin.firm_id) == []


def test_the_database_refuses_it_too(admin):
    account_id = open_account(admin)
    close(admin, DAY)
    with pytest.raises(IntegrityError, match="closed on"), transaction.atomic():
        models.JournalEntry.objects.create(
            account_id=account_id, kind="DEPOSIT", entry_date=DAY, source="x"
        )
    models.JournalEntry.objects.create(
        account_id=account_id, kind="DEPOSIT", entry_date=NEXT, source="y"
    )


def test_books_are_not_opened_again_nor_closed_ahead(admin):
    close(admin, DAY)
    with pytest.raises(Refused, match="closed through 2026-11-20 already"):
        close(admin, date(2026, 11, 1))
    with pytest.raises(Refused, match="has not ended"):
        close(admin, NEXT)


@pytest.mark.parametrize("table", ["portfolios_lotadjustment", "portfolios_closedperiod"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_adjustments_and_closings_stand(admin, security, table, statement):
    take_back(book(open_account(admin), security, Side.BUY, "1", "10"))
    close(admin, DAY)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            cursor.execute(statement.format(table))
