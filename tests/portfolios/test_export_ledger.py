"""The books pass the checks of programs that know nothing of us, and hold the same in them."""

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from beancount import loader
from beancount.core import realization
from django.core.management import CommandError, call_command
from django.db import transaction

from accounts.domain.roles import Role
from accounts.models import Household
from portfolios import models
from portfolios.domain.kinds import ActionKind, BreakKind, Side
from portfolios.operations import books, breaks, dividends
from portfolios.operations.corporate_actions import ActionDetails, apply_actions
from portfolios.operations.corrections import reverse_entry
from portfolios.queries.books import check_books
from rebalancer.management import demo_firm
from rebalancer.management.demo_build import found_firm, let_things_happen
from tests import people
from tests.market import make_price, make_security
from tests.portfolios import strangers
from tests.portfolios.actions import announce_action
from tests.portfolios.test_books import DAY, Clerk, fill, open_account

pytestmark = pytest.mark.django_db
D = Decimal
BEFORE, AFTER = date(2026, 11, 19), date(2026, 11, 23)


def pass_all(firm, folder):
    """Check a firm's books by every program there is; return Beancount's reading of them."""
    assert check_books(firm.pk) == []
    path = strangers.export(firm, "beancount", folder)
    assert strangers.bean_check(path) == ""
    if strangers.HLEDGER:
        assert strangers.hledger_check(strangers.export(firm, "hledger", folder)) == ""
    entries, errors, _options = loader.load_file(str(path))
    assert errors == []
    return realization.realize(entries)


def read_costs(root, account_id):
    """Return (shares, cost) of everything Beancount holds in an account."""
    node = realization.get(root, f"Assets:A{account_id}:Securities")
    positions = list(node.balance) if node is not None else []
    return (
        sum((p.units.number for p in positions), D(0)),
        sum((p.units.number * p.cost.number for p in positions), D(0)),
    )


def same_as_ours(root, account_id):
    """Assert that Beancount holds our shares, at our cost to less than a cent a lot."""
    lots = list(models.Lot.objects.filter(account_id=account_id))
    shares, cost = read_costs(root, account_id)
    assert shares == sum((lot.quantity for lot in lots), D(0))
    assert abs(cost - sum((lot.cost for lot in lots), D(0))) <= D("0.01") * max(len(lots), 1)


@pytest.mark.parametrize("seed", range(3))
def test_random_books_pass(seed, tmp_path):
    admin = people.make_user(people.make_firm(name=f'O"Neill; {seed}\\'), Role.ADMIN)
    clerk = Clerk(admin, seed)
    for _ in range(40):
        clerk.step()
    root = pass_all(admin.firm, tmp_path)
    for account_id in clerk.cash:
        same_as_ours(root, account_id)


def test_every_kind_of_entry_passes(tmp_path):
    admin = people.make_user(people.make_firm(), Role.ADMIN)
    odd = make_security(admin, 'BRK.B/"A;{1}')
    money = make_security(admin, "USD")
    plain = make_security(admin, "AAA")
    for symbol in (odd.symbol, "USD", "AAA"):
        make_price(admin, symbol, BEFORE, "100")
    lots = [(odd, "10", "333.33"), (money, "7", "100.01"), (plain, "30", "1000")]
    account_id = open_account(admin, "5000", lots)
    other = open_account(admin, "0", [(plain, "0.00000003", "0.02"), (plain, "1.5", "10")])

    def book(side, quantity, amount, security=plain, day=DAY):
        held = models.Lot.objects.filter(account_id=account_id, security=security, quantity__gt=0)
        picks = [(held.first().pk, D(quantity))] if side is Side.SELL else []
        facts = fill(account_id, security, side, quantity, amount, picks)
        facts = books.FillToBook(
            **{name: getattr(facts, name) for name in facts.__slots__} | {"fill_date": day}
        )
        return books.book_fills(fills=[facts], currency="USD")[0]

    def announce(kind, security=plain, day=DAY, **terms):
        announce_action(
            firm_id=admin.firm_id,
            details=ActionDetails(security.pk, kind, day, **terms),
            market_date=DAY,
            actor_id=admin.pk,
        )
        apply_actions(firm_id=admin.firm_id, on_date=day)

    def take_back(entry):
        with transaction.atomic():
            reverse_entry(
                entry_id=entry.pk, source=f"bust:{entry.pk}", entry_date=AFTER, memo='A "bust"'
            )

    sold = book(Side.SELL, "1", "120", day=BEFORE)
    book(Side.SELL, "1", "0")
    bought = book(Side.BUY, "0.33333333", "33.34")
    dividends.choose_reinvestment(
        account_id=account_id, security_id=None, reinvests=True, actor_id=admin.pk
    )
    announce(ActionKind.CASH_DIVIDEND, odd, cash_per_share=D("12.345678"))
    announce(ActionKind.SPLIT, new_shares=3, old_shares=2)
    announce(ActionKind.REVERSE_SPLIT, odd, new_shares=1, old_shares=3)
    announce(ActionKind.REVERSE_SPLIT, day=AFTER, new_shares=1, old_shares=7)
    late = book(Side.SELL, "0.5", "55.55", day=BEFORE)
    book(Side.BUY, "2", "201.01", day=BEFORE)
    for entry in (bought, sold, late):
        take_back(entry)
    announce(ActionKind.CASH_MERGER, money, cash_per_share=D("41.123456"))
    for theirs, cost in (("5", "9.99"), ("1", None)):
        ours = models.Holding.objects.get(account_id=account_id, security=odd).quantity
        row = breaks.open_break(
            account_id=account_id,
            security_id=odd.pk,
            kind=BreakKind.POSITION,
            source="recon",
            ours=ours,
            theirs=D(theirs),
            note="",
        )
        breaks.close_break(
            break_id=row.pk,
            user_id=people.make_user(admin.firm, Role.SUPERVISOR).pk,
            note="settled",
            now=datetime(2026, 11, 23, tzinfo=UTC),
            adjustment=breaks.Adjustment(AFTER, D(cost) if cost else None),
        )
    books.withdraw_cash(
        account_id=account_id,
        amount=D("10.01"),
        entry_date=AFTER,
        token=uuid.uuid4(),
        actor_id=admin.pk,
    )
    kinds = set(models.JournalEntry.objects.values_list("kind", flat=True))
    assert kinds == {
        "OPENING", "WITHDRAWAL", "BUY", "SELL", "DIVIDEND", "REINVEST", "SPLIT", "MERGER",
        "REVERSAL", "ADJUSTMENT",
    }  # fmt: skip
    root = pass_all(admin.firm, tmp_path)
    same_as_ours(root, account_id)
    same_as_ours(root, other)


def test_the_demo_firm_passes(settings, monkeypatch, tmp_path):
    settings.DEMO_PASSWORD = "as-even-as-a-keel"
    monkeypatch.setattr(demo_firm, "HISTORY_SESSIONS", 20)
    found_firm(datetime(2026, 11, 20, 22, tzinfo=UTC))
    firm = Household.objects.get(name="Weber").firm
    let_things_happen(firm.pk, datetime(2026, 11, 20, 22, tzinfo=UTC))
    root = pass_all(firm, tmp_path)
    for account_id in models.CashBalance.objects.values_list("account_id", flat=True):
        same_as_ours(root, account_id)


@pytest.mark.parametrize("language", ["beancount", "hledger"])
@pytest.mark.parametrize(
    "wrong",
    [
        "UPDATE portfolios_cashbalance SET amount = amount + 0.01",
        "UPDATE portfolios_holding SET quantity = quantity + 0.00000001",
    ],
)
def test_wrong_totals_fail_at_the_stranger(language, wrong, tmp_path):
    from django.db import connection

    admin = people.make_user(people.make_firm(), Role.ADMIN)
    open_account(admin, "100", [(make_security(admin, "AAA"), "10", "333.33")])
    with connection.cursor() as cursor:
        cursor.execute(wrong)
    path = strangers.export(admin.firm, language, tmp_path)
    if language == "hledger" and not strangers.HLEDGER:
        pytest.skip("hledger is not installed")
    check = strangers.bean_check if language == "beancount" else strangers.hledger_check
    assert "alance" in check(path)


def test_another_firms_books_stay_out(tmp_path, capsys):
    ours, theirs = (people.make_user(people.make_firm(), Role.ADMIN) for _ in range(2))
    open_account(ours, "111.11")
    open_account(theirs, "222.22", [(make_security(theirs, "SECRET"), "1", "1")])
    call_command("export_ledger", format="beancount", firm=ours.firm.name)
    text = capsys.readouterr().out
    assert "111.11" in text
    assert "222.22" not in text
    assert "SECRET" not in text


def test_what_cannot_be_written_is_said(tmp_path):
    admin = people.make_user(people.make_firm(), Role.ADMIN)
    with pytest.raises(CommandError, match="Nothing is booked"):
        call_command("export_ledger", format="hledger", firm=admin.firm.name)
    open_account(admin)
    with pytest.raises(CommandError, match="cannot be written"):
        call_command(
            "export_ledger",
            format="hledger",
            firm=admin.firm.name,
            output=Path(tmp_path) / "no" / "such.journal",
        )


def test_queries_do_not_grow_with_accounts(django_assert_num_queries, tmp_path):
    admin = people.make_user(people.make_firm(), Role.ADMIN)
    security = make_security(admin, "AAA")
    for count in (1, 6):
        for _ in range(count):
            open_account(admin, "1", [(security, "1", "1")])
        with django_assert_num_queries(16):
            strangers.export(admin.firm, "beancount", tmp_path)
