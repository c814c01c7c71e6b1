"""The second step of a sign-in: a code is spent once, a change ends sessions, a reset takes two."""

from datetime import datetime

from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from allauth.mfa.utils import decrypt
from django.conf import settings
from django.db import IntegrityError, transaction

from accounts import models
from accounts.domain.doors import MailKind, ResetStatus
from accounts.domain.roles import Role
from accounts.operations.mails import queue_mail
from accounts.operations.sign_ins import record_at_door
from robo.common.errors import Conflict, NotAllowed, Refused
from robo.common.secrets import reseal

CODE_SECONDS = 30
LAST_STEP = "last_step"
SEALED = ("secret", "seed")  # of an app, of recovery codes
REASON_LENGTH_MAX = 200
KIND_WORDS = {
    Authenticator.Type.TOTP: "an authenticator app",
    Authenticator.Type.WEBAUTHN: "a passkey",
    Authenticator.Type.RECOVERY_CODES: "new recovery codes",
}


class NothingToReset(Conflict):
    """The person has no second factor, or its reset is asked for or settled already."""


class OwnReset(NotAllowed):
    """Neither its owner nor whoever asked may take a second factor away."""


@transaction.atomic
def spend_code(*, user_id: int, code: str, now: datetime) -> Authenticator | None:
    """Return the authenticator that this code belongs to and mark it as used; None if it is none's.

    A code of an app works in its own 30 seconds, once; a recovery code works once.
    """
    factors = Authenticator.objects.select_for_update().filter(user_id=user_id)
    for factor in factors.filter(type=Authenticator.Type.TOTP):
        if _spend_app_code(factor, code, now):
            return factor
    for factor in factors.filter(type=Authenticator.Type.RECOVERY_CODES):
        if factor.wrap().validate_code(code):
            factor.refresh_from_db()
            left = len(factor.wrap().get_unused_codes())
            user = models.User.objects.get(pk=user_id)
            queue_mail(person_id=user_id, kind=MailKind.RECOVERY_CODE_USED, facts={"left": left})
            record_at_door(user, user_id, "recovery_code_used", f"{user.name} used a recovery code")
            return factor
    return None


@transaction.atomic
def settle_change(*, user_id: int, kind: str, is_gone: bool, now: datetime) -> models.User:
    """Follow up a change that the owner made: journal, notice, and the end of all sessions.

    Return the user, with whom the caller keeps the present session alive.
    """
    user = models.User.objects.select_for_update(no_key=True).get(pk=user_id)
    if kind == Authenticator.Type.TOTP and not is_gone:
        # The code that set it up is spent with it.
        factor = Authenticator.objects.get(user_id=user_id, type=kind)
        factor.data[LAST_STEP] = int(now.timestamp()) // CODE_SECONDS
        factor.save(update_fields=["data"])
    change = "removed" if is_gone else "set up"
    what = KIND_WORDS[Authenticator.Type(kind)]
    end_sessions_of(user)
    queue_mail(
        person_id=user_id,
        kind=MailKind.SECOND_FACTOR_CHANGED,
        facts={"change": change, "what": what},
    )
    event = "second_factor_removed" if is_gone else "second_factor_added"
    record_at_door(user, user_id, event, f"{user.name} {change} {what}")
    return user


@transaction.atomic
def reseal_factors() -> int:
    """Encrypt the secret of every second factor anew with the first key; return how many."""
    factors = Authenticator.objects.select_for_update().order_by("pk")
    rows = [row for row in factors if any(name in row.data for name in SEALED)]
    for row in rows:
        row.data |= {name: reseal(row.data[name]) for name in SEALED if name in row.data}
    Authenticator.objects.bulk_update(rows, ["data"], batch_size=500)
    return len(rows)


def end_sessions_of(user: models.User) -> None:
    """End every session of a person whose row the caller has locked, from the next request on."""
    user.session_generation += 1
    user.save(update_fields=["session_generation"])


# --- A lost one -------------------------------------------------------------------------------


@transaction.atomic
def ask_for_reset(*, user_id: int, reason: str, actor_id: int) -> models.SecondFactorReset:
    """Ask that a lost second factor be taken away; somebody else must confirm it.

    :raises Refused: without a reason.
    :raises OwnReset: when it is one's own.
    :raises NothingToReset: when there is none, or it is asked for already.
    """
    user = models.User.objects.select_for_update(no_key=True).get(pk=user_id)
    if user_id == actor_id:
        raise OwnReset("Your own second step is not yours to reset: ask a colleague.")
    reason = reason.strip()
    if not reason or len(reason) > REASON_LENGTH_MAX or not reason.isprintable():
        raise Refused(f"Say why, in {REASON_LENGTH_MAX} characters at most.")
    if not Authenticator.objects.filter(user_id=user_id).exists():
        raise NothingToReset(f"{user.name} has no second step set up.")
    try:
        with transaction.atomic():
            reset = models.SecondFactorReset.objects.create(
                firm_id=user.firm_id, person=user, reason=reason, asked_by_id=actor_id
            )
    except IntegrityError as error:
        raise NothingToReset(f"A reset for {user.name} waits for a second person.") from error
    record_at_door(
        user,
        actor_id,
        "second_factor_reset_asked",
        f"A reset of {user.name}'s second step was asked for",
        {"reason": reason},
    )
    return reset


@transaction.atomic
def confirm_reset(*, reset_id: int, actor_id: int, now: datetime) -> models.User:
    """Take a second factor away as a second person: sessions end, its owner gets a notice.

    :raises OwnReset: for its owner, and for whoever asked.
    :raises NothingToReset: when it was settled before.
    """
    reset = _lock_reset(reset_id)
    user = models.User.objects.select_for_update(no_key=True).get(pk=reset.person_id)
    if actor_id in (reset.asked_by_id, reset.person_id):
        raise OwnReset("Somebody other than its owner and whoever asked must confirm this.")
    reset.status, reset.settled_by_id, reset.settled_at = ResetStatus.DONE, actor_id, now
    reset.save(update_fields=["status", "settled_by", "settled_at"])
    _remove_all(user, actor_id, reset.reason)
    return user


@transaction.atomic
def withdraw_reset(*, reset_id: int, actor_id: int, now: datetime) -> None:
    """Drop the request for a reset; anybody who may see it may do so.

    :raises NothingToReset: when it was settled before.
    """
    reset = _lock_reset(reset_id)
    reset.status, reset.settled_by_id, reset.settled_at = ResetStatus.WITHDRAWN, actor_id, now
    reset.save(update_fields=["status", "settled_by", "settled_at"])
    record_at_door(
        reset.person,
        actor_id,
        "second_factor_reset_withdrawn",
        f"The reset of {reset.person.name}'s second step was withdrawn",
    )


@transaction.atomic
def reset_from_console(*, user_id: int, reason: str) -> None:
    """Take a second factor away for who has nobody to ask; only the server's console leads here.

    :raises Refused: without a reason.
    :raises NothingToReset: when there is none.
    """
    user = models.User.objects.select_for_update(no_key=True).get(pk=user_id)
    if not reason.strip():
        raise Refused("Say why.")
    if not Authenticator.objects.filter(user_id=user_id).exists():
        raise NothingToReset(f"{user.name} has no second step set up.")
    engine = models.User.objects.get(firm_id=user.firm_id, role=Role.SERVICE)
    _remove_all(user, engine.pk, f"From the server's console: {reason.strip()}")


def _remove_all(user: models.User, actor_id: int, reason: str) -> None:
    Authenticator.objects.filter(user_id=user.pk).delete()
    end_sessions_of(user)
    queue_mail(person_id=user.pk, kind=MailKind.SECOND_FACTOR_RESET, facts={"reason": reason})
    record_at_door(
        user,
        actor_id,
        "second_factor_reset",
        f"{user.name}'s second step was removed",
        {"reason": reason},
    )


def _lock_reset(reset_id: int) -> models.SecondFactorReset:
    resets = models.SecondFactorReset.objects.select_for_update(no_key=True, of=("self",))
    reset = resets.select_related("person").get(pk=reset_id)
    if reset.status != ResetStatus.ASKED:
        raise NothingToReset("This reset was settled already.")
    return reset


def _spend_app_code(factor: Authenticator, code: str, now: datetime) -> bool:
    step = int(now.timestamp()) // CODE_SECONDS
    last_step = factor.data.get(LAST_STEP, -1)
    secret = decrypt(factor.data["secret"])
    tolerance = settings.MFA_TOTP_TOLERANCE
    for allowed in range(step - tolerance, step + tolerance + 1):
        expected = format_hotp_value(hotp_value(secret, allowed))
        if allowed > last_step and compare_user_code(actual=code, expected=expected):
            factor.data[LAST_STEP] = allowed
            factor.save(update_fields=["data"])
            return True
    return False
