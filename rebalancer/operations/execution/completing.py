"""What is done when all orders are closed, and the order totals that can be made anew."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, Sum

from portfolios.domain.money import ZERO
from rebalancer import models
from rebalancer.domain.lifecycle import (
    OPEN_ORDER,
    OrderEvent,
    OrderStatus,
    ProposalEvent,
    ProposalStatus,
    advance_order,
    advance_proposal,
)
from rebalancer.operations.consents import announce_done
from rebalancer.operations.trail import audit_proposals
from robo.common.builds import this_build

PROPOSALS_AT_ONCE = 200
COMPLETED = {
    ProposalStatus.COMPLETED: "All trades are done",
    ProposalStatus.COMPLETED_ADJUSTED: "The trades are done, not all as planned",
}


def close_orders(
    orders: Sequence[models.Order], event: OrderEvent, now: datetime, reason: str
) -> None:
    """Move orders to where `event` leads for good, with the reason; the caller saves them."""
    for order in orders:
        order.status = advance_order(order.status, event)
        order.closed_at = now
        order.reason = (reason or order.reason)[:300]


@transaction.atomic(durable=True)
def complete_proposals(*, now: datetime) -> int:
    """Complete every executing proposal whose orders are all closed; return how many."""
    open_orders = models.Order.objects.filter(proposal_id=OuterRef("pk"), status__in=OPEN_ORDER)
    done = list(
        models.Proposal.objects.select_for_update(skip_locked=True)
        .filter(this_build(), status=ProposalStatus.EXECUTING)
        .filter(~Exists(open_orders))
        .prefetch_related("orders__trade")
        .order_by("id")[:PROPOSALS_AT_ONCE]
    )
    for proposal in done:
        as_planned = all(
            order.status == OrderStatus.FILLED and order.quantity == order.trade.quantity
            for order in proposal.orders.all()
        )
        event = ProposalEvent.COMPLETE if as_planned else ProposalEvent.COMPLETE_ADJUSTED
        proposal.status = advance_proposal(proposal.status, event)
        proposal.closed_at = now
        proposal.close_reason = "" if as_planned else "Some orders did not fill as planned."
    models.Proposal.objects.bulk_update(done, ["status", "closed_at", "close_reason"])
    for status, words in COMPLETED.items():
        audit_proposals(
            [proposal for proposal in done if proposal.status == status],
            event=status.lower(),
            summary=words,
        )
    if done:
        announce_done(done)
    return len(done)


@transaction.atomic
def rebuild_orders(*, firm_id: int) -> int:
    """Recompute what orders say is filled from their fills; return how many rows changed."""
    totals = {
        order_id: (quantity, amount)
        for order_id, quantity, amount in models.Fill.objects.filter(order__firm_id=firm_id)
        .values("order_id")
        .annotate(shares=Sum("quantity"), cash=Sum("amount"))
        .values_list("order_id", "shares", "cash")
    }
    wrong = []
    for order in models.Order.objects.select_for_update().filter(firm_id=firm_id).order_by("id"):
        right = totals.get(order.pk, (ZERO, ZERO))
        if right != (order.filled_quantity, order.filled_amount):
            order.filled_quantity, order.filled_amount = right
            wrong.append(order)
    models.Order.objects.bulk_update(wrong, ["filled_quantity", "filled_amount"])
    return len(wrong)
