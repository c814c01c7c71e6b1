"""Log lines: JSON that nobody can forge, one for each denial, and nothing about a person."""

import io
import json
import logging
import re
import uuid
from html.parser import HTMLParser

import pytest
from django.core.cache import cache
from django.db import IntegrityError, connection
from django.test import Client

from accounts.domain.roles import Role
from accounts.models import AuditEntry, User
from robo.common.logs import JsonFormatter
from tests import people
from tests.api.cast import make_cast, sign_in

CANARY = "987-65-4329"


@pytest.fixture
def log():
    """Give what is logged from now on, formatted as in production, as a function."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)


@pytest.fixture
def firm(db):
    return people.make_firm()


@pytest.fixture
def advisor(firm):
    return people.make_user(firm)


def denials(lines):
    return [line for line in lines if line["message"] == "denied"]


def test_a_line_says_who_what_and_where_by_ids(firm, advisor, log):
    stranger = people.make_household(people.make_firm())
    client = sign_in(advisor)
    response = client.get(f"/households/{stranger.public_id}/")
    assert response.status_code == 404
    [line] = denials(log())
    assert line["view"] == "rebalancer:household"
    assert line["ids"] == {"public_id": str(stranger.public_id)}
    assert (line["user"], line["firm"], line["status"]) == (advisor.pk, firm.pk, 404)
    assert line["request_id"] == response["X-Request-ID"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["at"])
    assert client.get("/api/v1/accounts/").status_code == 200
    assert len(denials(log())) == 1


def test_each_denial_has_one_line(firm, advisor, log):
    client = sign_in(advisor)
    unknown = uuid.uuid4()
    statuses = [
        client.get(f"/api/v1/accounts/{unknown}/").status_code,
        client.get(f"/proposals/{unknown}/").status_code,
        Client().get("/api/v1/me/").status_code,
        Client().get("/api/v1/me/", headers={"Authorization": "Bearer evk_no"}).status_code,
        sign_in(advisor, enforce_csrf_checks=True).post("/password/", {}).status_code,
        Client().generic("TRACE", "/").status_code,
    ]
    assert statuses == [404, 404, 401, 401, 403, 405]
    lines = denials(log())
    assert [line["status"] for line in lines] == statuses
    assert lines[3]["reason"] == "service token: unknown"
    # An address that leads nowhere is nobody's row.
    assert client.get("/no/such/place/").status_code == 404
    assert len(denials(log())) == len(statuses)


def test_a_failed_sign_in_has_one_line_without_the_address_typed(firm, log):
    Client().post("/sign-in/", {"login": f"{CANARY}@example.com", "password": CANARY})
    lines = log()
    assert len(denials(lines)) == 1
    assert denials(lines)[0]["view"] == "accounts:sign_in"
    assert CANARY not in json.dumps(lines)


@pytest.mark.parametrize("evil", ['a\r\n{"at": "forged"}', "\x1b[31mred\x1b[0m", "a\u2028b\x00c"])
def test_nobody_forges_a_line(log, evil):
    logging.getLogger("test").warning("name is %s", evil)
    raw = JsonFormatter().format(
        logging.LogRecord("test", logging.WARNING, "", 0, "name is %s", (evil,), None)
    )
    assert raw.isascii()
    assert raw.isprintable()
    [line] = log()
    assert line["message"] == f"name is {evil}"


def test_an_exception_is_told_without_its_text(advisor, log):
    try:
        User.objects.create(firm=advisor.firm, email=advisor.email, name=CANARY, role=Role.ADVISOR)
    except IntegrityError:
        connection.needs_rollback = False
        logging.getLogger("test").exception("could not be kept")
    [line] = log()
    told = json.dumps(line)
    assert advisor.email not in told
    assert CANARY not in told
    assert "django.db.utils.IntegrityError" in line["exception"]
    assert any("test_logs.py" in frame for frame in line["exception"])


def test_a_failed_task_is_told_without_its_error(log):
    record = logging.LogRecord(
        "celery.app.trace", logging.ERROR, "", 0, "%(exc)s", ({"exc": CANARY},), None
    )
    record.data = {"name": "a.task", "id": "1", "exc": CANARY}
    assert CANARY not in JsonFormatter().format(record)
    assert "a.task[1] failed" in JsonFormatter().format(record)


def test_the_id_of_a_request_is_ours_unless_our_proxy_gave_it(db, settings):
    given = "abcdef12-3456"
    client = Client(headers={"X-Request-ID": given})
    assert client.get("/sign-in/")["X-Request-ID"] != given
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert client.get("/sign-in/")["X-Request-ID"] == given
    for bad in ("short", "x" * 65, "a b c d e f g", "abcdefgh\u00e9"):
        assert Client(headers={"X-Request-ID": bad}).get("/sign-in/")["X-Request-ID"] != bad


def test_the_journal_has_the_id_of_the_request(firm):
    admin = people.make_user(firm, Role.ADMIN)
    fields = {"name": "The Kims", "short_term_rate": "35", "long_term_rate": "15"}
    response = sign_in(admin).post("/people/households/new/", fields)
    assert response.status_code == 302, response.content
    entry = AuditEntry.objects.get(action="accounts.household.created", firm=firm)
    assert entry.request_id == response["X-Request-ID"]


class FormReader(HTMLParser):
    """Finds the forms of a page that post, and fills them in, with the canary for text."""

    def __init__(self, address):
        super().__init__()
        self.address, self.forms, self.inside, self.select = address, [], False, None

    def handle_starttag(self, tag, attrs):
        facts = dict(attrs)
        if tag == "form" and facts.get("method") == "post":
            self.forms.append((facts.get("action") or self.address, {}))
            self.inside = True
        elif self.inside and tag in ("input", "textarea", "select") and facts.get("name"):
            self._fill(tag, facts)
        elif self.inside and tag == "option" and self.select and facts.get("value"):
            self.forms[-1][1].setdefault(self.select, facts["value"])

    def handle_endtag(self, tag):
        if tag == "form":
            self.inside = False

    def _fill(self, tag, facts):
        fields, name = self.forms[-1][1], facts["name"]
        self.select = name if tag == "select" else None
        kind = facts.get("type", "text")
        if kind in ("hidden", "checkbox", "radio"):
            fields.setdefault(name, facts.get("value", "on"))
        elif kind == "date":
            fields[name] = "2026-12-01"
        elif kind == "number" or facts.get("inputmode") in ("decimal", "numeric"):
            fields[name] = facts.get("value") or "1"
        elif tag != "select":
            fields[name] = f"x{CANARY}@example.com" if kind == "email" else f"X {CANARY}"


def fill_forms(client, address):
    """Return (address, fields) of every form on a page, twice: as it should be, and all canary."""
    reader = FormReader(address)
    page = client.get(address)
    assert page.status_code == 200, address
    reader.feed(page.content.decode())
    for action, fields in reader.forms:
        fields.pop("csrfmiddlewaretoken", None)
        if "sign-out" not in action:
            yield action, fields
            yield action, dict.fromkeys(fields, CANARY)


def test_what_people_type_is_in_no_log_cache_task_or_address(log, monkeypatch, db):
    """A tax id typed into every field of every form that a person can reach."""
    cast, sent = make_cast(), []
    monkeypatch.setattr(
        "celery.app.task.Task.apply_async", lambda self, *a, **k: sent.append((self.name, a, k))
    )
    household, account = cast.keys["household"], cast.keys["account"]
    pages = {
        "admin": [
            "/people/new/",
            "/people/households/new/",
            f"/people/households/{household}/",
            "/programs/tokens/",
            "/programs/webhooks/",
            "/programs/secrets/",
            "/policies/new/",
            "/securities/",
            "/password/",
        ],
        "advisor": [
            f"/accounts/{account}/",
            f"/households/{household}/",
            f"/proposals/{cast.keys['proposal']}/",
        ],
        "client": [f"/households/{household}/risk/questions/", f"/households/{household}/"],
    }
    posted = accepted = 0
    for name, addresses in pages.items():
        client = sign_in(cast.people[name])
        for address in addresses:
            for action, fields in fill_forms(client, address):
                response = client.post(action, fields)
                assert response.status_code < 500, action
                assert CANARY not in response.headers.get("Location", ""), action
                posted += 1
                accepted += response.status_code in (200, 302)
    assert posted >= 30
    assert accepted >= 5
    assert CANARY not in json.dumps(log())
    assert CANARY not in repr(sent)
    redis = cache._cache.get_client()
    for key in redis.scan_iter():
        assert CANARY.encode() not in key + (redis.dump(key) or b""), key
