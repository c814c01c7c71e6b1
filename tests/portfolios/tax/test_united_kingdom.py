"""The United Kingdom: the authority's examples (U1 to U4), pools, windows, the exempt amount."""

import random
from collections import Counter
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolios.domain.tax import get_regime
from portfolios.domain.tax.events import LedgerFault
from portfolios.domain.tax.regime import OpenLot, Rates, Segment, YearTax
from portfolios.domain.tax.united_kingdom import MatchRule, UnitedKingdom, match_disposals
from tests.portfolios.tax.ledgers import IRA, JOINT, Ledger, basis_of, draw_ledger, row_of

D = Decimal
UK = get_regime("UK")
RATES = Rates(short=D("0.24"), long=D("0.24"), deduction=D(0), carried=D("0.1"))
ISA = IRA


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def match(ledger):
    return UK.match(ledger.acquisitions, ledger.sales)


def disposals_of(ledger):
    return [
        (found.rule, found.quantity, found.proceeds, found.cost)
        for found in match_disposals(ledger.acquisitions, ledger.sales)[0]
    ]


# --- The tax authority's examples -------------------------------------------------------------


def test_u1_a_sale_bought_back_within_30_days_then_one_from_the_pool(ledger):
    lots = [
        ledger.buy("2006-04-15", 1000, 1300),
        ledger.buy("2006-08-04", 1000, 1450),
        ledger.buy("2007-01-19", 500, 950),
    ]
    for lot_id in lots[:2]:
        ledger.sell(lot_id, "2010-03-16", 1000, 3425, sale_id=1)
    lots.append(ledger.buy("2010-04-07", 2000, 6790))
    ledger.sell(lots[2], "2010-12-10", 500, 1750, sale_id=2)
    ledger.sell(lots[3], "2010-12-10", 1700, 5950, sale_id=2)
    assert disposals_of(ledger) == [
        (MatchRule.NEXT_30_DAYS, 2000, 6850, 6790),
        (MatchRule.POOL, 2200, 7700, 3256),
    ]
    view = match(ledger)
    assert sum(row.gain for row in view.realised if row.sale_id == 1) == 60
    assert sum(row.gain for row in view.realised if row.sale_id == 2) == 4444
    [piece] = view.lots[lots[3]].pieces
    assert (piece.quantity, piece.cost) == (300, 444)


def test_u2_a_sale_from_a_pool_of_two_purchases_and_rights(ledger):
    first = ledger.buy("2005-01-10", 10000, 2500)
    ledger.buy("2006-01-10", 10000, 2600)
    ledger.buy("2007-01-10", 4000, 1060)
    sold = ledger.sell(first, "2009-01-12", 7500, 3000)
    assert disposals_of(ledger) == [(MatchRule.POOL, 7500, 3000, 1925)]
    view = match(ledger)
    assert row_of(view, sold).gain == 1075
    pieces = [piece for lot in view.lots.values() for piece in lot.pieces]
    assert sum(piece.quantity for piece in pieces) == 16500
    assert sum(piece.cost for piece in pieces) == 4235


def test_u3_a_part_bought_back_is_matched_and_the_rest_comes_from_the_pool(ledger):
    old = ledger.buy("2010-05-04", 9500, 9500)
    ledger.sell(old, "2024-08-30", 4000, 6000)
    ledger.buy("2024-09-11", 500, 850)
    assert disposals_of(ledger) == [
        (MatchRule.NEXT_30_DAYS, 500, 750, 850),
        (MatchRule.POOL, 3500, 5250, 3500),
    ]
    assert [row.gain for row in match(ledger).realised] == [6000 - 850 - 3500]


@pytest.mark.parametrize(
    ("sold_day", "sold", "bought_day", "bought", "matched"),
    [
        ("2011-07-01", 1000, "2011-07-31", 1000, 1000),
        ("2009-02-28", 1000, "2009-03-31", 1000, 0),
        ("2011-07-01", 1700, "2011-07-04", 500, 500),
    ],
)
def test_u4_thirty_days_count_from_the_day_after_the_sale(
    ledger, sold_day, sold, bought_day, bought, matched
):
    ledger.sell(ledger.buy("2005-01-10", 2000, 4000), sold_day, sold, 3 * sold)
    ledger.buy(bought_day, bought, 2 * bought)
    found = {rule: quantity for rule, quantity, _proceeds, _cost in disposals_of(ledger)}
    assert found.get(MatchRule.NEXT_30_DAYS, 0) == matched
    assert found.get(MatchRule.POOL, 0) == sold - matched


# --- Corners ----------------------------------------------------------------------------------


def test_a_days_purchases_serve_that_days_sales_before_earlier_ones(ledger):
    old = ledger.buy("2020-01-10", 300, 300)
    ledger.sell(old, "2024-06-03", 100, 200)
    ledger.sell(old, "2024-06-10", 100, 200)
    ledger.buy("2024-06-10", 150, 450)
    assert disposals_of(ledger) == [
        (MatchRule.NEXT_30_DAYS, 50, 100, 150),
        (MatchRule.POOL, 50, 100, 50),
        (MatchRule.SAME_DAY, 100, 200, 300),
    ]


def test_all_accounts_of_a_person_are_one_pool_but_an_isa_is_outside(ledger):
    cheap, dear = ledger.buy("2020-01-10", 10, 100, JOINT), ledger.buy("2021-01-11", 10, 300, 2)
    inside = ledger.buy("2021-01-11", 10, 900, ISA)
    sold = ledger.sell(cheap, "2024-06-03", 10, 250)
    ledger.sell(inside, "2024-06-03", 5, 10)
    ledger.buy("2024-06-04", 10, 10, ISA)
    view = match(ledger)
    assert [row.sale_id for row in view.realised] == [sold]
    assert row_of(view, sold).gain == 50
    assert (basis_of(view, dear), view.lots[dear].pieces[0].adjustment) == (200, -100)
    assert (basis_of(view, inside), view.lots[inside].pieces[0].adjustment) == (450, 0)


def test_a_loss_from_the_pool_blocks_purchases_for_30_days(ledger):
    old = ledger.buy("2020-01-10", 10, 100)
    ledger.buy("2020-01-10", 10, 100, group="GILT")
    ledger.sell(old, "2024-06-03", 5, 20)
    ledger.sell(2, "2024-06-03", 5, 70)
    for day, blocked in [(2, {}), (3, {"VTI": date(2024, 7, 3)})]:
        found = UK.find_windows(ledger.acquisitions, ledger.sales, date(2024, 6, day))
        assert (found.buy_blocked, found.at_risk) == (blocked, {})
    late = UK.find_windows(ledger.acquisitions, ledger.sales, date(2024, 7, 4))
    assert late.buy_blocked == {}


def test_a_loss_against_shares_bought_back_already_blocks_nothing(ledger):
    ledger.sell(ledger.buy("2020-01-10", 10, 100), "2024-06-03", 5, 70)
    ledger.buy("2024-06-05", 5, 90)
    found = UK.find_windows(ledger.acquisitions, ledger.sales, date(2024, 6, 10))
    assert found.buy_blocked == {}
    assert match(ledger).realised[0].gain == -20


def test_segments_are_ordered_at_one_average_cost():
    lots = [
        OpenLot(2, D(10), D(300), date(2021, 1, 11)),
        OpenLot(1, D(30), D(100), date(2020, 1, 10)),
    ]
    assert UK.is_ordered
    assert UK.list_segments(lots=lots, day=date(2024, 6, 3)) == (
        Segment(1, D(30), D(10), is_long_term=False),
        Segment(2, D(10), D(10), is_long_term=False),
    )
    assert UK.list_segments(lots=[], day=date(2024, 6, 3)) == ()


@pytest.mark.parametrize(
    ("day", "first", "last"),
    [
        ("2024-04-05", "2023-04-06", "2024-04-05"),
        ("2024-04-06", "2024-04-06", "2025-04-05"),
        ("2025-01-01", "2024-04-06", "2025-04-05"),
    ],
)
def test_the_tax_year_starts_on_6_april(day, first, last):
    year = (date.fromisoformat(first), date.fromisoformat(last))
    assert UK.tax_year(date.fromisoformat(day)) == year


def test_there_are_no_terms():
    assert UK.long_term_date(date(2020, 1, 1)) is None
    assert not UK.is_long_term(acquired_date=date(2000, 1, 1), sold_date=date(2024, 1, 1))


@pytest.mark.parametrize(
    ("net", "carry", "taxable", "exempt", "carried_on"),
    [
        (10000, 0, 7000, 3000, 0),
        (2000, 500, 0, 2000, 500),  # what is exempt anyway uses up no carried loss
        (4000, 5000, 0, 3000, 4000),
        (10000, 5000, 2000, 3000, 0),
        (-700, 300, 0, 0, 1000),
    ],
)
def test_a_carried_loss_is_used_down_to_the_exempt_amount(net, carry, taxable, exempt, carried_on):
    year = UK.settle_year(
        short=D(net) + 1, long=D(-1), carry_short=D(carry), carry_long=D(0), rates=RATES
    )
    tax = RATES.short * taxable
    assert year == YearTax(D(taxable), D(0), D(exempt), D(carried_on), D(0), tax=tax)
    assert not UK.loss_cap


def test_a_negative_carry_is_refused():
    with pytest.raises(ValueError, match="zero or more"):
        UK.settle_year(short=D(0), long=D(0), carry_short=D(-1), carry_long=D(2), rates=RATES)


@given(st.decimals("-9000", "9000", places=2))
def test_the_value_of_a_year_follows_its_tax(net):
    year = UK.settle_year(short=net, long=D(0), carry_short=D(0), carry_long=D(0), rates=RATES)
    value = UK.tax_value(short=net, long=D(0), rates=RATES)
    assert value == year.tax - RATES.carried * year.carry_short
    more = UK.tax_value(short=net + D("0.01"), long=D(0), rates=RATES)
    if abs(net) > 1 and abs(net - 3000) > 1:
        slope = (more - value) / D("0.01")
        assert (slope, slope) in UK.marginal_rates(RATES)


def test_another_exempt_amount_is_another_regime():
    wide = UnitedKingdom(exempt_amount=D(6000))
    assert wide.tax_value(short=D(6000), long=D(0), rates=RATES) == 0


@settings(deadline=None)
@given(st.integers(0, 2**40))
def test_cost_is_conserved_and_every_share_sold_has_one(seed):
    ledger = draw_ledger(random.Random(seed).randint, accounts=(JOINT, ISA), is_fractional=True)
    view = match(ledger)
    disposals, pools = match_disposals(ledger.acquisitions, ledger.sales)
    taxable = [lot for lot in ledger.acquisitions if not lot.is_sheltered]
    sold = [sale for sale in ledger.sales if not sale.is_sheltered]
    gains = sum((row.gain for row in view.realised), D(0))
    bought = sum((lot.cost for lot in taxable), D(0))
    left = sum((cost for _quantity, cost in pools.values()), D(0))
    assert gains == sum((sale.proceeds for sale in sold), D(0)) - (bought - left)
    assert sum(found.quantity for found in disposals) == sum(sale.quantity for sale in sold)
    ids = {lot.lot_id for lot in taxable}
    open_cost = sum((basis_of(view, lot_id) for lot_id in view.lots if lot_id in ids), D(0))
    assert open_cost == left
    assert {i: ledger.left(i) for i in view.lots} == {
        lot.lot_id: ledger.left(lot.lot_id)
        for lot in ledger.acquisitions
        if ledger.left(lot.lot_id)
    }


def match_share_by_share(ledger):
    """Return the gain of each day and group, one share at a time, pools as exact fractions."""
    gains = Counter()
    for group in ("VTI", "AGG"):
        bought = [
            (lot.day, Fraction(lot.cost) / Fraction(lot.quantity))
            for lot in sorted(ledger.acquisitions, key=lambda lot: (lot.day, lot.lot_id))
            for _share in range(int(lot.quantity))
            if lot.group == group
        ]
        # Same-day purchases are one purchase: each share costs their average.
        same_day = {day: [cost for d, cost in bought if d == day] for day, _cost in bought}
        bought = [(day, sum(same_day[day]) / len(same_day[day])) for day, _cost in bought]
        sold = [
            (sale.day, Fraction(sale.proceeds) / Fraction(sale.quantity))
            for sale in sorted(ledger.sales, key=lambda sale: sale.day)
            for _share in range(int(sale.quantity))
            if sale.group == group
        ]
        for first, last in ((0, 0), (1, 30)):
            for share in list(sold):
                near = [b for b in bought if first <= (b[0] - share[0]).days <= last]
                if near:
                    bought.remove(near[0])
                    sold.remove(share)
                    gains[share[0], group] += share[1] - near[0][1]
        pool = []
        for day, price in sold:
            joining = [b for b in bought if b[0] <= day]
            bought = [b for b in bought if b[0] > day]
            pool += [cost for _day, cost in joining]
            average = sum(pool) / len(pool)
            pool = [average] * (len(pool) - 1)
            gains[day, group] += price - average
    return gains


@pytest.mark.parametrize("start", range(0, 1000, 250))
def test_match_equals_the_share_by_share_oracle(start):
    for seed in range(start, start + 250):
        ledger = draw_ledger(random.Random(seed).randint, accounts=(JOINT,))
        groups = {sale.sale_id: sale.group for sale in ledger.sales}
        found = Counter()
        for row in match(ledger).realised:
            found[row.day, groups[row.sale_id]] += Fraction(row.gain)
        wanted = match_share_by_share(ledger)
        assert found.keys() == wanted.keys(), f"seed {seed}"
        # Each disposal is rounded to the cent, and the pool carries on what that left.
        assert all(abs(found[key] - wanted[key]) < Fraction("0.05") for key in found), seed


def test_a_ledger_that_cannot_be_right_is_refused(ledger):
    ledger.buy("2024-01-02", 10, 100)
    with pytest.raises(LedgerFault, match="acquired twice"):
        UK.match(ledger.acquisitions * 2, [])
