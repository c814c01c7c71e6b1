"""Accounts and households in the browser: money moves once, needs, looks, words and figures."""

import uuid
from datetime import date, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.urls import reverse

from portfolios.models import CashBalance, JournalEntry
from portfolios.queries.books import check_books
from rebalancer import models
from tests import people
from tests.rebalancer.browsing import browser, get, make_scene, post, text_of
from tests.rebalancer.world import DAY, NOW

pytestmark = pytest.mark.django_db
D = Decimal


@pytest.fixture(autouse=True)
def _market_time():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def scene(settings):
    settings.DEMO = True  # where a client's own word moves money
    return make_scene()


def cash_of(account):
    return CashBalance.objects.get(account=account).amount


def move(scene, name, amount, *, user=None, token=None, account=None):
    return post(
        user or scene.client,
        name,
        (account or scene.account).public_id,
        amount=amount,
        token=str(token or uuid.uuid4()),
    )


def test_a_deposit_sent_twice_is_booked_once(scene):
    token = uuid.uuid4()
    for _ in range(2):
        response = move(scene, "deposit", "250.50", token=token)
        assert response.url == reverse("rebalancer:account", args=[scene.account.public_id])
    assert cash_of(scene.account) == D("1250.50")
    assert JournalEntry.objects.filter(kind="DEPOSIT").count() == 1
    assert check_books(scene.world.firm.pk) == []


def test_outside_a_demo_clients_plan_money_and_advisors_record_it(scene, settings):
    settings.DEMO = False
    page = text_of(get(scene.client, "account", scene.account.public_id))
    assert "Your advisor records it" in page
    assert get(scene.client, "cash_preview", scene.account.public_id, amount="5").status_code == 200
    assert move(scene, "deposit", "5").status_code == 403
    assert move(scene, "withdraw", "5").status_code == 403
    assert move(scene, "deposit", "5", user=scene.world.advisor).status_code == 302
    assert cash_of(scene.account) == D("1005")


def test_a_token_of_another_account_is_a_conflict(scene):
    other = scene.world.add_account("10")
    token = uuid.uuid4()
    move(scene, "deposit", "5", token=token)
    response = move(scene, "deposit", "5", token=token, account=other)
    assert response.status_code == 409
    assert cash_of(other) == 10


def test_a_withdrawal_takes_cash_and_no_more_than_there_is(scene):
    assert move(scene, "withdraw", "400").status_code == 302
    assert cash_of(scene.account) == 600
    refused = move(scene, "withdraw", "600.01")
    assert refused.status_code == 422
    assert "600.00" in text_of(refused)
    assert cash_of(scene.account) == 600


@pytest.mark.parametrize(
    "amount", ["", "0", "-5", "1.001", "NaN", "Infinity", "1e30", "ten", "５x"]
)
@pytest.mark.parametrize("name", ["deposit", "withdraw"])
def test_an_amount_that_is_none_books_nothing(scene, name, amount):
    assert move(scene, name, amount).status_code == 422
    assert cash_of(scene.account) == 1000


def test_a_form_without_its_token_books_nothing(scene):
    response = post(scene.client, "deposit", scene.account.public_id, amount="5", token="x")
    assert response.status_code == 422
    assert cash_of(scene.account) == 1000


def test_a_preview_says_what_the_engine_would_do_and_stores_nothing(scene):
    account = scene.account.public_id
    page = text_of(get(scene.client, "cash_preview", account, amount="5000"))
    assert "with $6,000.00 in cash" in page
    assert "buy" in page
    short = get(scene.client, "cash_preview", account, amount="5000", kind="withdraw")
    assert "does not hold that much cash" in text_of(short)
    assert "Write an amount" in text_of(get(scene.client, "cash_preview", account, amount="x"))
    assert get(scene.client, "cash_preview", account).status_code == 200
    assert cash_of(scene.account) == 1000
    assert models.Check.objects.count() == 1


def test_a_need_is_announced_and_settled(scene):
    values = {
        "amount": "300",
        "due_date": (DAY + timedelta(days=20)).isoformat(),
        "purpose": "Roof",
    }
    address = scene.account.public_id
    assert post(scene.client, "add_cash_need", address, **values).status_code == 302
    assert "Roof" in text_of(get(scene.world.advisor, "account", address))
    need = scene.account.cash_needs.get()
    assert post(scene.world.advisor, "settle_cash_need", address, need.pk).status_code == 302
    assert "Roof" not in text_of(get(scene.client, "account", address))


@pytest.mark.parametrize(
    "changes", [{"amount": "0"}, {"due_date": "2020-01-01"}, {"due_date": "soon"}, {"purpose": " "}]
)
def test_a_need_that_makes_no_sense_is_refused(scene, changes):
    values = {"amount": "300", "due_date": "2026-12-24", "purpose": "Roof", **changes}
    response = post(scene.client, "add_cash_need", scene.account.public_id, **values)
    assert response.status_code == 422
    assert not scene.account.cash_needs.exists()


def test_a_need_of_somebody_else_cannot_be_settled_through_my_account(scene):
    post(
        scene.client,
        "add_cash_need",
        scene.account.public_id,
        amount="300",
        due_date="2026-12-24",
        purpose="Roof",
    )
    need = scene.account.cash_needs.get()
    household = people.make_household(scene.world.firm)
    mine = people.make_account(household)
    response = post(people.make_client(household), "settle_cash_need", mine.public_id, need.pk)
    assert response.status_code == 404
    need.refresh_from_db()
    assert not need.is_settled


def test_looking_now_leads_to_what_it_found(scene):
    advisor = scene.world.advisor
    drifted = scene.world.add_account("100", lots=[("USTM", "90", "8000", date(2021, 1, 4))])
    found = post(advisor, "look_now", drifted.public_id)
    made = drifted.proposals.get()
    assert found.url == reverse("rebalancer:proposal", args=[made.public_id])
    scene.world.approve(made)
    browse = browser(advisor)
    busy = browse.post(reverse("rebalancer:look_now", args=[drifted.public_id]), follow=True)
    assert "under way" in text_of(busy)


def test_looking_now_says_why_it_cannot(scene):
    unmanaged = scene.world.add_account("100")
    unmanaged.model_assignment.delete()
    response = browser(scene.world.advisor).post(
        reverse("rebalancer:look_now", args=[unmanaged.public_id]), follow=True
    )
    assert "it follows no published model portfolio" in text_of(response)


def test_the_account_page_agrees_with_the_books(scene):
    page = text_of(get(scene.client, "account", scene.account.public_id))
    # 90 USTM at 100, 10 BOND at 80, 1,000 in cash.
    assert "$10,800.00" in page
    assert "$9,000.00" in page
    assert "83.3%" in page
    assert "+$3,700.00" in page  # 9,800 against a basis of 4,000 + 1,200 + 900
    assert "3 lots" not in page
    assert "2 lots" in page


def test_an_account_without_prices_or_model_shows_what_it_can(scene):
    unpriced = scene.world.add_account("55", name="Odd one")
    unpriced.model_assignment.delete()
    page = get(scene.world.advisor, "account", unpriced.public_id)
    assert page.status_code == 200
    assert "follows no published model" in text_of(page)
    assert "$55.00" in text_of(page)
    client_page = text_of(get(scene.client, "account", unpriced.public_id))
    assert "not being managed at the moment" in client_page
    assert "follows no published model" not in client_page


def test_the_household_page_adds_up_and_speaks_plainly(scene):
    scene.world.add_account("200", tax_status="TAX_DEFERRED", name="Retirement account")
    page = text_of(get(scene.client, "household", scene.world.household.public_id))
    assert "Your household" in page
    assert "$11,000.00" in page
    assert "nothing happens before your advisor agrees" in page
    assert "23 Nov 2026" in page  # the next trading day after Friday
    for jargon in ("THRESHOLD", "PENDING", "USD ", "Cause."):
        assert jargon not in page


def test_a_household_without_accounts_has_a_page(scene):
    household = people.make_household(scene.world.firm, advisor=scene.world.advisor)
    assert get(scene.world.advisor, "household", household.public_id).status_code == 200
    assert get(people.make_client(household), "household", household.public_id).status_code == 200


def test_realised_gains_of_the_year_are_taxed_by_term(scene):
    scene.world.approve(scene.proposal)
    scene.world.trade()
    page = text_of(get(scene.client, "household", scene.world.household.public_id))
    assert "Estimated tax 2026" in page
    assert "of realised gains" in page
    assert "Rebalance, done" in page
