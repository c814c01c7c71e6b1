"""Secrets: two people to change one, nobody to read one, and a key that is not in the database."""

import json

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from accounts.domain.roles import Role
from accounts.domain.secret_names import is_secret_name
from accounts.models import AuditEntry, FirmSecret
from accounts.operations.secrets import (
    SecretMissing,
    confirm_secret,
    read_secret,
    refuse_secret,
    set_secret,
)
from robo.common.errors import Conflict, NotAllowed, Refused
from robo.common.secrets import SecretUnreadable, seal, unseal
from robo.start import check_start
from tests.api.cast import sign_in
from tests.people import make_firm, make_user

NAME, VALUE = "broker.alpaca.key_id", "PK-7f3a-very-secret"


@pytest.fixture(autouse=True)
def _key(settings):
    settings.SECRETS_KEYS = [Fernet.generate_key().decode()]


@pytest.fixture
def firm(db):
    return make_firm()


@pytest.fixture
def admin(firm):
    return make_user(firm, Role.ADMIN)


@pytest.fixture
def supervisor(firm):
    return make_user(firm, Role.SUPERVISOR)


def put(firm, admin, supervisor, value=VALUE, name=NAME):
    row = set_secret(firm_id=firm.pk, name=name, value=value, actor_id=admin.pk)
    confirm_secret(secret_id=row.pk, actor_id=supervisor.pk)
    return row


def test_a_value_is_used_once_a_second_person_confirmed_it(firm, admin, supervisor):
    row = set_secret(firm_id=firm.pk, name=NAME, value=VALUE, actor_id=admin.pk)
    with pytest.raises(SecretMissing):
        read_secret(firm_id=firm.pk, name=NAME)
    with pytest.raises(NotAllowed):
        confirm_secret(secret_id=row.pk, actor_id=admin.pk)
    confirm_secret(secret_id=row.pk, actor_id=supervisor.pk)
    assert read_secret(firm_id=firm.pk, name=NAME) == VALUE
    with pytest.raises(Conflict):
        confirm_secret(secret_id=row.pk, actor_id=supervisor.pk)
    # The next one takes its place, and only when it is confirmed too.
    fresh = set_secret(firm_id=firm.pk, name=NAME, value="new", actor_id=admin.pk)
    assert read_secret(firm_id=firm.pk, name=NAME) == VALUE
    confirm_secret(secret_id=fresh.pk, actor_id=make_user(firm, Role.ADMIN).pk)
    assert read_secret(firm_id=firm.pk, name=NAME) == "new"


def test_a_value_that_waits_can_be_dropped_or_overtaken(firm, admin, supervisor):
    row = set_secret(firm_id=firm.pk, name=NAME, value=VALUE, actor_id=admin.pk)
    refuse_secret(secret_id=row.pk, actor_id=admin.pk)
    with pytest.raises(Conflict):
        confirm_secret(secret_id=row.pk, actor_id=supervisor.pk)
    first, second = (
        set_secret(firm_id=firm.pk, name=NAME, value=value, actor_id=admin.pk) for value in "ab"
    )
    with pytest.raises(Conflict):
        confirm_secret(secret_id=first.pk, actor_id=supervisor.pk)
    confirm_secret(secret_id=second.pk, actor_id=supervisor.pk)
    assert read_secret(firm_id=firm.pk, name=NAME) == "b"


def test_who_may(firm, admin, supervisor):
    others = [make_user(firm, role) for role in (Role.ADVISOR, Role.OPERATOR, Role.MODEL_ADMIN)]
    strangers = [make_user(make_firm(), role) for role in (Role.ADMIN, Role.SUPERVISOR)]
    for person in (*others, *strangers, supervisor):
        with pytest.raises(NotAllowed):
            set_secret(firm_id=firm.pk, name=NAME, value=VALUE, actor_id=person.pk)
    row = set_secret(firm_id=firm.pk, name=NAME, value=VALUE, actor_id=admin.pk)
    for person in (*others, *strangers):
        with pytest.raises(NotAllowed):
            confirm_secret(secret_id=row.pk, actor_id=person.pk)
        with pytest.raises(NotAllowed):
            refuse_secret(secret_id=row.pk, actor_id=person.pk)


def test_the_database_alone_tells_nothing(firm, admin, supervisor, settings):
    row = put(firm, admin, supervisor)
    stored = json.dumps(list(FirmSecret.objects.values()), default=str)
    entries = json.dumps(list(AuditEntry.objects.values()), default=str)
    assert VALUE not in stored + entries
    settings.SECRETS_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(SecretUnreadable):
        read_secret(firm_id=firm.pk, name=NAME)
    settings.SECRETS_KEYS = []
    with pytest.raises(Refused, match="EVENKEEL_SECRETS_KEY"):
        read_secret(firm_id=firm.pk, name=NAME)
    with pytest.raises(Refused, match="EVENKEEL_SECRETS_KEY"):
        set_secret(firm_id=firm.pk, name=NAME, value="x", actor_id=admin.pk)
    assert row.pk


def test_a_sealed_value_is_worth_nothing_in_another_place(firm, admin, supervisor):
    put(firm, admin, supervisor)
    thief = make_firm()
    stolen = FirmSecret.objects.get(firm=firm)
    FirmSecret.objects.create(
        firm=thief,
        name=NAME,
        sealed_value=stolen.sealed_value,
        status="ACTIVE",
        set_by=admin,
        decided_by=supervisor,
        decided_at=stolen.decided_at,
    )
    with pytest.raises(SecretUnreadable, match="another place"):
        read_secret(firm_id=thief.pk, name=NAME)
    with pytest.raises(SecretUnreadable):
        unseal(seal("x", place="a"), place="b")


def test_the_database_itself_asks_for_two_people(firm, admin):
    row = set_secret(firm_id=firm.pk, name=NAME, value=VALUE, actor_id=admin.pk)
    for decided_by in (admin.pk, None):
        with pytest.raises(IntegrityError), transaction.atomic():
            FirmSecret.objects.filter(pk=row.pk).update(
                status="ACTIVE", decided_by=decided_by, decided_at=row.set_at
            )


def test_keys_are_replaced_without_losing_anything(firm, admin, supervisor, settings):
    put(firm, admin, supervisor)
    old, new = settings.SECRETS_KEYS[0], Fernet.generate_key().decode()
    settings.SECRETS_KEYS = [new]
    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command("rotate_secrets")
    settings.SECRETS_KEYS = [new, old]
    call_command("rotate_secrets")
    settings.SECRETS_KEYS = [new]
    assert read_secret(firm_id=firm.pk, name=NAME) == VALUE
    settings.SECRETS_KEYS = [old]
    with pytest.raises(SecretUnreadable):
        read_secret(firm_id=firm.pk, name=NAME)


@pytest.mark.django_db(transaction=True)
def test_nothing_starts_that_could_not_read_what_is_kept(settings):
    key = settings.SECRETS_KEYS[0]
    settings.SECRETS_KEYS = []
    check_start()
    settings.SECRETS_KEYS = [key]
    firm = make_firm()
    put(firm, make_user(firm, Role.ADMIN), make_user(firm, Role.SUPERVISOR))
    check_start()
    for keys, told in (
        ([], "is not set"),
        ([Fernet.generate_key().decode()], "is not the key"),
        (["short"], "Key 1 of EVENKEEL_SECRETS_KEY"),
        ([key, "x" * 44], "Key 2 of EVENKEEL_SECRETS_KEY"),
    ):
        settings.SECRETS_KEYS = keys
        with pytest.raises(ImproperlyConfigured, match=told) as error:
            check_start()
        assert key not in str(error.value)


@pytest.mark.parametrize("value", ["", "x" * 4001, "a\x00b"])
def test_values_that_cannot_be_one_are_refused(firm, admin, value):
    with pytest.raises(Refused):
        set_secret(firm_id=firm.pk, name=NAME, value=value, actor_id=admin.pk)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("broker", True),
        ("broker.alpaca.key_id", True),
        ("", False),
        ("Broker", False),
        ("broker.", False),
        ("a..b", False),
        ("a.b.c.d.e", False),
        ("a b", False),
        ("a\nb", False),
        ("a" * 81, False),
    ],
)
def test_names_of_secrets(name, is_one):
    assert is_secret_name(name) is is_one


# --- Pages ---------------------------------------------------------------------------------------


def test_the_page_takes_a_value_and_never_shows_one(firm, admin, supervisor):
    writer, confirmer = sign_in(admin), sign_in(supervisor)
    page = writer.post("/programs/secrets/new/", {"name": NAME, "value": VALUE}, follow=True)
    assert VALUE not in page.content.decode()
    assert "New value waits" in page.content.decode()
    row = FirmSecret.objects.get()
    refused = writer.post(f"/programs/secrets/{row.public_id}/confirm/")
    assert refused.status_code == 403
    assert "somebody else must confirm" in refused.content.decode()
    shown = confirmer.get("/programs/secrets/")
    assert NAME in shown.content.decode()
    assert "New value</h2>" not in shown.content.decode()
    done = confirmer.post(f"/programs/secrets/{row.public_id}/confirm/", follow=True)
    assert "In use" in done.content.decode()
    assert VALUE not in done.content.decode()
    assert confirmer.post(f"/programs/secrets/{row.public_id}/confirm/").status_code == 409
    assert read_secret(firm_id=firm.pk, name=NAME) == VALUE


def test_what_cannot_be_kept_is_said_on_the_page(firm, admin, settings):
    client = sign_in(admin)
    response = client.post("/programs/secrets/new/", {"name": "Not A Name", "value": VALUE})
    assert response.status_code == 422
    assert VALUE not in response.content.decode()
    settings.SECRETS_KEYS = []
    response = client.post("/programs/secrets/new/", {"name": NAME, "value": VALUE})
    assert response.status_code == 422
    assert "EVENKEEL_SECRETS_KEY" in response.content.decode()
    assert VALUE not in response.content.decode()


def test_the_page_is_for_two_roles_of_the_firm(firm, admin):
    row = set_secret(firm_id=firm.pk, name=NAME, value=VALUE, actor_id=admin.pk)
    for role in (Role.ADVISOR, Role.MODEL_ADMIN, Role.OPERATOR):
        client = sign_in(make_user(firm, role))
        assert client.get("/programs/secrets/").status_code == 404
        assert client.post(f"/programs/secrets/{row.public_id}/confirm/").status_code == 404
    stranger = sign_in(make_user(make_firm(), Role.ADMIN))
    assert "New value waits" not in stranger.get("/programs/secrets/").content.decode()
    for act in ("confirm", "refuse"):
        response = stranger.post(f"/programs/secrets/{row.public_id}/{act}/")
        assert response.status_code == 404
