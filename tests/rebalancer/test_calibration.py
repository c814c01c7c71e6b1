"""What executions tell of spread and impact: robust, drawn to what was stated, bounded."""

from decimal import Decimal

import pytest

from rebalancer.domain.calibration import Sample, estimate_costs, shrink

D = Decimal


def sample(cost, scale=None):
    return Sample(D(str(cost)), None if scale is None else D(str(scale)))


def test_without_samples_it_is_what_was_stated():
    found = estimate_costs([], stated_half_spread_bps=D("2.5"))
    assert (found.half_spread_bps, found.coefficient) == (D("2.5"), 1)
    assert found.spread_sample_count == found.impact_sample_count == 0


def test_the_median_is_drawn_to_the_stated_as_if_that_were_ten_samples():
    # (10 x 2 + 30 x 6) / 40
    found = estimate_costs([sample(6)] * 30, stated_half_spread_bps=D(2))
    assert (found.half_spread_bps, found.spread_sample_count) == (D(5), 30)


def test_many_blocks_of_a_known_market_give_it_back():
    # h = 3 and Y = 1.4: small blocks are freed of the impact that was believed, Y = 1.
    small = [sample(3 + 1.4 * s, s) for s in (0.01, 0.02, 0.05) * 300]
    large = [sample(3 + 1.4 * s, s) for s in (20, 50, 90) * 300]
    found = estimate_costs([*small, *large], stated_half_spread_bps=D(2))
    assert found.half_spread_bps == pytest.approx(D(3), abs=D("0.05"))
    assert found.coefficient == pytest.approx(D("1.4"), abs=D("0.01"))
    assert (found.spread_sample_count, found.impact_sample_count) == (900, 900)


def test_a_few_absurd_fills_change_little():
    plain = [sample(4 + n % 3) for n in range(99)]
    odd = [sample(90_000) for _ in range(9)]
    before, after = (
        estimate_costs(seen, stated_half_spread_bps=D(2)).half_spread_bps
        for seen in (plain, [*plain, *odd])
    )
    assert abs(after - before) < 1


def test_an_estimate_is_never_below_zero_nor_beyond_belief():
    assert estimate_costs([sample(-50)] * 90, stated_half_spread_bps=D(2)).half_spread_bps == 0
    assert estimate_costs([sample("9e9")] * 90, stated_half_spread_bps=D(2)).half_spread_bps == 1000
    found = estimate_costs([sample(900, 3)] * 90, stated_half_spread_bps=D(2))
    assert found.coefficient == 10


def test_where_the_stated_spread_is_zero_large_blocks_tell_impact():
    found = estimate_costs([sample(30, 20)] * 40, stated_half_spread_bps=D(0))
    assert found.coefficient == D("1.4")  # (10 + 40 x 1.5) / 50
    assert found.half_spread_bps == 0


def test_shrinking_nothing_changes_nothing():
    assert shrink([], before=D(7), most=D(5)) == 7
