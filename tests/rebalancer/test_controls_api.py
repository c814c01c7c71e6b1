"""The controls over the API: what is stopped, stopping, and the limits."""

import json
import uuid

import pytest

from accounts.domain.roles import Role
from rebalancer import models
from rebalancer.domain.limits import SwitchScope
from rebalancer.operations.controls import set_switch
from tests import people
from tests.rebalancer.test_controls_pages import go, person
from tests.rebalancer.world import make_world

pytestmark = pytest.mark.django_db


@pytest.fixture
def world():
    return make_world()


def call(user, **body):
    return go(user).post("/api/v1/switches/", json.dumps(body), content_type="application/json")


def test_a_client_stops_the_own_account_and_nothing_more(world):
    account, client = world.add_account(), person(world, Role.CLIENT)
    answer = call(client, scope="ACCOUNT", account=str(account.public_id), reason="moving")
    assert answer.status_code == 201
    assert answer.json() | {"id": "", "set_at": ""} == {
        "id": "",
        "scope": "ACCOUNT",
        "account": str(account.public_id),
        "symbol": None,
        "broker": "",
        "reason": "moving",
        "set_by": client.name,
        "set_at": "",
        "is_clearing_asked": False,
    }
    again = call(client, scope="ACCOUNT", account=str(account.public_id), reason="moving")
    assert again.status_code == 409
    assert call(client, scope="FIRM", reason="all").status_code == 403
    for user in (client, world.advisor, world.admin):
        assert go(user).get("/api/v1/switches/").json()["count"] == 1
    for user in (people.make_user(world.firm), people.make_user(people.make_firm(), Role.ADMIN)):
        assert go(user).get("/api/v1/switches/").json()["count"] == 0
        gone = call(user, scope="ACCOUNT", account=str(account.public_id), reason="x")
        assert gone.status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"scope": "FIRM"}, 400),
        ({"scope": "FIRM", "reason": ""}, 400),
        ({"scope": "FIRM", "reason": " "}, 400),
        ({"scope": "FIRM", "reason": "x" * 301}, 400),
        ({"scope": "FIRM", "reason": 5}, 400),
        ({"scope": "WORLD", "reason": "x"}, 400),
        ({"scope": "FIRM", "reason": "x", "is_stopped": False}, 400),
        ({"scope": "FIRM", "reason": "x", "set_by": 1}, 400),
        ({"scope": "ALL", "reason": "x"}, 403),
        ({"scope": "ACCOUNT", "reason": "x", "account": str(uuid.uuid4())}, 404),
        ({"scope": "SECURITY", "reason": "x", "symbol": "NONE"}, 400),
        ({"scope": "SECURITY", "reason": "x", "broker": "PAPER"}, 400),
        ({"scope": "BROKER", "reason": "x", "broker": "PAPER"}, 201),
        ({"scope": "SECURITY", "reason": "x", "symbol": "USTM"}, 201),
        ({"scope": "FIRM", "reason": "x"}, 201),
    ],
)
def test_what_is_sent_is_checked(world, body, status):
    answer = call(world.admin, **body)
    assert answer.status_code == status, answer.content
    assert models.Switch.objects.filter(is_stopped=True).count() == (status == 201)


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.SERVICE}))
def test_who_reads_limits(world, role):
    answer = go(person(world, role)).get("/api/v1/limits/")
    assert answer.status_code == (404 if role in (Role.CLIENT, Role.OPERATOR) else 200)
    if answer.status_code == 200:
        assert answer.json()["revision"] == 0
        assert answer.json()["order_amount_max"] == "10000000.00"
        assert answer.json()["orders_today"] == 0


def test_a_model_admin_has_no_part_in_switches(world):
    user = person(world, Role.MODEL_ADMIN)
    set_switch(scope=SwitchScope.FIRM, user_id=world.admin.pk, reason="x")
    assert go(user).get("/api/v1/switches/").status_code == 404
    assert call(user, scope="FIRM", reason="x").status_code == 404
