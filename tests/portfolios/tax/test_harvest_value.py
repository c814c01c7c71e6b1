"""What a deferral, a harvest and a year's taxes are worth (T2 to T4), and when to harvest (E15)."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolios.domain.tax.harvest_value import (
    NEVER,
    HarvestCase,
    PairKind,
    compute_deferral_rate,
    compute_yearly_drag,
    harvest_threshold,
    value_harvest,
)

D = Decimal
EQUITY_VOLATILITY = D("0.16")
CASE = HarvestCase(
    day=date(2025, 5, 1),
    year_end=date(2025, 12, 31),
    round_trip_cost=D("0.0006"),
    amount=D(100000),
    rate_saved=D("0.20"),
    rate_long_term=D("0.10"),
    ticket_cost=D(1),
    minimum_benefit=D(10),
)


def threshold(volatility=EQUITY_VOLATILITY, **changes):
    return harvest_threshold(volatility=volatility, case=replace(CASE, **changes))


@pytest.mark.parametrize(
    ("years", "factor"),
    [(1, ".0476"), (5, ".2165"), (10, ".3861"), (20, ".6231"), (30, ".7686")],
)
def test_t2_share_of_a_tax_that_realising_now_costs(years, factor):
    rate = compute_deferral_rate(
        rate_now=D(1), rate_later=D(1), years=D(years), discount_rate=D("0.05")
    )
    assert round(rate, 4) == D(factor)


def test_a_gain_that_may_never_be_taxed_is_dearer_to_realise():
    options = {"rate_now": D("0.2"), "rate_later": D("0.2"), "years": D("2.5")}
    sure = compute_deferral_rate(**options, discount_rate=D("0.05"))
    unsure = compute_deferral_rate(**options, discount_rate=D("0.05"), chance_realised=D("0.5"))
    assert sure < unsure < D("0.2")


@pytest.mark.parametrize(
    ("now", "later", "years", "future", "present"),
    [
        (".35", ".15", 10, "4352.77", "2430.57"),
        (".15", ".15", 10, "1008.33", "563.05"),
        (".15", ".20", 2, "-351.68", "-312.99"),
        (".15", ".15", 30, "6047.95", "1053.01"),
    ],
)
def test_t3_a_harvest_may_add_or_destroy_value(now, later, years, future, present):
    value = value_harvest(
        loss=D(10000),
        rate_now=D(now),
        rate_later=D(later),
        years=D(years),
        growth_rate=D("0.06"),
    )
    assert (round(value.future, 2), round(value.present, 2)) == (D(future), D(present))


def test_t4_yearly_drag():
    drag = compute_yearly_drag(
        qualified_yield=D("0.02"),
        ordinary_yield=D("0.005"),
        realised_short=D(0),
        realised_long=D(0),
        rate_long=D("0.15"),
        rate_ordinary=D("0.35"),
    )
    assert drag == D("0.00475")


# --- When to harvest --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("volatility", "rate", "round_trip_bps", "optimum"),
    [
        (".16", ".20", 6, ".032"),
        (".16", ".20", 20, ".058"),
        (".16", ".08", 6, ".051"),
        (".23", ".20", 6, ".043"),
        (".23", ".20", 20, ".077"),
        (".05", ".20", 6, ".017"),
        (".05", ".20", 20, ".030"),
    ],
)
def test_e15_threshold_is_within_a_tenth_of_optimal_stopping(
    volatility, rate, round_trip_bps, optimum
):
    found = threshold(
        volatility=D(volatility),
        rate_saved=D(rate),
        round_trip_cost=D(round_trip_bps) / 10000,
        ticket_cost=D(0),
        minimum_benefit=D(0),
    )
    assert abs(found / D(optimum) - 1) < D("0.10")


@pytest.mark.parametrize(
    ("volatility", "kind", "rule"),
    [
        (".05", None, ".02"),
        (".16", None, ".048"),
        (".16", PairKind.EQUITY, ".05"),
        (".16", PairKind.BOND, ".02"),
    ],
)
def test_the_rule_of_thumb(volatility, kind, rule):
    assert harvest_threshold(volatility=D(volatility), kind=kind) == D(rule)


def test_the_threshold_falls_towards_the_end_of_the_tax_year():
    days = [date(2025, 5, 1), date(2025, 11, 1), date(2025, 11, 20), date(2025, 12, 31)]
    found = [threshold(day=day) for day in days]
    assert found == sorted(found, reverse=True)
    assert found[0] == found[1] > found[2] > found[3] == found[0] / 2


def test_the_threshold_falls_before_a_loss_turns_long_term():
    found = [threshold(days_to_long_term=days) for days in (None, 300, 45, 20, 1)]
    assert found[0] == found[1] == found[2] > found[3] > found[4] > found[0] / 2
    # Where the long-term rate is the same there is nothing to hurry for.
    assert threshold(days_to_long_term=1, rate_long_term=D("0.20")) == found[0]


def test_the_threshold_rises_with_volatility_and_cost_and_falls_with_the_rate():
    assert threshold(volatility=D("0.05")) < threshold() < threshold(volatility=D("0.23"))
    assert threshold() < threshold(round_trip_cost=D("0.002"))
    assert threshold() > threshold(rate_saved=D("0.30"))


def test_a_small_lot_must_pay_its_ticket_and_the_minimum_benefit():
    # Costs of 0.30 and 1, and 10 to gain, against 0.20 saved on each of 500.
    assert threshold(amount=D(500)) == D("0.113")
    assert threshold(amount=D(500)) > threshold(amount=D(1000)) > threshold()
    assert threshold(amount=D(500), minimum_benefit=D(20)) > threshold(amount=D(500))
    assert threshold(amount=D(500), ticket_cost=D(0)) < threshold(amount=D(500))


@given(
    st.decimals("0", "1", places=3),
    st.decimals("0", "0.05", places=4),
    st.decimals("1", "100000", places=2),
    st.integers(0, 364),
    st.none() | st.integers(0, 400),
)
def test_a_harvest_at_the_threshold_pays_all_that_it_costs(volatility, cost, amount, day, days):
    case = replace(
        CASE,
        round_trip_cost=cost,
        amount=amount,
        day=date.fromordinal(date(2025, 1, 1).toordinal() + day),
        days_to_long_term=days,
    )
    saved = harvest_threshold(volatility=volatility, case=case) * amount * case.rate_saved
    assert saved - cost * amount - case.ticket_cost > case.minimum_benefit - D("1e-9")


@pytest.mark.parametrize("changes", [{"rate_saved": D(0)}, {"amount": D(0)}])
def test_where_nothing_is_saved_nothing_is_harvested(changes):
    assert threshold(**changes) == NEVER


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"volatility": D("-0.1")}, "volatility is negative"),
        ({"round_trip_cost": D(-1)}, "zero or more"),
        ({"amount": D(-1)}, "zero or more"),
        ({"day": date(2026, 1, 1)}, "after the end of the year"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        threshold(**changes)
