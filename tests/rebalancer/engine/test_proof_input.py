"""A stranger's attack on the case door: every fault is an error that says where and which security.

Nothing of the parser is known here but `docs/cases.md`; a faulty case never becomes a plan.
"""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from rebalancer.engine import solve_case
from rebalancer.engine.case.rows import CaseRefused

Case = dict[str, Any]


def make_case() -> Case:
    """Return a sound case of one taxable account and two funds."""
    return {
        "as_of": "2026-11-20",
        "currency": "USD",
        "accounts": [
            {
                "id": "joint",
                "tax_status": "TAXABLE",
                "cash": "1500.00",
                "lots": [
                    {
                        "id": "L1",
                        "symbol": "VTI",
                        "quantity": "300",
                        "unit_cost": "250.00",
                        "acquired_date": "2021-03-04",
                    },
                    {
                        "id": "L2",
                        "symbol": "BND",
                        "quantity": "150",
                        "unit_cost": "78.00",
                        "acquired_date": "2024-05-06",
                    },
                ],
            }
        ],
        "prices": {"VTI": "300.00", "BND": "75.00"},
        "securities": [
            {"symbol": "VTI", "asset_class": "Stocks", "half_spread_bps": "1"},
            {"symbol": "BND", "asset_class": "Bonds", "half_spread_bps": "1"},
        ],
        "targets": {"cash": "0.02", "securities": {"VTI": "0.58", "BND": "0.40"}},
        "tax": {"short_term_rate": "0.35", "long_term_rate": "0.15"},
    }


def change(*path: str | int, to: object) -> Callable[[Case], None]:
    """Return what puts `to` at a path of a case."""

    def apply(case: Case) -> None:
        place: Any = case
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to

    return apply


def drop(*path: str | int) -> Callable[[Case], None]:
    """Return what removes a path of a case."""

    def apply(case: Case) -> None:
        place: Any = case
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]

    return apply


def both(*changes: Callable[[Case], None]) -> Callable[[Case], None]:
    def apply(case: Case) -> None:
        for one in changes:
            one(case)

    return apply


LOT = ("accounts", 0, "lots", 0)
ATTACKS: list[tuple[str, Callable[[Case], None], str, str]] = [
    ("a price of NaN", change("prices", "VTI", to="NaN"), "prices.VTI", "VTI"),
    ("a float NaN", change("prices", "VTI", to=float("nan")), "prices.VTI", "VTI"),
    ("an infinite price", change("prices", "BND", to="Infinity"), "prices.BND", "BND"),
    ("a price of zero", change("prices", "VTI", to="0"), "prices.VTI", "VTI"),
    ("a negative zero", change("prices", "VTI", to="-0.0"), "prices.VTI", "VTI"),
    ("a negative price", change("prices", "VTI", to="-300"), "prices.VTI", "VTI"),
    ("a price beyond measure", change("prices", "VTI", to="1e400"), "prices.VTI", "VTI"),
    ("a price below a millionth", change("prices", "VTI", to="1e-9"), "prices.VTI", "VTI"),
    ("a price of true", change("prices", "VTI", to=True), "prices.VTI", "VTI"),
    ("a price of null", change("prices", "VTI", to=None), "prices.VTI", "VTI"),
    ("a price as a list", change("prices", "VTI", to=["300"]), "prices.VTI", "VTI"),
    ("a price in Arabic digits", change("prices", "VTI", to="٣٠٠"), "prices.VTI", "VTI"),
    ("a price with a comma", change("prices", "VTI", to="1,300"), "prices.VTI", "VTI"),
    ("a missing price", drop("prices", "VTI"), "no price for VTI", "VTI"),
    ("a price of a stranger", change("prices", "XYZ", to="1"), "prices.XYZ", "XYZ"),
    ("no quantity", drop(*LOT, "quantity"), "accounts.0.lots.0.quantity", "VTI"),
    ("a negative quantity", change(*LOT, "quantity", to="-3"), "accounts.0.lots.0.quantity", "VTI"),
    ("a quantity of zero", change(*LOT, "quantity", to="0"), "accounts.0.lots.0.quantity", "VTI"),
    ("a quantity of NaN", change(*LOT, "quantity", to="nan"), "accounts.0.lots.0.quantity", "VTI"),
    (
        "too fine a quantity",
        change(*LOT, "quantity", to="0.000000001"),
        "accounts.0.lots.0.quantity",
        "VTI",
    ),
    ("a negative cost", change(*LOT, "unit_cost", to="-1"), "accounts.0.lots.0.unit_cost", "VTI"),
    ("two costs", change(*LOT, "cost", to="75000"), "accounts.0.lots.0", "VTI"),
    ("no cost", drop(*LOT, "unit_cost"), "accounts.0.lots.0", "VTI"),
    ("a lot of a stranger", change(*LOT, "symbol", to="XYZ"), "accounts.0.lots.0.symbol", "XYZ"),
    ("a lot twice", change("accounts", 0, "lots", 1, "id", to="L1"), "accounts.0.lots.1", "L1"),
    (
        "a lot of tomorrow",
        change(*LOT, "acquired_date", to="2026-11-21"),
        "accounts.0.lots.0.acquired_date",
        "VTI",
    ),
    (
        "a lot of no day",
        change(*LOT, "acquired_date", to="2025-02-29"),
        "accounts.0.lots.0.acquired_date",
        "VTI",
    ),
    ("targets of 0.99", change("targets", "securities", "VTI", to="0.57"), "targets", ""),
    ("targets of 1.00000001", change("targets", "cash", to="0.02000001"), "targets", ""),
    (
        "a negative target",
        both(
            change("targets", "securities", "VTI", to="-0.02"),
            change("targets", "securities", "BND", to="1"),
        ),
        "targets.securities.VTI",
        "VTI",
    ),
    (
        "a target of a stranger",
        change("targets", "securities", to={"VTI": "0.58", "XYZ": "0.40"}),
        "targets.securities.XYZ",
        "XYZ",
    ),
    (
        "wishes against each other",
        change(
            "wishes",
            to=[{"kind": "EXCLUDE", "symbol": "VTI"}, {"kind": "NEVER_SELL", "symbol": "VTI"}],
        ),
        "wishes",
        "VTI",
    ),
    (
        "a wish for a stranger",
        change("wishes", to=[{"kind": "EXCLUDE", "symbol": "XYZ"}]),
        "wishes.0",
        "XYZ",
    ),
    (
        "a wish of nothing",
        change("wishes", to=[{"kind": "EXCLUDE"}]),
        "wishes.0",
        "",
    ),
    (
        "a wish of an unknown account",
        change("wishes", to=[{"kind": "EXCLUDE", "symbol": "VTI", "accounts": ["mine"]}]),
        "wishes.0",
        "mine",
    ),
    ("an unknown key", change("polcy", to={}), "polcy", "policy"),
    ("a rate above one", change("tax", "long_term_rate", to="1.5"), "tax.long_term_rate", ""),
    ("no tax", drop("tax"), "tax", ""),
    ("an unknown regime", change("tax", "regime", to="FR"), "tax.regime", "FR"),
    ("an unknown status", change("accounts", 0, "tax_status", to="OTHER"), "tax_status", "OTHER"),
    ("NaN in cash", change("accounts", 0, "cash", to="NaN"), "accounts.0.cash", "joint"),
    ("a tenth of a cent", change("accounts", 0, "cash", to="0.001"), "accounts.0.cash", "joint"),
    ("no account", change("accounts", to=[]), "accounts", ""),
    ("an account as text", change("accounts", to=["joint"]), "accounts.0", ""),
    ("a security twice", lambda c: c["securities"].append(c["securities"][0]), "securities", "VTI"),
    ("an account twice", lambda c: c["accounts"].append(c["accounts"][0]), "accounts.1", "joint"),
    ("an unknown mode", change("policy", to={"mode": "GUESS"}), "policy.mode", "GUESS"),
    (
        "a cap of a stranger",
        change("policy", to={"caps": [{"kind": "SECURITY", "name": "XYZ", "max_weight": "0.1"}]}),
        "policy.caps.0",
        "XYZ",
    ),
    (
        "a trade of tomorrow",
        change("recent_trades", to=[{"symbol": "VTI", "side": "BUY", "date": "2026-11-21"}]),
        "recent_trades.0.date",
        "VTI",
    ),
]


@pytest.mark.parametrize(("name", "spoil", "path", "culprit"), ATTACKS, ids=[a[0] for a in ATTACKS])
def test_a_fault_is_an_error_that_says_where_and_what(name, spoil, path, culprit):
    case = copy.deepcopy(make_case())
    spoil(case)
    with pytest.raises(CaseRefused) as caught:
        solve_case(case)
    errors = caught.value.errors
    assert any(path in f"{error.path} {error.message}" for error in errors), errors
    assert any(culprit in f"{error.path} {error.message}" for error in errors), errors


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        '{"as_of": 1}',
        "NaN",
        '"case"',
        "[" * 5000,
        b"\xff\xfe",
        '{"accounts": [], "accounts": []}',
        json.dumps(make_case()).replace('"300.00"', "NaN"),
        json.dumps(make_case()).replace('"300.00"', "1e999"),
        json.dumps(make_case()).replace('"VTI": "300.00"', '"VTI": "300.00", "VTI": "301.00"'),
    ],
)
def test_text_that_is_no_case_is_refused(text):
    with pytest.raises(CaseRefused):
        solve_case(text)


def test_the_sound_case_is_solved_so_that_the_attacks_prove_something():
    answer = solve_case(make_case())
    assert [trade["side"] for trade in answer["trades"]] == ["SELL", "BUY"]
    assert solve_case(json.dumps(make_case())) == answer
