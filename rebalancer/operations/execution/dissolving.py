"""A block of which nothing was sent may be taken apart: its orders go back to wait."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from rebalancer import models
from rebalancer.domain.lifecycle import (
    OPEN_ORDER,
    OrderEvent,
    OrderStatus,
    advance_order,
    advance_slice,
)
from rebalancer.operations.trail import audit_blocks


@transaction.atomic(durable=True)
def dissolve_blocks(block_ids: Sequence[int], *, now: datetime) -> set[int]:
    """Take blocks apart of which nothing was ever sent; return which.

    Their orders become NEW again, for another block; the others are left as they are.
    """
    blocks = list(
        models.Block.objects.select_for_update()
        .filter(pk__in=block_ids, status__in=OPEN_ORDER, stop_reason="")
        .order_by("pk")
    )
    slices = list(models.Slice.objects.select_for_update().filter(block__in=blocks).order_by("pk"))
    touched = {row.block_id for row in slices if row.attempt_count or row.status != OrderStatus.NEW}
    apart = [block for block in blocks if block.pk not in touched]
    ids = {block.pk for block in apart}
    orders = list(models.Order.objects.select_for_update().filter(block_id__in=ids).order_by("pk"))
    for row in slices:
        if row.block_id in ids:
            row.status = advance_slice(row.status, OrderEvent.CANCEL)
            row.closed_at, row.reason = now, "Taken apart before anything was sent."
    for order in orders:
        order.status, order.block = advance_order(order.status, OrderEvent.RELEASE), None
    for block in apart:
        block.status, block.closed_at = advance_order(block.status, OrderEvent.CANCEL), now
        block.is_dissolved = True
    models.Slice.objects.bulk_update(slices, ["status", "closed_at", "reason"])
    models.Order.objects.bulk_update(orders, ["status", "block"])
    models.Block.objects.bulk_update(apart, ["status", "closed_at", "is_dissolved"])
    words = "A block was taken apart before anything of it was sent"
    audit_blocks([(block, words, {}) for block in apart], event="dissolved")
    return ids
