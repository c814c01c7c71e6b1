"""Headers on every answer, whatever it is: pages, errors, the admin, the API and its docs."""

import re
import uuid

import pytest
from django.test import Client
from django.urls import get_resolver, reverse
from django.urls.resolvers import URLResolver

from accounts.domain.roles import Role
from tests import people
from tests.api.cast import sign_in
from tests.security.policy import ROUTES

STRICT = {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "object-src 'none'"}
# Data in a script element of another type is not run.
INLINE = re.compile(
    r"""\sstyle=|<script(?![^>]*\bsrc=)(?! type="application/json")[^>]*>|\son[a-z]+=|javascript:"""
)
BANNERS = ("Server", "X-Powered-By", "X-AspNet-Version", "Via")


@pytest.fixture
def staff(db):
    firm = people.make_firm()
    return {role: people.make_user(firm, role) for role in (Role.ADVISOR, Role.ADMIN)}


def list_addresses():
    """Return an address for every route, with an unknown id wherever one is asked for."""

    def walk(patterns, prefix):
        for pattern in patterns:
            route = prefix + str(getattr(pattern.pattern, "_route", ""))
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, route)
            elif hasattr(pattern.pattern, "_route"):
                yield route, pattern.pattern.converters

    unknown = {"uuid": str(uuid.uuid4()), "int": "999999", "str": "x", "slug": "x", "path": "x"}
    for route, _ in walk(get_resolver().url_patterns, "/"):
        address = route
        while "<" in address:
            before, _, rest = address.partition("<")
            inside, _, after = rest.partition(">")
            kind = inside.partition(":")[0] if ":" in inside else "str"
            address = before + unknown.get(kind, "x") + after
        yield address


def check(response, address, *, is_private):
    headers = response.headers
    directives = {part.strip() for part in headers["Content-Security-Policy"].split(";")}
    assert directives >= STRICT, address
    assert "unsafe" not in headers["Content-Security-Policy"], address
    assert headers["X-Content-Type-Options"] == "nosniff", address
    assert headers["Referrer-Policy"] == "same-origin", address
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin", address
    assert headers["X-Frame-Options"] == "DENY", address
    assert headers["X-Request-ID"], address
    assert not any(banner in headers for banner in BANNERS), address
    if is_private:
        assert "no-store" in headers.get("Cache-Control", ""), address


def test_every_route_answers_with_the_strict_headers(staff):
    addresses = sorted(set(list_addresses()))
    assert len(addresses) > 80
    for person in (None, *staff.values()):
        client = sign_in(person)
        client.raise_request_exception = False
        for address in addresses:
            if "sign-out" in address or "logout" in address:
                continue
            response = client.get(address)
            assert response.status_code < 500, address
            is_private = person is not None and response.status_code == 200
            check(response, address, is_private=is_private)


@pytest.mark.parametrize("relation", ["client", "advisor", "supervisor", "model_admin", "admin"])
def test_pages_that_show_something_have_them_too(scene, relation):
    """The same with the ids of things that are there: full pages, exports, the API's answers."""
    client = scene.browser(relation)
    shown = exports = 0
    for name, row in ROUTES.items():
        if row.get is None or not row.allows(relation, "get"):
            continue
        response = client.get(reverse(name, args=[scene.keys[key] for key in row.keys]))
        check(response, name, is_private=response.status_code == 200)
        shown += response.status_code == 200
        if response.status_code == 200 and "csv" in response["Content-Type"]:
            exports += 1
            assert response["Content-Disposition"].startswith("attachment; filename="), name
        elif response.status_code == 200 and "html" in response["Content-Type"]:
            text = response.content.decode()
            assert INLINE.search(text) is None, name
    assert shown >= 15
    assert exports >= (0 if relation in ("model_admin",) else 1)


def test_errors_have_them_too(staff, monkeypatch):
    client = sign_in(staff[Role.ADVISOR])
    client.raise_request_exception = False
    check(client.get("/nowhere/"), "404", is_private=True)
    check(client.post("/work/"), "405", is_private=True)
    check(client.get("/api/v1/nowhere/"), "API 404", is_private=True)
    strict = sign_in(staff[Role.ADVISOR], enforce_csrf_checks=True)
    refused = strict.post("/password/", {})
    assert refused.status_code == 403
    check(refused, "CSRF", is_private=True)

    def fail(*_, **__):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("rebalancer.views.orders.visible_orders", fail)
    broken = client.get("/orders/")
    assert broken.status_code == 500
    assert b"secret detail" not in broken.content
    check(broken, "500", is_private=True)
    monkeypatch.setattr("accounts.api.visible_accounts", fail)
    broken = client.get("/api/v1/accounts/")
    assert broken.status_code == 500
    assert b"secret detail" not in broken.content
    check(broken, "API 500", is_private=True)


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "CONNECT"])
@pytest.mark.parametrize("address", ["/", "/sign-in/", "/api/v1/me/", "/health/", "/nowhere/"])
def test_trace_is_refused_everywhere(db, method, address):
    response = Client().generic(method, address, headers={"X-Secret": "echo me"})
    assert response.status_code == 405
    assert b"echo me" not in response.content


def test_https_is_asked_for_for_a_year(db, settings):
    settings.SECURE_HSTS_SECONDS = 365 * 24 * 3600
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    for address in ("/sign-in/", "/nowhere/", "/api/v1/me/"):
        told = Client().get(address, secure=True)["Strict-Transport-Security"]
        assert "max-age=31536000; includeSubDomains" in told


def test_answers_to_a_token_are_kept_out_of_caches(staff):
    from datetime import timedelta

    from accounts.domain.scopes import Scope
    from accounts.operations.tokens import create_token
    from robo.common import clock

    admin = staff[Role.ADMIN]
    _, secret = create_token(
        firm_id=admin.firm_id,
        name="x",
        scopes=[Scope.READ_BOOKS],
        networks=[],
        expires_at=clock.now() + timedelta(days=1),
        now=clock.now(),
        actor_id=admin.pk,
    )
    response = Client().get("/api/v1/accounts/", headers={"Authorization": f"Bearer {secret}"})
    assert response.status_code == 200
    check(response, "token", is_private=True)
