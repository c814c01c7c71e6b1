"""The only way to a row that a user named. What someone may not see does not exist for them: 404.

A client sees their own household, an advisor the households assigned to them, a supervisor the
firm's, an operator those that a supervisor opened to them for a while, a token what its scopes say.
Firm admins know households and accounts by name, to administer them, and see nothing inside.
Disabled people see nothing. This file also says who may sign in at all.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast
from uuid import UUID

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.tokens import default_token_generator
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from accounts.domain.permissions import Permission, role_holds
from accounts.domain.roles import Role
from accounts.models import Account, AuditEntry, Disclosure, Household, SupportGrant, User
from robo.common import tenancy

View = TypeVar("View", bound=Callable[..., HttpResponseBase])
Row = TypeVar("Row", Household, Account, User)
NOBODY = Q(pk__in=[])
# What a model admin may read of the journal: how models came to be.
MODEL_ACTIONS = "portfolios.model."
# The mark on a signed-in operator whose request looked for a household's things.
READS_BY_GRANT = "reads_by_grant"


class PeopleBackend(ModelBackend):
    """Sign people in by e-mail; nobody signs in as the engine."""

    def user_can_authenticate(self, user: User | AnonymousUser | None) -> bool:
        """Return whether this user may sign in, and stay signed in."""
        return super().user_can_authenticate(user) and getattr(user, "role", "") != Role.SERVICE

    def get_user(self, user_id: int) -> User | None:
        """Return the signed-in user with firm and household: every page needs them.

        From here on the database shows this request the rows of that firm alone.
        """
        user = User.objects.select_related("firm").filter(pk=user_id).first()
        if user is None or not self.user_can_authenticate(user):
            return None
        tenancy.enter_firm(user.firm_id)
        if user.household_id is not None:
            # Only now: before the firm is known the database hides every household.
            user.household = Household.objects.get(pk=user.household_id)
        return user


def get_signed_in_user(request: HttpRequest) -> User:
    """Return who is signed in.

    :raises Http404: when nobody is; pages never get this far, for the middleware asks first.
    """
    if not isinstance(request.user, User) or not request.user.is_active:
        raise Http404
    tenancy.enter_firm(request.user.firm_id)
    return request.user


def has_permission(user: User, permission: Permission) -> bool:
    """Return whether this person may do such a thing at all.

    A token (the engine's role) holds what both its role and its scopes name.
    """
    if not user.is_active or not role_holds(user.role, permission):
        return False
    if user.role == Role.SERVICE:
        return permission in getattr(user, "token_permissions", ())
    return True


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


def require_permission(*permissions: Permission) -> Callable[[View], View]:
    """Return a view decorator: for everybody without any of these the page does not exist (404)."""

    def decorate(view: View) -> View:
        @wraps(view)
        def gate(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            check_permission(get_signed_in_user(request), *permissions)
            return view(request, *args, **kwargs)

        return cast(View, gate)

    return decorate


def check_permission(user: User, *permissions: Permission) -> None:
    """Accept who holds one of these permissions.

    :raises Http404: for everybody else.
    """
    if not any(has_permission(user, permission) for permission in permissions):
        raise Http404


def visible_households(user: User) -> QuerySet[Household]:
    """Return the households whose things this user may see."""
    return Household.objects.select_related("firm").filter(_household_condition(user))


def known_households(user: User) -> QuerySet[Household]:
    """Return the households that this user may know by name: to see them, or to administer them."""
    return Household.objects.select_related("firm").filter(_known_condition(user))


def visible_accounts(user: User) -> QuerySet[Account]:
    """Return the accounts, open and closed, of the households whose things this user may see."""
    households = Household.objects.filter(_household_condition(user))
    return Account.objects.select_related("household", "firm").filter(
        firm_id=user.firm_id, household__in=households
    )


def known_accounts(user: User) -> QuerySet[Account]:
    """Return the accounts that this user may know by name: to see them, or to administer them."""
    households = Household.objects.filter(_known_condition(user))
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
    if not has_permission(user, Permission.READ_JOURNAL):
        return entries.none()
    if user.role in (Role.SUPERVISOR, Role.ADMIN):
        return entries
    if user.role == Role.MODEL_ADMIN:
        return entries.filter(action__startswith=MODEL_ACTIONS)
    return entries.filter(household__in=Household.objects.filter(_household_condition(user)))


def visible_support_grants(user: User) -> QuerySet[SupportGrant]:
    """Return the looks that this user asked for, or may allow."""
    grants = SupportGrant.objects.select_related("operator", "household", "decided_by").filter(
        firm_id=user.firm_id
    )
    if has_permission(user, Permission.APPROVE_SUPPORT):
        return grants
    if has_permission(user, Permission.REQUEST_SUPPORT):
        return grants.filter(operator=user)
    return grants.none()


def list_open_looks(user: User) -> list[SupportGrant]:
    """Return the looks that an operator has open at this moment, the first to end first."""
    return list(_active_grants(user).select_related("household").order_by("until"))


def get_household_for(user: User, public_id: UUID | str) -> Household:
    """Return a household that the user named and may see.

    :raises Http404: when there is none, or it is not theirs to see.
    """
    return _get(visible_households(user), public_id)


def get_known_household_for(user: User, public_id: UUID | str) -> Household:
    """Return a household that the user named and may know by name.

    :raises Http404: when there is none, or it is not theirs to know.
    """
    return _get(known_households(user), public_id)


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


def get_disclosure_for(user: User, public_id: UUID) -> Disclosure:
    """Return a version of the firm's texts for clients that the user named.

    :raises Http404: when there is none, or it is not theirs to read.
    """
    check_permission(user, Permission.READ_DISCLOSURES)
    rows = Disclosure.objects.select_related("firm", "author", "published_by")
    row = rows.filter(firm_id=user.firm_id, public_id=public_id).first()
    if row is None:
        raise Http404
    return row


def get_support_grant_id_for(user: User, grant_id: int) -> int:
    """Return the id of a look that the user asked for, or may allow.

    :raises Http404: when there is none, or it is not theirs.
    """
    if not visible_support_grants(user).filter(pk=grant_id).exists():
        raise Http404
    return grant_id


def _household_condition(user: User) -> Q:
    if not user.is_active:
        return NOBODY
    if user.role == Role.CLIENT:
        return Q(firm_id=user.firm_id, pk=user.household_id)
    if user.role == Role.ADVISOR:
        # The firm is asked for as well: an assignment left from another firm opens nothing.
        return Q(firm_id=user.firm_id, pk__in=user.assignments.values("household_id"))
    if user.role == Role.OPERATOR:
        # Whoever sets this mark is written into the journal when the request is done.
        setattr(user, READS_BY_GRANT, True)
        return Q(firm_id=user.firm_id, pk__in=_active_grants(user).values("household_id"))
    if user.role == Role.SUPERVISOR or has_permission(user, Permission.READ_HOLDINGS):
        return Q(firm_id=user.firm_id)
    return NOBODY


def _active_grants(user: User) -> QuerySet[SupportGrant]:
    # By the database's clock, so that a look ends at the same moment everywhere.
    return user.support_grants.filter(until__gt=Now(), ended_at__isnull=True)


def _known_condition(user: User) -> Q:
    if user.is_active and user.role == Role.ADMIN:
        return Q(firm_id=user.firm_id)
    return _household_condition(user)


def _user_condition(user: User) -> Q:
    if not user.is_active:
        return NOBODY
    if has_permission(user, Permission.READ_USERS):
        return Q(firm_id=user.firm_id)
    if user.role == Role.ADVISOR:
        return Q(pk=user.pk) | Q(household_id__in=user.assignments.values("household_id"))
    return NOBODY if user.role == Role.SERVICE else Q(pk=user.pk)


def _get(rows: QuerySet[Row], public_id: UUID | str) -> Row:
    try:
        wanted = public_id if isinstance(public_id, UUID) else UUID(str(public_id))
    except ValueError:
        raise Http404 from None
    row = rows.filter(public_id=wanted).first()
    if row is None:
        raise Http404
    return row
