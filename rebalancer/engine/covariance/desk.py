"""One account with a full covariance as arrays; what its trades cost, piece by piece. Compiled."""

from typing import NamedTuple

import numpy as np

from rebalancer.engine.columns import Floats, Ints
from rebalancer.engine.compiled import compiled

# Rows of `Desk.columns`.
TARGET, HELD, BUY_COST, SELL_COST, IMPACT, BUY_MAX, STEP, SMALLEST, TICKET_CASH = range(9)
# Entries of `Desk.money`.
VALUE, CASH, CASH_MIN, CASH_TARGET, CASH_PENALTY, TICKET_PRICE = range(6)


class Desk(NamedTuple):
    """One account: the columns by position, its money, its segments by tax, cheapest first."""

    columns: Floats  # [9, positions]
    money: Floats  # [6]
    tau: Floats  # [segments] of the whole Problem, sorted inside each position
    amount: Floats
    first: Ints  # [positions] the position's segments are first:last
    last: Ints
    matrix: Floats  # [positions, positions], the ridge included


@compiled
def sellable(desk: Desk, i: int) -> float:
    """Return how much of a position may be sold."""
    total = 0.0
    for k in range(desk.first[i], desk.last[i]):
        total += desk.amount[k]
    return total


@compiled
def cash_wanted(desk: Desk, mu: float) -> float:
    """Return the cash that is best to keep when cash has the price `mu`."""
    penalty = desk.money[CASH_PENALTY]
    if penalty <= 0.0:
        return float(desk.money[CASH_MIN])
    return float(
        max(desk.money[CASH_MIN], desk.money[CASH_TARGET] - mu * desk.money[VALUE] / penalty)
    )


@compiled
def stationary(curve: float, slope: float, impact: float) -> float:
    """Return the x >= 0 where curve x + 3/2 impact sqrt(x) + slope is zero; 0 if it never is."""
    if slope >= 0.0:
        return 0.0
    if impact <= 0.0:
        return -slope / curve if curve > 0.0 else np.inf
    linear = 1.5 * impact
    # The stable form of the root: numerator and denominator add positive numbers only.
    root = -2.0 * slope / (linear + np.sqrt(linear * linear - 4.0 * curve * slope))
    return float(root * root)


@compiled
def stay(curve: float, center: float, slope: float, impact: float) -> float:
    """Return the d that minimises curve/2 (d - center)^2 + slope d + impact |d|^(3/2)."""
    pull = slope - curve * center
    if impact <= 0.0:
        return -pull / curve
    if pull < 0.0:
        return stationary(curve, pull, impact)
    return -stationary(curve, -pull, impact)


@compiled
def washed(desk: Desk, i: int, mu: float) -> int:
    """Return the segment up to which selling and buying back at once would pay.

    The relaxation allows both, which keeps it convex; a plan does not.
    """
    buy, sell = desk.columns[BUY_COST, i], desk.columns[SELL_COST, i]
    k = desk.first[i]
    while k < desk.last[i] and desk.tau[k] + (buy + sell) * (1.0 + mu) < 0.0:
        k += 1
    return int(k)


@compiled
def piece(desk: Desk, i: int, mu: float, k: int, wash: int) -> tuple[float, float, float]:
    """Return length, slope at price `mu` and cash per unit of the k-th piece from the right.

    From the largest purchase leftward: segments worth washing, the purchase, the other segments.
    """
    if k == wash:
        buy = desk.columns[BUY_COST, i]
        return desk.columns[BUY_MAX, i], buy + mu * (1.0 + buy), 1.0 + buy
    segment = k if k < wash else k - 1
    sell = desk.columns[SELL_COST, i]
    slope = mu * (1.0 - sell) - sell - desk.tau[segment]
    return desk.amount[segment], slope, 1.0 - sell


@compiled
def locate(desk: Desk, i: int, mu: float, d: float) -> tuple[bool, float, float, float, float]:
    """Return whether `d` lies inside a piece, that piece's slope and cash rate, and its ends."""
    wash = washed(desk, i, mu)
    high = desk.columns[BUY_MAX, i]
    for k in range(desk.first[i], desk.last[i] + 1):
        length, slope, rate = piece(desk, i, mu, k, wash)
        if d >= high:
            return False, slope, rate, high, high
        if d > high - length:
            return True, slope, rate, high - length, high
        high -= length
    return False, 0.0, 1.0, high, high


@compiled
def spent(desk: Desk, mu: float, d: Floats) -> float:
    """Return the cash that the relaxed trades take."""
    total = 0.0
    for i in range(len(d)):
        wash = washed(desk, i, mu)
        left = desk.columns[BUY_MAX, i] - d[i]  # to be walked leftward from the largest purchase
        total += desk.columns[BUY_MAX, i] * (1.0 + desk.columns[BUY_COST, i])
        for k in range(desk.first[i], desk.last[i] + 1):
            length, _, rate = piece(desk, i, mu, k, wash)
            total -= min(length, left) * rate
            left -= min(length, left)
    return total


@compiled
def copy_into(to: Floats, source: Floats) -> None:
    """Copy numbers one by one: a slice would do, but takes seconds to compile."""
    for i in range(len(to)):
        to[i] = source[i]


@compiled
def refresh(desk: Desk, d: Floats, drift: Floats) -> None:
    """Compute A e afresh."""
    for j in range(len(d)):
        drift[j] = 0.0
    for i in range(len(d)):
        e = desk.columns[HELD, i] + d[i] - desk.columns[TARGET, i]
        for j in range(len(d)):
            drift[j] += desk.matrix[i, j] * e
