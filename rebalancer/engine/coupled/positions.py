"""One position by itself: what a trade of it costs, and which trade is best at given prices.

Along a buy or a sale the cost is `rate * x + curvature / 2 * x^2 + impact * x^(3/2)`, for a sale
plus the slices' own prices in their order: convex on each side, so the best whole number of steps
is next to the best amount.
"""

import math

from rebalancer.engine.compiled import compiled
from rebalancer.engine.coupled.tables import Slices, Tables

DOWN, NEAREST, UP = -1, 0, 1
WHOLE = 1e-9  # a holding is sold whole, and a step complete, within this share


@compiled
def solve_side(rate: float, curvature: float, impact: float) -> float:
    """Return the amount x >= 0 where rate + curvature x + 1.5 impact sqrt(x) = 0; inf: never."""
    if rate >= 0:
        return 0.0
    if impact > 0:
        slope = 1.5 * impact
        # The root of curvature u^2 + slope u + rate, in the form that needs no division by zero.
        root = -2 * rate / (slope + math.sqrt(slope * slope - 4 * curvature * rate))
        return root * root
    return -rate / curvature if curvature > 0 else math.inf


@compiled
def count_for_sale(slices: Slices, position: int, window: int) -> float:
    """Return the money that may be sold; the losses of `window` stay (-1: all may go)."""
    total = 0.0
    for number in range(slices.offsets[position], slices.offsets[position + 1]):
        if window < 0 or slices.window[number] != window:
            total += slices.amount[number]
    return total


@compiled
def find_sale(
    slices: Slices,
    position: int,
    terms: tuple[float, float, float],
    gain_price: float,
    window: int,
) -> float:
    """Return the best amount to sell, in order, at `terms`: rate, curvature and impact."""
    sold = 0.0
    rate, curvature, impact = terms
    for number in range(slices.offsets[position], slices.offsets[position + 1]):
        if window >= 0 and slices.window[number] == window:
            continue
        price = slices.tau[number] + gain_price * slices.gain[number]
        end = sold + slices.amount[number]
        best = solve_side(rate + price, curvature, impact)
        if best <= sold:
            return sold
        if best < end:
            return best
        sold = end
    return sold


@compiled
def price_slices(
    slices: Slices, position: int, amount: float, gain_price: float, window: int
) -> tuple[float, float]:
    """Return the tax (at the gains' price too) and the gain of selling an amount in order."""
    tax, gain, left = 0.0, 0.0, amount
    for number in range(slices.offsets[position], slices.offsets[position + 1]):
        if window >= 0 and slices.window[number] == window:
            continue
        part = min(left, slices.amount[number])
        tax += part * (slices.tau[number] + gain_price * slices.gain[number])
        gain += part * slices.gain[number]
        left -= part
        if left <= 0:
            break
    return tax, gain


@compiled
def snap_amount(
    amount: float, step: float, smallest: float, largest: float, rounding: int
) -> float:
    """Return a whole number of steps next to an amount, in [smallest, largest]; 0 if none is.

    `rounding` is DOWN, NEAREST or UP.
    """
    steps = amount / step
    if rounding == UP:
        steps = math.ceil(steps - WHOLE)
    else:
        steps = math.floor(steps + (WHOLE if rounding == DOWN else 0.5))
    least = max(math.ceil(smallest / step - WHOLE), 1.0)
    most = math.floor(largest / step + WHOLE)
    if most < least:
        return 0.0
    return min(max(steps, least), most) * step


@compiled
def price_position(
    tables: Tables,
    position: int,
    prices: tuple[float, float, float, float],
    window: int,
    may_buy: bool,  # noqa: FBT001 (compiled functions take positional arguments)
) -> tuple[float, float]:
    """Return the least cost of a position at the prices of what ties it to others, and its trade.

    `prices` are of holding it, of cash, of turnover and of gains; the losses of `window` are not
    sold (-1: no such rule).
    """
    slope, cash_price, turnover_price, gain_price = prices
    held, own = tables.held[position], tables.own[position]
    away = held - tables.target[position]
    slope += tables.holding_cost[position]
    pull = own * away + slope
    fixed = tables.ticket_cost[position] + cash_price * tables.ticket_cash[position]
    step, smallest = tables.step[position], tables.smallest[position]
    impact = tables.impact[position]
    best, trade = 0.0, 0.0
    if may_buy:
        fee = tables.buy_cost[position]
        rate = pull + fee + cash_price * (1 + fee) + turnover_price
        amount = min(solve_side(rate, own, impact), tables.buy_max[position])
        for rounding in (DOWN, UP):
            x = snap_amount(amount, step, smallest, tables.buy_max[position], rounding)
            cost = fixed + x * (rate + own * x / 2) + impact * x**1.5
            if x > 0 and cost < best:
                best, trade = cost, x
    fee = tables.sell_cost[position]
    rate = fee - pull - cash_price * (1 - fee) + turnover_price
    largest = count_for_sale(tables.slices, position, window)
    amount = find_sale(tables.slices, position, (rate, own, impact), gain_price, window)
    for choice in range(3):
        x = snap_amount(amount, step, smallest, largest, UP if choice == 1 else DOWN)
        if choice == 2:
            x = held if largest >= held * (1 - WHOLE) else 0.0
        tax, _ = price_slices(tables.slices, position, x, gain_price, window)
        cost = fixed + x * (rate + own * x / 2) + impact * x**1.5 + tax
        if x > 0 and cost < best:
            best, trade = cost, -x
    return best + own * away * away / 2 + slope * held, trade
