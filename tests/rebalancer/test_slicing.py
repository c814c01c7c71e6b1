"""Slices add up, keep to whole share steps, and follow the clock, the volume or the schedule."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer.domain.impact import build_terms
from rebalancer.domain.kinds import SliceStrategy
from rebalancer.domain.slicing import SlicingTerms, measure_usual_volume, plan_slices

START = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
END = START + timedelta(hours=6, minutes=30)
IMPACT = build_terms(price=50, half_spread_bps=5, daily_volume=1e6, daily_volatility=0.02)
D = Decimal
SPREAD_OUT = [SliceStrategy.TWAP, SliceStrategy.VWAP, SliceStrategy.SCHEDULE]


def plan(quantity, strategy, *, step="1", **terms):
    return plan_slices(
        quantity=D(quantity),
        share_step=D(step),
        strategy=strategy,
        start=START,
        end=END,
        terms=SlicingTerms(impact=IMPACT, **terms),
    )


def test_at_once_is_one_slice_now():
    [only] = plan("12345", SliceStrategy.AT_ONCE)
    assert (only.quantity, only.due_at) == (D(12345), START)


def test_twap_is_even_to_a_share_step():
    parts = [one.quantity for one in plan("1003", SliceStrategy.TWAP)]
    assert len(parts) == 26
    assert set(parts) == {D(38), D(39)}


def test_vwap_trades_more_at_both_ends():
    parts = [one.quantity for one in plan("100000", SliceStrategy.VWAP)]
    assert parts[0] > 2 * parts[12]
    assert parts[-1] > 2 * parts[12]
    assert abs(parts[0] - parts[-1]) <= 1


def test_the_more_averse_to_risk_the_sooner():
    calm, hurried = (
        plan("100000", SliceStrategy.SCHEDULE, risk_aversion=aversion) for aversion in (0.0, 1e-4)
    )
    assert hurried[0].quantity > 2 * calm[0].quantity
    assert {one.quantity for one in calm} <= {D(3846), D(3847)}


@given(
    st.integers(1, 10**6),
    st.sampled_from(SPREAD_OUT),
    st.sampled_from(["1", "10", "0.001"]),
    st.floats(0, 1e-3),
)
def test_slices_add_up_in_whole_steps_and_in_order(steps, strategy, step, aversion):
    quantity = steps * D(step)
    plans = plan(str(quantity), strategy, step=step, risk_aversion=aversion)
    assert sum(one.quantity for one in plans) == quantity
    assert all(one.quantity > 0 and one.quantity % D(step) == 0 for one in plans)
    assert [one.due_at for one in plans] == sorted(one.due_at for one in plans)
    assert plans[0].due_at >= START
    assert plans[-1].due_at < END


@given(st.integers(1, 400_000), st.sampled_from(SPREAD_OUT), st.sampled_from(["0.01", "0.05"]))
def test_no_slice_takes_more_than_its_part_of_the_volume(quantity, strategy, most):
    terms = {"daily_volume": D(1_000_000), "participation_max": D(most)}
    plans = plan(str(quantity), strategy, **terms)
    for one in plans:
        index = round((one.due_at - START) / (END - START) * 26)
        volume = measure_usual_volume((index + 1) / 26) - measure_usual_volume(index / 26)
        assert one.quantity <= D(most) * 1_000_000 * D(repr(volume))
    total = sum(one.quantity for one in plans)
    assert total <= quantity
    if strategy is SliceStrategy.VWAP and quantity <= D(most) * 1_000_000 * D("0.999"):
        assert total >= quantity - 26  # what caps cut, by rounding, once in an interval


def test_what_an_interval_cannot_take_rolls_over():
    capped = {"daily_volume": D(1_000_000), "participation_max": D("0.05")}
    plans = plan("45000", SliceStrategy.SCHEDULE, risk_aversion=1e-3, **capped)
    assert sum(one.quantity for one in plans) == 45000
    assert plans[0].quantity < 45000 * D("0.2")


def test_a_short_session_is_one_slice():
    late = END - timedelta(minutes=20)
    [only] = plan_slices(
        quantity=D(500), share_step=D(1), strategy=SliceStrategy.TWAP, start=late, end=END
    )
    assert only.quantity == 500


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="in steps of"):
        plan("0", SliceStrategy.TWAP)
    with pytest.raises(ValueError, match="needs the security's spread"):
        plan_slices(
            quantity=D(1), share_step=D(1), strategy=SliceStrategy.SCHEDULE, start=START, end=END
        )
    with pytest.raises(ValueError, match="never goes back"):
        plan("100", SliceStrategy.VWAP, volume_curve=lambda elapsed: 1 - elapsed)


def test_the_usual_curve_is_a_share_of_the_whole():
    assert measure_usual_volume(0) == 0
    assert measure_usual_volume(0.5) == pytest.approx(0.5)
    assert measure_usual_volume(1) == pytest.approx(1)
