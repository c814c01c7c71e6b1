"""The people of a firm, for its admins: list, invite, disable, role, a new sign-in link."""

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import (
    build_sign_in_path,
    get_signed_in_user,
    get_user_for,
    has_permission,
    require_permission,
    visible_users,
)
from accounts.domain.permissions import Permission
from accounts.domain.roles import Role
from accounts.forms import ROLE_LABELS, STAFF_ROLES, InviteForm, RoleForm
from accounts.forms.doors import AddressForm
from accounts.operations import users
from accounts.queries.doors import list_people_with_second_factor
from accounts.views.step_up import require_fresh_sign_in
from robo.common.errors import Refused

if TYPE_CHECKING:
    from accounts.models import User

PEOPLE_A_PAGE = 50
LINK_KEY = "accounts.sign_in_link"


@require_safe
@require_permission(Permission.READ_USERS)
def people(request: HttpRequest) -> HttpResponse:
    """List the firm's people; a fresh sign-in link is shown here, once."""
    user = get_signed_in_user(request)
    words = request.GET.get("words", "").strip()[:80].replace("\x00", "")
    rows = visible_users(user).order_by("name", "pk")
    if words:
        rows = rows.filter(Q(name__icontains=words) | Q(email__icontains=words))
    role = request.GET.get("role", "")
    if role in ROLE_LABELS:
        rows = rows.filter(role=role)
    page = Paginator(rows, PEOPLE_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "secured": list_people_with_second_factor([person.pk for person in page]),
        "words": words,
        "role": role,
        "roles": ROLE_LABELS.items(),
        "staff_roles": STAFF_ROLES,
        "may_edit": has_permission(user, Permission.WRITE_USERS),
        "link": request.session.pop(LINK_KEY, None),
    }
    return render(request, "accounts/people.html", context)


@require_permission(Permission.WRITE_USERS)
@require_fresh_sign_in
def person_invite(request: HttpRequest) -> HttpResponse:
    """Add somebody, and make the one-time link through which they choose their password."""
    admin = get_signed_in_user(request)
    form = InviteForm(admin, request.POST or None)
    if request.method == "POST" and form.is_valid():
        household = form.cleaned_data["household"]
        try:
            person = users.create_user(
                firm_id=admin.firm_id,
                email=form.cleaned_data["email"],
                name=form.cleaned_data["name"],
                role=Role(form.cleaned_data["role"]),
                household_id=household.pk if household else None,
                actor_id=admin.pk,
                site=request.build_absolute_uri("/"),
            )
        except Refused as refusal:
            form.add_error(None, str(refusal))
        else:
            _keep_link(request, person)
            return redirect("accounts:people")
    status = 422 if form.is_bound and form.errors else 200
    return render(request, "accounts/person_invite.html", {"form": form}, status=status)


@require_POST
@require_permission(Permission.WRITE_USERS)
@require_fresh_sign_in
def person_link(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Make the old password useless and show a new one-time link."""
    admin = get_signed_in_user(request)
    person = get_user_for(admin, public_id)
    try:
        changed = users.withdraw_password(user_id=person.pk, actor_id=admin.pk)
    except Refused as refusal:
        messages.error(request, str(refusal))
    else:
        _keep_link(request, changed)
    return redirect("accounts:people")


@require_POST
@require_permission(Permission.WRITE_USERS)
@require_fresh_sign_in
def person_disable(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Shut somebody out."""
    admin = get_signed_in_user(request)
    person = get_user_for(admin, public_id)
    return _act(
        request,
        lambda: users.disable_user(user_id=person.pk, actor_id=admin.pk),
        f"{person.name} can no longer sign in.",
    )


@require_POST
@require_permission(Permission.WRITE_USERS)
@require_fresh_sign_in
def person_enable(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Let somebody in again."""
    admin = get_signed_in_user(request)
    person = get_user_for(admin, public_id)
    return _act(
        request,
        lambda: users.enable_user(user_id=person.pk, actor_id=admin.pk),
        f"{person.name} can sign in again.",
    )


@require_POST
@require_permission(Permission.WRITE_USERS)
@require_fresh_sign_in
def person_role(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Change the role of somebody on the staff."""
    admin = get_signed_in_user(request)
    person = get_user_for(admin, public_id)
    form = RoleForm(request.POST)
    if not form.is_valid():
        messages.error(request, "That is not a role that can be given.")
        return redirect("accounts:people")
    role = Role(form.cleaned_data["role"])
    return _act(
        request,
        lambda: users.change_role(user_id=person.pk, role=role, actor_id=admin.pk),
        f"{person.name} is now {ROLE_LABELS[role].lower()}.",
    )


@require_permission(Permission.WRITE_USERS)
@require_fresh_sign_in
def person_address(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Give somebody another e-mail address to sign in with."""
    admin = get_signed_in_user(request)
    person = get_user_for(admin, public_id)
    form = AddressForm(request.POST or None, initial={"email": person.email})
    if request.method == "POST" and form.is_valid():
        try:
            users.change_address(
                user_id=person.pk, email=form.cleaned_data["email"], actor_id=admin.pk
            )
        except Refused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"{person.name} signs in with the new address from now on.")
            return redirect("accounts:people")
    context = {"form": form, "person": person}
    status = 422 if form.is_bound and form.errors else 200
    return render(request, "accounts/person_address.html", context, status=status)


@require_POST
@require_permission(Permission.WRITE_USERS)
@require_fresh_sign_in
def person_sessions_end(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Sign somebody out everywhere."""
    admin = get_signed_in_user(request)
    person = get_user_for(admin, public_id)
    return _act(
        request,
        lambda: users.end_sessions(user_id=person.pk, actor_id=admin.pk),
        f"Every session of {person.name} is ended.",
    )


def _act(request: HttpRequest, operation: Callable[[], object], done: str) -> HttpResponse:
    try:
        operation()
    except Refused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, done)
    return redirect("accounts:people")


def _keep_link(request: HttpRequest, person: "User") -> None:
    """Keep a one-time link in the admin's session until the next page has shown it."""
    request.session[LINK_KEY] = {
        "name": person.name,
        "email": person.email,
        "url": request.build_absolute_uri(build_sign_in_path(person)),
    }
