"""The continuous best plan of one account whose drift is measured by a full covariance, compiled.

Coordinate descent at a fixed price of cash `mu`, inside a root search on `mu`; between sweeps a
Newton step on the trades that are free to move, so that both end exactly.
"""

import numpy as np

from rebalancer.engine.columns import Floats
from rebalancer.engine.compiled import compiled
from rebalancer.engine.covariance.desk import (
    BUY_COST,
    BUY_MAX,
    CASH,
    CASH_PENALTY,
    CASH_TARGET,
    HELD,
    IMPACT,
    SELL_COST,
    TARGET,
    TICKET_CASH,
    TICKET_PRICE,
    VALUE,
    Desk,
    cash_wanted,
    copy_into,
    piece,
    refresh,
    spent,
    stay,
    washed,
)
from rebalancer.engine.covariance.newton import (
    newton,
)

# Added to the diagonal (times its largest entry), so that securities that are copies of each other,
# or carry no risk, still have one best trade; worth less than 1e-7 bp of V.
RIDGE = 1e-12
SWEEPS_MAX = 500
SEARCHES_MAX = 120
# Newton steps come every so many sweeps: one costs about as much as two sweeps.
SWEEPS_PER_NEWTON = 3
WARM_UPS = 4


@compiled
def respond(desk: Desk, i: int, mu: float, center: float) -> float:
    """Return the best trade of one position alone, its drift being a parabola round `center`."""
    curve = desk.matrix[i, i] / desk.money[VALUE]
    impact = desk.columns[IMPACT, i]
    wash = washed(desk, i, mu)
    high = desk.columns[BUY_MAX, i]
    for k in range(desk.first[i], desk.last[i] + 1):
        length, slope, _ = piece(desk, i, mu, k, wash)
        d = stay(curve, center, slope, impact)
        if d >= high:
            return float(high)
        if d > high - length:
            return d
        high -= length
    return float(high)


@compiled
def sweep(desk: Desk, mu: float, d: Floats, drift: Floats) -> float:
    """Let every position respond once; `drift` is A e. Return the largest change."""
    largest = 0.0
    for i in range(len(d)):
        x = respond(desk, i, mu, d[i] - drift[i] / desk.matrix[i, i])
        change = x - d[i]
        if change != 0.0:
            d[i] = x
            for j in range(len(d)):
                drift[j] += desk.matrix[i, j] * change
            largest = max(largest, abs(change))
    return largest


@compiled
def settle(desk: Desk, mu: float, d: Floats, drift: Floats) -> None:
    """Bring the trades to their optimum at a fixed price of cash."""
    enough = 1e-13 * desk.money[VALUE]
    for count in range(1, SWEEPS_MAX):
        if sweep(desk, mu, d, drift) <= enough:
            return
        if count % SWEEPS_PER_NEWTON == 0:
            newton(desk, mu, np.nan, d, drift)


@compiled
def step_price(mu: float, change: float, low: float, high: float, tries: int) -> float:
    """Return the next price of cash: Newton's if it lies in the bracket, else a safe one."""
    guess = mu + change
    if change != 0.0 and low < guess < high and tries % 8 != 7:
        return guess
    if low > -np.inf and high < np.inf:
        return 0.5 * (low + high)
    reach = 1e-3 * 2.0**tries
    return low + reach if low > -np.inf else high - reach


@compiled
def warm_up(desk: Desk, d: Floats, drift: Floats) -> float:
    """Guess the price of cash and the trades: alternate one sweep and one Newton step."""
    mu = 0.0
    if desk.money[CASH_PENALTY] <= 0.0:
        return mu  # idle cash is free: whether the price is zero must be asked first
    for _ in range(WARM_UPS):
        sweep(desk, mu, d, drift)
        missing = spent(desk, mu, d) + cash_wanted(desk, mu) - desk.money[CASH]
        mu += newton(desk, mu, missing, d, drift)
    return mu


@compiled
def solve_continuous(desk: Desk, d: Floats, drift: Floats) -> float:
    """Find the best continuous trades, written to `d` (a start on entry); return `mu`.

    `drift` is A e at `d`, kept up to date. Where the cash floor cannot be reached all that may be
    sold is sold, and `mu` is infinite.
    """
    value, cash = desk.money[VALUE], desk.money[CASH]
    mu, low, high = warm_up(desk, d, drift), -np.inf, np.inf
    d_low, d_high = d.copy(), d.copy()
    missing_low, missing_high = 0.0, 0.0
    for tries in range(SEARCHES_MAX):
        settle(desk, mu, d, drift)
        missing = spent(desk, mu, d) + cash_wanted(desk, mu) - cash
        if abs(missing) <= 1e-12 * value:
            return mu
        if missing > 0.0:
            low, missing_low = mu, missing
            copy_into(d_low, d)
        else:
            if mu == 0.0 and desk.money[CASH_PENALTY] <= 0.0:
                return mu  # cash is left over and costs nothing
            high, missing_high = mu, missing
            copy_into(d_high, d)
        if np.isfinite(high - low) and high - low <= 4e-16 * max(abs(low), abs(high)):
            break
        change = newton(desk, mu, missing, d, drift)
        mu = step_price(mu, change, low, high, tries)
    if high == np.inf:
        return np.inf
    # At one price two plans are equally good, one too dear and one too cheap: so is their mix.
    share = missing_low / (missing_low - missing_high)
    for i in range(len(d)):
        d[i] = d_low[i] + share * (d_high[i] - d_low[i])
    refresh(desk, d, drift)
    return high


@compiled
def measure_bound(desk: Desk, ridge: float, mu: float, d: Floats, drift: Floats) -> float:
    """Return what no plan can cost less than, discrete ones included.

    Drift and impact are replaced by their tangents at `d`, which lie below them, and the cash
    equation by its price: what is left separates by position and is minimised exactly.
    """
    value = desk.money[VALUE]
    total = 0.0
    for i in range(len(d)):
        e = desk.columns[HELD, i] + d[i] - desk.columns[TARGET, i]
        pull = (drift[i] - ridge * e) / value
        total += 0.5 * pull * e - pull * d[i]
        bend = desk.columns[IMPACT, i] * np.sqrt(abs(d[i]))
        total -= 0.5 * bend * abs(d[i])
        pull += 1.5 * bend if d[i] > 0.0 else -1.5 * bend
        buy, sell = desk.columns[BUY_COST, i], desk.columns[SELL_COST, i]
        ticket = desk.money[TICKET_PRICE] + desk.columns[TICKET_CASH, i] * (1.0 + mu)
        bought = desk.columns[BUY_MAX, i] * min(0.0, pull + buy + mu * (1.0 + buy))
        sold = 0.0
        for k in range(desk.first[i], desk.last[i]):
            slope = desk.tau[k] + sell - mu * (1.0 - sell) - pull
            sold += desk.amount[k] * min(0.0, slope)
        total += min(0.0, min(bought, sold) + ticket)
    cash = cash_wanted(desk, mu)
    idle = cash - desk.money[CASH_TARGET]
    total += 0.5 * desk.money[CASH_PENALTY] / value * idle * idle
    return float(total + mu * (cash - desk.money[CASH]))
