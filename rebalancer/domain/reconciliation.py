"""Our books against the broker's: what differs, and what only is on its way. Pure arithmetic.

A difference that something under way can explain is no break: an order that is not shared out yet
explains no more than it orders, a sale no more than it pays later. What nothing explains, is one.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from portfolios.domain.money import CENT, QUANTITY_STEP, ZERO

# (account, security); no security: the account's cash.
Unit = tuple[int, int | None]


class RunStatus(StrEnum):
    """Where a comparison stands."""

    ASKED = "ASKED"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"


class SliceAnswer(StrEnum):
    """What people found out about a slice that only they can settle."""

    TAKEN = "TAKEN"  # the broker has it: it is asked about from now on
    SEND = "SEND"  # the broker never had it: it goes again
    DROP = "DROP"  # the broker never had it, and it is not to go any more
    END = "END"  # it is over, and no more of it will ever be on record


# Of a slice that the broker may not have; of one that is over and cannot be recorded in full.
DOUBTS = (SliceAnswer.TAKEN, SliceAnswer.SEND, SliceAnswer.DROP)


@dataclass(frozen=True, slots=True)
class UnderWay:
    """What may explain differences."""

    # How far orders that are not settled between us and the broker may move a unit, either way.
    orders: Mapping[Unit, Decimal]
    # What sales brought that is paid later: not with the broker yet, if it counts what is settled.
    unsettled: Mapping[int, Decimal]
    # Accounts whose books moved while they were compared, or that the broker was not told of.
    moving: Collection[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Difference:
    """One unit in which the books differ; `explanation` says what is on its way, if that is all."""

    account_id: int
    security_id: int | None
    ours: Decimal
    theirs: Decimal
    explanation: str = ""


def compare_books(
    *, ours: Mapping[Unit, Decimal], theirs: Mapping[Unit, Decimal], under_way: UnderWay
) -> list[Difference]:
    """Return every unit in which both sides differ, in order of account; a missing unit is zero."""
    found = []
    for unit in sorted({*ours, *theirs}, key=_sort_key):
        account_id, security_id = unit
        step = CENT if security_id is None else QUANTITY_STEP
        mine = ours.get(unit, ZERO)
        told = theirs.get(unit, ZERO).quantize(step)
        if mine != told:
            words = _explain(unit, told - mine, under_way)
            found.append(Difference(account_id, security_id, mine, told, words))
    return found


def _sort_key(unit: Unit) -> tuple[int, bool, int]:
    return unit[0], unit[1] is not None, unit[1] or 0


def _explain(unit: Unit, gap: Decimal, under_way: UnderWay) -> str:
    account_id, security_id = unit
    if account_id in under_way.moving:
        return "its books moved while they were compared"
    if abs(gap) <= under_way.orders.get(unit, ZERO):
        return "an order is on its way"
    if security_id is None and gap == -under_way.unsettled.get(account_id, ZERO):
        return "sales are paid later"
    return ""
