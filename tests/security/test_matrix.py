"""Every address by every method, role and relation: who gets in, and that others learn nothing."""

import re
import uuid
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import get_resolver, reverse
from django.urls.resolvers import URLPattern, URLResolver

from tests.security import policy
from tests.security.cast import CANARY_B, CANARY_C, Scene
from tests.security.figures import counts
from tests.security.policy import RELATIONS, ROUTES, Rule

pytestmark = pytest.mark.django_db
REFUSED = {401, 403, 404}
SIGN_IN = ("/sign-in/", "/confirm/")


def list_routes() -> set[str]:
    """Return the full names of all routes outside Django's admin."""

    def walk(patterns: list[Any], spaces: tuple[str, ...]) -> set[str]:
        names: set[str] = set()
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                inner = (*spaces, pattern.namespace) if pattern.namespace else spaces
                names |= walk(pattern.url_patterns, inner)
            elif isinstance(pattern, URLPattern):
                names.add(":".join((*spaces, pattern.name or str(pattern.pattern))))
        return names

    return {name for name in walk(get_resolver().url_patterns, ()) if not name.startswith("admin:")}


def test_every_route_is_in_the_table():
    listed = set(ROUTES) | policy.OWN_SIGN_IN
    found = list_routes()
    counts["routes"], counts["unlisted"] = len(found), len(found - listed)
    assert found - listed == set(), "add these routes to tests/security/policy.py"
    assert listed - found == set(), "these routes of tests/security/policy.py do not exist"


def call(client: Client, method: str, name: str, keys: dict[str, Any], row: Rule) -> Any:
    """Call an address and undo whatever the call did."""
    address = reverse(name, args=[keys[key] for key in row.keys])
    options = {"headers": {"Idempotency-Key": str(uuid.uuid4())}} if method == "post" else {}
    if name.startswith("api:") and method == "post":
        options |= {"content_type": "application/json", "data": "{}"}
    block = transaction.atomic()
    block._from_testcase = True  # so that operations may insist on being outermost
    with block:
        response = getattr(client, method)(address, **options)
        transaction.set_rollback(True)
    return response


def got_in(response: Any) -> bool:
    """Return whether an answer is more than a closed door."""
    if response.status_code in REFUSED:
        return False
    return not (response.status_code == 302 and response["Location"].startswith(SIGN_IN))


@pytest.mark.parametrize("relation", RELATIONS)
def test_who_gets_in_and_reads_nothing_of_others(scene, relation):
    client = scene.browser(relation)
    wrong, texts = {}, {}
    for name, row in ROUTES.items():
        for method in ("get", "post"):
            if getattr(row, method) is None:
                continue
            response = call(client, method, name, scene.keys, row)
            assert response.status_code < 500, (name, method)
            if got_in(response) is not row.allows(relation, method):
                wrong[f"{method} {name}"] = response.status_code
            texts[f"{method} {name} ours"] = read(response)
            counts["calls"] += 1
        if row.get is not None and row.names_row:
            texts[f"get {name} theirs"] = read(call(client, "get", name, scene.their_keys, row))
    check_canaries(relation, texts)
    counts["relations"] += 1
    counts["methods"] = sum(2 - (row.get, row.post).count(None) for row in ROUTES.values())
    counts["violations"] += len(wrong)
    assert wrong == {}


NOT_ABOUT_C = ("client", "spouse", "advisor", "colleague", "unassigned", "operator", "model_admin")


def check_canaries(relation: str, texts: dict[str, str]) -> None:
    """Assert that no answer has a word of another firm, or of a client who is none of theirs."""
    if relation.startswith("stranger"):
        return
    counts["pages read"] += len(texts)
    counts["canaries found"] += sum(CANARY_B in text for text in texts.values())
    assert [name for name, text in texts.items() if CANARY_B in text] == []
    if relation in NOT_ABOUT_C:
        assert [name for name, text in texts.items() if CANARY_C in text] == []


def read(response: Any) -> str:
    """Return all that an answer says."""
    return response.content.decode() + str(dict(response.headers))


@pytest.mark.parametrize("relation", ["client", "advisor", "supervisor", "admin", "operator"])
def test_what_is_not_there_answers_like_what_is_another_firms(scene, relation):
    client = scene.browser(relation)
    unknown = {
        key: 0 if isinstance(value, int) else uuid.uuid4() if "-" in str(value) else value
        for key, value in scene.keys.items()
    } | {"symbol": "NOSUCH", "grant": 0}
    for name, row in ROUTES.items():
        if not row.names_row:
            continue
        theirs = scene.their_keys | {"grant": 0}
        for method in ("get", "post"):
            pair = [call(client, method, name, keys, row) for keys in (theirs, unknown)]
            statuses = {answer.status_code for answer in pair}
            assert statuses <= {404, 403, 405}, (name, method, statuses)
            assert len(statuses) == 1, (name, method, statuses)
            if name.startswith("api:"):
                assert pair[0].content == pair[1].content, (name, method)
            else:
                assert _plain(pair[0]) == _plain(pair[1]), (name, method)


def _plain(response: Any) -> str:
    """Return a page without what differs from one answer to the next."""
    text = re.sub(r'"X-CSRFToken": "\w+"', "", response.content.decode())
    return re.sub(r'(?:name="csrfmiddlewaretoken" value|data-request-id)="[\w-]+"', "", text)


def read_everything(scene: Scene, relation: str) -> dict[str, str]:
    """Return the text of every address that this person gets an answer from, ours and theirs."""
    client = scene.browser(relation)
    client.raise_request_exception = False  # a page may break when a wall is down; it must not tell
    texts = {}
    for name, row in ROUTES.items():
        if row.get is None:
            continue
        for label, keys in (("ours", scene.keys), ("theirs", scene.their_keys)):
            if label == "theirs" and not row.names_row:
                continue
            response = call(client, "get", name, keys, row)
            texts[f"{name} {label}"] = read(response)
    return texts


def test_the_canaries_would_be_seen(scene):
    theirs = read_everything(scene, "stranger_supervisor")
    assert sum(CANARY_B in text for name, text in theirs.items() if name.endswith("theirs")) >= 12
    ours = read_everything(scene, "supervisor")
    assert sum(CANARY_C in text for text in ours.values()) >= 4


def test_methods_that_are_not_in_the_table_do_nothing(scene):
    for relation in ("advisor", "admin"):
        client = scene.browser(relation)
        for name, row in ROUTES.items():
            for method in ("get", "post", "put", "patch", "delete"):
                if getattr(row, method, None) is not None:
                    continue
                response = call(client, method, name, scene.keys, row)
                assert response.status_code in {302, 403, 404, 405}, (name, method)
