"""Halts: a security that is not sent to market for the time being, and the end of that."""

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q

from accounts.domain.roles import Role
from accounts.operations.audit import record_audit_entry
from accounts.queries import people
from portfolios import models
from robo.common.errors import Conflict, NotAllowed, Refused

if TYPE_CHECKING:
    from accounts.models import User

REASON_LENGTH_MAX = 300
# The engine halts what a corporate action takes off the market.
MAY_HALT = frozenset({Role.SUPERVISOR, Role.ADMIN, Role.SERVICE})


@transaction.atomic
def set_halt(
    *, security_id: int, user_id: int, reason: str, now: datetime, until: datetime | None = None
) -> models.Halt:
    """Halt a security from `now` on, until an instant or until somebody lifts it.

    :raises NotAllowed: when this person may not.
    :raises Refused: without a reason, or when it would end before it began.
    :raises Conflict: when it is halted already.
    """
    user = _read_user(user_id)
    reason = " ".join(reason.split())
    if not reason:
        raise Refused("Say in a few words why it is halted.")
    if until is not None and until <= now:
        raise Refused("The halt would end before it began.")
    # The security's row stands for its halts: one is set at a time.
    security = models.Security.objects.select_for_update().get(pk=security_id)
    if security.firm_id != user.firm_id:
        raise NotAllowed("This security is not the firm's.")
    open_rows = models.Halt.objects.filter(security=security, lifted_at__isnull=True)
    # What ended by itself no longer stands in the way.
    open_rows.filter(until__lte=now).update(lifted_by=user, lifted_at=now)
    if open_rows.filter(Q(until__isnull=True) | Q(until__gt=now)).exists():
        raise Conflict(f"{security.symbol} is halted already.")
    halt = models.Halt.objects.create(
        security=security,
        since=now,
        until=until,
        reason=reason[:REASON_LENGTH_MAX],
        set_by=user,
    )
    _audit(halt, user, "halted", f"Halted {security.symbol}: {reason}")
    return halt


@transaction.atomic
def lift_halt(*, security_id: int, user_id: int, now: datetime) -> None:
    """End the halt of a security.

    :raises NotAllowed: when this person may not.
    :raises Conflict: when it is not halted any more.
    """
    user = _read_user(user_id)
    security = models.Security.objects.select_for_update().get(pk=security_id)
    if security.firm_id != user.firm_id:
        raise NotAllowed("This security is not the firm's.")
    halt = (
        models.Halt.objects.select_for_update(of=["self"])
        .select_related("security")
        .filter(security=security, lifted_at__isnull=True)
        .first()
    )
    if halt is None or (halt.until is not None and halt.until <= now):
        raise Conflict(f"{security.symbol} is not halted any more.")
    halt.lifted_by, halt.lifted_at = user, now
    halt.save(update_fields=["lifted_by", "lifted_at"])
    _audit(halt, user, "lifted", f"Lifted the halt of {halt.security.symbol}")


def _read_user(user_id: int) -> "User":
    user = people.get_user(user_id)
    if not user.is_active or user.role not in MAY_HALT:
        raise NotAllowed("Halts are for somebody else to decide.")
    return user


def _audit(halt: models.Halt, user: "User", event: str, summary: str) -> None:
    record_audit_entry(
        firm_id=user.firm_id,
        actor_id=user.pk,
        action=f"portfolios.security.{event}",
        object_id=str(halt.security.public_id),
        summary=summary,
        detail={
            "halt": str(halt.public_id),
            "reason": halt.reason,
            "until": halt.until.isoformat() if halt.until else "",
        },
    )
