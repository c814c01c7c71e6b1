"""A Plan: trades with the lots they sell, and what they cost before any tax on gains.

A kernel's answer leaves out which segments are sold, because its prices say so. Where two answers
are mixed, or the price of gain is not the one that tax law sets, the segments must be written down.
"""

from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from rebalancer.engine.columns import Bools, Floats, Ints
from rebalancer.engine.compiled import compiled
from rebalancer.engine.problem import Problem, Solution, measure_cash
from rebalancer.engine.subproblem import Selection, label_rows

Rows = TypeVar("Rows", Ints, Bools)


@dataclass(frozen=True)
class Plan:
    """What to trade and sell. The arrays are a plan's own: `put` writes into them."""

    trade: Floats  # [positions] money
    steps: Ints  # [positions]
    is_exit: Bools  # [positions]
    sold: Floats  # [segments] money
    tau: Floats  # [segments] price of selling that the trades were chosen at
    cash: Floats  # [accounts] after trading
    cost: Floats  # [accounts] objective without tax on gains, but with what waiting would save
    bound: Floats  # [accounts] no plan's cost, with gains at tau, is less
    multiplier: Floats  # [accounts]

    def put(self, part: "Plan", selection: Selection, is_kept: Bools | None = None) -> None:
        """Overwrite the selected accounts, or those of the units that are kept, with a part's."""
        if is_kept is None:
            is_kept = np.ones(int(selection.unit.max(initial=-1)) + 1, np.bool_)
        accounts, positions, segments = selection.only(is_kept)
        for field in fields(self):
            rows = _choose(field.name, (accounts, positions, segments))
            places = _choose(
                field.name, (selection.accounts, selection.positions, selection.segments)
            )
            getattr(self, field.name)[places[rows]] = getattr(part, field.name)[rows]

    def copy(self) -> "Plan":
        """Return the same plan in arrays of its own."""
        return Plan(**{field.name: getattr(self, field.name).copy() for field in fields(self)})

    def take(self, selection: Selection) -> "Plan":
        """Return the selected accounts' plan."""
        places = (selection.accounts, selection.positions, selection.segments)
        columns = {
            field.name: getattr(self, field.name)[_choose(field.name, places)]
            for field in fields(self)
        }
        return Plan(**columns)


def _choose(name: str, rows: tuple[Rows, Rows, Rows]) -> Rows:
    """Return the rows that a column of that name has: of accounts, positions or segments."""
    if name in ("trade", "steps", "is_exit"):
        return rows[1]
    return rows[2] if name in ("sold", "tau") else rows[0]


@compiled
def pour(
    trade: Floats,
    segment_offsets: Ints,
    amount: Floats,
    price: Floats,
    lot: Ints,
    sold: Floats,
    order: Ints,
) -> None:
    """Fill `sold` with the money sold of each segment: cheapest first, equal ones by lot."""
    for i in range(len(trade)):
        left = max(-trade[i], 0.0)
        start, stop = segment_offsets[i], segment_offsets[i + 1]
        for k in range(start, stop):
            order[k] = k
            j = k
            while j > start and (
                price[order[j - 1]] > price[k]
                or (price[order[j - 1]] == price[k] and lot[order[j - 1]] > lot[k])
            ):
                order[j] = order[j - 1]
                j -= 1
            order[j] = k
        for k in range(start, stop):
            segment = order[k]
            sold[segment] = min(left, amount[segment])
            left -= sold[segment]


def list_sold(problem: Problem, trade: Floats, price: Floats) -> Floats:
    """Return the money sold of each segment when the cheapest of each position go first."""
    sold, order = np.zeros(len(price)), np.zeros(len(price), np.int64)
    pour(trade, problem.segment_offsets, problem.amount, price, problem.lot, sold, order)
    return sold


def add_up(owner: Ints, numbers: Floats, count: int) -> Floats:
    """Return the sums of the numbers of each of `count` owners, each in the order of its rows."""
    return np.asarray(np.bincount(owner, numbers, minlength=count), dtype=np.float64)


def sum_segments(problem: Problem, numbers: Floats) -> Floats:
    """Return each account's sum over its segments."""
    account = label_rows(problem.segment_offsets[problem.position_offsets])
    return add_up(account, numbers, problem.account_count)


def sum_positions(problem: Problem, numbers: Floats) -> Floats:
    """Return each account's sum over its positions."""
    account = label_rows(problem.position_offsets)
    return add_up(account, numbers, problem.account_count)


def sum_accounts(problem: Problem, numbers: Floats) -> Floats:
    """Return each household's sum over its accounts."""
    household = label_rows(problem.household_offsets)
    return add_up(household, numbers, len(problem.household_offsets) - 1)


def empty_plan(problem: Problem) -> Plan:
    """Return a Plan without trades, to be filled by `put`."""
    positions, segments = len(problem.held), len(problem.amount)
    accounts = problem.account_count
    return Plan(
        trade=np.zeros(positions),
        steps=np.zeros(positions, np.int64),
        is_exit=np.zeros(positions, np.bool_),
        sold=np.zeros(segments),
        tau=np.zeros(segments),
        cash=problem.cash.copy(),
        cost=np.zeros(accounts),
        bound=np.full(accounts, -np.inf),
        multiplier=np.zeros(accounts),
    )


def make_plan(
    problem: Problem, solution: Solution, tau: Floats, gain_price: Floats | None = None
) -> Plan:
    """Return a kernel's answer at these prices as a Plan."""
    price = tau
    if gain_price is not None:
        account = label_rows(problem.segment_offsets[problem.position_offsets])
        price = tau + gain_price[account] * problem.gain
    sold = list_sold(problem, solution.trade, price)
    return Plan(
        trade=solution.trade.copy(),
        steps=solution.steps.copy(),
        is_exit=solution.is_exit.copy(),
        sold=sold,
        tau=tau.copy(),
        cash=solution.cash.copy(),
        cost=solution.objective - sum_segments(problem, (tau + problem.waiting) * sold),
        bound=solution.bound.copy(),
        multiplier=solution.multiplier.copy(),
    )


def mix_plans(problem: Problem, first: Plan, second: Plan, share: Floats) -> Plan:
    """Return `share` (by account) of the first plan and the rest of the second.

    Between two optima of a convex problem every mixture is one. Where one buys what the other
    sells, only the difference is traded.
    """
    of_position = share[label_rows(problem.position_offsets)]
    of_segment = share[label_rows(problem.segment_offsets[problem.position_offsets])]
    trade = of_position * first.trade + (1 - of_position) * second.trade
    sold = of_segment * first.sold + (1 - of_segment) * second.sold
    position = label_rows(problem.segment_offsets)
    total = np.bincount(position, sold, minlength=len(trade))
    kept = np.divide(np.maximum(-trade, 0), total, out=np.zeros_like(total), where=total > 0)
    sold = np.minimum(sold * kept[position], problem.amount)
    cash, cost = measure_cost(problem, trade)
    return Plan(
        trade=trade,
        steps=np.zeros_like(first.steps),
        is_exit=first.is_exit & second.is_exit,
        sold=sold,
        tau=of_segment * first.tau + (1 - of_segment) * second.tau,
        cash=cash,
        cost=cost - sum_segments(problem, problem.waiting * sold),
        bound=np.minimum(first.bound, second.bound),
        multiplier=share * first.multiplier + (1 - share) * second.multiplier,
    )


def measure_cost(problem: Problem, trade: Floats) -> tuple[Floats, Floats]:
    """Return each account's cash after trades and its objective without any price on segments."""
    account = label_rows(problem.position_offsets)
    bought, sale, ticket = np.maximum(trade, 0), np.maximum(-trade, 0), trade != 0
    value = problem.value
    after = problem.held + trade
    cash = measure_cash(problem, trade)
    costs = problem.penalty / (2 * value[account]) * (after - problem.target) ** 2
    costs += problem.buy_cost * bought + problem.sell_cost * sale
    costs += (problem.ticket_cash + problem.ticket_price[account]) * ticket
    costs += problem.impact * np.abs(trade) ** 1.5
    cost = sum_positions(problem, costs)
    cost += problem.cash_penalty / (2 * value) * (cash - problem.cash_target) ** 2
    member = problem.group >= 0
    groups = len(problem.group_target)
    held = np.bincount(problem.group[member], after[member], minlength=groups)
    owner = label_rows(problem.group_offsets)
    miss = problem.group_penalty / (2 * value[owner]) * (held - problem.group_target) ** 2
    return cash, cost + np.bincount(owner, miss, minlength=problem.account_count)
