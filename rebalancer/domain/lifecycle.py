"""The life of a proposal and of an order, as tables that can be printed, tested and drawn."""

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
    # The broker was asked and does not know the order: it may be sent again.
    (S.SUBMITTING, OE.RELEASE): S.NEW,
    (S.SUBMITTING, OE.ACKNOWLEDGE): S.SUBMITTED,
    (S.SUBMITTING, OE.REJECT): S.REJECTED,
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

OPEN_PROPOSAL = frozenset(status for status, _event in PROPOSAL_TRANSITIONS)
CLOSED_PROPOSAL = frozenset(ProposalStatus) - OPEN_PROPOSAL
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
