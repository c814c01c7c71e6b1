"""Plain measures of given trades of a Problem: objective, cash, limits, tax. Loops, no engine."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rebalancer.engine.problem import Problem


@dataclass(frozen=True)
class HouseholdTax:
    """One tax return: net gains of the year so far, after carries, and what they cost."""

    short: float
    long: float
    cap: float
    short_rate: float
    long_rate: float
    deduction_rate: float
    carried_rate: float


@dataclass(frozen=True)
class Answer:
    """What a solver found: all positions and segments of the Problem, zero outside `accounts`."""

    trade: np.ndarray
    sold: np.ndarray
    objective: float  # measured again, money
    bound: float  # the solver's own proof, money


def list_accounts(accounts: int | Sequence[int]) -> list[int]:
    return [accounts] if isinstance(accounts, int | np.integer) else [int(a) for a in accounts]


def positions_of(problem: Problem, account: int) -> range:
    return range(*problem.position_offsets[account : account + 2])


def segments_of(problem: Problem, position: int) -> range:
    return range(*problem.segment_offsets[position : position + 2])


def pour(problem: Problem, trade: np.ndarray, tau: np.ndarray, accounts) -> np.ndarray:
    """Return the money sold of every segment: the lowest tau first, then the first."""
    sold = np.zeros(len(problem.amount))
    for account in list_accounts(accounts):
        for i in positions_of(problem, account):
            left = max(-trade[i], 0.0)
            for segment in sorted(segments_of(problem, i), key=lambda j: (tau[j], j)):
                sold[segment] = min(left, problem.amount[segment])
                left -= sold[segment]
    return sold


def measure_cash(problem: Problem, account: int, trade: np.ndarray) -> float:
    rows = positions_of(problem, account)
    cash = problem.cash[account]
    for i in rows:
        cash -= max(trade[i], 0) * (1 + problem.buy_cost[i])
        cash += max(-trade[i], 0) * (1 - problem.sell_cost[i])
        cash -= problem.ticket_cash[i] * (trade[i] != 0)
    return float(cash)


def measure_untaxed(problem: Problem, account: int, trade: np.ndarray) -> float:
    """Return the objective without any price on segments, money."""
    value, total = problem.value[account], 0.0
    groups: dict[int, float] = dict.fromkeys(
        range(*problem.group_offsets[account : account + 2]), 0.0
    )
    for i in positions_of(problem, account):
        after = problem.held[i] + trade[i]
        total += problem.penalty[i] / (2 * value) * (after - problem.target[i]) ** 2
        total += problem.buy_cost[i] * max(trade[i], 0) + problem.sell_cost[i] * max(-trade[i], 0)
        total += (problem.ticket_cash[i] + problem.ticket_price[account]) * (trade[i] != 0)
        total += problem.impact[i] * abs(trade[i]) ** 1.5
        if problem.group[i] >= 0:
            groups[int(problem.group[i])] += after
    for group, held in groups.items():
        miss = held - problem.group_target[group]
        total += problem.group_penalty[group] / (2 * value) * miss**2
    miss = measure_cash(problem, account, trade) - problem.cash_target[account]
    return float(total + problem.cash_penalty[account] / (2 * value) * miss**2)


def measure_objective(problem: Problem, account, trade: np.ndarray, tau=None) -> float:
    """Return the objective of given trades of one account (or several), money."""
    tau = problem.tau() if tau is None else tau
    accounts = list_accounts(account)
    sold = pour(problem, trade, tau, accounts)
    return float(sum(measure_untaxed(problem, a, trade) for a in accounts) + sold @ tau)


def is_feasible(problem: Problem, account: int, trade: np.ndarray, tolerance=1e-6) -> bool:
    """Tell whether trades keep every limit of an account, steps and smallest trades included."""
    if measure_cash(problem, account, trade) < problem.cash_min[account] - tolerance:
        return False
    for i in positions_of(problem, account):
        amount = problem.amount[list(segments_of(problem, i))].sum()
        size = abs(trade[i])
        if trade[i] > problem.buy_max[i] + tolerance or -trade[i] > amount + tolerance:
            return False
        is_exit = abs(trade[i] + problem.held[i]) <= tolerance and trade[i] < 0
        steps = size / problem.step[i]
        if size and not is_exit and abs(steps - round(steps)) * problem.step[i] > tolerance:
            return False
        if size and not is_exit and size < problem.smallest[i] - tolerance:
            return False
    return True


def measure_tax(tax: HouseholdTax, short: float, long: float) -> float:
    """Return the year's tax at net gains short and long: the five regimes, one by one."""
    if short + long <= -tax.cap:
        return tax.carried_rate * (short + long + tax.cap) - tax.deduction_rate * tax.cap
    if short + long <= 0:
        return tax.deduction_rate * (short + long)
    if short >= 0 and long >= 0:
        return tax.short_rate * short + tax.long_rate * long
    return (tax.short_rate if short > 0 else tax.long_rate) * (short + long)


def measure_netted(problem: Problem, accounts, trade, sold, tax: HouseholdTax) -> float:
    """Return the objective with the household's tax return in place of fixed rates, money."""
    gains = problem.gain * sold
    short, long = gains[~problem.is_long].sum(), gains[problem.is_long].sum()
    total = sum(measure_untaxed(problem, a, trade) for a in list_accounts(accounts))
    total += measure_tax(tax, tax.short + short, tax.long + long)
    total -= measure_tax(tax, tax.short, tax.long)
    return float(total - problem.waiting @ sold)
