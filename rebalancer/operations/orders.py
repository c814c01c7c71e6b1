"""The road of orders, in the few steps that workers and tests take: send, poll, find out, end.

Each step does whatever the rows say is due, from approval to books; see `execution`.
"""

from datetime import datetime

from rebalancer.operations.execution.allocation import allocate_blocks
from rebalancer.operations.execution.asking import poll_slices, resolve_unknown, review_brokers
from rebalancer.operations.execution.begin import begin_executions
from rebalancer.operations.execution.blocks import form_blocks
from rebalancer.operations.execution.completing import complete_proposals
from rebalancer.operations.execution.outbox import tell_brokers
from rebalancer.operations.execution.sending import send_slices
from rebalancer.operations.execution.sessions import close_sessions


def submit_orders(*, now: datetime) -> int:
    """Begin what was approved, and send whatever may go; return how many slices were answered.

    Buys go when the sells of their proposal are closed, so there may be several rounds.
    """
    while begin_executions(now=now):
        pass
    sent = 0
    while True:
        form_blocks(now=now)
        answered = send_slices(now=now)
        sent += answered
        # What was rejected or filled at once frees the buys that waited for it.
        settled = allocate_blocks(now=now)
        if not (answered and settled):
            break
    finish_orders(now=now)
    return sent


def poll_broker(*, now: datetime) -> int:
    """Ask about what is at the brokers, and book what is over; return how many fills were new."""
    found = poll_slices(now=now)
    allocate_blocks(now=now)
    finish_orders(now=now)
    return found


def resolve_unknown_orders(*, now: datetime) -> int:
    """Ask about slices whose sending was cut short; return how many were asked about."""
    asked = resolve_unknown(now=now)
    allocate_blocks(now=now)
    return asked


def review_orders(*, now: datetime) -> int:
    """Read the brokers' own lists for what came late; return how many executions were new."""
    found = review_brokers(now=now)
    allocate_blocks(now=now)
    finish_orders(now=now)
    return found


def end_sessions(*, now: datetime) -> int:
    """End the trading days that are over; return how many blocks were still open then."""
    ended = close_sessions(now=now)
    allocate_blocks(now=now)
    finish_orders(now=now)
    return ended


def finish_orders(*, now: datetime) -> None:
    """Complete what has no open order any more, and tell brokers whose the shares are."""
    complete_proposals(now=now)
    tell_brokers(now=now)
