"""A block that is over is shared out: fills, books and order states in one transaction.

What the broker takes back, corrects or adds afterwards is shared out anew: an order whose share
changes has its booking reversed and made again. Where the books cannot follow (the shares were
sold on, the cash was spent) the fact stays on record, and a break keeps the account from trading
upon it until a person has settled it.
"""

import logging
from collections.abc import Sequence
from datetime import date, datetime

from django.db import transaction
from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet

from portfolios.operations.entries import lock_books
from rebalancer import models
from rebalancer.domain.blocks import Share, share_out
from rebalancer.domain.kinds import ExecutionKind
from rebalancer.domain.lifecycle import (
    OPEN_ORDER,
    OrderEvent,
    OrderStatus,
    advance_order,
    follow_late,
)
from rebalancer.operations.execution.booking import Change, book_changes, freeze_surplus
from rebalancer.operations.execution.completing import close_orders
from rebalancer.operations.execution.reports import UNREADABLE
from rebalancer.operations.trail import audit_blocks, audit_orders
from robo.common.builds import this_build

logger = logging.getLogger(__name__)

BATCH_BLOCKS = 200
# Where some of a block did not come about, the strongest word of its slices says why.
ENDINGS = (
    (OrderStatus.EXPIRED, OrderEvent.EXPIRE),
    (OrderStatus.CANCELLED, OrderEvent.CANCEL),
    (OrderStatus.REJECTED, OrderEvent.REJECT),
)
# Shared out, or never to be: nothing of it is left to do.
_IS_SHARED = Q(filled_quantity=F("shared_quantity"), filled_value=F("shared_value"))


def allocate_blocks(*, now: datetime) -> int:
    """Share out every block that is over, or whose fills changed since; return how many."""
    done, after = 0, 0
    while True:
        ids = list(_list_due().filter(pk__gt=after).values_list("pk", flat=True)[:BATCH_BLOCKS])
        if not ids:
            return done
        after = ids[-1]
        for block_id in ids:
            try:
                done += _allocate(block_id, now)
            except UNREADABLE:
                # It waits for a person; the other blocks do not.
                logger.exception("block %s cannot be shared out", block_id)


def _list_due() -> QuerySet[models.Block]:
    working = models.Slice.objects.filter(block_id=OuterRef("pk"), status__in=OPEN_ORDER)
    is_open = Q(status__in=OPEN_ORDER)
    return (
        models.Block.objects.filter(this_build(), is_open | ~_IS_SHARED)
        .exclude(is_open & Exists(working))
        .order_by("pk")
    )


@transaction.atomic(durable=True)
def _allocate(block_id: int, now: datetime) -> int:
    """Share one block out; return 1, or 0 when another worker has it or did it."""
    block = (
        _list_due()
        .select_for_update(skip_locked=True, of=["self"])
        .select_related("security", "firm")
        .filter(pk=block_id)
        .first()
    )
    if block is None:
        return 0
    locked = (
        models.Order.objects.select_for_update(of=["self"])
        .select_related("security", "trade")
        .prefetch_related("trade__trade_lots")
        .filter(block=block)
        .order_by("pk")
    )
    # As in the statement, whatever the database's idea of alphabetical order.
    orders = sorted(locked, key=lambda order: order.client_order_id)
    _check_statement(block, orders)
    lock_books(sorted(order.account_id for order in orders))
    changes = _find_changes(block, orders)
    if changes:
        block.allocation_number += 1
        fill_date = _find_fill_date(block)
        book_changes(block, changes, number=block.allocation_number, fill_date=fill_date)
        if not block.takes_allocations:
            block.allocation_sent = block.allocation_number
    block.shared_quantity, block.shared_value = block.filled_quantity, block.filled_value
    moved = _move_states(block, orders, changes, now)
    freeze_surplus(block, orders)
    block.save()
    models.Order.objects.bulk_update(
        orders, ["status", "filled_quantity", "filled_amount", "closed_at", "reason"]
    )
    audit_orders(moved)
    _audit(block)
    return 1


def _check_statement(block: models.Block, orders: Sequence[models.Order]) -> None:
    """Refuse to share out by anything but the statement that was made before the trade."""
    stated = [[order.client_order_id, f"{order.quantity:f}"] for order in orders]
    if stated != block.statement:
        raise ValueError(f"block {block.public_id}: its orders are not those of its statement")


def _find_changes(block: models.Block, orders: Sequence[models.Order]) -> list[Change]:
    """Return the orders whose share is not what is booked."""
    standing = {
        fill.order_id: fill
        for fill in models.Fill.objects.filter(
            order__block=block, reverses__isnull=True, reversed_by__isnull=True
        )
    }
    shares = share_out(
        ordered=[order.quantity for order in orders],
        share_step=block.security.share_step,
        filled=block.filled_quantity,
        value=block.filled_value,
    )
    changes = []
    for order, share in zip(orders, shares, strict=True):
        order.filled_quantity, order.filled_amount = share.quantity, share.amount
        fill = standing.get(order.pk)
        if (fill is None and share.quantity) or (
            fill is not None and Share(fill.quantity, fill.amount) != share
        ):
            changes.append(Change(order, share, fill))
    return changes


def _find_fill_date(block: models.Block) -> date:
    """Return the market day of a block's fills; it is worked within one.

    What is said of a fill later counts in the shares of the fill's own day, not of the day after a
    split.
    """
    newest: date | None = models.Execution.objects.filter(
        slice__block=block, kind=ExecutionKind.FILL
    ).aggregate(newest=Max("execution_date"))["newest"]
    return newest or block.session_date


def _move_states(
    block: models.Block, orders: Sequence[models.Order], changes: Sequence[Change], now: datetime
) -> list[models.Order]:
    """Close a block and its orders, or follow what came after; return the orders that changed."""
    is_full = block.filled_quantity >= block.quantity
    if block.status not in OPEN_ORDER:
        block.status = follow_late(block.status, is_full=is_full)
        for order in orders:
            is_whole = order.filled_quantity == order.quantity
            order.status = follow_late(order.status, is_full=is_whole)
        return [change.order for change in changes]
    event, reason = _find_end(block)
    block.status = advance_order(block.status, OrderEvent.FILL_ALL if is_full else event)
    block.closed_at = now
    full = [order for order in orders if order.filled_quantity == order.quantity]
    close_orders(full, OrderEvent.FILL_ALL, now, "")
    close_orders([order for order in orders if order not in full], event, now, reason)
    return list(orders)


def _find_end(block: models.Block) -> tuple[OrderEvent, str]:
    """Return how what was not filled of a block ended, and why."""
    rows = list(
        models.Slice.objects.filter(block=block).order_by("number").values_list("status", "reason")
    )
    # Where every slice filled, the rest was never planned: the note of the cut says why.
    reason = next((words for _status, words in rows if words), block.plan_note)
    for status, event in ENDINGS:
        if any(row_status == status for row_status, _words in rows):
            # Rejected in part is not rejected: something of it was traded.
            if event is OrderEvent.REJECT and block.status == OrderStatus.PARTIALLY_FILLED:
                return OrderEvent.CANCEL, reason
            return event, reason
    return OrderEvent.CANCEL, reason


def _audit(block: models.Block) -> None:
    """Record that a block was shared out, and by which statement."""
    summary = (
        f"Shared out {block.filled_quantity.normalize():f} of {block.quantity.normalize():f} "
        f"{block.security.symbol} over {len(block.statement)} accounts"
    )
    facts = {"number": block.allocation_number, "filled_value": f"{block.filled_value:f}"}
    audit_blocks([(block, summary, facts)], event="allocated")
