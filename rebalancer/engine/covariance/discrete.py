"""What one position may trade, and what is best for it alone, in whole steps; compiled.

The others' trades are fixed, their covariance with this one and the cash they leave count.
"""

import numpy as np

from rebalancer.engine.columns import Floats
from rebalancer.engine.compiled import compiled
from rebalancer.engine.covariance.desk import (
    BUY_COST,
    BUY_MAX,
    CASH,
    CASH_MIN,
    CASH_PENALTY,
    CASH_TARGET,
    HELD,
    IMPACT,
    SELL_COST,
    SMALLEST,
    STEP,
    TARGET,
    TICKET_CASH,
    TICKET_PRICE,
    VALUE,
    Desk,
    sellable,
    stationary,
)

# Steps are counted in floats: no position has more than these, which are still exact.
STEPS_MAX = 2.0**53
# A sale of all segments is a sale of the holding when they differ by less than this share.
SAME = 1e-9


@compiled
def cost(desk: Desk, i: int, x: float) -> float:
    """Return what trading `x` of a position costs: spread, tax, impact and ticket."""
    if x == 0.0:
        return 0.0
    size = abs(x)
    total = desk.money[TICKET_PRICE] + desk.columns[TICKET_CASH, i]
    total += desk.columns[IMPACT, i] * size * np.sqrt(size)
    if x > 0.0:
        return float(total + desk.columns[BUY_COST, i] * size)
    total += desk.columns[SELL_COST, i] * size
    for k in range(desk.first[i], desk.last[i]):
        take = min(size, desk.amount[k])
        total += desk.tau[k] * take
        size -= take
    return float(total)


@compiled
def cash_taken(desk: Desk, i: int, x: float) -> float:
    """Return the cash that trading `x` of a position takes, ticket included."""
    if x == 0.0:
        return 0.0
    if x > 0.0:
        return float(x * (1.0 + desk.columns[BUY_COST, i]) + desk.columns[TICKET_CASH, i])
    return float(x * (1.0 - desk.columns[SELL_COST, i]) + desk.columns[TICKET_CASH, i])


@compiled
def cash_cost(desk: Desk, cash: float) -> float:
    """Return what it costs to be left with `cash`."""
    idle = cash - desk.money[CASH_TARGET]
    return float(0.5 * desk.money[CASH_PENALTY] / desk.money[VALUE] * idle * idle)


@compiled
def cash_without(desk: Desk, d: Floats, i: int) -> float:
    """Return the cash left when `i` is not traded, the others are."""
    total = desk.money[CASH]
    for k in range(len(d)):
        if k != i:
            total -= cash_taken(desk, k, d[k])
    return float(total)


@compiled
def cash_after(desk: Desk, d: Floats) -> float:
    """Return the cash left after all trades."""
    total = desk.money[CASH]
    for k in range(len(d)):
        total -= cash_taken(desk, k, d[k])
    return float(total)


@compiled
def measure(desk: Desk, d: Floats) -> float:
    """Return the objective of trades `d`."""
    total = cash_cost(desk, cash_after(desk, d))
    for i in range(len(d)):
        e = desk.columns[HELD, i] + d[i] - desk.columns[TARGET, i]
        row = 0.0
        for j in range(len(d)):
            other = desk.columns[HELD, j] + d[j] - desk.columns[TARGET, j]
            row += desk.matrix[i, j] * other
        total += 0.5 * e * row / desk.money[VALUE] + cost(desk, i, d[i])
    return total


@compiled
def can_exit(desk: Desk, i: int) -> bool:
    """Return whether the segments cover the whole holding."""
    held = desk.columns[HELD, i]
    return bool(held > 0.0 and sellable(desk, i) >= held * (1.0 - SAME))


@compiled
def least_steps(desk: Desk, i: int) -> float:
    """Return how many steps the smallest trade takes."""
    return float(max(1.0, np.ceil(desk.columns[SMALLEST, i] / desk.columns[STEP, i] - SAME)))


@compiled
def choices(
    desk: Desk, i: int, curve: float, center: float, price: float, bend: float, found: Floats
) -> int:
    """Write the trades that may be best for one position to `found`; return how many.

    Its cost is curve/2 (x - center)^2 + price cash_taken(x) + bend/2 cash_taken(x)^2 + cost(x),
    the ticket's cash already in `price`. Each side is convex: the best multiple of a step lies
    next to the continuous optimum; nothing, the smallest trade and the exit are tried as well.
    """
    step, impact = desk.columns[STEP, i], desk.columns[IMPACT, i]
    least = least_steps(desk, i)
    found[0] = 0.0
    count = 1
    buy = desk.columns[BUY_COST, i]
    most = min(np.floor(desk.columns[BUY_MAX, i] / step + SAME), STEPS_MAX)
    if most >= least:
        rate = 1.0 + buy
        slope = buy + price * rate - curve * center
        x = stationary(curve + bend * rate * rate, slope, impact)
        steps = min(max(np.floor(min(x / step, STEPS_MAX)), least), most)
        found[count] = steps * step
        found[count + 1] = min(steps + 1.0, most) * step
        count += 2
    total = sellable(desk, i)
    if total <= 0.0:
        return count
    if can_exit(desk, i):
        found[count] = -desk.columns[HELD, i]
        count += 1
        most = np.ceil(desk.columns[HELD, i] / step - SAME) - 1.0
    else:
        most = np.floor(total / step + SAME)
    most = min(most, STEPS_MAX)
    if most >= least:
        x = _best_sale(desk, i, curve, center, price, bend)
        steps = min(max(np.floor(min(x / step, STEPS_MAX)), least), most)
        found[count] = -steps * step
        found[count + 1] = -min(steps + 1.0, most) * step
        count += 2
    return count


@compiled
def _best_sale(desk: Desk, i: int, curve: float, center: float, price: float, bend: float) -> float:
    """Return the best sale of any size, the segments cheapest first."""
    sell = desk.columns[SELL_COST, i]
    rate = 1.0 - sell
    start = 0.0
    for k in range(desk.first[i], desk.last[i]):
        slope = sell + desk.tau[k] - price * rate + curve * center
        y = stationary(curve + bend * rate * rate, slope, desk.columns[IMPACT, i])
        if y < start + desk.amount[k]:
            return max(y, start)
        start += desk.amount[k]
    return start


@compiled
def respond_discrete(
    desk: Desk, i: int, d: Floats, drift_i: float, cash: float, found: Floats
) -> tuple[float, float]:
    """Return the best trade of one position, the others fixed, and its part of the objective.

    `cash` is what is left without it; infinite where none of its trades reaches the cash floor.
    """
    value = desk.money[VALUE]
    curve, bend = desk.matrix[i, i] / value, desk.money[CASH_PENALTY] / value
    ticket = desk.columns[TICKET_CASH, i]
    price = -bend * (cash - ticket - desk.money[CASH_TARGET])
    center = d[i] - drift_i / desk.matrix[i, i]
    count = choices(desk, i, curve, center, price, bend, found)
    count = _add_limits(desk, i, cash, found, count)
    best, best_cost = d[i], np.inf
    for c in range(count):
        x = found[c]
        left = cash - cash_taken(desk, i, x)
        if left < desk.money[CASH_MIN]:
            continue
        change = x - d[i]
        total = (0.5 * desk.matrix[i, i] * change + drift_i) * change / value
        total += cost(desk, i, x) + cash_cost(desk, left)
        if total < best_cost:
            best, best_cost = x, total
    return best, best_cost


@compiled
def _add_limits(desk: Desk, i: int, cash: float, found: Floats, count: int) -> int:
    """Add the largest purchase that the cash allows and the smallest sale that it needs."""
    step = desk.columns[STEP, i]
    least = least_steps(desk, i)
    room = cash - desk.columns[TICKET_CASH, i] - desk.money[CASH_MIN]
    if room > 0.0:
        steps = np.floor(room / (step * (1.0 + desk.columns[BUY_COST, i])) * (1.0 - SAME * SAME))
        if least <= steps and steps * step < desk.columns[BUY_MAX, i]:
            found[count] = steps * step
            return count + 1
    elif room < 0.0 and desk.columns[SELL_COST, i] < 1.0:
        steps = np.ceil(-room / (step * (1.0 - desk.columns[SELL_COST, i])) * (1.0 + SAME * SAME))
        steps = max(steps, least)
        if steps * step <= sellable(desk, i):
            found[count] = -steps * step
            return count + 1
    return count
