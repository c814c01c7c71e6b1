"""What brokers report goes on record: each execution once, whatever the order it arrives in.

Executions are facts and are kept as told; totals follow from them. The broker's own cumulative
figure decides when a slice is over: until ours is the same, something is still on its way. What
cannot be taken at its word is parked with a reason, and holds up nothing else.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import DataError, IntegrityError, transaction

from rebalancer import models
from rebalancer.brokers.port import BrokerOrder, BrokerStatus
from rebalancer.domain.kinds import BrokerKind
from rebalancer.domain.lifecycle import (
    OPEN_ORDER,
    OrderEvent,
    OrderStatus,
    TransitionRefused,
    advance_order,
    advance_slice,
    follow_late,
)
from rebalancer.operations.execution.incidents import park_report
from rebalancer.operations.execution.sitting import (
    Sitting,
    fits,
    load_sitting,
    park,
    park_unknown,
    sort_executions,
    write_answers,
    write_fills,
)

logger = logging.getLogger(__name__)

# What a report may break without being anybody's fault but the broker's.
UNREADABLE = (IntegrityError, DataError, TransitionRefused, ValueError, ArithmeticError)
ENDS = {
    BrokerStatus.REJECTED: OrderEvent.REJECT,
    BrokerStatus.CANCELLED: OrderEvent.CANCEL,
    BrokerStatus.EXPIRED: OrderEvent.EXPIRE,
    # All that there will be, and less than was asked for: some of it was taken back.
    BrokerStatus.FILLED: OrderEvent.CANCEL,
}


def record_answers(answers: Mapping[str, BrokerOrder], *, broker: BrokerKind, now: datetime) -> int:
    """Record what a broker said of our slices, by our ids; return how many executions were new.

    A report that cannot be recorded is parked, and holds up no other.
    """
    if not answers:
        return 0
    try:
        return _record_together(answers, broker, now)
    except UNREADABLE as error:
        if len(answers) == 1:
            [(name, answer)] = answers.items()
            logger.exception("slice %s: what the broker said cannot be recorded", name)
            _park_alone(answer, broker, str(error))
            return 0
    names = sorted(answers)
    halves = (names[: len(names) // 2], names[len(names) // 2 :])
    return sum(
        record_answers({name: answers[name] for name in half}, broker=broker, now=now)
        for half in halves
    )


@transaction.atomic(durable=True)
def _park_alone(answer: BrokerOrder, broker: BrokerKind, words: str) -> None:
    row = models.Slice.objects.filter(client_order_id=answer.client_order_id).first()
    park_report(
        broker=broker,
        firm_id=row.block.firm_id if row else None,
        client_order_id=answer.client_order_id,
        key=f"unreadable:{answer.client_order_id}:{words}",
        reason=f"It cannot be recorded: {words}",
        report=answer,
    )


@transaction.atomic(durable=True)
def _record_together(answers: Mapping[str, BrokerOrder], broker: BrokerKind, now: datetime) -> int:
    sitting = load_sitting(answers, broker, now)
    fitting = []
    for name in sorted(answers):
        row = sitting.slices.get(name)
        if row is None:
            park_unknown(sitting, answers[name])
        elif fits(sitting, row, answers[name]):
            fitting.append((row, answers[name]))
            sort_executions(sitting, row, answers[name])
    write_fills(sitting)
    write_answers(sitting)
    for row, answer in fitting:
        _follow_status(sitting, row, answer)
    _save(sitting)
    return sitting.recorded


# --- States --------------------------------------------------------------------------------------


def _follow_status(sitting: Sitting, row: models.Slice, answer: BrokerOrder) -> None:
    """Take over the broker's state, once every share that it reports is on our record as well."""
    told = {execution.fill_id for execution in answer.executions}
    if not sitting.by_slice[row.pk] <= told:
        return  # An old answer: more has happened since.
    row.broker_order_id = (answer.broker_order_id or row.broker_order_id)[:80]
    was_told = row.broker_quantity == answer.filled_quantity
    row.broker_quantity = answer.filled_quantity
    row.submitted_at = row.submitted_at or sitting.now
    row.lease_until, row.is_parked = None, False
    is_level = answer.filled_quantity == row.filled_quantity
    is_full = row.filled_quantity >= row.quantity
    if row.filled_quantity > row.quantity:
        reason = (
            f"The broker filled {row.filled_quantity.normalize():f} of an order of "
            f"{row.quantity.normalize():f}."
        )
        park(sitting, row, answer, f"overfill:{row.filled_quantity}", reason)
    if row.status not in OPEN_ORDER:
        row.status = follow_late(row.status, is_full=is_full)
    elif is_level and (is_full or answer.status in ENDS):
        _close(row, answer, sitting.now, is_full=is_full)
    else:
        if row.filled_quantity:
            row.status = advance_slice(row.status, OrderEvent.FILL_PART)
        elif row.status in (OrderStatus.NEW, OrderStatus.SUBMITTING):
            row.status = advance_slice(row.status, OrderEvent.ACKNOWLEDGE)
        # Over, and told so before: if nothing more comes, only people can say what it came to.
        row.is_parked = was_told and not is_level and answer.status in ENDS
        row.reason = _word_gap(row, answer) if row.is_parked else ""


def _word_gap(row: models.Slice, answer: BrokerOrder) -> str:
    return (
        f"The broker says it is over with {answer.filled_quantity.normalize():f} traded, and "
        f"{row.filled_quantity.normalize():f} can be recorded."
    )


def _close(row: models.Slice, answer: BrokerOrder, now: datetime, *, is_full: bool) -> None:
    event = OrderEvent.FILL_ALL if is_full else ENDS[answer.status]
    # Rejected in part is not rejected: something of it was traded.
    if event is OrderEvent.REJECT and row.status == OrderStatus.PARTIALLY_FILLED:
        event = OrderEvent.CANCEL
    row.status = advance_slice(row.status, event)
    row.closed_at = now
    row.reason = answer.reason.replace("\x00", "")[:300]


def _save(sitting: Sitting) -> None:
    models.Slice.objects.bulk_update(
        sitting.slices.values(),
        [
            "status",
            "filled_quantity",
            "broker_quantity",
            "broker_order_id",
            "submitted_at",
            "closed_at",
            "lease_until",
            "is_parked",
            "reason",
        ],
    )
    moved: dict[OrderStatus, list[models.Block]] = defaultdict(list)
    for row in sitting.slices.values():
        block = row.block
        if block.status in OPEN_ORDER and (status := _find_status(block, row)) != block.status:
            block.status = status
            moved[status].append(block)
    models.Block.objects.bulk_update(
        sitting.blocks.values(), ["status", "filled_quantity", "filled_value"]
    )
    for status, blocks in moved.items():
        _move_orders(blocks, status, sitting.now)


def _find_status(block: models.Block, row: models.Slice) -> OrderStatus:
    """Return where an open block stands, as one of its slices moves; it closes when shared out."""
    if block.filled_quantity:
        return advance_order(block.status, OrderEvent.FILL_PART)
    if block.status == OrderStatus.SUBMITTING and row.status in (
        OrderStatus.SUBMITTED,
        OrderStatus.PARTIALLY_FILLED,
    ):
        return advance_order(block.status, OrderEvent.ACKNOWLEDGE)
    return OrderStatus(block.status)


def _move_orders(blocks: Sequence[models.Block], status: OrderStatus, now: datetime) -> None:
    orders = models.Order.objects.filter(block__in=blocks, status__in=OPEN_ORDER)
    orders.filter(submitted_at__isnull=True).update(submitted_at=now)
    orders.update(status=status)
