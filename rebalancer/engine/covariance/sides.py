"""Which securities one account buys, sells or leaves alone, where that is not convex; compiled.

Tickets and smallest trades make leaving alone a choice of its own, and losses worth a round trip
make buying and selling exclude each other. A local search, one security at a time: for given
choices the rest is convex and solved exactly.
"""

import numpy as np

from rebalancer.engine.columns import Bools, Floats, Ints
from rebalancer.engine.compiled import compiled
from rebalancer.engine.covariance.convex import solve_continuous
from rebalancer.engine.covariance.desk import (
    BUY_MAX,
    CASH,
    CASH_MIN,
    HELD,
    SMALLEST,
    TICKET_CASH,
    TICKET_PRICE,
    VALUE,
    Desk,
    copy_into,
    sellable,
    washed,
)
from rebalancer.engine.covariance.discrete import cash_after, measure
from rebalancer.engine.covariance.polish import move

SELL, LEAVE, BUY, FREE = -1, 0, 1, 2
PASSES_MAX = 4
# Above so many positions each attempt takes long, and each security matters little.
POSITIONS_MAX = 80


@compiled
def choose_sides(desk: Desk, mu: float, d: Floats, drift: Floats) -> float:
    """Replace relaxed trades by the best found with one side for every security; return `mu`.

    Whole steps do not count yet. What is sold and bought at once starts on its net side.
    """
    count = len(d)
    is_mixed, is_fixed = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    sides = _first_sides(desk, mu, d, is_mixed, is_fixed)
    if not (is_mixed.any() or is_fixed.any()):
        return mu
    buy_max, last = desk.columns[BUY_MAX].copy(), desk.last.copy()
    best, best_mu = _attempt(desk, sides, buy_max, last, d, drift)
    if not np.isfinite(best_mu):  # the cash may need what was to be bought
        sides = np.where(is_mixed, SELL, FREE)
        best, best_mu = _attempt(desk, sides, buy_max, last, d, drift)
    since_gain, turns = 0, 0
    while since_gain < count and turns < PASSES_MAX * count and count <= POSITIONS_MAX:
        i = turns % count
        since_gain, turns = since_gain + 1, turns + 1
        for side in (SELL, LEAVE, BUY, FREE):
            old = sides[i]
            if side == old or not _is_choice(side, is_mixed[i], is_fixed[i]):
                continue
            sides[i] = side
            total, plan_mu = _improve(desk, sides, buy_max, last, d, drift, best)
            if total < best:
                best, best_mu, since_gain = total, plan_mu, 0
            else:
                sides[i] = old
        for j in range(count):
            # What one buys the other may have to sell: both change sides at once.
            if not (is_mixed[i] and is_mixed[j] and sides[i] * sides[j] == -1):
                continue
            sides[i], sides[j] = sides[j], sides[i]
            total, plan_mu = _improve(desk, sides, buy_max, last, d, drift, best)
            if total < best:
                best, best_mu, since_gain = total, plan_mu, 0
            else:
                sides[i], sides[j] = sides[j], sides[i]
    _open_limits(desk, buy_max, last)
    return best_mu


@compiled
def _first_sides(desk: Desk, mu: float, d: Floats, is_mixed: Bools, is_fixed: Bools) -> Ints:
    """Tell which securities have a choice of sides, or to be left alone; return where they are."""
    sides = np.empty(len(d), np.int64)
    for i in range(len(d)):
        is_mixed[i] = desk.columns[BUY_MAX, i] > 0.0 and washed(desk, i, mu) > desk.first[i]
        ticket = desk.columns[TICKET_CASH, i] + desk.money[TICKET_PRICE]
        is_fixed[i] = ticket > 0.0 or desk.columns[SMALLEST, i] > 0.0
        sides[i] = FREE
        if is_mixed[i]:
            sides[i] = BUY if d[i] > 0.0 else SELL
    return sides


@compiled
def _improve(
    desk: Desk,
    sides: Ints,
    buy_max: Floats,
    last: Ints,
    d: Floats,
    drift: Floats,
    best: float,
) -> tuple[float, float]:
    """Solve for given sides and keep the trades if they beat `best`; return J and `mu`."""
    plan, plan_drift = d.copy(), drift.copy()
    total, mu = _attempt(desk, sides, buy_max, last, plan, plan_drift)
    if total >= best - 1e-12 * desk.money[VALUE]:
        return np.inf, mu
    copy_into(d, plan)
    copy_into(drift, plan_drift)
    return total, mu


@compiled
def _is_choice(side: int, is_mixed: bool, is_fixed: bool) -> bool:  # noqa: FBT001 - compiled
    """Return whether a security may be put on a side: on both at once only where that is convex."""
    if side == LEAVE:
        return is_fixed
    return is_mixed if side != FREE else not is_mixed


@compiled
def _keep_sides(desk: Desk, sides: Ints, buy_max: Floats, last: Ints) -> None:
    """Close the side that each security is not to be traded on."""
    for i in range(len(sides)):
        desk.columns[BUY_MAX, i] = buy_max[i] if sides[i] >= BUY else 0.0
        desk.last[i] = last[i] if sides[i] in (SELL, FREE) else desk.first[i]


@compiled
def _open_limits(desk: Desk, buy_max: Floats, last: Ints) -> None:
    """Open all sides again."""
    for i in range(len(last)):
        desk.columns[BUY_MAX, i] = buy_max[i]
        desk.last[i] = last[i]


@compiled
def _attempt(
    desk: Desk, sides: Ints, buy_max: Floats, last: Ints, plan: Floats, drift: Floats
) -> tuple[float, float]:
    """Solve for given sides, from `plan` on; return the objective, tickets included, and `mu`.

    Trades that come out too small are dropped or raised; the rounding makes their cash fit.
    Infinite where the cash floor cannot be reached.
    """
    _keep_sides(desk, sides, buy_max, last)
    cash = desk.money[CASH]
    for i in range(len(plan)):
        bounded = min(max(plan[i], -sellable(desk, i)), desk.columns[BUY_MAX, i])
        move(desk, i, bounded, plan, drift)
        if sides[i] != LEAVE:
            desk.money[CASH] -= desk.columns[TICKET_CASH, i]
    mu = solve_continuous(desk, plan, drift)
    desk.money[CASH] = cash
    if not np.isfinite(mu):
        return np.inf, mu
    for i in range(len(plan)):
        least, size = desk.columns[SMALLEST, i], abs(plan[i])
        if 0.0 < size < least and plan[i] != -desk.columns[HELD, i]:
            raised = least if plan[i] > 0.0 else -least
            is_allowed = -sellable(desk, i) <= raised <= desk.columns[BUY_MAX, i]
            move(desk, i, raised if is_allowed and 2.0 * size > least else 0.0, plan, drift)
    _open_limits(desk, buy_max, last)
    if cash_after(desk, plan) < desk.money[CASH_MIN] - 1e-9 * desk.money[VALUE]:
        return np.inf, mu
    return measure(desk, plan), mu
