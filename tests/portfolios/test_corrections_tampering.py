"""Corrections, splits and breaks changed behind our back: every lie is found and named."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.db import connection, transaction

from accounts.domain.roles import Role
from accounts.models import Account
from portfolios import models
from portfolios.domain.kinds import ActionKind, BreakKind, Side
from portfolios.operations import books, breaks
from portfolios.operations.corporate_actions import ActionDetails, apply_actions
from portfolios.operations.corrections import reverse_entry
from portfolios.queries.books import check_books
from tests import people
from tests.market import make_security
from tests.portfolios.actions import announce_action
from tests.portfolios.test_books import fill, open_account
from tests.portfolios.test_books_tampering import tamper

pytestmark = pytest.mark.django_db
D = Decimal
NEXT, LAST = date(2026, 11, 23), date(2026, 11, 24)
CASES = {
    "a split of another size": (
        "UPDATE portfolios_lotadjustment SET quantity = quantity + 1 WHERE entry_id = {split}",
        "a lot does not add up",
    ),
    "a split and its lot and holding": (
        "UPDATE portfolios_lotadjustment SET quantity = quantity + 1 WHERE entry_id = {split};"
        "UPDATE portfolios_lot SET quantity = quantity + 1 WHERE id = {lot};"
        "UPDATE portfolios_holding SET quantity = quantity + 1 WHERE account_id = {account}",
        "lots differ from their entry",
    ),
    "a split that makes cost": (
        "UPDATE portfolios_lotadjustment SET cost = 5 WHERE entry_id = {split};"
        "UPDATE portfolios_lot SET cost = cost + 5 WHERE id = {lot}",
        "a split changes cost",
    ),
    "a split booked as a sale": (
        "UPDATE portfolios_journalentry SET kind = 'DIVIDEND' WHERE id = {split}",
        "an adjustment does not fit its lot",
    ),
    "an adjustment of a neighbour's lot": (
        "UPDATE portfolios_lotadjustment SET lot_id = {neighbour} WHERE entry_id = {split}",
        "an adjustment does not fit its lot",
    ),
    "more money back than was paid": (
        "UPDATE portfolios_transfer SET quantity = quantity + 5"
        " WHERE entry_id = {buy_back} AND security_id IS NULL;"
        "UPDATE portfolios_cashbalance SET amount = amount + 5 WHERE account_id = {account}",
        "a reversal is not the opposite of what it reverses",
    ),
    "another cost given back": (
        "UPDATE portfolios_disposal SET cost = cost - 5 WHERE entry_id = {sale_back};"
        "UPDATE portfolios_lot SET cost = cost + 5 WHERE id = {lot}",
        "a reversal is not the opposite of what it reverses",
    ),
    "a reversal of nothing": (
        "UPDATE portfolios_journalentry SET reverses_id = NULL WHERE id = {buy_back}",
        "an entry's kind and what it reverses differ",
    ),
    "a purchase that claims to reverse": (
        "UPDATE portfolios_journalentry SET reverses_id = {opening} WHERE id = {split}",
        "an entry's kind and what it reverses differ",
    ),
    "a disposal undone by the wrong entry": (
        "UPDATE portfolios_disposal SET entry_id = {buy_back} WHERE entry_id = {sale_back}",
        "a disposal is reversed by another entry",
    ),
    "an adjustment without its break": (
        "UPDATE portfolios_break SET closing_entry_id = NULL",
        "an adjusting entry belongs to no break",
    ),
    "a dividend out of nowhere": (
        "UPDATE portfolios_transfer SET source_pocket = 'OPENING' WHERE entry_id = {adjustment}",
        "an entry moves what its kind does not move",
    ),
    "shares that came as cash": (
        "UPDATE portfolios_transfer SET target_pocket = 'CASH' WHERE entry_id = {adjustment}",
        "an entry moves what its kind does not move",
    ),
}


@pytest.fixture
def admin():
    return people.make_user(people.make_firm(), Role.ADMIN)


@pytest.fixture
def ids(admin):
    """Give an account with everything that can be put right, and the ids of its entries."""
    security = make_security(admin, "AAA")
    account_id = open_account(admin, "1000", [(security, "10", "300")])
    neighbour = open_account(admin, "500", [(security, "10", "300")])
    lot = models.Lot.objects.get(account_id=account_id)
    fills = [
        fill(account_id, security, Side.BUY, "2", "100"),
        fill(account_id, security, Side.SELL, "3", "150", [(lot.pk, D(3))]),
    ]
    buy, sale = books.book_fills(fills=fills, currency="USD")
    with transaction.atomic():
        back = [
            reverse_entry(entry_id=e.pk, source=f"bust:{e.pk}", entry_date=NEXT, memo="Busted")
            for e in (sale, buy)
        ]
    announce_action(
        firm_id=admin.firm_id,
        details=ActionDetails(security.pk, ActionKind.SPLIT, NEXT, new_shares=2, old_shares=1),
        market_date=NEXT,
        actor_id=admin.pk,
    )
    apply_actions(firm_id=admin.firm_id, on_date=NEXT)
    row = breaks.open_break(
        account_id=account_id,
        security_id=security.pk,
        kind=BreakKind.POSITION,
        source="recon:1",
        ours=D(20),
        theirs=D(21),
        note="",
    )
    closed = breaks.close_break(
        break_id=row.pk,
        user_id=people.make_user(admin.firm, Role.SUPERVISOR).pk,
        note="settled",
        now=datetime(2026, 11, 24, tzinfo=UTC),
        adjustment=breaks.Adjustment(LAST, D(30)),
    )
    entries = models.JournalEntry.objects.filter(account_id=account_id)
    return {
        "account": account_id,
        "lot": lot.pk,
        "neighbour": models.Lot.objects.get(account_id=neighbour).pk,
        "opening": entries.get(kind="OPENING").pk,
        "split": entries.get(kind="SPLIT").pk,
        "sale_back": back[0].pk,
        "buy_back": back[1].pk,
        "adjustment": closed.closing_entry_id,
    }


@pytest.mark.parametrize("name", CASES)
def test_it_is_found_and_names_the_account(admin, ids, name):
    assert check_books(admin.firm_id) == []
    statements, title = CASES[name]
    tamper(statements.format(**ids))
    faults = check_books(admin.firm_id)
    assert title in {fault.title for fault in faults}
    number = Account.objects.get(pk=ids["account"]).number
    assert any(f"account {number}" in fault.detail for fault in faults)


def test_a_lot_below_zero_needs_a_break(admin, ids):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE portfolios_lot DROP CONSTRAINT lot_never_negative")
        cursor.execute("UPDATE portfolios_lot SET quantity = -1 WHERE id = %s", [ids["lot"]])
    title = "a lot is below zero without a break"
    assert title in {fault.title for fault in check_books(admin.firm_id)}
    lot = models.Lot.objects.get(pk=ids["lot"])
    breaks.open_break(
        account_id=lot.account_id,
        security_id=lot.security_id,
        kind=BreakKind.BUST,
        source="bust:x",
        ours=D(-1),
        theirs=D(0),
        note="",
    )
    assert title not in {fault.title for fault in check_books(admin.firm_id)}
