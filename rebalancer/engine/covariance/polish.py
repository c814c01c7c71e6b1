"""Turns a continuous plan with a full covariance into the best one of whole steps found, compiled.

Rounds it, makes the cash fit, then improves one position, and pairs of positions, at a time, always
with the full objective; starts from doing nothing as well, and the better one counts.
"""

import numpy as np

from rebalancer.engine.columns import Floats
from rebalancer.engine.compiled import compiled
from rebalancer.engine.covariance.desk import (
    BUY_MAX,
    CASH_MIN,
    HELD,
    STEP,
    VALUE,
    Desk,
    copy_into,
    refresh,
    sellable,
)
from rebalancer.engine.covariance.discrete import (
    SAME,
    STEPS_MAX,
    can_exit,
    cash_after,
    cash_cost,
    cash_taken,
    cash_without,
    choices,
    cost,
    least_steps,
    measure,
    respond_discrete,
)

ROUNDS_MAX = 60
# So many pairs of positions are tried for one plan.
PAIRS_MAX = 200_000
# An improvement counts from this share of V on: below it, rounding errors could go in circles.
WORTHWHILE = 1e-13


@compiled
def move(desk: Desk, i: int, x: float, d: Floats, drift: Floats) -> None:
    """Trade `x` of position `i` instead."""
    for j in range(len(d)):
        drift[j] += desk.matrix[i, j] * (x - d[i])
    d[i] = x


@compiled
def place(desk: Desk, i: int, d: Floats, cash: float) -> float:
    """Return position `i`'s part of the objective at its present trade."""
    return cost(desk, i, d[i]) + cash_cost(desk, cash - cash_taken(desk, i, d[i]))


@compiled
def descend(desk: Desk, d: Floats, drift: Floats, found: Floats) -> None:
    """Let positions respond in turn until none gains."""
    enough = WORTHWHILE * desk.money[VALUE]
    for _ in range(ROUNDS_MAX):
        has_gained = False
        for i in range(len(d)):
            cash = cash_without(desk, d, i)
            x, total = respond_discrete(desk, i, d, drift[i], cash, found)
            if x != d[i] and total < place(desk, i, d, cash) - enough:
                move(desk, i, x, d, drift)
                has_gained = True
        if not has_gained:
            return


@compiled
def improve_pairs(desk: Desk, d: Floats, drift: Floats, found: Floats, tried: Floats) -> bool:
    """Make the best move of two positions at once, if one gains: a step or a switch, and its reply.

    `found` and `tried` are scratch space. Return whether a move was made.
    """
    value, cash_now = desk.money[VALUE], cash_after(desk, d)
    gain, first, second = -WORTHWHILE * value, -1, -1
    first_x, second_x = 0.0, 0.0
    for i in range(len(d)):
        tries = _neighbours(desk, i, d[i], tried)
        for t in range(tries):
            x = tried[t]
            change = x - d[i]
            own = (0.5 * desk.matrix[i, i] * change + drift[i]) * change / value
            own += cost(desk, i, x) - cost(desk, i, d[i])
            less = cash_taken(desk, i, x) - cash_taken(desk, i, d[i])
            for j in range(len(d)):
                if j == i:
                    continue
                cash = cash_now + cash_taken(desk, j, d[j])
                drift_j = drift[j] + desk.matrix[i, j] * change
                y, total = respond_discrete(desk, j, d, drift_j, cash - less, found)
                total += own - cost(desk, j, d[j]) - cash_cost(desk, cash_now)
                if total < gain:
                    gain, first, first_x, second, second_x = total, i, x, j, y
    if first < 0:
        return False
    first_old, second_old = d[first], d[second]
    move(desk, first, first_x, d, drift)
    move(desk, second, second_x, d, drift)
    if cash_after(desk, d) >= desk.money[CASH_MIN]:
        return True
    # The running cash was off by a rounding error: the exact one decides.
    move(desk, first, first_old, d, drift)
    move(desk, second, second_old, d, drift)
    return False


@compiled
def _neighbours(desk: Desk, i: int, x: float, tried: Floats) -> int:
    """Write the trades next to `x` that are allowed to `tried`; return how many."""
    step = desk.columns[STEP, i]
    least = least_steps(desk, i) * step
    is_exit_allowed = can_exit(desk, i)
    held, total = desk.columns[HELD, i], sellable(desk, i)
    count = 0
    if is_exit_allowed and x != -held:
        tried[count] = -held
        count += 1
    if x != 0.0:
        tried[count] = 0.0
        count += 1
    # The whole steps next to `x`, which is an exit or a multiple already.
    steps = np.round(x / step)
    for sign in (-1.0, 1.0):
        y = (steps + sign) * step
        if abs(y) < least * (1.0 - SAME) and y != 0.0:
            y = sign * least
        if x == -held and is_exit_allowed and sign < 0.0:
            continue
        is_sale_allowed = y > -held if is_exit_allowed else y >= -total * (1.0 + SAME)
        if y != 0.0 and y <= desk.columns[BUY_MAX, i] * (1.0 + SAME) and is_sale_allowed:
            tried[count] = y
            count += 1
    return count


@compiled
def raise_cash(desk: Desk, d: Floats, drift: Floats, found: Floats) -> bool:
    """Make the cash floor hold, by one trade if one can, else by the cheapest cash first."""
    for _ in range(len(d) + 1):
        if cash_after(desk, d) >= desk.money[CASH_MIN]:
            return True
        best, best_x, best_cost = -1, 0.0, np.inf
        source, source_x, source_cost = -1, 0.0, np.inf
        for i in range(len(d)):
            cash = cash_without(desk, d, i)
            x, total = respond_discrete(desk, i, d, drift[i], cash, found)
            now = place(desk, i, d, cash)
            if total - now < best_cost:
                best, best_x, best_cost = i, x, total - now
            x = _most_cash(desk, i)
            brings = cash_taken(desk, i, d[i]) - cash_taken(desk, i, x)
            if brings > 0.0:
                change = x - d[i]
                total = (0.5 * desk.matrix[i, i] * change + drift[i]) * change
                total = total / desk.money[VALUE] + cost(desk, i, x) - cost(desk, i, d[i])
                if total / brings < source_cost:
                    source, source_x, source_cost = i, x, total / brings
        if best >= 0:
            move(desk, best, best_x, d, drift)
        elif source >= 0:
            move(desk, source, source_x, d, drift)
        else:
            return False
    return bool(cash_after(desk, d) >= desk.money[CASH_MIN])


@compiled
def _most_cash(desk: Desk, i: int) -> float:
    """Return the trade of one position that leaves the most cash."""
    step, total = desk.columns[STEP, i], sellable(desk, i)
    if can_exit(desk, i):
        x = -desk.columns[HELD, i]
    else:
        steps = min(np.floor(total / step + SAME), STEPS_MAX)
        x = -steps * step if steps >= least_steps(desk, i) else 0.0
    return x if cash_taken(desk, i, x) < 0.0 else 0.0


@compiled
def round_trades(desk: Desk, mu: float, d: Floats, drift: Floats, found: Floats) -> None:
    """Round every trade by itself; the others' pull and the price of cash stay as they were."""
    value = desk.money[VALUE]
    rounded = d.copy()
    for i in range(len(d)):
        curve = desk.matrix[i, i] / value
        center = d[i] - drift[i] / desk.matrix[i, i]
        count = choices(desk, i, curve, center, mu, 0.0, found)
        best = np.inf
        for c in range(count):
            off = found[c] - center
            total = 0.5 * curve * off * off + cost(desk, i, found[c])
            total += mu * cash_taken(desk, i, found[c])
            if total < best:
                best, rounded[i] = total, found[c]
    copy_into(d, rounded)
    refresh(desk, d, drift)


@compiled
def polish(desk: Desk, d: Floats, drift: Floats, found: Floats, tried: Floats) -> float:
    """Improve trades that keep the cash floor until no move of one or two gains; return J."""
    descend(desk, d, drift, found)
    # With hundreds of positions a round takes long, and a single step matters little.
    for _ in range(1 + min(ROUNDS_MAX, PAIRS_MAX // max(1, len(d) ** 2))):
        if not improve_pairs(desk, d, drift, found, tried):
            break
        descend(desk, d, drift, found)
    refresh(desk, d, drift)
    return measure(desk, d)


@compiled
def solve_whole(desk: Desk, mu: float, d: Floats, drift: Floats) -> float:
    """Turn continuous trades `d` into the best allowed ones found near them; return J.

    Without a price of cash (infinite) it starts from doing nothing. Where the cash floor cannot be
    reached, all that may be sold is sold, and J is infinite.
    """
    found, tried = np.empty(8), np.empty(4)
    if np.isfinite(mu):
        round_trades(desk, mu, d, drift, found)
    else:
        copy_into(d, np.zeros(len(d)))
        refresh(desk, d, drift)
    if not raise_cash(desk, d, drift, found):
        return np.inf
    return polish(desk, d, drift, found, tried)
