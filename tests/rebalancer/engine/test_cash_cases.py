"""The twelve ways in which cash breaks rebalancers, each answered to the cent."""

from decimal import Decimal

import pytest

from portfolios.domain.kinds import Side
from rebalancer.domain.kinds import Mode
from rebalancer.engine.answer import Answer
from rebalancer.engine.answering import solve_household
from tests.rebalancer.engine import cash_cases

D = Decimal


def solve(book, mode: Mode | None = None) -> Answer:
    return solve_household(book, 0, mode=mode)


def list_amounts(answer: Answer) -> list[tuple[int, str, str, str]]:
    """Return (account, symbol, side, amount) of every trade."""
    return [
        (account, trade.security.symbol, trade.side.value, str(trade.amount))
        for account, plan in answer.plans.items()
        for trade in plan.trades
    ]


def list_cash(answer: Answer) -> list[Decimal]:
    return [plan.cash_after for plan in answer.plans.values()]


def test_a_deposit_inside_the_band_is_spent_to_the_last_cent_and_nothing_is_sold():
    answer = solve(cash_cases.deposit_inside_the_band(), Mode.SPEND_CASH)
    assert list_amounts(answer) == [(0, "BOND", "BUY", "500.00"), (0, "STOCK", "BUY", "500.00")]
    assert list_cash(answer) == [D("0.00")]


def test_a_deposit_beside_drift_goes_to_what_is_short_and_sells_nothing():
    answer = solve(cash_cases.deposit_beside_drift(), Mode.SPEND_CASH)
    assert list_amounts(answer) == [(0, "S2", "BUY", "500.00"), (0, "S3", "BUY", "500.00")]
    assert list_cash(answer) == [D("0.00")]


def test_cash_beyond_its_target_is_invested_and_its_target_stays():
    answer = solve(cash_cases.cash_outside_the_target())
    assert list_amounts(answer) == [(0, "BOND", "BUY", "4900.00"), (0, "STOCK", "BUY", "4900.00")]
    assert list_cash(answer) == [D("200.00")]


def test_buys_wait_for_money_that_limited_sells_do_not_bring():
    answer = solve(cash_cases.buys_after_limited_sells())
    assert list_amounts(answer) == [(0, "BOND", "BUY", "100.00")]
    assert list_cash(answer) == [D("5.00")]


def test_a_percentage_of_a_tiny_account_is_less_than_a_share_and_is_kept():
    answer = solve(cash_cases.buffer_of_a_tiny_account())
    assert [row[2:] for row in list_amounts(answer)] == [("BUY", "10.00")]
    assert list_cash(answer) == [D("1.07")]


def test_a_dividend_reinvested_today_keeps_the_loss_from_being_taken():
    answer = solve(cash_cases.dividend_of_today_reinvested())
    assert list_amounts(answer) == []
    assert list_cash(answer) == [D("0")]


def test_a_dividend_too_small_for_a_trade_stays_cash():
    answer = solve(cash_cases.dividend_in_cash_today())
    assert list_amounts(answer) == []
    assert list_cash(answer) == [D("12.34")]


def test_the_spread_is_paid_from_the_cash_that_buys():
    """A hundred shares would cost 1,003.00; ninety-nine cost 992.97."""
    answer = solve(cash_cases.spread_on_the_last_cent())
    assert list_amounts(answer) == [(0, "STOCK", "BUY", "992.97")]
    assert list_cash(answer) == [D("7.03")]


def test_a_withdrawal_raises_its_own_commissions():
    """Fifty shares bring 500 less 9.90: one more must go."""
    answer = solve(cash_cases.commission_of_a_withdrawal())
    assert sum(D(row[3]) for row in list_amounts(answer)) == D("510.00")
    assert list_cash(answer) == [D("500.10")]
    assert answer.conflict == ""


def test_a_need_beyond_the_account_sells_all_and_says_how_much_is_missing():
    answer = solve(cash_cases.need_beyond_the_account())
    assert {row[2:] for row in list_amounts(answer)} == {("SELL", "5000.00")}
    assert list_cash(answer) == [D("10000.01")]
    assert list(answer.short_by.values()) == [D("14999.99")]
    assert "25,000.00 in cash" in answer.conflict


def test_an_overdrawn_account_sells_until_it_is_not():
    answer = solve(cash_cases.overdrawn_account())
    assert [row[1:] for row in list_amounts(answer)] == [
        ("BOND", "SELL", "80.00"),
        ("STOCK", "SELL", "80.00"),
    ]
    assert list_cash(answer) == [D("5.00")]


def test_cash_of_one_account_never_buys_in_another():
    answer = solve(cash_cases.cash_of_the_other_account(), Mode.SPEND_CASH)
    assert list_amounts(answer) == [(0, "BOND", "BUY", "5000.00")]
    assert list_cash(answer) == [D("0.00"), D("0")]


def test_what_an_exclusion_brings_is_spent_in_the_same_plan_sells_first():
    answer = solve(cash_cases.proceeds_of_an_exclusion(), Mode.FULL)
    assert list_amounts(answer) == [(0, "BOND", "SELL", "3000.00"), (0, "STOCK", "BUY", "2990.00")]
    assert list_cash(answer) == [D("0.10")]


@pytest.mark.parametrize("mode", [None, *Mode])
@pytest.mark.parametrize(
    "name",
    [
        name
        for name in dir(cash_cases)
        if "_" in name.strip("_")
        and name.islower()
        and getattr(getattr(cash_cases, name), "__module__", "") == cash_cases.__name__
        and not name.startswith("_")
    ],
)
def test_no_mode_overdraws_an_account_or_buys_with_cash_that_is_needed(name, mode):
    answer = solve(getattr(cash_cases, name)(), mode)
    for account, plan in answer.plans.items():
        if name != "overdrawn_account":
            assert plan.cash_after >= 0
        if any(trade.side is Side.BUY for trade in plan.trades):
            assert answer.short_by[account] == 0
