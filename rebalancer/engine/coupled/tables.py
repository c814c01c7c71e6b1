"""A household as the compiled loops read it: one tuple of flat arrays, drift weights per money.

Lots of a position that cost the same to sell are one slice; slices lie in the order in which they
are sold. `split_slices` gives the lots back.
"""

from typing import NamedTuple

import numpy as np

from rebalancer.engine.columns import Bools, Floats, Ints
from rebalancer.engine.coupled.terms import Coupling, add_up
from rebalancer.engine.problem import Problem


class Slices(NamedTuple):
    """What may be sold of the positions, in the order in which it is."""

    offsets: Ints  # [positions + 1]
    amount: Floats
    tau: Floats
    gain: Floats
    window: Ints  # wash window of a loss; -1: none


class Tables(NamedTuple):
    """Arrays of one household; `link` lists the quadratic rows, `cap` the caps of a position."""

    account: Ints  # [positions]
    held: Floats
    own: Floats  # penalty / V
    target: Floats
    holding_cost: Floats
    buy_cost: Floats
    sell_cost: Floats
    ticket_cash: Floats
    ticket_cost: Floats  # the ticket's cash and what one fewer is worth
    impact: Floats
    smallest: Floats
    step: Floats
    buy_max: Floats  # no account can pay for more: always finite
    is_buy_limited: Bools  # by more than what the account can pay
    slices: Slices
    link_offsets: Ints  # [positions + 1], into link_row
    link_row: Ints
    row_target: Floats
    row_weight: Floats  # penalty / value
    cap_offsets: Ints  # [positions + 1], into cap_row
    cap_row: Ints
    cap_max: Floats
    cash: Floats  # [accounts]
    cash_min: Floats
    cash_target: Floats
    cash_weight: Floats
    turnover_max: Floats
    gains_max: Floats  # [1]
    window_offsets: Ints  # [windows + 1], into window_position: what may not be bought
    window_position: Ints
    slice_of_segment: Ints  # [segments]


def build_tables(problem: Problem, coupling: Coupling) -> Tables:
    """Return the household of a Problem that holds exactly one.

    :raises ValueError: when the Problem holds another number of households.
    """
    if len(problem.household_offsets) != 2:
        raise ValueError("the coupled path solves one household at a time")
    account = np.repeat(np.arange(problem.account_count), np.diff(problem.position_offsets))
    window, window_offsets, window_position = _find_windows(problem, coupling)
    offsets, amount, tau, gain, window, of_segment = _slice_segments(problem, window)
    row_of, row_member, row_target, row_weight = _join_rows(problem, coupling)
    cap_of = np.repeat(np.arange(len(coupling.cap_max)), np.diff(coupling.cap_offsets))
    link_offsets, link_row = _transpose(row_of, row_member, len(account))
    cap_offsets, cap_row = _transpose(cap_of, coupling.cap_position, len(account))
    proceeds = add_up(account, _held_for_sale(problem), problem.account_count)
    room = np.maximum(problem.cash + proceeds - problem.cash_min, 0)[account]
    return Tables(
        account=account,
        held=problem.held,
        own=problem.penalty / problem.value[account],
        target=problem.target,
        holding_cost=coupling.holding_cost,
        buy_cost=problem.buy_cost,
        sell_cost=problem.sell_cost,
        ticket_cash=problem.ticket_cash,
        ticket_cost=problem.ticket_cash + problem.ticket_price[account],
        impact=problem.impact,
        smallest=problem.smallest,
        step=problem.step,
        buy_max=np.minimum(problem.buy_max, room),
        is_buy_limited=problem.buy_max < room,
        slices=Slices(offsets, amount, tau, gain, window),
        link_offsets=link_offsets,
        link_row=link_row,
        row_target=row_target,
        row_weight=row_weight,
        cap_offsets=cap_offsets,
        cap_row=cap_row,
        cap_max=coupling.cap_max,
        cash=problem.cash,
        cash_min=problem.cash_min,
        cash_target=problem.cash_target,
        cash_weight=problem.cash_penalty / problem.value,
        turnover_max=coupling.turnover_max,
        gains_max=np.array([coupling.gains_max]),
        window_offsets=window_offsets,
        window_position=window_position,
        slice_of_segment=of_segment,
    )


def price_gains(tables: Tables, gain_price: float) -> Tables:
    """Return the tables with slices in the order of tau + price * gain: a gains budget's order."""
    counts = np.diff(tables.slices.offsets)
    position = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((tables.slices.tau + gain_price * tables.slices.gain, position))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    slices = tables.slices
    return tables._replace(
        slices=slices._replace(
            amount=slices.amount[order],
            tau=slices.tau[order],
            gain=slices.gain[order],
            window=slices.window[order],
        ),
        slice_of_segment=rank[tables.slice_of_segment],
    )


def split_slices(problem: Problem, tables: Tables, sold: Floats) -> Floats:
    """Return the money sold of every segment, given that of every slice: in the segments' order."""
    order = np.argsort(tables.slice_of_segment, kind="stable")
    owner = tables.slice_of_segment[order]
    amount = problem.amount[order]
    before = np.cumsum(amount) - amount
    first = np.searchsorted(owner, owner, side="left")
    before -= before[first] if len(first) else 0.0
    by_segment = np.empty_like(amount)
    by_segment[order] = np.clip(sold[owner] - before, 0, amount)
    return by_segment


def _held_for_sale(problem: Problem) -> Floats:
    position = np.repeat(np.arange(len(problem.held)), np.diff(problem.segment_offsets))
    return add_up(position, problem.amount, len(problem.held))


def _find_windows(problem: Problem, coupling: Coupling) -> tuple[Ints, Ints, Ints]:
    """Return the window of every segment, and by window the positions not to be bought.

    A loss that pays for a round trip makes a position sell and buy at once in the relaxation;
    where no wash window forbids that, a window of its own does.
    """
    if len(np.unique(coupling.wash_segment)) < len(coupling.wash_segment):
        raise ValueError("a segment lies in two wash windows")
    labels = np.arange(len(coupling.wash_labels))
    window = np.full(len(problem.amount), -1)
    window[coupling.wash_segment] = np.repeat(labels, np.diff(coupling.wash_segment_offsets))
    position = np.repeat(np.arange(len(problem.held)), np.diff(problem.segment_offsets))
    pays = problem.tau() < -(problem.buy_cost + problem.sell_cost)[position]
    own = np.flatnonzero(pays & (window < 0) & (problem.buy_max[position] > 0))
    alone, number = np.unique(position[own], return_inverse=True)
    window[own] = len(labels) + number
    last = coupling.wash_position_offsets[-1]
    offsets = np.concatenate([coupling.wash_position_offsets, last + 1 + np.arange(len(alone))])
    return window, offsets, np.concatenate([coupling.wash_position, alone])


def _slice_segments(
    problem: Problem, window: Ints
) -> tuple[Ints, Floats, Floats, Floats, Ints, Ints]:
    """Return slice offsets, amounts, tau, gains, windows, and the slice of every segment."""
    position = np.repeat(np.arange(len(problem.held)), np.diff(problem.segment_offsets))
    tau = problem.tau()
    order = np.lexsort((window, problem.gain, tau, position))
    keys = (position[order], tau[order], problem.gain[order], window[order])
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    of_order = np.cumsum(is_first) - 1
    of_segment = np.empty(len(order), dtype=np.int64)
    of_segment[order] = of_order
    count = int(is_first.sum())
    amount = add_up(of_segment, problem.amount, count)
    slices = np.bincount(keys[0][is_first], minlength=len(problem.held))
    offsets = np.concatenate([[0], np.cumsum(slices)])
    return offsets, amount, *(key[is_first] for key in keys[1:]), of_segment  # type: ignore[return-value]


def _join_rows(problem: Problem, coupling: Coupling) -> tuple[Ints, Ints, Floats, Floats]:
    """Return (row, position) pairs, targets and weights: accounts' groups, then household rows."""
    members = np.flatnonzero(problem.group >= 0)
    household_rows = np.repeat(np.arange(len(coupling.row_target)), np.diff(coupling.row_offsets))
    groups = len(problem.group_target)
    of_group = np.repeat(problem.value, np.diff(problem.group_offsets))
    row = np.concatenate([problem.group[members], household_rows + groups])
    position = np.concatenate([members, coupling.row_position])
    target = np.concatenate([problem.group_target, coupling.row_target])
    weight = np.concatenate(
        [problem.group_penalty / of_group, coupling.row_penalty / problem.value.sum()]
    )
    return _drop_weightless(row, position, target, weight)


def _drop_weightless(
    row: Ints, position: Ints, target: Floats, weight: Floats
) -> tuple[Ints, Ints, Floats, Floats]:
    kept = weight > 0
    number = np.cumsum(kept) - 1
    chosen = kept[row]
    return number[row[chosen]], position[chosen], target[kept], weight[kept]


def _transpose(row: Ints, position: Ints, count: int) -> tuple[Ints, Ints]:
    """Return the rows of every position as offsets and a list."""
    order = np.argsort(position, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(position, minlength=count))])
    return offsets.astype(np.int64), row[order]
