"""Improves a plan of whole steps: one position at a time, then two at once, all else given.

One position's best response takes in its group and the cash as they are, so every step is exact
and the plan only ever gets better; the cash never falls below what must be kept.
"""

from math import inf

from rebalancer.engine.columns import Floats, Ints
from rebalancer.engine.compiled import compiled
from rebalancer.engine.kernel.account import Account, measure_cash, measure_flow
from rebalancer.engine.kernel.choice import (
    Rest,
    choose,
    count_sellable,
    measure_choice,
    trade_of,
)
from rebalancer.engine.kernel.rows import (
    BUY_MAX,
    CASH_MIN,
    CASH_PULL,
    CASH_TARGET,
    EXCESS,
    EXIT,
    EXITED,
    GROUP_GAP,
    GROUP_PULL,
    LEAST,
    MULTIPLIER,
    NEAR,
    STEP,
    TICKET_CASH,
    VALUE,
)

# Gains below this share of V are noise.
GAIN_LEAST = 1e-14

SWEEPS_MAX, ROUNDS_MAX = 30, 12

# The neighbours of a choice: a step more, a step less, nothing, everything.
NEIGHBOURS = 4


@compiled
def take_stock(account: Account, trade: Floats) -> float:
    """Add up the groups' excess anew, free of what rounding left; return the cash after trades."""
    for g in range(len(account.groups)):
        account.groups[g, EXCESS] = -account.groups[g, GROUP_GAP]
    for i in range(len(trade)):
        if account.member[i] >= 0:
            account.groups[account.member[i], EXCESS] += trade[i]
    return measure_cash(account, trade, 1.0)


@compiled
def see_rest(account: Account, i: int, trade: float, cash: float) -> Rest:
    """Return what the rest of the account means to position `i`, which trades `trade` now."""
    if trade != 0.0:
        cash += measure_flow(account.rows, i, trade) + account.rows[i, TICKET_CASH]
    pull = account.cash[CASH_PULL]
    group_pull, excess = 0.0, 0.0
    g = account.member[i]
    if g >= 0:
        group_pull = account.groups[g, GROUP_PULL]
        excess = account.groups[g, EXCESS] - trade
    price = -pull * (cash - account.cash[CASH_TARGET])
    return Rest(price, pull, group_pull * excess, group_pull, cash - account.cash[CASH_MIN])


@compiled
def put_choice(
    account: Account, i: int, choice: int, choices: Ints, trade: Floats, cash: float
) -> float:
    """Change one position's choice; return the cash after it."""
    rows = account.rows
    before, after = trade[i], trade_of(rows, i, choice)
    if before != 0.0:
        cash += measure_flow(rows, i, before) + rows[i, TICKET_CASH]
    if after != 0.0:
        cash -= measure_flow(rows, i, after) + rows[i, TICKET_CASH]
    if account.member[i] >= 0:
        account.groups[account.member[i], EXCESS] += after - before
    choices[i], trade[i] = choice, after
    return cash


@compiled
def improve_each(account: Account, choices: Ints, trade: Floats) -> float:
    """Let every position respond best to the others until none changes; return what was gained."""
    least = GAIN_LEAST * account.cash[VALUE]
    gained = 0.0
    for _ in range(SWEEPS_MAX):
        cash = take_stock(account, trade)
        before = gained
        for i in range(len(trade)):
            rest = see_rest(account, i, trade[i], cash)
            choice, cost = choose(
                account.rows, i, account.segments, account.first[i], account.first[i + 1], rest
            )
            if choice != choices[i]:
                gain = (
                    measure_choice(
                        account.rows,
                        i,
                        account.segments,
                        account.first[i],
                        account.first[i + 1],
                        choices[i],
                        rest,
                    )
                    - cost
                )
                if gain > least:
                    gained += gain
                    cash = put_choice(account, i, choice, choices, trade, cash)
        if gained == before:
            break
    return gained


@compiled
def find_neighbour(account: Account, i: int, choice: int, which: int) -> int:
    """Return a neighbour of a choice, or the choice itself where there is none."""
    if which == 0:
        return step_up(account.rows, i, choice)
    if which == 1:
        return step_down(account.rows, i, choice)
    if which == 2:
        return 0
    return EXITED if account.rows[i, EXIT] > 0.0 else choice


@compiled
def step_up(rows: Floats, i: int, choice: int) -> int:
    """Return the next choice that sells less or buys more; over what is too small to trade."""
    least = int(rows[i, LEAST])
    if choice == EXITED:
        last = int(count_sellable(rows, i))
        return -last if last >= least else 0
    after = choice + 1
    if 0 < after < least:
        after = least
    elif -least < after < 0:
        after = 0
    return after if after * rows[i, STEP] <= rows[i, BUY_MAX] * (1.0 + NEAR) else choice


@compiled
def step_down(rows: Floats, i: int, choice: int) -> int:
    """Return the next choice that buys less or sells more; over what is too small to trade."""
    if choice == EXITED:
        return choice
    least = int(rows[i, LEAST])
    after = choice - 1
    if 0 < after < least:
        after = 0
    elif -least < after < 0:
        after = -least
    if -after > int(count_sellable(rows, i)):
        return EXITED if rows[i, EXIT] > 0.0 else choice
    return after


@compiled
def find_partner(
    account: Account, i: int, choices: Ints, trade: Floats, cash: float
) -> tuple[float, int, int]:
    """Return what another position's best response gains at most, the position and its choice."""
    most, partner, answer = 0.0, -1, 0
    for j in range(len(trade)):
        if j == i:
            continue
        rest = see_rest(account, j, trade[j], cash)
        choice, cost = choose(
            account.rows, j, account.segments, account.first[j], account.first[j + 1], rest
        )
        gain = (
            measure_choice(
                account.rows,
                j,
                account.segments,
                account.first[j],
                account.first[j + 1],
                choices[j],
                rest,
            )
            - cost
        )
        if partner < 0 or gain > most:
            most, partner, answer = gain, j, choice
    return most, partner, answer


@compiled
def see_prices(account: Account, i: int, mu: float) -> Rest:
    """Return what the bound's prices mean to position `i`."""
    g = account.member[i]
    price = account.groups[g, MULTIPLIER] if g >= 0 else 0.0
    return Rest(mu, 0.0, price, 0.0, inf)


@compiled
def measure_at(account: Account, i: int, choice: int, rest: Rest) -> float:
    """Return what a choice of position `i` changes."""
    start, stop = account.first[i], account.first[i + 1]
    return measure_choice(account.rows, i, account.segments, start, stop, choice, rest)


@compiled
def measure_best(account: Account, i: int, rest: Rest) -> float:
    """Return what the best choice of position `i` changes."""
    start, stop = account.first[i], account.first[i + 1]
    _, cost = choose(account.rows, i, account.segments, start, stop, rest)
    return cost


@compiled
def improve_pairs(account: Account, choices: Ints, trade: Floats, mu: float, gap: float) -> float:
    """Move every position to a neighbour where another's response makes it pay; return the gain.

    At the bound's prices no plan is better that holds a choice dearer than the gap to the bound.
    """
    least = GAIN_LEAST * account.cash[VALUE]
    gained = 0.0
    cash = take_stock(account, trade)
    for i in range(len(trade)):
        now = choices[i]
        rest = see_rest(account, i, trade[i], cash)
        here = measure_choice(
            account.rows, i, account.segments, account.first[i], account.first[i + 1], now, rest
        )
        best, best_choice, best_partner, best_answer = least, now, -1, 0
        prices = see_prices(account, i, mu)
        limit = gap - gained + measure_best(account, i, prices)
        for which in range(NEIGHBOURS):
            choice = find_neighbour(account, i, now, which)
            if choice == now or measure_at(account, i, choice, prices) > limit:
                continue
            gain = here - measure_choice(
                account.rows,
                i,
                account.segments,
                account.first[i],
                account.first[i + 1],
                choice,
                rest,
            )
            cash = put_choice(account, i, choice, choices, trade, cash)
            more, partner, answer = find_partner(account, i, choices, trade, cash)
            cash = put_choice(account, i, now, choices, trade, cash)
            if partner >= 0 and gain + more > best:
                best, best_choice = gain + more, choice
                best_partner, best_answer = partner, answer
        if best_partner >= 0:
            gained += best
            cash = put_choice(account, i, best_choice, choices, trade, cash)
            cash = put_choice(account, best_partner, best_answer, choices, trade, cash)
    return gained


@compiled
def mend(account: Account, choices: Ints, trade: Floats) -> bool:
    """Let the one position respond that best brings the cash up to what is kept, if one can."""
    cash = take_stock(account, trade)
    if cash >= account.cash[CASH_MIN]:
        return True
    gain, partner, answer = find_partner(account, -1, choices, trade, cash)
    if gain == -inf:
        return False
    put_choice(account, partner, answer, choices, trade, cash)
    return True


@compiled
def polish(
    account: Account,
    choices: Ints,
    trade: Floats,
    cost: float,
    goal: float,
    mu: float,
    bound: float,
) -> float:
    """Improve a plan by pairs until it costs no more than `goal` or nothing helps; return its cost.

    The bound is that of the prices of cash and of the groups as they stand.
    """
    for _ in range(ROUNDS_MAX):
        if cost <= goal:
            break
        gained = improve_pairs(account, choices, trade, mu, cost - bound)
        if gained <= 0.0:
            break
        cost -= gained + improve_each(account, choices, trade)
    return cost
