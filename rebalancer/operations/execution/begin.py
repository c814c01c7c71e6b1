"""Approved proposals begin to be carried out, unless what was approved no longer holds."""

from datetime import datetime

from django.db import transaction

from rebalancer import models
from rebalancer.domain.lifecycle import (
    OrderStatus,
    ProposalEvent,
    ProposalStatus,
    advance_proposal,
)
from rebalancer.domain.stops import say_waiting
from rebalancer.operations.approvals import list_changes_since
from rebalancer.operations.consents import find_missing
from rebalancer.operations.execution.lapsing import SAVED, let_lapse
from rebalancer.operations.trail import audit_proposals
from robo.common.builds import this_build

BATCH_PROPOSALS = 50


def begin_executions(*, now: datetime) -> int:
    """Turn approved proposals into executing ones, or let their approval lapse; return how many.

    One that waits for its client stays approved, with the reason on its orders.
    """
    count, after = 0, 0
    while True:
        moved, last = _begin_batch(after=after, now=now)
        count += moved
        if last is None:
            return count
        after = last


@transaction.atomic(durable=True)
def _begin_batch(*, after: int, now: datetime) -> tuple[int, int | None]:
    """Begin some; return how many moved on, and the last one looked at when there may be more."""
    approved = list(
        models.Proposal.objects.select_for_update(skip_locked=True, of=["self"])
        .select_related("policy")
        .filter(this_build(), status=ProposalStatus.APPROVED, pk__gt=after)
        .order_by("id")[:BATCH_PROPOSALS]
    )
    missing = find_missing(approved, now=now)
    moved = [row for row in approved if not missing[row.pk] or now >= row.expires_at]
    for proposal in moved:
        gaps = missing[proposal.pk]
        changes = gaps or list_changes_since(proposal)
        if not changes:
            proposal.status = advance_proposal(proposal.status, ProposalEvent.EXECUTE)
            continue
        words = " ".join(gaps) if gaps else f"{'; '.join(changes)}."
        let_lapse(
            proposal,
            now=now,
            close_reason=f"Approved, but never sent: {words}",
            order_reason="The approval lapsed before anything was sent.",
        )
    for proposal in approved:
        if proposal not in moved:
            _say_why(proposal, missing[proposal.pk])
    models.Proposal.objects.bulk_update(moved, SAVED)
    begun = [p for p in moved if p.status == ProposalStatus.EXECUTING]
    lapsed = [p for p in moved if p.status == ProposalStatus.EXPIRED]
    audit_proposals(begun, event="executing", summary="Trades are under way")
    audit_proposals(lapsed, event="expired", summary="The approval lapsed, nothing was sent")
    return len(moved), approved[-1].pk if len(approved) == BATCH_PROPOSALS else None


def _say_why(proposal: models.Proposal, missing: list[str]) -> None:
    """Keep on the orders what they wait for; written only when it is not there already."""
    words = say_waiting(" ".join(missing))
    proposal.orders.filter(status=OrderStatus.NEW).exclude(reason=words).update(reason=words)
