"""How securities move, and move together: estimates from daily returns.

A covariance built pair by pair from whatever days both securities have is not positive
semi-definite in general: a portfolio could seem to have negative risk. Instead the days on which
every security has a return count; securities with a short history therefore shorten everybody's.
Where that leaves too little, `estimate_covariance` refuses, and the caller drops securities or
stands a longer-lived index in for them. Returns are never filled in: zeros would understate risk.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DAYS_PER_YEAR = 252
# Fewer common days than this say nothing useful about how securities move together.
DAYS_LEAST = 30
# The classic weight of yesterday's estimate for daily returns (RiskMetrics).
DECAY = 0.94


def estimate_covariance(
    returns: Floats, *, days_least: int = DAYS_LEAST, days_per_year: float = DAYS_PER_YEAR
) -> Floats:
    """Estimate the annual covariance of `returns` [days, securities], simple and daily.

    Ledoit and Wolf (2004): the sample covariance, shrunk towards equal variances without
    correlation by as much as its own noise asks for. NaN marks a missing return; its day is left
    out for everyone (see the module).

    :raises ValueError: when fewer than `days_least` whole days are left, or a return is infinite.
    """
    table = _check(returns)
    whole = table[~np.isnan(table).any(axis=1)]
    if len(whole) < max(days_least, 2):
        short = _scarcest(table)
        raise ValueError(
            f"only {len(whole)} of {len(table)} days have a return for every security, "
            f"{max(days_least, 2)} are needed; the fewest has column {short}"
        )
    daily, _shrinkage = shrink_covariance(whole)
    return daily * days_per_year


def shrink_covariance(returns: Floats) -> tuple[Floats, float]:
    """Return the shrunk covariance of complete `returns` [days, securities] and the shrinkage.

    Unit: that of the returns squared, per day. The mean is taken out; the divisor is the number of
    days, as in the paper. A shrinkage of 0 is the sample's own covariance, 1 one variance for all.
    """
    centered = returns - returns.mean(axis=0)
    days, count = centered.shape
    if count == 0:
        return np.zeros((0, 0)), 0.0
    # In units of the typical return: the fourth powers below would underflow for tiny ones.
    scale = float(np.abs(centered).max())
    if scale == 0:
        return np.zeros((count, count)), 0.0
    centered = centered / scale
    sample = centered.T @ centered / days
    variance = float(np.trace(sample)) / count
    distance = float(((sample - variance * np.eye(count)) ** 2).sum()) / count
    fourth = float(((centered**2).sum(axis=1) ** 2).mean())
    noise = (fourth - float((sample**2).sum())) / days / count
    shrinkage = 0.0 if distance <= 0 else min(max(noise / distance, 0.0), 1.0)
    shrunk: Floats = (1 - shrinkage) * sample + shrinkage * variance * np.eye(count)
    # Exactly symmetric, whatever order the product was summed in.
    return 0.5 * (shrunk + shrunk.T) * scale**2, shrinkage


def measure_volatility(
    returns: Floats, *, decay: float = DECAY, days_per_year: float = DAYS_PER_YEAR
) -> Floats:
    """Return the annual volatility forecast of each security after the last day.

    Exponentially weighted squares of `returns` [days, securities]: each day has `decay` times the
    weight of the next. A missing return (NaN) leaves a security's estimate as it was; one without
    any return has NaN, which is to be read as "unknown".

    :raises ValueError: for a decay outside 0..1 or an infinite return.
    """
    table = _check(returns)
    variance: Floats = forecast_variance(table, decay=decay)
    volatility: Floats = np.sqrt(variance[-1] * days_per_year)
    return volatility


def forecast_variance(
    returns: Floats, *, decay: float = DECAY, start: float | None = None
) -> Floats:
    """Return the daily variance expected for each next day, [days + 1, securities].

    Row `t` uses the returns before day `t` only. `start` is the first row; without it, it is
    unknown (NaN) until the first return, whose square it becomes.

    :raises ValueError: for a decay outside 0..1.
    """
    if not 0 < decay < 1:
        raise ValueError(f"the decay {decay} is not between 0 and 1")
    variance = np.empty((len(returns) + 1, returns.shape[1]))
    variance[0] = np.nan if start is None else start
    for day, row in enumerate(returns):
        before = variance[day]
        known = np.where(np.isnan(before), row**2, decay * before + (1 - decay) * row**2)
        variance[day + 1] = np.where(np.isnan(row), before, known)
    return variance


def _check(returns: Floats) -> Floats:
    """Return the table of returns as floats, its form checked."""
    table = np.asarray(returns, float)
    if table.ndim != 2:
        raise ValueError(f"returns must be days by securities, not {table.ndim}-dimensional")
    if np.isinf(table).any():
        day, security = np.argwhere(np.isinf(table))[0]
        raise ValueError(f"the return of column {security} on day {day} is infinite")
    return table


def _scarcest(table: Floats) -> int | None:
    """Return the column with the fewest returns; None without columns."""
    return int(np.argmin((~np.isnan(table)).sum(axis=0))) if table.shape[1] else None
