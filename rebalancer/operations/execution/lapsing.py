"""A proposal of which nothing was sent comes to nothing: its orders are cancelled with it."""

from datetime import datetime

from rebalancer import models
from rebalancer.domain.lifecycle import (
    OrderEvent,
    OrderStatus,
    ProposalEvent,
    advance_order,
    advance_proposal,
)

SAVED = ["status", "closed_at", "close_reason"]


def let_lapse(
    proposal: models.Proposal, *, now: datetime, close_reason: str, order_reason: str
) -> None:
    """Expire a proposal, locked and not begun, and cancel its orders; the caller saves `SAVED`."""
    proposal.status = advance_proposal(proposal.status, ProposalEvent.EXPIRE)
    proposal.closed_at = now
    proposal.close_reason = close_reason[:300]
    proposal.orders.filter(status=OrderStatus.NEW).update(
        status=advance_order(OrderStatus.NEW, OrderEvent.CANCEL),
        closed_at=now,
        reason=order_reason[:300],
    )
