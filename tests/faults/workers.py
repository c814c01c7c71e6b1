"""What workers do in a step: each looks for what is due at one stage, and may run twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.operations.sealing import seal_journal
from rebalancer.operations import approvals, orders
from rebalancer.operations.execution import (
    allocation,
    asking,
    begin,
    blocks,
    completing,
    outbox,
    sending,
    sessions,
)

if TYPE_CHECKING:
    from tests.faults.schedule import Schedule


def begin_executions(schedule: Schedule) -> None:
    begin.begin_executions(now=schedule.now)


def form_blocks(schedule: Schedule) -> None:
    blocks.form_blocks(now=schedule.now)


def send_slices(schedule: Schedule) -> None:
    sending.send_slices(now=schedule.now)


def poll_slices(schedule: Schedule) -> None:
    asking.poll_slices(now=schedule.now)


def allocate_blocks(schedule: Schedule) -> None:
    allocation.allocate_blocks(now=schedule.now)


def resolve_unknown(schedule: Schedule) -> None:
    asking.resolve_unknown(now=schedule.now)


def review_brokers(schedule: Schedule) -> None:
    asking.review_brokers(now=schedule.now)


def close_sessions(schedule: Schedule) -> None:
    sessions.close_sessions(now=schedule.now)


def complete_proposals(schedule: Schedule) -> None:
    completing.complete_proposals(now=schedule.now)


def tell_brokers(schedule: Schedule) -> None:
    outbox.tell_brokers(now=schedule.now)


def submit_orders(schedule: Schedule) -> None:
    orders.submit_orders(now=schedule.now)


def poll_broker(schedule: Schedule) -> None:
    orders.poll_broker(now=schedule.now)


def expire_proposals(schedule: Schedule) -> None:
    approvals.expire_proposals(now=schedule.now)


def seal(schedule: Schedule) -> None:
    seal_journal(firm_id=schedule.firm.pk)
