"""What a household asks of its managers: securities and themes to leave alone."""

from datetime import datetime

from django.db import IntegrityError, transaction

from accounts import models
from accounts.domain.roles import WishKind
from accounts.operations.audit import record_audit_entry
from robo.common.errors import Conflict, Refused

SUBJECT_LENGTH_MAX = 40
NOTE_LENGTH_MAX = 200
_WORDS = {
    WishKind.NEVER_BUY: "never buy {}",
    WishKind.NEVER_SELL: "never sell {}",
    WishKind.EXCLUDE: "leave out everything marked {}",
}


class WishRefused(Refused):
    """The wish names nothing, or cannot be kept on record."""


class WishAlreadyHeld(Conflict):
    """The household has this very wish already."""


class WishAlreadyEnded(Conflict):
    """The wish ended before."""


@transaction.atomic
def record_wish(
    *, household_id: int, kind: WishKind, subject: str, actor_id: int, note: str = ""
) -> models.Wish:
    """Record a wish; whether the subject exists among the firm's securities is the caller's to see.

    :raises WishRefused: when the kind is unknown, or the subject or note is missing or too long.
    :raises WishAlreadyHeld: when it is in force already.
    """
    subject, note = subject.strip(), note.strip()
    if kind not in list(WishKind):
        raise WishRefused(f"{kind!r} is not a kind of wish.")
    if not subject or len(subject) > SUBJECT_LENGTH_MAX or not subject.isprintable():
        raise WishRefused("Say which security or theme the wish is about.")
    if len(note) > NOTE_LENGTH_MAX or "\x00" in note:
        raise WishRefused(f"The note is longer than {NOTE_LENGTH_MAX} characters.")
    household = models.Household.objects.get(pk=household_id)
    try:
        with transaction.atomic():
            wish = models.Wish.objects.create(
                household=household, kind=kind, subject=subject, note=note, recorded_by_id=actor_id
            )
    except IntegrityError as error:
        raise WishAlreadyHeld(
            f"{household.name} already asked us to {_words(kind, subject)}."
        ) from error
    _record(wish, actor_id, "recorded", f"Wish recorded: {_words(kind, subject)}")
    return wish


@transaction.atomic
def end_wish(*, wish_id: int, actor_id: int, now: datetime) -> models.Wish:
    """End a wish from `now` on; it stays on record.

    :raises WishAlreadyEnded: when somebody ended it before.
    """
    wish = (
        models.Wish.objects.select_for_update(no_key=True, of=("self",))
        .select_related("household")
        .get(pk=wish_id)
    )
    words = _words(wish.kind, wish.subject)
    if wish.ended_at is not None:
        raise WishAlreadyEnded(f"The wish to {words} has ended already.")
    wish.ended_at = now
    wish.save(update_fields=["ended_at"])
    _record(wish, actor_id, "ended", f"Wish ended: {words}")
    return wish


def _words(kind: str, subject: str) -> str:
    return _WORDS[WishKind(kind)].format(subject)


def _record(wish: models.Wish, actor_id: int, event: str, summary: str) -> None:
    record_audit_entry(
        firm_id=wish.household.firm_id,
        actor_id=actor_id,
        household_id=wish.household_id,
        action=f"accounts.wish.{event}",
        object_id=str(wish.pk),
        summary=summary,
        detail={"kind": str(wish.kind), "subject": wish.subject, "note": wish.note},
    )
