"""The journal of the doors: who came in, who failed, who was made to wait, which sessions ended.

Strangers have no row of their own: an address that nobody has is logged as a hash.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils.crypto import salted_hmac

from accounts import models
from accounts.access import PeopleBackend
from accounts.domain.doors import MailKind
from accounts.domain.roles import Role
from accounts.operations.audit import record_audit_entry
from accounts.operations.mails import queue_mail
from robo.common import tenancy

logger = logging.getLogger(__name__)

EMAIL_LENGTH_MAX = 254
LINKS_AN_HOUR = 5


@transaction.atomic
def record_sign_in(*, user_id: int, method: str) -> None:
    """Write down that somebody signed in, and by what."""
    user = models.User.objects.get(pk=user_id)
    record_at_door(user, user_id, "signed_in", f"{user.name} signed in by {method}")


@transaction.atomic
def record_sign_out(*, user_id: int) -> None:
    """Write down that somebody signed out."""
    user = models.User.objects.get(pk=user_id)
    record_at_door(user, user_id, "signed_out", f"{user.name} signed out")


@transaction.atomic
def record_session_end(*, user_id: int, reason: str) -> None:
    """Write down that a session ended by itself."""
    user = models.User.objects.get(pk=user_id)
    record_at_door(user, user_id, "session_ended", f"A session of {user.name} ended: {reason}")


@transaction.atomic
def record_step_up(*, user_id: int, method: str) -> None:
    """Write down that somebody confirmed who they are."""
    user = models.User.objects.get(pk=user_id)
    record_at_door(user, user_id, "confirmed", f"{user.name} confirmed who they are by {method}")


def record_failure(*, email: str, event: str, words: str, network: str) -> None:
    """Write down a failed or refused attempt to sign in as `email`, known or not.

    For unknown addresses the same work is done and thrown away, so that the time tells nothing.
    """
    facts = {"network": hash_for_log(network)}
    user = _find_user(email)
    stand_in = user or models.User.objects.filter(role=Role.SERVICE).order_by("pk").first()
    if user is None:
        logger.warning("%s: unknown address %s", event, hash_for_log(email))
    if stand_in is None:
        return
    with tenancy.as_firm(stand_in.firm_id), transaction.atomic():
        _record_by_engine(stand_in, event, words, facts)
        if user is None:
            transaction.set_rollback(True)


def record_failed_code(*, user_id: int, network: str) -> None:
    """Write down that a code, or a passkey, did not fit."""
    user = models.User.objects.get(pk=user_id)
    with tenancy.as_firm(user.firm_id), transaction.atomic():
        facts = {"network": hash_for_log(network)}
        _record_by_engine(user, "code_failed", "A second step failed for {name}", facts)


@transaction.atomic
def ask_for_link(*, email: str, site: str, now: datetime) -> None:
    """Have a link mailed to this address, if somebody may sign in with it; say nothing either way.

    The mails of an hour to one person are bounded. That locks nobody out: the links that were sent
    still work.
    """
    user = _find_user(email)
    if user is not None and not PeopleBackend().user_can_authenticate(user):
        user = None
    person_id = user.pk if user is not None else None
    lately = models.OutgoingMail.objects.filter(
        person_id=person_id,
        kind=MailKind.PASSWORD_LINK,
        asked_at__gt=now - timedelta(hours=1),
    )
    if lately.count() >= LINKS_AN_HOUR and person_id is not None:
        return
    # For nobody as well, so that the time tells nothing.
    queue_mail(person_id=person_id, kind=MailKind.PASSWORD_LINK, facts={"site": site})


@transaction.atomic
def purge_sessions(*, now: datetime) -> None:
    """Remove sessions that are over, and their lines in people's own lists."""
    Session.objects.filter(expire_date__lt=now).delete()
    UserSession.objects.exclude(session_key__in=Session.objects.values("session_key")).delete()


def hash_for_log(text: str) -> str:
    """Return a short keyed hash: the same text gives the same, and nobody can read it back."""
    told = text.strip().lower().encode(errors="replace").decode()
    return salted_hmac("accounts.doors", told, algorithm="sha256").hexdigest()[:16]


def _find_user(email: str) -> models.User | None:
    wanted = email.strip().lower()[:EMAIL_LENGTH_MAX].replace("\x00", "")
    return models.User.objects.select_related("firm").filter(email=wanted).first()


def _record_by_engine(user: models.User, event: str, words: str, facts: dict[str, Any]) -> None:
    """Write what a stranger did; the engine stands for them, for nobody knows who it was."""
    engine = models.User.objects.get(firm_id=user.firm_id, role=Role.SERVICE)
    record_at_door(user, engine.pk, event, words.format(name=user.name), facts)


def record_at_door(
    user: models.User,
    actor_id: int,
    event: str,
    summary: str,
    facts: dict[str, Any] | None = None,
) -> None:
    """Write down what happened to a person's ways in, in the caller's transaction."""
    record_audit_entry(
        firm_id=user.firm_id,
        actor_id=actor_id,
        household_id=user.household_id,
        action=f"accounts.door.{event}",
        object_id=str(user.public_id),
        summary=summary,
        detail=facts,
    )
