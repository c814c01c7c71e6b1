"""Lays out a range of a Problem's accounts as the compiled loops read them.

One row of numbers per account, position, group and segment, all in the range's own indices: few
arguments keep compilation short, and what is used together lies together in memory.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rebalancer.engine.columns import Floats, Ints
from rebalancer.engine.problem import Problem

# Columns of an account's row.
VALUE, CASH, CASH_MIN, CASH_TARGET, CASH_PULL, TURNOVER_PRICE = range(6)
ACCOUNT_COLUMNS = 6

# Columns of a position's row. Pull is penalty / V; costs are marginal, with the turnover's price;
# LEAST counts steps; TICKET is what the objective pays; SELLABLE and EXIT are filled by `prepare`.
PULL, GAP, HELD, BUY_COST, SELL_COST, BUY_CASH, SELL_CASH, BUY_MAX, IMPACT, STEP = range(10)
LEAST, TICKET_CASH, TICKET, SELLABLE, EXIT = range(10, 15)
POSITION_COLUMNS = 15

# Columns of a group's row. GROUP_GAP is what its members lack together; the searches keep the
# group's price in MULTIPLIER and what the trades so far leave too much in EXCESS.
GROUP_PULL, GROUP_GAP, MULTIPLIER, EXCESS = range(4)

# Columns of a segment's row. PRICE decides; TAX is what the objective reports.
AMOUNT, PRICE, TAX = range(3)

# Columns of an account's result.
CASH_AFTER, OBJECTIVE, BOUND, CASH_PRICE = range(4)

# Instead of a number of steps: the whole holding is sold.
EXITED = -(2**62)

# Counts of steps are floats on the way; what is this near a whole number is one.
NEAR = 1e-9


@dataclass(frozen=True)
class Pricing:
    """What the trades are decided at: tax by segment, prices of gain and of turnover by account."""

    tau: Floats
    gain_price: Floats | None
    turnover_price: Floats | None


class Sheet(NamedTuple):
    """A range of accounts laid out as rows; the arrays are fresh and may be written to."""

    accounts: Floats
    positions: Floats
    groups: Floats
    segments: Floats
    lots: Ints
    member: Ints  # [positions] the group among the sheet's, -1: none
    position_offsets: Ints
    group_offsets: Ints
    segment_offsets: Ints


class Result(NamedTuple):
    """What the compiled loops fill in for a Sheet."""

    trade: Floats  # [positions]
    choice: Ints  # [positions] steps, or EXITED
    accounts: Floats  # [accounts, 4]


def lay_out(problem: Problem, pricing: Pricing, start: int, stop: int) -> Sheet:
    """Return accounts `start` to `stop` of the problem as a Sheet."""
    position_offsets = problem.position_offsets[start : stop + 1]
    group_offsets = problem.group_offsets[start : stop + 1]
    first, last = int(position_offsets[0]), int(position_offsets[-1])
    segment_offsets = problem.segment_offsets[first : last + 1]
    account = np.repeat(np.arange(stop - start), np.diff(position_offsets))
    accounts = _lay_out_accounts(problem, pricing, start, stop)
    groups, member = _lay_out_groups(problem, start, stop)
    return Sheet(
        accounts=accounts,
        positions=_lay_out_positions(problem, accounts, start + account, start),
        groups=groups,
        segments=_lay_out_segments(problem, pricing, start + account, segment_offsets),
        lots=_whole(problem.lot[int(segment_offsets[0]) : int(segment_offsets[-1])]),
        member=member,
        position_offsets=_whole(position_offsets - first),
        group_offsets=_whole(group_offsets - group_offsets[0]),
        segment_offsets=_whole(segment_offsets - segment_offsets[0]),
    )


def make_result(sheet: Sheet) -> Result:
    """Return an empty Result for the sheet: no trades."""
    positions = len(sheet.positions)
    return Result(
        np.zeros(positions), np.zeros(positions, np.int64), np.zeros((len(sheet.accounts), 4))
    )


def _whole(numbers: Ints) -> Ints:
    # Always one type of array, fresh and writable, or the loops would be compiled again.
    return np.array(numbers, dtype=np.int64)


def _lay_out_accounts(problem: Problem, pricing: Pricing, start: int, stop: int) -> Floats:
    rows = np.zeros((stop - start, ACCOUNT_COLUMNS))
    rows[:, VALUE] = problem.value[start:stop]
    rows[:, CASH] = problem.cash[start:stop]
    rows[:, CASH_MIN] = problem.cash_min[start:stop]
    rows[:, CASH_TARGET] = problem.cash_target[start:stop]
    rows[:, CASH_PULL] = problem.cash_penalty[start:stop] / rows[:, VALUE]
    if pricing.turnover_price is not None:
        rows[:, TURNOVER_PRICE] = pricing.turnover_price[start:stop]
    return rows


def _lay_out_groups(problem: Problem, start: int, stop: int) -> tuple[Floats, Ints]:
    """Return the groups' rows, and each position's group: -1 where nothing ties it to others."""
    offsets = problem.group_offsets[start : stop + 1]
    first, last = int(offsets[0]), int(offsets[-1])
    part = slice(int(problem.position_offsets[start]), int(problem.position_offsets[stop]))
    member = _whole(problem.group[part])
    rows = np.zeros((last - first, 4))
    if not len(rows):
        return rows, member
    rows[:, GROUP_PULL] = problem.group_penalty[first:last]
    rows[:, GROUP_PULL] /= np.repeat(problem.value[start:stop], np.diff(offsets))
    at = np.where(member >= 0, member - first, 0)
    is_tied = (member >= 0) & (rows[at, GROUP_PULL] > 0)
    member = np.where(is_tied, at, -1)
    held = np.bincount(member[is_tied], problem.held[part][is_tied], minlength=len(rows))
    rows[:, GROUP_GAP] = problem.group_target[first:last] - held
    return rows, member


def _lay_out_positions(problem: Problem, accounts: Floats, account: Ints, start: int) -> Floats:
    first = int(problem.position_offsets[start])
    part = slice(first, first + len(account))
    turnover_price = accounts[account - start, TURNOVER_PRICE]
    rows = np.zeros((len(account), POSITION_COLUMNS))
    rows[:, PULL] = problem.penalty[part] / problem.value[account]
    rows[:, GAP] = problem.target[part] - problem.held[part]
    rows[:, HELD] = problem.held[part]
    rows[:, BUY_COST] = problem.buy_cost[part] + turnover_price
    rows[:, SELL_COST] = problem.sell_cost[part] + turnover_price
    rows[:, BUY_CASH] = 1 + problem.buy_cost[part]
    rows[:, SELL_CASH] = 1 - problem.sell_cost[part]
    rows[:, BUY_MAX] = problem.buy_max[part]
    rows[:, IMPACT] = problem.impact[part]
    rows[:, STEP] = problem.step[part]
    rows[:, LEAST] = np.maximum(np.ceil(problem.smallest[part] / problem.step[part] - NEAR), 1)
    rows[:, TICKET_CASH] = problem.ticket_cash[part]
    rows[:, TICKET] = problem.ticket_cash[part] + problem.ticket_price[account]
    return rows


def _lay_out_segments(problem: Problem, pricing: Pricing, account: Ints, offsets: Ints) -> Floats:
    part = slice(int(offsets[0]), int(offsets[-1]))
    rows = np.zeros((part.stop - part.start, 3))
    rows[:, AMOUNT] = problem.amount[part]
    rows[:, PRICE] = rows[:, TAX] = pricing.tau[part]
    if pricing.gain_price is not None:
        price = np.repeat(pricing.gain_price[account], np.diff(offsets))
        rows[:, PRICE] += price * problem.gain[part]
    return rows
