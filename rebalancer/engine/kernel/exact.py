"""Finishes a plan to the proved best: every plan that could still be cheaper is looked at.

At the bound's price of cash each choice of a position costs so much more than the best one there:
its reduced cost. A plan whose reduced costs add up to more than plan less bound cannot be cheaper,
so few choices are left, and the tree of their combinations is soon searched.
"""

from math import floor, inf
from typing import NamedTuple

import numpy as np

from rebalancer.engine.columns import Floats, Ints
from rebalancer.engine.compiled import compiled
from rebalancer.engine.kernel.account import Account, measure_flow
from rebalancer.engine.kernel.choice import (
    Rest,
    choose,
    count_sellable,
    measure_choice,
    trade_of,
)
from rebalancer.engine.kernel.convex import settle_amount, settle_sale
from rebalancer.engine.kernel.rows import (
    BUY_CASH,
    BUY_COST,
    BUY_MAX,
    CASH,
    CASH_MIN,
    CASH_PULL,
    CASH_TARGET,
    EXIT,
    EXITED,
    GAP,
    IMPACT,
    LEAST,
    NEAR,
    PULL,
    SELL_CASH,
    SELL_COST,
    STEP,
    TICKET_CASH,
    VALUE,
)

# More choices than this, of all positions together, are not worth looking at: fractions of shares.
CHOICES_MAX = 4096

# Share of V below which two plans cost the same.
PROOF_SLACK = 1e-13


class Tree(NamedTuple):
    """The choices left for every position, cheapest first, and what is known of all below."""

    choices: Ints
    costs: Floats  # reduced
    flows: Floats
    offsets: Ints  # [positions + 1]
    least_flow: Floats  # [positions + 1] of this and all later positions
    most_flow: Floats


@compiled
def make_tree(positions: int) -> Tree:
    """Return room for the choices of so many positions."""
    return Tree(
        np.zeros(CHOICES_MAX, np.int64),
        np.zeros(CHOICES_MAX),
        np.zeros(CHOICES_MAX),
        np.zeros(positions + 1, np.int64),
        np.zeros(positions + 1),
        np.zeros(positions + 1),
    )


@compiled
def add_choice(tree: Tree, account: Account, i: int, choice: int, rest: Rest, limit: float) -> bool:
    """Add a choice in its place by cost if it costs below the limit; tell whether it does."""
    cost = measure_choice(
        account.rows, i, account.segments, account.first[i], account.first[i + 1], choice, rest
    )
    if cost >= limit:
        return False
    end = tree.offsets[i + 1]
    if end >= CHOICES_MAX:
        return False
    flow = 0.0
    if choice != 0:
        trade = trade_of(account.rows, i, choice)
        flow = measure_flow(account.rows, i, trade) + account.rows[i, TICKET_CASH]
    j = end
    while j > tree.offsets[i] and tree.costs[j - 1] > cost:
        tree.choices[j] = tree.choices[j - 1]
        tree.costs[j] = tree.costs[j - 1]
        tree.flows[j] = tree.flows[j - 1]
        j -= 1
    tree.choices[j], tree.costs[j], tree.flows[j] = choice, cost, flow
    tree.offsets[i + 1] = end + 1
    return True


@compiled
def add_side(
    tree: Tree, account: Account, i: int, steps: float, last: float, rest: Rest, limit: float
) -> None:
    """Add a side's choices outwards from its best, `steps` or one more; negative: of the sales."""
    sign = -1.0 if steps < 0.0 else 1.0
    middle, least = abs(steps), account.rows[i, LEAST]
    at = middle
    while at <= last:
        if not add_choice(tree, account, i, int(sign * at), rest, limit) and at > middle:
            break
        at += 1.0
    at = middle - 1.0
    while at >= least and add_choice(tree, account, i, int(sign * at), rest, limit):
        at -= 1.0


@compiled
def list_choices(tree: Tree, account: Account, i: int, rest: Rest, limit: float) -> None:
    """List every choice of a position that costs below the limit, and settle what is below it."""
    rows = account.rows
    tree.offsets[i + 1] = tree.offsets[i]
    for choice in (0, EXITED):
        if choice == 0 or rows[i, EXIT] > 0.0:
            add_choice(tree, account, i, choice, rest, limit)
    step, least = rows[i, STEP], rows[i, LEAST]
    want = rows[i, PULL] * rows[i, GAP]
    last = float(floor(rows[i, BUY_MAX] / step + NEAR))
    if last >= least:
        drive = want - rows[i, BUY_COST] - rest.cash_price * rows[i, BUY_CASH]
        amount = settle_amount(rows[i, PULL], rows[i, IMPACT], drive) if drive > 0.0 else 0.0
        add_side(tree, account, i, max(floor(min(amount / step, last)), least), last, rest, limit)
    last = count_sellable(rows, i)
    if last >= least:
        start, stop = account.first[i], account.first[i + 1]
        drive = rest.cash_price * rows[i, SELL_CASH] - rows[i, SELL_COST] - want
        sold = settle_sale(account.segments, start, stop, rows[i, PULL], rows[i, IMPACT], drive)
        steps = max(floor(min(sold / step, last)), least)
        add_side(tree, account, i, -steps, last, rest, limit)


@compiled
def fill_tree(tree: Tree, account: Account, mu: float, gap: float) -> bool:
    """List what is left for every position when a better plan's reduced costs add up to below gap.

    Return whether all of it had room.
    """
    rest = Rest(mu, 0.0, 0.0, 0.0, inf)
    count = len(account.rows)
    tree.offsets[0] = 0
    for i in range(count):
        _, least = choose(
            account.rows, i, account.segments, account.first[i], account.first[i + 1], rest
        )
        list_choices(tree, account, i, rest, least + gap)
        if tree.offsets[i + 1] >= CHOICES_MAX:
            return False
        for j in range(tree.offsets[i], tree.offsets[i + 1]):
            tree.costs[j] -= least
    tree.least_flow[count] = tree.most_flow[count] = 0.0
    for i in range(count - 1, -1, -1):
        low, high = inf, -inf
        for j in range(tree.offsets[i], tree.offsets[i + 1]):
            low, high = min(low, tree.flows[j]), max(high, tree.flows[j])
        tree.least_flow[i] = tree.least_flow[i + 1] + low
        tree.most_flow[i] = tree.most_flow[i + 1] + high
    return True


@compiled
def reduce_cash(account: Account, mu: float, least: float, most: float) -> float:
    """Return the least reduced cost of cash between two amounts; infinite where all is too low."""
    cash = account.cash
    least = max(least, cash[CASH_MIN])
    if most < least:
        return inf
    pull, target = cash[CASH_PULL], cash[CASH_TARGET]
    best = max(cash[CASH_MIN], target - mu / pull) if pull > 0.0 else cash[CASH_MIN]
    near = min(max(best, least), most)
    # A difference of squares, so that nothing of V's size cancels.
    return (near - best) * (0.5 * pull * (near + best - 2.0 * target) + mu)


@compiled
def search_tree(
    tree: Tree, account: Account, mu: float, gap: float, node_limit: int, best: Ints
) -> tuple[float, bool]:
    """Search for plans of reduced costs below gap; return the least and whether all was seen.

    The best plan found is left in `best`, which stays as it is where there is none.
    """
    count = len(account.rows)
    slack = PROOF_SLACK * account.cash[VALUE]
    at = np.zeros(count + 1, np.int64)
    costs, left = np.zeros(count + 1), np.zeros(count + 1)
    left[0] = account.cash[CASH]
    i, nodes = 0, 0
    at[0] = tree.offsets[0]
    while i >= 0:
        j = at[i]
        at[i] += 1
        if j >= tree.offsets[i + 1] or costs[i] + tree.costs[j] >= gap - slack:
            i -= 1
            continue
        nodes += 1
        if nodes > node_limit:
            return gap, False
        cost, cash = costs[i] + tree.costs[j], left[i] - tree.flows[j]
        more = reduce_cash(account, mu, cash - tree.most_flow[i + 1], cash - tree.least_flow[i + 1])
        if cost + more >= gap - slack:
            continue
        i += 1
        if i < count:
            costs[i], left[i], at[i] = cost, cash, tree.offsets[i]
            continue
        gap = cost + more
        for k in range(count):
            best[k] = tree.choices[at[k] - 1]
        i -= 1
    return gap, True
