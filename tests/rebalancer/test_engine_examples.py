"""The engine in worked examples: bands, cash flows, steps, extremes, and the choice of lots."""

from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from rebalancer.domain.kinds import BandLevel, BandMeasure, Destination, Mode, TradeReason
from rebalancer.engine.book import NO_SELL, LockRow
from rebalancer.engine.drift import measure_drift, measure_half_widths
from rebalancer.engine.targets import resolve_targets
from tests.rebalancer import cases
from tests.rebalancer.cases import make_book, pick_lots, solve

D = Decimal


# --- Bands ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measure", "target", "half"),
    [
        (BandMeasure.ABSOLUTE, 0.60, 0.05),
        (BandMeasure.RELATIVE, 0.60, 0.15),
        (BandMeasure.NARROWER, 0.60, 0.05),
        (BandMeasure.WIDER, 0.60, 0.15),
        (BandMeasure.ABSOLUTE, 0.08, 0.05),
        (BandMeasure.RELATIVE, 0.08, 0.02),
        (BandMeasure.NARROWER, 0.08, 0.02),
        (BandMeasure.WIDER, 0.08, 0.05),
        (BandMeasure.NARROWER, 0.01, 0.01),  # the floor
        (BandMeasure.RELATIVE, 0.01, 0.01),
        (BandMeasure.ABSOLUTE, 0.01, 0.05),
    ],
)
def test_band_widths(measure, target, half):
    terms = cases.policy(band_measure=measure, relative_band=D("0.25"), band_floor=D("0.01"))
    found = measure_half_widths(policy=terms, targets=np.array([target]))
    assert found[0] == pytest.approx(half)


def test_d1_five_twenty_five_is_breached_on_both_sides():
    terms = {"band_measure": BandMeasure.NARROWER, "relative_band": D("0.25")}
    book = make_book(["1", "1"], [".60", ".40"], ["66000", "34000"], terms=terms)
    drift = measure_drift(book, resolve_targets(book))
    rows = drift.by_security
    assert rows.breached[0].tolist() == [True, True, False]
    assert drift.drift_max[0] == pytest.approx(0.06)
    assert drift.drift_total[0] == pytest.approx(0.06)  # half of .06 + .06: the least turnover
    inside = make_book(["1", "1"], [".60", ".40"], ["65000", "35000"], terms=terms)
    assert not measure_drift(inside, resolve_targets(inside)).is_breached[0]  # exactly on the edge


@pytest.mark.parametrize(
    ("share", "trade"), [("61900", None), ("62100", "-100"), ("57900", "100"), ("62000", None)]
)
def test_d2_two_hundred_points_to_the_edge(share, trade):
    terms = {"absolute_band": D("0.02"), "destination": Destination.BAND_EDGE}
    held = [share, str(100_000 - D(share))]
    answer = solve(make_book(["1", "1"], [".60", ".40"], held, terms=terms))
    assert answer.drift.is_breached[0] == (trade is not None)
    expected = {} if trade is None else {"S1": D(trade), "S2": -D(trade)}
    assert {symbol: round(units, 4) for symbol, units in answer.trades.items()} == expected


@pytest.mark.parametrize(
    ("share", "trade"), [("61000", "-1000"), ("59900", None), ("39000", "1000"), ("40000", None)]
)
def test_d3_relative_bands_of_a_fifth(share, trade):
    terms = {
        "band_measure": BandMeasure.RELATIVE,
        "relative_band": D("0.20"),
        "destination": Destination.BAND_EDGE,
    }
    book = make_book(["1", "1"], [".50", ".50"], [share, str(100_000 - D(share))], terms=terms)
    answer = solve(book)
    assert answer.drift.is_breached[0] == (trade is not None)
    expected = {} if trade is None else {"S1": D(trade), "S2": -D(trade)}
    assert {symbol: round(units, 4) for symbol, units in answer.trades.items()} == expected


def test_to_the_edge_only_what_is_out_of_balance_trades_and_room_takes_the_rest():
    terms = {"absolute_band": D("0.05"), "destination": Destination.BAND_EDGE}
    held = ["47000", "28000", "25000"]
    book = make_book(["1", "1", "1"], [".40", ".30", ".30"], held, terms=terms)
    answer = solve(book)
    # 47 % is 2 points over 45 %: S2 (room 7) and S3 (room 10) and cash (room 5) share them.
    expected = {"S1": D(-2000), "S2": D(2000) * 7 / 22, "S3": D(2000) * 10 / 22}
    assert {k: round(v, 2) for k, v in answer.trades.items()} == {
        k: round(v, 2) for k, v in expected.items()
    }


def test_to_the_edge_what_has_no_target_leaves_and_never_gains():
    terms = {"destination": Destination.BAND_EDGE, "min_trade_amount": D(50)}
    book = make_book(["1", "1"], [".95", "0"], ["50000", "20000"], cash="30000", terms=terms)
    answer = solve(book)
    assert answer.trades["S2"] == -20_000
    # Within its band, and with money to be placed, it still gets none of it.
    held = ["42000", "40", "38000"]
    quiet = make_book(["1"] * 3, [".50", "0", ".45"], held, cash="20000", terms=terms)
    assert set(solve(quiet).trades) == {"S1", "S3"}


# --- Cash flows -----------------------------------------------------------------------------


def test_d4_a_deposit_buys_what_is_below_target():
    book = make_book(["1"] * 3, [".5", ".3", ".2"], ["6000", "2500", "1500"], cash="1000")
    trades = solve(book, mode=Mode.SPEND_CASH, is_flow=True).trades
    assert {k: round(v, 4) for k, v in trades.items()} == {"S2": D(500), "S3": D(500)}


def test_d5_a_withdrawal_sells_what_is_above_target():
    book = make_book(
        ["1"] * 3,
        [".5", ".3", ".2"],
        ["6000", "2500", "1500"],
        accounts=[cases.account(need_amount=D(1000), is_taxable=False)],
    )
    answer = solve(book, mode=Mode.SPEND_CASH, is_flow=True)
    assert {k: round(v, 4) for k, v in answer.trades.items()} == {"S1": D(-1000)}
    assert answer.plan.cash_after == 1000


def test_a_flow_sells_what_is_outside_the_model_first_and_never_buys_it():
    book = make_book(
        ["1"] * 3,
        [".5", ".5", "0"],
        ["5000", "5000", "600"],
        accounts=[cases.account(need_amount=D(500), is_taxable=False)],
        terms={"band_level": BandLevel.SECURITY},
    )
    answer = solve(book, mode=Mode.SPEND_CASH, is_flow=True)
    assert {k: round(v, 1) for k, v in answer.trades.items()} == {"S3": D(-500)}
    richer = make_book(["1"] * 3, [".5", ".5", "0"], ["5000", "5000", "600"], cash="1000")
    assert set(solve(richer, mode=Mode.SPEND_CASH, is_flow=True).trades) == {"S1", "S2"}


def test_a_deposit_inside_the_ordinary_band_does_not_lie_idle():
    book = make_book(["1", "1"], [".60", ".40"], ["60000", "40000"], cash="3000")
    targets = resolve_targets(book)
    assert not measure_drift(book, targets).is_breached[0]
    assert measure_drift(book, targets, is_flow=True).is_breached[0]
    answer = solve(book, is_flow=True)
    assert {k: round(v) for k, v in answer.trades.items()} == {"S1": 1800, "S2": 1200}


def test_a_need_inside_the_horizon_is_raised_to_the_cent_and_the_floor_stays():
    book = make_book(
        ["33.33", "77.77"],
        [".60", ".40"],
        ["60000", "40000"],
        accounts=[cases.account(cash="12.34", need_amount=D("5000.55"), is_taxable=False)],
        fine=False,
        lots=[cases.lot(1, 1, "1800", "1"), cases.lot(2, 2, "514", "1")],
        terms={"cash_floor_amount": D("250.00")},
    )
    answer = solve(book)
    assert answer.drift.is_cash_short[0]
    assert answer.plan.cash_after >= D("5250.55")
    assert answer.plan.cash_after < D("5250.55") + D("77.77") * 2
    assert answer.short_by == 0
    assert {trade.reason for trade in answer.plan.trades} == {TradeReason.RAISE_CASH}


def test_what_cannot_be_raised_is_said():
    book = make_book(
        ["10"],
        ["1"],
        ["1000"],
        accounts=[cases.account(need_amount=D(5000), is_taxable=False)],
        locks=[LockRow(1, 1, NO_SELL)],
    )
    answer = solve(book)
    assert (answer.trades, answer.short_by) == ({}, D(5000))


# --- Steps and small trades -----------------------------------------------------------------


def test_whole_shares_leave_less_than_a_share_in_cash():
    book = make_book(["333.33", "77.77"], [".5", ".5"], ["0", "0"], cash="10000", fine=False)
    answer = solve(book)
    assert all(units == units.to_integral_value() for units in answer.trades.values())
    assert 0 <= answer.plan.cash_after < D("333.33")


def test_fractions_leave_less_than_a_cent_or_two():
    book = make_book(["333.33", "77.77"], [".5", ".5"], ["0", "0"], cash="10000")
    assert 0 <= solve(book).plan.cash_after <= D("0.02")


def test_trades_below_the_smallest_are_left_but_a_full_exit_is_not():
    terms = {"min_trade_amount": D(500)}
    small = make_book(["10", "10"], [".5", ".5"], ["50200", "49800"], terms=terms)
    assert solve(small, mode=Mode.FULL).trades == {}
    rest = make_book(
        ["10", "10", "10"], [".5", ".496", "0"], ["50000", "49600", "400"], terms=terms
    )
    answer = solve(rest, mode=Mode.FULL)
    assert answer.trades == {"S3": D(-40)}
    assert answer.plan.trades[0].reason is TradeReason.NOT_IN_MODEL


def test_a_wanted_fraction_of_a_share_is_not_dragged_along():
    # Selling one share is right; selling the wanted .376 of a share with it is not.
    book = make_book(
        ["403.60", "35.20"],
        [".28", ".72"],
        ["0", "0"],
        fine=False,
        lots=[cases.lot(1, 1, "1.37552996", "100")],
        terms={"min_trade_amount": D(50)},
    )
    assert solve(book).trades["S1"] == -1
    # Unwanted crumbs do go along with the last share.
    gone = make_book(
        ["403.60", "35.20"],
        ["0", "1"],
        ["0", "0"],
        fine=False,
        lots=[cases.lot(1, 1, "1.37552996", "100")],
    )
    assert solve(gone).trades["S1"] == D("-1.37552996")


def test_a_step_worth_less_than_a_cent_still_raises_cash():
    book = make_book(
        ["0.50", "0.40"],
        [".5", ".5"],
        ["5000", "5000"],
        accounts=[cases.account(need_amount=D("1234.56"), is_taxable=False)],
        locks=[LockRow(1, 1, NO_SELL)],
        terms={"min_trade_amount": D(500)},
    )
    answer = solve(book)
    assert answer.plan.cash_after >= D("1234.56")
    assert answer.short_by == 0


# --- Extremes -------------------------------------------------------------------------------


def test_holdings_outside_the_model_are_sold_for_it():
    answer = solve(make_book(["10", "20"], ["0", "1"], ["10000", "0"]))
    assert answer.rounded == {"S1": -1000, "S2": 500}


def test_a_model_of_one_class_and_no_cash():
    book = make_book(["10"], ["1"], ["0"], cash="1000", terms={"band_level": BandLevel.ASSET_CLASS})
    assert solve(book).rounded == {"S1": 100}


def test_an_account_smaller_than_a_share_does_nothing():
    book = make_book(["1000", "2000"], [".5", ".5"], ["0", "0"], cash="999.99", fine=False)
    assert solve(book).trades == {}


def test_a_billion_ends_within_a_share_of_target():
    book = make_book(
        ["500000", "0.10"],
        [".5", ".5"],
        ["0", "0"],
        accounts=[cases.account(cash="1000000000.00", is_taxable=False)],
        fine=False,
    )
    answer = solve(book)
    assert answer.trades["S1"] == 1000
    # Floats decide: of five billion shares the last few are not told apart.
    assert answer.trades["S2"] == pytest.approx(5_000_000_000, abs=5)
    assert answer.plan.cash_after <= 1


@pytest.mark.parametrize("price", ["0.0001", "0.000001", "500000"])
def test_prices_from_a_fraction_of_a_cent_to_half_a_million(price):
    book = make_book([price, "10"], [".5", ".5"], ["0", "10000"], cash="10000", terms={})
    answer = solve(book)
    assert answer.rows_after()[0] == pytest.approx(0.5, abs=1e-5)


def test_more_shares_than_can_be_counted_are_not_bought():
    book = make_book(["0.000001", "10"], [".5", ".5"], ["0", "0"], cash="1000000.00")
    answer = solve(book)
    assert answer.trades["S2"] > 50_000
    assert 2e10 < answer.trades["S1"] < 3e10


# --- Lots -----------------------------------------------------------------------------------


def l1_book(**facts):
    rows = [  # symbol, quantity, unit cost, acquired
        (1, "50", "20", date(2020, 3, 2)),
        (2, "60", "58", date(2024, 9, 3)),
        (3, "40", "45", date(2024, 2, 1)),
        (4, "80", "52", date(2025, 3, 3)),
        (5, "30", "40", date(2025, 1, 15)),
    ]
    return cases.book(
        price_date=date(2025, 6, 30),
        securities=[cases.security(1, "S1", "A", "50", half_spread_bps=D(0))],
        models=[cases.model("0.5", (1, "0.5"))],
        accounts=[cases.account(**facts)],
        lots=[
            cases.lot(lot_id, 1, quantity, str(D(quantity) * D(cost)), acquired=acquired)
            for lot_id, quantity, cost, acquired in rows
        ],
    )


def shares(picks):
    return [(pick.lot_id, pick.units // 10**8) for pick in picks]


def test_l1_least_tax_takes_the_dearest_short_loss_first():
    book = l1_book()
    assert shares(pick_lots(book, 0, 0, 150 * 10**8)) == [(2, 60), (4, 80), (3, 10)]
    # Half the account is to be sold: 130 of 260 shares, which the table's order begins with.
    [trade] = solve(book).plan.trades
    assert [(lot.lot_id, lot.quantity, lot.gain, lot.tax) for lot in trade.lots] == [
        (2, 60, D("-480.00"), D("-168.00")),
        (4, 70, D("-140.00"), D("-49.00")),
    ]
    assert trade.tax == D("-217.00")


def test_l1_the_whole_table_in_exact_money():
    # Of 260 shares 150 leave when the target is 110 shares' worth.
    book = cases.rebuild(l1_book(), models=[cases.model("0.57692308", (1, "0.42307692"))])
    [trade] = solve(book).plan.trades
    assert trade.quantity == 150
    assert [(lot.lot_id, lot.gain, lot.is_long_term) for lot in trade.lots] == [
        (2, D("-480.00"), False),
        (4, D("-160.00"), False),
        (3, D("50.00"), True),
    ]
    assert (trade.gain(long_term=False), trade.gain(long_term=True)) == (D(-640), D(50))
    assert trade.tax == D("-216.50")


def test_without_taxes_the_oldest_lot_goes_first():
    book = l1_book(is_taxable=False)
    assert shares(pick_lots(book, 0, 0, 100 * 10**8)) == [(1, 50), (3, 40), (2, 10)]


def test_an_anniversary_across_a_leap_day_is_still_short_term():
    # 366 days after 1 March 2023: taxed at 35 %, so the lot with the larger old gain goes first.
    book = cases.book(
        price_date=date(2024, 3, 1),
        securities=[cases.security(1, "S1", "A", "50", half_spread_bps=D(0))],
        models=[cases.model("0.5", (1, "0.5"))],
        lots=[
            cases.lot(1, 1, "10", "400", acquired=date(2023, 3, 1)),
            cases.lot(2, 1, "10", "300", acquired=date(2020, 3, 2)),
        ],
    )
    assert shares(pick_lots(book, 0, 0, 10 * 10**8)) == [(2, 10)]


def test_d3_the_tolerance_band_is_half_as_wide_as_the_rebalance_band():
    """Daryanani (2008): 73 % of a target of 60 % may stay at 66 %, 27 % of one of 40 % at 36 %.

    Of two securities the narrower side decides; what is inside its band is left.
    """
    terms = {
        "band_measure": BandMeasure.RELATIVE,
        "relative_band": D("0.20"),
        "destination": Destination.BETWEEN,
        "destination_share": D("0.5"),
    }
    book = make_book(["1"] * 2, [".6", ".4"], ["73000", "27000"], terms=terms)
    answer = solve(book, mode=Mode.BAND_EDGE)
    assert answer.rows_after()[0] == pytest.approx(0.64, abs=1e-4)
    # There it stays: what is inside its band is not moved again.
    assert solve(cases.apply_plan(book, 0, answer.plan), mode=Mode.BAND_EDGE).trades == {}
    inside = make_book(["1"] * 2, [".6", ".4"], ["66500", "33500"], terms=terms)
    assert solve(inside, mode=Mode.BAND_EDGE).trades == {}
