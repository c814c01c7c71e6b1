"""An operator's look at one household: asked for, allowed by a supervisor, given back, logged."""

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from accounts import models
from accounts.domain.permissions import Permission, role_holds
from accounts.operations.audit import record_audit_entry
from robo.common.errors import Conflict, NotAllowed, Refused

HOURS_MAX = 24
REASON_LENGTH_MAX = 300


@transaction.atomic
def request_support(
    *, operator_id: int, household_id: int, reason: str, hours: int
) -> models.SupportGrant:
    """Ask for a look at one household, for so many hours from when it is allowed.

    :raises NotAllowed: when the person may not ask.
    :raises Refused: when the reason is missing or too long, or the hours are no 1 to 24.
    :raises Conflict: when the same question waits for an answer.
    """
    operator = models.User.objects.get(pk=operator_id)
    household = models.Household.objects.get(pk=household_id)
    _check_person(operator, household.firm_id, Permission.REQUEST_SUPPORT)
    reason = reason.strip()
    if not reason or len(reason) > REASON_LENGTH_MAX or not reason.isprintable():
        raise Refused(f"Say why, in at most {REASON_LENGTH_MAX} characters.")
    if not 1 <= hours <= HOURS_MAX:
        raise Refused(f"A look lasts 1 to {HOURS_MAX} hours, not {hours}.")
    try:
        with transaction.atomic():
            grant = models.SupportGrant.objects.create(
                firm_id=household.firm_id,
                operator=operator,
                household=household,
                reason=reason,
                hours=hours,
            )
    except IntegrityError as error:
        raise Conflict("You have asked for this household already: it waits.") from error
    _record(
        grant,
        operator_id,
        "requested",
        f"{operator.name} asked to look at {household.name}: {reason}",
    )
    return grant


@transaction.atomic
def allow_support(*, grant_id: int, user_id: int, now: datetime) -> None:
    """Let the operator look, from now until the hours are over.

    :raises NotAllowed: when the person may not allow it, or asked for it.
    :raises Conflict: when it was answered already.
    """
    grant = _lock_open(grant_id, user_id)
    grant.decided_by_id = user_id
    grant.until = now + timedelta(hours=grant.hours)
    grant.save(update_fields=["decided_by", "until"])
    _record(
        grant,
        user_id,
        "allowed",
        f"{grant.operator.name} may look at {grant.household.name} until {grant.until:%H:%M} UTC",
    )


@transaction.atomic
def refuse_support(*, grant_id: int, user_id: int) -> None:
    """Refuse a look.

    :raises NotAllowed: when the person may not answer, or asked for it.
    :raises Conflict: when it was answered already.
    """
    grant = _lock_open(grant_id, user_id)
    grant.decided_by_id = user_id
    grant.ended_at = Now()
    grant.save(update_fields=["decided_by", "ended_at"])
    _record(
        grant, user_id, "refused", f"{grant.operator.name} may not look at {grant.household.name}"
    )


@transaction.atomic
def end_support(*, grant_id: int, user_id: int) -> None:
    """End a look, or take the question back: the operator their own, a supervisor any.

    :raises NotAllowed: when it is neither one's own nor one's to allow.
    :raises Conflict: when it has ended already.
    """
    grant = _lock(grant_id)
    user = models.User.objects.get(pk=user_id)
    if grant.operator_id != user_id:
        _check_person(user, grant.firm_id, Permission.APPROVE_SUPPORT)
    if grant.ended_at is not None:
        raise Conflict("This look has ended already.")
    grant.ended_at = Now()
    grant.save(update_fields=["ended_at"])
    _record(
        grant, user_id, "ended", f"{grant.operator.name} no longer looks at {grant.household.name}"
    )


@transaction.atomic
def record_support_reads(*, operator_id: int, address: str) -> None:
    """Write into the journal of every household open to an operator what they were shown."""
    operator = models.User.objects.get(pk=operator_id)
    grants = operator.support_grants.select_related("household").filter(
        until__gt=Now(), ended_at__isnull=True
    )
    for grant in grants:
        _record(grant, operator_id, "read", f"{operator.name} looked: {address}")


def _lock(grant_id: int) -> models.SupportGrant:
    return (
        models.SupportGrant.objects.select_for_update(of=["self"])
        .select_related("operator", "household")
        .get(pk=grant_id)
    )


def _lock_open(grant_id: int, user_id: int) -> models.SupportGrant:
    grant = _lock(grant_id)
    user = models.User.objects.get(pk=user_id)
    if grant.operator_id == user_id:
        raise NotAllowed("You asked for it, so somebody else has to allow it.")
    _check_person(user, grant.firm_id, Permission.APPROVE_SUPPORT)
    if grant.until is not None or grant.ended_at is not None:
        raise Conflict("This was answered already.")
    return grant


def _check_person(user: models.User, firm_id: int, permission: Permission) -> None:
    """Accept an active person of the firm who holds the permission, as of this moment."""
    if not user.is_active or user.firm_id != firm_id or not role_holds(user.role, permission):
        raise NotAllowed("This is not yours to do.")


def _record(grant: models.SupportGrant, actor_id: int, event: str, summary: str) -> None:
    record_audit_entry(
        firm_id=grant.firm_id,
        actor_id=actor_id,
        household_id=grant.household_id,
        action=f"accounts.support.{event}",
        object_id=str(grant.pk),
        summary=summary,
    )
