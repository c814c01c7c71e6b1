"""What became of our slices is asked of their brokers: by our ids, and from the brokers' own lists.

A slice whose outcome is unknown is only ever left by what the broker says of it. Where a broker
does not refuse a second order under an id of ours, not even its "unknown" is enough: a person
decides, after the broker's own list of orders was read.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from rebalancer import models
from rebalancer.brokers.port import BrokerOrder
from rebalancer.domain.kinds import BrokerKind
from rebalancer.domain.lifecycle import OrderEvent, OrderStatus, advance_slice
from rebalancer.operations.execution.brokers import group_by_broker, reach_broker
from rebalancer.operations.execution.incidents import park_report
from rebalancer.operations.execution.reports import record_answers
from robo.common.builds import this_build

logger = logging.getLogger(__name__)

BATCH_SLICES = 200
# So far back the brokers' lists are read for what came late, or was never ours.
REVIEW_WINDOW = timedelta(days=2)
# Waiting for a person; or over, and yet not level with what the broker counts.
_IS_DOUBTFUL = Q(status=OrderStatus.SUBMITTING, is_parked=True) | (
    Q(submitted_at__isnull=False, is_written_off=False) & ~Q(broker_quantity=F("filled_quantity"))
)
WORKING = Q(status__in=[OrderStatus.SUBMITTED, OrderStatus.PARTIALLY_FILLED])


def poll_slices(*, now: datetime) -> int:
    """Ask about every slice that works or is not level; return how many executions were new."""
    found, after = 0, 0
    while True:
        rows = list(
            models.Slice.objects.select_related("block")
            .filter(WORKING | _IS_DOUBTFUL, this_build(), pk__gt=after)
            .order_by("pk")[:BATCH_SLICES]
        )
        if not rows:
            return found
        after = rows[-1].pk
        found += ask(rows, now=now)[0]


def ask(rows: Sequence[models.Slice], *, now: datetime) -> tuple[int, list[models.Slice]]:
    """Ask the brokers of these slices, whose blocks are at hand, and record what they say.

    Return how many executions were new, and the slices that their broker does not know; a broker
    that does not answer says neither.
    """
    found, unknown = 0, []
    for kind, firm_id, mine in group_by_broker(rows):
        names = [row.client_order_id for row in mine]
        try:
            answers = reach_broker(kind, firm_id).get_orders(names)
        except Exception:  # a broken adapter is as silent as its broker: others go on
            logger.exception("%s of firm %s does not answer", kind, firm_id)
            continue
        wanted = {name: answers[name] for name in names if name in answers}
        found += record_answers(wanted, broker=kind, now=now)
        unknown += [row for row in mine if row.client_order_id not in answers]
    return found, unknown


def resolve_unknown(*, now: datetime) -> int:
    """Ask about slices whose sending was cut short; return how many were asked about.

    What the broker knows goes on record. What it does not know may be sent again under the same
    id, or, where the broker would take it twice, is parked for a person.
    """
    asked, after = 0, 0
    while True:
        rows = list(
            models.Slice.objects.select_related("block")
            .filter(
                this_build(),
                status=OrderStatus.SUBMITTING,
                lease_until__lt=Now(),
                is_parked=False,
                pk__gt=after,
            )
            .order_by("pk")[:BATCH_SLICES]
        )
        if not rows:
            return asked
        after = rows[-1].pk
        asked += len(rows)
        _found, unknown = ask(rows, now=now)
        for kind, firm_id, mine in group_by_broker(unknown):
            is_safe = reach_broker(kind, firm_id).abilities.has_unique_ids
            _leave_unknown([row.pk for row in mine], is_safe=is_safe)


@transaction.atomic(durable=True)
def _leave_unknown(slice_ids: Sequence[int], *, is_safe: bool) -> None:
    """Release slices that the broker does not know, or park them; nobody has sent them since."""
    rows = list(
        models.Slice.objects.select_for_update(skip_locked=True)
        .filter(
            this_build(),
            pk__in=slice_ids,
            status=OrderStatus.SUBMITTING,
            lease_until__lt=Now(),
            is_parked=False,
        )
        .order_by("pk")
    )
    for row in rows:
        if is_safe:
            row.status, row.lease_until = advance_slice(row.status, OrderEvent.RELEASE), None
        else:
            row.is_parked = True
            row.reason = (
                "No answer when it was sent, and the broker does not know it now. It would take "
                "the same order twice, so a person must say whether it was sent."
            )
    models.Slice.objects.bulk_update(rows, ["status", "lease_until", "is_parked", "reason"])


def review_brokers(*, now: datetime) -> int:
    """Read the brokers' own lists: late fills, busts, and orders that are not ours.

    Return how many executions were new.
    """
    since, found = now - REVIEW_WINDOW, 0
    in_use = sorted(
        set(models.Block.objects.filter(created_at__gte=since).values_list("broker", "firm_id"))
    )
    shared: set[str] = set()
    for kind, firm_id in in_use:
        # Every firm's simulated broker is the same one.
        if kind in shared:
            continue
        if kind == BrokerKind.PAPER:
            shared.add(kind)
        try:
            orders = reach_broker(BrokerKind(kind), firm_id).list_orders(since)
        except Exception:  # a broken adapter is as silent as its broker: others go on
            logger.exception("%s of firm %s does not list its orders", kind, firm_id)
            continue
        found += record_list(orders, kind=BrokerKind(kind), firm_id=firm_id, now=now)
    return found


def record_list(
    orders: Sequence[BrokerOrder], *, kind: BrokerKind, firm_id: int, now: datetime
) -> int:
    """Record a broker's own list of orders; return how many executions were new.

    What a firm's own broker has and the firm did not send is parked for its people, whatever other
    firm may use the same id. The paper broker is everybody's: what nobody sent there is nobody's.
    """
    mine = list(orders)
    if kind is not BrokerKind.PAPER:
        names = [order.client_order_id for order in orders]
        sent = set(
            models.Slice.objects.filter(
                client_order_id__in=names, block__firm_id=firm_id, block__broker=kind
            ).values_list("client_order_id", flat=True)
        )
        mine = [order for order in orders if order.client_order_id in sent]
        for order in orders:
            if order.client_order_id not in sent:
                _park_stranger(order, kind, firm_id)
    found = 0
    for start in range(0, len(mine), BATCH_SLICES):
        answers = {row.client_order_id: row for row in mine[start : start + BATCH_SLICES]}
        found += record_answers(answers, broker=kind, now=now)
    return found


@transaction.atomic(durable=True)
def _park_stranger(order: BrokerOrder, kind: BrokerKind, firm_id: int) -> None:
    park_report(
        broker=kind,
        firm_id=firm_id,
        client_order_id=order.client_order_id,
        key=f"unknown:{firm_id}:{order.client_order_id}:{order.status}:{order.filled_quantity}",
        reason="The broker reports an order that we did not send.",
        report=order,
    )
