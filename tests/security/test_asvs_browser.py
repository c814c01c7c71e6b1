"""What a browser can be made to do: forged posts, gets that change things, markup in names."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.security.cast import mark_texts
from tests.security.policy import ROUTES
from tests.security.test_matrix import call, read_everything

pytestmark = pytest.mark.django_db
MARKUP = "</\"'&<q>"
ESCAPED = "&lt;/&quot;&#x27;&amp;&lt;q&gt;"
# What reading writes down, on purpose: the session's last moment, and who looked at whom.
WRITTEN_BY_READING = {"django_session", "accounts_auditentry", "usersessions_usersession"}
WRITES = re.compile(r'^\s*(INSERT INTO|UPDATE|DELETE FROM)\s+"?(\w+)', re.IGNORECASE)
WHO = ("client", "advisor", "supervisor", "admin", "model_admin", "granted_operator")


def choose(allowed):
    """Return somebody who may: the row's own people before those who only look after it."""
    return next((name for name in WHO if name in (allowed or ())), "admin")


def test_no_post_counts_without_the_token_of_its_session(scene):
    for name, row in ROUTES.items():
        if row.post is None:
            continue
        client = scene.browser(choose(row.post))
        client.handler.enforce_csrf_checks = True
        response = call(client, "post", name, scene.keys, row)
        assert response.status_code == 403, (name, response.status_code)


@pytest.mark.parametrize("address", ["/sign-in/", "/sign-out/", "/password/", "/confirm/"])
def test_no_post_at_the_door_counts_without_it_either(scene, address):
    client = scene.browser("advisor")
    client.handler.enforce_csrf_checks = True
    assert client.post(address, {}).status_code == 403


def test_getting_a_page_changes_nothing(scene):
    wrong = {}
    for name, row in ROUTES.items():
        if row.get is None:
            continue
        client = scene.browser(choose(row.get))
        with CaptureQueriesContext(connection) as asked:
            call(client, "get", name, scene.keys, row)
        written = {
            found[2] for query in asked.captured_queries if (found := WRITES.match(query["sql"]))
        }
        if written - WRITTEN_BY_READING:
            wrong[name] = written
    assert wrong == {}


def test_what_an_answer_is_stands_in_its_header_and_no_other_site_may_read_it(scene):
    elsewhere = {"Origin": "https://elsewhere.example"}
    for name, row in ROUTES.items():
        if row.get is None:
            continue
        client = scene.browser(choose(row.get))
        address = reverse(name, args=[scene.keys[key] for key in row.keys])
        response = client.get(address, headers=elsewhere)
        if response.content:
            kind = response["Content-Type"]
            assert not kind.startswith("text/") or "charset=utf-8" in kind.lower(), (name, kind)
            assert kind != "application/octet-stream", name
        assert [header for header in response.headers if "access-control" in header.lower()] == []
        asked = client.options(
            address, headers=elsewhere | {"Access-Control-Request-Method": "GET"}
        )
        assert "Access-Control-Allow-Origin" not in asked.headers, name


@pytest.mark.parametrize("who", ["supervisor", "advisor", "admin", "client"])
def test_markup_in_any_text_is_shown_as_text(scene, who):
    mark_texts(scene.theirs.world.firm, MARKUP)
    scene.their_keys = {**scene.their_keys, "symbol": scene.keys["symbol"]}
    texts = read_everything(scene, f"stranger_{who}")
    pages = {name: text for name, text in texts.items() if "<html" in text}
    assert len(pages) > 5
    assert [name for name, text in pages.items() if "<q>" in text or MARKUP in text] == []
    assert sum(text.count(ESCAPED) for text in pages.values()) >= (5 if who == "client" else 10)


@pytest.mark.parametrize("who", ["client", "advisor", "admin", "operator"])
def test_the_way_out_is_on_every_page(scene, who):
    seen = 0
    for name, row in ROUTES.items():
        if row.get is None or not row.allows(who, "get") or name.startswith("api:"):
            continue
        response = call(scene.browser(who), "get", name, scene.keys, row)
        if "<html" in response.content.decode():
            seen += 1
            assert f'action="{reverse("accounts:sign_out")}"' in response.content.decode(), name
    assert seen >= 3


def test_signing_out_clears_what_the_browser_kept(scene):
    response = scene.browser("advisor").post("/sign-out/")
    assert response["Clear-Site-Data"] == '"cache"'


def test_a_call_in_the_clear_is_refused_and_a_page_is_led_to_https(scene, settings):
    settings.SECURE_SSL_REDIRECT = True
    client = scene.browser("advisor")
    refused = client.get("/api/v1/me/")
    assert refused.status_code == 403
    assert refused.json()["errors"][0]["code"] == "https_required"
    assert "Content-Security-Policy" in refused.headers
    assert client.get("/api/v1/me/", secure=True).status_code == 200
    led = client.get("/work/")
    assert (led.status_code, led["Location"]) == (301, "https://testserver/work/")
    assert Client().get("/health/").status_code == 200
