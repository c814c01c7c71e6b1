"""Impact models against the numbers in print, and the schedule against a numerical minimum."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from rebalancer.domain.impact import (
    ImpactTerms,
    build_terms,
    estimate_cost_bps,
    estimate_impact_bps,
    measure_schedule,
    plan_holdings,
)

# Almgren and Chriss (2000), table 1: a million shares of 50 over five days.
TERMS = build_terms(price=50, half_spread_bps=12.5, daily_volume=5e6, daily_volatility=0.95 / 50)
BLOCK = {"quantity": 1e6, "days": 5}


def test_the_rule_of_thumb_gives_the_terms_in_print():
    assert TERMS.sigma == pytest.approx(0.95)
    assert TERMS.half_spread == pytest.approx(0.0625)
    assert TERMS.permanent == pytest.approx(2.5e-7)
    assert TERMS.temporary == pytest.approx(2.5e-6)


@pytest.mark.parametrize(
    ("risk_aversion", "holdings", "expected", "deviation"),
    [
        (1e-6, [541_956, 289_854, 147_897, 62_142, 0], 911_227, 603_431),
        (0, [800_000, 600_000, 400_000, 200_000, 0], 662_500, 1_040_673),
        (2e-6, [428_599, 182_933, 76_296, 27_643, 0], 1_140_715, 449_368),
    ],
)
def test_schedules_in_print(risk_aversion, holdings, expected, deviation):
    found = plan_holdings(terms=TERMS, count=5, risk_aversion=risk_aversion, **BLOCK)
    assert found == pytest.approx(holdings, abs=1)
    cost, variance = measure_schedule(terms=TERMS, holdings=found, **BLOCK)
    assert cost == pytest.approx(expected, abs=1)
    assert math.sqrt(variance) == pytest.approx(deviation, abs=1)


def test_great_urgency_overflows_nothing():
    found = plan_holdings(terms=TERMS, count=5, risk_aversion=1e-5, **BLOCK)
    assert found == pytest.approx([177_868, 31_636, 5_622, 969, 0], abs=1)
    steep = plan_holdings(terms=TERMS, count=5, risk_aversion=1e6, **BLOCK)
    assert all(0 <= left < 1e-3 for left in steep)


def test_a_single_block_costs_what_is_in_print():
    cost, _variance = measure_schedule(terms=TERMS, holdings=[0, 0, 0, 0, 0], **BLOCK)
    assert cost == pytest.approx(2_562_500, abs=1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_schedule_beats_the_closed_form(seed):
    dice = random.Random(seed)
    terms = ImpactTerms(
        sigma=dice.uniform(0.1, 3),
        half_spread=dice.uniform(0.001, 0.1),
        permanent=dice.uniform(0, 3e-7),
        temporary=dice.uniform(1e-6, 5e-6),
    )
    quantity, days, count = 10 ** dice.uniform(3, 6), dice.uniform(0.5, 5), dice.randint(2, 8)
    aversion = 10 ** dice.uniform(-8, -5)

    def weigh(holdings):
        cost, variance = measure_schedule(
            terms=terms, holdings=[*holdings, 0.0], quantity=quantity, days=days
        )
        return (cost + aversion * variance) / quantity

    closed = plan_holdings(
        terms=terms, quantity=quantity, days=days, count=count, risk_aversion=aversion
    )
    even = np.linspace(quantity, 0, count + 1)[1:-1]
    found = minimize(lambda share: weigh(share * quantity), even / quantity, method="SLSQP",
                     options={"ftol": 1e-14, "maxiter": 500})  # fmt: skip
    assert weigh(closed[:-1]) <= found.fun + 1e-9 * abs(found.fun)
    assert closed[:-1] == pytest.approx(list(found.x * quantity), abs=2e-3 * quantity)


@pytest.mark.parametrize(("share", "bps"), [(0.01, 17.0), (0.10, 49.43)])
def test_the_square_root_law_in_print(share, bps):
    found = estimate_cost_bps(
        half_spread_bps=2, quantity=share * 1e6, daily_volume=1e6, daily_volatility=0.015
    )
    assert found == pytest.approx(bps, abs=0.01)


def test_a_million_in_twenty_costs_what_is_in_print():
    bps = estimate_cost_bps(
        half_spread_bps=0, quantity=1e6, daily_volume=20e6, daily_volatility=0.015
    )
    assert bps / 1e4 * 1e6 == pytest.approx(3354, abs=1)


@pytest.mark.parametrize(
    ("volatility", "turnover", "permanent", "costs"),
    [
        (0.0157, 1728 / 6.561, 19.86, {0.1: 32.2, 0.2: 24.6, 0.5: 18.4}),
        (0.0226, 168 / 1.929, 21.68, {0.1: 42.9, 0.2: 32.0, 0.5: 23.1}),
    ],
)
def test_impact_of_two_shares_in_print(volatility, turnover, permanent, costs):
    for days, cost in costs.items():
        found = estimate_impact_bps(
            days=days, share_of_volume=0.1, daily_volatility=volatility, turnover=turnover
        )
        assert found == pytest.approx((permanent, cost), abs=0.06)


def test_without_volume_the_half_spread_is_all_that_is_known():
    known = {"half_spread_bps": 3.5, "quantity": 100}
    assert estimate_cost_bps(**known, daily_volume=None, daily_volatility=0.01) == 3.5
    assert estimate_cost_bps(**known, daily_volume=1e6, daily_volatility=None) == 3.5


@pytest.mark.parametrize(
    "wrong", [{"quantity": -1}, {"daily_volume": 0}, {"daily_volatility": math.nan},
              {"half_spread_bps": math.inf}],
)  # fmt: skip
def test_nonsense_is_refused(wrong):
    facts = {"half_spread_bps": 2, "quantity": 1, "daily_volume": 5, "daily_volatility": 0.1}
    with pytest.raises(ValueError, match="no cost"):
        estimate_cost_bps(**{**facts, **wrong})


def test_terms_and_schedules_refuse_nonsense():
    with pytest.raises(ValueError, match="above zero"):
        build_terms(price=0, half_spread_bps=1, daily_volume=1, daily_volatility=1)
    with pytest.raises(ValueError, match="no schedule"):
        plan_holdings(terms=TERMS, quantity=0, days=1, count=1, risk_aversion=0)
    with pytest.raises(ValueError, match="use more of them"):
        plan_holdings(terms=TERMS, quantity=1e6, days=200, count=5, risk_aversion=1e-6)
