"""The engine under wishes and missing facts: what gives way, and what blocks an account."""

from dataclasses import replace
from decimal import Decimal

import pytest

from rebalancer.domain.kinds import BandLevel, TradeReason
from rebalancer.engine.book import EXCLUDED, NO_BUY, NO_SELL, LockRow
from rebalancer.engine.drift import measure_drift
from rebalancer.engine.targets import resolve_targets
from tests.rebalancer import cases
from tests.rebalancer.cases import make_book, solve

D = Decimal


# --- Wishes ---------------------------------------------------------------------------------


def with_wish(code, *, substitutes=(), **parts):
    """Return the answer for S1 40 %, S2 20 % (both class A), S3 40 % (class B), S1 under a wish."""
    book = make_book(
        ["10", "10", "10", "10"],
        [".40", ".20", ".40", "0"],
        parts.pop("held", ["0", "20000", "40000", "0"]),
        cash=parts.pop("cash", "40000"),
        classes=["A", "A", "B", "A"],
        locks=[LockRow(1, 1, code), *parts.pop("locks", [])],
        **parts,
    )
    securities = [
        replace(row, substitutes=tuple(substitutes)) if row.security_id == 1 else row
        for row in book.securities
    ]
    return solve(cases.rebuild(book, securities=securities, locks=cases.list_locks(book)))


def test_never_buy_gives_its_share_to_the_first_substitute_that_may_be_bought():
    answer = with_wish(NO_BUY, substitutes=(4, 2))
    assert answer.rounded == {"S4": 4000}
    assert answer.plan.trades[0].reason is TradeReason.SUBSTITUTE
    assert answer.notes == ("S1 may not be bought: S4 takes its place",)
    second = with_wish(NO_BUY, substitutes=(4, 2), locks=[LockRow(1, 4, EXCLUDED)])
    assert second.rounded == {"S2": 4000}


def test_without_a_substitute_its_class_takes_the_share_then_the_others_then_cash():
    assert with_wish(NO_BUY).rounded == {"S2": 4000}
    # With all of class A locked the rest of the model takes it.
    others = with_wish(NO_BUY, locks=[LockRow(1, 2, NO_BUY)])
    assert others.rounded == {"S3": 4000}
    cash = with_wish(NO_BUY, locks=[LockRow(1, 2, NO_BUY), LockRow(1, 3, NO_BUY)])
    assert cash.rounded == {}
    assert "S1 may not be bought: its share stays in cash" in cash.notes


def test_what_is_excluded_leaves_whole_even_within_a_class_on_target():
    held = ["39999.5", "20000.5", "40000", "0"]
    answer = with_wish(
        EXCLUDED,
        held=held,
        cash="0",
        substitutes=(4,),
        terms={"band_level": BandLevel.ASSET_CLASS, "min_trade_amount": D(50)},
    )
    assert answer.trades["S1"] == D("-3999.95")
    assert round(answer.trades["S4"]) == 4000
    assert answer.drift.is_breached[0]
    reasons = {trade.security.symbol: trade.reason for trade in answer.plan.trades}
    assert reasons == {"S1": TradeReason.EXCLUDED, "S4": TradeReason.SUBSTITUTE}


def test_never_sell_makes_the_others_give_way():
    held = ["70000", "10000", "20000", "0"]
    answer = with_wish(NO_SELL, held=held, cash="0")
    assert "S1" not in answer.trades
    # Class A gives way first: its 20 % go, then class B gives the last 10 %.
    assert answer.rounded == {"S2": -1000, "S3": 1000}
    assert answer.notes == ("S1 may not be sold: the other targets give way",)


def test_a_security_without_a_market_is_not_bought():
    book = make_book(["10", "10"], [".5", ".5"], ["5000", "0"], cash="5000")
    closed = [replace(row, is_buyable=row.security_id == 1) for row in book.securities]
    assert solve(cases.rebuild(book, securities=closed)).rounded == {"S1": 500}


# --- What blocks an account -----------------------------------------------------------------


def test_a_missing_price_blocks_whoever_holds_or_wants_it_and_names_it():
    book = cases.book(
        securities=[
            cases.security(1, "GOOD", "A", "10"),
            cases.security(2, "LOST", "A", None),
            cases.security(3, "ZERO", "A", "0"),
        ],
        models=[cases.model("0", (1, "1"))],
        accounts=[cases.account(1, "10"), cases.account(2, "10"), cases.account(3, "10")],
        lots=[cases.lot(1, 2, "1", "1", account_id=1), cases.lot(2, 3, "1", "1", account_id=2)],
    )
    assert resolve_targets(book).blocked == {
        0: "no usable price for LOST on 2026-11-20",
        1: "no usable price for ZERO on 2026-11-20",
    }
    wanted = cases.rebuild(book, models=[cases.model("0", (1, ".5"), (2, ".5"))])
    assert set(resolve_targets(wanted).blocked) == {0, 1, 2}


def test_an_unclassified_holding_blocks():
    book = make_book(["10", "10"], ["1", "0"], ["500", "500"])
    unclassified = [replace(row, is_unclassified=row.symbol == "S2") for row in book.securities]
    blocked = resolve_targets(cases.rebuild(book, securities=unclassified)).blocked
    assert blocked == {0: "S2 has no asset class yet"}


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"model_version_id": None}, "follows no published model portfolio"),
        ({"policy_id": None}, "follows no rebalancing policy"),
        ({"cash": D(0)}, "holds nothing"),
    ],
)
def test_an_account_that_cannot_be_looked_at_says_why(facts, reason):
    book = make_book(["10"], ["1"], ["0"], accounts=[cases.account(**{"cash": "5", **facts})])
    assert resolve_targets(book).blocked == {0: reason}
    drift = measure_drift(book, resolve_targets(book))
    assert (drift.drift_total[0], drift.is_breached[0]) == (0, False)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("place", ["price", "cash", "need_amount", "quantity", "cost"])
def test_what_is_no_number_cannot_enter(number, place):
    security = cases.security(1, "S1", "A", number if place == "price" else "10")
    facts = {place: D(number)} if place in ("cash", "need_amount") else {}
    row = cases.lot(1, 1, "1", "1")
    if place in ("quantity", "cost"):
        row = replace(row, **{place: D(number)})
    with pytest.raises(ValueError, match=r"than 1/\d+ can hold"):
        cases.book(
            securities=[security],
            models=[cases.model("0", (1, "1"))],
            accounts=[cases.account(**facts)],
            lots=[row],
        )
