"""Tracking error and its price, crisis correlations, and the theory of when to act."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer.engine.risk import (
    Band,
    Ratio,
    build_penalty_matrix,
    measure_band,
    measure_drift_cost,
    measure_horizon_years,
    measure_proportional_band,
    measure_ticket_band,
    measure_tracking_error,
    solve_band,
    split_tracking_error,
    stress_covariance,
)

VOLATILITY = np.array([0.16, 0.05])
COVARIANCE = np.outer(VOLATILITY, VOLATILITY) * np.array([[1, 0.1], [0.1, 1]])


def test_six_points_too_much_in_stocks():
    """Weights .66/.34 against .60/.40, volatilities 16 % and 5 %, correlation .1."""
    weights, targets = np.array([0.66, 0.34]), np.array([0.6, 0.4])
    error = measure_tracking_error(weights, targets, COVARIANCE)
    assert error == pytest.approx(0.00976729, abs=5e-9)
    cost = measure_drift_cost(weights, targets, COVARIANCE, risk_aversion=4)
    assert cost * 1e4 == pytest.approx(1.908, abs=5e-4)
    parts = split_tracking_error(weights, targets, COVARIANCE)
    assert parts.sum() == pytest.approx(error)
    assert parts[0] > 10 * parts[1] > 0  # stocks are what makes it risky


@given(seed=st.integers(0, 10**6), count=st.integers(1, 8))
def test_parts_add_up_and_the_penalty_matrix_prices_the_same_drift(seed, count):
    rng = np.random.default_rng(seed)
    loads = rng.normal(0, 0.1, (count, count))
    covariance = loads @ loads.T
    weights, targets = rng.dirichlet(np.ones(count)), rng.dirichlet(np.ones(count))
    error = measure_tracking_error(weights, targets, covariance)
    assert split_tracking_error(weights, targets, covariance).sum() == pytest.approx(error)
    matrix = build_penalty_matrix(covariance, risk_aversion=3, horizon_years=0.5)
    value, e = 1000.0, 1000.0 * (weights - targets)
    cost = measure_drift_cost(weights, targets, covariance, risk_aversion=3)
    assert e @ matrix @ e / (2 * value) == pytest.approx(0.5 * cost * value, abs=1e-12)


def test_on_target_nothing_is_risked():
    weights = np.array([0.6, 0.4])
    assert measure_tracking_error(weights, weights, COVARIANCE) == 0
    assert not split_tracking_error(weights, weights, COVARIANCE).any()


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 2\), not 3 wide"):
        measure_tracking_error(np.zeros(3), np.ones(3), COVARIANCE)
    with pytest.raises(ValueError, match="not a number"):
        measure_tracking_error(np.array([np.nan, 0]), np.ones(2), COVARIANCE)
    for bad in (-1, np.inf, np.nan):
        with pytest.raises(ValueError, match="is not >= 0"):
            build_penalty_matrix(COVARIANCE, risk_aversion=bad, horizon_years=1)
        with pytest.raises(ValueError, match="is not >= 0"):
            build_penalty_matrix(COVARIANCE, risk_aversion=1, horizon_years=bad)
    for bad in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="not between 0 and 1"):
            stress_covariance(COVARIANCE, severity=bad)


def test_in_a_crisis_correlations_move_half_way_to_one():
    correlation = np.eye(4)
    upper = np.triu_indices(4, 1)
    correlation[upper] = [0.3, 0.2, 0.1, 0.4, 0.2, 0.1]
    correlation = correlation + np.triu(correlation, 1).T
    volatility = np.array([0.1, 0.2, 0.3, 0.05])
    stressed = stress_covariance(correlation * np.outer(volatility, volatility), severity=0.5)
    assert np.sqrt(np.diag(stressed)) == pytest.approx(volatility)
    moved = (stressed / np.outer(volatility, volatility))[upper]
    assert moved == pytest.approx([0.65, 0.6, 0.55, 0.7, 0.6, 0.55])


@given(seed=st.integers(0, 10**6), severity=st.floats(0, 1))
def test_a_crisis_leaves_no_portfolio_with_negative_risk(seed, severity):
    loads = np.random.default_rng(seed).normal(0, 0.1, (5, 2))
    stressed = stress_covariance(loads @ loads.T, severity=severity)
    assert np.linalg.eigvalsh(stressed).min() > -1e-12


# --- No-trade theory -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "risk_aversion", "cost", "width"),
    [(0.6, 4, 0.002, 0.035088), (0.6, 2, 0.01, 0.075595), (0.3, 4, 0.001, 0.025477)],
)
def test_the_best_band_for_proportional_costs(weight, risk_aversion, cost, width):
    ratio = Ratio(weight, 0.16, risk_aversion, cost)
    assert measure_proportional_band(ratio) == pytest.approx(width, abs=1e-6)
    assert solve_band(ratio) == Band(measure_proportional_band(ratio), solve_band(ratio).trigger)


def test_the_best_band_for_tickets():
    ratio = Ratio(0.6, 0.16, 4, cost=0.0, ticket=1e-5)
    assert measure_ticket_band(ratio) == pytest.approx(0.03626, abs=5e-6)
    band = solve_band(ratio)
    assert band.trigger == pytest.approx(measure_ticket_band(ratio))
    assert band.destination == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("cost", "ticket", "trigger", "destination"),
    [
        (5e-4, 1e-6, 0.03079, 0.01524),
        (5e-4, 1e-7, 0.02595, 0.01866),
        (5e-4, 1e-8, 0.02384, 0.02045),
        (20e-4, 1e-5, 0.05131, 0.02274),
    ],
)
def test_the_best_band_for_both(cost, ticket, trigger, destination):
    band = solve_band(Ratio(0.6, 0.16, 4, cost, ticket))
    assert band.trigger == pytest.approx(trigger, abs=6e-6)
    assert band.destination == pytest.approx(destination, abs=6e-6)


@given(
    weight=st.floats(0.05, 0.95),
    cost=st.floats(1e-5, 0.05),
    ticket=st.floats(1e-9, 1e-4),
    tilt=st.sampled_from([0.9, 0.97, 1.03, 1.1]),
)
def test_no_other_band_costs_less(weight, cost, ticket, tilt):
    ratio = Ratio(weight, 0.16, 4, cost, ticket)
    best = solve_band(ratio)
    least = measure_band(ratio, best).cost
    others = [
        Band(best.trigger * tilt, min(best.destination, best.trigger * tilt)),
        Band(best.trigger, min(best.destination * tilt, best.trigger)),
        Band(best.trigger * tilt, best.destination * tilt),
    ]
    for other in others:
        assert measure_band(ratio, other).cost >= least * (1 - 1e-9)


@pytest.mark.parametrize(
    ("band", "trades", "turnover"),
    [
        (Band(0.02, 0.0175), 11.13, 0.0449),
        (Band(0.05, 0.0), 0.661, 0.0340),
        (Band(0.05, 0.025), 0.864, 0.0229),
    ],
)
def test_what_well_known_bands_do_in_a_year_of_daily_looks(band, trades, turnover):
    """60/40 of volatilities 17 % and 6 %, correlation .1; as simulated over 20,000 years."""
    volatility = np.sqrt(0.17**2 + 0.06**2 - 2 * 0.1 * 0.17 * 0.06)
    ratio = Ratio(0.6, float(volatility), 4, 0.001)
    averages = measure_band(ratio, band, look_years=1 / 252)
    assert averages.trades == pytest.approx(trades, rel=0.03)
    assert averages.turnover == pytest.approx(turnover, rel=0.03)


def test_the_averages_agree_with_a_simulated_wander():
    """A share wandering in small steps between its bounds, trigger .03 to destination .01."""
    rng = np.random.default_rng(5)
    ratio, band = Ratio(0.5, 0.4, 4, 0.001), Band(0.03, 0.01)
    years, looks = 1500, 1500
    share, squares, trades = np.zeros(years), 0.0, 0
    for look in range(looks):  # as many wanders at once as years, for one year each, after a start
        share += rng.normal(0, ratio.wander / np.sqrt(looks), years)
        is_due = np.abs(share) >= band.trigger
        share[is_due] = np.sign(share[is_due]) * band.destination
        if look >= looks // 2:
            trades += int(is_due.sum())
            squares += float((share**2).mean())
    averages = measure_band(ratio, band, look_years=1 / looks)
    assert trades / years * 2 == pytest.approx(averages.trades, rel=0.05)
    assert squares / (looks / 2) == pytest.approx(averages.variance, rel=0.05)


def test_the_horizon_turns_the_band_into_the_one_period_no_trade_region():
    ratio = Ratio(0.6, 0.16, 4, 0.002)
    horizon = measure_horizon_years(ratio)
    half_width = ratio.cost / (ratio.risk_aversion * ratio.volatility**2 * horizon)
    assert half_width == pytest.approx(0.035088, abs=1e-6)
    assert 0.3 < horizon < 0.6
    with pytest.raises(ValueError, match="no horizon"):
        measure_horizon_years(Ratio(0.6, 0.16, 4, 0.0, 1e-6))


def test_a_ratio_or_band_that_makes_no_sense_is_refused():
    for bad in ((0.0, 0.16, 4, 0.1), (1.0, 0.16, 4, 0.1), (0.5, 0, 4, 0.1), (0.5, 0.1, -1, 0.1)):
        with pytest.raises(ValueError, match="weight|above zero"):
            Ratio(*bad)
    with pytest.raises(ValueError, match="not be below zero"):
        Ratio(0.5, 0.1, 4, -0.1)
    with pytest.raises(ValueError, match="outside"):
        measure_band(Ratio(0.5, 0.1, 4, 0.1), Band(0.02, 0.03))
    assert measure_band(Ratio(0.5, 0.1, 4, 0.1), Band(0.0, 0.0)).cost == np.inf
