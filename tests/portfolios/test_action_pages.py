"""Pages of corporate actions, differences with the broker, and dividends."""

from decimal import Decimal

import pytest
from django.urls import reverse

from accounts.domain.roles import Role
from portfolios import models
from portfolios.domain.kinds import BreakKind
from portfolios.operations import books, breaks
from portfolios.operations.corporate_actions import apply_actions, confirm_action
from portfolios.queries.books import check_books
from tests.people import enter, make_client, make_user
from tests.portfolios.test_books import OLD, open_account
from tests.portfolios.world import TODAY, sign_in

pytestmark = pytest.mark.django_db
D = Decimal
ACTIONS = "portfolios:actions"


@pytest.fixture
def account(world):
    """Give an account of the household that the advisor looks after, holding ten shares."""
    account_id = books.open_account(
        household_id=world.household.pk,
        name="Joint",
        number="77",
        custodian="Custodian",
        tax_status="TAXABLE",
        is_discretionary=True,
        opened_date=OLD,
        actor_id=world.admin.pk,
    )
    books.book_opening(
        account_id=account_id,
        entry_date=OLD,
        source="opening:77",
        cash=D(100),
        lots=[books.OpeningLot(world.vti.pk, D(10), D(500), OLD)],
        actor_id=world.admin.pk,
    )
    return models.CashBalance.objects.get(account_id=account_id).account


@pytest.fixture
def row(world, account):
    return breaks.open_break(
        account_id=account.pk,
        security_id=world.vti.pk,
        kind=BreakKind.POSITION,
        source="recon:1",
        ours=D(10),
        theirs=D(8),
        note="nightly look",
    )


def split(world, **changes):
    return {
        "security": str(world.vti.pk),
        "kind": "SPLIT",
        "effective_date": "2024-12-31",
        "new_shares": "2",
        "old_shares": "1",
        "source": "the issuer's page",
        **changes,
    }


def test_an_action_is_recorded_shown_and_withdrawn(client, world):
    sign_in(client, world.admin)
    answer = client.post(reverse(ACTIONS), split(world), follow=True)
    assert "VTI splits 2 for 1 on 31 Dec 2024" in answer.content.decode()
    assert client.post(reverse(ACTIONS), split(world)).status_code == 422
    action = models.CorporateAction.objects.get()
    # Whoever recorded it does not confirm it as well.
    confirm = reverse("portfolios:action_confirm", args=[action.public_id])
    assert "somebody else must confirm" in client.post(confirm, follow=True).content.decode()
    assert confirm not in client.get(reverse(ACTIONS)).content.decode()
    enter(client, make_user(world.firm, Role.SUPERVISOR))
    assert confirm in client.get(reverse(ACTIONS)).content.decode()
    assert "Confirmed:" in client.post(confirm, follow=True).content.decode()
    assert "announced already" in client.post(confirm, follow=True).content.decode()
    sign_in(client, world.admin)
    url = reverse("portfolios:action_withdraw", args=[action.public_id])
    assert "is withdrawn" in client.post(url, follow=True).content.decode()
    assert "withdrawn already" in client.post(url, follow=True).content.decode()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"new_shares": "1", "old_shares": "2"}, "is it a reverse split"),
        ({"new_shares": "-1"}, "greater than or equal to 1"),
        ({"effective_date": "yesterday"}, "Enter a valid date"),
        ({"effective_date": "1999-01-01"}, "is the year right"),
        ({"security": "999999"}, "not one of the available choices"),
        ({"kind": "SPINOFF"}, "not one of the available choices"),
        ({"kind": "CASH_DIVIDEND"}, "above zero"),
        ({"kind": "CASH_MERGER", "cash_per_share": "NaN"}, "Enter a number"),
    ],
)
def test_what_is_wrong_is_said_on_the_page(client, world, changes, said):
    answer = sign_in(client, world.admin).post(reverse(ACTIONS), split(world, **changes))
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not models.CorporateAction.objects.exists()


def test_who_may_read_and_who_may_write(client, world):
    for user, read, write in (
        (world.client, 404, 404),
        (world.advisor, 200, 404),
        (world.admin, 200, 302),
    ):
        sign_in(client, user)
        assert client.get(reverse(ACTIONS)).status_code == read
        assert client.post(reverse(ACTIONS), split(world)).status_code == write
    action = models.CorporateAction.objects.get()
    sign_in(client, world.stranger)
    url = reverse("portfolios:action_withdraw", args=[action.public_id])
    assert client.post(url).status_code == 404
    assert "VTI" not in client.get(reverse(ACTIONS)).content.decode()


def test_an_action_that_could_not_be_booked_is_pointed_out(client, world):
    sign_in(client, world.admin).post(
        reverse(ACTIONS),
        split(
            world, kind="SYMBOL_CHANGE", new_shares="", old_shares="", new_symbol="ZZZ",
            effective_date="2024-12-30",
        ),
    )  # fmt: skip
    action = models.CorporateAction.objects.get()
    confirm_action(action_id=action.pk, actor_id=make_user(world.firm, Role.SUPERVISOR).pk)
    models.Security.objects.filter(pk=world.bnd.pk).update(symbol="ZZZ")
    assert apply_actions(firm_id=world.firm.pk, on_date=TODAY) == 0
    assert "Waits for a person" in client.get(reverse(ACTIONS)).content.decode()


# --- Differences ---------------------------------------------------------------------------------


def test_a_difference_is_seen_handed_over_and_settled(client, world, account, row):
    supervisor = make_user(world.firm, Role.SUPERVISOR)
    enter(client, supervisor)
    listed = client.get(reverse("portfolios:breaks")).content.decode()
    assert "nightly look" in listed
    assert world.advisor.name in listed
    url = reverse("portfolios:break", args=[row.public_id])
    assign = reverse("portfolios:break_assign", args=[row.public_id])
    client.post(assign, {"owner": str(supervisor.pk)})
    row.refresh_from_db()
    assert row.owner_id == supervisor.pk
    client.post(assign, {"owner": str(world.admin.pk)})
    row.refresh_from_db()
    assert row.owner_id == supervisor.pk
    answer = client.post(url, {"theirs": "8", "note": "looked"})
    assert answer.status_code == 422
    assert "Our books hold 10 and the broker 8 of VTI" in answer.content.decode()
    posted = {"theirs": "8", "note": "two shares never came", "is_adjusted": "on"}
    assert client.post(url, posted).status_code == 302
    assert models.Holding.objects.get(account=account).quantity == 10
    # Whoever asked does not book it as well.
    book = reverse("portfolios:adjustment_confirm", args=[row.public_id])
    assert "Book it" not in client.get(url).content.decode()
    refused = client.post(book)
    assert refused.status_code == 422
    assert "another supervisor" in refused.content.decode()
    enter(client, make_user(world.firm, Role.SUPERVISOR))
    assert "go from 10 to 8" in client.get(url).content.decode()
    assert client.post(book).status_code == 302
    assert models.Holding.objects.get(account=account).quantity == 8
    page = client.get(url).content.decode()
    assert "two shares never came (booked)" in page
    assert client.post(book).status_code == 409
    assert client.post(url, posted).status_code == 422
    assert check_books(world.firm.pk) == []


def test_an_advisor_settles_what_agrees_and_only_asks_for_entries(client, world, account, row):
    sign_in(client, world.advisor)
    url = reverse("portfolios:break", args=[row.public_id])
    book = reverse("portfolios:adjustment_confirm", args=[row.public_id])
    posted = {"theirs": "8", "note": "x", "is_adjusted": "on"}
    assert client.post(url, posted).status_code == 302
    assert client.post(book).status_code == 404
    assert client.post(url, {**posted, "theirs": "12"}).status_code == 422  # without its cost
    dropped = client.post(reverse("portfolios:adjustment_drop", args=[row.public_id]))
    assert dropped.status_code == 302
    assert models.BreakAdjustment.objects.get().status == "DROPPED"
    assert client.post(url, {"theirs": "10", "note": "a typing error there"}).status_code == 302
    assert models.Holding.objects.get(account=account).quantity == 10


def test_what_was_asked_for_is_void_once_a_side_has_changed(client, world, account, row):
    sign_in(client, world.advisor)
    url = reverse("portfolios:break", args=[row.public_id])
    client.post(url, {"theirs": "8", "note": "x", "is_adjusted": "on"})
    breaks.open_break(
        account_id=account.pk,
        security_id=world.vti.pk,
        kind=BreakKind.POSITION,
        source="recon:1",
        ours=D(10),
        theirs=D(7),
        note="nightly look",
    )
    enter(client, make_user(world.firm, Role.SUPERVISOR))
    answer = client.post(reverse("portfolios:adjustment_confirm", args=[row.public_id]))
    assert answer.status_code == 409
    assert "look at it anew" in answer.content.decode()
    assert models.Holding.objects.get(account=account).quantity == 10


def test_a_difference_is_not_everybodys(client, world, row):
    other = make_user(world.firm)  # an advisor of other households
    url = reverse("portfolios:break", args=[row.public_id])
    for user in (other, world.client, world.admin, world.stranger):
        sign_in(client, user)
        assert client.get(url).status_code == 404
        assert client.post(url, {"theirs": "10", "note": "x"}).status_code == 404
        assign = reverse("portfolios:break_assign", args=[row.public_id])
        assert client.post(assign, {"owner": "1"}).status_code == 404
    sign_in(client, other)
    assert "nightly look" not in client.get(reverse("portfolios:breaks")).content.decode()


def test_the_account_page_says_what_does_not_trade(client, world, account, row):
    url = reverse("rebalancer:account", args=[account.public_id])
    assert "VTI does not trade here" in sign_in(client, world.advisor).get(url).content.decode()
    said = sign_in(client, world.client).get(url).content.decode()
    assert "We are checking how many VTI this account holds." in said
    assert "nightly look" not in said


# --- Dividends -----------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["client", "advisor"])
def test_what_becomes_of_dividends_is_chosen(client, world, account, who):
    url = reverse("portfolios:reinvestment", args=[account.public_id])
    sign_in(client, getattr(world, who))
    assert client.post(url, {"security": "", "choice": "reinvest"}).status_code == 302
    assert client.post(url, {"security": str(world.vti.pk), "choice": "cash"}).status_code == 302
    assert client.post(url, {"security": "999999", "choice": "cash"}).status_code == 422
    assert client.post(url, {"security": "", "choice": "burn"}).status_code == 422
    page = client.get(url).content.decode()
    assert "Buy more of what paid it" in page
    rows = models.ReinvestmentChoice.objects.values_list("security__symbol", "reinvests")
    assert set(rows) == {(None, True), ("VTI", False)}
    assert client.post(url, {"security": "", "choice": "none"}).status_code == 302
    assert models.ReinvestmentChoice.objects.count() == 1


def test_dividends_of_another_household_are_not_ones_own(client, world, account):
    url = reverse("portfolios:reinvestment", args=[account.public_id])
    for user in (make_client(world.other_household), make_user(world.firm), world.stranger):
        assert sign_in(client, user).get(url).status_code == 404
        assert client.post(url, {"security": "", "choice": "cash"}).status_code == 404
    assert not models.ReinvestmentChoice.objects.exists()


def test_pages_take_no_more_queries_with_more_rows(
    client, world, account, row, django_assert_max_num_queries
):
    supervisor = sign_in(client, make_user(world.firm, Role.SUPERVISOR))
    for number in range(8):
        other = open_account(world.admin, "1", [(world.vti, "1", "1")])
        breaks.open_break(
            account_id=other,
            security_id=world.vti.pk,
            kind=BreakKind.POSITION,
            source=f"recon:more:{number}",
            ours=D(1),
            theirs=D(2),
            note="",
        )
    with django_assert_max_num_queries(12):
        supervisor.get(reverse("portfolios:breaks"))
