"""Newton's step for the trades of one account that are free to move, and the price of cash."""

import numpy as np

from rebalancer.engine.columns import Floats, Ints
from rebalancer.engine.compiled import compiled
from rebalancer.engine.covariance.desk import (
    CASH_MIN,
    CASH_PENALTY,
    IMPACT,
    VALUE,
    Desk,
    cash_wanted,
    locate,
)


@compiled
def factor(lower: Floats, count: int) -> bool:
    """Turn the lower triangle into its Cholesky factor in place; False if a pivot is not > 0."""
    for i in range(count):
        for j in range(i + 1):
            total = lower[i, j]
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            if j < i:
                lower[i, j] = total / lower[j, j]
            elif total <= 0.0:
                return False
            else:
                lower[i, i] = np.sqrt(total)
    return True


@compiled
def back_substitute(lower: Floats, count: int, x: Floats) -> None:
    """Solve L L' y = x in place."""
    for i in range(count):
        for k in range(i):
            x[i] -= lower[i, k] * x[k]
        x[i] /= lower[i, i]
    for i in range(count - 1, -1, -1):
        for k in range(i + 1, count):
            x[i] -= lower[k, i] * x[k]
        x[i] /= lower[i, i]


@compiled
def newton(desk: Desk, mu: float, missing: float, d: Floats, drift: Floats) -> float:
    """Move all free trades to where their piece's optimum lies; return the change of `mu`.

    `missing` is the cash that `mu` has to find; NaN keeps `mu`, and then the step stops at the
    first piece's end. Otherwise every trade goes its own way and the next sweep corrects it.
    """
    free, low, high = np.empty(len(d), np.int64), np.empty(len(d)), np.empty(len(d))
    push, rate = np.empty(len(d)), np.empty(len(d))
    count = _gather_free(desk, mu, d, drift, free, low, high, push, rate)
    lower = np.empty((count, count))
    if not _factor_free(desk, d, free, count, lower):
        return 0.0
    back_substitute(lower, count, push)
    change_mu = 0.0
    if not np.isnan(missing):
        price = rate[:count].copy()
        back_substitute(lower, count, price)
        change_mu = _price_change(desk, mu, missing, rate[:count], push, price)
        for r in range(count):
            push[r] += desk.money[VALUE] * change_mu * price[r]
    share = 1.0
    for r in range(count):
        if np.isnan(missing) and push[r] != 0.0:
            end = low[r] if push[r] > 0.0 else high[r]
            share = min(share, (d[free[r]] - end) / push[r])
    for r in range(count):
        x = min(max(d[free[r]] - share * push[r], low[r]), high[r])
        for j in range(len(d)):
            drift[j] += desk.matrix[free[r], j] * (x - d[free[r]])
        d[free[r]] = x
    return change_mu


@compiled
def _gather_free(
    desk: Desk,
    mu: float,
    d: Floats,
    drift: Floats,
    free: Ints,
    low: Floats,
    high: Floats,
    push: Floats,
    rate: Floats,
) -> int:
    """List the trades inside a piece: its ends, V times the objective's slope, cash per unit."""
    count = 0
    for i in range(len(d)):
        is_free, slope, per_unit, low_i, high_i = locate(desk, i, mu, d[i])
        if is_free:
            free[count], low[count], high[count], rate[count] = i, low_i, high_i, per_unit
            bend = 1.5 * desk.columns[IMPACT, i] * np.sqrt(abs(d[i]))
            push[count] = drift[i] + desk.money[VALUE] * (slope + (bend if d[i] > 0.0 else -bend))
            count += 1
    return count


@compiled
def _factor_free(desk: Desk, d: Floats, free: Ints, count: int, lower: Floats) -> bool:
    """Write V times the free trades' second derivatives to `lower`, factored; False if singular."""
    value = desk.money[VALUE]
    for r in range(count):
        for c in range(r + 1):
            lower[r, c] = desk.matrix[free[r], free[c]]
        size = max(abs(d[free[r]]), 1e-9 * value)  # impact bends without limit at zero
        lower[r, r] += 0.75 * value * desk.columns[IMPACT, free[r]] / np.sqrt(size)
    return count > 0 and factor(lower, count)


@compiled
def _price_change(
    desk: Desk, mu: float, missing: float, rate: Floats, push: Floats, price: Floats
) -> float:
    """Return by how much `mu` must change so that the free trades and the cash add up."""
    value, penalty = desk.money[VALUE], desk.money[CASH_PENALTY]
    gives = 0.0
    for r in range(len(rate)):
        missing -= rate[r] * push[r]
        gives += value * rate[r] * price[r]
    if penalty > 0.0 and cash_wanted(desk, mu) > desk.money[CASH_MIN]:
        gives += value / penalty
    return missing / gives if gives > 0.0 else 0.0
