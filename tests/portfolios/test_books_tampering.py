"""Whoever changes the books behind the product's back is found out, with the account named."""

import uuid
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from django.db import connection

from accounts.domain.roles import Role
from accounts.models import Account
from portfolios import models
from portfolios.domain.kinds import Side
from portfolios.operations import books
from portfolios.queries.books import check_books
from tests import people
from tests.market import make_security
from tests.portfolios.test_books import fill, open_account

pytestmark = pytest.mark.django_db
D = Decimal

# What an owner of the database might do, and the title under which it comes to light.
TAMPERING = {
    "more cash": (
        "UPDATE portfolios_cashbalance SET amount = amount + 0.01 WHERE account_id = {account}",
        "cash differs from the ledger",
    ),
    "no cash row": (
        "DELETE FROM portfolios_cashbalance WHERE account_id = {account}",
        "cash differs from the ledger",
    ),
    "more shares": (
        "UPDATE portfolios_holding SET quantity = quantity + 0.00000001"
        " WHERE account_id = {account}",
        "holding, lots and ledger differ",
    ),
    "no holding": (
        "DELETE FROM portfolios_holding WHERE account_id = {account}",
        "holding, lots and ledger differ",
    ),
    "a bigger lot": (
        "UPDATE portfolios_lot SET opened_quantity = opened_quantity + 1, quantity = quantity + 1"
        " WHERE opened_by_id = {opening}",
        "holding, lots and ledger differ",
    ),
    "a lot's remaining cost": (
        "UPDATE portfolios_lot SET cost = cost - 0.01 WHERE opened_by_id = {opening}",
        "a lot does not add up",
    ),
    "a dearer purchase": (
        "UPDATE portfolios_lot SET opened_cost = opened_cost + 9, cost = cost + 9"
        " WHERE opened_by_id = {buy}",
        "a purchase's lot is not what was paid for",
    ),
    "an older purchase": (
        "UPDATE portfolios_lot SET acquired_date = '2001-01-01' WHERE opened_by_id = {buy}",
        "a purchase's lot is not what was paid for",
    ),
    "a younger lot of the opening, sold as long-term": (
        "UPDATE portfolios_lot SET acquired_date = '2026-11-01' WHERE opened_by_id = {opening}",
        "a disposal does not fit its lot",
    ),
    "another amount of a transfer": (
        "UPDATE portfolios_transfer SET quantity = quantity + 0.01"
        " WHERE entry_id = {opening} AND security_id IS NULL",
        "cash differs from the ledger",
    ),
    "another pocket": (
        "UPDATE portfolios_transfer SET target_pocket = 'FEES'"
        " WHERE entry_id = {opening} AND security_id IS NULL",
        "cash differs from the ledger",
    ),
    "a sale's cash and balance together": (
        "UPDATE portfolios_transfer SET quantity = quantity + 5"
        " WHERE entry_id = {sale} AND security_id IS NULL;"
        "UPDATE portfolios_cashbalance SET amount = amount + 5 WHERE account_id = {account}",
        "a sale's proceeds differ from its cash",
    ),
    "a purchase's cash and balance together": (
        "UPDATE portfolios_transfer SET quantity = quantity - 5"
        " WHERE entry_id = {buy} AND security_id IS NULL;"
        "UPDATE portfolios_cashbalance SET amount = amount + 5 WHERE account_id = {account}",
        "a purchase's lot is not what was paid for",
    ),
    "no transfer of shares": (
        "DELETE FROM portfolios_transfer WHERE entry_id = {buy} AND security_id IS NOT NULL",
        "holding, lots and ledger differ",
    ),
    "no transfer at all": (
        "DELETE FROM portfolios_transfer WHERE entry_id = {opening}",
        "an entry moves nothing",
    ),
    "a deposit that never was": (
        "INSERT INTO portfolios_journalentry (account_id, kind, entry_date, source, memo)"
        " VALUES ({account}, 'DEPOSIT', '2026-11-20', 'forged', '');"
        "INSERT INTO portfolios_transfer"
        " (entry_id, source_pocket, target_pocket, quantity, currency)"
        " SELECT id, 'EXTERNAL', 'CASH', 500, 'USD' FROM portfolios_journalentry"
        " WHERE source = 'forged';"
        "UPDATE portfolios_cashbalance SET amount = amount + 500 WHERE account_id = {account}",
        "the books version miscounts",
    ),
    "a disposal's quantity": (
        "UPDATE portfolios_disposal SET quantity = quantity + 1 WHERE entry_id = {sale}",
        "lots differ from their entry",
    ),
    "a disposal's proceeds": (
        "UPDATE portfolios_disposal SET proceeds = proceeds - 1 WHERE entry_id = {sale}",
        "a sale's proceeds differ from its cash",
    ),
    "a disposal's cost": (
        "UPDATE portfolios_disposal SET cost = cost + 1 WHERE entry_id = {sale}",
        "a lot does not add up",
    ),
    "a disposal's term": (
        "UPDATE portfolios_disposal SET is_long_term = NOT is_long_term WHERE entry_id = {sale}",
        "a disposal does not fit its lot",
    ),
    "no disposal": (
        "DELETE FROM portfolios_disposal WHERE entry_id = {sale}",
        "lots differ from their entry",
    ),
}


@pytest.fixture
def admin():
    return people.make_user(people.make_firm(), Role.ADMIN)


@pytest.fixture
def ids(admin):
    """Give an account with an opening, a purchase and a sale, and the ids of its entries."""
    security = make_security(admin, "AAA")
    account_id = open_account(admin, "1000", [(security, "10", "300")])
    open_account(admin, "500", [(security, "10", "300")])  # a neighbour that nobody touches
    buy = fill(account_id, security, Side.BUY, "2", "100", source=f"fill:TEST:{uuid.uuid4()}")
    books.book_fills(fills=[buy], currency="USD")
    lot = models.Lot.objects.filter(account_id=account_id).earliest("id")
    sale = fill(account_id, security, Side.SELL, "3", "150", [(lot.pk, D(3))])
    books.book_fills(fills=[sale], currency="USD")
    entries = models.JournalEntry.objects.filter(account_id=account_id).order_by("id")
    opening, buy_entry, sale_entry = entries.values_list("pk", flat=True)
    return {"account": account_id, "opening": opening, "buy": buy_entry, "sale": sale_entry}


def tamper(statements):
    """Run SQL as the owner of the tables, who can switch their triggers off."""
    tables = ("journalentry", "transfer", "disposal", "lotadjustment", "break")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in tables:
            cursor.execute(f"ALTER TABLE portfolios_{table} DISABLE TRIGGER USER")
        for statement in statements.split(";"):
            cursor.execute(statement)
            assert cursor.rowcount > 0, statement
        for table in tables:
            cursor.execute(f"ALTER TABLE portfolios_{table} ENABLE TRIGGER USER")


@pytest.mark.parametrize("name", TAMPERING)
def test_tampering_is_found_and_names_the_account(admin, ids, name):
    assert check_books(admin.firm_id) == []
    statements, title = TAMPERING[name]
    tamper(statements.format(**ids))
    faults = check_books(admin.firm_id)
    number = Account.objects.get(pk=ids["account"]).number
    assert title in {fault.title for fault in faults}
    assert all(f"account {number}" in fault.detail for fault in faults)


def test_another_firm_is_not_accused(admin, ids):
    other = people.make_user(people.make_firm(), Role.ADMIN)
    open_account(other)
    tamper(TAMPERING["more cash"][0].format(**ids))
    assert check_books(other.firm_id) == []


def test_dates_of_long_term_sales_agree_between_python_and_sql(admin):
    security = make_security(admin, "AAA")
    account_id = open_account(admin, "100000")
    days = [date(2023, 2, 28), date(2023, 3, 1), date(2024, 2, 28), date(2024, 2, 29)]
    sold = [date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1), date(2024, 3, 2)]
    sold += [date(2025, 2, 28), date(2025, 3, 1), date(2025, 3, 2)]
    for day in days:
        buy = fill(account_id, security, Side.BUY, "10", "10")
        books.book_fills(fills=[replace(buy, fill_date=day)], currency="USD")
    for lot in models.Lot.objects.all():
        for day in (day for day in sold if day > lot.acquired_date):
            sale = fill(account_id, security, Side.SELL, "1", "1", [(lot.pk, D(1))])
            books.book_fills(fills=[replace(sale, fill_date=day)], currency="USD")
    assert models.Disposal.objects.count() > 15
    assert check_books(admin.firm_id) == []
