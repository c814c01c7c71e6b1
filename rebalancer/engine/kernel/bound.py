"""The bound that no plan of whole steps costs less than, and the plans found on the way to it.

For every price of cash and of the groups the best choices of the positions, each by itself, bound
what any plan costs. The bound is concave in the prices: the lines that touch it at both ends of a
bracket say where to look next and how much there is still to gain.
"""

from math import inf
from typing import NamedTuple

from rebalancer.engine.columns import Floats, Ints
from rebalancer.engine.compiled import compiled
from rebalancer.engine.kernel.account import Account, measure_cash, measure_flow, measure_plan
from rebalancer.engine.kernel.choice import Rest, choose, trade_of
from rebalancer.engine.kernel.convex import measure_cash_dual
from rebalancer.engine.kernel.rows import (
    CASH,
    CASH_MIN,
    CASH_PULL,
    CASH_TARGET,
    GAP,
    GROUP_GAP,
    GROUP_PULL,
    MULTIPLIER,
    PRICE,
    PULL,
    TICKET_CASH,
    VALUE,
)

# A bound is good enough when no price can raise it by more than this share of V.
BOUND_SLACK = 1e-10

LOOKS_MAX = 60

# Columns of the two ends of a bracket.
AT, HEIGHT, RISE, SPENT = range(4)


class Scratch(NamedTuple):
    """Room to work in, for the largest account of a sheet."""

    work: Floats  # [2, positions]
    trade: Floats
    choices: Ints
    spare: Ints
    ends: Floats  # [2, 4]
    group_ends: Floats  # [2, 4]


@compiled
def sum_members(account: Account, g: int, mu: float, choices: Ints) -> tuple[float, float, float]:
    """Choose for the members of group `g` (-1: of none) at their prices.

    Return what they change at those prices, the sum of their trades, and the cash they spend.
    """
    price = account.groups[g, MULTIPLIER] if g >= 0 else 0.0
    rest = Rest(mu, 0.0, price, 0.0, inf)
    change, total, spent = 0.0, 0.0, 0.0
    for i in range(len(account.rows)):
        if account.member[i] == g:
            choices[i], cost = choose(
                account.rows, i, account.segments, account.first[i], account.first[i + 1], rest
            )
            if choices[i] != 0:
                trade = trade_of(account.rows, i, choices[i])
                change += cost
                total += trade
                spent += measure_flow(account.rows, i, trade) + account.rows[i, TICKET_CASH]
    return change, total, spent


@compiled
def put(ends: Floats, at: float, bound: float, rise: float, spent: float) -> None:
    """Put a look at a concave function in its end of the bracket: rising left, else right."""
    end = 0 if rise > 0.0 else 1
    ends[end, AT], ends[end, HEIGHT], ends[end, RISE], ends[end, SPENT] = at, bound, rise, spent


@compiled
def meet(ends: Floats) -> tuple[float, float]:
    """Return where the lines that touch a concave function at both ends meet, and how high."""
    rise, fall = ends[0, RISE], ends[1, RISE]
    at = ends[1, HEIGHT] - ends[0, HEIGHT] + rise * ends[0, AT] - fall * ends[1, AT]
    at = min(max(at / (rise - fall), ends[0, AT]), ends[1, AT])
    return at, ends[0, HEIGHT] + rise * (at - ends[0, AT])


@compiled
def bound_group(account: Account, g: int, mu: float, choices: Ints, ends: Floats) -> float:
    """Raise a group's bound at this price of cash, set its choices; return the bound.

    The first end's SPENT is then the cash that its choices spend, averaged where they jump.
    """
    groups = account.groups
    pull, gap = groups[g, GROUP_PULL], groups[g, GROUP_GAP]
    slack = BOUND_SLACK * account.cash[VALUE]
    ends[0, AT], ends[1, AT] = -inf, inf
    reach = 1e-9
    at = groups[g, MULTIPLIER]
    for _ in range(LOOKS_MAX):
        groups[g, MULTIPLIER] = at
        change, total, spent = sum_members(account, g, mu, choices)
        rise = total - gap - at / pull
        put(ends, at, change - at * (0.5 * at / pull + gap), rise, spent)
        reach = max(4.0 * reach, 0.5 * abs(rise) * pull)
        if ends[1, AT] == inf:
            at = ends[0, AT] + reach
        elif ends[0, AT] == -inf:
            at = ends[1, AT] - reach
        else:
            at, top = meet(ends)
            best = max(ends[0, HEIGHT], ends[1, HEIGHT])
            if top - best <= slack or at == ends[0, AT] or at == ends[1, AT]:
                break
    # The choices of the nearer end; the bound and its price of the higher one.
    share = -ends[1, RISE] / (ends[0, RISE] - ends[1, RISE])
    groups[g, MULTIPLIER] = ends[0 if share > 0.5 else 1, AT]
    sum_members(account, g, mu, choices)
    higher = 0 if ends[0, HEIGHT] > ends[1, HEIGHT] else 1
    groups[g, MULTIPLIER] = ends[higher, AT]
    ends[0, SPENT] = ends[1, SPENT] + share * (ends[0, SPENT] - ends[1, SPENT])
    return ends[higher, HEIGHT]


@compiled
def measure_drift(account: Account) -> float:
    """Return what the positions' drift costs before any trade."""
    drift = 0.0
    for i in range(len(account.rows)):
        drift += 0.5 * account.rows[i, PULL] * account.rows[i, GAP] * account.rows[i, GAP]
    return drift


@compiled
def bound_account(account: Account, mu: float, choices: Ints, ends: Floats) -> tuple[float, float]:
    """Choose for every position at this price of cash; return the bound and the cash missing."""
    cash = account.cash
    bound, _, missing = sum_members(account, -1, mu, choices)
    bound += measure_drift(account)
    for g in range(len(account.groups)):
        if account.groups[g, GROUP_PULL] > 0.0:
            bound += bound_group(account, g, mu, choices, ends)
            missing += ends[0, SPENT]
    kept = cash[CASH_MIN]
    if cash[CASH_PULL] > 0.0:
        kept = max(kept, cash[CASH_TARGET] - mu / cash[CASH_PULL])
    return bound + measure_cash_dual(account, mu), missing + kept - cash[CASH]


@compiled
def keep_better(account: Account, choices: Ints, trade: Floats, best: Ints, cost: float) -> float:
    """Copy a plan that keeps the cash and costs less than `cost`; return the least cost so far."""
    for i in range(len(choices)):
        trade[i] = trade_of(account.rows, i, choices[i])
    if measure_cash(account, trade, 1.0) < account.cash[CASH_MIN]:
        return cost
    change = measure_plan(account, trade, 1.0, PRICE)
    if change >= cost:
        return cost
    for i in range(len(choices)):
        best[i] = choices[i]
    return change


@compiled
def search_bound(
    account: Account, mu: float, slope: float, best: Ints, trade: Floats, scratch: Scratch
) -> tuple[float, float]:
    """Search the price of cash that bounds best, from one nearby; return the bound and the price.

    Of the plans met on the way the cheapest that keeps the cash is left in `best`; the plan at a
    high enough price always does.
    """
    ends, choices = scratch.ends, scratch.choices[: len(account.rows)]
    slack = BOUND_SLACK * account.cash[VALUE]
    cost = inf
    ends[0, AT], ends[1, AT] = -inf, inf
    if account.cash[CASH_PULL] <= 0.0:
        mu = max(mu, 0.0)
    reach = 1e-9
    at = mu
    for _ in range(LOOKS_MAX):
        bound, missing = bound_account(account, at, choices, scratch.group_ends)
        cost = keep_better(account, choices, trade, best, cost)
        put(ends, at, bound, missing, 0.0)
        reach = max(4.0 * reach, 2.0 * abs(missing) / slope if slope > 0.0 else 0.0)
        if ends[1, AT] == inf:
            at = ends[0, AT] + reach
        elif ends[0, AT] == -inf:
            at = ends[1, AT] - reach
            if account.cash[CASH_PULL] <= 0.0 and at < 0.0:
                # Cash without a target never has a negative price.
                if ends[1, AT] == 0.0:
                    break
                at = 0.0
        else:
            at, top = meet(ends)
            highest = max(ends[0, HEIGHT], ends[1, HEIGHT])
            if top - highest <= slack or at == ends[0, AT] or at == ends[1, AT]:
                break
    for _ in range(LOOKS_MAX):
        if cost < inf:
            break
        reach *= 4.0
        bound_account(account, max(ends[0, AT], 0.0) + reach, choices, scratch.group_ends)
        cost = keep_better(account, choices, trade, best, cost)
    higher = 0 if ends[1, AT] == inf or ends[0, HEIGHT] > ends[1, HEIGHT] else 1
    return ends[higher, HEIGHT], ends[higher, AT]
