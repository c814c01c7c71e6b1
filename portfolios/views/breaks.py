"""Pages of breaks: where our books and the broker differ, who settles it, and how it ended."""

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
from portfolios.access import get_break_for, visible_breaks
from portfolios.forms.actions import AssignForm, CloseBreakForm
from portfolios.operations.breaks import (
    ADJUSTING_ROLES,
    OWNING_ROLES,
    Adjustment,
    assign_break,
    close_break,
)
from portfolios.queries.books import get_today
from portfolios.queries.breaks import get_our_quantity
from portfolios.views.posting import get_posted, get_status
from robo.common import clock
from robo.common.errors import Refused

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
    may_settle = has_permission(user, Permission.DECIDE_PROPOSALS)
    if request.method == "POST":
        check_permission(user, Permission.DECIDE_PROPOSALS)
    now = clock.now()
    may_adjust = user.role in ADJUSTING_ROLES
    form = CloseBreakForm(
        get_posted(request), may_adjust=may_adjust, initial={"theirs": row.their_quantity}
    )
    if request.method == "POST" and form.is_valid():
        cleaned = form.cleaned_data
        adjustment = None
        if cleaned.get("is_adjusted"):
            adjustment = Adjustment(get_today(user.firm, now), cleaned.get("cost"))
        try:
            close_break(
                break_id=row.pk,
                user_id=user.pk,
                note=cleaned["note"],
                now=now,
                theirs=cleaned["theirs"],
                adjustment=adjustment,
            )
        except Refused as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "The difference is settled; trading is free again.")
            return redirect("portfolios:break", public_id)
    owners = list_staff(user.firm_id, OWNING_ROLES)
    context = {
        "row": row,
        "ours": get_our_quantity(row.account_id, row.security_id),
        "form": form,
        "may_settle": may_settle and row.closed_at is None,
        "assign_form": AssignForm(
            owners=[(str(one.pk), one.name) for one in owners], initial={"owner": row.owner_id}
        ),
    }
    return render(request, "portfolios/break.html", context, status=get_status(form))


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
