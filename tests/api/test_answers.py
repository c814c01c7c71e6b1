"""What the API answers: figures that add up, the shapes of the schema, queries that do not grow."""

import json
import re
from datetime import date
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from jsonschema import Draft202012Validator

from tests import people
from tests.api.cast import HEAVY, V1, approve, post, sign_in
from tests.api.routes import ROUTES
from tests.market import make_security

D = Decimal


@pytest.fixture
def advisor(cast):
    return sign_in(cast.people["advisor"])


def test_holdings_add_up(cast, advisor):
    body = advisor.get(f"{V1}accounts/{cast.keys['account']}/holdings/").json()
    total = sum(D(row["value"]) for row in body["holdings"]) + D(body["cash"])
    assert total == D(body["value"]) == D("9800.00")
    assert sum(D(row["weight"]) for row in body["classes"]) == pytest.approx(1, abs=D("1e-7"))
    for row in body["holdings"]:
        assert sum(D(lot["quantity"]) for lot in row["lots"]) == D(row["quantity"])
        assert sum((D(lot["cost"]) for lot in row["lots"]), D(0)) == D(row["cost"])
    assert body["is_breached"] is True


def test_holdings_of_an_account_that_cannot_be_measured_say_why(cast, advisor):
    make_security(cast.world.admin, "NOPRICE", code="us-equity")
    cast.world.security_ids["NOPRICE"] = (
        type(cast.account.holdings.first().security).objects.get(symbol="NOPRICE").pk
    )
    account = cast.world.add_account("5", lots=[("NOPRICE", "3", "30", date(2020, 1, 2))])
    body = advisor.get(f"{V1}accounts/{account.public_id}/holdings/").json()
    assert "NOPRICE" in body["blocked"]
    held = next(row for row in body["holdings"] if row["symbol"] == "NOPRICE")
    assert (held["price"], held["value"], held["quantity"]) == (None, None, "3.00000000")


def test_a_closed_account_is_a_conflict(cast, advisor):
    cast.account.is_open = False
    cast.account.save()
    response = advisor.get(f"{V1}accounts/{cast.keys['account']}/holdings/")
    assert response.status_code == 409


def test_a_proposal_adds_up(cast, advisor):
    body = advisor.get(f"{V1}proposals/{cast.keys['proposal']}/").json()
    moved = sum(D(t["amount"]) * (1 if t["side"] == "SELL" else -1) for t in body["trades"])
    assert D(body["cash_before"]) + moved == D(body["cash_after"])
    for key in ("tax_amount", "cost_amount", "short_term_gain", "long_term_gain"):
        assert sum(D(trade[key]) for trade in body["trades"]) == D(body[key])
    [sale] = [trade for trade in body["trades"] if trade["side"] == "SELL"]
    assert sum(D(lot["quantity"]) for lot in sale["lots"]) == D(sale["quantity"])
    assert sum(D(lot["gain"]) for lot in sale["lots"]) == D(body["long_term_gain"])


def test_a_proposal_says_how_good_it_is_and_why_it_stops_there(cast, advisor):
    address = f"{V1}proposals/{cast.keys['proposal']}/"
    body = advisor.get(address).json()
    certificate = body["certificate"]
    for name in ("plan", "nothing"):
        parts = [D(value) for key, value in certificate[name].items() if key != "total"]
        assert sum(parts) == pytest.approx(D(certificate[name]["total"]), abs=D("0.00001"))
    gain = D(certificate["nothing"]["total"]) - D(certificate["plan"]["total"])
    assert D(certificate["gain"]) == pytest.approx(gain, abs=D("0.00001"))
    assert gain > D(certificate["hurdle"])
    assert D(certificate["bound"]) <= D(certificate["plan"]["total"])
    assert certificate["is_worth_it"] is True
    assert (body["mode"], body["wanted"]) == ("FULL", {"mode": None, "gains_budget": None})
    assert body["path"]
    assert body["path_reason"]
    stored = {row.security.symbol: row for row in cast.proposal.trades.select_related("security")}
    for trade in body["trades"]:
        row = stored[trade["symbol"]]
        assert D(trade["drift_removed"]) == row.drift_removed_amount > 0
        assert (trade["rule"], trade["next_best"]) == (row.rule, row.next_best)
    assert [(row["symbol"], row["words"]) for row in body["untraded"]] == [
        (row["symbol"], row["words"]) for row in cast.proposal.untraded
    ]
    # A client learns it with the trades, not before.
    client = sign_in(cast.people["client"])
    before = client.get(address).json()
    assert (before["certificate"], before["untraded"], before["trades"]) == (None, [], None)
    approve(advisor, cast.proposal)
    assert client.get(address).json()["certificate"] == certificate


def test_a_proposal_of_an_earlier_engine_has_no_certificate(cast, advisor):
    cast.proposal.certificate, cast.proposal.untraded = {}, []
    cast.proposal.save()
    body = advisor.get(f"{V1}proposals/{cast.keys['proposal']}/").json()
    assert (body["certificate"], body["untraded"], body["solved_with"]) == (None, [], [])


def test_a_check_shows_the_numbers_that_led_to_no_trade(cast, advisor):
    address = f"{V1}accounts/{cast.keys['account']}/checks/"
    [look] = advisor.get(address).json()["results"]
    assert (look["certificate"], look["tracking_error"]) == (None, None)
    check = cast.account.checks.get()
    check.certificate, check.tracking_error = cast.proposal.certificate, D("0.0123")
    check.save()
    [look] = advisor.get(address).json()["results"]
    assert look["tracking_error"] == "0.01230000"
    assert D(look["certificate"]["gain"]) == D(cast.proposal.certificate["gain"])


def test_a_model_adds_up(cast, advisor):
    body = advisor.get(f"{V1}models/{cast.keys['model']}/").json()
    published = body["published"]
    assert sum(D(row["weight"]) for row in published["weights"]) + D(published["cash_weight"]) == 1
    assert [version["status"] for version in body["versions"]] == ["PUBLISHED"]
    assert body["follower_count"] == 1


def walk(value):
    if isinstance(value, dict):
        for item in value.values():
            yield from walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item)
    else:
        yield value


def test_no_number_is_a_float(cast, advisor):
    approve(advisor, cast.proposal)
    cast.world.trade()
    for key, route in ROUTES.items():
        if route.answers and key not in ("schema", "docs"):
            body = advisor.get("/api/" + route.address.format(**cast.keys)).json()
            assert not any(isinstance(value, float) for value in walk(body)), key


def grow(cast):
    """Give the firm more of everything."""
    for number in range(3):
        household = people.make_household(cast.world.firm, advisor=cast.people["advisor"])
        people.make_client(household)
        account = cast.world.add_account("1000", lots=HEAVY, household_id=household.pk)
        make_security(cast.world.admin, f"MORE{number}", code="us-equity")
        cast.world.look()
        cast.world.approve(account.proposals.get())
    cast.world.set_prices(date(2026, 11, 23))
    cast.world.look(date(2026, 11, 23))
    cast.world.trade()


@pytest.mark.parametrize("name", ["advisor", "admin", "client"])
def test_queries_do_not_grow_with_the_rows(cast, name):
    client = sign_in(cast.people[name])

    def measure():
        counts, rows = {}, {}
        for key, route in ROUTES.items():
            if not route.answers or key in ("schema", "docs"):
                continue
            with CaptureQueriesContext(
                connection,
            ) as queries:
                body = client.get("/api/" + route.address.format(**cast.keys)).json()
            counts[key], rows[key] = len(queries), body.get("count")
        return counts, rows

    cast.world.approve(cast.proposal)
    cast.world.trade()
    before, rows_before = measure()
    grow(cast)
    after, rows_after = measure()
    assert after == before
    assert max(before.values()) <= 34
    if name != "client":
        lists = {"households"}
        if name == "advisor":
            lists |= {"accounts", "proposals", "orders"}
        assert all(rows_after[key] > rows_before[key] for key in lists)


# --- The schema ----------------------------------------------------------------------------------


def to_json_schema(node):
    """Return OpenAPI 3.0 as JSON Schema, and refuse keys that the schema does not name."""
    if isinstance(node, list):
        return [to_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: to_json_schema(value) for key, value in node.items()}
    if node.get("type") == "object" and "properties" in node:
        node["additionalProperties"] = False
    if node.pop("nullable", False):
        return {"anyOf": [node, {"type": "null"}]}
    return node


@pytest.fixture(scope="module")
def openapi(tmp_path_factory):
    path = tmp_path_factory.mktemp("schema") / "schema.json"
    call_command(
        "spectacular",
        "--validate",
        "--fail-on-warn",
        "--format",
        "openapi-json",
        "--file",
        str(path),
    )
    return json.loads(path.read_text())


def check_body(openapi, operation, response):
    media = operation["responses"][str(response.status_code)]["content"]["application/json"]
    schema = to_json_schema({**media["schema"], "components": openapi["components"]})
    faults = [
        f"{error.json_path}: {error.message}"
        for error in Draft202012Validator(schema).iter_errors(response.json())
    ]
    assert faults == []


def test_the_schema_names_every_address_and_method(openapi):
    described = {
        (re.sub(r"{[^}]+}", "{}", path), method)
        for path, operations in openapi["paths"].items()
        for method in operations
    }
    served = {
        (re.sub(r"{[^}]+}", "{}", f"/api/{route.address}"), method)
        for key, route in ROUTES.items()
        if key not in ("nothing", "schema", "docs")
        for method in route.methods - {"head"}
    }
    assert described == served


def find_operation(openapi, route, method):
    wanted = re.sub(r"{[^}]+}", "{}", f"/api/{route.address}")
    for path, operations in openapi["paths"].items():
        if re.sub(r"{[^}]+}", "{}", path) == wanted:
            return operations[method]
    raise AssertionError(route)


@pytest.mark.parametrize("name", ["advisor", "client", "admin", "unassigned"])
def test_answers_are_as_the_schema_says(openapi, cast, name):
    """Every answer, refusals included, before and after a decision."""
    client = sign_in(cast.people[name])

    def check_all():
        for key, route in ROUTES.items():
            if key in ("nothing", "schema", "docs"):
                continue
            address = "/api/" + route.address.format(**cast.keys)
            for query in ({}, {"colour": "red"}):
                if route.answers:
                    operation = find_operation(openapi, route, "get")
                    check_body(openapi, operation, client.get(address, query))

    check_all()
    cast.world.approve(cast.proposal)
    cast.world.trade()
    check_all()


def test_answers_to_writes_are_as_the_schema_says(openapi, cast, advisor):
    approval = find_operation(openapi, ROUTES["approve"], "post")
    removal = find_operation(openapi, ROUTES["remove_trades"], "post")
    recording = find_operation(openapi, ROUTES["prices"], "post")
    address = f"proposals/{cast.keys['proposal']}"
    trade = advisor.get(f"{V1}{address}/").json()["trades"][0]["id"]
    admin = sign_in(cast.people["admin"])
    quotes = [{"symbol": "OURS", "price_date": "2026-11-20", "price": text} for text in "1x"]
    for operation, status, response in (
        (approval, 400, approve(advisor, cast.proposal, x="1")),
        (approval, 403, approve(sign_in(cast.people["client"]), cast.proposal)),
        (approval, 409, approve(advisor, cast.proposal, content_hash="0")),
        (removal, 201, post(advisor, f"{address}/remove-trades/", {"trades": [trade]})),
        (removal, 409, post(advisor, f"{address}/remove-trades/", {"trades": [trade]})),
        (recording, 200, post(admin, "prices/", quotes)),
        (recording, 400, post(admin, "prices/", [{}])),
        (recording, 403, post(advisor, "prices/", quotes)),
    ):
        assert response.status_code == status
        check_body(openapi, operation, response)


def test_the_schema_is_for_people_who_are_signed_in(cast, advisor):
    assert advisor.get("/api/schema/?format=json").json()["openapi"].startswith("3.")
    assert sign_in(None).get("/api/schema/").status_code == 401
    response = sign_in(None).get("/api/docs/")
    assert response.status_code == 302
    assert "/sign-in/" in response["Location"]
