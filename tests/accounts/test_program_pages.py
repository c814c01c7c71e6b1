"""Pages of service tokens and webhooks: shown once, revoked at once, for the firm's admin alone."""

import re
import uuid

import pytest
from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from cryptography.fernet import Fernet
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.domain.roles import Role
from accounts.models import ServiceToken, WebhookDelivery, WebhookEndpoint
from tests.api.cast import sign_in
from tests.people import make_firm, make_user

GOOD = {"name": "Price feed", "scopes": ["write:prices"], "days": "90", "networks": ""}


@pytest.fixture(autouse=True)
def _settings(settings):
    settings.SECRETS_KEYS = [Fernet.generate_key().decode()]
    settings.WEBHOOK_HOSTS = ["hooks.example.com"]


@pytest.fixture
def firm(db):
    return make_firm()


@pytest.fixture
def admin(firm):
    return sign_in(make_user(firm, Role.ADMIN))


def read_secret(response):
    [secret] = re.findall(r'id="made-secret"[^>]*value="([^"]+)"', response.content.decode())
    return secret


def test_a_token_is_shown_once_and_works_until_revoked(firm, admin):
    made = admin.post("/programs/tokens/new/", GOOD | {"scopes": ["read:models"]})
    assert made.status_code == 200
    assert made["Cache-Control"] == "no-store"
    secret = read_secret(made)
    header = {"Authorization": f"Bearer {secret}"}
    assert Client().get("/api/v1/models/", headers=header).status_code == 200
    page = admin.get("/programs/tokens/").content.decode()
    assert secret not in page
    assert secret[:10] in page
    token = ServiceToken.objects.get()
    assert admin.post(f"/programs/tokens/{token.public_id}/revoke/").status_code == 302
    assert Client().get("/api/v1/models/", headers=header).status_code == 401
    assert "Revoked" in admin.get("/programs/tokens/").content.decode()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"scopes": []}, "This field is required"),
        ({"scopes": ["approve:proposals"]}, "not one of the available choices"),
        ({"name": ""}, "This field is required"),
        ({"name": "x" * 81}, "at most 80 characters"),
        ({"days": "100000"}, "not one of the available choices"),
        ({"networks": "10.0.0.1/8"}, "is no network"),
    ],
)
def test_a_token_that_makes_no_sense_is_refused_on_the_page(admin, changes, told):
    response = admin.post("/programs/tokens/new/", GOOD | changes)
    assert response.status_code == 422
    assert told in response.content.decode()
    assert not ServiceToken.objects.exists()


def test_tokens_and_webhooks_are_for_the_firms_admin_alone(firm, admin):
    admin.post("/programs/tokens/new/", GOOD)
    admin.post(
        "/programs/webhooks/new/",
        {"url": "https://hooks.example.com/in", "events": ["order.closed"]},
    )
    token, endpoint = ServiceToken.objects.get(), WebhookEndpoint.objects.get()
    others = [make_user(firm, role) for role in (Role.ADVISOR, Role.SUPERVISOR, Role.OPERATOR)]
    stranger = make_user(make_firm(), Role.ADMIN)
    for person in (*others, stranger):
        client = sign_in(person)
        for address in ("/programs/tokens/", "/programs/webhooks/"):
            response = client.get(address)
            assert response.status_code == (200 if person == stranger else 404)
            assert "Price feed" not in response.content.decode()
            assert "hooks.example.com" not in response.content.decode()
        for address in (
            f"/programs/tokens/{token.public_id}/revoke/",
            f"/programs/webhooks/{endpoint.public_id}/remove/",
            f"/programs/deliveries/{uuid.uuid4()}/replay/",
        ):
            assert client.post(address).status_code == 404
            assert client.get(address).status_code in (404, 405)
    token.refresh_from_db()
    endpoint.refresh_from_db()
    assert token.revoked_at is None
    assert endpoint.is_active


def test_making_a_token_needs_a_fresh_sign_in(firm):
    stale = sign_in(make_user(firm, Role.ADMIN))
    session = stale.session
    session[AUTHENTICATION_METHODS_SESSION_KEY][0]["at"] -= 11 * 60
    session.save()
    assert stale.post("/programs/tokens/new/", GOOD).status_code == 302
    assert stale.post("/programs/secrets/new/", {"name": "a", "value": "b"}).status_code == 302
    assert not ServiceToken.objects.exists()


def test_a_webhook_is_added_and_removed_on_the_page(admin):
    form = {"url": "https://hooks.example.com/in", "events": ["order.closed", "break.opened"]}
    made = admin.post("/programs/webhooks/new/", form)
    assert read_secret(made).startswith("whsec_")
    page = admin.get("/programs/webhooks/").content.decode()
    assert "https://hooks.example.com/in" in page
    assert "whsec_" not in page
    assert admin.post("/programs/webhooks/new/", form).status_code == 409
    endpoint = WebhookEndpoint.objects.get()
    assert admin.post(f"/programs/webhooks/{endpoint.public_id}/remove/").status_code == 302
    assert "No webhooks" in admin.get("/programs/webhooks/").content.decode()


@pytest.mark.parametrize(
    "url", ["http://hooks.example.com/", "https://10.0.0.1/", "https://evil.example/", "", "x"]
)
def test_an_address_that_may_not_be_called_is_refused_on_the_page(admin, url):
    response = admin.post("/programs/webhooks/new/", {"url": url, "events": ["order.closed"]})
    assert response.status_code == 422
    assert not WebhookEndpoint.objects.exists()


def test_a_delivery_is_sent_again_by_hand(firm, admin):
    from accounts.models import AuditEntry

    form = {"url": "https://hooks.example.com/in", "events": ["order.closed"]}
    admin.post("/programs/webhooks/new/", form)
    delivery = WebhookDelivery.objects.create(
        firm=firm,
        endpoint=WebhookEndpoint.objects.get(),
        entry=AuditEntry.objects.filter(firm=firm).first(),
        event="order.closed",
        body="{}",
        status="GIVEN_UP",
        attempts=10,
        error="no answer in time",
    )
    page = admin.get("/programs/webhooks/").content.decode()
    assert "Given up" in page
    assert "no answer in time" in page
    address = f"/programs/deliveries/{delivery.public_id}/replay/"
    assert admin.post(address).status_code == 302
    assert admin.post(address).status_code == 409
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == ("PENDING", 0)


def test_queries_do_not_grow_with_the_tokens(admin):
    def count():
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert admin.get("/programs/tokens/").status_code == 200
        return len(queries)

    admin.post("/programs/tokens/new/", GOOD)
    before = count()
    for number in range(4):
        admin.post("/programs/tokens/new/", GOOD | {"name": f"feed {number}"})
    assert count() == before
