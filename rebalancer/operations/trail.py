"""What proposals and orders leave in the audit trail, in the transaction that changes them."""

from collections.abc import Mapping, Sequence
from typing import Any

from accounts.operations.audit import AuditRecord, record_audit_entries
from accounts.queries import people, planning
from rebalancer import models


def audit_proposals(
    proposals: Sequence[models.Proposal],
    *,
    event: str,
    summary: str,
    actor_id: int | None = None,
    note: str = "",
) -> None:
    """Record that something happened to these proposals; without an actor, the engine did it."""
    engines = {} if actor_id else _get_engines({proposal.firm_id for proposal in proposals})
    names = planning.get_account_names([proposal.account_id for proposal in proposals])
    record_audit_entries(
        [
            AuditRecord(
                firm_id=proposal.firm_id,
                actor_id=actor_id or engines[proposal.firm_id],
                household_id=names[proposal.account_id].household_id,
                action=f"rebalancer.proposal.{event}",
                object_id=str(proposal.public_id),
                summary=f"{summary}: {names[proposal.account_id].name}",
                detail={
                    "content_hash": proposal.content_hash,
                    "reason": proposal.close_reason,
                    "note": note,
                },
            )
            for proposal in proposals
        ]
    )


def audit_orders(orders: Sequence[models.Order]) -> None:
    """Record what became of these orders, with their securities at hand."""
    engines = _get_engines({order.firm_id for order in orders})
    names = planning.get_account_names([order.account_id for order in orders])
    record_audit_entries(
        [
            AuditRecord(
                firm_id=order.firm_id,
                actor_id=engines[order.firm_id],
                household_id=names[order.account_id].household_id,
                action=f"rebalancer.order.{order.status.lower()}",
                object_id=order.client_order_id,
                summary=(
                    f"{order.side.title()} {order.security.symbol} {order.status.lower()}: "
                    f"{names[order.account_id].name}"
                ),
                detail={
                    "filled_quantity": str(order.filled_quantity),
                    "filled_amount": str(order.filled_amount),
                    "reason": order.reason,
                },
            )
            for order in orders
        ]
    )


def audit_blocks(
    told: Sequence[tuple[models.Block, str, Mapping[str, Any]]], *, event: str
) -> None:
    """Record what happened to blocks: each with a sentence, and facts beside its statement."""
    engines = _get_engines({block.firm_id for block, _summary, _facts in told})
    record_audit_entries(
        [
            AuditRecord(
                firm_id=block.firm_id,
                actor_id=engines[block.firm_id],
                action=f"rebalancer.block.{event}",
                object_id=str(block.public_id),
                summary=summary,
                detail={"statement_hash": block.statement_hash, **facts},
            )
            for block, summary, facts in told
        ]
    )


def _get_engines(firm_ids: set[int]) -> dict[int, int]:
    return {firm_id: people.get_service_user(firm_id).pk for firm_id in firm_ids}
