"""The only way to a row that a user named. What someone may not see does not exist for them: 404.

A client sees their own household, an advisor the households assigned to them, an admin the firm's.
Services and disabled people see nothing. This file also says who may sign in at all.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast
from uuid import UUID

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.tokens import default_token_generator
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from accounts.domain.roles import Role
from accounts.models import Account, AuditEntry, Household, User

View = TypeVar("View", bound=Callable[..., HttpResponseBase])
Row = TypeVar("Row", Household, Account, User)
NOBODY = Q(pk__in=[])


class PeopleBackend(ModelBackend):
    """Sign people in by e-mail; nobody signs in as the engine."""

    def user_can_authenticate(self, user: User | AnonymousUser | None) -> bool:
        """Return whether this user may sign in, and stay signed in."""
        return super().user_can_authenticate(user) and getattr(user, "role", "") != Role.SERVICE

    def get_user(self, user_id: int) -> User | None:
        """Return the signed-in user with firm and household: every page needs them."""
        user = User.objects.select_related("firm", "household").filter(pk=user_id).first()
        return user if self.user_can_authenticate(user) else None


def get_signed_in_user(request: HttpRequest) -> User:
    """Return who is signed in.

    :raises Http404: when nobody is; pages never get this far, for the middleware asks first.
    """
    if not isinstance(request.user, User) or not request.user.is_active:
        raise Http404
    return request.user


def build_sign_in_path(user: User) -> str:
    """Return the one-time link, without the site's name, through which a person sets a password.

    It is spent by the next sign-in or new password, and by age (`PASSWORD_RESET_TIMEOUT`).
    """
    return reverse(
        "accounts:welcome",
        kwargs={
            "uidb64": urlsafe_base64_encode(force_bytes(user.pk)),
            "token": default_token_generator.make_token(user),
        },
    )


def require_role(*roles: Role) -> Callable[[View], View]:
    """Return a view decorator: for everybody but these roles the page does not exist (404)."""

    def decorate(view: View) -> View:
        @wraps(view)
        def gate(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if get_signed_in_user(request).role not in roles:
                raise Http404
            return view(request, *args, **kwargs)

        return cast(View, gate)

    return decorate


def visible_households(user: User) -> QuerySet[Household]:
    """Return the households that this user may see."""
    return Household.objects.select_related("firm").filter(_household_condition(user))


def visible_accounts(user: User) -> QuerySet[Account]:
    """Return the accounts, open and closed, of the households that this user may see."""
    households = Household.objects.filter(_household_condition(user))
    return Account.objects.select_related("household", "firm").filter(
        firm_id=user.firm_id, household__in=households
    )


def visible_users(user: User) -> QuerySet[User]:
    """Return the people that this user may see; the engine's own user is nobody's to see."""
    return (
        User.objects.select_related("firm", "household")
        .filter(_user_condition(user), firm_id=user.firm_id)
        .exclude(role=Role.SERVICE)
    )


def visible_audit_entries(user: User) -> QuerySet[AuditEntry]:
    """Return the audit entries that this user may read: the firm's, their book's, or their own."""
    entries = AuditEntry.objects.select_related("actor", "household").filter(firm_id=user.firm_id)
    if user.is_active and user.role == Role.ADMIN:
        return entries
    return entries.filter(household__in=Household.objects.filter(_household_condition(user)))


def get_household_for(user: User, public_id: UUID | str) -> Household:
    """Return a household that the user named and may see.

    :raises Http404: when there is none, or it is not theirs to see.
    """
    return _get(visible_households(user), public_id)


def get_account_for(user: User, public_id: UUID | str) -> Account:
    """Return an account that the user named and may see.

    :raises Http404: when there is none, or it is not theirs to see.
    """
    return _get(visible_accounts(user), public_id)


def get_user_for(user: User, public_id: UUID | str) -> User:
    """Return a person that the user named and may see.

    :raises Http404: when there is none, or it is not theirs to see.
    """
    return _get(visible_users(user), public_id)


def _household_condition(user: User) -> Q:
    if not user.is_active:
        return NOBODY
    if user.role == Role.CLIENT:
        return Q(firm_id=user.firm_id, pk=user.household_id)
    if user.role == Role.ADVISOR:
        # The firm is asked for as well: an assignment left from another firm opens nothing.
        return Q(firm_id=user.firm_id, pk__in=user.assignments.values("household_id"))
    if user.role == Role.ADMIN:
        return Q(firm_id=user.firm_id)
    return NOBODY


def _user_condition(user: User) -> Q:
    if not user.is_active:
        return NOBODY
    if user.role == Role.ADMIN:
        return Q(firm_id=user.firm_id)
    if user.role == Role.ADVISOR:
        return Q(pk=user.pk) | Q(household_id__in=user.assignments.values("household_id"))
    if user.role == Role.CLIENT:
        return Q(pk=user.pk)
    return NOBODY


def _get(rows: QuerySet[Row], public_id: UUID | str) -> Row:
    try:
        wanted = public_id if isinstance(public_id, UUID) else UUID(str(public_id))
    except ValueError:
        raise Http404 from None
    row = rows.filter(public_id=wanted).first()
    if row is None:
        raise Http404
    return row
