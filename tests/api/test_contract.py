"""The API as a contract: nothing unbounded or unlisted comes in, and the schema says all of it."""

import json
import re
from importlib import import_module

import pytest
from django.apps import apps
from rest_framework import mixins, serializers, viewsets

from accounts.models import IdempotentAnswer
from tests.api.cast import V1, post, read_errors, sign_in
from tests.api.routes import ROUTES

NAMED_MAX = 20  # faults that an answer about a case names
PRODUCT = ("accounts", "portfolios", "rebalancer", "robo")
WRITABLE = [key for key, route in ROUTES.items() if route.write_answers and key != "nothing"]
LURES = (
    "firm",
    "firm_id",
    "status",
    "approver",
    "approved_by",
    "decided_by",
    "proposed_by",
    "is_approved",
    "is_staff",
    "is_superuser",
    "role",
    "user",
    "account_id",
    "household",
    "filled_quantity",
    "quantity",
    "created_at",
    "id",
    "pk",
    "token",
    "entry_date",
    "source",
    "now",
    "__class__",
    "constructor",
)


@pytest.fixture(autouse=True)
def _no_end_of_calls(settings):
    settings.API_BUDGETS = dict.fromkeys(settings.API_BUDGETS, 100_000)


def batched(names, size):
    return [names[start : start + size] for start in range(0, len(names), size)]


def get_writer(cast, key):
    if "{order}" in ROUTES[key].address:
        cast.make_order()
    return sign_in(cast.get_writer(ROUTES[key].writer))


def get_body(key):
    if key == "prices":
        return [{"symbol": "OURS", "price_date": "2026-11-20", "price": "12.50"}]
    return ROUTES[key].body


def count_rows():
    """Return how many rows each table of ours has, the journal included.

    Answers that are kept for a repeated key are left out: refusals are kept as well.
    """
    return {
        model._meta.label: model.objects.count()
        for label in ("accounts", "portfolios", "rebalancer")
        for model in apps.get_app_config(label).get_models()
        if model is not IdempotentAnswer
    }


@pytest.mark.parametrize("key", WRITABLE)
def test_no_field_but_those_listed_can_be_set(cast, key):
    """Mass assignment: every column of every table, and the usual lures, one by one."""
    client = get_writer(cast, key)
    address = ROUTES[key].address.removeprefix("v1/").format(**cast.keys)
    body = get_body(key)
    own = set(body[0] if isinstance(body, list) else body)
    columns = {
        field.name
        for label in ("accounts", "portfolios", "rebalancer")
        for model in apps.get_app_config(label).get_models()
        for field in model._meta.get_fields()
    }
    known = own | (SOLVE_KEYS if key == "solve" else set())
    before = count_rows()
    size = NAMED_MAX if key == "solve" else len(columns)
    for names in (*([name] for name in LURES), *batched(sorted(columns), size)):
        extra = dict.fromkeys(set(names) - known, "1")
        if not extra:
            continue
        sent = [body[0] | extra] if isinstance(body, list) else body | extra
        response = post(client, address, sent)
        assert response.status_code == 400, (names, response.content)
        told = response.content.decode()
        assert [name for name in extra if name[:60] not in told] == [], told[:2000]
    assert count_rows() == before


SOLVE_KEYS = {
    "accounts",
    "as_of",
    "household",
    "policy",
    "prices",
    "securities",
    "targets",
    "tax",
    "wishes",
    "case",
    "mode",
    "model",
    "gains_budget",
}


@pytest.mark.parametrize("key", WRITABLE)
def test_a_key_that_comes_twice_is_refused(cast, key):
    client = get_writer(cast, key)
    address = ROUTES[key].address.removeprefix("v1/").format(**cast.keys)
    inside = (
        '{"amount": "1.00", "amount": "2.00", "symbol": "A", "symbol": "B", "as_of": 1, "as_of": 2}'
    )
    for text in (inside, f"[{inside}]", f'{{"deep": {inside}}}'):
        response = post(client, address, text)
        assert response.status_code == 400
        assert "twice" in response.json()["errors"][0]["detail"]


def test_what_is_no_amount_is_no_amount(cast):
    client = sign_in(cast.people["advisor"])
    address = f"accounts/{cast.keys['account']}"
    for wrong in (True, False, 1, 1.5, None, [], {}, "1e400", "NaN", "", "0x10", "true"):
        response = post(client, f"{address}/deposits/", {"amount": wrong})
        assert response.status_code == 400, wrong
        assert read_errors(response)[0][1] == "amount"
    for amount in ("0", "0.00", "-1.00", "0.001", "1000000000.00", "1e9"):
        for act in ("deposits", "withdrawals"):
            response = post(client, f"{address}/{act}/", {"amount": amount})
            assert response.status_code == 400, (act, amount)


def test_a_parameter_that_comes_twice_is_refused_everywhere(cast):
    client = sign_in(cast.people["admin"])
    for key, route in ROUTES.items():
        if not route.address.startswith("v1/") or key == "nothing" or not route.answers:
            continue
        response = client.get("/api/" + route.address.format(**cast.keys) + "?limit=1&limit=2")
        assert response.status_code == 400, key
        assert read_errors(response)[0][0] == "repeated_parameter", key


def test_what_is_no_whole_number_is_none(cast):
    client = sign_in(cast.people["advisor"])
    for value in ("true", "True", "1.5", "1e1", "0x1", "", "one"):
        assert client.get(V1 + "orders/", {"limit": value}).status_code == 400, value


def list_heirs(kind):
    for heir in kind.__subclasses__():
        yield heir
        yield from list_heirs(heir)


def test_no_view_or_serializer_writes_a_model_by_itself():
    """No ModelViewSet and the like, which bring PUT, PATCH and DELETE; no ModelSerializer."""
    import_module("robo.urls")
    kinds = [
        serializers.ModelSerializer,
        viewsets.ViewSetMixin,
        mixins.CreateModelMixin,
        mixins.UpdateModelMixin,
        mixins.DestroyModelMixin,
    ]
    found = {heir.__module__ for kind in kinds for heir in list_heirs(kind)}
    assert not [name for name in found if name.partition(".")[0] in PRODUCT]
    # The question itself is a good one: the libraries do have some.
    assert any(name.startswith("rest_framework") for name in found)


def test_every_view_lists_its_verbs(cast):
    """No endpoint takes PUT, PATCH or DELETE."""
    client = sign_in(cast.people["advisor"])
    for key, route in ROUTES.items():
        if not route.address.startswith("v1/") or key == "nothing":
            continue
        for method in ("put", "patch", "delete"):
            response = getattr(client, method)("/api/" + route.address.format(**cast.keys))
            assert response.status_code == 405, (key, method)


# --- The schema ----------------------------------------------------------------------------------


@pytest.fixture
def openapi(cast):
    return sign_in(cast.people["advisor"]).get("/api/schema/?format=json").json()


def list_operations(openapi):
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            yield f"{method} {path}", method, operation


def resolve(openapi, schema):
    while "$ref" in schema:
        schema = openapi["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


BOUNDED_FORMATS = ("uuid", "date", "date-time")


def is_unbounded(schema, kinds):
    if "string" in kinds and schema.get("format") not in BOUNDED_FORMATS:
        return not ("maxLength" in schema or schema.get("format") == "decimal")
    if {"number", "integer"} & kinds:
        return not ("minimum" in schema and "maximum" in schema)
    return "array" in kinds and "maxItems" not in schema


def list_unbounded(openapi, schema, place):
    """Return where a schema lets in a number, text or list without end."""
    schema = resolve(openapi, schema)
    for part in ("allOf", "anyOf", "oneOf"):
        for inner in schema.get(part, []):
            yield from list_unbounded(openapi, inner, place)
    kinds = schema.get("type", [])
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    if "enum" not in schema and is_unbounded(schema, kinds):
        yield place
    if "items" in schema:
        yield from list_unbounded(openapi, schema["items"], f"{place}[]")
    for name, inner in schema.get("properties", {}).items():
        yield from list_unbounded(openapi, inner, f"{place}.{name}")


def test_nothing_without_end_comes_in(openapi):
    found = []
    for name, _, operation in list_operations(openapi):
        for parameter in operation.get("parameters", []):
            found += list_unbounded(openapi, parameter["schema"], f"{name} ?{parameter['name']}")
        content = operation.get("requestBody", {}).get("content", {})
        if name.endswith("/solve/"):
            continue  # its shape is the engine's, which bounds the whole and names each fault
        for media in content.values():
            found += list_unbounded(openapi, media["schema"], name)
    assert found == []


def test_every_endpoint_says_how_it_can_refuse(openapi):
    for name, method, operation in list_operations(openapi):
        told = set(operation["responses"])
        assert told >= {"400", "401", "403", "404", "409", "429", "500", "503"}, name
        if method == "post":
            assert told >= {"413", "415", "422"}, name
        assert "Retry-After" in operation["responses"]["429"]["headers"], name


def test_every_unsafe_call_documents_its_key(openapi):
    needed = set()
    for _name, method, operation in list_operations(openapi):
        keys = [p for p in operation.get("parameters", []) if p["name"] == "Idempotency-Key"]
        assert len(keys) == (method == "post")
        if keys and keys[0].get("required"):
            needed.add(operation["operationId"])
    assert needed == {
        "answer_proposal",
        "approve_proposal",
        "cancel_order",
        "deposit",
        "record_prices",
        "reject_proposal",
        "remove_trades",
        "withdraw",
    }


def test_both_ways_in_are_documented(openapi):
    schemes = openapi["components"]["securitySchemes"]
    assert schemes["tokenAuth"]["scheme"] == "bearer"
    for name, _, operation in list_operations(openapi):
        assert {"tokenAuth": []} in operation["security"], name
        assert any("cookieAuth" in way for way in operation["security"]), name
    assert not re.search(r"evk_[A-Za-z0-9]{8}", json.dumps(openapi))
