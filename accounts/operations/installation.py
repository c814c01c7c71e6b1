"""Look-only: how a firm's restored database is stopped, and how two people let it go on."""

from datetime import datetime

from django.db import transaction

from accounts import models
from accounts.domain.permissions import Permission, role_holds
from accounts.domain.roles import Role
from accounts.operations.audit import record_audit_entry
from accounts.queries import checkpoint_files, installation, people
from robo.common.errors import Conflict, NotAllowed, Refused

# One of the two must answer for the firm's clients, not only for its machines.
ANSWERABLE = (Role.SUPERVISOR, Role.ADMIN)
NOTE_LENGTH_MAX = 300


@transaction.atomic
def stop_when_restored(*, firm_id: int) -> bool:
    """Put a firm that was restored from a backup into look-only; return whether it is one.

    A stop that people are about to release is left as it is.
    """
    firm = models.Firm.objects.get(pk=firm_id)
    reason = installation.find_restore(firm)
    if not reason:
        return False
    row = models.LookOnly.objects.select_for_update().filter(firm=firm).first()
    if row is not None and row.is_on:
        return True
    models.LookOnly.objects.filter(firm=firm).delete()
    models.LookOnly.objects.create(firm=firm, reason=reason)
    _record(firm.pk, people.get_service_user(firm.pk).pk, "set", f"Look-only: {reason}")
    return True


@transaction.atomic
def ask_release(*, firm_id: int, user_id: int, note: str) -> None:
    """Ask a second person to let the firm act again; `note` says how the broker was compared.

    :raises Refused: when the note is empty, nothing is stopped, or the books were not compared
        with the broker's since.
    :raises NotAllowed: when this person may not.
    """
    row = _lock(firm_id)
    user = _get_releaser(firm_id, user_id)
    note = note.strip()
    if not note:
        raise Refused("Say how positions, cash and open orders were compared with the broker.")
    _check_reconciled(row)
    row.asked_by, row.release_note = user, note[:NOTE_LENGTH_MAX]
    row.save(update_fields=["asked_by", "release_note"])
    _record(firm_id, user_id, "release_asked", "Asked to end look-only", note)


@transaction.atomic
def release_look_only(*, firm_id: int, user_id: int) -> None:
    """Let the firm act again, as the second person; it does once the next checkpoint is signed.

    :raises Conflict: when nobody has asked for it.
    :raises NotAllowed: when this person asked, or neither of the two answers for the clients.
    :raises Refused: when nothing is stopped.
    """
    row = _lock(firm_id)
    user = _get_releaser(firm_id, user_id)
    if row.asked_by is None:
        raise Conflict("Somebody must first say how the broker was compared, and ask for this.")
    if row.asked_by_id == user.pk:
        raise NotAllowed("You asked for this, so somebody else must confirm it.")
    if not {row.asked_by.role, user.role} & set(ANSWERABLE):
        raise NotAllowed("One of the two must be a supervisor or an administrator.")
    _check_reconciled(row)
    row.released_by = user
    row.save(update_fields=["released_by"])
    _record(firm_id, user_id, "released", "Ended look-only", row.release_note)


def end_look_only(*, firm_id: int) -> int | None:
    """End a stop that two people released, in the caller's transaction.

    Return how many entries of what is outside still hold, for the checkpoint that starts anew;
    None when there is nothing to end.

    :raises FolderUnreadable: when the checkpoints outside cannot be read.
    """
    row = (
        models.LookOnly.objects.select_for_update(of=["self"])
        .select_related("firm")
        .filter(firm_id=firm_id, is_on=True, released_by__isnull=False)
        .first()
    )
    if row is None:
        return None
    row.is_on = False
    row.save(update_fields=["is_on"])
    known = set(
        models.JournalCheckpoint.objects.filter(firm_id=firm_id).values_list("digest", flat=True)
    )
    notes = checkpoint_files.list_notes(row.firm.public_id)
    return next((n.checkpoint.size for n in reversed(notes) if n.digest in known), 0)


def note_reconciled(*, firm_id: int, started_at: datetime) -> None:
    """Note that a stopped firm was compared with its broker: every difference is on record."""
    models.LookOnly.objects.filter(firm_id=firm_id, is_on=True, since__lte=started_at).update(
        reconciled_at=started_at
    )


def _check_reconciled(row: models.LookOnly) -> None:
    if row.reconciled_at is None or row.reconciled_at < row.since:
        raise Refused(
            "The books were not compared with the broker's since this stop: reconcile first."
        )


def _lock(firm_id: int) -> models.LookOnly:
    row = (
        models.LookOnly.objects.select_for_update(of=["self"])
        .select_related("asked_by")
        .filter(firm_id=firm_id, is_on=True, released_by__isnull=True)
        .first()
    )
    if row is None:
        raise Refused("Nothing is stopped here that waits for a release.")
    return row


def _get_releaser(firm_id: int, user_id: int) -> models.User:
    user = models.User.objects.get(pk=user_id)
    may = user.is_active and role_holds(user.role, Permission.VERIFY_JOURNAL)
    if user.firm_id != firm_id or not may:
        raise NotAllowed("Only a supervisor, an administrator or an operator may do this.")
    return user


def _record(firm_id: int, user_id: int, event: str, summary: str, note: str = "") -> None:
    record_audit_entry(
        firm_id=firm_id,
        actor_id=user_id,
        action=f"accounts.look_only.{event}",
        object_id=str(firm_id),
        summary=summary,
        detail={"note": note} if note else None,
    )
