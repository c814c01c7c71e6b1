"""Approved proposals begin to be carried out, unless what was approved no longer holds."""

from datetime import datetime

from django.db import transaction

from rebalancer import models
from rebalancer.domain.lifecycle import (
    OrderEvent,
    OrderStatus,
    ProposalEvent,
    ProposalStatus,
    advance_order,
    advance_proposal,
)
from rebalancer.operations.approvals import list_changes_since
from rebalancer.operations.trail import audit_proposals

BATCH_PROPOSALS = 50


@transaction.atomic(durable=True)
def begin_executions(*, now: datetime) -> int:
    """Turn approved proposals into executing ones, or let their approval lapse; return how many."""
    approved = list(
        models.Proposal.objects.select_for_update(skip_locked=True, of=["self"])
        .select_related("policy")
        .filter(status=ProposalStatus.APPROVED)
        .order_by("id")[:BATCH_PROPOSALS]
    )
    for proposal in approved:
        changes = list_changes_since(proposal)
        if not changes:
            proposal.status = advance_proposal(proposal.status, ProposalEvent.EXECUTE)
            continue
        proposal.status = advance_proposal(proposal.status, ProposalEvent.EXPIRE)
        proposal.closed_at = now
        proposal.close_reason = f"Approved, but never sent: {'; '.join(changes)}."[:300]
        proposal.orders.filter(status=OrderStatus.NEW).update(
            status=advance_order(OrderStatus.NEW, OrderEvent.CANCEL),
            closed_at=now,
            reason="The approval lapsed before anything was sent.",
        )
    models.Proposal.objects.bulk_update(approved, ["status", "closed_at", "close_reason"])
    begun = [p for p in approved if p.status == ProposalStatus.EXECUTING]
    lapsed = [p for p in approved if p.status == ProposalStatus.EXPIRED]
    audit_proposals(begun, event="executing", summary="Trades are under way")
    audit_proposals(lapsed, event="expired", summary="The approval lapsed, nothing was sent")
    return len(approved)
