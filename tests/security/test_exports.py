"""CSV downloads: whose rows they hold, and that a spreadsheet reckons with nothing in them."""

import csv
import io
from decimal import Decimal

import pytest

from robo.common import csv_export
from robo.common.csv_export import answer_csv, write_cell
from tests.api.cast import CANARY, HEAVY, make_cast, mark_texts, sign_in
from tests.api.conftest import _day_of_the_prices, _own_paper_broker, nudged  # noqa: F401

EVIL = [
    "=1+1",
    "+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "  =cmd|' /C calc'!A0",
    "＝1",
    "-5",
]


@pytest.fixture
def cast(db):
    return make_cast()


def read(response):
    assert response.status_code == 200
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"].startswith("attachment; ")
    assert response["X-Content-Type-Options"] == "nosniff"
    text = response.content.decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("text", EVIL)
def test_text_that_would_be_a_formula_is_text(text):
    assert write_cell(text) == f"'{text}"


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Decimal("-1234.50"), "-1234.50"),
        (Decimal("1E-8"), "0.00000001"),
        (-7, "-7"),
        (None, ""),
        ("a=b", "a=b"),
        ('O\'Hara, "Zoë"', 'O\'Hara, "Zoë"'),
        ("a\x00b", "ab"),
        ("\x00=1", "'=1"),
        ("   ", "   "),
    ],
)
def test_numbers_stay_numbers_and_names_stay_names(cell, text):
    assert write_cell(cell) == text


def test_cells_come_back_as_they_went():
    rows = [[text, Decimal("-1.5")] for text in EVIL]
    answer = answer_csv(file_name="x.csv", header=["=A", "B"], rows=rows)
    back = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert back == [["'=A", "B"], *[[f"'{text}", "-1.5"] for text in EVIL]]


def test_orders_for_those_who_may_see_them(cast):
    cast.world.household.name = "=HYPERLINK(1)"
    cast.world.household.save()
    cast.world.approve(cast.proposal)
    cast.world.trade()
    for name in ("advisor", "colleague"):
        rows = read(sign_in(cast.people[name]).get("/orders/orders.csv"))
        assert {row["Symbol"] for row in rows} == {"USTM", "INTL", "BOND"}
        assert {row["Household"] for row in rows} == {"'=HYPERLINK(1)"}
        assert all(Decimal(row["Filled quantity"]) >= 0 for row in rows)
    assert read(sign_in(cast.people["unassigned"]).get("/orders/orders.csv")) == []
    narrowed = sign_in(cast.people["advisor"]).get("/orders/orders.csv", {"symbol": "USTM"})
    assert {row["Symbol"] for row in read(narrowed)} == {"USTM"}


def test_holdings_add_up_to_the_account(cast):
    address = f"/accounts/{cast.keys['account']}/holdings.csv"
    for name in ("client", "advisor"):
        rows = read(sign_in(cast.people[name]).get(address))
        lots = {row["Symbol"]: Decimal(row["Quantity"]) for row in rows if row["Symbol"]}
        assert lots == {symbol: Decimal(quantity) for symbol, quantity, *_ in HEAVY}
        assert sum(Decimal(row["Value"]) for row in rows) == Decimal("9800")
        bond = next(row for row in rows if row["Symbol"] == "BOND")
        assert Decimal(bond["Gain"]) == Decimal(bond["Value"]) - Decimal(bond["Cost"])
    for name in ("unassigned", "other_client", "admin"):
        assert sign_in(cast.people[name]).get(address).status_code == 404


def test_the_journal_for_those_who_may_read_it(cast):
    rows = read(sign_in(cast.people["advisor"]).get("/journal/journal.csv"))
    assert {"When", "What", "Who", "Household", "Action", "Object"} == set(rows[0])
    assert any(row["Action"] == "rebalancer.proposal.made" for row in rows)
    mine = read(sign_in(cast.people["client"]).get("/journal/journal.csv"))
    assert set(mine[0]) == {"When", "What", "Who"}
    others = read(sign_in(cast.people["other_client"]).get("/journal/journal.csv"))
    assert all("joined" in row["What"] or "household" in row["What"] for row in others)


def test_nothing_of_another_firm_is_in_any_download(cast):
    other = make_cast(CANARY)
    mark_texts(other)
    for name in ("client", "advisor", "admin"):
        client = sign_in(cast.people[name])
        for address in ("/orders/orders.csv", "/journal/journal.csv"):
            assert CANARY not in client.get(address).content.decode()
        stolen = client.get(f"/accounts/{other.keys['account']}/holdings.csv")
        assert stolen.status_code == 404


def test_a_download_without_end_is_refused(cast, monkeypatch):
    monkeypatch.setattr(csv_export, "ROWS_MAX", 1)
    cast.world.approve(cast.proposal)
    client = sign_in(cast.people["advisor"])
    refused = client.get("/orders/orders.csv")
    assert refused.status_code == 422
    assert "narrow down" in refused.content.decode()
    assert client.get("/journal/journal.csv").status_code == 302


def test_a_download_asks_no_more_of_the_database_per_row(cast, django_assert_max_num_queries):
    client = sign_in(cast.people["advisor"])
    client.get("/orders/orders.csv")
    cast.world.approve(cast.proposal)
    with django_assert_max_num_queries(14):
        assert len(read(client.get("/orders/orders.csv"))) == 3
