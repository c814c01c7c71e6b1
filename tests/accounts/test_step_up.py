"""Step-up: what costs money or opens doors asks again after a while, by the strongest proof."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from accounts.domain.doors import check_fresh
from accounts.domain.roles import Role
from accounts.models import AuditEntry
from rebalancer.models import Decision, Proposal
from tests.accounts.doors import give_app, read_code, sign_in
from tests.people import PASSWORD, make_firm, make_user
from tests.rebalancer.browsing import make_scene

LATER = timedelta(minutes=11)


@pytest.fixture
def scene(db):
    return make_scene()


@pytest.fixture
def now():
    return datetime.now(UTC)


def decide(client, proposal, decision="reject", **extra):
    values = {"decision": decision, "content_hash": proposal.content_hash, "note": "Too early"}
    return client.post(reverse("rebalancer:decide", args=[proposal.public_id]), values, **extra)


def call_api(client, proposal):
    return client.post(
        f"/api/v1/proposals/{proposal.public_id}/reject/",
        {"content_hash": proposal.content_hash, "note": "Too early"},
        content_type="application/json",
        headers={"Idempotency-Key": "a-key-of-this-test"},
    )


def test_a_decision_needs_a_recent_sign_in_and_comes_back_to_the_page(scene, now):
    client = sign_in(scene.world.advisor)
    page = reverse("rebalancer:proposal", args=[scene.proposal.public_id])
    with time_machine.travel(now + LATER, tick=False):
        asked = decide(client, scene.proposal, HTTP_REFERER=f"http://testserver{page}")
        assert asked["Location"].startswith(reverse("account_reauthenticate"))
        assert not Decision.objects.exists()
        shown = client.get(asked["Location"]).content.decode()
        assert "Nothing has been done yet" in shown
        wrong = client.post(asked["Location"], {"password": "wrong"})
        assert wrong.status_code == 422
        assert not Decision.objects.exists()
        back = client.post(asked["Location"], {"password": PASSWORD})
        assert back["Location"] == f"http://testserver{page}"
        # It was not done behind the person's back: they do it again.
        assert not Decision.objects.exists()
        assert decide(client, scene.proposal)["Location"] == page
        assert Decision.objects.count() == 1
    assert AuditEntry.objects.filter(action="accounts.door.confirmed").count() == 1


def test_within_the_minutes_nobody_is_asked(scene, now):
    client = sign_in(scene.world.advisor)
    with time_machine.travel(now + timedelta(minutes=9), tick=False):
        decide(client, scene.proposal)
    assert Decision.objects.count() == 1


def test_the_minutes_are_a_setting(scene, now, settings):
    settings.STEP_UP_MINUTES = 720
    client = sign_in(scene.world.advisor)
    settings.IDLE_MINUTES_STAFF = 720
    with time_machine.travel(now + timedelta(hours=11), tick=False):
        decide(client, scene.proposal)
    assert Decision.objects.count() == 1


def test_with_a_second_step_the_password_alone_confirms_nothing(scene, now):
    secret = give_app(scene.world.advisor)
    client = sign_in(scene.world.advisor, secret)
    with time_machine.travel(now + LATER, tick=False):
        asked = decide(client, scene.proposal)
        assert asked["Location"].startswith(reverse("mfa_reauthenticate"))
        # The page for the password leads to the one for the code.
        by_password = client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
        assert by_password["Location"].startswith(reverse("mfa_reauthenticate"))
        decide(client, scene.proposal)
        assert not Decision.objects.exists()
        assert client.post(asked["Location"], {"code": "000000"}).status_code == 422
        client.post(asked["Location"], {"code": read_code(secret)})
        decide(client, scene.proposal)
        assert Decision.objects.count() == 1


def test_a_second_step_set_up_later_counts_at_once(scene):
    """A session that began by password is not fresh any more once its owner has a second step."""
    client = sign_in(scene.world.advisor)
    give_app(scene.world.advisor)
    decide(client, scene.proposal)
    assert not Decision.objects.exists()


def test_the_api_says_so_in_a_code(scene, now):
    client = sign_in(scene.world.advisor)
    with time_machine.travel(now + LATER, tick=False):
        answer = call_api(client, scene.proposal)
        assert answer.status_code == 403
        assert answer.json()["errors"][0]["code"] == "step_up_required"
        client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
        assert call_api(client, scene.proposal).status_code == 200
    assert Proposal.objects.get().status == "REJECTED"


def test_many_at_once_need_it_too(scene, now):
    client = sign_in(scene.world.advisor)
    with time_machine.travel(now + LATER, tick=False):
        answer = client.post(reverse("rebalancer:approve_many"), {})
        assert answer["Location"].startswith(reverse("account_reauthenticate"))


def test_htmx_leads_the_whole_page_there(scene, now):
    client = sign_in(scene.world.advisor)
    with time_machine.travel(now + LATER, tick=False):
        answer = decide(
            client,
            scene.proposal,
            HTTP_HX_REQUEST="true",
            HTTP_HX_CURRENT_URL="http://testserver/work/",
        )
        assert answer.status_code == 204
        assert answer["HX-Redirect"].endswith("?next=http%3A%2F%2Ftestserver%2Fwork%2F")


@pytest.mark.parametrize("referer", ["https://evil.example/x", "javascript:alert(1)", ""])
def test_the_way_back_is_never_another_site(scene, now, referer):
    client = sign_in(scene.world.advisor)
    with time_machine.travel(now + LATER, tick=False):
        asked = decide(client, scene.proposal, HTTP_REFERER=referer)
        assert asked["Location"].endswith("?next=%2F")
        confirm = reverse("account_reauthenticate") + "?next=https://evil.example/"
        assert client.post(confirm, {"password": PASSWORD})["Location"] == "/"


def test_confirming_gives_the_session_another_key(scene):
    client = sign_in(scene.world.advisor)
    stolen = Client()
    stolen.cookies["sessionid"] = client.cookies["sessionid"].value
    assert stolen.get("/security/").status_code == 200
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    assert client.get("/security/").status_code == 200
    assert stolen.get("/security/").status_code == 302


@pytest.mark.django_db
@pytest.mark.parametrize(
    "name", ["person_link", "person_disable", "person_enable", "person_role", "person_sessions",
             "person_address", "reset_ask", "person_invite"],
)  # fmt: skip
def test_doors_of_others_need_it(name, now):
    admin = make_user(make_firm(), Role.ADMIN)
    person = make_user(admin.firm)
    args = [] if name == "person_invite" else [person.public_id]
    client = sign_in(admin)
    with time_machine.travel(now + LATER, tick=False):
        answer = client.post(reverse(f"accounts:{name}", args=args), {})
        assert answer["Location"].startswith(reverse("account_reauthenticate"))


@pytest.mark.django_db
def test_ones_own_doors_need_it(now):
    client = sign_in(make_user(make_firm()))
    with time_machine.travel(now + LATER, tick=False):
        for name in (
            "accounts:password", "accounts:sessions_end", "mfa_activate_totp", "mfa_add_webauthn",
        ):  # fmt: skip
            answer = client.post(reverse(name), {})
            assert answer["Location"].startswith(reverse("account_reauthenticate")), name


@pytest.mark.parametrize(
    ("records", "needs_second_factor", "is_fresh"),
    [
        ([], False, False),
        ([{"method": "password", "at": 1000}], False, True),
        ([{"method": "password", "at": 1000}], True, False),
        ([{"method": "mfa", "type": "totp", "at": 1000}], True, True),
        ([{"method": "mfa", "type": "totp", "at": 400}], True, False),
        ([{"method": "mfa", "at": 400}, {"method": "password", "at": 1000}], True, False),
        ([{"method": "mfa", "at": 401}], True, True),
        ([{"method": "password", "at": 5000}], False, False),  # from a clock that ran ahead
    ],
)
def test_what_counts_as_fresh(records, needs_second_factor, is_fresh):
    assert is_fresh == check_fresh(
        records, now_seconds=1000, seconds_max=600, needs_second_factor=needs_second_factor
    )
