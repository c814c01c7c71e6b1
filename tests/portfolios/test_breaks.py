"""Breaks: a difference is on record with an owner, freezes its subject, and ends by an entry."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from accounts.domain.roles import Role
from accounts.models import AuditEntry
from portfolios import models
from portfolios.domain.kinds import BreakKind, Side
from portfolios.operations import books, breaks, rebuilding
from portfolios.operations.breaks import Adjustment
from portfolios.operations.corrections import reverse_entry
from portfolios.queries.books import check_books
from portfolios.queries.breaks import list_frozen, list_open_breaks
from robo.common.errors import Conflict, NotAllowed, Refused
from tests import people
from tests.market import make_security
from tests.portfolios.test_books import cash_of, fill, open_account

pytestmark = pytest.mark.django_db
D = Decimal
TODAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, 22, tzinfo=UTC)


@pytest.fixture
def admin():
    return people.make_user(people.make_firm(), Role.SUPERVISOR)


@pytest.fixture
def security(admin):
    return make_security(admin, "AAA")


@pytest.fixture
def account_id(admin, security):
    return open_account(admin, "1000", [(security, "10", "500.01")])


def report(account_id, security, *, ours="10", theirs="12", source="recon:1", **facts):
    return breaks.open_break(
        account_id=account_id,
        security_id=security.pk if security else None,
        kind=BreakKind.POSITION if security else BreakKind.CASH,
        source=source,
        ours=D(ours),
        theirs=D(theirs),
        note="nightly look",
        **facts,
    )


def close(row, user, **facts):
    return breaks.close_break(break_id=row.pk, user_id=user.pk, note="settled", now=NOW, **facts)


def test_a_break_is_open_once_and_freezes_its_security(admin, account_id, security):
    row = report(account_id, security)
    assert report(account_id, security).pk == row.pk
    assert report(account_id, security, theirs="13").their_quantity == 13
    assert models.Break.objects.count() == 1
    assert row.owner_id == admin.pk
    assert list_frozen([account_id]) == {(account_id, security.pk)}
    assert [b.pk for b in list_open_breaks([account_id])] == [row.pk]
    report(account_id, None, source="recon:cash")
    assert list_frozen([account_id]) == {(account_id, security.pk), (account_id, None)}
    assert list_frozen([]) == set()
    assert AuditEntry.objects.filter(action="portfolios.break.opened").count() == 2


def test_it_belongs_to_the_lead_advisor_and_can_be_handed_on(admin, security):
    advisor = people.make_user(admin.firm)
    account_id = open_account(admin, "0", [(security, "1", "1")])
    from accounts.operations.people import assign_advisor

    household_id = models.CashBalance.objects.get(account_id=account_id).account.household_id
    assign_advisor(
        household_id=household_id, advisor_id=advisor.pk, is_lead=True, actor_id=admin.pk
    )
    row = report(account_id, security)
    assert row.owner_id == advisor.pk
    breaks.assign_break(break_id=row.pk, owner_id=admin.pk, user_id=admin.pk)
    row.refresh_from_db()
    assert row.owner_id == admin.pk
    stranger = people.make_user(people.make_firm(), Role.ADMIN)
    with pytest.raises(Refused, match="cannot own a break"):
        breaks.assign_break(break_id=row.pk, owner_id=stranger.pk, user_id=admin.pk)


def test_it_ends_when_both_agree_again_and_only_then(admin, account_id, security):
    row = report(account_id, security)
    with pytest.raises(Refused, match="Our books hold 10 and the broker 12 of AAA"):
        close(row, admin)
    with pytest.raises(Refused, match="Say how"):
        breaks.close_break(break_id=row.pk, user_id=admin.pk, note=" ", now=NOW)
    closed = close(row, admin, theirs=D(10))
    assert (closed.closed_by_id, closed.closing_entry) == (admin.pk, None)
    assert list_frozen([account_id]) == set()
    with pytest.raises(Conflict, match="closed already"):
        close(row, admin, theirs=D(10))
    # The same difference may be found again another night.
    assert report(account_id, security).pk != row.pk


@pytest.mark.parametrize(
    ("theirs", "cost", "shares", "basis"),
    [("12", "77.70", 12, D("577.71")), ("7", None, 7, D("350.01")), ("0", None, 0, 0)],
)
def test_shares_are_adjusted_by_an_entry(admin, account_id, security, theirs, cost, shares, basis):
    row = report(account_id, security, theirs=theirs)
    adjustment = Adjustment(entry_date=TODAY, cost=D(cost) if cost else None)
    closed = close(row, admin, adjustment=adjustment)
    assert closed.closing_entry.kind == "ADJUSTMENT"
    assert models.Holding.objects.get().quantity == shares
    lots = models.Lot.objects.filter(account_id=account_id)
    assert (sum(lot.quantity for lot in lots), sum(lot.cost for lot in lots)) == (shares, basis)
    assert check_books(admin.firm_id) == []
    assert rebuilding.rebuild_totals(firm_id=admin.firm_id) == 0
    assert list_frozen([account_id]) == set()


@pytest.mark.parametrize("theirs", ["990.50", "1000.07"])
def test_cash_is_adjusted_by_an_entry(admin, account_id, theirs):
    row = report(account_id, None, ours="1000", theirs=theirs)
    close(row, admin, adjustment=Adjustment(entry_date=TODAY))
    assert cash_of(account_id) == D(theirs)
    assert check_books(admin.firm_id) == []


def test_what_cannot_be_adjusted_is_refused(admin, account_id, security):
    row = report(account_id, security)
    advisor = people.make_user(admin.firm)
    with pytest.raises(NotAllowed, match="Only a supervisor"):
        close(row, advisor, adjustment=Adjustment(TODAY, D(1)))
    for cost in (None, D("-1"), D("0.001"), D("NaN")):
        with pytest.raises(Refused, match="have cost in all"):
            close(row, admin, adjustment=Adjustment(TODAY, cost))
    with pytest.raises(Refused, match="after they were booked"):
        close(row, admin, adjustment=Adjustment(TODAY, D(1), date(2026, 12, 1)))
    for theirs in ("NaN", "Infinity", "10.000000001"):
        with pytest.raises(Refused, match="cannot be booked"):
            close(row, admin, theirs=D(theirs), adjustment=Adjustment(TODAY, D(1)))
    with pytest.raises(Refused, match="settle 3 of AAA with the broker first"):
        close(row, admin, theirs=D(-3), adjustment=Adjustment(TODAY))
    with pytest.raises(Conflict, match="nothing left to adjust"):
        close(row, admin, theirs=D(10), adjustment=Adjustment(TODAY))
    assert models.JournalEntry.objects.count() == 1


def test_a_bust_after_resale_opens_a_break(admin, security):
    """The shares of a busted purchase are gone: books stay true, the difference is on record."""
    account_id = open_account(admin)
    [buy] = books.book_fills(
        fills=[fill(account_id, security, Side.BUY, "5", "500")], currency="USD"
    )
    lot = models.Lot.objects.get()
    books.book_fills(
        fills=[fill(account_id, security, Side.SELL, "5", "600", [(lot.pk, D(5))])],
        currency="USD",
    )
    with transaction.atomic():
        try:
            reverse_entry(entry_id=buy.pk, source="bust:9", entry_date=TODAY, memo="Busted")
        except books.BooksDisagree as error:
            row = breaks.open_break(
                account_id=account_id,
                security_id=security.pk,
                kind=BreakKind.BUST,
                source="bust:9",
                ours=D(0),
                theirs=D(-5),
                note=str(error),
            )
    assert "5 of its AAA were sold on" in row.note
    assert list_frozen([account_id]) == {(account_id, security.pk)}
    assert check_books(admin.firm_id) == []
    # The broker was bought back from: both are at nothing again.
    close(row, admin, theirs=D(0))
    assert list_frozen([account_id]) == set()


@pytest.mark.parametrize("change", [{"source": "x"}, {"kind": "CASH"}])
def test_the_database_keeps_breaks(account_id, security, change):
    row = report(account_id, security)
    with pytest.raises(IntegrityError, match="stays on record"), transaction.atomic():
        models.Break.objects.filter(pk=row.pk).update(**change)
    with pytest.raises(IntegrityError, match="stays on record"), transaction.atomic():
        models.Break.objects.filter(pk=row.pk).delete()
