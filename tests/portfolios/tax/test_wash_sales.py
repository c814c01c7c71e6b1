"""Wash sales in examples: those of the authorities (W1 to W9), and the corners between them."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from portfolios.domain.tax import get_regime
from portfolios.domain.tax.events import BasisPiece, LedgerFault
from portfolios.domain.tax.regime import is_loss_washed
from tests.portfolios.tax.ledgers import IRA, SPOUSE, Ledger, basis_of, row_of

D = Decimal
US = get_regime("US")


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def match(ledger):
    return US.match(ledger.acquisitions, ledger.sales)


# --- The authorities' examples ----------------------------------------------------------------


def test_w1_a_loss_is_added_to_the_basis_of_shares_bought_within_30_days(ledger):
    sold = ledger.sell(ledger.buy("2024-03-01", 100, 1000), "2024-06-03", 100, 750)
    bought = ledger.buy("2024-06-20", 100, 800)
    view = match(ledger)
    assert (row_of(view, sold).gain, row_of(view, sold).disallowed) == (0, 250)
    assert basis_of(view, bought) == 1050


def test_w2_fewer_shares_bought_than_sold_deny_their_part_of_the_loss(ledger):
    old = ledger.buy("2023-09-20", 100, 5000)
    fifty, twenty_five = (
        ledger.buy("2023-12-13", 50, 2750),
        ledger.buy("2023-12-20", 25, 1125),
    )
    sold = ledger.sell(old, "2024-01-03", 100, 4000)
    view = match(ledger)
    assert (row_of(view, sold).gain, row_of(view, sold).disallowed) == (-250, 750)
    assert (basis_of(view, fifty), basis_of(view, twenty_five)) == (3250, 1375)


def test_w3_more_shares_bought_than_sold_are_matched_earliest_first(ledger):
    sold = ledger.sell(ledger.buy("2023-09-16", 100, 2000), "2024-01-29", 100, 1000)
    bought = [ledger.buy(f"2024-02-0{day}", 50, 500) for day in (3, 4, 5, 6)]
    view = match(ledger)
    assert (row_of(view, sold).gain, row_of(view, sold).disallowed) == (0, 1000)
    assert [basis_of(view, lot_id) for lot_id in bought] == [1000, 1000, 500, 500]


def test_w4_a_washed_loss_does_not_reduce_gains_of_the_same_day(ledger):
    costs = (15800, 10000, 9500)
    lots = [ledger.buy(f"2023-0{n}-15", 100, cost) for n, cost in enumerate(costs, 1)]
    for lot_id in lots:
        ledger.sell(lot_id, "2023-12-27", 100, 12500, sale_id=9)
    bought = ledger.buy("2024-01-10", 250, 31250)
    view = match(ledger)
    assert [row_of(view, 9, lot_id).gain for lot_id in lots] == [0, 2500, 3000]
    assert [row_of(view, 9, lot_id).disallowed for lot_id in lots] == [3300, 0, 0]
    assert [(p.quantity, p.cost, p.adjustment) for p in view.lots[bought].pieces] == [
        (100, 15800, 3300),
        (150, 18750, 0),
    ]


@pytest.mark.parametrize(("price", "basis"), [(90, 110), (70, 90)])
def test_w5_basis_of_one_share_bought_back(ledger, price, basis):
    ledger.sell(ledger.buy("2023-01-03", 1, 100), "2024-05-01", 1, 80)
    bought = ledger.buy("2024-05-20", 1, price)
    assert basis_of(match(ledger), bought) == basis


@pytest.mark.parametrize(
    ("day", "denied"),
    [("2025-01-29", 0), ("2025-01-30", 40), ("2025-03-31", 40), ("2025-04-01", 0)],
)
def test_w6_the_window_is_30_days_each_way(ledger, day, denied):
    old = ledger.buy("2024-06-03", 10, 100)
    ledger.buy(day, 10, 60)
    sold = ledger.sell(old, "2025-03-01", 10, 60)
    assert row_of(match(ledger), sold).disallowed == denied


def test_w7_a_purchase_in_an_ira_loses_the_loss_for_ever(ledger):
    sold = ledger.sell(ledger.buy("2024-02-01", 100, 1000), "2024-06-03", 100, 600)
    bought = ledger.buy("2024-06-04", 100, 600, IRA)
    view = match(ledger)
    row = row_of(view, sold)
    assert (row.gain, row.disallowed, row.lost, row.is_lost_for_ever) == (0, 400, 400, True)
    assert view.lots[bought].pieces == (BasisPiece(D(100), D(600), date(2024, 6, 4), D(0)),)


def test_w8_the_days_the_old_shares_were_held_are_added_to_the_new_ones(ledger):
    ledger.sell(ledger.buy("2023-01-06", 1, 10), "2025-06-02", 1, 6)
    bought = ledger.buy("2025-06-03", 1, 6)
    assert match(ledger).lots[bought].pieces == (
        BasisPiece(D(1), D(10), holding_start=date(2023, 1, 7), adjustment=D(4)),
    )
    sold = ledger.sell(bought, "2025-07-10", 1, 11)
    assert row_of(match(ledger), sold).is_long_term
    assert row_of(match(ledger), sold).gain == 1


def test_w9_what_is_finally_sold_reports_its_economic_gain(ledger):
    first = ledger.buy("2024-01-02", 30, 300)
    second = ledger.buy("2024-01-20", 20, 180, SPOUSE)
    ledger.sell(first, "2024-02-01", 25, 200)
    third = ledger.buy("2024-02-15", 40, 280)
    ledger.sell(second, "2024-02-20", 20, 130)
    ledger.sell(third, "2024-03-01", 10, 60)
    for lot_id in (first, third):
        ledger.sell(lot_id, "2024-08-01", ledger.left(lot_id), 7 * ledger.left(lot_id))
    view = match(ledger)
    assert sum(row.disallowed for row in view.realised) > 0
    assert sum(row.gain for row in view.realised) == ledger.economic_gain()
    assert view.lots == {}


# --- Corners ----------------------------------------------------------------------------------


def test_the_unsold_rest_of_the_purchase_is_no_replacement(ledger):
    lot = ledger.buy("2024-06-03", 100, 1000)
    sold = ledger.sell(lot, "2024-06-10", 40, 300)
    assert row_of(match(ledger), sold).gain == -100


def test_shares_sold_on_the_day_or_before_are_no_replacement(ledger):
    old, young = ledger.buy("2024-01-02", 10, 100), ledger.buy("2024-06-03", 10, 90)
    sales = [ledger.sell(lot_id, "2024-06-10", 10, 50) for lot_id in (old, young)]
    assert [row_of(match(ledger), sale).gain for sale in sales] == [-50, -40]


def test_one_purchase_takes_up_one_loss_only(ledger):
    older, old = ledger.buy("2023-01-03", 10, 200), ledger.buy("2023-02-01", 10, 100)
    first = ledger.sell(older, "2024-06-03", 10, 80)
    second = ledger.sell(old, "2024-06-10", 10, 80)
    bought = ledger.buy("2024-06-20", 12, 96)
    view = match(ledger)
    assert (row_of(view, first).disallowed, row_of(view, second).disallowed) == (120, 4)
    assert basis_of(view, bought) == 96 + 120 + 4


def test_losses_of_one_day_are_taken_by_age_of_the_shares_not_by_number(ledger):
    young, old = ledger.buy("2023-02-01", 10, 100), ledger.buy("2023-01-03", 10, 200)
    sales = [ledger.sell(lot_id, "2024-06-03", 10, 80) for lot_id in (young, old)]
    ledger.buy("2024-06-10", 10, 80)
    assert [row_of(match(ledger), sale).disallowed for sale in sales] == [0, 120]


def test_a_chain_hands_the_loss_on(ledger):
    first = ledger.buy("2024-01-02", 10, 100)
    ledger.sell(first, "2024-03-01", 10, 80)
    second = ledger.buy("2024-03-10", 10, 80)
    ledger.sell(second, "2024-03-20", 10, 70)
    third = ledger.buy("2024-04-01", 10, 65)
    last = ledger.sell(third, "2024-09-02", 10, 95)
    view = match(ledger)
    assert [row.disallowed for row in view.realised] == [20, 30, 0]
    assert row_of(view, last).gain == 0
    assert sum(row.gain for row in view.realised) == ledger.economic_gain() == 0


def test_a_spouse_and_a_reinvested_dividend_wash_too(ledger):
    old = ledger.buy("2024-01-02", 10, 100)
    reinvested = ledger.buy("2024-05-20", "0.5", "4.50")
    spouses = ledger.buy("2024-06-20", 2, 16, SPOUSE)
    sold = ledger.sell(old, "2024-06-03", 10, 80)
    view = match(ledger)
    assert (row_of(view, sold).gain, row_of(view, sold).disallowed) == (-15, 5)
    assert (basis_of(view, reinvested), basis_of(view, spouses)) == (D("5.50"), 20)


def test_another_group_is_no_replacement(ledger):
    old = ledger.buy("2024-01-02", 10, 100)
    ledger.buy("2024-06-10", 10, 80, group="ITOT")
    sold = ledger.sell(old, "2024-06-03", 10, 80)
    assert row_of(match(ledger), sold).gain == -20


def test_sheltered_sales_report_nothing_and_deny_nothing(ledger):
    kept = ledger.buy("2024-01-02", 10, 100, IRA)
    ledger.sell(kept, "2024-06-03", 4, 8)
    ledger.buy("2024-06-10", 10, 80)
    view = match(ledger)
    assert view.realised == ()
    assert basis_of(view, kept) == 60


def test_a_partly_matched_lot_sells_its_older_shares_first_and_may_report_two_terms(ledger):
    old = ledger.buy("2022-01-03", 4, 80)
    ledger.sell(old, "2024-06-03", 4, 40)
    bought = ledger.buy("2024-06-10", 10, 100)
    sold = ledger.sell(bought, "2024-12-02", 6, 90)
    view = match(ledger)
    rows = {row.is_long_term: row.gain for row in view.realised if row.sale_id == sold}
    assert rows == {True: 60 - 40 - 40, False: 30 - 20}
    assert [(p.quantity, p.cost) for p in view.lots[bought].pieces] == [(4, 40)]


def test_a_leap_day_counts_as_the_day_it_is(ledger):
    sold = ledger.sell(ledger.buy("2023-01-03", 1, 100), "2024-01-30", 1, 80)
    inside = ledger.buy("2024-02-29", 1, 80)
    assert row_of(match(ledger), sold).disallowed == 20
    # The old share was held for 392 days; the leap day is one of the days since.
    [piece] = match(ledger).lots[inside].pieces
    assert (date(2024, 2, 29) - piece.holding_start).days == 392


def test_cents_that_do_not_divide_are_kept(ledger):
    old = ledger.buy("2024-01-02", 3, "10.00")
    sold = ledger.sell(old, "2024-06-03", 3, "9.99")
    bought = [ledger.buy(f"2024-06-1{n}", 1, "3.33") for n in range(3)]
    view = match(ledger)
    assert row_of(view, sold).disallowed == D("0.01")
    assert sum(basis_of(view, lot_id) for lot_id in bought) == D("10.00")


# --- Windows ----------------------------------------------------------------------------------


def windows(ledger, day):
    return US.find_windows(ledger.acquisitions, ledger.sales, date.fromisoformat(day))


def test_a_realised_loss_blocks_purchases_for_30_days(ledger):
    ledger.sell(ledger.buy("2024-01-02", 10, 100), "2024-06-03", 10, 80)
    assert windows(ledger, "2024-06-02").buy_blocked == {}
    for day in ("2024-06-03", "2024-07-03"):
        assert windows(ledger, day).buy_blocked == {"VTI": date(2024, 7, 3)}
    assert windows(ledger, "2024-07-04").buy_blocked == {}


def test_a_loss_denied_already_a_gain_and_a_sheltered_loss_block_nothing(ledger):
    ledger.sell(ledger.buy("2024-01-02", 10, 100), "2024-06-03", 10, 80)
    ledger.buy("2024-06-04", 10, 80)
    ledger.sell(ledger.buy("2024-01-02", 1, 10, group="AGG"), "2024-06-03", 1, 12)
    ledger.sell(ledger.buy("2024-01-02", 1, 10, IRA, group="BND"), "2024-06-03", 1, 8)
    assert windows(ledger, "2024-06-10").buy_blocked == {}


def test_recent_purchases_are_in_the_way_of_other_lots_but_not_of_themselves(ledger):
    old = ledger.buy("2024-01-02", 10, 100)
    recent = ledger.buy("2024-06-03", 5, 50, IRA)
    at_day_30, after = windows(ledger, "2024-07-03"), windows(ledger, "2024-07-04")
    assert at_day_30.at_risk == {"VTI": (recent,)}
    assert is_loss_washed(windows=at_day_30, group="VTI", lot_id=old)
    assert not is_loss_washed(windows=at_day_30, group="VTI", lot_id=recent)
    assert not is_loss_washed(windows=at_day_30, group="AGG", lot_id=99)
    assert after.at_risk == {}


def test_what_comes_after_the_day_asked_about_is_not_seen(ledger):
    old = ledger.buy("2024-01-02", 10, 100)
    ledger.buy("2024-06-20", 5, 50)
    ledger.sell(old, "2024-06-10", 10, 80)
    assert windows(ledger, "2024-06-05").buy_blocked == {}
    assert windows(ledger, "2024-06-05").at_risk == {}
    assert windows(ledger, "2024-06-10").buy_blocked == {"VTI": date(2024, 7, 10)}


# --- Ledgers that cannot be right -------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lot_id": 7}, "never acquired"),
        ({"quantity": D(11)}, "more was sold"),
        ({"quantity": D(0)}, "no positive quantity"),
        ({"quantity": D("NaN")}, "no positive quantity"),
        ({"proceeds": D("NaN")}, "no number"),
        ({"cost": D("Infinity")}, "no number"),
        ({"proceeds": D("80.005")}, "whole cents"),
        ({"group": "AGG"}, "the lot is VTI"),
        ({"acquired_day": date(2024, 1, 3)}, "the lot is VTI of 2024-01-02"),
        ({"is_sheltered": True}, "kind of account"),
        ({"day": date(2024, 1, 1)}, "before it was acquired"),
        ({"cost": D(101)}, "do not add up"),
        ({"cost": D(99)}, "do not add up"),
    ],
)
def test_a_sale_that_contradicts_its_lot_is_refused(ledger, change, message):
    ledger.sell(ledger.buy("2024-01-02", 10, 100), "2024-06-03", 10, 80)
    ledger.sales[0] = replace(ledger.sales[0], **change)
    with pytest.raises(LedgerFault, match=message):
        match(ledger)


@pytest.mark.parametrize("change", [{"quantity": D(-1)}, {"cost": D(-1)}, {"cost": D("NaN")}])
def test_a_purchase_that_cannot_be_is_refused(ledger, change):
    ledger.buy("2024-01-02", 10, 100)
    ledger.acquisitions[0] = replace(ledger.acquisitions[0], **change)
    with pytest.raises(LedgerFault, match="lot 1"):
        match(ledger)


def test_a_lot_is_acquired_once(ledger):
    ledger.buy("2024-01-02", 10, 100)
    with pytest.raises(LedgerFault, match="acquired twice"):
        US.match(ledger.acquisitions * 2, [])


def test_an_empty_ledger_reports_nothing():
    view = US.match([], [])
    assert (view.realised, view.lots) == ((), {})
