"""Who signs in: create people, let them in, shut them out, change roles and passwords.

Rows are locked without their key (`no_key`): the audit entry of a change refers to them too.
"""

from collections.abc import Sequence

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from accounts import models
from accounts.domain.doors import MailKind
from accounts.domain.roles import Role
from accounts.operations import people
from accounts.operations.audit import record_audit_entry
from accounts.operations.mails import queue_mail
from accounts.operations.second_factors import end_sessions_of
from robo.common.errors import Conflict, NotAllowed, Refused

NAME_LENGTH_MAX = 120
EMAIL_LENGTH_MAX = 254


class AddressTaken(Conflict):
    """Somebody already signs in with this e-mail address."""


class PersonRefused(Refused):
    """These facts do not make a person who can sign in."""


class PasswordRefused(Refused):
    """The password is too weak; `reasons` says in which ways."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__(" ".join(reasons))
        self.reasons = tuple(reasons)


class RoleChangeRefused(NotAllowed):
    """This change of role would break the firm's own control over who may do what."""


class NotSelf(NotAllowed):
    """Nobody does this to their own user."""


class LastAdmin(Conflict):
    """The firm would be left without anybody who can administer it."""


@transaction.atomic
def found_firm(
    *, name: str, currency: str, exchange: str, admin_email: str, admin_name: str
) -> models.User:
    """Create a firm with its first admin, who gets in by a one-time link; return the admin.

    :raises Refused: as `create_firm` and `create_user` do; then neither exists.
    """
    firm = people.create_firm(name=name, currency=currency, exchange=exchange)
    engine = models.User.objects.get(firm=firm, role=Role.SERVICE)
    return create_user(
        firm_id=firm.pk, email=admin_email, name=admin_name, role=Role.ADMIN, actor_id=engine.pk
    )


@transaction.atomic
def create_user(
    *,
    firm_id: int,
    email: str,
    name: str,
    role: Role,
    actor_id: int,
    password: str | None = None,
    household_id: int | None = None,
    site: str = "",
) -> models.User:
    """Create a person who can sign in; without a password only a one-time link lets them in.

    With the address of the `site` that link is mailed to them.

    :raises PersonRefused: when address, name, role and household do not fit together.
    :raises AddressTaken: when the address is in use.
    :raises PasswordRefused: when the password is too weak.
    """
    user = models.User(
        firm_id=firm_id,
        email=email.strip().lower(),
        name=name.strip(),
        role=role,
        household_id=household_id,
    )
    _check_person(user)
    if password is None:
        user.set_unusable_password()
    else:
        _check_password(password, user)
        user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError as error:
        raise AddressTaken(f"{user.email} is already in use.") from error
    if site and password is None:
        queue_mail(person_id=user.pk, kind=MailKind.INVITATION, facts={"site": site})
    _record(user, actor_id, "created", f"{user.name} joined as {_role_words(role)}")
    return user


@transaction.atomic
def disable_user(*, user_id: int, actor_id: int) -> None:
    """Shut a person out at once, open sessions included; their name stays in the records.

    :raises NotSelf: when it is one's own user.
    :raises RoleChangeRefused: when it is the engine's user.
    :raises LastAdmin: when nobody would be left to administer the firm.
    """
    user = _lock_person(user_id, actor_id, "You cannot disable your own sign-in.")
    if not user.is_active:
        return
    _keep_an_admin(user)
    user.is_active = False
    user.save(update_fields=["is_active"])
    # Letting the person in again later must not wake the sessions of before.
    end_sessions_of(user)
    _record(user, actor_id, "disabled", f"{user.name} can no longer sign in")


@transaction.atomic
def enable_user(*, user_id: int, actor_id: int) -> None:
    """Let a disabled person sign in again.

    :raises NotSelf: when it is one's own user.
    :raises RoleChangeRefused: when it is the engine's user.
    """
    user = _lock_person(user_id, actor_id, "You cannot enable your own sign-in.")
    if user.is_active:
        return
    user.is_active = True
    user.save(update_fields=["is_active"])
    _record(user, actor_id, "enabled", f"{user.name} can sign in again")


@transaction.atomic
def change_role(*, user_id: int, role: Role, actor_id: int) -> None:
    """Make an advisor an admin, or the other way round.

    :raises NotSelf: when it is one's own role.
    :raises RoleChangeRefused: from or to the engine's role, or between clients and staff.
    :raises LastAdmin: when nobody would be left to administer the firm.
    """
    user = _lock_person(user_id, actor_id, "You cannot change your own role.")
    if role == Role.SERVICE:
        raise RoleChangeRefused("Only the engine itself has the service role.")
    if user.role == role:
        return
    if Role.CLIENT in (user.role, role):
        raise RoleChangeRefused(
            f"{user.name} is {_role_words(user.role)}: clients and staff do not change places."
        )
    _keep_an_admin(user)
    before, user.role = user.role, role
    user.save(update_fields=["role"])
    end_sessions_of(user)
    if role != Role.ADVISOR:
        user.assignments.all().delete()
    _record(
        user,
        actor_id,
        "role_changed",
        f"{user.name} is now {_role_words(role)}",
        {"before": before, "after": role},
    )


@transaction.atomic
def set_password(*, user_id: int, password: str, actor_id: int) -> models.User:
    """Give a person a new password, which ends their other sessions.

    :raises PasswordRefused: when it is too weak.
    :raises RoleChangeRefused: when it is the engine's user, which nobody signs in as.
    """
    user = models.User.objects.select_for_update(no_key=True).get(pk=user_id)
    if user.role == Role.SERVICE:
        raise RoleChangeRefused("Nobody signs in as the engine.")
    _check_password(password, user)
    user.set_password(password)
    user.save(update_fields=["password"])
    queue_mail(person_id=user.pk, kind=MailKind.PASSWORD_CHANGED)
    _record(user, actor_id, "password_set", f"{user.name} set a new password")
    return user


@transaction.atomic
def withdraw_password(*, user_id: int, actor_id: int) -> models.User:
    """Make the present password useless, so that only a fresh one-time link lets the person in.

    :raises NotSelf: when it is one's own.
    :raises RoleChangeRefused: when it is the engine's user.
    """
    user = _lock_person(user_id, actor_id, "Change your own password on its own page.")
    user.set_unusable_password()
    user.save(update_fields=["password"])
    queue_mail(person_id=user.pk, kind=MailKind.LINK_MADE)
    _record(user, actor_id, "password_withdrawn", f"{user.name} was given a new sign-in link")
    return user


@transaction.atomic
def change_address(*, user_id: int, email: str, actor_id: int) -> models.User:
    """Give a person another e-mail address to sign in with; both addresses get a notice.

    Ends every session; the password and the second step stay.

    :raises NotSelf: when it is one's own.
    :raises RoleChangeRefused: when it is the engine's user.
    :raises PersonRefused: when it is no e-mail address.
    :raises AddressTaken: when the address is in use.
    """
    user = _lock_person(user_id, actor_id, "Ask a colleague to change your own address.")
    before, user.email = user.email, email.strip().lower()
    if user.email == before:
        return user
    _check_person(user)
    try:
        with transaction.atomic():
            user.save(update_fields=["email"])
    except IntegrityError as error:
        raise AddressTaken(f"{user.email} is already in use.") from error
    end_sessions_of(user)
    for address in (before, user.email):
        queue_mail(person_id=user.pk, kind=MailKind.ADDRESS_CHANGED, address=address)
    _record(user, actor_id, "address_changed", f"{user.name} signs in with another address")
    return user


@transaction.atomic
def end_sessions(*, user_id: int, actor_id: int) -> models.User:
    """End every session of a person; return them, so that one's own present one can be kept.

    :raises RoleChangeRefused: when it is the engine's user.
    """
    user = models.User.objects.select_for_update(no_key=True).get(pk=user_id)
    if user.role == Role.SERVICE:
        raise RoleChangeRefused("Nobody signs in as the engine.")
    end_sessions_of(user)
    _record(user, actor_id, "sessions_ended", f"Every session of {user.name} was ended")
    return user


def _check_person(user: models.User) -> None:
    if user.role == Role.SERVICE:
        raise PersonRefused("Only the firm's own engine has the service role.")
    if user.role not in list(Role):
        raise PersonRefused(f"{user.role!r} is not a role.")
    if not user.name or not user.name.isprintable() or len(user.name) > NAME_LENGTH_MAX:
        raise PersonRefused(f"A person needs a name of at most {NAME_LENGTH_MAX} characters.")
    if len(user.email) > EMAIL_LENGTH_MAX:
        raise PersonRefused("The e-mail address is too long.")
    try:
        if not user.email.isprintable():  # the pattern lets line separators through
            raise ValidationError("unprintable")
        validate_email(user.email)
    except ValidationError as error:
        raise PersonRefused(f"{user.email!r} is not an e-mail address.") from error
    if (user.role == Role.CLIENT) != (user.household_id is not None):
        raise PersonRefused("A client belongs to one household; staff belong to none.")
    if user.household_id is not None:
        household = models.Household.objects.filter(pk=user.household_id, firm_id=user.firm_id)
        if not household.exists():
            raise PersonRefused("The household is not one of this firm.")


def _check_password(password: str, user: models.User) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise PasswordRefused(error.messages) from error


def _lock_person(user_id: int, actor_id: int, words_for_self: str) -> models.User:
    user = models.User.objects.select_for_update(no_key=True).get(pk=user_id)
    if user.pk == actor_id:
        raise NotSelf(words_for_self)
    if user.role == Role.SERVICE:
        raise RoleChangeRefused("The engine's own user is not anybody's to change.")
    return user


def _keep_an_admin(user: models.User) -> None:
    """Refuse when `user` is the last active admin; the firm's lock makes two refusals agree."""
    if user.role != Role.ADMIN or not user.is_active:
        return
    models.Firm.objects.select_for_update(no_key=True).get(pk=user.firm_id)
    admins = models.User.objects.filter(firm_id=user.firm_id, role=Role.ADMIN, is_active=True)
    if not admins.exclude(pk=user.pk).exists():
        raise LastAdmin(f"{user.name} is the firm's only administrator.")


def _role_words(role: str) -> str:
    words = {Role.CLIENT: "a client", Role.ADVISOR: "an advisor", Role.ADMIN: "an administrator"}
    return words.get(Role(role), "the engine")


def _record(
    user: models.User,
    actor_id: int,
    event: str,
    summary: str,
    detail: dict[str, str] | None = None,
) -> None:
    record_audit_entry(
        firm_id=user.firm_id,
        actor_id=actor_id,
        household_id=user.household_id,
        action=f"accounts.user.{event}",
        object_id=str(user.public_id),
        summary=summary,
        detail=detail,
    )
