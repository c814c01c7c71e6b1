"""Pages of the facts: who may open them, their traces, and how many queries they take."""

from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.domain.roles import Role
from accounts.models import AuditEntry
from portfolios import models
from portfolios.operations.securities import create_unclassified
from tests.market import make_published_model
from tests.people import make_user
from tests.portfolios.world import TODAY, sign_in

pytestmark = pytest.mark.django_db

EVERYONE = ("admin", "advisor", "author", "supervisor", "client")
ADMIN, AUTHOR, HOUSE = {"admin"}, {"author"}, {"advisor", "supervisor", "client"}
STAFF = {"admin", "advisor", "author", "supervisor"}
MARKET = {"admin", "advisor", "supervisor"}
PAGES = {
    "models": STAFF,
    "model": STAFF,
    "model_version": STAFF,
    "model_create": AUTHOR,
    "model_draft": AUTHOR,
    "risk_mapping": ADMIN,
    "securities": STAFF,
    "security": STAFF,
    "security_create": ADMIN,
    "security_edit": ADMIN,
    "prices": MARKET,
    "refused_prices": MARKET,
    "import_positions": ADMIN,
    "import_prices": ADMIN,
    "wishes": HOUSE,
}


def address(world, name):
    arguments = {
        "model": [world.model.public_id],
        "model_version": [world.model.public_id, 1],
        "model_draft": [world.model.public_id],
        "security": [world.vti.public_id],
        "security_edit": [world.vti.public_id],
        "wishes": [world.household.public_id],
    }
    return reverse(f"portfolios:{name}", args=arguments.get(name))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_exists_for_those_it_is_for_and_for_nobody_else(client, world, name):
    url = address(world, name)
    assert client.get(url).status_code == 302, "a stranger is asked to sign in"
    for who in EVERYONE:
        status = sign_in(client, getattr(world, who)).get(url).status_code
        assert status == (200 if who in PAGES[name] else 404), who
    if any(part in url for part in (str(world.model.public_id), str(world.vti.public_id))):
        assert sign_in(client, world.stranger).get(url).status_code == 404
    stranger_advisor = make_user(world.stranger.firm, Role.ADVISOR)
    if name == "wishes":
        assert sign_in(client, stranger_advisor).get(url).status_code == 404


def test_each_change_is_open_to_one_role_only(client, world):
    version = [world.model.public_id, 1]
    posts = {
        reverse("portfolios:model_submit", args=version): "author",
        reverse("portfolios:model_publish", args=version): "admin",
        reverse("portfolios:release_price", args=[world.refused.pk]): "supervisor",
    }
    for url, role in posts.items():
        for who in (*EVERYONE, "stranger"):
            if who != role:
                answer = sign_in(client, getattr(world, who)).post(url, {"reason": "x"})
                assert answer.status_code == 404, (url, who)
        assert sign_in(client, getattr(world, role)).get(url).status_code == 405
    assert models.Price.objects.count() == 1


@pytest.mark.parametrize("name", ["model", "security", "wishes"])
def test_what_does_not_exist_is_not_found(client, world, name):
    user = world.advisor
    url = reverse(f"portfolios:{name}", args=[uuid4()])
    assert sign_in(client, user).get(url).status_code == 404


def test_an_advisor_sees_wishes_of_their_own_households_only(client, world):
    url = reverse("portfolios:wishes", args=[world.other_household.public_id])
    assert sign_in(client, world.advisor).get(url).status_code == 404
    assert sign_in(client, world.client).get(url).status_code == 404


def test_changes_leave_their_trace(client, world):
    before = AuditEntry.objects.count()
    sign_in(client, world.admin)
    client.post(
        reverse("portfolios:security_create"),
        {
            "symbol": "VEA",
            "name": "Developed markets",
            "asset_class": str(world.vti.asset_class_id),
            "share_step": "1",
            "half_spread_bps": "2",
        },
    )
    sign_in(client, world.supervisor)
    client.post(reverse("portfolios:release_price", args=[world.refused.pk]), {"reason": "sure"})
    entries = AuditEntry.objects.order_by("pk")[before:]
    assert [(entry.action, entry.actor) for entry in entries] == [
        ("portfolios.security.created", world.admin),
        ("portfolios.price.released", world.supervisor),
    ]


@pytest.mark.parametrize("name", ["models", "securities", "prices", "refused_prices"])
def test_a_longer_list_takes_no_more_queries(client, world, name):
    sign_in(client, world.admin)
    url = reverse(f"portfolios:{name}")
    client.get(url)
    counts = []
    for fill in (lambda _world: None, add_many):
        fill(world)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(url).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 12


def add_many(world):
    ids = create_unclassified(
        firm_id=world.firm.pk, names={f"S{n}": "x" for n in range(20)}, actor_id=world.admin.pk
    )
    models.Security.objects.filter(pk__in=ids.values()).update(asset_class=world.vti.asset_class)
    for number in range(10):
        make_published_model(
            world.admin, world.reviewer, {f"S{number}": "1"}, name=f"Model {number}"
        )
    models.RefusedPrice.objects.bulk_create(
        models.RefusedPrice(
            firm=world.firm, symbol=f"S{n}", price_date=TODAY, quoted="9", reason="JUMP"
        )
        for n in range(20)
    )
