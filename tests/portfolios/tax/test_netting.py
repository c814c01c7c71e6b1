"""Settling a United States tax year: the examples T1, and what netting must keep."""

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from portfolios.domain.tax import get_regime
from portfolios.domain.tax.regime import Rates, YearTax
from portfolios.domain.tax.united_states import UnitedStates

D = Decimal
US = get_regime("US")
RATES = Rates(short=D("0.35"), long=D("0.15"), deduction=D("0.32"), carried=D("0.12"))
gains = st.decimals("-20000", "20000", places=2)
carries = st.decimals("0", "20000", places=2)


def settle(short, long, carry_short=0, carry_long=0, regime=US):
    return regime.settle_year(
        short=D(short),
        long=D(long),
        carry_short=D(carry_short),
        carry_long=D(carry_long),
        rates=RATES,
    )


@pytest.mark.parametrize(
    ("year", "settled"),
    [
        ((5000, 8000), (5000, 8000, 0, 0, 0)),
        ((-4000, 10000), (0, 6000, 0, 0, 0)),
        ((6000, -2500), (3500, 0, 0, 0, 0)),
        ((-9000, 2000), (0, 0, 3000, 4000, 0)),
        ((1000, -9000), (0, 0, 3000, 0, 5000)),
        ((-2000, -6000), (0, 0, 3000, 0, 5000)),
        ((-10000, -5000, 1000, 2000), (0, 0, 3000, 8000, 7000)),
        ((4000, 3000, 10000, 0), (0, 0, 3000, 0, 0)),
        ((0, 0), (0, 0, 0, 0, 0)),
    ],
)
def test_t1_a_year_is_netted_deducted_and_carried_on(year, settled):
    short, long, deduction, *_carries = settled
    tax = RATES.short * short + RATES.long * long - RATES.deduction * deduction
    assert settle(*year) == YearTax(*(D(amount) for amount in settled), tax=tax)


def test_married_filing_separately_deducts_half():
    assert settle(-9000, 2000, regime=UnitedStates(loss_cap=D(1500))) == YearTax(
        D(0), D(0), D(1500), D(5500), D(0), tax=D(-480)
    )


@pytest.mark.parametrize("carry", [{"carry_short": -1}, {"carry_long": -1}])
def test_a_negative_carry_is_refused(carry):
    with pytest.raises(ValueError, match="zero or more"):
        settle(0, 0, **carry)


@given(gains, gains, carries, carries)
def test_nothing_is_lost_between_tax_deduction_and_carry(short, long, carry_short, carry_long):
    year = settle(short, long, carry_short, carry_long)
    kept = year.taxable_short + year.taxable_long - year.deduction
    carried = year.carry_short + year.carry_long
    assert kept - carried == short + long - carry_short - carry_long
    assert min(year.taxable_short, year.taxable_long, year.carry_short, year.carry_long) >= 0
    assert 0 <= year.deduction <= 3000
    # Never a gain taxed beside a loss kept, nor a loss carried on before the cap is used up.
    assert not (year.taxable_short + year.taxable_long and year.deduction + carried)
    assert year.deduction == 3000 or not carried


@given(gains, gains, carries, carries)
def test_the_value_of_a_year_is_its_tax_less_what_the_carry_is_worth(short, long, cs, cl):
    year = settle(short, long, cs, cl)
    value = US.tax_value(short=short - cs, long=long - cl, rates=RATES)
    assert value == year.tax - RATES.carried * (year.carry_short + year.carry_long)


@given(gains, gains)
def test_a_year_carried_into_an_empty_one_deducts_the_rest(short, long):
    first = settle(short, long)
    second = settle(0, 0, first.carry_short, first.carry_long)
    assert second.deduction == min(D(3000), first.carry_short + first.carry_long)
    assert second.carry_short <= first.carry_short
    assert second.carry_long <= first.carry_long


@given(gains, gains)
def test_the_next_cent_of_gain_meets_one_of_the_pairs_of_rates(short, long):
    cent = D("0.01")
    assume(all(abs(kink) > cent for kink in (short, long, short + long, short + long + 3000)))
    here = US.tax_value(short=short, long=long, rates=RATES)
    pair = (
        (US.tax_value(short=short + cent, long=long, rates=RATES) - here) / cent,
        (US.tax_value(short=short, long=long + cent, rates=RATES) - here) / cent,
    )
    assert pair in US.marginal_rates(RATES)


def test_there_are_five_pairs_each_once():
    assert US.marginal_rates(RATES) == (
        (D("0.35"), D("0.15")),
        (D("0.35"), D("0.35")),
        (D("0.15"), D("0.15")),
        (D("0.32"), D("0.32")),
        (D("0.12"), D("0.12")),
    )
    flat = Rates(*[D("0.2")] * 4)
    assert US.marginal_rates(flat) == ((D("0.2"), D("0.2")),)


@given(gains, gains, st.sampled_from([(D("0.01"), D(0)), (D(0), D("0.01")), (D(500), D(700))]))
def test_more_gain_never_costs_less(short, long, more):
    here = US.tax_value(short=short, long=long, rates=RATES)
    assert US.tax_value(short=short + more[0], long=long + more[1], rates=RATES) >= here
