"""A part of a Problem: some of its accounts as a Problem of their own, and the way back."""

from dataclasses import dataclass, fields, replace

import numpy as np

from rebalancer.engine.columns import Bools, Ints
from rebalancer.engine.problem import Problem

OFFSETS = ("household_offsets", "position_offsets", "group_offsets", "segment_offsets")
OF_ACCOUNTS = [
    "value",
    "cash",
    "cash_min",
    "cash_target",
    "cash_penalty",
    "ticket_price",
    "short_rate",
    "long_rate",
]
OF_GROUPS = ("group_target", "group_penalty")
OF_SEGMENTS = ["lot", "amount", "gain", "is_long", "waiting"]


@dataclass(frozen=True)
class Selection:
    """Where the rows of a part stand in the whole."""

    accounts: Ints
    positions: Ints
    segments: Ints
    unit: Ints  # [accounts] which of the chosen accounts or households, counted from 0
    account_of_position: Ints  # counted within the part
    account_of_segment: Ints

    def only(self, is_kept: Bools) -> tuple[Bools, Bools, Bools]:
        """Return which accounts, positions and segments belong to the units that are kept."""
        accounts = is_kept[self.unit]
        return accounts, accounts[self.account_of_position], accounts[self.account_of_segment]


def list_rows(offsets: Ints, owners: Ints) -> Ints:
    """Return the indices of all rows of the given owners, in their order."""
    counts = offsets[owners + 1] - offsets[owners]
    ends = np.cumsum(counts)
    rows: Ints = np.repeat(offsets[owners] - ends + counts, counts) + np.arange(counts.sum())
    return rows


def label_rows(offsets: Ints) -> Ints:
    """Return the owner of each row."""
    owners: Ints = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    return owners


def select_accounts(problem: Problem, accounts: Ints) -> tuple[Problem, Selection]:
    """Return the given accounts (ascending) as a Problem; those of one household stay together."""
    positions = list_rows(problem.position_offsets, accounts)
    groups = list_rows(problem.group_offsets, accounts)
    segments = list_rows(problem.segment_offsets, positions)
    household = label_rows(problem.household_offsets)[accounts]
    starts = np.flatnonzero(np.diff(household, prepend=-1))
    place = np.full(len(problem.group_target) + 1, -1)
    place[groups] = np.arange(len(groups))
    columns = {}
    for field in fields(Problem):
        rows = positions
        if field.name in OF_ACCOUNTS:
            rows = accounts
        elif field.name in OF_GROUPS:
            rows = groups
        elif field.name in OF_SEGMENTS:
            rows = segments
        if field.name not in OFFSETS:
            columns[field.name] = getattr(problem, field.name)[rows]
    columns["group"] = place[problem.group[positions]]
    part = replace(
        problem,
        household_offsets=np.append(starts, len(accounts)),
        position_offsets=_count_up(problem.position_offsets, accounts),
        group_offsets=_count_up(problem.group_offsets, accounts),
        segment_offsets=_count_up(problem.segment_offsets, positions),
        **columns,
    )
    return part, _describe(part, accounts, positions, segments)


def select_households(problem: Problem, households: Ints) -> tuple[Problem, Selection]:
    """Return the given households (ascending) as a Problem."""
    part, selection = select_accounts(problem, list_rows(problem.household_offsets, households))
    return part, replace(selection, unit=label_rows(part.household_offsets))


def select_everything(problem: Problem, unit: Ints) -> Selection:
    """Return a selection of all accounts, each of the given unit."""
    accounts, positions = np.arange(problem.account_count), np.arange(len(problem.held))
    segments = np.arange(len(problem.amount))
    return replace(_describe(problem, accounts, positions, segments), unit=unit)


def _describe(part: Problem, accounts: Ints, positions: Ints, segments: Ints) -> Selection:
    account_of_position = label_rows(part.position_offsets)
    return Selection(
        accounts=accounts,
        positions=positions,
        segments=segments,
        unit=np.arange(len(accounts)),
        account_of_position=account_of_position,
        account_of_segment=account_of_position[label_rows(part.segment_offsets)],
    )


def _count_up(offsets: Ints, owners: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(offsets[owners + 1] - offsets[owners])])
