"""The engine over HTTP: anybody signed in may ask, nothing is kept, every fault is named."""

import copy
import json

import pytest

from accounts.domain.roles import Role
from rebalancer import models
from rebalancer.api import CASE_SHOWN
from rebalancer.engine import solve_case
from robo.common.api.views import BODY_BYTES_MAX
from tests import people
from tests.api.cast import V1, post, read_errors, sign_in


@pytest.fixture
def firm(db):
    return people.make_firm()


@pytest.fixture
def advisor(firm):
    return sign_in(people.make_user(firm))


def change(**parts):
    return {**copy.deepcopy(CASE_SHOWN), **parts}


def test_the_answer_is_the_engines(advisor):
    response = post(advisor, "solve/", CASE_SHOWN)
    assert response.status_code == 200, response.content
    answer = response.json()
    assert answer == solve_case(CASE_SHOWN)
    assert {trade["side"] for trade in answer["trades"]} == {"SELL", "BUY"}
    assert answer["certificate"]["is_worth_it"] is True


@pytest.mark.parametrize("role", [Role.CLIENT, Role.ADVISOR, Role.ADMIN])
def test_every_role_may_ask_and_nothing_is_kept(firm, role, django_assert_max_num_queries):
    facts = {"household_id": people.make_household(firm).pk} if role is Role.CLIENT else {}
    client = sign_in(people.make_user(firm, role, **facts))
    before = models.Proposal.objects.count(), models.Check.objects.count()
    with django_assert_max_num_queries(4):
        keyless = {"Idempotency-Key": None}
        assert post(client, "solve/", CASE_SHOWN, headers=keyless).status_code == 200
    assert (models.Proposal.objects.count(), models.Check.objects.count()) == before


def test_nobody_may_not_ask_and_a_write_needs_its_token(firm):
    assert post(sign_in(None), "solve/", CASE_SHOWN).status_code == 401
    client = sign_in(people.make_user(firm), enforce_csrf_checks=True)
    assert post(client, "solve/", CASE_SHOWN).status_code == 403


def test_every_fault_is_named_by_its_path(advisor):
    case = change(prices={"STOCK": "NaN", "BOND": "0"}, colour="red")
    response = post(advisor, "solve/", case)
    assert response.status_code == 400
    assert response.json()["type"] == "validation_error"
    assert read_errors(response) == [
        ("invalid", "colour"),
        ("invalid", "prices.STOCK"),
        ("invalid", "prices.BOND"),
    ]
    assert "the price of STOCK: NaN" in response.json()["errors"][1]["detail"]


def test_numbers_come_as_text_or_as_json_numbers_and_lose_no_digit(advisor):
    text = json.dumps(CASE_SHOWN).replace('"1500.00"', "1500.00")
    assert post(advisor, "solve/", text).json() == solve_case(CASE_SHOWN)
    text = json.dumps(CASE_SHOWN).replace('"1500.00"', "1500.0000000000000000001")
    assert read_errors(post(advisor, "solve/", text)) == [("invalid", "accounts.0.cash")]
    text = json.dumps(CASE_SHOWN).replace('"120.00"', "NaN")
    assert ("invalid", "prices.STOCK") in read_errors(post(advisor, "solve/", text))


@pytest.mark.parametrize(
    "body",
    ["", "{", "null", "[]", "3", '"text"', "[" * 200_000, '{"a": 1, "a": 2}', b"\xff\xfe\xfa"],
)
def test_what_is_no_case_is_a_400(advisor, body):
    response = post(advisor, "solve/", body)
    assert response.status_code == 400
    assert read_errors(response)


def test_a_body_has_its_limit(advisor):
    response = post(advisor, "solve/", '{"a": "' + "x" * BODY_BYTES_MAX + '"}')
    assert response.status_code == 413


def test_only_posting_makes_sense(advisor):
    assert advisor.get(V1 + "solve/").status_code == 405
    form = advisor.post(V1 + "solve/", "a=1", content_type="application/x-www-form-urlencoded")
    assert form.status_code == 415


def test_the_schema_describes_it(advisor):
    schema = advisor.get("/api/schema/", {"format": "json"}).json()
    operation = schema["paths"]["/api/v1/solve/"]["post"]
    body = operation["requestBody"]["content"]["application/json"]
    assert body["examples"]["AHousehold"]["value"] == CASE_SHOWN
    properties = body["schema"]["properties"]
    assert properties["policy"]["properties"]["willingness"]["default"] == "0.025"
    assert set(CASE_SHOWN) <= set(properties)
    shown = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert set(shown["properties"]) == set(solve_case(CASE_SHOWN))
