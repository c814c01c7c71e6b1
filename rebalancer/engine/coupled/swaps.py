"""Swaps across two accounts: buy A and sell B here, sell A and buy B there.

A swap leaves cash and the household's sums as they were, so no move of one or two positions finds
it: it is how a holding changes its account for the tax it bears there.
"""

import numpy as np

from rebalancer.engine.columns import Floats, Ints
from rebalancer.engine.compiled import compiled
from rebalancer.engine.coupled.polish import Plan, move, price_trade
from rebalancer.engine.coupled.positions import WHOLE, count_for_sale
from rebalancer.engine.coupled.tables import Tables

SIZES = 4  # a swap is tried at its largest, and at a quarter of each size
PROBE = 1e-4  # share of the account's holdings by which marginal costs are probed


@compiled
def step_trade(tables: Tables, position: int, trade: float) -> float:
    """Return the allowed trade next to the one wished for; NaN where there is none."""
    if trade == 0:
        return 0.0
    held, step = tables.held[position], tables.step[position]
    sellable = count_for_sale(tables.slices, position, -1)
    snapped: float = round(trade / step) * step
    if snapped <= -held * (1 - WHOLE) and held > 0:
        return -held if sellable >= held * (1 - WHOLE) else np.nan
    if abs(snapped) > 0 and abs(snapped) < tables.smallest[position]:
        return np.nan
    most = tables.buy_max[position] if snapped > 0 else sellable
    return snapped if abs(snapped) <= most * (1 + WHOLE) else np.nan


@compiled
def probe_costs(tables: Tables, plan: Plan, total: Floats, slopes: Floats, room: Floats) -> None:
    """Fill what one unit of money more and less of each position costs, and the room for it.

    `slopes` and `room` are [positions, 2]: up and down. Only the position's own costs count.
    """
    for position in range(len(tables.held)):
        trade = plan.trade[position]
        now, _, _ = price_trade(tables, position, trade)
        most = tables.buy_max[position]
        sellable = count_for_sale(tables.slices, position, -1)
        room[position, 0] = -trade if trade < 0 else most - trade
        room[position, 1] = trade if trade > 0 else sellable + trade
        for side in range(2):
            size = max(tables.step[position], PROBE * total[tables.account[position]])
            size = min(size, room[position, side])
            slopes[position, side] = np.inf
            if size > 0:
                after, _, _ = price_trade(tables, position, trade + (size if side == 0 else -size))
                slopes[position, side] = (after - now) / size


@compiled
def try_swap(tables: Tables, plan: Plan, four: Ints, size: float, trades: Floats) -> float:
    """Make a swap (up, down, up, down) of the given size; return its change, inf: not possible."""
    for leg in range(4):
        position = four[leg]
        wish = plan.trade[position] + (size if leg % 2 == 0 else -size)
        trades[leg] = step_trade(tables, position, wish)
        if not np.isfinite(trades[leg]):
            return np.inf
    change = 0.0
    for leg in range(4):
        before = plan.trade[four[leg]]
        change += move(tables, plan, four[leg], trades[leg])
        trades[leg] = before
    return change


@compiled
def take_swap(tables: Tables, plan: Plan, four: Ints, largest: float, tolerance: float) -> float:
    """Make the best size of a swap and return its change; 0 when none saves anything."""
    trades = np.empty(4)
    best, choice, size = -tolerance, 0.0, largest
    for _ in range(SIZES):
        change = try_swap(tables, plan, four, size, trades)
        if np.isfinite(change):
            for leg in range(4):
                move(tables, plan, four[leg], trades[leg])
            if change < best:
                best, choice = change, size
        size /= 4
    return try_swap(tables, plan, four, choice, trades) if choice > 0 else 0.0


@compiled
def improve_swaps(
    tables: Tables, plan: Plan, places: Ints, total: Floats, tolerance: float
) -> float:
    """Make the swaps that save something; `places` [accounts, securities] holds positions or -1."""
    slopes = np.empty((len(tables.held), 2))
    room = np.empty((len(tables.held), 2))
    probe_costs(tables, plan, total, slopes, room)
    four = np.empty(4, dtype=np.int64)
    saved = 0.0
    accounts, securities = places.shape
    for pair in range(accounts * accounts):
        here, there = pair // accounts, pair % accounts
        if here == there:
            continue
        for cell in range(securities * securities):
            first, second = cell // securities, cell % securities
            four[0], four[1] = places[here, first], places[there, first]
            four[2], four[3] = places[there, second], places[here, second]
            if first == second or four.min() < 0:
                continue
            slope, largest = 0.0, np.inf
            for leg in range(4):
                slope += slopes[four[leg], leg % 2]
                largest = min(largest, room[four[leg], leg % 2])
            if slope < 0 and slope * largest < -tolerance:
                change = take_swap(tables, plan, four, largest, tolerance)
                if change < 0:
                    saved += change
                    probe_costs(tables, plan, total, slopes, room)
    return saved


def find_places(account: Ints, security: Ints, accounts: int) -> Ints:
    """Return the position of each account and security; -1 where there is none."""
    _, number = np.unique(security, return_inverse=True)
    places = np.full((accounts, int(number.max(initial=-1)) + 1), -1)
    places[account, number] = np.arange(len(account))
    return places
