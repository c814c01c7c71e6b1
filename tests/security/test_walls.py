"""Each wall alone keeps the firms apart; with both down the canaries are seen, so the test sees."""

import pytest
from django.db.models import Q
from django.test import Client

from tests import people
from tests.security.cast import CANARY_B
from tests.security.test_matrix import read_everything
from tests.security.walls import as_the_web, without_access_conditions

pytestmark = pytest.mark.django_db
READERS = ["client", "advisor", "supervisor", "model_admin", "admin", "granted_operator"]


def find_leaks(texts):
    return [name for name, text in texts.items() if CANARY_B in text]


@pytest.mark.parametrize("relation", READERS)
def test_both_walls_let_the_pages_work_and_nothing_through(scene, relation):
    with as_the_web():
        seen = read_everything(scene, relation)
    assert find_leaks(seen) == []
    if relation in ("client", "supervisor"):
        # The wall hides nothing that the access functions show: the pages are as long as before.
        owned = read_everything(scene, relation)
        thinner = [name for name in owned if abs(len(owned[name]) - len(seen[name])) > 200]
        assert thinner == []


@pytest.mark.parametrize("relation", READERS)
def test_people_come_in_past_row_security(scene, relation):
    # With a password and all that follows it; `force_login` would leave most of it out.
    browser, person = Client(), scene.people[relation]
    with as_the_web():
        answer = browser.post("/sign-in/", {"username": person.email, "password": people.PASSWORD})
        assert answer.status_code == 302
        start = browser.get("/", follow=True)
    assert start.status_code == 200
    assert person.name in start.content.decode()


@pytest.mark.parametrize("relation", READERS)
def test_row_security_alone_holds(scene, relation):
    with as_the_web(), without_access_conditions():
        assert find_leaks(read_everything(scene, relation)) == []


def test_with_both_walls_down_the_canaries_are_seen(scene):
    with without_access_conditions():
        leaks = find_leaks(read_everything(scene, "supervisor"))
    assert len(leaks) >= 10, leaks


def test_one_condition_forgotten_and_no_row_security_is_caught(scene, monkeypatch):
    monkeypatch.setattr("accounts.access._household_condition", lambda user: Q())
    assert find_leaks(read_everything(scene, "supervisor"))
    with as_the_web():
        assert find_leaks(read_everything(scene, "supervisor")) == []
