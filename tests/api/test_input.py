"""What is sent to the API: unknown keys, numbers that are none, wrong types and hostile bodies."""

import json

import pytest

from portfolios.models import Price, RefusedPrice
from tests.api.cast import V1, approve, post, read_errors, sign_in
from tests.api.routes import ROUTES

DAY = "2026-11-20"


@pytest.fixture
def admin(cast):
    return sign_in(cast.people["admin"])


@pytest.fixture
def advisor(cast):
    return sign_in(cast.people["advisor"])


def quote(**changes):
    return {"symbol": "OURS", "price_date": DAY, "price": "12.50", **changes}


def test_an_unknown_key_is_named(cast, advisor, admin):
    response = approve(advisor, cast.proposal, colour="red")
    assert response.status_code == 400
    assert read_errors(response) == [("unknown_field", "non_field_errors")]
    assert "'colour'" in response.json()["errors"][0]["detail"]
    response = post(admin, "prices/", [quote(), quote(colour="red", volume=3)])
    details = [error["detail"] for error in response.json()["errors"]]
    assert response.status_code == 400
    assert details == ["Unknown field: 'colour'.", "Unknown field: 'volume'."]
    assert read_errors(response)[0][1] == "1.non_field_errors"
    assert not Price.objects.filter(security__symbol="OURS").exists()


def test_an_unknown_key_is_named_beside_other_faults(cast, advisor):
    response = post(advisor, f"proposals/{cast.keys['proposal']}/approve/", {"x": 1})
    assert set(read_errors(response)) == {
        ("required", "content_hash"),
        ("unknown_field", "non_field_errors"),
    }


def test_an_unknown_parameter_is_named_everywhere(cast, admin):
    for key, route in ROUTES.items():
        if not route.address.startswith("v1/") or key == "nothing" or not route.answers:
            continue
        response = admin.get("/api/" + route.address.format(**cast.keys), {"colour": "red"})
        assert response.status_code == 400, key
        assert "'colour'" in response.json()["errors"][0]["detail"], key


@pytest.mark.parametrize("key", ["\ud800", "\x00", "x" * 5000, "", "__proto__"])
def test_a_strange_key_is_an_error_like_any_other(cast, advisor, key):
    response = approve(advisor, cast.proposal, **{key: "1"})
    assert response.status_code == 400
    assert len(response.content) < 500


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("limit", "0"),
        ("limit", "201"),
        ("limit", "many"),
        ("limit", "9" * 5000),
        ("limit", "NaN"),
        ("offset", "-1"),
        ("offset", "1e400"),
        ("offset", str(2**63)),
    ],
)
def test_paging_out_of_range_is_refused(admin, field, value):
    for address in (route.address for route in ROUTES.values() if route.is_list):
        if "{" not in address:
            response = admin.get("/api/" + address, {field: value})
            assert response.status_code == 400, address
            assert read_errors(response)[0][1] == field


def test_paging(cast, admin):
    first = admin.get(V1 + "prices/", {"limit": 2}).json()
    assert (first["count"], len(first["results"]), first["previous"]) == (5, 2, None)
    rest = admin.get(first["next"]).json()["results"]
    last = admin.get(V1 + "prices/", {"limit": 200, "offset": 4}).json()["results"]
    symbols = [row["symbol"] for row in [*first["results"], *rest, *last]]
    assert sorted(symbols) == ["BOND", "INTL", "OURS", "USLC", "USTM"]
    assert admin.get(V1 + "prices/", {"offset": 1_000_000_000}).json()["results"] == []


@pytest.mark.parametrize(
    ("address", "query", "field"),
    [
        ("proposals/", {"status": "DONE"}, "status"),
        ("proposals/", {"status": ""}, "status"),
        ("proposals/", {"account": "1 OR 1=1"}, "account"),
        ("orders/", {"status": "OPEN?"}, "status"),
        ("orders/", {"side": "SHORT"}, "side"),
        ("orders/", {"symbol": "A\x00B"}, "symbol"),
        ("accounts/", {"household": "x"}, "household"),
        ("prices/OURS/", {"since_date": "yesterday"}, "since_date"),
        ("prices/OURS/", {"until_date": "2026-02-30"}, "until_date"),
    ],
)
def test_filters_that_make_no_sense_are_refused(admin, address, query, field):
    response = admin.get(V1 + address, query)
    assert response.status_code == 400
    assert read_errors(response)[0][1] == field


def test_filters_narrow(cast, advisor):
    def count(address, **query):
        return advisor.get(V1 + address, query).json()["count"]

    nobody = "00000000-0000-4000-8000-000000000000"
    cast.world.approve(cast.proposal)
    assert count("proposals/", status="APPROVED", account=cast.keys["account"]) == 1
    assert count("proposals/", status="PENDING") == count("proposals/", account=nobody) == 0
    assert count("orders/", status="NEW", proposal=cast.keys["proposal"]) == 3
    assert count("orders/", side="BUY", account=cast.keys["account"]) == 2
    assert count("orders/", symbol="USTM") == 1
    assert count("orders/", account=nobody) == count("orders/", proposal=nobody) == 0
    assert count("accounts/", household=cast.keys["household"]) == 1
    assert count("accounts/", household=nobody) == 0


@pytest.mark.parametrize(
    "symbol", ["%00", "A%20B", "x" * 25, "%F0%9F%92%A9%0A", "..%2F..%2Fetc", "ours"]
)
def test_a_symbol_that_is_none_is_not_found(admin, symbol):
    response = admin.get(f"{V1}prices/{symbol}/")
    assert response.status_code == 404
    assert read_errors(response) == [("not_found", None)]


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data", "application/xml"])
def test_another_content_type_is_refused(cast, advisor, content_type):
    response = advisor.post(
        f"{V1}proposals/{cast.keys['proposal']}/approve/", "x=1", content_type=content_type
    )
    assert response.status_code in (400, 415)
    assert read_errors(response)


def test_a_broken_form_is_refused_before_the_csrf_check_stumbles_over_it(cast):
    client = sign_in(cast.people["advisor"], enforce_csrf_checks=True)
    response = client.post(
        f"{V1}proposals/{cast.keys['proposal']}/approve/",
        "x",
        content_type="multipart/form-data; boundary=",
    )
    assert response.status_code in (400, 403)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "null",
        "[]",
        '"text"',
        "3",
        '{"content_hash": NaN}',
        '{"content_hash": Infinity}',
        '{"content_hash": null}',
        '{"content_hash": 5}',
        '{"content_hash": ["a"]}',
        '{"content_hash": "\\u0000"}',
        '{"content_hash": "\\ud800"}',
        json.dumps({"content_hash": "a" * 65}),
        json.dumps({"content_hash": "a", "note": "x" * 501}),
        b"\xff\xfe",
        "[" * 200_000,
        '{"a":' * 100_000,
        '{"content_hash": ' + "9" * 10_000 + "}",
    ],
)
def test_a_body_that_makes_no_sense_is_a_400(cast, advisor, body):
    response = post(advisor, f"proposals/{cast.keys['proposal']}/approve/", body)
    assert response.status_code == 400
    assert read_errors(response)


def test_a_body_without_end_is_refused(admin):
    response = post(admin, "prices/", "[" + " " * (2 * 1024 * 1024) + "]")
    assert response.status_code == 413
    assert read_errors(response) == [("too_large", None)]


# --- Prices --------------------------------------------------------------------------------------


def test_prices_are_recorded_once(cast, admin):
    for expected in ({"recorded": 1, "unchanged": 0}, {"recorded": 0, "unchanged": 1}):
        response = post(admin, "prices/", [quote()])
        assert response.status_code == 200
        assert response.json() == {**expected, "refused": []}
    row = Price.objects.get(security__symbol="OURS")
    assert str(row.price) == "12.500000"
    assert row.source == f"API, {cast.people['admin'].email}"[:60]
    history = admin.get(V1 + "prices/OURS/", {"since_date": DAY, "until_date": DAY}).json()
    assert history["results"] == [{"price_date": DAY, "price": "12.500000"}]
    assert admin.get(V1 + "prices/OURS/", {"since_date": "2026-11-21"}).json()["count"] == 0
    assert admin.get(V1 + "prices/OURS/", {"until_date": "2026-11-19"}).json()["count"] == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"price": "NaN"}, "NOT_A_NUMBER"),
        ({"price": "-Infinity"}, "NOT_A_NUMBER"),
        ({"price": "twelve"}, "NOT_A_NUMBER"),
        ({"price": "-1"}, "NOT_POSITIVE"),
        ({"price": "0"}, "NOT_POSITIVE"),
        ({"price": "1e30"}, "TOO_LARGE"),
        ({"price": "1e-30"}, "NOT_POSITIVE"),
        ({"price": "9" * 60}, "TOO_LARGE"),
        ({"symbol": "NOSUCH"}, "UNKNOWN_SECURITY"),
        ({"price_date": "2031-01-02"}, "FUTURE"),
        ({"price_date": "2026-11-15"}, "NOT_A_SESSION"),
        ({"price_date": "0001-01-01"}, "NOT_A_SESSION"),
        ({"symbol": "USTM", "price": "101"}, "CONFLICT"),
    ],
)
def test_a_bad_quote_is_reported_and_the_good_ones_are_kept(admin, changes, reason):
    response = post(admin, "prices/", [quote(), quote(**changes)])
    if "price" in changes and "symbol" not in changes:
        # The same day twice: give the good one another security.
        response = post(admin, "prices/", [quote(**changes)])
    refused = response.json()["refused"]
    assert response.status_code == 200
    assert [row["reason"] for row in refused] == [reason]
    assert refused[0]["symbol"] == changes.get("symbol", "OURS")
    assert refused[0]["price"] == changes.get("price", "12.50")
    assert RefusedPrice.objects.filter(reason=reason).exists()
    assert Price.objects.filter(security__symbol="OURS").count() == 1


@pytest.mark.parametrize(
    ("body", "attr"),
    [
        ([], "non_field_errors"),
        ({}, "non_field_errors"),
        (quote(), "non_field_errors"),
        ([5], "0.non_field_errors"),
        ([quote(price=12.5)], "0.price"),
        ([quote(price=None)], "0.price"),
        ([quote(price=True)], "0.price"),
        ([quote(price="1" * 61)], "0.price"),
        ([quote(price_date="20.11.2026")], "0.price_date"),
        ([quote(price_date=20261120)], "0.price_date"),
        ([quote(symbol="")], "0.symbol"),
        ([quote(symbol="A\x00")], "0.symbol"),
        ([{"symbol": "OURS"}], "0.price_date"),
    ],
)
def test_quotes_of_the_wrong_shape_are_refused(admin, body, attr):
    response = post(admin, "prices/", body)
    assert response.status_code == 400
    assert read_errors(response)[0][1] == attr
    assert not Price.objects.filter(security__symbol="OURS").exists()


def test_too_many_quotes_at_once_are_refused(admin):
    response = post(admin, "prices/", [quote()] * 10_001)
    assert response.status_code == 400
    assert read_errors(response)[0][0] == "max_length"
