"""The life of a proposal, an order and a slice, as tables that can be printed, tested and drawn."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar


class ProposalStatus(StrEnum):
    """Where a proposal stands."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    EXECUTING = "EXECUTING"
    COMPLETED = "COMPLETED"
    COMPLETED_ADJUSTED = "COMPLETED_ADJUSTED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    SUPERSEDED = "SUPERSEDED"


class ProposalEvent(StrEnum):
    """What can happen to a proposal."""

    APPROVE = "APPROVE"
    REJECT = "REJECT"
    EXPIRE = "EXPIRE"
    SUPERSEDE = "SUPERSEDE"
    EXECUTE = "EXECUTE"
    COMPLETE = "COMPLETE"
    COMPLETE_ADJUSTED = "COMPLETE_ADJUSTED"


class OrderStatus(StrEnum):
    """Where an order stands. SUBMITTING means that the broker's answer is not known."""

    NEW = "NEW"
    SUBMITTING = "SUBMITTING"
    SUBMITTED = "SUBMITTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class OrderEvent(StrEnum):
    """What can happen to an order."""

    CLAIM = "CLAIM"
    RELEASE = "RELEASE"
    ACKNOWLEDGE = "ACKNOWLEDGE"
    FILL_PART = "FILL_PART"
    FILL_ALL = "FILL_ALL"
    CANCEL = "CANCEL"
    REJECT = "REJECT"
    EXPIRE = "EXPIRE"
    # After the end only the broker speaks: a fill that came late, or one that it takes back.
    FILL_LATE = "FILL_LATE"
    TAKE_BACK = "TAKE_BACK"


P, PE, S, OE = ProposalStatus, ProposalEvent, OrderStatus, OrderEvent

PROPOSAL_TRANSITIONS: Mapping[tuple[ProposalStatus, ProposalEvent], ProposalStatus] = {
    (P.PENDING, PE.APPROVE): P.APPROVED,
    (P.PENDING, PE.REJECT): P.REJECTED,
    (P.PENDING, PE.EXPIRE): P.EXPIRED,
    (P.PENDING, PE.SUPERSEDE): P.SUPERSEDED,
    (P.APPROVED, PE.EXECUTE): P.EXECUTING,
    # Nothing was sent yet, and what was approved no longer holds.
    (P.APPROVED, PE.EXPIRE): P.EXPIRED,
    (P.APPROVED, PE.SUPERSEDE): P.SUPERSEDED,
    (P.EXECUTING, PE.COMPLETE): P.COMPLETED,
    (P.EXECUTING, PE.COMPLETE_ADJUSTED): P.COMPLETED_ADJUSTED,
}

ORDER_TRANSITIONS: Mapping[tuple[OrderStatus, OrderEvent], OrderStatus] = {
    (S.NEW, OE.CLAIM): S.SUBMITTING,
    (S.NEW, OE.CANCEL): S.CANCELLED,
    (S.NEW, OE.EXPIRE): S.EXPIRED,
    # Nothing is at the broker: it may be sent again, or in another block.
    (S.SUBMITTING, OE.RELEASE): S.NEW,
    (S.SUBMITTING, OE.ACKNOWLEDGE): S.SUBMITTED,
    (S.SUBMITTING, OE.REJECT): S.REJECTED,
    # Taken and ended before we heard of it, or never sent before its day was over.
    (S.SUBMITTING, OE.CANCEL): S.CANCELLED,
    (S.SUBMITTING, OE.EXPIRE): S.EXPIRED,
    # A fill may overtake a lost acknowledgement.
    (S.SUBMITTING, OE.FILL_PART): S.PARTIALLY_FILLED,
    (S.SUBMITTING, OE.FILL_ALL): S.FILLED,
    (S.SUBMITTED, OE.FILL_PART): S.PARTIALLY_FILLED,
    (S.SUBMITTED, OE.FILL_ALL): S.FILLED,
    (S.SUBMITTED, OE.CANCEL): S.CANCELLED,
    (S.SUBMITTED, OE.REJECT): S.REJECTED,
    (S.SUBMITTED, OE.EXPIRE): S.EXPIRED,
    (S.PARTIALLY_FILLED, OE.FILL_PART): S.PARTIALLY_FILLED,
    (S.PARTIALLY_FILLED, OE.FILL_ALL): S.FILLED,
    (S.PARTIALLY_FILLED, OE.CANCEL): S.CANCELLED,
    (S.PARTIALLY_FILLED, OE.EXPIRE): S.EXPIRED,
}

# What was released, to be sent again, may turn out to be at the broker after all.
SLICE_TRANSITIONS: Mapping[tuple[OrderStatus, OrderEvent], OrderStatus] = {
    **ORDER_TRANSITIONS,
    (S.NEW, OE.ACKNOWLEDGE): S.SUBMITTED,
    (S.NEW, OE.FILL_PART): S.PARTIALLY_FILLED,
    (S.NEW, OE.FILL_ALL): S.FILLED,
    (S.NEW, OE.REJECT): S.REJECTED,
}

# What only the broker can still do to what is closed; closed it remains.
LATE_TRANSITIONS: Mapping[tuple[OrderStatus, OrderEvent], OrderStatus] = {
    (S.CANCELLED, OE.FILL_LATE): S.FILLED,
    (S.EXPIRED, OE.FILL_LATE): S.FILLED,
    (S.REJECTED, OE.FILL_LATE): S.FILLED,
    (S.FILLED, OE.TAKE_BACK): S.CANCELLED,
}

OPEN_PROPOSAL = frozenset(status for status, _event in PROPOSAL_TRANSITIONS)
CLOSED_PROPOSAL = frozenset(ProposalStatus) - OPEN_PROPOSAL
# Nothing has been sent: a client's yes or no still counts.
ANSWERABLE = frozenset({ProposalStatus.PENDING, ProposalStatus.APPROVED})
OPEN_ORDER = frozenset(status for status, _event in ORDER_TRANSITIONS)
CLOSED_ORDER = frozenset(OrderStatus) - OPEN_ORDER


class TransitionRefused(Exception):
    """The event cannot happen in this state."""


Status = TypeVar("Status", ProposalStatus, OrderStatus)
Event = TypeVar("Event", ProposalEvent, OrderEvent)


def advance(
    transitions: Mapping[tuple[Status, Event], Status], status: Status, event: Event
) -> Status:
    """Return the state that follows `event`.

    :raises TransitionRefused: when the table does not list the pair.
    """
    try:
        return transitions[status, event]
    except KeyError:
        raise TransitionRefused(f"{event} is not possible while {status}") from None


def advance_proposal(status: str, event: ProposalEvent) -> ProposalStatus:
    """Return the proposal state that follows `event`; see `advance`."""
    return advance(PROPOSAL_TRANSITIONS, ProposalStatus(status), event)


def advance_order(status: str, event: OrderEvent) -> OrderStatus:
    """Return the order state that follows `event`; see `advance`."""
    return advance(ORDER_TRANSITIONS, OrderStatus(status), event)


def advance_slice(status: str, event: OrderEvent) -> OrderStatus:
    """Return the state of a slice that follows `event`; see `advance`."""
    return advance(SLICE_TRANSITIONS, OrderStatus(status), event)


def follow_late(status: str, *, is_full: bool) -> OrderStatus:
    """Return the state of something closed once all of it is filled, or no longer is."""
    if is_full == (status == OrderStatus.FILLED):
        return OrderStatus(status)
    event = OrderEvent.FILL_LATE if is_full else OrderEvent.TAKE_BACK
    return advance(LATE_TRANSITIONS, OrderStatus(status), event)
