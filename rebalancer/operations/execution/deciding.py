"""What a person decides about orders under way: cancelling one, settling an unknown outcome."""

from datetime import datetime

from django.db import transaction

from accounts.access import visible_accounts
from accounts.domain.roles import Role
from accounts.operations.audit import record_audit_entry
from accounts.queries import people
from rebalancer import models
from rebalancer.brokers.port import BrokerUnavailable
from rebalancer.domain.kinds import BrokerKind
from rebalancer.domain.lifecycle import (
    OPEN_ORDER,
    OrderEvent,
    OrderStatus,
    advance_slice,
)
from rebalancer.domain.reconciliation import SliceAnswer
from rebalancer.operations.execution.allocation import allocate_blocks
from rebalancer.operations.execution.asking import REVIEW_WINDOW
from rebalancer.operations.execution.brokers import reach_broker
from rebalancer.operations.execution.completing import close_orders, complete_proposals
from rebalancer.operations.execution.reports import record_answers
from rebalancer.operations.execution.sessions import stop_blocks
from rebalancer.operations.trail import audit_orders
from robo.common.errors import Conflict, NotAllowed, Refused

MAY_CANCEL = (Role.ADVISOR, Role.SUPERVISOR)
MAY_SETTLE = (Role.SUPERVISOR, Role.OPERATOR)
SAID = {
    SliceAnswer.TAKEN: "Said that the broker took an order",
    SliceAnswer.SEND: "Said that the broker never took an order",
    SliceAnswer.DROP: "Said that the broker never took an order",
    SliceAnswer.END: "Ended an order with what is on record of it",
}
EVENTS = {
    SliceAnswer.TAKEN: OrderEvent.ACKNOWLEDGE,
    SliceAnswer.SEND: OrderEvent.RELEASE,
    SliceAnswer.DROP: OrderEvent.CANCEL,
    SliceAnswer.END: OrderEvent.CANCEL,
}
ENDINGS = {
    OrderEvent.REJECT: "The broker made something else of it.",
    OrderEvent.CANCEL: "The broker never had it, and it was not to go any more.",
    OrderEvent.RELEASE: "The broker knew it once, so it is not sent a second time.",
}


def cancel_order(*, order_id: int, user_id: int, reason: str, now: datetime) -> None:
    """Cancel an order: at once while it waits, at the broker when it is under way.

    Many accounts may share its block: then only a supervisor may, and it ends for all of them. A
    broker that does not answer is asked again, and nothing more is sent meanwhile.

    :raises NotAllowed: for everybody but an advisor of the account and the firm's supervisors.
    :raises Refused: when no reason is given.
    :raises Conflict: when it is closed.
    """
    if not reason.strip():
        raise Refused("Say why, in a few words, when you cancel an order.")
    block_id = _cancel_waiting(order_id, user_id, reason, now)
    if block_id is not None:
        stop_blocks([block_id], now=now, event=OrderEvent.CANCEL, reason=reason[:300])
        allocate_blocks(now=now)
    complete_proposals(now=now)


@transaction.atomic(durable=True)
def _cancel_waiting(order_id: int, user_id: int, reason: str, now: datetime) -> int | None:
    """Cancel an order that waits; return the block of one that is under way, to be stopped."""
    proposal_id = models.Order.objects.values_list("proposal_id", flat=True).get(pk=order_id)
    # Whoever puts orders into blocks holds their proposals.
    models.Proposal.objects.select_for_update().get(pk=proposal_id)
    block = models.Block.objects.select_for_update(of=["self"]).filter(orders=order_id).first()
    order = (
        models.Order.objects.select_for_update(of=["self"])
        .select_related("security", "block", "account")
        .get(pk=order_id)
    )
    user = people.get_user(user_id)
    may_see = visible_accounts(user).filter(pk=order.account_id).exists()
    if user.role not in MAY_CANCEL or not may_see:
        raise NotAllowed("Only an advisor of this household or a supervisor may cancel its orders.")
    if order.status not in OPEN_ORDER:
        raise Conflict(f"This order is {order.status.lower()} already.")
    others = order.block.orders.count() - 1 if order.block else 0
    if others and user.role != Role.SUPERVISOR:
        raise NotAllowed(
            f"This order is traded together with {others} of other accounts, at one price for all. "
            "A supervisor may cancel what is left of it, for all of them."
        )
    if order.block != block:
        raise Conflict("It is being put together with other orders: try again in a moment.")
    if block is not None:
        block.stop_reason = f"Cancelled by {user.name}: {reason}"[:300]
        block.save(update_fields=["stop_reason"])
    else:
        close_orders([order], OrderEvent.CANCEL, now, f"Cancelled by {user.name}: {reason}")
        order.save(update_fields=["status", "closed_at", "reason"])
        audit_orders([order])
    record_audit_entry(
        firm_id=order.firm_id,
        actor_id=user_id,
        household_id=order.account.household_id,
        action="rebalancer.order.cancel_asked",
        object_id=order.client_order_id,
        summary=f"Asked to cancel: {order.side.lower()} {order.security.symbol}",
        detail={"reason": reason, "others": others},
    )
    return order.block_id


def settle_parked_slice(
    *,
    slice_id: int,
    answer: SliceAnswer,
    user_id: int,
    reason: str,
    now: datetime,
    decision_id: int | None = None,
) -> None:
    """Take people's word on a slice that waits for it, once the broker's own list was read again.

    Where the list names what was said to be unknown there as something else (another symbol,
    another side), what we asked for is rejected. What the broker counts of an ended one beyond our
    record, the reconciliation finds.
    Pages ask two people, by `parked.ask_slice_answer`; `decision_id` is what they decided.

    :raises NotAllowed: for everybody but the firm's supervisors and operators.
    :raises Refused: when no reason is given, or the broker cannot be asked.
    :raises Conflict: when it is not parked (any more), or the broker's list says otherwise.
    """
    if not reason.strip():
        raise Refused("Say how you know, in a few words.")
    row = models.Slice.objects.select_related("block").get(pk=slice_id)
    _check_may_settle(user_id, row)
    kind = BrokerKind(row.block.broker)
    try:
        listed = reach_broker(kind, row.block.firm_id).list_orders(
            min(row.block.created_at, now) - REVIEW_WINDOW
        )
    except BrokerUnavailable as error:
        raise Refused("The broker cannot be asked for its orders: try again later.") from error
    ours = {told.client_order_id: told for told in listed}.get(row.client_order_id)
    if ours is not None:
        record_answers({row.client_order_id: ours}, broker=kind, now=now)
    event = EVENTS[answer]
    if ours is not None and answer in (SliceAnswer.SEND, SliceAnswer.DROP):
        row.refresh_from_db()
        if not row.is_parked or is_over_unrecorded(row):
            raise Conflict("The broker's own list names this order: it was taken.")
        event = OrderEvent.REJECT
    _settle(slice_id, answer, event, user_id, reason, now, decision_id)


def _check_may_settle(user_id: int, row: models.Slice) -> None:
    user = people.get_user(user_id)
    if user.role not in MAY_SETTLE or user.firm_id != row.block.firm_id or not user.is_active:
        raise NotAllowed("Only a supervisor or an operator of the firm may settle this.")


@transaction.atomic(durable=True)
def _settle(
    slice_id: int,
    answer: SliceAnswer,
    event: OrderEvent,
    user_id: int,
    reason: str,
    now: datetime,
    decision_id: int | None,
) -> None:
    row = (
        models.Slice.objects.select_for_update(of=["self"]).select_related("block").get(pk=slice_id)
    )
    _check_may_settle(user_id, row)
    if row.is_parked and answer is SliceAnswer.END:
        _write_off(row, reason, now)
    elif row.is_parked:
        _move_parked(row, event, now)
    elif answer is not SliceAnswer.TAKEN:
        raise Conflict("This order no longer waits for anybody's word.")
    if decision_id is not None:
        decision = models.SliceDecision.objects.select_for_update().get(pk=decision_id)
        if decision.confirmed_at is not None or decision.is_withdrawn:
            raise Conflict("Somebody has decided on it meanwhile.")
        decision.confirmed_by_id, decision.confirmed_at = user_id, now
        decision.save(update_fields=["confirmed_by", "confirmed_at"])
    record_audit_entry(
        firm_id=row.block.firm_id,
        actor_id=user_id,
        action="rebalancer.slice.settled",
        object_id=row.client_order_id,
        summary=SAID[answer],
        detail={"reason": reason, "event": event.value, "decision": decision_id},
    )


def _write_off(row: models.Slice, reason: str, now: datetime) -> None:
    """End a slice with what is on record of it, though the broker counts something else."""
    if not is_over_unrecorded(row):
        raise Conflict("The broker does not say that this order is over: cancel it first.")
    row.status = advance_slice(row.status, OrderEvent.CANCEL)
    row.is_parked, row.is_written_off, row.lease_until, row.closed_at = False, True, None, now
    row.reason = f"{row.reason} Ended as recorded: {reason}"[:300]
    row.save()


def is_over_unrecorded(row: models.Slice) -> bool:
    """Return whether a parked slice is over at the broker, and we could not record all of it."""
    return row.submitted_at is not None and row.broker_quantity != row.filled_quantity


def _move_parked(row: models.Slice, event: OrderEvent, now: datetime) -> None:
    if row.status == OrderStatus.SUBMITTING:
        row.status = advance_slice(row.status, event)
    elif event is not OrderEvent.ACKNOWLEDGE:
        end = OrderEvent.REJECT if row.status == OrderStatus.SUBMITTED else OrderEvent.CANCEL
        row.status = advance_slice(row.status, end)
    row.is_parked, row.lease_until = False, None
    row.submitted_at = row.submitted_at or (now if event is OrderEvent.ACKNOWLEDGE else None)
    row.closed_at = None if row.status in OPEN_ORDER else now
    row.reason = "" if row.status in OPEN_ORDER else ENDINGS[event]
    row.save()


def resolve_parked_report(*, report_id: int, user_id: int, resolution: str, now: datetime) -> None:
    """Mark a parked report as dealt with, and say how.

    :raises NotAllowed: for everybody but supervisors and operators, and for another firm's report.
    :raises Refused: when it is not said how.
    :raises Conflict: when it was resolved already.
    """
    if not resolution.strip():
        raise Refused("Say how this report was dealt with.")
    with transaction.atomic():
        report = models.ParkedReport.objects.select_for_update().get(pk=report_id)
        user = people.get_user(user_id)
        is_ours = report.firm_id in (None, user.firm_id)
        if user.role not in MAY_SETTLE or not is_ours or not user.is_active:
            raise NotAllowed("Only a supervisor or an operator of the firm may settle this.")
        if report.resolved_at is not None:
            raise Conflict("This report was dealt with already.")
        report.resolved_at, report.resolved_by_id = now, user_id
        report.resolution = resolution[:300]
        report.save(update_fields=["resolved_at", "resolved_by", "resolution"])
        record_audit_entry(
            firm_id=user.firm_id,
            actor_id=user_id,
            action="rebalancer.report.resolved",
            object_id=str(report.pk),
            summary="Dealt with a broker's report that fitted nothing",
            detail={"key": report.report_key, "resolution": resolution},
        )
