"""A lower bound on what any plan of the household can cost, from the prices of a relaxation.

At given prices of cash, rows, caps, turnover and gains the household falls apart into positions,
and each is minimised exactly: whole steps, smallest trades, tickets. The positions of a wash window
stay together with the row that spans them (the household's target of that security): each of the
window's two sides is minimised at its own best price of that row, and the cheaper one counts. By
weak duality the sum is a bound whatever the prices, so an imprecise relaxation makes it looser,
never wrong.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rebalancer.engine.columns import Bools, Floats, Ints
from rebalancer.engine.compiled import compiled
from rebalancer.engine.coupled.positions import price_position
from rebalancer.engine.coupled.relaxation import Relaxed
from rebalancer.engine.coupled.tables import Tables, price_gains
from rebalancer.engine.coupled.terms import add_up

OPEN, KEPT, UNBOUGHT = 0, 1, 2  # a wash window: undecided, its losses kept, nothing bought
ROW_ROUNDS = 12  # trials of the price of a window's row
ROW_GAP = 1e-8  # of the holdings, over all windows: what more trials could gain


class Windows(NamedTuple):
    """Which positions each wash window ties; one in several windows is held to its first only.

    A last, extra "window" holds the positions that are in none.
    """

    offsets: Ints  # [windows + 2], into position
    position: Ints
    may_not_buy: Bools  # [positions] its window blocks buying it
    row: Ints  # [windows] the row over exactly the window's positions; -1: none

    @property
    def size(self) -> int:
        """Return how many windows there are."""
        return len(self.row)


@dataclass(frozen=True)
class Bound:
    """What each side of every window costs at one relaxation's prices, and all the rest."""

    rest: float
    sides: Floats  # [windows, 2] the losses are kept; nothing is bought

    def count(self, chosen: Ints) -> float:
        """Return the bound when these sides are chosen: KEPT, UNBOUGHT or OPEN, the cheaper."""
        cost = self.sides.min(axis=1)
        cost = np.where(chosen == KEPT, self.sides[:, 0], cost)
        cost = np.where(chosen == UNBOUGHT, self.sides[:, 1], cost)
        return float(self.rest + cost.sum())

    def measure_savings(self, chosen: Ints) -> Floats:
        """Return by window how much cheaper the other side would be; 0 where dearer."""
        kept, unbought = self.sides.T
        saving = np.where(chosen == KEPT, kept - unbought, unbought - kept)
        savings: Floats = np.maximum(saving, 0)
        return savings


def build_windows(tables: Tables) -> Windows:
    """Return the windows of a household by position."""
    count = len(tables.window_offsets) - 1
    position = np.repeat(np.arange(len(tables.held)), np.diff(tables.slices.offsets))
    window = np.full(len(tables.held), count)
    at_loss = tables.slices.window >= 0
    np.minimum.at(window, position[at_loss], tables.slices.window[at_loss])
    owner = np.repeat(np.arange(count), np.diff(tables.window_offsets))
    np.minimum.at(window, tables.window_position, owner)
    may_not_buy = np.zeros(len(tables.held), dtype=bool)
    may_not_buy[tables.window_position[window[tables.window_position] == owner]] = True
    offsets = np.concatenate([[0], np.cumsum(np.bincount(window, minlength=count + 1))])
    order = np.argsort(window, kind="stable")
    return Windows(offsets, order, may_not_buy, _find_rows(tables, window, count))


def _find_rows(tables: Tables, window: Ints, count: int) -> Ints:
    """Return by window the heaviest row over exactly its positions; -1 where there is none."""
    linked = np.repeat(np.arange(len(tables.held)), np.diff(tables.link_offsets))
    rows = len(tables.row_target)
    lowest, highest = np.full(rows, count), np.full(rows, -1)
    np.minimum.at(lowest, tables.link_row, window[linked])
    np.maximum.at(highest, tables.link_row, window[linked])
    # A row over some of the window's positions alone would charge its price to the others as well.
    sizes = np.append(np.bincount(window, minlength=count + 1)[:count], -1)
    members = np.bincount(tables.link_row, minlength=rows)
    inside = np.flatnonzero(
        (lowest == highest) & (lowest < count) & (members == sizes[np.minimum(lowest, count)])
    )
    inside = inside[np.argsort(tables.row_weight[inside], kind="stable")]
    row = np.full(count + 1, -1)
    row[lowest[inside]] = inside  # the last one written is the heaviest
    return row[:count]


def bound_household(tables: Tables, windows: Windows, relaxed: Relaxed) -> Bound:
    """Return the bounds that the prices of a relaxation give: of whichever branch it was."""
    sorted_tables = price_gains(tables, relaxed.gain_price) if relaxed.gain_price else tables
    is_open = np.ones(len(tables.row_target), dtype=bool)
    is_open[windows.row[windows.row >= 0]] = False
    least = np.empty((windows.size + 1, 2))
    bound_windows(
        sorted_tables,
        windows,
        Prices(
            _price_holdings(tables, relaxed, is_open),
            relaxed.cash_price,
            relaxed.turnover_price,
            relaxed.gain_price,
        ),
        relaxed.row_price,
        ROW_GAP * float(tables.held.sum()) / (windows.size + 1),
        least,
    )
    return Bound(float(least[-1, 0] + _price_ties(tables, relaxed, is_open)), least[:-1])


def _price_holdings(tables: Tables, relaxed: Relaxed, is_open: Bools) -> Floats:
    """Return what the open rows and the caps charge for holding a unit of money by position."""
    position = np.arange(len(tables.held))
    linked = np.repeat(position, np.diff(tables.link_offsets))
    capped = np.repeat(position, np.diff(tables.cap_offsets))
    price = np.where(is_open, relaxed.row_price, 0.0)
    slope = add_up(linked, price[tables.link_row], len(position))
    slope += add_up(capped, relaxed.cap_price[tables.cap_row], len(position))
    return slope


def _price_ties(tables: Tables, relaxed: Relaxed, is_open: Bools) -> float:
    """Return the dual terms of cash, open rows, caps, turnover and gains."""
    price, weight = relaxed.cash_price, tables.cash_weight
    position = np.repeat(np.arange(len(tables.held)), np.diff(tables.slices.offsets))
    proceeds = add_up(tables.account[position], tables.slices.amount, len(price))
    most = np.maximum(tables.cash + proceeds, tables.cash_min)
    free = tables.cash_target - price / np.where(weight > 0, weight, 1.0)
    free = np.where(weight > 0, free, np.where(price < 0, most, tables.cash_min))
    cash = np.clip(free, tables.cash_min, most)
    total = (weight / 2 * (cash - tables.cash_target) ** 2 + price * (cash - tables.cash)).sum()
    rows = relaxed.row_price[is_open]
    total -= (rows * tables.row_target[is_open]).sum()
    total -= (rows**2 / (2 * tables.row_weight[is_open])).sum()
    total -= (relaxed.cap_price * tables.cap_max).sum()
    limited = relaxed.turnover_price > 0
    total -= (relaxed.turnover_price[limited] * tables.turnover_max[limited]).sum()
    if relaxed.gain_price > 0:
        total -= relaxed.gain_price * tables.gains_max[0]
    return float(total)


class Prices(NamedTuple):
    """The prices at which windows are bounded, rows apart."""

    slope: Floats  # [positions] of holding
    cash: Floats  # [accounts]
    turnover: Floats  # [accounts]
    gain: float


@compiled
def price_window(
    tables: Tables, windows: Windows, prices: Prices, window: int, side: int, row_price: float
) -> tuple[float, float]:
    """Return the least cost of a window's side at a price of its row, and what is then held."""
    cost, held = 0.0, 0.0
    is_real = window < len(windows.row)
    for place in range(windows.offsets[window], windows.offsets[window + 1]):
        position = windows.position[place]
        account = tables.account[position]
        four = (
            prices.slope[position] + row_price,
            prices.cash[account],
            prices.turnover[account],
            prices.gain,
        )
        kept = window if is_real and side == 0 else -1
        may_buy = side == 0 or not windows.may_not_buy[position]
        value, trade = price_position(tables, position, four, kept, may_buy)
        cost += value
        held += tables.held[position] + trade
    return cost, held


@compiled
def bound_side(
    tables: Tables,
    windows: Windows,
    prices: Prices,
    window: int,
    side: int,
    row_price: float,
    gap: float,
) -> float:
    """Return a window's side at the best price of its row that a few trials find.

    The price should be what the row's sum at that price is away from its target; `low` is a price
    at which the sum is too high for that, `high` one at which it is too low.
    """
    row = windows.row[window]
    target, weight = tables.row_target[row], tables.row_weight[row]
    best, price = -np.inf, row_price
    low, high, above, below = 0.0, 0.0, 0.0, 0.0
    for trial in range(ROW_ROUNDS):
        cost, held = price_window(tables, windows, prices, window, side, price)
        best = max(best, cost - price * target - price * price / (2 * weight))
        excess = held - target - price / weight
        if excess >= 0:
            # Illinois: an end that stays twice loses half its weight.
            if trial > 1:
                below /= 2
            low, above = price, excess
        else:
            if trial > 1:
                above /= 2
            high, below = price, excess
        if trial == 0:
            price = weight * (held - target)
            continue
        if min(above, -below) * (high - low) <= gap:
            break
        price = low + (high - low) * above / (above - below)
    return best


@compiled
def bound_windows(
    tables: Tables,
    windows: Windows,
    prices: Prices,
    row_price: Floats,
    gap: float,
    least: Floats,
) -> None:
    """Fill `least` [windows + 1, 2] with what each side costs; the last: positions in none."""
    count = len(windows.row)
    for window in range(count):
        row = windows.row[window]
        for side in range(2):
            if row >= 0:
                least[window, side] = bound_side(
                    tables, windows, prices, window, side, row_price[row], gap
                )
            else:
                least[window, side], _ = price_window(tables, windows, prices, window, side, 0.0)
    least[count, 0], _ = price_window(tables, windows, prices, count, 0, 0.0)
    least[count, 1] = least[count, 0]
