"""What the road through the engine starts from and ends in, and which ties trades would break."""

from dataclasses import dataclass, replace

import numpy as np

from rebalancer.domain.kinds import Mode, Path
from rebalancer.engine.book import Book
from rebalancer.engine.columns import Bools, Floats, Ints
from rebalancer.engine.coupled.terms import Coupling
from rebalancer.engine.drift import Drift
from rebalancer.engine.formulate import Formulation
from rebalancer.engine.segments import LAST_RESORT, ORDINARY, Leeway
from rebalancer.engine.targets import Targets

CENT = 0.01
SMALL = 1e-9


@dataclass(frozen=True)
class Case:
    """What the engine looks at: a Book with its targets and its drift."""

    book: Book
    targets: Targets
    drift: Drift


@dataclass(frozen=True)
class Outcome:
    """One household's trades in money, the road they came by, and how good they are."""

    formulation: Formulation  # of the household alone
    modes: tuple[Mode, ...]  # by account of the Formulation
    coupling: Coupling
    matrices: tuple[Floats, ...] | None  # drift matrices by account, where drift is priced by risk
    trade: Floats  # [positions]
    steps: Ints
    is_exit: Bools
    sold: Floats  # [segments]
    bound: float  # no plan of `to_solve` costs less; -inf: not known
    is_netted: bool  # tax is what the trades change of the year's, not rates lot by lot
    path: Path
    path_reason: str
    gains_exceeded: float = 0.0  # net gain above the year's budget that could not be avoided
    turnover_exceeded: float = 0.0  # trades above the limits that could not be avoided
    leeway: Leeway = ORDINARY
    is_infeasible: bool = False

    @property
    def is_last_resort(self) -> bool:
        """Return whether what tax law or policy would keep back may be sold."""
        return self.leeway == LAST_RESORT

    @property
    def is_unmet(self) -> bool:
        """Return whether no plan keeps every limit: cash that must come, and gains that may not."""
        exceeded = max(self.gains_exceeded, self.turnover_exceeded)
        return self.is_infeasible or exceeded > CENT


def keep_still(outcome: Outcome) -> Outcome:
    """Return an outcome that trades nothing, not even what would have to go."""
    formulation = outcome.formulation
    return replace(
        outcome,
        formulation=replace(
            formulation,
            to_solve=formulation.problem,
            forced=np.zeros_like(formulation.forced),
        ),
        trade=np.zeros_like(outcome.trade),
        steps=np.zeros_like(outcome.steps),
        is_exit=np.zeros_like(outcome.is_exit),
        sold=np.zeros_like(outcome.sold),
        bound=-np.inf,
    )


def find_broken_tie(outcome: Outcome, trade: Floats, sold: Floats) -> str:
    """Return in words which tie of the household trades would break, or an empty string.

    `trade` is by position, `sold` by segment.
    """
    coupling, problem = outcome.coupling, outcome.formulation.to_solve
    after = problem.held + trade
    for cap, label in enumerate(coupling.cap_labels):
        members = coupling.cap_position[coupling.cap_offsets[cap] : coupling.cap_offsets[cap + 1]]
        if after[members].sum() > coupling.cap_max[cap] * (1 + SMALL) + SMALL:
            return f"a limit binds: {label}"
    account = outcome.formulation.account
    turnover = np.bincount(account, weights=np.abs(trade), minlength=problem.account_count)
    if (turnover > coupling.turnover_max * (1 + SMALL) + CENT).any():
        return "a limit binds: how much may be traded"
    if (sold * problem.gain).sum() > coupling.gains_max + CENT:
        return "a limit binds: the gains that may be realised"
    group = find_washed(coupling, trade, sold)
    if group is not None:
        return f"either {coupling.wash_labels[group]} is sold at a loss or bought, not both"
    return ""


def find_washed(coupling: Coupling, trade: Floats, sold: Floats) -> int | None:
    """Return the first wash window that trades are on both sides of, or None."""
    for group in range(len(coupling.wash_labels)):
        segments, positions = list_window(coupling, group)
        if sold[segments].sum() > 0 and trade[positions].max() > 0:
            return group
    return None


def list_window(coupling: Coupling, group: int) -> tuple[Ints, Ints]:
    """Return the loss segments and the positions of one wash window."""
    sides = []
    for offsets, members in (
        (coupling.wash_segment_offsets, coupling.wash_segment),
        (coupling.wash_position_offsets, coupling.wash_position),
    ):
        sides.append(members[offsets[group] : offsets[group + 1]])
    return sides[0], sides[1]
