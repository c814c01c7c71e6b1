"""Changing limits: an administrator proposes a revision, another person puts it in force.

Nobody who approves trades proposes limits. A revision is in force at once, for every order that is
entered from then on; figures of a revision never change.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now

from accounts.domain.permissions import Permission, role_holds
from accounts.operations.audit import record_audit_entry
from accounts.queries import people
from rebalancer import models
from rebalancer.domain.limits import (
    FIELD_NAMES,
    Limits,
    LimitStatus,
    check_limits,
    describe,
)
from rebalancer.queries.controls import get_limits, read_limits
from robo.common.errors import Conflict, NotAllowed, Refused

if TYPE_CHECKING:
    from accounts.models import User

# First key of the advisory lock, under which one firm's limits are changed by one at a time.
LIMITS_LOCK = 0x45_4B_4C_4D
TEXT_LENGTH_MAX = 300


@transaction.atomic
def propose_limits(
    *, firm_id: int, user_id: int, values: Mapping[str, Any], reason: str
) -> models.LimitSet:
    """Propose other limits; what is not named stays as it is in force.

    :raises NotAllowed: when this person may not.
    :raises Refused: when a value is unknown, out of range or nothing changes, or without a reason.
    :raises Conflict: when a proposal waits already.
    """
    user = _read_user(user_id, firm_id, Permission.WRITE_POLICIES)
    if not reason.strip():
        raise Refused("Say in a few words why the limits should change.")
    unknown = set(values) - set(FIELD_NAMES)
    if unknown:
        raise Refused(f"There is no limit called {', '.join(sorted(unknown))}.")
    _lock_firm(firm_id)
    before = get_limits([firm_id])[firm_id]
    after = replace(before, **values)
    fault = check_limits(after)
    if fault:
        raise Refused(fault)
    if after == before:
        raise Refused("These are the limits in force already.")
    rows = models.LimitSet.objects.filter(firm_id=firm_id)
    if rows.filter(status=LimitStatus.PROPOSED).exists():
        raise Conflict("Other limits wait for a second person already: decide on those first.")
    row = models.LimitSet.objects.create(
        firm_id=firm_id,
        revision=(rows.aggregate(last=Max("revision"))["last"] or 0) + 1,
        reason=reason.strip()[:TEXT_LENGTH_MAX],
        proposed_by=user,
        proposed_at=Now(),
        **{name: getattr(after, name) for name in FIELD_NAMES},
    )
    _audit(row, user, "proposed", "Proposed other limits", before=before, after=after)
    row.refresh_from_db()
    return row


@transaction.atomic
def approve_limits(*, limit_set_id: int, user_id: int) -> models.LimitSet:
    """Put proposed limits in force, as the second person; the earlier ones retire.

    :raises NotAllowed: when this person may not, or proposed them.
    :raises Conflict: when they were decided on meanwhile.
    """
    row, user = _lock_proposed(limit_set_id, user_id)
    if row.proposed_by_id == user.pk:
        raise NotAllowed("You proposed these limits, so somebody else must approve them.")
    before = get_limits([row.firm_id])[row.firm_id]
    models.LimitSet.objects.filter(firm_id=row.firm_id, status=LimitStatus.IN_FORCE).update(
        status=LimitStatus.RETIRED
    )
    _decide(row, user, LimitStatus.IN_FORCE, "")
    row.refresh_from_db()
    _audit(row, user, "approved", "Put limits in force", before=before, after=read_limits(row))
    return row


@transaction.atomic
def refuse_limits(*, limit_set_id: int, user_id: int, note: str) -> models.LimitSet:
    """Refuse proposed limits with a reason; who proposed them withdraws them so.

    :raises NotAllowed: when this person may not.
    :raises Refused: without a reason.
    :raises Conflict: when they were decided on meanwhile.
    """
    row, user = _lock_proposed(limit_set_id, user_id)
    if not note.strip():
        raise Refused("Say in a few words why not.")
    is_own = row.proposed_by_id == user.pk
    _decide(row, user, LimitStatus.WITHDRAWN if is_own else LimitStatus.REFUSED, note)
    row.refresh_from_db()
    words = "Withdrew proposed limits" if is_own else "Refused proposed limits"
    _audit(row, user, row.status.lower(), words)
    return row


def _read_user(user_id: int, firm_id: int, permission: Permission) -> "User":
    user = people.get_user(user_id)
    if not user.is_active or user.firm_id != firm_id or not role_holds(user.role, permission):
        raise NotAllowed("Limits are for somebody else to decide.")
    return user


def _lock_firm(firm_id: int) -> None:
    with transaction.get_connection().cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LIMITS_LOCK, firm_id])


def _lock_proposed(limit_set_id: int, user_id: int) -> tuple[models.LimitSet, "User"]:
    firm_id = models.LimitSet.objects.values_list("firm_id", flat=True).get(pk=limit_set_id)
    user = _read_user(user_id, firm_id, Permission.CONFIRM_LIMITS)
    _lock_firm(firm_id)
    row = models.LimitSet.objects.select_for_update().get(pk=limit_set_id)
    if row.status != LimitStatus.PROPOSED:
        raise Conflict(f"These limits are {row.status.lower().replace('_', ' ')} already.")
    return row, user


def _decide(row: models.LimitSet, user: "User", status: LimitStatus, note: str) -> None:
    row.status, row.decided_by, row.decided_at = status, user, Now()
    row.decision_note = note.strip()[:TEXT_LENGTH_MAX]
    row.save(update_fields=["status", "decided_by", "decided_at", "decision_note"])


def _audit(
    row: models.LimitSet,
    user: "User",
    event: str,
    summary: str,
    *,
    before: Limits | None = None,
    after: Limits | None = None,
) -> None:
    changed = {}
    if before is not None and after is not None:
        changed = {
            name: [str(getattr(before, name)), str(getattr(after, name))]
            for name in FIELD_NAMES
            if getattr(before, name) != getattr(after, name)
        }
    named = ", ".join(describe(name).lower() for name in changed)
    record_audit_entry(
        firm_id=row.firm_id,
        actor_id=user.pk,
        action=f"rebalancer.limits.{event}",
        object_id=str(row.public_id),
        summary=f"{summary}, revision {row.revision}{': ' if named else ''}{named}",
        detail={
            "revision": row.revision,
            "changed": changed,
            "reason": row.reason,
            "note": row.decision_note,
        },
    )
