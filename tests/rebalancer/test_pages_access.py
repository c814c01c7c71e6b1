"""Who can open which page of decisions: every page, every relation to the household."""

import uuid

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from accounts.domain.roles import Role
from rebalancer.domain.lifecycle import ProposalStatus
from tests import people
from tests.rebalancer.browsing import browser, get, make_scene, text_of
from tests.rebalancer.world import NOW

pytestmark = pytest.mark.django_db
EVERYBODY = {"client", "advisor", "supervisor"}
ADVISERS = {"advisor", "unassigned", "supervisor"}
# Operators have the lists too, but nothing is in them without a look that was allowed.
BOOK = ADVISERS | {"operator"}
RULES = ADVISERS | {"admin", "model admin"}
MOVERS = ADVISERS | {"admin"}

# name of the page, which row it is about, who may open it
PAGES = [
    ("work_list", None, BOOK),
    ("households", None, BOOK),
    ("orders", None, BOOK),
    ("policies", None, RULES | {"other firm"}),
    ("add_policy", None, {"admin", "other firm"}),
    ("market", None, MOVERS),
    ("household", "household", EVERYBODY),
    ("account", "account", EVERYBODY),
    ("cash_preview", "account", {"client", "advisor"}),
    ("proposal", "proposal", EVERYBODY),
    ("policy", "policy", RULES),
    ("publish_preview", "version", RULES),
]


@pytest.fixture(autouse=True)
def _market_time():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def scene():
    return make_scene()


def row_of(scene, kind):
    return {
        None: [],
        "household": [scene.world.household.public_id],
        "account": [scene.account.public_id],
        "proposal": [scene.proposal.public_id],
        "policy": [scene.world.policy.public_id],
        "version": [scene.proposal.model_version_id],
    }[kind]


@pytest.mark.parametrize(("name", "kind", "allowed"), PAGES, ids=[page[0] for page in PAGES])
def test_only_those_whose_it_is_can_open_a_page(scene, name, kind, allowed):
    answers = {
        who: get(user, name, *row_of(scene, kind)).status_code
        for who, user in scene.people().items()
    }
    assert answers == {who: 200 if who in allowed else 404 for who in answers}


@pytest.mark.parametrize("kind", ["household", "account", "proposal", "policy"])
def test_an_id_that_does_not_exist_looks_like_one_that_is_not_mine(scene, kind):
    assert get(scene.world.advisor, kind, uuid.uuid4()).status_code == 404


def test_who_is_not_signed_in_is_sent_to_the_sign_in_page(scene):
    for name, kind, _allowed in PAGES:
        response = Client().get(reverse(f"rebalancer:{name}", args=row_of(scene, kind)))
        assert response.status_code == 302, name
        assert response.url.startswith(reverse("accounts:sign_in")), name


ACTIONS = [
    ("decide", "proposal", {"advisor", "supervisor"}),
    ("remove_trades", "proposal", {"advisor"}),
    ("deposit", "account", {"client", "advisor"}),
    ("withdraw", "account", {"client", "advisor"}),
    ("add_cash_need", "account", {"client", "advisor"}),
    ("look_now", "account", {"advisor"}),
    ("approve_many", None, {"advisor", "unassigned", "supervisor"}),
    ("assign_policy", "policy", {"admin"}),
    ("explain_policy", None, {"admin", "other firm"}),
    ("move_market", None, MOVERS),
]


@pytest.mark.parametrize(("name", "kind", "allowed"), ACTIONS, ids=[row[0] for row in ACTIONS])
def test_only_those_who_may_can_reach_an_action(scene, name, kind, allowed):
    # An empty form never does anything; what matters is who is told that it exists.
    address = reverse(f"rebalancer:{name}", args=row_of(scene, kind))
    for who, user in scene.people().items():
        is_hidden = browser(user).post(address).status_code == 404
        assert is_hidden is (who not in allowed), who
        assert browser(user).get(address).status_code in (404, 405), who


def test_a_client_sees_that_trades_are_reviewed_but_not_the_trades(scene):
    page = text_of(get(scene.client, "proposal", scene.proposal.public_id))
    assert "Being reviewed by your advisor" in page
    assert 'id="trades"' not in page
    assert 'id="decision"' not in page
    assert "trades" in text_of(get(scene.world.advisor, "proposal", scene.proposal.public_id))


@pytest.mark.parametrize("status", ["REJECTED", "EXPIRED", "SUPERSEDED"])
def test_a_client_never_sees_what_came_to_nothing(scene, status):
    scene.proposal.status = ProposalStatus(status)
    scene.proposal.save()
    assert get(scene.client, "proposal", scene.proposal.public_id).status_code == 404
    assert get(scene.world.advisor, "proposal", scene.proposal.public_id).status_code == 200
    overview = text_of(get(scene.client, "household", scene.world.household.public_id))
    assert str(scene.proposal.public_id) not in overview


def test_lists_hold_nothing_of_another_firm(scene):
    supervisor = people.make_user(scene.stranger.firm, Role.SUPERVISOR)
    for name in ("work_list", "households", "orders", "policies"):
        page = text_of(get(supervisor, name))
        assert scene.world.household.name not in page, name
        assert scene.world.policy.name not in page, name


def test_a_withdrawn_assignment_closes_the_pages_at_once(scene):
    advisor = scene.world.advisor
    page = browser(advisor)
    address = reverse("rebalancer:proposal", args=[scene.proposal.public_id])
    assert page.get(address).status_code == 200
    advisor.assignments.all().delete()
    assert page.get(address).status_code == 404
