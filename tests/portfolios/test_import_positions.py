"""Statements become books: whole or not at all, once, and never against what the books say."""

import json
from datetime import date
from decimal import Decimal

import pytest

from accounts.domain.roles import Role, TaxStatus
from accounts.models import Account, AuditEntry
from portfolios import models
from portfolios.domain.import_plan import ImportTerms, guess_tax_status
from portfolios.operations.books import deposit_cash, open_account
from portfolios.operations.statements import ImportRefused, PlanChanged, apply_import
from portfolios.queries.books import check_books
from portfolios.queries.statements import plan_import
from portfolios.statements import read_statement
from tests.market import DATA_DIR, make_security, needs_data
from tests.people import make_firm, make_household, make_user

pytestmark = pytest.mark.django_db
TODAY = date(2025, 1, 15)
BROKERS = DATA_DIR / "formats" / "brokers"

# Two accounts in Fidelity's layout, figures our own.
HEADER = (
    "Account Number,Account Name,Symbol,Description,Quantity,Last Price,"
    "Current Value,Cost Basis Total\n"
)
TWO_ACCOUNTS = (
    HEADER
    + "Z1,Individual,VTI,US SHARES,10,$100.00,$1000.00,$800.00\n"
    + "Z1,Individual,SPAXX**,HELD IN MONEY MARKET,,,$50.25,\n"
    + "Z2,Roth IRA,BND,BONDS,2.5,$80.00,$200.00,--\n"
)


def terms(household=None, *, create_missing=True, **changes):
    facts = {
        "market_date": TODAY,
        "household_id": household.pk if household else None,
        "create_missing": create_missing,
        **changes,
    }
    return ImportTerms(**facts)


def take(admin, content, household=None, **options):
    if isinstance(content, str):
        content = content.encode()
    return apply_import(
        firm_id=admin.firm_id,
        statement=read_statement(content, "statement.csv"),
        file_name="statement.csv",
        terms=terms(household, **options),
        actor_id=admin.pk,
    )


def plan(admin, content, household=None, *, account_ids=None, **options):
    return plan_import(
        firm_id=admin.firm_id,
        statement=read_statement(content.encode(), "statement.csv"),
        terms=terms(household, **options),
        account_ids=account_ids,
    )


def books(firm):
    """Return {account number: (cash, {symbol: (quantity, cost)})}."""
    found = {}
    for account in Account.objects.filter(firm=firm):
        lots = models.Lot.objects.filter(account=account).select_related("security")
        holdings = {}
        for lot in lots:
            quantity, cost = holdings.get(lot.security.symbol, (0, 0))
            holdings[lot.security.symbol] = (quantity + lot.quantity, cost + lot.cost)
        found[account.number] = (account.cash_balance.amount, holdings)
    return found


def count_rows():
    tables = (
        Account,
        AuditEntry,
        models.AssetClass,
        models.Security,
        models.JournalEntry,
        models.Transfer,
        models.Lot,
        models.Holding,
        models.CashBalance,
        models.StatementImport,
    )
    return {table.__name__: table.objects.count() for table in tables}


def test_a_statement_opens_accounts_and_books(firm, admin, household):
    done = take(admin, TWO_ACCOUNTS, household)
    assert books(firm) == {
        "Z1": (Decimal("50.25"), {"VTI": (Decimal(10), Decimal(800))}),
        "Z2": (Decimal(0), {"BND": (Decimal("2.5"), Decimal(200))}),
    }
    individual, roth = Account.objects.order_by("number")
    assert (individual.household, individual.tax_status) == (household, TaxStatus.TAXABLE)
    assert (roth.tax_status, roth.is_discretionary) == (TaxStatus.TAX_FREE, False)
    assert {row.symbol for row in models.Security.objects.all()} == {"VTI", "BND"}
    assert all(row.asset_class.is_unclassified for row in models.Security.objects.all())
    notes = {
        holding.symbol: holding.note for account in done.accounts for holding in account.holdings
    }
    assert "holding period unknown" in notes["VTI"]
    assert "no cost basis given, market value taken" in notes["BND"]
    assert "BND" in models.JournalEntry.objects.get(account=roth).memo
    assert check_books(firm.pk) == []
    # A statement is no price source.
    assert not models.Price.objects.exists()


def test_taking_it_twice_changes_nothing(firm, admin, household):
    take(admin, TWO_ACCOUNTS, household)
    before = count_rows()
    again = take(admin, TWO_ACCOUNTS, household)
    assert again.imported_before
    assert again.refused == ()
    assert count_rows() == before
    # The same holdings in a file of other bytes: nothing to book, and it says so.
    other = take(admin, TWO_ACCOUNTS + "\n\n", household)
    assert [account.state for account in other.accounts] == ["UNCHANGED", "UNCHANGED"]
    assert not other.changes_anything
    after = count_rows()
    assert {key for key in after if after[key] != before[key]} <= {"AuditEntry", "StatementImport"}


@pytest.mark.parametrize(
    ("row", "culprit"),
    [
        ("Z1,Individual,ABC,SHORT,-10,$100.00,-$1000.00,$800.00", "ABC"),
        ("Z1,Individual,ABC,ZERO PRICE,10,$0.00,$1000.00,$800.00", "ABC"),
        ("Z1,Individual,ABC,DOES NOT MULTIPLY,10,$100.00,$500.00,$800.00", "ABC"),
        ("Z1,Individual,ABC,NO NUMBER,ten,$100.00,$1000.00,$800.00", "ABC"),
        ("Z1,Individual,VTI,TWICE,10,$100.00,$1000.00,$800.00", "VTI"),
    ],
)
def test_one_bad_row_and_nothing_is_booked(admin, household, row, culprit):
    before = count_rows()
    with pytest.raises(ImportRefused) as caught:
        take(admin, TWO_ACCOUNTS + row + "\n", household)
    assert culprit in " ".join(refused.culprit for refused in caught.value.plan.refused)
    assert count_rows() == before


def test_what_is_unknown_is_refused_unless_it_may_be_created(admin, household):
    make_security(admin, "VTI")
    refused = plan(admin, TWO_ACCOUNTS, household, create_missing=False).refused
    assert {(row.line, row.culprit) for row in refused} == {(2, "Z1"), (4, "Z2")}
    refused = plan(admin, TWO_ACCOUNTS, None, create_missing=True).refused
    assert {row.culprit for row in refused} == {"Z1", "Z2"}
    open_books(admin, household, "Z1")
    open_books(admin, household, "Z2")
    [row] = plan(admin, TWO_ACCOUNTS, None, create_missing=False).refused
    assert (row.line, row.culprit) == (4, "BND")
    assert "not one of the firm's securities" in row.reason


def open_books(admin, household, number, custodian="fidelity"):
    return open_account(
        household_id=household.pk,
        name=f"Account {number}",
        number=number,
        custodian=custodian,
        tax_status=TaxStatus.TAXABLE,
        is_discretionary=True,
        opened_date=TODAY,
        actor_id=admin.pk,
    )


def test_empty_books_of_a_known_account_are_opened(firm, admin, household):
    account_id = open_books(admin, household, "Z1")
    done = take(admin, TWO_ACCOUNTS, household)
    assert [account.state for account in done.accounts] == ["OPENING", "NEW"]
    assert done.accounts[0].account_id == account_id
    assert models.Holding.objects.get(account_id=account_id).quantity == 10
    assert check_books(firm.pk) == []


def test_books_that_say_something_else_are_never_changed(firm, admin, household):
    take(admin, TWO_ACCOUNTS, household)
    before = books(firm)
    changed = (
        HEADER
        + "Z1,Individual,VTI,US SHARES,12,$100.00,$1200.00,$800.00\n"
        + "Z1,Individual,SCHB,OTHER,1,$10.00,$10.00,$10.00\n"
        + "Z2,Roth IRA,SPAXX**,HELD IN MONEY MARKET,,,$7.00,\n"
    )
    with pytest.raises(ImportRefused) as caught:
        take(admin, changed, household)
    reasons = {(row.culprit, row.reason) for row in caught.value.plan.refused}
    assert reasons == {
        ("VTI", "books hold 10, statement says 12"),
        ("SCHB", "books hold 0, statement says 1"),
        ("Z1", "books hold 50.25 in cash, statement says 0.00"),
        ("BND", "books hold 2.5, statement says none"),
        ("Z2", "books hold 0.00 in cash, statement says 7.00"),
    }
    assert books(firm) == before


def test_an_account_of_another_household_is_refused(admin, firm, household):
    open_books(admin, make_household(firm, "Other"), "Z1")
    reasons = {row.culprit: row.reason for row in plan(admin, TWO_ACCOUNTS, household).refused}
    assert reasons == {"Z1": "belongs to another household"}


def test_an_account_outside_ones_own_book_is_refused(admin, household):
    open_books(admin, household, "Z1")
    refused = plan(admin, TWO_ACCOUNTS, household, account_ids=[]).refused
    assert [(row.culprit, row.reason) for row in refused] == [
        ("Z1", "is not an account that you look after")
    ]


def test_a_number_at_two_custodians_is_told_apart_by_the_broker(admin, household):
    open_books(admin, household, "Z1", custodian="schwab")
    fidelity = open_books(admin, household, "Z1", custodian="Fidelity")
    assert plan(admin, TWO_ACCOUNTS, household).accounts[0].account_id == fidelity
    Account.objects.filter(pk=fidelity).update(custodian="Vanguard")
    [row] = plan(admin, TWO_ACCOUNTS, household).refused
    assert (row.culprit, row.reason) == ("Z1", "is the number of several accounts on record")


def test_other_firms_are_out_of_sight(admin, household):
    stranger = make_user(make_firm(), Role.ADMIN)
    open_books(stranger, make_household(stranger.firm), "Z1")
    make_security(stranger, "VTI")
    done = take(admin, TWO_ACCOUNTS, household)
    assert [account.state for account in done.accounts] == ["NEW", "NEW"]
    assert done.new_securities.keys() == {"VTI", "BND"}


def test_a_statement_from_the_future_is_refused(admin, household):
    text = TWO_ACCOUNTS + '\n"Date downloaded Jan-16-2025 9:30 a.m ET"\n'
    [row] = plan(admin, text, household).refused
    assert row.culprit == "2025-01-16"


def test_what_was_shown_is_what_is_done(admin, household):
    shown = plan(admin, TWO_ACCOUNTS, household)
    account_id = open_books(admin, household, "Z1")
    statement = read_statement(TWO_ACCOUNTS.encode(), "x.csv")
    with pytest.raises(PlanChanged):
        apply_import(
            firm_id=admin.firm_id,
            statement=statement,
            file_name="x.csv",
            terms=terms(household),
            actor_id=admin.pk,
            fingerprint=shown.fingerprint,
        )
    assert not models.Holding.objects.filter(account_id=account_id).exists()


def test_a_deposit_before_the_import_stops_it(admin, household):
    import uuid

    account_id = open_books(admin, household, "Z1")
    deposit_cash(
        account_id=account_id,
        amount=Decimal(5),
        entry_date=TODAY,
        token=uuid.uuid4(),
        actor_id=admin.pk,
    )
    with pytest.raises(ImportRefused) as caught:
        take(admin, TWO_ACCOUNTS, household)
    assert "books hold 0, statement says 10" in [row.reason for row in caught.value.plan.refused]


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("Individual - TOD", TaxStatus.TAXABLE),
        ("Joint WROS", TaxStatus.TAXABLE),
        ("Traditional IRA", TaxStatus.TAX_DEFERRED),
        ("SEP-IRA", TaxStatus.TAX_DEFERRED),
        ("Acme 401(k) Plan", TaxStatus.TAX_DEFERRED),
        ("Rollover", TaxStatus.TAX_DEFERRED),
        ("ROTH IRA", TaxStatus.TAX_FREE),
        ("Roth 401k", TaxStatus.TAX_FREE),
        ("Miranda", TaxStatus.TAXABLE),
        ("", TaxStatus.TAXABLE),
    ],
)
def test_tax_status_is_guessed_from_the_name(name, status):
    assert guess_tax_status(name) is status


# --- The samples ---------------------------------------------------------------------------------


@needs_data
@pytest.mark.data
@pytest.mark.parametrize(
    "file_name",
    ["fidelity_positions.csv", "schwab_positions.csv", "vanguard_download.csv", "ibkr_flex.xml"],
)
def test_broker_samples_become_the_books_expected(firm, admin, household, file_name):
    expected = json.loads((BROKERS / "expected.json").read_text())[file_name]
    content = (BROKERS / file_name).read_bytes()
    done = take(admin, content, household)
    assert done.refused == ()
    assert books(firm) == {
        account["id"]: (
            Decimal(account["cash"]),
            {
                row["symbol"]: (
                    Decimal(row["quantity"]),
                    Decimal(row["cost_basis"] or row["market_value"]),
                )
                for row in account["holdings"]
            },
        )
        for account in expected["accounts"]
    }
    for account in expected["accounts"]:
        for row in account["holdings"]:
            check_lots(account["id"], row, expected["as_of"] or TODAY.isoformat())
    assert check_books(firm.pk) == []
    before = count_rows()
    assert take(admin, content, household).imported_before
    assert count_rows() == before


def check_lots(number, row, as_of):
    stored = models.Lot.objects.filter(account__number=number, security__symbol=row["symbol"])
    found = sorted((lot.acquired_date.isoformat(), lot.quantity, lot.cost) for lot in stored)
    if "lots" not in row:
        assert [day for day, _quantity, _cost in found] == [as_of]
        return
    keys = list(row["lots"][0])
    day_key = next(key for key in keys if "date" in key or "acquired" in key or "open" in key)
    cost_key = next(key for key in keys if "cost" in key)
    assert found == sorted(
        (lot[day_key][:10], Decimal(lot["quantity"]), Decimal(lot[cost_key])) for lot in row["lots"]
    )
