"""Service tokens: what they open, what they never open, and who they are to the journal."""

import ast
import json
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client

from accounts.domain.roles import Role
from accounts.domain.scopes import PERMISSIONS_OF, Scope, is_in_networks, read_networks
from accounts.models import AuditEntry, ServiceToken
from accounts.operations.tokens import create_token, revoke_token
from portfolios.models import Price
from rebalancer.models import Check, Decision
from robo.common import clock
from robo.common.api import budgets
from robo.common.errors import Conflict, NotAllowed, Refused
from tests import people
from tests.api.cast import CANARY, V1, read_errors, sign_in
from tests.api.routes import ROUTES

ROOT = Path(__file__).resolve().parents[2]
DAY = "2026-11-20"


def make_token(cast, *scopes, networks=(), days=30):
    return create_token(
        firm_id=cast.world.firm.pk,
        name="Price feed",
        scopes=scopes,
        networks=list(networks),
        expires_at=clock.now() + timedelta(days=days),
        now=clock.now(),
        actor_id=cast.people["admin"].pk,
    )


def call(secret, address, body=None, **headers):
    headers = {"Authorization": f"Bearer {secret}", **headers}
    client = Client(raise_request_exception=False)
    if body is None:
        return client.get(V1 + address, headers=headers)
    headers.setdefault("Idempotency-Key", str(uuid.uuid4()))
    return client.post(V1 + address, json.dumps(body), "application/json", headers=headers)


def test_only_a_hash_is_kept_and_the_maker_is_on_record(cast):
    token, secret = make_token(cast, Scope.READ_BOOKS)
    stored = json.dumps(ServiceToken.objects.filter(pk=token.pk).values().get(), default=str)
    assert secret.startswith("evk_")
    assert secret not in stored
    assert secret[10:] not in stored
    entry = AuditEntry.objects.get(action="accounts.token.created")
    assert entry.actor == cast.people["admin"]
    assert secret not in f"{entry.summary} {entry.detail} {entry.body}"


# What each scope opens: (method, route) and nothing else.
OPENS = {
    Scope.READ_BOOKS: {
        ("get", name) for name in ("me", "households", "accounts", "account", "holdings", "checks")
    },
    Scope.READ_MODELS: {("get", "models"), ("get", "model")},
    Scope.READ_PRICES: {("get", "prices"), ("get", "price_history")},
    Scope.WRITE_PRICES: {("post", "prices")},
    Scope.CREATE_PROPOSALS: {("post", "checks")},
    Scope.SOLVE: {("post", "solve")},
}


@pytest.mark.parametrize("scope", list(Scope))
def test_a_scope_opens_its_own_and_nothing_else(cast, other, scope):
    """Every route and method, own things and another firm's."""
    _, secret = make_token(cast, scope)
    bodies = {"prices": [{"symbol": "OURS", "price_date": DAY, "price": "12.50"}]}
    for name, route in ROUTES.items():
        if not route.address.startswith("v1/") or name == "nothing":
            continue
        for method in ("get", "post"):
            if not (route.answers if method == "get" else route.write_answers):
                continue
            body = None if method == "get" else bodies.get(name, route.body)
            address = route.address.removeprefix("v1/")
            response = call(secret, address.format(**cast.keys), body)
            if (method, name) in OPENS[scope]:
                assert response.status_code in (200, 201), (name, method, response.content)
            else:
                assert response.status_code == 403, name
                assert read_errors(response) == [("out_of_scope", None)]
            strange = call(secret, address.format(**other.keys), body)
            assert CANARY not in strange.content.decode(), name
            if (method, name) in OPENS[scope] and "{" in address:
                assert strange.status_code == 404, name
    assert not Decision.objects.exists()


def test_no_token_can_approve_because_no_scope_says_so(cast):
    _, secret = make_token(cast, *Scope)
    body = {"content_hash": cast.proposal.content_hash, "note": ""}
    for act in ("approve", "reject"):
        response = call(secret, f"proposals/{cast.proposal.public_id}/{act}/", body)
        assert response.status_code == 403
    assert not Decision.objects.exists()
    assert not any("approv" in scope or "decide" in scope for scope in Scope)
    opened = {held for permissions in PERMISSIONS_OF.values() for held in permissions}
    assert not any("DECIDE" in held or "APPROVE" in held or "CONFIRM" in held for held in opened)
    # Nothing in the code even names such a scope.
    for path in ROOT.glob("*/**/*.py"):
        if path.parts[len(ROOT.parts)] in ("accounts", "portfolios", "rebalancer", "robo"):
            for node in ast.walk(ast.parse(path.read_text())):
                text = node.value if isinstance(node, ast.Constant) else ""
                assert not str(text).startswith(("approve:", "write:approval", "decide:")), path


def test_what_a_token_does_is_the_engines_doing(cast):
    _, secret = make_token(cast, Scope.WRITE_PRICES, Scope.CREATE_PROPOSALS)
    quotes = [{"symbol": "OURS", "price_date": DAY, "price": "12.50"}]
    assert call(secret, "prices/", quotes).json()["recorded"] == 1
    assert Price.objects.get(security__symbol="OURS").source == "API, Price feed"
    entries = AuditEntry.objects.filter(action="portfolios.prices.recorded")
    assert entries.latest("pk").actor.role == Role.SERVICE
    assert call(secret, f"accounts/{cast.keys['account']}/checks/", {}).status_code == 201
    assert Check.objects.filter(cause="REQUESTED", account=cast.account).count() == 1


def test_a_token_that_is_over_or_elsewhere_or_wrong_is_nobody(cast):
    answers = {}
    token, secret = make_token(cast, Scope.READ_BOOKS)
    assert call(secret, "me/").status_code == 200
    token.refresh_from_db()
    assert token.last_used_at == clock.now()
    revoke_token(token_id=token.pk, now=clock.now(), actor_id=cast.people["admin"].pk)
    answers["revoked"] = call(secret, "me/")
    late, secret = make_token(cast, Scope.READ_BOOKS)
    ServiceToken.objects.filter(pk=late.pk).update(expires_at=clock.now())
    answers["expired"] = call(secret, "me/")
    _, secret = make_token(cast, Scope.READ_BOOKS, networks=["192.0.2.0/24"])
    answers["elsewhere"] = call(secret, "me/")
    answers["changed"] = call(secret[:-1] + ("A" if secret[-1] != "A" else "B"), "me/")
    for wrong in ("evk_", "x", "evk_" + "é" * 20, "a b", "evk_" + "x" * 5000):
        answers[wrong] = call(wrong, "me/")
    assert {response.status_code for response in answers.values()} == {401}
    assert len({response.content for response in answers.values()}) == 1
    assert answers["revoked"]["WWW-Authenticate"] == "Bearer"


def test_a_wrong_token_does_not_fall_back_to_the_session(cast):
    client = sign_in(cast.people["advisor"])
    response = client.get(V1 + "me/", headers={"Authorization": "Bearer evk_wrong"})
    assert response.status_code == 401


def test_a_token_beside_the_cookie_of_another_firm_is_refused(cast, other):
    _, secret = make_token(cast, Scope.READ_BOOKS)
    client = sign_in(other.people["advisor"])
    response = client.get(V1 + "accounts/", headers={"Authorization": f"Bearer {secret}"})
    assert response.status_code == 401


def test_guessing_is_slowed_down_and_a_right_token_still_gets_in(cast, monkeypatch):
    monkeypatch.setattr(budgets, "REFUSALS_MAX", 5)
    place = {"REMOTE_ADDR": f"2001:db8::{uuid.uuid4().hex[:4]}"}

    def guess(secret):
        return Client(**place).get(V1 + "me/", headers={"Authorization": f"Bearer {secret}"})

    statuses = [guess("evk_no").status_code for _ in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    assert 0 < int(guess("evk_no")["Retry-After"]) <= 900
    _, secret = make_token(cast, Scope.READ_BOOKS)
    assert guess(secret).status_code == 200


def test_without_redis_wrong_tokens_are_not_told_and_right_ones_work(cast, settings):
    _, secret = make_token(cast, Scope.READ_BOOKS)
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://[::1]:1/0"}}
    response = call("evk_wrong", "me/")
    assert response.status_code == 503
    assert response["Retry-After"] == "5"
    assert call(secret, "me/").status_code == 200


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        ({"name": " "}, Refused),
        ({"name": "x" * 81}, Refused),
        ({"scopes": []}, Refused),
        ({"days": 0}, Refused),
        ({"days": -1}, Refused),
        ({"days": 367}, Refused),
    ],
)
def test_tokens_that_make_no_sense_are_refused(cast, facts, error):
    days = facts.pop("days", 5)
    facts = {"name": "feed", "scopes": [Scope.SOLVE], **facts}
    with pytest.raises(error):
        create_token(
            firm_id=cast.world.firm.pk,
            networks=[],
            expires_at=clock.now() + timedelta(days=days),
            now=clock.now(),
            actor_id=cast.people["admin"].pk,
            **facts,
        )
    assert not ServiceToken.objects.exists()


def test_only_an_admin_of_the_firm_makes_or_ends_tokens(cast, other):
    token, _ = make_token(cast, Scope.SOLVE)
    for person in (*cast.people.values(), other.people["admin"]):
        if person == cast.people["admin"]:
            continue
        with pytest.raises(NotAllowed):
            revoke_token(token_id=token.pk, now=clock.now(), actor_id=person.pk)
    other.people["admin"], cast.people["admin"] = cast.people["admin"], other.people["admin"]
    with pytest.raises(NotAllowed):
        make_token(cast, Scope.SOLVE)


def test_there_is_an_end_to_the_number_of_tokens(cast, monkeypatch):
    monkeypatch.setattr("accounts.operations.tokens.TOKENS_MAX", 2)
    first, _ = make_token(cast, Scope.SOLVE)
    make_token(cast, Scope.SOLVE)
    with pytest.raises(Conflict):
        make_token(cast, Scope.SOLVE)
    revoke_token(token_id=first.pk, now=clock.now(), actor_id=cast.people["admin"].pk)
    make_token(cast, Scope.SOLVE)


def test_a_stranger_with_an_engine_user_of_no_token_sees_nothing(cast):
    from accounts.access import visible_accounts, visible_households
    from accounts.queries.people import get_service_user

    engine = get_service_user(cast.world.firm.pk)
    assert not visible_accounts(engine).exists()
    assert not visible_households(engine).exists()
    assert people.make_user(cast.world.firm).token_permissions == frozenset()


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("", []),
        ("192.0.2.7", ["192.0.2.7/32"]),
        ("192.0.2.0/24, 2001:db8::/32", ["192.0.2.0/24", "2001:db8::/32"]),
        ("10.0.0.0/8 10.0.0.0/8", ["10.0.0.0/8"]),
        ("192.0.2.1/24", None),
        ("example.com", None),
        ("0x7f000001", None),
        ("1.2.3.4 " * 21, None),
    ],
)
def test_networks_are_read_or_refused(text, networks):
    if networks is None:
        with pytest.raises(ValueError, match=r"network"):
            read_networks(text)
    else:
        assert read_networks(text) == networks


def test_an_address_in_ipv6_dress_is_recognised():
    assert is_in_networks("::ffff:192.0.2.9", ["192.0.2.0/24"])
    assert not is_in_networks("192.0.3.9", ["192.0.2.0/24"])
    assert not is_in_networks("", ["192.0.2.0/24"])
    assert is_in_networks("", [])
