"""Drift measured as risk: tracking error and its parts, what it costs a year, when to act on it.

Weights and targets are fractions of the account, covariances annual, rates per year. The theory is
that of one ratio: the share of a risky asset wanders from its target with proportional and fixed
trading costs; acting at a distance and stopping at another keeps costs and drift together smallest.
"""

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

from rebalancer.engine.columns import Floats

# How far a wandering share overshoots a limit that is only looked at now and then, in units of its
# standard deviation between two looks (-zeta(1/2) / sqrt(2 pi), the discrete-barrier correction).
OVERSHOOT = 0.5826


def measure_tracking_error(weights: Floats, targets: Floats, covariance: Floats) -> float:
    """Return the annual standard deviation of the account's return less its target's."""
    return sqrt(_variance(weights, targets, covariance))


def split_tracking_error(weights: Floats, targets: Floats, covariance: Floats) -> Floats:
    """Return each position's part of the tracking error; the parts add up to it."""
    difference = np.asarray(weights, float) - np.asarray(targets, float)
    total = sqrt(_variance(weights, targets, covariance))
    if total == 0:
        return np.zeros_like(difference)
    parts: Floats = difference * (np.asarray(covariance, float) @ difference) / total
    return parts


def measure_drift_cost(
    weights: Floats, targets: Floats, covariance: Floats, *, risk_aversion: float
) -> float:
    """Return what the drift costs a year, as a fraction of the account (certainty equivalent)."""
    return 0.5 * risk_aversion * _variance(weights, targets, covariance)


def build_penalty_matrix(
    covariance: Floats, *, risk_aversion: float, horizon_years: float
) -> Floats:
    """Return the drift matrix A of `solve_covariance`: what drift costs over the horizon.

    :raises ValueError: for a negative risk aversion or horizon.
    """
    if not (0 <= risk_aversion < inf and 0 <= horizon_years < inf):
        raise ValueError(f"risk aversion {risk_aversion} or horizon {horizon_years} is not >= 0")
    matrix: Floats = risk_aversion * horizon_years * np.asarray(covariance, float)
    return matrix


def stress_covariance(covariance: Floats, *, severity: float) -> Floats:
    """Return the covariance with all correlations moved towards 1, as in a crisis.

    `severity` runs from 0 (unchanged) to 1 (everything moves together). Volatilities stay; what was
    positive semi-definite stays so.

    :raises ValueError: for a severity outside 0..1.
    """
    if not 0 <= severity <= 1:
        raise ValueError(f"the severity {severity} is not between 0 and 1")
    matrix = np.asarray(covariance, float)
    volatility = np.sqrt(np.diag(matrix))
    stressed: Floats = (1 - severity) * matrix + severity * np.outer(volatility, volatility)
    return stressed


def _variance(weights: Floats, targets: Floats, covariance: Floats) -> float:
    """Return the annual variance of the difference.

    :raises ValueError: when sizes differ or a number is missing.
    """
    difference = np.asarray(weights, float) - np.asarray(targets, float)
    matrix = np.asarray(covariance, float)
    if matrix.shape != (len(difference), len(difference)):
        raise ValueError(f"the covariance is {matrix.shape}, not {len(difference)} wide")
    variance = float(difference @ matrix @ difference)
    if not np.isfinite(variance):
        raise ValueError("a weight, target or covariance is not a number")
    return max(variance, 0.0)  # rounding may leave a shade less than nothing


# --- No-trade theory -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ratio:
    """One risky share of an account: its target weight, and what moving or missing it costs.

    `cost` is paid per unit of share moved, both sides together; `ticket` per trade, as a fraction
    of the account; `volatility` is that of the risky side relative to the other.
    """

    weight: float
    volatility: float
    risk_aversion: float
    cost: float
    ticket: float = 0.0

    def __post_init__(self) -> None:
        """Refuse numbers that the formulas do not cover."""
        if not 0 < self.weight < 1:
            raise ValueError(f"the weight {self.weight} is not between 0 and 1")
        if not (0 < self.volatility < inf and 0 < self.risk_aversion < inf):
            raise ValueError("volatility and risk aversion must be above zero")
        if not (0 <= self.cost < inf and 0 <= self.ticket < inf):
            raise ValueError("cost and ticket must not be below zero")

    @property
    def wander(self) -> float:
        """Return the standard deviation of the share per square root of a year."""
        return self.weight * (1 - self.weight) * self.volatility


@dataclass(frozen=True, slots=True)
class Band:
    """Act when the share is `trigger` off its target, and stop `destination` off it."""

    trigger: float
    destination: float


@dataclass(frozen=True, slots=True)
class BandAverages:
    """What a band does in the long run, per year."""

    variance: float  # mean square deviation of the share
    trades: float
    turnover: float  # share moved
    cost: float  # drift and trading together, as a fraction of the account


def measure_proportional_band(ratio: Ratio) -> float:
    """Return the best half-width where only the proportional cost counts (stop where you act)."""
    spread = ratio.weight * (1 - ratio.weight)
    width: float = (1.5 * ratio.cost * spread**2 / ratio.risk_aversion) ** (1 / 3)
    return width


def measure_ticket_band(ratio: Ratio) -> float:
    """Return the best trigger where only the ticket counts (go all the way to the target)."""
    spread = ratio.weight * (1 - ratio.weight)
    width: float = (12 * ratio.ticket * spread**2 / ratio.risk_aversion) ** (1 / 4)
    return width


def measure_band(ratio: Ratio, band: Band, *, look_years: float = 0.0) -> BandAverages:
    """Return a band's long-run averages; `look_years` is the time between two looks.

    A band without width is traded without end: where looks are continuous its cost is infinite.

    :raises ValueError: unless 0 <= destination <= trigger.
    """
    if not 0 <= band.destination <= band.trigger < inf:
        raise ValueError(f"the destination {band.destination} is outside 0..{band.trigger}")
    late = OVERSHOOT * ratio.wander * sqrt(look_years)
    trigger, goal = band.trigger + late, band.destination
    variance = (trigger**2 + goal**2) / 6
    room = trigger**2 - goal**2
    trades = ratio.wander**2 / room if room > 0 else inf
    turnover = ratio.wander**2 / (trigger + goal) if trigger > 0 else inf
    drift = 0.5 * ratio.risk_aversion * ratio.volatility**2 * variance
    paid = (ratio.ticket * trades if ratio.ticket else 0.0) + (
        ratio.cost * turnover if ratio.cost else 0.0
    )
    return BandAverages(variance=variance, trades=trades, turnover=turnover, cost=drift + paid)


def solve_band(ratio: Ratio) -> Band:
    """Return the band of the least long-run cost, for proportional cost and ticket together.

    With T = trigger + destination and W = trigger - destination the two conditions of the optimum
    leave one equation for y = W / c^(1/4), y^8 + k y^9 = 1, whose only root lies in 0..1.
    """
    spread_squared = (ratio.weight * (1 - ratio.weight)) ** 2 / ratio.risk_aversion
    if ratio.ticket == 0:
        width = measure_proportional_band(ratio)
        return Band(trigger=width, destination=width)
    c = 12 * ratio.ticket * spread_squared
    k = 12 * ratio.cost * spread_squared * c ** (-3 / 4)
    low, high = 0.0, 1.0
    for _ in range(100):
        y = 0.5 * (low + high)
        if y**8 * (1 + k * y) > 1:
            high = y
        else:
            low = y
    width = high * c ** (1 / 4)
    total = c / width**3
    # With no proportional cost the destination is the target itself, up to rounding.
    return Band(trigger=0.5 * (total + width), destination=max(0.5 * (total - width), 0.0))


def measure_horizon_years(ratio: Ratio) -> float:
    """Return the horizon that gives the one-period objective the best proportional band.

    :raises ValueError: without a proportional cost: then no horizon does.
    """
    if ratio.cost == 0:
        raise ValueError("without a proportional cost no horizon matches the theory")
    width = measure_proportional_band(ratio)
    return ratio.cost / (ratio.risk_aversion * ratio.volatility**2 * width)
