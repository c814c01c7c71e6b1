"""The end of a trading day, and the end that a person wishes: what still works is cancelled.

Nothing is closed on our word alone. What was sent is cancelled at the broker, and is over when the
broker says so and every share that it counts is on our record.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from rebalancer import models
from rebalancer.domain.lifecycle import OPEN_ORDER, OrderEvent, OrderStatus, advance_slice
from rebalancer.operations.execution.asking import WORKING, ask
from rebalancer.operations.execution.brokers import group_by_broker, reach_broker
from rebalancer.operations.execution.facts import is_over
from rebalancer.operations.trail import audit_blocks

logger = logging.getLogger(__name__)

BATCH_BLOCKS = 500
# A cancel that brought nothing is asked for again after so long.
CANCEL_AGAIN = timedelta(seconds=60)


def close_sessions(*, now: datetime) -> int:
    """End the day for every block whose session is over; return how many blocks that were.

    What a person wished to end, and no broker has heard of yet, is asked for again.
    """
    closed, after = 0, 0
    while True:
        blocks = list(
            models.Block.objects.select_related("firm")
            .filter(status__in=OPEN_ORDER, pk__gt=after)
            .order_by("pk")[:BATCH_BLOCKS]
        )
        if not blocks:
            return closed
        after = blocks[-1].pk
        over = {block.pk for block in blocks if is_over(block.firm, block.session_date, now)}
        stopped = {block.pk: block.stop_reason for block in blocks if block.stop_reason}
        plain = sorted(over - stopped.keys())
        if plain:
            stop_blocks(plain, now=now, event=OrderEvent.EXPIRE, reason="The trading day is over.")
        for block_id, reason in stopped.items():
            event = OrderEvent.EXPIRE if block_id in over else OrderEvent.CANCEL
            stop_blocks([block_id], now=now, event=event, reason=reason)
        closed += len(over)


def end_blocks(block_ids: Sequence[int], *, now: datetime, reason: str) -> None:
    """End blocks for a reason of ours: kept first, so that whatever dies nothing more is sent."""
    with transaction.atomic(durable=True):
        blocks = list(
            models.Block.objects.select_for_update()
            .filter(pk__in=block_ids, status__in=OPEN_ORDER, stop_reason="")
            .order_by("pk")
        )
        for block in blocks:
            block.stop_reason = reason
        models.Block.objects.bulk_update(blocks, ["stop_reason"])
        audit_blocks([(block, reason, {}) for block in blocks], event="stopped")
    stop_blocks(block_ids, now=now, event=OrderEvent.CANCEL, reason=reason)


def stop_blocks(block_ids: Sequence[int], *, now: datetime, event: OrderEvent, reason: str) -> None:
    """End what is open of these blocks: unsent slices here, the others at their broker."""
    doubtful = list(
        models.Slice.objects.select_related("block").filter(
            block_id__in=block_ids, status=OrderStatus.NEW, attempt_count__gt=0
        )
    )
    # Sent once without an answer and not known since: it may still be taken until its day is over,
    # and a wish ends it no sooner, or its shares could be sold a second time meanwhile.
    _found, unknown = ask(doubtful, now=now)
    gone = {row.pk for row in unknown} if event is OrderEvent.EXPIRE else set()
    working = _end_unsent(block_ids, gone, now, event, reason)
    for kind, firm_id, rows in group_by_broker(working):
        try:
            broker = reach_broker(kind, firm_id)
            for row in rows:
                broker.cancel(row.client_order_id)
        except Exception:  # a broken adapter is as silent as its broker: others go on
            logger.exception("%s of firm %s took no cancel", kind, firm_id)
    ask(working, now=now)


@transaction.atomic(durable=True)
def _end_unsent(
    block_ids: Sequence[int], gone: set[int], now: datetime, event: OrderEvent, reason: str
) -> list[models.Slice]:
    """Close slices that never went out; return those to cancel, with that intent on record."""
    list(models.Block.objects.select_for_update().filter(pk__in=block_ids).order_by("pk"))
    rows = list(
        models.Slice.objects.select_for_update(of=["self"])
        .select_related("block")
        .filter(block_id__in=block_ids, status__in=OPEN_ORDER)
        .order_by("pk")
    )
    for row in rows:
        if row.status == OrderStatus.NEW and (not row.attempt_count or row.pk in gone):
            row.status, row.closed_at = advance_slice(row.status, event), now
            row.reason = reason
    models.Slice.objects.bulk_update(rows, ["status", "closed_at", "reason"])
    due = models.Slice.objects.filter(WORKING, pk__in=[row.pk for row in rows]).filter(
        Q(cancel_asked_at__isnull=True) | Q(cancel_asked_at__lt=now - CANCEL_AGAIN)
    )
    working = list(due.select_related("block").order_by("pk"))
    models.Slice.objects.filter(pk__in=[row.pk for row in working]).update(cancel_asked_at=now)
    return working
