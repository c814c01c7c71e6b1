"""The books on a real PostgreSQL: they agree after any events, and refuse what is wrong."""

import random
import uuid
from datetime import date
from decimal import Decimal

import pytest
from django.db import DataError, IntegrityError, connection, transaction

from accounts.domain.roles import Role, TaxStatus
from portfolios import models
from portfolios.domain.kinds import Side
from portfolios.domain.lots import OpeningLot
from portfolios.domain.money import QUANTITY_STEP, ZERO, floor_to_step, round_money
from portfolios.operations import books, dividends, rebuilding
from portfolios.queries.books import check_books
from portfolios.queries.taxes import load_tax_standing
from robo.common.errors import Conflict, Refused
from tests import people
from tests.market import make_security

pytestmark = pytest.mark.django_db
D = Decimal
DAY = date(2026, 11, 20)
OLD = date(2020, 1, 2)


@pytest.fixture
def admin():
    return people.make_user(people.make_firm(), Role.ADMIN)


def open_account(admin, cash="1000.00", lots=()):
    """Open an account with cash and lots of (security, quantity, cost); return its id."""
    household = people.make_household(admin.firm)
    account_id = books.open_account(
        household_id=household.pk,
        name="Account",
        number=uuid.uuid4().hex[:10],
        custodian="Custodian",
        tax_status=TaxStatus.TAXABLE,
        is_discretionary=False,
        opened_date=OLD,
        actor_id=admin.pk,
    )
    books.book_opening(
        account_id=account_id,
        entry_date=OLD,
        source=f"opening:{account_id}",
        cash=D(cash),
        lots=[OpeningLot(security.pk, D(q), D(cost), OLD) for security, q, cost in lots],
        actor_id=admin.pk,
    )
    return account_id


def cash_of(account_id):
    return models.CashBalance.objects.get(account_id=account_id).amount


def fill(account_id, security, side, quantity, amount, picks=(), source=None):
    return books.FillToBook(
        source=source or f"fill:TEST:{uuid.uuid4()}",
        account_id=account_id,
        security_id=security.pk,
        side=side,
        quantity=D(quantity),
        amount=D(amount),
        fill_date=DAY,
        picks=tuple(picks),
    )


# --- Any sequence of events --------------------------------------------------------------------


class Clerk:
    """Books random events, and keeps its own simple record of what should be there."""

    def __init__(self, admin, seed):
        self.dice = random.Random(seed)
        self.admin = admin
        self.securities = [make_security(admin, f"S{n}") for n in range(3)]
        self.cash, self.shares = {}, {}
        for _ in range(2):
            cash, quantity = self.amount(5000), self.quantity(100)
            lots = [(self.securities[0], quantity, self.amount(9000))] if quantity else []
            account_id = open_account(admin, str(cash), lots)
            self.cash[account_id] = cash
            self.shares[account_id, self.securities[0].pk] = quantity

    def amount(self, most):
        return D(self.dice.randint(1, int(D(most) * 100))) / 100

    def quantity(self, most):
        return floor_to_step(D(str(self.dice.random())) * D(most), QUANTITY_STEP)

    def step(self):
        account_id = self.dice.choice(sorted(self.cash))
        getattr(
            self, f"book_{self.dice.choice(['deposit', 'withdrawal', 'dividend', 'buy', 'sale'])}"
        )(account_id)

    def book_deposit(self, account_id):
        amount = self.amount(2000)
        books.deposit_cash(
            account_id=account_id,
            amount=amount,
            entry_date=DAY,
            token=uuid.uuid4(),
            actor_id=self.admin.pk,
        )
        self.cash[account_id] += amount

    def book_withdrawal(self, account_id):
        amount = self.amount(2000)
        try:
            books.withdraw_cash(
                account_id=account_id,
                amount=amount,
                entry_date=DAY,
                token=uuid.uuid4(),
                actor_id=self.admin.pk,
            )
        except books.NotEnoughCash:
            assert amount > self.cash[account_id]
        else:
            self.cash[account_id] -= amount

    def book_dividend(self, _account_id):
        security = self.dice.choice(self.securities)
        rate = self.amount(2)
        day = date.fromordinal(DAY.toordinal() + self.dice.randint(1, 5000))
        for _ in range(2):  # a repeat pays nothing
            dividends.book_dividend(
                security_id=security.pk, ex_date=day, amount_per_share=rate, currency="USD"
            )
        for account_id in self.cash:
            held = self.shares.get((account_id, security.pk), ZERO)
            self.cash[account_id] += round_money(held * rate)

    def book_buy(self, account_id):
        security, quantity = self.dice.choice(self.securities), self.quantity(20)
        amount = round_money(quantity * self.amount(90))
        buy = fill(account_id, security, Side.BUY, quantity or QUANTITY_STEP, amount)
        if amount > self.cash[account_id]:
            with pytest.raises(books.BooksDisagree, match="overdraw"), transaction.atomic():
                books.book_fills(fills=[buy], currency="USD")
            return
        books.book_fills(fills=[buy], currency="USD")
        self.cash[account_id] -= amount
        key = (account_id, security.pk)
        self.shares[key] = self.shares.get(key, ZERO) + buy.quantity

    def book_sale(self, account_id):
        security = self.dice.choice(self.securities)
        picks = [
            (
                lot.pk,
                max(
                    floor_to_step(lot.quantity * self.dice.randint(1, 100) / 100, QUANTITY_STEP),
                    QUANTITY_STEP,
                ),
            )
            for lot in models.Lot.objects.filter(
                account_id=account_id, security=security, quantity__gt=0
            )
            if self.dice.random() < 0.7
        ]
        sold = sum((quantity for _lot, quantity in picks), ZERO)
        if not sold:
            return
        amount = round_money(sold * self.amount(90))
        sale = fill(account_id, security, Side.SELL, sold, amount, picks)
        books.book_fills(fills=[sale], currency="USD")
        self.cash[account_id] += amount
        self.shares[account_id, security.pk] -= sold


@pytest.mark.parametrize("seed", range(12))
def test_books_agree_after_any_sequence_of_events(admin, seed):
    clerk = Clerk(admin, seed)
    for _ in range(25):
        clerk.step()
    assert check_books(admin.firm_id) == []
    assert {a: cash_of(a) for a in clerk.cash} == clerk.cash
    held = {(row.account_id, row.security_id): row.quantity for row in models.Holding.objects.all()}
    assert {key: q for key, q in held.items() if q} == {
        key: q for key, q in clerk.shares.items() if q
    }
    assert rebuilding.rebuild_totals(firm_id=admin.firm_id) == 0


def test_a_rebuild_restores_every_running_total(admin):
    security = make_security(admin, "AAA")
    account_id = open_account(admin, "100", [(security, "10", "500")])
    buy = fill(account_id, security, Side.BUY, "1", "50.00")
    books.book_fills(fills=[buy], currency="USD")
    models.CashBalance.objects.update(amount=7, books_version=99)
    models.Holding.objects.all().delete()
    models.Lot.objects.filter(opened_quantity=10).update(quantity=3, cost=1)
    assert check_books(admin.firm_id) != []
    assert rebuilding.rebuild_totals(firm_id=admin.firm_id) == 3
    assert check_books(admin.firm_id) == []
    assert cash_of(account_id) == 50


# --- Once, and only what is there --------------------------------------------------------------


def test_a_token_books_once_and_only_for_its_account(admin):
    first, second = open_account(admin), open_account(admin)
    token = uuid.uuid4()
    facts = {"amount": D("5.00"), "entry_date": DAY, "token": token, "actor_id": admin.pk}
    entries = {books.deposit_cash(account_id=first, **facts).pk for _ in range(3)}
    assert len(entries) == 1
    assert cash_of(first) == 1005
    for change in ({"account_id": second}, {"account_id": first, "amount": D("6.00")}):
        with pytest.raises(Conflict, match="already used to move other money"):
            books.deposit_cash(**{**facts, **change})
    # The same form sent as a withdrawal is another event.
    books.withdraw_cash(account_id=first, **facts)
    assert (cash_of(first), cash_of(second)) == (1000, 1000)


def test_an_opening_books_once_and_never_over_open_books(admin):
    account_id = open_account(admin)
    opening = {"account_id": account_id, "entry_date": OLD, "lots": (), "actor_id": admin.pk}
    books.book_opening(source=f"opening:{account_id}", cash=D(1000), **opening)
    assert cash_of(account_id) == 1000
    with pytest.raises(Conflict, match="already open"):
        books.book_opening(source="opening:again", cash=D(1), **opening)


@pytest.mark.parametrize("amount", ["0", "-1", "0.001", "NaN", "Infinity", "sNaN"])
@pytest.mark.parametrize("operation", [books.deposit_cash, books.withdraw_cash])
def test_what_is_no_amount_is_refused(admin, operation, amount):
    account_id = open_account(admin)
    with pytest.raises(Refused, match="not a positive amount in cents"):
        operation(
            account_id=account_id,
            amount=D(amount),
            entry_date=DAY,
            token=uuid.uuid4(),
            actor_id=admin.pk,
        )
    assert cash_of(account_id) == 1000


def test_one_wrong_fill_books_none_of_its_batch(admin):
    security = make_security(admin, "AAA")
    account_id = open_account(admin, "100", [(security, "10", "500")])
    lot = models.Lot.objects.get()
    good = fill(account_id, security, Side.BUY, "1", "50.00")
    wrong = [
        fill(account_id, security, Side.BUY, "1", "50.01"),
        fill(account_id, security, Side.SELL, "11", "500", [(lot.pk, D(11))]),
        fill(account_id, security, Side.SELL, "2", "100", [(lot.pk, D(1))]),
        fill(account_id, security, Side.SELL, "1", "50", [(lot.pk + 999, D(1))]),
    ]
    for bad in wrong:
        with pytest.raises(books.BooksDisagree), transaction.atomic():
            books.book_fills(fills=[good, bad], currency="USD")
    assert models.JournalEntry.objects.count() == 1
    assert cash_of(account_id) == 100


def test_a_sale_cannot_use_the_lots_of_another_account_or_security(admin):
    mine, other = make_security(admin, "AAA"), make_security(admin, "BBB")
    account_id = open_account(admin, "0", [(mine, "10", "500"), (other, "10", "500")])
    stranger = open_account(admin, "0", [(mine, "10", "500")])
    foreign = models.Lot.objects.get(account_id=stranger)
    unlike = models.Lot.objects.get(account_id=account_id, security=other)
    for lot in (foreign, unlike):
        sale = fill(account_id, mine, Side.SELL, "1", "50", [(lot.pk, D(1))])
        with pytest.raises(books.BooksDisagree), transaction.atomic():
            books.book_fills(fills=[sale], currency="USD")
    assert check_books(admin.firm_id) == []


def test_a_fill_reported_twice_is_booked_once(admin):
    security = make_security(admin, "AAA")
    account_id = open_account(admin)
    buy = fill(account_id, security, Side.BUY, "1", "50", source="fill:TEST:1")
    books.book_fills(fills=[buy], currency="USD")
    with pytest.raises(IntegrityError, match="journal_source_once"), transaction.atomic():
        books.book_fills(fills=[buy], currency="USD")
    assert cash_of(account_id) == 950


def test_realised_gains_are_proceeds_less_cost_by_term(admin):
    security = make_security(admin, "AAA")
    account_id = open_account(admin, "100", [(security, "10", "300")])
    books.book_fills(fills=[fill(account_id, security, Side.BUY, "1", "60")], currency="USD")
    old, new = models.Lot.objects.order_by("id")
    sale = fill(account_id, security, Side.SELL, "3", "150", [(new.pk, D(1)), (old.pk, D(2))])
    books.book_fills(fills=[sale], currency="USD")
    household_id = models.Lot.objects.get(pk=old.pk).account.household_id
    gains = {
        year: load_tax_standing(
            regimes={household_id: "US"}, account_ids=[], day=date(year, 12, 31)
        ).year_gains[household_id]
        for year in (2025, 2026)
    }
    assert gains == {2025: (0, 0), 2026: (D(-10), D(40))}


def test_many_lots_and_a_crumb_are_sold_for_cents(admin):
    security = make_security(admin, "AAA")
    lots = [(security, "100", "1")] * 9 + [(security, "0.00000001", "0")]
    account_id = open_account(admin, "0", lots)
    picks = [(lot.pk, lot.quantity) for lot in models.Lot.objects.order_by("id")]
    sale = fill(account_id, security, Side.SELL, "900.00000001", "90.05", picks)
    books.book_fills(fills=[sale], currency="USD")
    assert cash_of(account_id) == D("90.05")
    assert check_books(admin.firm_id) == []


# --- What PostgreSQL itself refuses ------------------------------------------------------------

NUMBER_TABLES = {
    "portfolios_price": models.Price,
    "portfolios_cashbalance": models.CashBalance,
    "portfolios_holding": models.Holding,
    "portfolios_transfer": models.Transfer,
    "portfolios_lot": models.Lot,
    "portfolios_disposal": models.Disposal,
}


def numeric_columns():
    """Return (table, column) of every number that is owned, owed or a price."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND data_type = 'numeric'"
            " AND table_name = ANY(%s) ORDER BY 1, 2",
            [list(NUMBER_TABLES)],
        )
        return cursor.fetchall()


def test_no_float_column_holds_anything():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND data_type IN ('real', 'double precision')"
            " AND table_name ~ '^(accounts|portfolios|rebalancer)_'"
        )
        assert cursor.fetchall() == []


def test_every_number_of_the_books_refuses_nan_infinity_and_less_than_nothing(admin):
    security = make_security(admin, "AAA")
    account_id = open_account(admin, "100", [(security, "10", "500")])
    lot = models.Lot.objects.get()
    sale = fill(account_id, security, Side.SELL, "1", "50", [(lot.pk, D(1))])
    books.book_fills(fills=[sale], currency="USD")
    models.Price.objects.create(security=security, price_date=DAY, price=1, source="test")
    columns = numeric_columns()
    assert {table for table, _column in columns} == set(NUMBER_TABLES)
    accepted = []
    for (table, column), number in (
        (place, number) for place in columns for number in ("NaN", "Infinity", "-Infinity", "-1")
    ):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
                cursor.execute(
                    f"UPDATE {table} SET {column} = %s::numeric"
                    f" WHERE id = (SELECT min(id) FROM {table})",
                    [number],
                )
                accepted.append((table, column, number))
        except (IntegrityError, DataError):
            continue
    assert accepted == []


@pytest.mark.parametrize(
    "table",
    ["portfolios_price", "portfolios_journalentry", "portfolios_transfer", "portfolios_disposal"],
)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {table} SET id = id",
        "DELETE FROM {table}",
        "TRUNCATE {table} CASCADE",
        "INSERT INTO {table} SELECT * FROM {table} ON CONFLICT (id) DO UPDATE SET id = excluded.id",
    ],
)
def test_what_happened_cannot_be_changed(admin, table, statement):
    security = make_security(admin, "AAA")
    account_id = open_account(admin, "100", [(security, "10", "500")])
    lot = models.Lot.objects.get()
    sale = fill(account_id, security, Side.SELL, "1", "50", [(lot.pk, D(1))])
    books.book_fills(fills=[sale], currency="USD")
    models.Price.objects.create(security=security, price_date=DAY, price=1, source="test")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(IntegrityError, match=r"append-only: \w+ on portfolios_\w+ is refused"):
            cursor.execute(statement.format(table=table))
