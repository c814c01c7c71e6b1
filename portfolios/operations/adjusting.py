"""Breaks that an entry settles: one person asks for the entry, another one books it."""

from collections.abc import Collection
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models.functions import Now

from accounts.domain.roles import Role
from accounts.operations.audit import record_audit_entry
from accounts.queries import people
from portfolios import models
from portfolios.domain.kinds import AdjustmentStatus, BreakKind
from portfolios.domain.money import round_money
from portfolios.operations.breaks import (
    ADJUSTING_ROLES,
    OWNING_ROLES,
    Adjustment,
    close_break,
    lock_open,
    open_break,
)
from portfolios.queries.breaks import get_our_quantity
from robo.common.errors import Conflict, NotAllowed, Refused

if TYPE_CHECKING:
    from django.db.models import QuerySet


@transaction.atomic
def ask_adjustment(
    *,
    break_id: int,
    user_id: int,
    theirs: Decimal,
    note: str,
    entry_date: date,
    cost: Decimal | None = None,
) -> models.BreakAdjustment:
    """Ask, as the first of two people, to book what differs; it replaces what was asked before.

    :raises NotAllowed: for whoever may not own a break.
    :raises Refused: without a reason, or for a figure or a cost that cannot be booked.
    :raises Conflict: when the break is closed, or both sides agree.
    """
    row = lock_open(break_id)
    if not _is_one_of(user_id, row, OWNING_ROLES):
        raise NotAllowed("Only an advisor or a supervisor may ask for an adjustment.")
    if not note.strip():
        raise Refused("Say how this difference was settled.")
    ours = get_our_quantity(row.account_id, row.security_id)
    if not theirs.is_finite():
        raise Refused(f"{theirs} cannot be booked.")
    if theirs == ours:
        raise Conflict("There is nothing to adjust: both sides agree.")
    is_cost = cost is not None and cost.is_finite() and cost >= 0 and cost == round_money(cost)
    if row.security_id is not None and theirs > ours and not is_cost:
        raise Refused("Say what the shares that turned up have cost in all, in cents.")
    # What the broker says now is on record with the break, as a comparison would put it there.
    open_break(
        account_id=row.account_id,
        security_id=row.security_id,
        kind=BreakKind(row.kind),
        source=row.source,
        ours=ours,
        theirs=theirs,
        note=row.note,
    )
    _list_waiting(row).update(
        status=AdjustmentStatus.DROPPED, decided_by_id=user_id, decided_at=Now()
    )
    asked = models.BreakAdjustment.objects.create(
        settles=row,
        our_quantity=ours,
        their_quantity=theirs,
        cost=cost,
        entry_date=entry_date,
        note=note.strip()[:300],
        asked_by_id=user_id,
    )
    _audit(row, user_id, "adjustment_asked", note)
    return asked


@transaction.atomic
def confirm_adjustment(*, break_id: int, user_id: int, now: datetime) -> models.Break:
    """Book, as the second person, what settles a break, and close it.

    :raises NotAllowed: for whoever asked for it, and for all but supervisors.
    :raises Refused: when it cannot be booked.
    :raises Conflict: when nobody asked, the break is closed, or a side says something else by now.
    """
    row = lock_open(break_id)
    asked = _get_waiting(row)
    if not _is_one_of(user_id, row, ADJUSTING_ROLES):
        raise NotAllowed("Only a supervisor may adjust a client's books.")
    if asked.asked_by_id == user_id:
        raise NotAllowed("You asked for this, so another supervisor must book it.")
    ours = get_our_quantity(row.account_id, row.security_id)
    if (ours, row.their_quantity) != (asked.our_quantity, asked.their_quantity):
        raise Conflict("A side has changed since this was asked for: look at it anew.")
    closed = close_break(
        break_id=row.pk,
        user_id=user_id,
        note=asked.note,
        now=now,
        adjustment=Adjustment(asked.entry_date, asked.cost),
    )
    _decide(asked, AdjustmentStatus.BOOKED, user_id)
    return closed


@transaction.atomic
def drop_adjustment(*, break_id: int, user_id: int) -> None:
    """Drop what was asked for to settle a break; the break stays open.

    :raises NotAllowed: for whoever may not own a break.
    :raises Conflict: when nothing waits.
    """
    row = lock_open(break_id)
    if not _is_one_of(user_id, row, OWNING_ROLES):
        raise NotAllowed("Only an advisor or a supervisor may drop it.")
    asked = _get_waiting(row)
    _decide(asked, AdjustmentStatus.DROPPED, user_id)
    _audit(row, user_id, "adjustment_dropped", asked.note)


def _is_one_of(user_id: int, row: models.Break, roles: Collection[Role]) -> bool:
    """Return whether this is an active person of the firm in one of these roles, as of now."""
    user = people.get_user(user_id)
    return user.is_active and user.firm_id == row.account.firm_id and user.role in roles


def _list_waiting(row: models.Break) -> "QuerySet[models.BreakAdjustment]":
    return models.BreakAdjustment.objects.filter(settles=row, status=AdjustmentStatus.WAITING)


def _get_waiting(row: models.Break) -> models.BreakAdjustment:
    asked = _list_waiting(row).first()
    if asked is None:
        raise Conflict("Nobody asked for an entry, or it was decided on already.")
    return asked


def _decide(asked: models.BreakAdjustment, status: AdjustmentStatus, user_id: int) -> None:
    asked.status, asked.decided_by_id, asked.decided_at = status, user_id, Now()
    asked.save(update_fields=["status", "decided_by", "decided_at"])


def _audit(row: models.Break, user_id: int, event: str, note: str) -> None:
    what = row.security.symbol if row.security is not None else "cash"
    record_audit_entry(
        firm_id=row.account.firm_id,
        actor_id=user_id,
        household_id=row.account.household_id,
        action=f"portfolios.break.{event}",
        object_id=str(row.public_id),
        summary=f"Difference with the broker in {what}, {row.account.name}: "
        f"{event.replace('_', ' ')}: {note}",
        detail={"ours": str(row.our_quantity), "theirs": str(row.their_quantity)},
    )
