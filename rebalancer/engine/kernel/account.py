"""One account as the compiled loops see it: its limits, and what a plan costs it."""

from math import sqrt
from typing import NamedTuple

from rebalancer.engine.columns import Floats, Ints
from rebalancer.engine.compiled import compiled
from rebalancer.engine.kernel.rows import (
    AMOUNT,
    BUY_CASH,
    BUY_COST,
    BUY_MAX,
    CASH,
    CASH_MIN,
    CASH_PULL,
    CASH_TARGET,
    EXIT,
    GAP,
    GROUP_GAP,
    GROUP_PULL,
    HELD,
    IMPACT,
    NEAR,
    PULL,
    SELL_CASH,
    SELL_COST,
    SELLABLE,
    TAX,
    TICKET,
    TICKET_CASH,
    TURNOVER_PRICE,
    Sheet,
)


class Account(NamedTuple):
    """One account of a Sheet, as views of its rows."""

    cash: Floats
    rows: Floats
    groups: Floats
    first: Ints  # [positions + 1] into the segments
    segments: Floats
    member: Ints  # [positions] the group, -1: none


@compiled
def prepare(sheet: Sheet, a: int) -> tuple[Account, float]:
    """Return account `a` with its limits filled in, and the most that it can spend.

    Its segments are sorted by price. What it can spend is negative where selling all that may be
    sold does not raise the least cash.
    """
    p0, p1 = sheet.position_offsets[a], sheet.position_offsets[a + 1]
    g0, g1 = sheet.group_offsets[a], sheet.group_offsets[a + 1]
    account = Account(
        sheet.accounts[a],
        sheet.positions[p0:p1],
        sheet.groups[g0:g1],
        sheet.segment_offsets[p0 : p1 + 1],
        sheet.segments,
        sheet.member[p0:p1],
    )
    rows = account.rows
    # No plan can spend more than all that can be raised: a cap on every purchase, so that none is
    # without end where nothing pulls it back.
    most = account.cash[CASH] - account.cash[CASH_MIN]
    for i in range(len(rows)):
        if account.member[i] >= 0:
            account.member[i] -= g0
        sort_segments(account.segments, sheet.lots, account.first[i], account.first[i + 1])
        sellable = 0.0
        for k in range(account.first[i], account.first[i + 1]):
            sellable += account.segments[k, AMOUNT]
        held = rows[i, HELD]
        is_whole = held > 0 and sellable >= held * (1 - NEAR)
        rows[i, SELLABLE] = min(sellable, held) if is_whole else sellable
        rows[i, EXIT] = 1.0 if is_whole else 0.0
        most += rows[i, SELLABLE] * rows[i, SELL_CASH]
    for i in range(len(rows)):
        rows[i, BUY_MAX] = max(0.0, min(rows[i, BUY_MAX], most / rows[i, BUY_CASH]))
    return account, most


@compiled
def sort_segments(segments: Floats, lots: Ints, start: int, stop: int) -> None:
    """Sort a position's segments by price, equal ones by lot."""
    for k in range(start + 1, stop):
        amount, price, tax = segments[k, 0], segments[k, 1], segments[k, 2]
        lot = lots[k]
        j = k
        while j > start and (
            segments[j - 1, 1] > price or (segments[j - 1, 1] == price and lots[j - 1] > lot)
        ):
            segments[j, 0] = segments[j - 1, 0]
            segments[j, 1] = segments[j - 1, 1]
            segments[j, 2] = segments[j - 1, 2]
            lots[j] = lots[j - 1]
            j -= 1
        segments[j, 0], segments[j, 1], segments[j, 2] = amount, price, tax
        lots[j] = lot


@compiled
def measure_change(
    rows: Floats, i: int, segments: Floats, start: int, stop: int, trade: float, column: int
) -> float:
    """Return what a trade changes in its position's part of the objective, without the ticket."""
    change = rows[i, PULL] * trade * (0.5 * trade - rows[i, GAP])
    if trade >= 0.0:
        amount = trade
        change += rows[i, BUY_COST] * amount
    else:
        amount = -trade
        change += rows[i, SELL_COST] * amount
        left = amount
        for k in range(start, stop):
            part = min(left, segments[k, AMOUNT]) if k + 1 < stop else left
            change += part * segments[k, column]
            left -= part
            if left <= 0.0:
                break
    if rows[i, IMPACT] > 0.0:
        change += rows[i, IMPACT] * amount * sqrt(amount)
    return change


@compiled
def measure_flow(rows: Floats, i: int, trade: float) -> float:
    """Return the cash that a trade spends, without the ticket; negative where it brings cash in."""
    return trade * (rows[i, BUY_CASH] if trade > 0.0 else rows[i, SELL_CASH])


@compiled
def measure_cash(account: Account, trade: Floats, tickets: float) -> float:
    """Return the cash that is left after the trades; `tickets` 1 counts them, 0 does not."""
    left = account.cash[CASH]
    for i in range(len(account.rows)):
        if trade[i] != 0.0:
            left -= measure_flow(account.rows, i, trade[i])
            left -= tickets * account.rows[i, TICKET_CASH]
    return left


@compiled
def measure_plan(account: Account, trade: Floats, tickets: float, column: int) -> float:
    """Return the objective of the trades, at the segments' tax or at their price."""
    cash, rows, groups = account.cash, account.rows, account.groups
    idle = measure_cash(account, trade, tickets) - cash[CASH_TARGET]
    cost = 0.5 * cash[CASH_PULL] * idle * idle
    for g in range(len(groups)):
        if groups[g, GROUP_PULL] > 0.0:
            off = -groups[g, GROUP_GAP]
            for i in range(len(rows)):
                if account.member[i] == g:
                    off += trade[i]
            cost += 0.5 * groups[g, GROUP_PULL] * off * off
    for i in range(len(rows)):
        cost += 0.5 * rows[i, PULL] * rows[i, GAP] * rows[i, GAP]
        if trade[i] != 0.0:
            start, stop = account.first[i], account.first[i + 1]
            cost += measure_change(rows, i, account.segments, start, stop, trade[i], column)
            cost += tickets * rows[i, TICKET]
            if column == TAX:
                # The price of turnover decides; it is not paid.
                cost -= cash[TURNOVER_PRICE] * abs(trade[i])
    return cost
