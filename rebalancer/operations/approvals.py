"""A person's yes or no to a proposal, bound to what that person saw."""

import hashlib
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
from django.db import transaction

from portfolios.queries import books as book_queries
from portfolios.queries import market
from portfolios.queries.corporate_actions import list_actions_since
from rebalancer import models
from rebalancer.domain.lifecycle import ProposalEvent, ProposalStatus, advance_proposal
from rebalancer.engine.case.store import list_changes, write_case
from rebalancer.operations.proposals import check_may_decide, refresh_proposal
from rebalancer.operations.solving import apply_budget, read_wanted
from rebalancer.operations.trail import audit_proposals
from rebalancer.queries.books import load_book
from robo.common import clock
from robo.common.errors import Conflict, NotAllowed


class ProposalStale(Conflict):
    """Facts moved since the proposal was made; `fresh_public_id` names what took its place."""

    def __init__(self, message: str, fresh_public_id: uuid.UUID | None) -> None:
        super().__init__(message)
        self.fresh_public_id = fresh_public_id


def approve_proposal(
    *, proposal_id: int, user_id: int, content_hash: str, note: str, now: datetime
) -> None:
    """Approve exactly what was seen, and write its orders.

    :raises NotAllowed: when this person may not approve it.
    :raises ProposalStale: when prices, lots, model, policy or wishes moved; a fresh one is made.
    :raises Conflict: when it was decided, expired or replaced, or something else was seen.
    """
    changes = _approve(
        proposal_id=proposal_id, user_id=user_id, content_hash=content_hash, note=note, now=now
    )
    if changes:
        fresh = refresh_proposal(proposal_id=proposal_id, now=now)
        raise ProposalStale(
            f"Not approved, because {'; '.join(changes)}.", fresh.public_id if fresh else None
        )


@transaction.atomic(durable=True)
def _approve(
    *, proposal_id: int, user_id: int, content_hash: str, note: str, now: datetime
) -> list[str]:
    """Approve, or return what has moved since; then nothing is changed."""
    proposal = _lock_for_decision(proposal_id, user_id, content_hash)
    if proposal.proposed_by_id == user_id:
        raise NotAllowed("You made this proposal, so somebody else must approve it.")
    if now >= proposal.expires_at:
        raise Conflict("This proposal has expired.")
    changes = list_changes_since(proposal)
    if changes:
        return changes
    proposal.status = advance_proposal(proposal.status, ProposalEvent.APPROVE)
    proposal.save(update_fields=["status"])
    models.Decision.objects.create(
        proposal=proposal,
        is_approved=True,
        decided_by_id=user_id,
        proposed_by_id=proposal.proposed_by_id,
        content_hash=content_hash,
        note=note,
    )
    models.Order.objects.bulk_create(
        models.Order(
            firm_id=proposal.firm_id,
            account_id=proposal.account_id,
            proposal=proposal,
            trade=trade,
            security_id=trade.security_id,
            side=trade.side,
            quantity=trade.quantity,
            client_order_id=make_client_order_id(proposal.public_id, trade.security_id, trade.side),
        )
        for trade in proposal.trades.all()
    )
    audit_proposals(
        [proposal], event="approved", summary="Approved the trades", actor_id=user_id, note=note
    )
    return []


@transaction.atomic(durable=True)
def reject_proposal(
    *, proposal_id: int, user_id: int, content_hash: str, note: str, now: datetime
) -> None:
    """Reject what was seen, with a reason.

    :raises NotAllowed: when this person may not decide.
    :raises Conflict: when it was decided meanwhile, something else was seen, or no reason is given.
    """
    if not note.strip():
        raise Conflict("Say why, in a few words, when you reject a proposal.")
    proposal = _lock_for_decision(proposal_id, user_id, content_hash)
    proposal.status = advance_proposal(proposal.status, ProposalEvent.REJECT)
    proposal.closed_at = now
    proposal.close_reason = note[:300]
    proposal.save(update_fields=["status", "closed_at", "close_reason"])
    models.Decision.objects.create(
        proposal=proposal,
        is_approved=False,
        decided_by_id=user_id,
        proposed_by_id=proposal.proposed_by_id,
        content_hash=content_hash,
        note=note,
    )
    audit_proposals(
        [proposal], event="rejected", summary="Rejected the trades", actor_id=user_id, note=note
    )


@transaction.atomic
def expire_proposals(*, now: datetime) -> int:
    """Expire proposals that nobody decided in time; return how many."""
    late = list(
        models.Proposal.objects.select_for_update(skip_locked=True).filter(
            status=ProposalStatus.PENDING, expires_at__lte=now
        )
    )
    for proposal in late:
        proposal.status = advance_proposal(proposal.status, ProposalEvent.EXPIRE)
        proposal.closed_at = now
        proposal.close_reason = "Nobody decided in time."
    models.Proposal.objects.bulk_update(late, ["status", "closed_at", "close_reason"])
    audit_proposals(late, event="expired", summary="Nobody decided in time")
    return len(late)


def make_client_order_id(public_id: uuid.UUID, security_id: int, side: str) -> str:
    """Return our id of an order: a pure function of what was approved; no retry makes another."""
    digest = hashlib.sha256(f"{public_id}:{security_id}:{side}".encode()).hexdigest()
    return f"EK{digest[:30]}"


def list_changes_since(proposal: models.Proposal) -> list[str]:
    """Return, in sentences, what moved since the proposal was made beyond what is tolerated."""
    price_date = market.get_newest_price_date(proposal.firm_id) or proposal.price_date
    book = load_book(
        firm_id=proposal.firm_id,
        account_ids=[proposal.account_id],
        price_date=price_date,
        is_whole_household=True,
    )
    book = apply_budget(book, read_wanted(proposal.wanted))
    at = np.flatnonzero(book.account_ids == proposal.account_id)
    if not len(at) or book.model_index[at[0]] < 0 or book.policy_index[at[0]] < 0:
        return ["the account no longer follows a model and a policy"]
    return _list_actions(proposal) + list_changes(
        before=keep_account(proposal.inputs, proposal.account_id),
        after=keep_account(write_case(book, range(book.account_count)), proposal.account_id),
        price_tolerance=proposal.policy.price_tolerance,
        refused_trades=proposal.refused_trades,
        traded=list(proposal.trades.values_list("security__symbol", "side")),
    )


def _list_actions(proposal: models.Proposal) -> list[str]:
    """Return what companies did to the shares of the account since the proposal was made."""
    firm = proposal.firm
    # A simulated firm's own day is in its prices; a real one's is the day it was made on.
    made_date = (
        proposal.price_date
        if firm.simulated_date
        else book_queries.get_today(firm, proposal.created_at)
    )
    held = {lot.security_id for lot in book_queries.list_open_lots([proposal.account_id])}
    traded = set(proposal.trades.values_list("security_id", flat=True))
    today = book_queries.get_today(firm, clock.database_now())
    return list_actions_since(sorted(held | traded), made_date, today)


def keep_account(case: Mapping[str, Any], account_id: int) -> dict[str, Any]:
    """Return a case with one of its accounts alone.

    Where several were solved together each has a proposal of its own, and when the trades of one
    are done the others' still hold.
    """
    own = str(account_id)
    if "origin" not in case:
        return dict(case)
    accounts = {key: row for key, row in case["origin"]["accounts"].items() if key == own}
    return {
        **case,
        "accounts": [row for row in case["accounts"] if row["id"] == own],
        "origin": {**case["origin"], "accounts": accounts},
    }


def _lock_for_decision(proposal_id: int, user_id: int, content_hash: str) -> models.Proposal:
    proposal = (
        models.Proposal.objects.select_for_update(of=["self"])
        .select_related("account", "policy")
        .get(pk=proposal_id)
    )
    check_may_decide(user_id=user_id, account_id=proposal.account_id)
    if proposal.status != ProposalStatus.PENDING:
        raise Conflict(_describe_state(proposal))
    if proposal.content_hash != content_hash:
        raise Conflict("This is not the proposal you saw: open it again.")
    return proposal


def _describe_state(proposal: models.Proposal) -> str:
    decision = (
        models.Decision.objects.filter(proposal=proposal).select_related("decided_by").first()
    )
    if decision is not None:
        word = "approved" if decision.is_approved else "rejected"
        return f"{decision.decided_by.name} {word} this proposal already."
    return f"This proposal is {proposal.status.lower()}: {proposal.close_reason or 'look again.'}"
