"""Signing in: the case of the address, equal answers, the demo, and the way in for the first."""

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse

from accounts.domain.roles import Role
from accounts.models import Firm, User
from accounts.operations import users
from accounts.queries.people import get_service_user
from tests.people import PASSWORD, make_firm, make_user

SIGN_IN = "/sign-in/"


@pytest.fixture
def advisor(db):
    return make_user(make_firm(), Role.ADVISOR, email="Mixed.Case@Example.com")


def attempt(client, email, password, **extra):
    return client.post(SIGN_IN, {"username": email, "password": password}, **extra)


@pytest.mark.parametrize("email", ["mixed.case@example.com", "MIXED.CASE@EXAMPLE.COM"])
def test_the_case_of_the_address_never_matters(advisor, client, email):
    assert advisor.email == "mixed.case@example.com"
    answer = attempt(client, email, PASSWORD)
    assert answer["Location"] == reverse("home")
    assert client.get(reverse("accounts:journal")).status_code == 200


def test_the_database_itself_refuses_an_address_with_capitals(advisor):
    from django.db import IntegrityError

    with pytest.raises(IntegrityError, match="user_email_in_lower_case"):
        User.objects.filter(pk=advisor.pk).update(email="Capital@example.com")


def test_the_answer_never_tells_which_addresses_are_known(advisor, client):
    engine = get_service_user(advisor.firm_id)
    gone = make_user(advisor.firm, Role.ADVISOR)
    admin = make_user(advisor.firm, Role.ADMIN)
    users.disable_user(user_id=gone.pk, actor_id=admin.pk)
    errors = set()
    for email, password in (
        (advisor.email, "wrong"),
        ("nobody@example.com", "wrong"),
        (engine.email, "wrong"),
        (gone.email, PASSWORD),
    ):
        answer = attempt(client, email, password)
        assert answer.status_code == 200
        errors.add(str(answer.context["form"].non_field_errors()))
    assert len(errors) == 1
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize("email", ["\x00", "x" * 5000, "", "not an address", "\u202e@example.com"])
def test_nonsense_in_place_of_an_address_is_only_a_failed_attempt(db, client, email):
    answer = client.post(SIGN_IN, {"username": email, "password": "x"})
    assert answer.status_code == 200
    assert "_auth_user_id" not in client.session


def test_the_way_back_never_leads_to_another_site(advisor, client):
    answer = client.post(
        SIGN_IN,
        {"username": advisor.email, "password": PASSWORD, "next": "https://evil.example/"},
    )
    assert answer["Location"] == reverse("home")


def test_signing_out_takes_a_post(advisor, client):
    client.force_login(advisor)
    assert client.get(reverse("accounts:sign_out")).status_code == 405
    assert client.get(reverse("accounts:journal")).status_code == 200
    assert client.post(reverse("accounts:sign_out"))["Location"] == SIGN_IN
    assert client.get(reverse("accounts:journal")).status_code == 302


def test_the_demo_tells_whom_to_sign_in_as_and_nobody_else_does(advisor, client, settings):
    settings.DEMO_PASSWORD = PASSWORD
    assert PASSWORD not in client.get(SIGN_IN).content.decode()
    settings.DEMO = True
    page = client.get(SIGN_IN).content.decode()
    assert PASSWORD in page
    assert advisor.email in page
    assert get_service_user(advisor.firm_id).email not in page


def test_passwords_are_kept_as_hashes_and_sessions_do_not_hold_them(advisor, client):
    with connection.cursor() as cursor:
        cursor.execute("SELECT password FROM accounts_user WHERE id = %s", [advisor.pk])
        (stored,) = cursor.fetchone()
    assert PASSWORD not in stored
    attempt(client, advisor.email, PASSWORD)
    assert PASSWORD not in str(dict(client.session))


# --- The way into an empty installation ----------------------------------------------------------


@pytest.mark.django_db
def test_create_firm_prints_a_link_that_lets_the_first_admin_in(client, capsys):
    call_command("create_firm", "Keel", admin_email="First@example.com", admin_name="First")
    (link,) = [line.strip() for line in capsys.readouterr().out.splitlines() if "/welcome/" in line]
    page = client.get(link, follow=True)
    new = {"new_password1": PASSWORD, "new_password2": PASSWORD}
    client.post(page.redirect_chain[-1][0], new)
    assert attempt(client, "first@example.com", PASSWORD).status_code == 302
    assert client.get(reverse("accounts:people")).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("email", "options", "words"),
    [
        ("nobody", {}, "not an e-mail"),
        ("a@example.com", {"currency": "dollars"}, "not a currency"),
        ("a@example.com", {"exchange": "MOON"}, "No market calendar"),
    ],
)
def test_create_firm_makes_all_or_nothing(email, options, words):
    with pytest.raises(CommandError, match=words):
        call_command("create_firm", "Keel", admin_email=email, admin_name="First", **options)
    assert not Firm.objects.exists()
