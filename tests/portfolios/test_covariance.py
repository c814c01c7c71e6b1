"""Covariance and volatility from daily returns: known answers, and risk that is never negative."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolios.analytics.covariance import (
    DAYS_LEAST,
    estimate_covariance,
    forecast_variance,
    measure_volatility,
    shrink_covariance,
)

SAMPLE = np.array(
    [
        [0.012, 0.021, -0.004],
        [0.03, 0.035, 0.006],
        [-0.02, -0.024, 0.004],
        [0.004, 0.001, -0.006],
        [-0.011, -0.02, 0.001],
        [0.022, 0.03, -0.002],
        [-0.014, -0.012, 0.003],
        [0.006, 0.01, -0.001],
    ]
)


def draw_returns(seed, days=120, count=4):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.01, (days, 1)) + rng.normal(0, 0.005, (days, count))


def test_the_shrinkage_of_a_known_sample():
    shrunk, shrinkage = shrink_covariance(SAMPLE)
    assert shrinkage == pytest.approx(0.12736346, abs=5e-9)
    plain = np.cov(SAMPLE.T, ddof=0)
    equal = np.trace(plain) / 3 * np.eye(3)
    assert shrunk == pytest.approx((1 - shrinkage) * plain + shrinkage * equal)
    yearly = estimate_covariance(SAMPLE, days_least=8)
    assert yearly == pytest.approx(252 * shrunk)


def test_the_formula_written_out_day_by_day():
    returns = draw_returns(1, days=40)
    centered = returns - returns.mean(axis=0)
    days, count = centered.shape
    sample = sum(np.outer(row, row) for row in centered) / days
    variance = np.trace(sample) / count
    far = np.sum((sample - variance * np.eye(count)) ** 2)
    noise = sum(np.sum((np.outer(row, row) - sample) ** 2) for row in centered) / days**2
    assert shrink_covariance(returns)[1] == pytest.approx(min(noise, far) / far)


def test_much_history_needs_little_shrinkage_and_little_history_much():
    long, short = draw_returns(2, days=5000), draw_returns(2, days=30)
    assert shrink_covariance(long)[1] < 0.01 < shrink_covariance(short)[1]
    assert estimate_covariance(long) == pytest.approx(252 * np.cov(long.T), rel=0.02, abs=1e-4)


def test_days_that_miss_a_return_count_for_nobody():
    returns = draw_returns(3)
    holes = returns.copy()
    holes[5, 0] = holes[17, 2] = holes[18, :] = np.nan
    kept = np.delete(returns, [5, 17, 18], axis=0)
    assert estimate_covariance(holes) == pytest.approx(estimate_covariance(kept), rel=1e-14)


def test_too_few_common_days_are_refused_with_the_column_to_blame():
    returns = draw_returns(4)
    returns[: 120 - DAYS_LEAST + 1, 2] = np.nan
    with pytest.raises(ValueError, match=f"only {DAYS_LEAST - 1} of 120 days .* column 2"):
        estimate_covariance(returns)
    with pytest.raises(ValueError, match="only 0 of 0 days"):
        estimate_covariance(np.empty((0, 2)))


def test_an_infinite_return_is_refused_by_place():
    returns = draw_returns(5)
    returns[7, 1] = np.inf
    for refused in (estimate_covariance, measure_volatility):
        with pytest.raises(ValueError, match="column 1 on day 7 is infinite"):
            refused(returns)
    with pytest.raises(ValueError, match="1-dimensional"):
        estimate_covariance(np.zeros(100))


@settings(max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    days=st.integers(2, 60),
    count=st.integers(1, 12),
    scale=st.sampled_from([1e-9, 1e-3, 1.0, 1e6]),
    hole_share=st.sampled_from([0.0, 0.02]),
    is_copied=st.booleans(),
)
def test_no_portfolio_ever_seems_to_have_negative_risk(
    seed, days, count, scale, hole_share, is_copied
):
    rng = np.random.default_rng(seed)
    returns = rng.standard_t(3, (days, count)) * scale
    if is_copied:
        returns[:] = returns[:, [0]]
    returns[rng.random(returns.shape) < hole_share] = np.nan
    if (~np.isnan(returns).any(axis=1)).sum() < 2:
        return
    covariance = estimate_covariance(returns, days_least=2)
    assert (covariance == covariance.T).all()
    eigenvalues = np.linalg.eigvalsh(covariance)
    assert eigenvalues.min() >= -1e-12 * max(eigenvalues.max(), 0)
    whole = returns[~np.isnan(returns).any(axis=1)]
    assert np.trace(covariance) == pytest.approx(252 * whole.var(axis=0).sum())
    assert 0 <= shrink_covariance(whole)[1] <= 1


def test_securities_that_never_move_have_no_risk():
    assert not estimate_covariance(np.zeros((100, 3))).any()
    assert estimate_covariance(np.empty((100, 0))).shape == (0, 0)


def test_the_weighted_variance_of_three_days():
    forecast = forecast_variance(np.array([[0.01], [-0.02], [0.015]]), start=1e-4)
    assert forecast[:, 0] == pytest.approx([1e-4, 1.0e-4, 1.18e-4, 1.2442e-4])
    yearly = measure_volatility(np.array([[0.01], [-0.02]]))
    assert yearly == pytest.approx(np.sqrt(252 * (0.94 * 1e-4 + 0.06 * 4e-4)))


def test_missing_days_leave_the_forecast_alone_and_no_days_leave_it_unknown():
    returns = np.array([[np.nan, np.nan], [0.01, np.nan], [np.nan, np.nan], [0.02, np.nan]])
    forecast = forecast_variance(returns)
    assert np.isnan(forecast[:2, 0]).all()
    assert forecast[2:, 0] == pytest.approx([1e-4, 1e-4, 0.94e-4 + 0.06 * 4e-4])
    volatility = measure_volatility(returns)
    assert volatility[0] == pytest.approx(np.sqrt(252 * forecast[-1, 0]))
    assert np.isnan(volatility[1])


def test_a_forecast_never_looks_ahead():
    returns = draw_returns(6)
    changed = returns.copy()
    changed[60:] = 9.9
    ours, theirs = forecast_variance(returns), forecast_variance(changed)
    assert ours[:61].tobytes() == theirs[:61].tobytes()
    assert (ours[61:] != theirs[61:]).all()


@pytest.mark.parametrize("decay", [0, 1, -1, np.nan])
def test_a_decay_outside_its_range_is_refused(decay):
    with pytest.raises(ValueError, match="decay"):
        measure_volatility(SAMPLE, decay=decay)
