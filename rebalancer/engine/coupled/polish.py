"""Whole trades for a whole household, improved one position, pair and swap at a time.

A plan is kept with all its sums (cash, rows, caps, turnover, gains), so that a move costs only what
it touches. A broken limit costs `forbidding` a unit of money, dearer than anything it could save:
the same loop first repairs a rounded plan and then improves it.
"""

import math
from typing import NamedTuple

import numpy as np

from rebalancer.engine.columns import Floats
from rebalancer.engine.compiled import compiled
from rebalancer.engine.coupled.positions import (
    DOWN,
    UP,
    WHOLE,
    count_for_sale,
    find_sale,
    price_slices,
    snap_amount,
    solve_side,
)
from rebalancer.engine.coupled.tables import Tables
from rebalancer.engine.coupled.terms import add_up

SLACK = 1e-7  # money by which a limit may be missed in floating point
CANDIDATES = 14
CHAIN_ROUNDS = 3


class Plan(NamedTuple):
    """A plan and its sums, changed in place by `move`."""

    trade: Floats  # [positions]
    gain: Floats  # [positions] realised by its sale
    cash: Floats  # [accounts]
    turnover: Floats  # [accounts]
    row: Floats
    cap: Floats
    gains: Floats  # [1]
    forbidding: Floats  # [1] price of a unit of money beyond a limit


@compiled
def price_trade(tables: Tables, position: int, trade: float) -> tuple[float, float, float]:
    """Return what a trade costs by itself, the cash it takes, and the gain it realises."""
    held = tables.held[position] + trade
    away = held - tables.target[position]
    cost = tables.own[position] / 2 * away * away + tables.holding_cost[position] * held
    if trade == 0:
        return cost, 0.0, 0.0
    amount = abs(trade)
    cost += tables.ticket_cost[position] + tables.impact[position] * amount**1.5
    if trade > 0:
        fee = tables.buy_cost[position]
        return cost + fee * amount, amount * (1 + fee) + tables.ticket_cash[position], 0.0
    fee = tables.sell_cost[position]
    tax, gain = price_slices(tables.slices, position, amount, 0.0, -1)
    return cost + fee * amount + tax, tables.ticket_cash[position] - amount * (1 - fee), gain


@compiled
def price_cash(tables: Tables, plan: Plan, account: int, cash: float) -> float:
    """Return what an account's cash costs, below its minimum too."""
    away = cash - tables.cash_target[account]
    short = max(tables.cash_min[account] - cash - SLACK, 0.0)
    cost: float = tables.cash_weight[account] / 2 * away * away + plan.forbidding[0] * short
    return cost


@compiled
def move(tables: Tables, plan: Plan, position: int, trade: float) -> float:
    """Set the trade of a position and return by how much the plan's cost changes."""
    before, paid, gained = price_trade(tables, position, plan.trade[position])
    after, pays, gains = price_trade(tables, position, trade)
    change = after - before
    account = tables.account[position]
    cash = plan.cash[account]
    change -= price_cash(tables, plan, account, cash)
    cash += paid - pays
    plan.cash[account] = cash
    change += price_cash(tables, plan, account, cash)
    shift = trade - plan.trade[position]
    for link in range(tables.link_offsets[position], tables.link_offsets[position + 1]):
        row = tables.link_row[link]
        away = plan.row[row] - tables.row_target[row]
        change += tables.row_weight[row] * shift * (away + shift / 2)
        plan.row[row] += shift
    excess = 0.0
    for link in range(tables.cap_offsets[position], tables.cap_offsets[position + 1]):
        row = tables.cap_row[link]
        limit = tables.cap_max[row] + SLACK
        excess -= max(plan.cap[row] - limit, 0.0)
        plan.cap[row] += shift
        excess += max(plan.cap[row] - limit, 0.0)
    limit = tables.turnover_max[account] + SLACK
    excess -= max(plan.turnover[account] - limit, 0.0)
    plan.turnover[account] += abs(trade) - abs(plan.trade[position])
    excess += max(plan.turnover[account] - limit, 0.0)
    limit = tables.gains_max[0] + SLACK
    excess -= max(plan.gains[0] - limit, 0.0)
    plan.gains[0] += gains - gained
    excess += max(plan.gains[0] - limit, 0.0)
    plan.trade[position], plan.gain[position] = trade, gains
    change += plan.forbidding[0] * excess
    return change


@compiled
def count_room(tables: Tables, plan: Plan, position: int) -> tuple[float, float, float]:
    """Return the most to buy, the least and the most to sell that limits allow, untraded now.

    The least to sell is what a broken limit asks for. Gains are left to the trial of candidates.
    """
    account = tables.account[position]
    turnover = max(tables.turnover_max[account] - plan.turnover[account], 0.0)
    spare = plan.cash[account] - tables.ticket_cash[position] - tables.cash_min[account]
    buy = min(tables.buy_max[position], turnover, spare / (1 + tables.buy_cost[position]))
    short = tables.cash_min[account] - plan.cash[account]
    least = 0.0
    if short > SLACK:
        least = (short + tables.ticket_cash[position]) / (1 - tables.sell_cost[position])
    for link in range(tables.cap_offsets[position], tables.cap_offsets[position + 1]):
        room = tables.cap_max[tables.cap_row[link]] - plan.cap[tables.cap_row[link]]
        buy = min(buy, room)
        least = max(least, -room)
    sell = min(count_for_sale(tables.slices, position, -1), turnover)
    return max(buy, 0.0), least, max(sell, 0.0)


@compiled
def find_amounts(tables: Tables, plan: Plan, position: int) -> tuple[float, float]:
    """Return the best amounts to buy and to sell were there neither limits nor whole steps."""
    account = tables.account[position]
    weight, pull = tables.own[position], 0.0
    pull = weight * (tables.held[position] - tables.target[position])
    pull += tables.holding_cost[position]
    for link in range(tables.link_offsets[position], tables.link_offsets[position + 1]):
        row = tables.link_row[link]
        weight += tables.row_weight[row]
        pull += tables.row_weight[row] * (plan.row[row] - tables.row_target[row])
    cash_weight = tables.cash_weight[account]
    spare = plan.cash[account] - tables.ticket_cash[position] - tables.cash_target[account]
    fee = tables.buy_cost[position]
    rate = pull + fee - (1 + fee) * cash_weight * spare
    bought = solve_side(rate, weight + (1 + fee) ** 2 * cash_weight, tables.impact[position])
    fee = tables.sell_cost[position]
    rate = fee - pull + (1 - fee) * cash_weight * spare
    curvature = weight + (1 - fee) ** 2 * cash_weight
    return bought, find_sale(
        tables.slices, position, (rate, curvature, tables.impact[position]), 0.0, -1
    )


@compiled
def list_candidates(tables: Tables, plan: Plan, position: int, candidates: Floats) -> int:
    """Fill the trades of an untraded position that may be best, and return how many."""
    buy, least, sell = count_room(tables, plan, position)
    bought, sold = find_amounts(tables, plan, position)
    step, smallest = tables.step[position], tables.smallest[position]
    count = 0
    for rounding in (DOWN, UP):
        x = snap_amount(min(bought, buy), step, smallest, buy, rounding)
        if x > 0 and bought > 0:
            candidates[count] = x
            count += 1
        for amount in (sold, least):
            x = snap_amount(min(amount, sell), step, smallest, sell, rounding)
            if x > 0 and amount > 0:
                candidates[count] = -x
                count += 1
    if sell > 0:
        edge = 0.0
        for number in range(tables.slices.offsets[position], tables.slices.offsets[position + 1]):
            if tables.slices.gain[number] <= 0:
                edge += tables.slices.amount[number]
        # With a gains budget the best sale may end where the losses do.
        x = snap_amount(min(edge, sell), step, smallest, sell, DOWN)
        if x > 0 and math.isfinite(tables.gains_max[0]):
            candidates[count] = -x
            count += 1
        held = tables.held[position]
        if sell >= held * (1 - WHOLE) and held > 0:
            candidates[count] = -held
            count += 1
    return count


@compiled
def respond(tables: Tables, plan: Plan, position: int, candidates: Floats) -> float:
    """Move a position to its best trade given all others and return the change (<= 0)."""
    start = plan.trade[position]
    at_zero = move(tables, plan, position, 0.0)
    best, choice = min(at_zero, 0.0), start
    if at_zero < 0.0:
        choice = 0.0
    count = list_candidates(tables, plan, position, candidates)
    now = at_zero
    for number in range(count):
        now += move(tables, plan, position, candidates[number])
        if now < best - 1e-12 * abs(best):
            best, choice = now, candidates[number]
    now += move(tables, plan, position, choice)
    return now


@compiled
def improve_singly(
    tables: Tables, plan: Plan, candidates: Floats, tolerance: float, rounds: int
) -> float:
    """Let every position respond in turn until a round saves nothing; return the change."""
    total = 0.0
    for _ in range(rounds):
        change = 0.0
        for position in range(len(tables.held)):
            change += respond(tables, plan, position, candidates)
        total += change
        if change > -tolerance:
            break
    return total


@compiled
def improve_pairs(
    tables: Tables, plan: Plan, candidates: Floats, partner: Floats, tolerance: float
) -> float:
    """Nudge every position and let each that shares its account or security respond.

    `partner` [positions, positions] is true for those that share; the best response is kept.
    """
    total = 0.0
    for position in range(len(tables.held)):
        for nudge in range(4):
            start = plan.trade[position]
            trial = nudge_trade(tables, position, start, nudge)
            if trial == start:
                continue
            change = move(tables, plan, position, trial)
            best, choice, answer = -tolerance, -1, 0.0
            for other in range(len(tables.held)):
                if not partner[position, other]:
                    continue
                kept = plan.trade[other]
                both = change + respond(tables, plan, other, candidates)
                if both < best:
                    best, choice, answer = both, other, plan.trade[other]
                move(tables, plan, other, kept)
            if choice >= 0:
                move(tables, plan, choice, answer)
                total += best
            else:
                move(tables, plan, position, start)
    return total


@compiled
def set_trades(tables: Tables, plan: Plan, trades: Floats) -> None:
    """Make the given trades."""
    for position in range(len(trades)):
        if trades[position] != plan.trade[position]:
            move(tables, plan, position, trades[position])


@compiled
def improve_chains(tables: Tables, plan: Plan, candidates: Floats, tolerance: float) -> float:
    """Nudge every position and let all others respond in turn; keep what saves something."""
    total = 0.0
    kept = plan.trade.copy()
    for position in range(len(tables.held)):
        for nudge in range(4):
            trial = nudge_trade(tables, position, plan.trade[position], nudge)
            if trial == plan.trade[position]:
                continue
            kept[:] = plan.trade
            change = move(tables, plan, position, trial)
            for _ in range(CHAIN_ROUNDS):
                before = change
                for other in range(len(tables.held)):
                    if other != position:
                        change += respond(tables, plan, other, candidates)
                if change > before - tolerance:
                    break
            if change < -tolerance:
                total += change
                continue
            set_trades(tables, plan, kept)
    return total


@compiled
def nudge_trade(tables: Tables, position: int, trade: float, nudge: int) -> float:
    """Return a neighbour of a trade: one step up, one down, none at all, the whole holding."""
    step: float = tables.step[position]
    held: float = tables.held[position]
    sellable = count_for_sale(tables.slices, position, -1)
    if nudge == 2:
        return 0.0
    if nudge == 3:
        return -held if sellable >= held * (1 - WHOLE) and held > 0 else trade
    trial = trade + step if nudge == 0 else trade - step
    trial = round(trial / step) * step
    most = tables.buy_max[position] if trial > 0 else sellable
    if abs(trial) > most * (1 + WHOLE) or (trial != 0 and abs(trial) < tables.smallest[position]):
        return trade
    return trial


def start_plan(tables: Tables, forbidding: float) -> Plan:
    """Return the plan in which nothing is traded."""
    position = np.arange(len(tables.held))
    linked = np.repeat(position, np.diff(tables.link_offsets))
    capped = np.repeat(position, np.diff(tables.cap_offsets))
    return Plan(
        trade=np.zeros(len(position)),
        gain=np.zeros(len(position)),
        cash=tables.cash.copy(),
        turnover=np.zeros(len(tables.cash)),
        row=add_up(tables.link_row, tables.held[linked], len(tables.row_target)),
        cap=add_up(tables.cap_row, tables.held[capped], len(tables.cap_max)),
        gains=np.zeros(1),
        forbidding=np.array([forbidding]),
    )
