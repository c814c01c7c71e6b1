"""Support: an operator asks to look at a household, a supervisor allows it, every look is logged.

`SupportReadsMiddleware` writes the journal of what an operator was shown; without it no answer.
"""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import (
    READS_BY_GRANT,
    get_signed_in_user,
    get_support_grant_id_for,
    has_permission,
    list_open_looks,
    require_permission,
    visible_support_grants,
)
from accounts.domain.permissions import Permission
from accounts.domain.roles import Role
from accounts.forms import SupportForm
from accounts.operations import support
from accounts.queries.people import find_household_id
from robo.common import clock
from robo.common.errors import Refused

GRANTS_A_PAGE = 50


@require_safe
@require_permission(Permission.REQUEST_SUPPORT, Permission.APPROVE_SUPPORT)
def show_support(request: HttpRequest) -> HttpResponse:
    """Show who asked to look at what, and how long they may."""
    return _render(request, SupportForm(), 200)


def _render(request: HttpRequest, form: SupportForm, status: int) -> HttpResponse:
    user = get_signed_in_user(request)
    grants = Paginator(visible_support_grants(user).order_by("-pk"), GRANTS_A_PAGE)
    context = {
        "page": grants.get_page(request.GET.get("page")),
        "form": form,
        "now": clock.now(),
        "may_ask": has_permission(user, Permission.REQUEST_SUPPORT),
        "may_allow": has_permission(user, Permission.APPROVE_SUPPORT),
    }
    return render(request, "accounts/support.html", context, status=status)


@require_POST
@require_permission(Permission.REQUEST_SUPPORT)
def support_ask(request: HttpRequest) -> HttpResponse:
    """Ask to look at a household, by the id that its own people or advisors read out."""
    user = get_signed_in_user(request)
    form = SupportForm(request.POST)
    if form.is_valid():
        household_id = find_household_id(
            firm_id=user.firm_id, public_id=form.cleaned_data["household"]
        )
        if household_id is None:
            form.add_error("household", "No household of the firm goes by this id.")
        else:
            try:
                support.request_support(
                    operator_id=user.pk,
                    household_id=household_id,
                    reason=form.cleaned_data["reason"],
                    hours=form.cleaned_data["hours"],
                )
            except Refused as refusal:
                form.add_error(None, str(refusal))
            else:
                messages.success(request, "Asked. A supervisor has to allow it.")
                return redirect("accounts:support")
    return _render(request, form, 422)


@require_POST
@require_permission(Permission.REQUEST_SUPPORT, Permission.APPROVE_SUPPORT)
def support_answer(request: HttpRequest, grant_id: int, answer: str) -> HttpResponse:
    """Allow, refuse or end a look."""
    user = get_signed_in_user(request)
    grant_id = get_support_grant_id_for(user, grant_id)
    try:
        if answer == "allow":
            support.allow_support(grant_id=grant_id, user_id=user.pk, now=clock.now())
        elif answer == "refuse":
            support.refuse_support(grant_id=grant_id, user_id=user.pk)
        elif answer == "end":
            support.end_support(grant_id=grant_id, user_id=user.pk)
        else:
            raise Http404
    except Refused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, "Done. It is in the journal.")
    return redirect("accounts:support")


class SupportReadsMiddleware:
    """Write down what an operator was shown of a household that was opened to them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer; a look that cannot be written down is not answered but fails."""
        response = self.get_response(request)
        user = request.user
        if getattr(user, READS_BY_GRANT, False) and response.status_code < 400:
            support.record_support_reads(operator_id=int(str(user.pk)), address=request.path)
        return response


class May:
    """What the person may do, for templates: `{% if may.WRITE_MODELS %}`."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request

    def __getitem__(self, name: str) -> bool:
        """Return whether the person holds the permission of this name."""
        user: Any = getattr(self.request, "user", None)
        return user is not None and user.is_authenticated and has_permission(user, Permission[name])


def permissions(request: HttpRequest) -> dict[str, Any]:
    """Return what every page knows of rights: `may`, and the looks an operator has open."""
    user: Any = getattr(request, "user", None)
    is_operator = user is not None and user.is_authenticated and user.role == Role.OPERATOR
    return {"may": May(request), "open_looks": list_open_looks(user) if is_operator else []}
