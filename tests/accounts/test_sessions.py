"""Sessions end when they should: by themselves, by their owner, by an admin, by a change."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from allauth.usersessions.models import UserSession
from django.test import Client
from django.urls import reverse

from accounts.domain.doors import describe_browser
from accounts.domain.roles import Role
from accounts.models import AuditEntry, OutgoingMail
from accounts.operations import users
from tests.accounts.doors import enter_password, give_app, is_signed_in, set_up_app, sign_in
from tests.people import PASSWORD, make_client, make_firm, make_household, make_user

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
NEW_PASSWORD = "another-even-keel-9"


@pytest.fixture
def firm():
    return make_firm()


@pytest.fixture
def advisor(firm):
    return make_user(firm, Role.ADVISOR)


def at(minutes):
    return time_machine.travel(NOW + timedelta(minutes=minutes), tick=False)


@pytest.mark.parametrize(("kind", "minutes"), [("staff", 15), ("client", 30)])
def test_doing_nothing_ends_a_session(firm, kind, minutes):
    person = make_user(firm) if kind == "staff" else make_client(make_household(firm))
    with at(0):
        client = sign_in(person)
    with at(minutes - 2):
        assert is_signed_in(client)
    with at(2 * minutes - 4):
        assert is_signed_in(client), "activity counts anew"
    with at(3 * minutes - 4):
        assert not is_signed_in(client)
    entry = AuditEntry.objects.get(action="accounts.door.session_ended")
    assert f"nothing was done for {minutes} minutes" in entry.summary


def test_a_page_that_asks_by_itself_is_no_activity(advisor):
    with at(0):
        client = sign_in(advisor)
    with at(10):
        assert client.get("/security/", headers={"X-Polling": "1"}).status_code == 200
    with at(16):
        assert not is_signed_in(client)


def test_twelve_hours_end_every_session(advisor):
    with at(0):
        client = sign_in(advisor)
    for minutes in range(10, 720, 10):
        with at(minutes):
            assert is_signed_in(client), minutes
    with at(720):
        assert not is_signed_in(client)


def test_an_ended_session_is_a_401_to_the_api(advisor):
    with at(0):
        client = sign_in(advisor)
        assert client.get("/api/v1/me/").status_code == 200
    with at(16):
        assert client.get("/api/v1/me/").status_code == 401


def test_signing_in_gives_another_key_and_signing_out_kills_it(advisor):
    client = Client()
    client.get("/sign-in/")
    session = client.session
    session["planted"] = "by somebody who knows the key"
    session.save()
    before = session.session_key
    enter_password(client, advisor)
    after = client.cookies["sessionid"].value
    assert after != before
    stolen = Client()
    stolen.cookies["sessionid"] = after
    assert is_signed_in(stolen)
    client.post(reverse("accounts:sign_out"))
    assert not is_signed_in(stolen)
    assert AuditEntry.objects.filter(action="accounts.door.signed_out").count() == 1


def test_a_disabled_person_is_out_at_once_and_stays_out_when_enabled(firm, advisor):
    admin = make_user(firm, Role.ADMIN)
    client = sign_in(advisor)
    users.disable_user(user_id=advisor.pk, actor_id=admin.pk)
    assert not is_signed_in(client)
    users.enable_user(user_id=advisor.pk, actor_id=admin.pk)
    assert not is_signed_in(client), "the old session does not wake up"


def test_another_role_ends_sessions_even_when_changed_back(firm, advisor):
    admin = make_user(firm, Role.ADMIN)
    client = sign_in(advisor)
    users.change_role(user_id=advisor.pk, role=Role.SUPERVISOR, actor_id=admin.pk)
    users.change_role(user_id=advisor.pk, role=Role.ADVISOR, actor_id=admin.pk)
    assert not is_signed_in(client)


def test_a_new_password_ends_all_but_the_present_session(advisor):
    client, other = sign_in(advisor), sign_in(advisor)
    answer = client.post(
        reverse("accounts:password"),
        {
            "old_password": PASSWORD,
            "new_password1": NEW_PASSWORD,
            "new_password2": NEW_PASSWORD,
        },
    )
    assert answer.status_code == 302
    assert is_signed_in(client)
    assert not is_signed_in(other)


def test_a_new_second_step_ends_all_but_the_present_session(advisor):
    client, other = sign_in(advisor), sign_in(advisor)
    set_up_app(client)
    assert is_signed_in(client)
    assert not is_signed_in(other)


def test_one_sees_and_ends_ones_own_sessions(advisor):
    client = sign_in(advisor)
    other = Client(headers={"User-Agent": "An old phone"})
    enter_password(other, advisor)
    page = client.get(reverse("usersessions_list")).content.decode()
    assert "An old phone" in page
    assert page.count("This one") == 1
    phone = UserSession.objects.get(user_agent="An old phone")
    client.post(reverse("accounts:session_end", args=[phone.pk]))
    assert not is_signed_in(other)
    assert is_signed_in(client)


def test_one_ends_all_others_at_once(advisor):
    client, second, third = sign_in(advisor), sign_in(advisor), sign_in(advisor)
    client.post(reverse("accounts:sessions_end"))
    assert is_signed_in(client)
    assert not is_signed_in(second)
    assert not is_signed_in(third)


def test_ending_the_present_one_signs_out(advisor):
    client = sign_in(advisor)
    (present,) = UserSession.objects.filter(user=advisor)
    answer = client.post(reverse("accounts:session_end", args=[present.pk]))
    assert answer["Location"] == reverse("accounts:sign_in")
    assert not is_signed_in(client)


def test_nobody_ends_a_strangers_session(firm, advisor):
    other = sign_in(make_user(firm))
    session = UserSession.objects.latest("pk")
    client = sign_in(advisor)
    answer = client.post(reverse("accounts:session_end", args=[session.pk]))
    assert answer.status_code == 404
    assert is_signed_in(other)


def test_an_admin_ends_all_sessions_of_a_person(firm, advisor):
    client = sign_in(advisor)
    sign_in(make_user(firm, Role.ADMIN)).post(
        reverse("accounts:person_sessions", args=[advisor.public_id])
    )
    assert not is_signed_in(client)
    assert AuditEntry.objects.filter(action="accounts.user.sessions_ended").count() == 1


def test_another_address_ends_sessions_and_both_get_a_notice(firm, advisor):
    before = advisor.email
    client = sign_in(advisor)
    admin = sign_in(make_user(firm, Role.ADMIN))
    address = reverse("accounts:person_address", args=[advisor.public_id])
    assert admin.post(address, {"email": "no address"}).status_code == 422
    taken = admin.post(address, {"email": make_user(firm).email})
    assert taken.status_code == 422
    assert admin.post(address, {"email": "New.Name@example.com"}).status_code == 302
    assert not is_signed_in(client)
    told = OutgoingMail.objects.filter(person=advisor, kind="ADDRESS_CHANGED")
    assert set(told.values_list("address", flat=True)) == {before, "new.name@example.com"}
    advisor.refresh_from_db()
    assert is_signed_in(sign_in(advisor))


def test_the_second_step_is_kept_apart_from_the_sessions_of_the_first(advisor):
    """Between the two steps there is no session of anybody that could be listed or used."""
    give_app(advisor)
    client = Client()
    enter_password(client, advisor)
    assert not is_signed_in(client)
    assert not UserSession.objects.exists()


def test_cookies_are_locked_down(advisor, settings):
    client = Client()
    enter_password(client, advisor)
    cookie = client.cookies["sessionid"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert cookie["path"] == "/"
    assert not cookie["domain"]
    assert not cookie["max-age"], "ends with the browser"


def test_production_cookies_carry_the_host_prefix():
    asked = (
        "from django.conf import settings as s; print(s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME,"
        " s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_HTTPONLY)"
    )
    environment = os.environ | {"EVENKEEL_HTTPS": "1", "DJANGO_SETTINGS_MODULE": "robo.settings"}
    told = subprocess.run(
        [sys.executable, "-c", asked], env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == ["__Host-session", "__Host-csrf", "True", "True"]


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/126.0 Safari/537.36 Edg/126.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; like Mac OS X) Version/17.5 Safari/604.1", "Safari on an iPhone"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Firefox/127.0", "Firefox on Linux"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("x" * 500, "x" * 60),
        ("", "An unknown program"),
    ],
)
def test_browsers_are_told_in_words(user_agent, words):
    assert describe_browser(user_agent) == words
