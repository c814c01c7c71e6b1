"""Who may call what: every route by every relation; what one may not see does not exist."""

import json
import uuid

import pytest

from rebalancer import models
from tests.api.cast import CANARY, post, sign_in
from tests.api.routes import RELATIONS, ROUTES, STRANGERS, list_route_names

PEOPLE = (*RELATIONS, *STRANGERS, "nobody")


def get_person(name, cast, other):
    if name == "nobody":
        return None
    return other.people[name.removeprefix("stranger_")] if name in STRANGERS else cast.people[name]


def test_every_route_is_in_the_table():
    assert list_route_names() == set(ROUTES)


@pytest.mark.parametrize("name", PEOPLE)
def test_who_gets_what(cast, other, name):
    """Each person calls everything of the first firm, reading and writing."""
    client = sign_in(get_person(name, cast, other))
    place = PEOPLE.index(name)
    wrong = {}
    for key, route in ROUTES.items():
        address = "/api/" + route.address.format(**cast.keys)
        if route.answers:
            status = client.get(address).status_code
            if status != route.answers[place]:
                wrong[key] = (status, route.answers[place])
        expected = route.write_answers[place] if route.write_answers else None
        if expected is not None:
            body = route.body
            if key == "remove_trades":
                body = {"trades": [str(uuid.uuid4())]}
            response = client.post(address, json.dumps(body), content_type="application/json")
            if response.status_code != expected:
                wrong[f"POST {key}"] = (response.status_code, expected)
    assert wrong == {}
    # Nobody who was refused has changed anything.
    assert not models.Decision.objects.exists()
    assert models.Proposal.objects.count() == 2


def test_a_disabled_person_is_nobody(cast):
    advisor = cast.people["advisor"]
    client = sign_in(advisor)
    assert client.get("/api/v1/me/").status_code == 200
    advisor.is_active = False
    advisor.save()
    assert client.get("/api/v1/me/").status_code == 401
    assert client.get(f"/api/v1/accounts/{cast.account.public_id}/").status_code == 401


@pytest.mark.parametrize("name", ["client", "advisor", "unassigned", "admin"])
def test_an_invisible_row_answers_like_an_unknown_one(cast, other, name):
    client = sign_in(cast.people[name])
    unknown = dict.fromkeys(other.keys, str(uuid.uuid4())) | {"symbol": "NOSUCH"}
    for key, route in ROUTES.items():
        if "{" not in route.address:
            continue
        for method, answers in (("get", route.answers), ("post", route.write_answers)):
            if not answers:
                continue
            pair = [
                getattr(client, method)(
                    "/api/" + route.address.format(**keys),
                    **(
                        {"data": json.dumps(route.body), "content_type": "application/json"}
                        if method == "post"
                        else {}
                    ),
                )
                for keys in (other.keys, unknown)
            ]
            assert [response.status_code for response in pair] == [404, 404], key
            assert pair[0].content == pair[1].content, key
            headers = [dict(response.headers) for response in pair]
            # The one thing that is every answer's own.
            assert headers[0].pop("X-Request-ID") != headers[1].pop("X-Request-ID")
            assert headers[0] == headers[1], key


@pytest.mark.parametrize("name", [*RELATIONS, "nobody"])
def test_no_text_of_another_firm_is_ever_answered(cast, other, name):
    client = sign_in(get_person(name, cast, other))
    for keys in (cast.keys, other.keys):
        for key, route in ROUTES.items():
            if not route.answers:
                continue
            body = client.get("/api/" + route.address.format(**keys)).content.decode()
            assert CANARY not in body, key
            for secret in (other.keys["household"], other.keys["account"], other.keys["proposal"]):
                assert secret not in body, key


def test_the_canary_would_be_seen(cast, other):
    """The other firm's own people do meet it, wherever a name is answered."""
    client = sign_in(other.people["advisor"])
    silent = {
        key
        for key, route in ROUTES.items()
        if route.answers
        and CANARY not in client.get("/api/" + route.address.format(**other.keys)).content.decode()
    }
    # Limits are figures only, and nothing is stopped here: tests of their own name both.
    figures = {"execution_costs", "limits", "switches"}
    assert silent - figures == {"checks", "orders", "price_history", "nothing", "schema", "docs"}


def test_lists_hold_what_one_may_see_and_nothing_else(cast, other):
    def ids(name, address):
        rows = sign_in(cast.people[name]).get(f"/api/v1/{address}").json()["results"]
        return {row["id"] for row in rows}

    for address, key in (("households/", "household"), ("accounts/", "account")):
        assert ids("client", address) == ids("advisor", address) == {cast.keys[key]}
        assert ids("unassigned", address) == set()
        assert cast.keys[key] not in ids("other_client", address)
        assert (cast.keys[key] in ids("admin", address)) is (key == "household")
    assert ids("advisor", "proposals/") == {cast.keys["proposal"]}
    assert ids("unassigned", "proposals/") == ids("other_client", "proposals/") == set()


def test_a_client_sees_no_trades_before_they_are_decided(cast):
    client = sign_in(cast.people["client"])
    [row] = client.get("/api/v1/proposals/").json()["results"]
    assert row["tax_amount"] is None
    detail = client.get(f"/api/v1/proposals/{row['id']}/").json()
    assert detail["trades"] is None
    assert detail["content_hash"] is None
    assert detail["turnover_amount"] is None
    assert cast.proposal.content_hash not in json.dumps(detail)
    cast.world.approve(cast.proposal)
    detail = client.get(f"/api/v1/proposals/{row['id']}/").json()
    assert {trade["symbol"] for trade in detail["trades"]} == {"USTM", "INTL", "BOND"}
    assert detail["decision"]["is_approved"] is True
    assert detail["tax_amount"] == str(cast.proposal.tax_amount)


def test_a_client_never_sees_what_came_to_nothing(cast):
    post(
        sign_in(cast.people["advisor"]),
        f"proposals/{cast.proposal.public_id}/reject/",
        {"content_hash": cast.proposal.content_hash, "note": "secret reason"},
    )
    client = sign_in(cast.people["client"])
    assert client.get("/api/v1/proposals/").json()["count"] == 0
    assert client.get(f"/api/v1/proposals/{cast.proposal.public_id}/").status_code == 404


def test_writes_need_the_csrf_token(cast):
    for key, route in ROUTES.items():
        if not route.write_answers:
            continue
        client = sign_in(cast.get_writer(route.writer), enforce_csrf_checks=True)
        address = route.address.removeprefix("v1/").format(**cast.keys)
        refused = post(client, address, route.body)
        assert refused.status_code == 403, key
        assert "CSRF" in refused.json()["errors"][0]["detail"], key
        client.get("/api/docs/?script=")
        token = client.cookies["csrftoken"].value
        passed = post(client, address, route.body, headers={"X-CSRFToken": token})
        assert passed.status_code in (200, 201, 400, 404, 409), key


def test_other_methods_are_refused(cast):
    client = sign_in(cast.people["admin"])
    for key, route in ROUTES.items():
        if key in ("nothing", "docs"):
            continue
        for method in {"get", "post", "put", "patch", "delete", "options"} - route.methods:
            response = getattr(client, method)("/api/" + route.address.format(**cast.keys))
            is_plain_options = key == "schema" and method == "options"
            assert response.status_code == (200 if is_plain_options else 405), (
                key,
                method,
                response.content[:300],
            )


def test_answers_to_signed_in_people_are_kept_out_of_caches(cast):
    response = sign_in(cast.people["client"]).get("/api/v1/accounts/")
    assert response["Cache-Control"] == "no-store"


def test_an_address_without_its_slash_leads_to_the_right_one(cast):
    response = sign_in(cast.people["client"]).get("/api/v1/accounts")
    assert (response.status_code, response["Location"]) == (301, "/api/v1/accounts/")
