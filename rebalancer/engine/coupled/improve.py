"""Turns wished-for trades into whole ones that meet every limit, and improves them.

First each trade is rounded by itself; single responses repair what that broke; then singles, swaps
across accounts and, while the bound is not met, pairs take turns.
"""

from dataclasses import dataclass

import numpy as np

from rebalancer.engine.columns import Floats, Ints
from rebalancer.engine.compiled import compiled
from rebalancer.engine.coupled.polish import (
    CANDIDATES,
    SLACK,
    Plan,
    improve_chains,
    improve_pairs,
    improve_singly,
    price_trade,
    set_trades,
    start_plan,
)
from rebalancer.engine.coupled.positions import NEAREST, WHOLE, count_for_sale, snap_amount
from rebalancer.engine.coupled.swaps import find_places, improve_swaps
from rebalancer.engine.coupled.tables import Tables, split_slices
from rebalancer.engine.coupled.terms import add_up
from rebalancer.engine.problem import Problem

ROUNDS = 40  # of single responses
TURNS = 4  # of swaps and singles, or of repairs
CHAINED_MAX = 40  # positions; with more, single shares weigh less and chains cost more
LAST_TURNS = 2  # of pairs and singles
SAVING_MIN = 2e-9  # of the household's value: less is no improvement


@dataclass(frozen=True)
class Offer:
    """A plan that meets every limit, with the tables whose order of slices it sells in."""

    trade: Floats
    objective: float
    tables: Tables

    def split(self, problem: Problem) -> Floats:
        """Return the money sold of every segment of the Problem."""
        sold = np.zeros(len(self.tables.slices.amount))
        sell_slices(self.tables, self.trade, sold)
        return split_slices(problem, self.tables, sold)


class Improver:
    """Rounds, repairs and improves plans of one household."""

    def __init__(self, tables: Tables, security: Ints) -> None:
        """Prepare what does not change between plans."""
        account = tables.account
        self._total = add_up(account, tables.held, len(tables.cash))
        self._money = max(float(self._total.sum() + np.abs(tables.cash).sum()), 1.0)
        self._tolerance = SAVING_MIN * self._money
        self._partner = account[:, None] == account[None, :]
        self._partner |= security[:, None] == security[None, :]
        np.fill_diagonal(self._partner, val=False)
        self._places = find_places(account, security, len(tables.cash))
        self._forbidding = measure_forbidding(tables, self._money)

    def take(self, tables: Tables, trade: Floats) -> Offer | None:
        """Return a plan as it is; None where it breaks a limit."""
        plan = start_plan(tables, self._forbidding)
        allowed = np.zeros(len(trade))
        snap_trades(tables, trade, allowed)
        if not np.allclose(allowed, trade, rtol=1e-9, atol=SLACK):
            return None
        set_trades(tables, plan, allowed)
        return self._offer(tables, plan)

    def improve(self, tables: Tables, wish: Floats) -> Offer | None:
        """Return the best plan found from the wished-for trades; None where none was."""
        plan = start_plan(tables, self._forbidding)
        trades = np.zeros(len(wish))
        snap_trades(tables, wish, trades)
        candidates = np.empty(CANDIDATES)
        set_trades(tables, plan, trades)
        improve_singly(tables, plan, candidates, self._tolerance, ROUNDS)
        self._repair(tables, plan, candidates)
        for _ in range(TURNS):
            if improve_swaps(tables, plan, self._places, self._total, self._tolerance) == 0:
                break
            improve_singly(tables, plan, candidates, self._tolerance, ROUNDS)
        return self._offer(tables, plan)

    def _repair(self, tables: Tables, plan: Plan, candidates: Floats) -> None:
        """Let pairs mend what single responses could not."""
        for _ in range(TURNS):
            if measure_excess(tables, plan) == 0:
                break
            improve_pairs(tables, plan, candidates, self._partner, self._tolerance)
            improve_singly(tables, plan, candidates, self._tolerance, ROUNDS)

    def finish(self, offer: Offer, enough: float) -> Offer | None:
        """Improve a plan by pairs too, until it costs no more than `enough`."""
        tables, cost = offer.tables, offer.objective
        plan = start_plan(tables, self._forbidding)
        set_trades(tables, plan, offer.trade)
        candidates = np.empty(CANDIDATES)
        for _ in range(LAST_TURNS):
            if cost <= enough:
                break
            saved = improve_pairs(tables, plan, candidates, self._partner, self._tolerance)
            if len(plan.trade) <= CHAINED_MAX:
                saved += improve_chains(tables, plan, candidates, self._tolerance)
            saved += improve_singly(tables, plan, candidates, self._tolerance, ROUNDS)
            cost += saved
            if saved > -self._tolerance:
                break
        return self._offer(tables, plan)

    def _offer(self, tables: Tables, plan: Plan) -> Offer | None:
        if measure_excess(tables, plan) > 0:
            return None
        return Offer(plan.trade.copy(), price_plan(tables, plan), tables)


def measure_forbidding(tables: Tables, money: float) -> float:
    """Return a price of breaking a limit by one unit of money that nothing can be worth."""
    dearest = 1 + np.abs(tables.slices.tau).max(initial=0) + np.abs(tables.holding_cost).max()
    weights = np.concatenate([tables.own, tables.row_weight, tables.cash_weight])
    return float(10 * (dearest + money * weights.max()))


@compiled
def snap_trades(tables: Tables, wish: Floats, trades: Floats) -> None:
    """Fill the whole, allowed trades nearest to the wished-for ones, each by itself."""
    for position in range(len(wish)):
        amount, step = abs(wish[position]), tables.step[position]
        smallest = tables.smallest[position]
        trades[position] = 0.0
        if amount < max(smallest, step) / 2:
            continue
        if wish[position] > 0:
            largest = tables.buy_max[position]
            trades[position] = snap_amount(amount, step, smallest, largest, NEAREST)
            continue
        held = tables.held[position]
        largest = count_for_sale(tables.slices, position, -1)
        is_whole = largest >= held * (1 - WHOLE) and held > 0
        if is_whole and amount >= held - step / 2:
            trades[position] = -held
        else:
            trades[position] = -snap_amount(amount, step, smallest, largest, NEAREST)


@compiled
def sell_slices(tables: Tables, trade: Floats, sold: Floats) -> None:
    """Fill the money sold of every slice, each position's in order."""
    for position in range(len(trade)):
        left = max(-trade[position], 0.0)
        for number in range(tables.slices.offsets[position], tables.slices.offsets[position + 1]):
            part = min(left, tables.slices.amount[number])
            sold[number] = part
            left -= part


@compiled
def price_plan(tables: Tables, plan: Plan) -> float:
    """Return the objective of a plan, and what its broken limits cost."""
    total: float = plan.forbidding[0] * measure_excess(tables, plan)
    for position in range(len(plan.trade)):
        cost, _, _ = price_trade(tables, position, plan.trade[position])
        total += cost
    for account in range(len(plan.cash)):
        away = plan.cash[account] - tables.cash_target[account]
        total += tables.cash_weight[account] / 2 * away * away
    for row in range(len(plan.row)):
        away = plan.row[row] - tables.row_target[row]
        total += tables.row_weight[row] / 2 * away * away
    return total


@compiled
def measure_excess(tables: Tables, plan: Plan) -> float:
    """Return by how much money a plan breaks its limits, beyond what rounding may."""
    excess = 0.0
    slack = 2 * SLACK
    for account in range(len(plan.cash)):
        excess += max(tables.cash_min[account] - plan.cash[account] - slack, 0.0)
        excess += max(plan.turnover[account] - tables.turnover_max[account] - slack, 0.0)
    for row in range(len(plan.cap)):
        excess += max(plan.cap[row] - tables.cap_max[row] - slack, 0.0)
    excess += max(plan.gains[0] - tables.gains_max[0] - slack, 0.0)
    return excess
