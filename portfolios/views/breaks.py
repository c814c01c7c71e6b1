"""Pages of breaks: where our books and the broker differ, who settles it, and how it ended."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import (
    check_permission,
    get_signed_in_user,
    has_permission,
    require_permission,
)
from accounts.domain.permissions import Permission
from accounts.queries.people import list_staff
from accounts.views.step_up import require_fresh_sign_in
from portfolios.access import get_break_for, visible_breaks
from portfolios.forms.actions import AssignForm, CloseBreakForm
from portfolios.operations.adjusting import ask_adjustment, confirm_adjustment, drop_adjustment
from portfolios.operations.breaks import OWNING_ROLES, assign_break, close_break
from portfolios.queries.books import get_today
from portfolios.queries.breaks import find_asked_adjustment, get_our_quantity
from portfolios.views.posting import get_posted, get_status
from robo.common import clock
from robo.common.errors import Conflict, Refused

if TYPE_CHECKING:
    from accounts.models import User
    from portfolios.models import Break

ROWS_PER_PAGE = 50


@require_permission(Permission.READ_BOOK)
@require_safe
def list_breaks(request: HttpRequest) -> HttpResponse:
    """Show differences with the broker, the open ones first."""
    user = get_signed_in_user(request)
    page = Paginator(visible_breaks(user), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "portfolios/breaks.html", {"page": page})


@require_permission(Permission.READ_BOOK)
def show_break(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Show one difference, and settle it."""
    user = get_signed_in_user(request)
    row = get_break_for(user, public_id)
    if request.method == "POST":
        check_permission(user, Permission.DECIDE_PROPOSALS)
    form = CloseBreakForm(get_posted(request), initial={"theirs": row.their_quantity})
    if request.method == "POST" and form.is_valid():
        try:
            words = _settle(row, user, form)
        except Refused as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, words)
            return redirect("portfolios:break", public_id)
    return _render(request, user, row, form, status=get_status(form))


def _settle(row: "Break", user: "User", form: CloseBreakForm) -> str:
    """Close a break, or ask for the entry that would; return what became of it."""
    cleaned, now = form.cleaned_data, clock.now()
    if cleaned["is_adjusted"]:
        ask_adjustment(
            break_id=row.pk,
            user_id=user.pk,
            theirs=cleaned["theirs"],
            note=cleaned["note"],
            entry_date=get_today(user.firm, now),
            cost=cleaned["cost"],
        )
        return "Asked. Another person, a supervisor, books it."
    close_break(
        break_id=row.pk, user_id=user.pk, note=cleaned["note"], now=now, theirs=cleaned["theirs"]
    )
    return "The difference is settled; trading is free again."


def _render(
    request: HttpRequest, user: "User", row: "Break", form: CloseBreakForm, *, status: int = 200
) -> HttpResponse:
    owners = list_staff(user.firm_id, OWNING_ROLES)
    asked = find_asked_adjustment(row.pk)
    may_book = has_permission(user, Permission.ADJUST_BOOKS)
    context = {
        "row": row,
        "ours": get_our_quantity(row.account_id, row.security_id),
        "form": form,
        "asked": asked,
        "may_book": may_book and asked is not None and asked.asked_by_id != user.pk,
        "may_settle": has_permission(user, Permission.DECIDE_PROPOSALS) and row.closed_at is None,
        "assign_form": AssignForm(
            owners=[(str(one.pk), one.name) for one in owners], initial={"owner": row.owner_id}
        ),
    }
    return render(request, "portfolios/break.html", context, status=status)


@require_permission(Permission.ADJUST_BOOKS)
@require_POST
@require_fresh_sign_in
def confirm(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Book, as the second person, what settles a difference."""
    user = get_signed_in_user(request)
    row = get_break_for(user, public_id)
    try:
        confirm_adjustment(break_id=row.pk, user_id=user.pk, now=clock.now())
    except Refused as error:
        return _say_no(request, user, row, error)
    messages.success(request, "Booked. The difference is settled; trading is free again.")
    return redirect("portfolios:break", public_id)


@require_permission(Permission.DECIDE_PROPOSALS)
@require_POST
def drop(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Drop the entry that somebody asked for."""
    user = get_signed_in_user(request)
    row = get_break_for(user, public_id)
    try:
        drop_adjustment(break_id=row.pk, user_id=user.pk)
    except Refused as error:
        return _say_no(request, user, row, error)
    messages.success(request, "Dropped. The difference is still open.")
    return redirect("portfolios:break", public_id)


def _say_no(request: HttpRequest, user: "User", row: "Break", error: Refused) -> HttpResponse:
    messages.error(request, str(error))
    form = CloseBreakForm(None, initial={"theirs": row.their_quantity})
    status = 409 if isinstance(error, Conflict) else 422
    return _render(request, user, get_break_for(user, row.public_id), form, status=status)


@require_permission(Permission.DECIDE_PROPOSALS)
@require_POST
def assign(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Hand a difference to somebody else."""
    user = get_signed_in_user(request)
    row = get_break_for(user, public_id)
    owners = list_staff(user.firm_id, OWNING_ROLES)
    form = AssignForm(request.POST, owners=[(str(one.pk), one.name) for one in owners])
    if not form.is_valid():
        messages.error(request, "Choose somebody of your firm.")
        return redirect("portfolios:break", public_id)
    try:
        assign_break(break_id=row.pk, owner_id=form.cleaned_data["owner"], user_id=user.pk)
    except Refused as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "It has a new owner.")
    return redirect("portfolios:break", public_id)
