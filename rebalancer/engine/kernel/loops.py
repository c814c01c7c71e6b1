"""The compiled loops over a Sheet's accounts."""

from math import inf

import numpy as np

from rebalancer.engine.columns import Floats, Ints
from rebalancer.engine.compiled import compiled
from rebalancer.engine.kernel.account import (
    Account,
    measure_cash,
    measure_plan,
    prepare,
)
from rebalancer.engine.kernel.bound import AT, Scratch, bound_account, search_bound
from rebalancer.engine.kernel.choice import count_sellable, trade_of
from rebalancer.engine.kernel.convex import BOUND_NOISE, measure_dual, solve_account
from rebalancer.engine.kernel.exact import PROOF_SLACK, fill_tree, make_tree, search_tree
from rebalancer.engine.kernel.polish import improve_each, mend, polish
from rebalancer.engine.kernel.rows import (
    BOUND,
    CASH,
    CASH_AFTER,
    CASH_MIN,
    CASH_PRICE,
    CASH_PULL,
    CASH_TARGET,
    EXIT,
    EXITED,
    HELD,
    LEAST,
    OBJECTIVE,
    PRICE,
    SELL_CASH,
    SELLABLE,
    STEP,
    TAX,
    TICKET_CASH,
    VALUE,
    Result,
    Sheet,
)

# Money kept above the least cash when shares are whole, so that adding up never overdraws it.
MARGIN = 1e-6


@compiled
def make_scratch(sheet: Sheet) -> Scratch:
    """Return room to work in, for the largest account."""
    most = 0
    for a in range(len(sheet.accounts)):
        most = max(most, sheet.position_offsets[a + 1] - sheet.position_offsets[a])
    return Scratch(
        np.zeros((2, most)),
        np.zeros(most),
        np.zeros(most, np.int64),
        np.zeros(most, np.int64),
        np.zeros((2, 4)),
        np.zeros((2, 4)),
    )


@compiled
def solve_sheet_convex(sheet: Sheet, result: Result) -> None:
    """Fill in the best trades of any amounts of every account."""
    work = make_scratch(sheet).work
    for a in range(len(sheet.accounts)):
        account, most = prepare(sheet, a)
        trade = result.trade[sheet.position_offsets[a] : sheet.position_offsets[a + 1]]
        answer = result.accounts[a]
        if most < 0.0:
            for i in range(len(trade)):
                trade[i] = -account.rows[i, SELLABLE]
            answer[BOUND], answer[CASH_PRICE] = -inf, inf
        else:
            answer[CASH_PRICE], _ = solve_account(account, trade, work)
            answer[BOUND] = measure_dual(account, answer[CASH_PRICE])
        answer[CASH_AFTER] = measure_cash(account, trade, 0.0)
        answer[OBJECTIVE] = measure_plan(account, trade, 0.0, TAX)


@compiled
def solve_sheet_discrete(sheet: Sheet, result: Result, tolerance: float) -> None:
    """Fill in the best plan of whole steps found for every account."""
    scratch = make_scratch(sheet)
    for a in range(len(sheet.accounts)):
        account, _ = prepare(sheet, a)
        first, last = sheet.position_offsets[a], sheet.position_offsets[a + 1]
        choices, trade = result.choice[first:last], result.trade[first:last]
        answer = result.accounts[a]
        cash_min = account.cash[CASH_MIN]
        raised = raise_most(account, choices, trade)
        if raised < cash_min and account.cash[CASH] < cash_min:
            answer[BOUND], answer[CASH_PRICE] = -inf, inf
        else:
            account.cash[CASH_MIN] = min(cash_min + MARGIN, raised)
            solve_account_discrete(account, choices, trade, scratch, tolerance, answer)
            account.cash[CASH_MIN] = cash_min
            # The bound was found with the margin: without it, the cash may cost that much less.
            pull = account.cash[CASH_PULL] * (cash_min + MARGIN - account.cash[CASH_TARGET])
            answer[BOUND] -= MARGIN * max(0.0, answer[CASH_PRICE] + pull)
            stand_still(account, choices, trade)
        answer[CASH_AFTER] = measure_cash(account, trade, 1.0)
        answer[OBJECTIVE] = measure_plan(account, trade, 1.0, TAX)


@compiled
def solve_account_discrete(
    account: Account,
    choices: Ints,
    trade: Floats,
    scratch: Scratch,
    tolerance: float,
    answer: Floats,
) -> None:
    """Set the best plan of whole steps found for one account, its bound and its price of cash."""
    count = len(trade)
    mu, slope = solve_account(account, trade, scratch.work)
    bound, mu = search_bound(account, mu, slope, choices, scratch.trade[:count], scratch)
    answer[BOUND] = bound - BOUND_NOISE * account.cash[VALUE]
    answer[CASH_PRICE] = mu
    for i in range(count):
        trade[i] = trade_of(account.rows, i, choices[i])
    cost = measure_plan(account, trade, 1.0, PRICE) - improve_each(account, choices, trade)
    goal = bound + tolerance * account.cash[VALUE]
    if cost <= goal:
        return
    others, other_trade = scratch.choices[:count], scratch.trade[:count]
    other_cost = start_again(account, others, other_trade, scratch)
    bound, _ = bound_account(account, mu, scratch.spare[:count], scratch.group_ends)
    cost = polish(account, choices, trade, cost, goal, mu, bound)
    if cost > goal and other_cost < inf:
        other_cost = polish(account, others, other_trade, other_cost, goal, mu, bound)
        if other_cost < cost:
            choices[:] = others
            trade[:] = other_trade


@compiled
def start_again(account: Account, choices: Ints, trade: Floats, scratch: Scratch) -> float:
    """Set the plan from the other side of the price, mended; return its cost, infinite if none."""
    if scratch.ends[0, AT] == -inf:
        return inf
    bound_account(account, scratch.ends[0, AT], choices, scratch.group_ends)
    for i in range(len(trade)):
        trade[i] = trade_of(account.rows, i, choices[i])
    if not mend(account, choices, trade):
        return inf
    return measure_plan(account, trade, 1.0, PRICE) - improve_each(account, choices, trade)


@compiled
def raise_most(account: Account, choices: Ints, trade: Floats) -> float:
    """Set the plan that raises the most cash; return the cash after it."""
    rows = account.rows
    for i in range(len(rows)):
        choices[i] = 0
        raised = rows[i, TICKET_CASH]
        last = count_sellable(rows, i)
        if last >= rows[i, LEAST] and last * rows[i, STEP] * rows[i, SELL_CASH] > raised:
            choices[i] = -int(last)
            raised = last * rows[i, STEP] * rows[i, SELL_CASH]
        if rows[i, EXIT] > 0.0 and rows[i, HELD] * rows[i, SELL_CASH] > raised:
            choices[i] = EXITED
        trade[i] = trade_of(rows, i, choices[i])
    return measure_cash(account, trade, 1.0)


@compiled
def stand_still(account: Account, choices: Ints, trade: Floats) -> None:
    """Drop a plan that is no better than none; without trades, no margin of cash is needed."""
    if account.cash[CASH] < account.cash[CASH_MIN]:
        return
    cost = measure_plan(account, trade, 1.0, PRICE)
    trade[:] = 0.0
    if measure_plan(account, trade, 1.0, PRICE) <= cost:
        choices[:] = 0
    for i in range(len(trade)):
        trade[i] = trade_of(account.rows, i, choices[i])


@compiled
def finish_sheet(sheet: Sheet, result: Result, node_limit: int) -> bool:
    """Replace the plan of a sheet's only account by the best one; return whether that is proved.

    The result holds the plan, its bound and the bound's price of cash; no group ties positions.
    """
    account, _ = prepare(sheet, len(sheet.accounts) - 1)
    choices, trade, answer = result.choice, result.trade, result.accounts[0]
    before = np.copy(choices)
    cash_min = account.cash[CASH_MIN]
    raised = raise_most(account, choices, trade)
    account.cash[CASH_MIN] = min(cash_min + MARGIN, raised)
    choices[:] = before
    for i in range(len(trade)):
        trade[i] = trade_of(account.rows, i, choices[i])
    mu = answer[CASH_PRICE]
    ends = np.zeros((2, 4))
    bound, _ = bound_account(account, mu, before, ends)
    gap = measure_plan(account, trade, 1.0, PRICE) - bound
    tree = make_tree(len(trade))
    proved = fill_tree(tree, account, mu, gap)
    if proved:
        gap, proved = search_tree(tree, account, mu, gap, node_limit, choices)
    for i in range(len(trade)):
        trade[i] = trade_of(account.rows, i, choices[i])
    account.cash[CASH_MIN] = cash_min
    stand_still(account, choices, trade)
    answer[CASH_AFTER] = measure_cash(account, trade, 1.0)
    answer[OBJECTIVE] = measure_plan(account, trade, 1.0, TAX)
    if proved:
        slack = (PROOF_SLACK + BOUND_NOISE) * account.cash[VALUE]
        pull = account.cash[CASH_PULL] * (cash_min + MARGIN - account.cash[CASH_TARGET])
        slack += MARGIN * max(0.0, mu + pull)
        answer[BOUND] = max(answer[BOUND], answer[OBJECTIVE] - slack)
    return proved
