"""The page about cases: its tables are the engine's own, its examples are solved and make a point.

UPDATE_CASES=1 writes the tables and the stored answers anew.
"""

import json
import os
import re
import subprocess
import sys
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest

from rebalancer.engine import solve_case
from rebalancer.engine.case import fields as case_fields
from rebalancer.engine.case.normal import normalise_case
from rebalancer.engine.case.rows import (
    REQUIRED,
    Choice,
    Flag,
    Number,
    Text,
    Whole,
    write_decimal,
    write_plain,
)

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = CHECKOUT / "docs" / "cases.md"
FOLDER = CHECKOUT / "docs" / "cases"
EXAMPLES = sorted(path for path in FOLDER.glob("*.json") if ".answer" not in path.name)
IS_UPDATING = bool(os.environ.get("UPDATE_CASES"))
TABLES = {
    "The case": case_fields.CASE,
    "An account": case_fields.ACCOUNT,
    "A cash need": case_fields.CASH_NEED,
    "A lot": case_fields.LOT,
    "An open order": case_fields.OPEN_ORDER,
    "A security": case_fields.SECURITY,
    "The policy": (*case_fields.POLICY, case_fields.MODE),
    "A cap": case_fields.CAP,
    "The tax return": case_fields.TAX,
    "A recent trade": case_fields.RECENT_TRADE,
    "A wish": case_fields.WISH,
}
HEAD = "| field | takes | default | meaning |\n|---|---|---|---|\n"
D = Decimal
# What is reckoned in floats may differ in its last places from machine to machine.
RECKONED = D("0.001")


# --- The tables ---


def describe_kind(kind):
    if kind == case_fields.MONEY:
        return "money"
    if kind == case_fields.SIGNED_MONEY:
        return "money, may be negative"
    if kind == case_fields.FRACTION:
        return "fraction"
    if kind == case_fields.SYMBOL:
        return "symbol"
    if isinstance(kind, Number):
        low = write_decimal(kind.low) if kind.is_low_allowed else f"above {write_decimal(kind.low)}"
        return f"{low} to {int(kind.high):,}, {kind.places} places"
    if isinstance(kind, Whole):
        return f"whole, {kind.low} to {kind.high:,}"
    if isinstance(kind, Text):
        return f"text, at most {kind.length_max}"
    if isinstance(kind, Choice):
        return ", ".join(f"`{code.value}`" for code in kind.codes)
    return "true or false" if isinstance(kind, Flag) else "date"


def describe_default(default):
    if default is REQUIRED:
        return "required"
    if default is None:
        return "null"
    text = json.dumps(default) if isinstance(default, bool) else str(write_plain(default))
    return f"`{text}`" if text else "empty"


def make_table(specs):
    rows = [
        f"| `{spec.name}` | {describe_kind(spec.kind)}{', or null' if spec.may_be_null else ''} "
        f"| {describe_default(spec.default)} | {spec.words} |\n"
        for spec in specs
    ]
    return HEAD + "".join(rows)


@pytest.mark.parametrize("title", TABLES)
def test_tables_are_the_engines_own(title):
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(rf"^### {title}\n(?:.*\n)*?(\| field \|.*\n(?:\|.*\n)+)", text, re.MULTILINE)
    assert found, f"no table below {title}"
    wanted = make_table(TABLES[title])
    if IS_UPDATING:
        PAGE.write_text(text[: found.start(1)] + wanted + text[found.end(1) :], encoding="utf-8")
    else:
        assert found[1] == wanted


def test_limits_are_told():
    text = PAGE.read_text(encoding="utf-8")
    for limit in (
        case_fields.ACCOUNTS_MAX,
        case_fields.LOTS_MAX,
        case_fields.SECURITIES_MAX,
        case_fields.COVARIANCE_MAX,
        case_fields.AMOUNT_MAX,
    ):
        assert f"{int(limit):,}" in text


# --- The examples ---


@cache
def solve(name):
    """Return the answer to an example; by name, for its file."""
    return solve_case((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def trades_of(answer, symbol=None, account=None):
    """Return quantities, negative for sales, of the trades of a security or an account."""
    return [
        D(trade["quantity"]) * (1 if trade["side"] == "BUY" else -1)
        for trade in answer["trades"]
        if symbol in (None, trade["symbol"]) and account in (None, trade["account"])
    ]


def solve_changed(name, **parts):
    """Return the answer to an example with some parts replaced."""
    case = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return solve_case({**case, **parts})


def lay_out(value, indent=0):
    """Return JSON with what fits on a line in one line."""
    line = json.dumps(value)
    if len(line) + indent <= 98 and not (isinstance(value, dict) and indent == 0):
        return line
    if isinstance(value, dict):
        rows = [f"{json.dumps(key)}: {lay_out(row, indent + 2)}" for key, row in value.items()]
    elif isinstance(value, list):
        rows = [lay_out(row, indent + 2) for row in value]
    else:
        return line
    left, right = "{}" if isinstance(value, dict) else "[]"
    inside = ",\n".join(" " * (indent + 2) + row for row in rows)
    return f"{left}\n{inside}\n{' ' * indent}{right}"


def is_near(one, other):
    try:
        return abs(D(one) - D(other)) <= RECKONED * max(1, abs(D(other)))
    except ArithmeticError:
        return False


def list_differences(is_value, wanted, path=""):
    """Yield where two answers differ beyond what floats may."""
    if isinstance(wanted, dict) and isinstance(is_value, dict):
        for key in wanted.keys() | is_value.keys():
            yield from list_differences(is_value.get(key), wanted.get(key), f"{path}.{key}")
    elif isinstance(wanted, list) and isinstance(is_value, list) and len(wanted) == len(is_value):
        for number, (one, other) in enumerate(zip(is_value, wanted, strict=True)):
            yield from list_differences(one, other, f"{path}.{number}")
    elif is_value != wanted:
        is_reckoned = re.search(r"certificate|not_traded|drift_removed", path)
        if not (is_reckoned and isinstance(wanted, str) and is_near(is_value, wanted)):
            yield f"{path}: {is_value!r} instead of {wanted!r}"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_stored_answer_is_the_engines(path):
    stored = path.with_suffix(".answer.json")
    answer = solve(path.stem)
    if IS_UPDATING:
        stored.write_text(lay_out(answer) + "\n", encoding="utf-8")
    assert list(list_differences(answer, json.loads(stored.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_answer_is_sound(path):
    """Cash is never negative, nothing is oversold, amounts add up, the proof holds."""
    case = normalise_case(path.read_text(encoding="utf-8"))
    answer = solve(path.stem)
    assert answer["blocked"] == {}
    cash = {account["id"]: D(account["cash"]) for account in case["accounts"]}
    held = {}
    for account in case["accounts"]:
        for lot in account["lots"]:
            held[lot["id"]] = D(lot["quantity"])
    for trade in answer["trades"]:
        sign = -1 if trade["side"] == "BUY" else 1
        commission = D(case["policy"]["commission_fixed"])
        cash[trade["account"]] += sign * D(trade["amount"]) - commission
        assert trade["explanation"]
        for lot in trade["lots"]:
            held[lot["id"]] -= D(lot["quantity"])
        if trade["side"] == "SELL":
            assert sum(D(lot["quantity"]) for lot in trade["lots"]) == D(trade["quantity"])
            assert sum(D(lot["cost"]) + D(lot["gain"]) for lot in trade["lots"]) == D(
                trade["amount"]
            )
    assert min(cash.values()) >= 0
    assert min(held.values()) >= 0
    for name, amount in cash.items():
        assert D(answer["after"]["accounts"][name]["cash"]) == amount
    certificate = answer["certificate"]
    plan, nothing = (D(certificate[key]["total"]) for key in ("plan", "nothing"))
    assert abs(D(certificate["gain"]) - (nothing - plan)) <= D("0.00001")
    if certificate["bound"] is not None:
        assert D(certificate["bound"]) <= plan + D("0.01")


def test_every_example_is_on_the_page():
    text = PAGE.read_text(encoding="utf-8")
    for path in EXAMPLES:
        assert f"(cases/{path.name})" in text, path.name
        about = json.loads(path.read_text(encoding="utf-8"))["origin"]["about"]
        assert about in text, "the page says of an example what the example says of itself"


# --- What each example shows ---


def test_household_location():
    answer = solve("household-location")
    after = answer["after"]
    assert answer["path"] == "HOUSEHOLD"
    # Bonds pay ordinary income: less of them where that is taxed, and the household near target.
    before_taxable, taxable = (
        D(answer[key]["accounts"]["taxable"]["securities"].get("BND", "0"))
        for key in ("before", "after")
    )
    assert taxable < before_taxable
    assert abs(D(after["household"]["securities"]["VTI"]) - D("0.58")) < D("0.05")
    apart = solve_changed("household-location", together=False)
    assert taxable < D(apart["after"]["accounts"]["taxable"]["securities"]["BND"])


def test_wash_sale():
    answer = solve("wash-sale")
    losses = [
        lot
        for trade in answer["trades"]
        for lot in trade["lots"]
        if D(lot["gain"]) < 0
        if trade["account"] == "taxable" and trade["symbol"] == "VTI"
    ]
    assert losses == []
    # Without the purchase in the retirement account the loss is sold.
    case = json.loads((FOLDER / "wash-sale.json").read_text(encoding="utf-8"))
    case["accounts"][1]["lots"] = case["accounts"][1]["lots"][1:]
    free = solve_case(case)
    assert sum(trades_of(free, "VTI", "taxable")) < 0
    assert sum(q for q in trades_of(free, "VTI") + trades_of(free, "ITOT") if q > 0) == 0


def test_harvest_substitute():
    answer = solve("harvest-substitute")
    assert sum(trades_of(answer, "VTI")) < 0 < sum(trades_of(answer, "SCHB"))
    assert D(answer["tax"]["total"]) < 0
    after = answer["after"]["household"]["classes"]["Stocks"]
    assert abs(D(after) - D("0.58")) < D("0.05")
    calm = solve_changed("harvest-substitute", policy={"harvests_losses": False})
    assert trades_of(calm, "SCHB") == []


def test_gains_budget():
    gains = solve("gains-budget")["tax"]
    assert D(0) < D(gains["short_term_gain"]) + D(gains["long_term_gain"]) <= 1000
    tax = {"short_term_rate": "0.35", "long_term_rate": "0.15", "year_long_gain": "3000"}
    free = solve_changed("gains-budget", tax=tax)
    assert D(free["tax"]["long_term_gain"]) > 1000


def test_netting_carry_forward():
    answer = solve("netting-carry-forward")
    assert answer["path"] == "NETTED"
    tax = {"short_term_rate": "0.35", "long_term_rate": "0.15"}
    plain = solve_changed("netting-carry-forward", tax=tax)
    assert sum(trades_of(answer, "VTI")) < sum(trades_of(plain, "VTI")) < 0


def test_caps():
    answer = solve("caps")
    assert D(answer["after"]["household"]["securities"]["ACME"]) <= D("0.2501")
    free = solve_changed("caps", policy={})
    assert D(free["after"]["household"]["securities"]["ACME"]) > D("0.35")


def test_cash_need():
    answer = solve("cash-need")
    # What is due in a year is not raised now.
    assert 12_000 <= D(answer["after"]["household"]["cash"]) < 20_000
    assert answer["cash_short"] == {}
    gains = [D(lot["gain"]) for trade in answer["trades"] for lot in trade["lots"]]
    assert max(gains) <= 0, "there are losses enough to raise it from"


def test_buy_only():
    answer = solve("buy-only")
    assert answer["mode"] == "BUY_ONLY"
    assert {trade["side"] for trade in answer["trades"]} == {"BUY"}
    assert D(answer["after"]["household"]["cash_weight"]) < D("0.03")
    assert any(row["code"] == "MODE" for row in answer["not_traded"])


def test_band_edge():
    after = solve("band-edge")["after"]["household"]["classes"]
    assert abs(D(after["Stocks"]) - D("0.63")) < D("0.001")
    whole = solve_changed("band-edge", policy={"destination": "TARGET"})
    assert abs(D(whole["after"]["household"]["classes"]["Stocks"]) - D("0.58")) < D("0.002")


def test_whole_shares_and_tickets():
    answer = solve("whole-shares-tickets")
    assert all(quantity == int(quantity) for quantity in trades_of(answer))
    free = solve_changed(
        "whole-shares-tickets", policy={"min_trade_amount": "0", "band_level": "SECURITY"}
    )
    assert len(answer["trades"]) < len(free["trades"])


def test_united_kingdom():
    answer = solve("united-kingdom")
    unit_costs = {
        D(lot["cost"]) / D(lot["quantity"])
        for trade in answer["trades"]
        for lot in trade["lots"]
        if trade["symbol"] == "VWRL"
    }
    assert unit_costs
    # (300 x 60 + 200 x 110) / 500
    assert all(abs(cost - 80) < D("0.01") for cost in unit_costs)


def test_covariance():
    answer = solve("covariance")
    assert answer["path"] == "COVARIANCE"
    assert sum(trades_of(answer, "BND")) > 0
    # Straight to target would sell all of ITOT and buy its twin.
    assert trades_of(answer, "VTI") == []
    assert D(answer["after"]["household"]["securities"]["ITOT"]) > D("0.2")


def test_conflict():
    answer = solve("conflict")
    assert D(answer["cash_short"]["taxable"]) > 0
    assert "VTI" in answer["conflict"]
    assert "account taxable needs 50,000" in answer["conflict"]


def test_quick_start():
    answer = solve("quick-start")
    assert sum(trades_of(answer, "VTI")) < 0 < sum(trades_of(answer, "BND"))
    assert answer["certificate"]["is_worth_it"] is True
    # Taxed gains are not worth the last step to the target.
    assert D("0.58") < D(answer["after"]["household"]["classes"]["Stocks"]) < D("0.63")


# --- From Python, without anything else ---


def test_three_lines_of_python_without_django():
    text = PAGE.read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len([line for line in code.splitlines() if line]) == 3
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    ends = "import sys; print('django' in sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{ends}"],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip().splitlines()[-1] == "False"
    assert done.stdout.strip() == str(solve("quick-start")["trades"])
