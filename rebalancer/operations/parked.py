"""Orders whose outcome nobody knows: one person says what became of them, another confirms.

A broker that would take the same order twice leaves such orders, and one that forgot what it
took, or counts what it cannot account for. To say that it never had one may buy or sell twice, and
to end one gives up what it counts, so that takes two people; to say that it has it moves nothing,
and takes one.
"""

from datetime import datetime

from django.db import transaction

from accounts.operations.audit import record_audit_entry
from accounts.queries import people
from rebalancer import models
from rebalancer.domain.reconciliation import DOUBTS, SliceAnswer
from rebalancer.operations.execution.allocation import allocate_blocks
from rebalancer.operations.execution.completing import complete_proposals
from rebalancer.operations.execution.deciding import (
    MAY_SETTLE,
    is_over_unrecorded,
    settle_parked_slice,
)
from robo.common.errors import Conflict, NotAllowed, Refused

REASON_LENGTH_MAX = 300
NO_LONGER = "This order no longer waits for anybody's word."
WORDS = {
    SliceAnswer.SEND: "Said that the broker never had an order, and to send it again",
    SliceAnswer.DROP: "Said that the broker never had an order, and to drop it",
    SliceAnswer.END: "Said that no more of an order will be on record, and to end it",
}


def list_answers(row: models.Slice) -> tuple[SliceAnswer, ...]:
    """Return what people may say became of a parked slice."""
    return (SliceAnswer.END,) if is_over_unrecorded(row) else DOUBTS


@transaction.atomic
def ask_slice_answer(
    *, slice_id: int, answer: SliceAnswer, user_id: int, reason: str
) -> models.SliceDecision:
    """Say, as the first of two people, what became of an order; replaces an older word.

    :raises NotAllowed: for everybody but the firm's supervisors and operators.
    :raises Refused: without a reason, or for an answer that is not one to this order.
    :raises Conflict: when the order no longer waits.
    """
    reason = " ".join(reason.split())
    if not reason:
        raise Refused("Say how you know, in a few words.")
    row = _lock_parked(slice_id, user_id)
    if answer not in list_answers(row) or answer is SliceAnswer.TAKEN:
        raise Refused("That is no answer to what became of this order.")
    models.SliceDecision.objects.filter(
        slice=row, confirmed_at__isnull=True, is_withdrawn=False
    ).update(is_withdrawn=True)
    decision = models.SliceDecision.objects.create(
        firm_id=row.block.firm_id,
        slice=row,
        answer=answer,
        attempt_count=row.attempt_count,
        reason=reason[:REASON_LENGTH_MAX],
        asked_by_id=user_id,
    )
    record_audit_entry(
        firm_id=row.block.firm_id,
        actor_id=user_id,
        action="rebalancer.slice.answer_asked",
        object_id=row.client_order_id,
        summary=WORDS[answer],
        detail={"reason": reason, "answer": decision.answer},
    )
    return decision


def confirm_slice_answer(*, decision_id: int, user_id: int, now: datetime) -> None:
    """Confirm, as the second person, what becomes of an order; the broker's own list is read first.

    :raises NotAllowed: for whoever said it first, and all but supervisors and operators.
    :raises Refused: when the broker cannot be asked.
    :raises Conflict: when it no longer waits, was sent again since, or the broker has it after all.
    """
    with transaction.atomic():
        decision = models.SliceDecision.objects.get(pk=decision_id)
        row = _lock_parked(decision.slice_id, user_id)
        decision.refresh_from_db()
        if decision.confirmed_at is not None or decision.is_withdrawn:
            raise Conflict("Somebody has decided on it meanwhile.")
        if decision.asked_by_id == user_id:
            raise NotAllowed("You said so, so somebody else must confirm it.")
        if decision.attempt_count != row.attempt_count:
            raise Conflict("It was sent again since this was said: look at it anew.")
    settle_parked_slice(
        slice_id=decision.slice_id,
        answer=SliceAnswer(decision.answer),
        user_id=user_id,
        reason=decision.reason,
        now=now,
        decision_id=decision.pk,
    )
    allocate_blocks(now=now)
    complete_proposals(now=now)


def _lock_parked(slice_id: int, user_id: int) -> models.Slice:
    row = (
        models.Slice.objects.select_for_update(of=["self"]).select_related("block").get(pk=slice_id)
    )
    user = people.get_user(user_id)
    if user.role not in MAY_SETTLE or user.firm_id != row.block.firm_id or not user.is_active:
        raise NotAllowed("Only a supervisor or an operator of the firm may settle this.")
    if not row.is_parked:
        raise Conflict(NO_LONGER)
    return row
