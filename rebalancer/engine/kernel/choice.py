"""The best whole number of steps for one position, all else given: exact, for each side is convex.

A choice is a count of steps (negative: sold), or EXITED. What the rest of the account means to the
position is a `Rest`: prices while a bound is searched, the true cash and group when polishing.
"""

from math import ceil, floor, inf
from typing import NamedTuple

from rebalancer.engine.columns import Floats
from rebalancer.engine.compiled import compiled
from rebalancer.engine.kernel.account import measure_change, measure_flow
from rebalancer.engine.kernel.convex import settle_amount, settle_sale
from rebalancer.engine.kernel.rows import (
    BUY_CASH,
    BUY_COST,
    BUY_MAX,
    EXIT,
    EXITED,
    GAP,
    HELD,
    IMPACT,
    LEAST,
    NEAR,
    PRICE,
    PULL,
    SELL_CASH,
    SELL_COST,
    SELLABLE,
    STEP,
    TICKET,
    TICKET_CASH,
)


class Rest(NamedTuple):
    """What a trade d that spends cash f costs the rest: prices, curvatures and the cash at hand.

    It costs `cash_price f + cash_pull / 2 f^2 + group_price d + group_pull / 2 d^2`, and f may not
    be above `room`.
    """

    cash_price: float
    cash_pull: float
    group_price: float
    group_pull: float
    room: float


@compiled
def trade_of(rows: Floats, i: int, choice: int) -> float:
    """Return the money that a choice trades."""
    return -rows[i, HELD] if choice == EXITED else choice * rows[i, STEP]


@compiled
def count_sellable(rows: Floats, i: int) -> float:
    """Return how many steps can be sold short of the whole holding."""
    steps = rows[i, SELLABLE] / rows[i, STEP]
    if rows[i, EXIT] > 0.0:
        return ceil(steps * (1.0 - NEAR)) - 1.0
    return floor(steps + NEAR)


@compiled
def measure_choice(
    rows: Floats, i: int, segments: Floats, start: int, stop: int, choice: int, rest: Rest
) -> float:
    """Return what a choice changes in the objective, the rest of the account included."""
    if choice == 0:
        return 0.0
    trade = trade_of(rows, i, choice)
    flow = measure_flow(rows, i, trade) + rows[i, TICKET_CASH]
    change = measure_change(rows, i, segments, start, stop, trade, PRICE) + rows[i, TICKET]
    change += trade * (rest.group_price + 0.5 * rest.group_pull * trade)
    return change + flow * (rest.cash_price + 0.5 * rest.cash_pull * flow)


@compiled
def choose(
    rows: Floats, i: int, segments: Floats, start: int, stop: int, rest: Rest
) -> tuple[int, float]:
    """Return a position's best choice and what it changes; infinite where none keeps the room."""
    choice, cost = 0, 0.0 if rest.room >= 0.0 else inf
    other, change = choose_purchase(rows, i, segments, start, stop, rest)
    if change < cost:
        choice, cost = other, change
    other, change = choose_sale(rows, i, segments, start, stop, rest)
    if change < cost:
        choice, cost = other, change
    return choice, cost


@compiled
def choose_purchase(
    rows: Floats, i: int, segments: Floats, start: int, stop: int, rest: Rest
) -> tuple[int, float]:
    """Return the best purchase and what it changes; infinite where buying cannot pay."""
    cash = rows[i, BUY_CASH]
    drive = rows[i, PULL] * rows[i, GAP] - rest.group_price - rows[i, BUY_COST]
    drive -= (rest.cash_price + rest.cash_pull * rows[i, TICKET_CASH]) * cash
    if drive <= 0.0 or rows[i, BUY_MAX] <= 0.0:
        return 0, inf
    step, least = rows[i, STEP], rows[i, LEAST]
    last = float(floor(rows[i, BUY_MAX] / step + NEAR))
    if rest.room < inf:
        last = min(last, floor((rest.room - rows[i, TICKET_CASH]) / (cash * step)))
    if last < least:
        return 0, inf
    pull = rows[i, PULL] + rest.group_pull + rest.cash_pull * cash * cash
    steps = floor(min(settle_amount(pull, rows[i, IMPACT], drive) / step, last))
    return choose_near(rows, i, segments, start, stop, rest, max(steps, least), last, 1.0)


@compiled
def choose_near(
    rows: Floats,
    i: int,
    segments: Floats,
    start: int,
    stop: int,
    rest: Rest,
    steps: float,
    last: float,
    sign: float,
) -> tuple[int, float]:
    """Return the better of so many steps and one more, and what it changes."""
    choice = int(sign * steps)
    cost = measure_choice(rows, i, segments, start, stop, choice, rest)
    if steps + 1.0 <= last:
        other = int(sign * (steps + 1.0))
        change = measure_choice(rows, i, segments, start, stop, other, rest)
        if change < cost:
            return other, change
    return choice, cost


@compiled
def choose_sale(
    rows: Floats, i: int, segments: Floats, start: int, stop: int, rest: Rest
) -> tuple[int, float]:
    """Return the best sale and what it changes; infinite where selling cannot pay or help."""
    if rows[i, SELLABLE] <= 0.0:
        return 0, inf
    cash, ticket = rows[i, SELL_CASH], rows[i, TICKET_CASH]
    drive = (rest.cash_price + rest.cash_pull * ticket) * cash + rest.group_price
    drive -= rows[i, SELL_COST] + rows[i, PULL] * rows[i, GAP]
    if drive <= segments[start, PRICE] and rest.room >= 0.0:
        return 0, inf
    step = rows[i, STEP]
    least, last = rows[i, LEAST], count_sellable(rows, i)
    if rest.room < ticket:
        least = max(least, ceil((ticket - rest.room) / (cash * step)))
    choice, cost = 0, inf
    if last >= least:
        pull = rows[i, PULL] + rest.group_pull + rest.cash_pull * cash * cash
        sold = settle_sale(segments, start, stop, pull, rows[i, IMPACT], drive)
        steps = max(min(floor(sold / step), last), least)
        choice, cost = choose_near(rows, i, segments, start, stop, rest, steps, last, -1.0)
        if steps < last:
            # Dearer and dearer from here on: the whole holding costs more still.
            return choice, cost
    if rows[i, EXIT] > 0.0 and ticket - rows[i, HELD] * cash <= rest.room:
        change = measure_choice(rows, i, segments, start, stop, EXITED, rest)
        if change <= cost:
            return EXITED, change
    return choice, cost
