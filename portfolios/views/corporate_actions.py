"""Pages of corporate actions: what is on record, a form to add one, and taking one back."""

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.access import (
    check_permission,
    get_signed_in_user,
    has_permission,
    require_permission,
)
from accounts.domain.permissions import Permission
from accounts.views.step_up import require_fresh_sign_in
from portfolios.access import get_action_for
from portfolios.domain.kinds import ActionKind
from portfolios.forms.actions import KIND_WORDS, ActionForm
from portfolios.operations.corporate_actions import (
    ActionDetails,
    confirm_action,
    record_action,
    withdraw_action,
)
from portfolios.queries.books import get_today
from portfolios.queries.corporate_actions import describe_in_words, list_actions
from portfolios.queries.securities import list_securities
from portfolios.views.posting import get_posted, get_status
from robo.common import clock
from robo.common.errors import Refused

ROWS_PER_PAGE = 50


@require_permission(Permission.READ_SECURITIES)
def show_actions(request: HttpRequest) -> HttpResponse:
    """Show the firm's corporate actions, the latest day first, and add one."""
    user = get_signed_in_user(request)
    if request.method == "POST":
        check_permission(user, Permission.WRITE_SECURITIES)
    today = get_today(user.firm, clock.now())
    securities = list_securities(user.firm_id).order_by("symbol")
    form = ActionForm(
        get_posted(request),
        securities=[(str(row.pk), f"{row.symbol} · {row.name}") for row in securities],
    )
    if request.method == "POST" and form.is_valid():
        try:
            row = record_action(
                firm_id=user.firm_id,
                details=_describe(form),
                market_date=today,
                actor_id=user.pk,
            )
        except Refused as error:
            form.add_error(None, str(error))
        else:
            messages.success(
                request, f"On record: {describe_in_words(row)}. Somebody else confirms it."
            )
            return redirect("portfolios:actions")
    may_confirm = has_permission(user, Permission.CONFIRM_ACTIONS)
    page = Paginator(list_actions(user.firm_id), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "form": form,
        "page": page,
        "rows": [
            {
                "action": row,
                "kind": KIND_WORDS[ActionKind(row.kind)],
                "words": describe_in_words(row),
                "is_overdue": row.status == "ANNOUNCED" and row.pay_date < today,
                "may_confirm": may_confirm
                and row.status == "RECORDED"
                and row.recorded_by_id != user.pk,
            }
            for row in page
        ],
        "may_edit": has_permission(user, Permission.WRITE_SECURITIES),
    }
    return render(request, "portfolios/actions.html", context, status=get_status(form))


def _describe(form: ActionForm) -> ActionDetails:
    cleaned = form.cleaned_data
    return ActionDetails(
        security_id=cleaned["security"],
        kind=ActionKind(cleaned["kind"]),
        effective_date=cleaned["effective_date"],
        pay_date=cleaned["pay_date"],
        new_shares=cleaned["new_shares"],
        old_shares=cleaned["old_shares"],
        new_symbol=cleaned["new_symbol"],
        cash_per_share=cleaned["cash_per_share"],
        source=cleaned["source"],
    )


@require_permission(Permission.CONFIRM_ACTIONS)
@require_POST
@require_fresh_sign_in
def confirm(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Confirm, as the second person, what somebody else recorded."""
    return _answer(
        request, public_id, confirm_action, "Confirmed: it is booked when its day comes."
    )


@require_permission(Permission.WRITE_SECURITIES)
@require_POST
def withdraw(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Take back an announcement that was wrong."""
    return _answer(request, public_id, withdraw_action, "The announcement is withdrawn.")


def _answer(
    request: HttpRequest, public_id: UUID, operation: Callable[..., None], done: str
) -> HttpResponse:
    user = get_signed_in_user(request)
    action = get_action_for(user, public_id)
    try:
        operation(action_id=action.pk, actor_id=user.pk)
    except Refused as error:
        messages.error(request, str(error))
    else:
        messages.success(request, done)
    return redirect("portfolios:actions")
