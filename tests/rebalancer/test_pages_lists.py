"""Lists say what the pages say that they lead to, whatever happened since the last look."""

from datetime import date
from decimal import Decimal

import pytest
import time_machine
from django.urls import reverse

from accounts.access import visible_households
from rebalancer.domain.lifecycle import ProposalStatus
from rebalancer.models import Policy, Proposal
from rebalancer.queries.pages.households import HouseholdSort, list_household_rows
from robo.common.templatetags.figures import money
from tests import people
from tests.rebalancer.browsing import get, make_scene, post, text_of
from tests.rebalancer.world import NOW

pytestmark = pytest.mark.django_db
NEXT_DAY = date(2026, 11, 23)


@pytest.fixture(autouse=True)
def _market_time():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def scene():
    return make_scene()


def test_an_account_that_trades_have_cured_is_no_longer_listed_as_out_of_band(scene):
    scene.world.approve(scene.proposal)
    scene.world.trade()
    scene.proposal.refresh_from_db()
    assert scene.proposal.status == ProposalStatus.COMPLETED
    assert scene.proposal.origin_check.is_breached
    page = text_of(get(scene.world.advisor, "work_list", tab="breached"))
    assert "Every account is inside its bands" in page
    assert "Out of band" not in text_of(get(scene.world.advisor, "households"))


def test_a_breach_whose_trades_were_rejected_stays_listed(scene):
    answer = {"decision": "reject", "note": "no", "content_hash": scene.proposal.content_hash}
    post(scene.world.advisor, "decide", scene.proposal.public_id, **answer)
    page = text_of(get(scene.world.advisor, "work_list", tab="breached"))
    assert scene.account.name in page
    assert "Out of band" in text_of(get(scene.world.advisor, "households"))


@pytest.mark.parametrize("sort", ["name", "value"])
def test_the_list_of_households_has_the_value_of_the_household_page(scene, sort):
    # After the last look the market has moved on, and nobody has looked again.
    scene.world.set_prices(NEXT_DAY, USTM="90")
    value = 1000 + 90 * 90 + 10 * 80
    household = scene.world.household
    for page in (
        get(scene.world.advisor, "households", sort=sort),
        get(scene.world.advisor, "household", household.public_id),
    ):
        assert money(Decimal(value)) in text_of(page)


def test_households_are_ordered_by_what_they_are_worth_today(scene):
    richer = scene.world.add_account("1000000").household
    lines = get(scene.people()["supervisor"], "households", sort="value").context["lines"]
    assert [line.value for line in lines] == sorted((line.value for line in lines), reverse=True)
    assert lines[0].public_id == richer.public_id


def test_the_richest_come_first_before_they_are_cut_into_pages(scene):
    world = scene.world
    for name, cash in (("A little", "10"), ("Z lot", "1000000"), ("M some", "5000")):
        household = people.make_household(world.firm, name, advisor=world.advisor)
        world.add_account(cash, household_id=household.pk)
        world.add_account(cash, household_id=household.pk)
    world.look()
    rows = list_household_rows(
        households=visible_households(world.advisor), search="", sort=HouseholdSort.VALUE
    )
    found = [(row.name, row.value) for row in rows if row.pk != world.household.pk]
    assert found == [("Z lot", 2_000_000), ("M some", 10_000), ("A little", 20)]


@pytest.mark.parametrize("name", ["work_list", "households", "policy"])
@pytest.mark.parametrize("search", ["a\0b", "\0", "%_\\", "x" * 3000, "<script>"])
def test_any_search_is_answered(scene, name, search):
    args = [scene.world.policy.public_id] if name == "policy" else []
    user = scene.world.admin if name == "policy" else scene.people()["supervisor"]
    response = get(user, name, *args, q=search)
    assert response.status_code == 200
    assert "<script>" not in text_of(response).replace("<script src", "")


def test_a_refusal_leads_to_the_proposal_that_took_its_place(scene):
    seen = scene.proposal.content_hash
    scene.world.set_prices(NEXT_DAY, USTM="110")
    scene.world.look(NEXT_DAY)
    fresh = Proposal.objects.get(supersedes=scene.proposal)
    response = post(
        scene.world.advisor,
        "decide",
        scene.proposal.public_id,
        decision="approve",
        note="",
        content_hash=seen,
    )
    assert response.status_code == 409
    assert reverse("rebalancer:proposal", args=[fresh.public_id]) in text_of(response)


def test_only_an_admin_may_send_the_form_of_a_policy(scene):
    terms = {"name": "Mine now"}
    response = post(scene.world.advisor, "policy", scene.world.policy.public_id, **terms)
    assert response.status_code == 404
    assert not Policy.objects.filter(name="Mine now").exists()
