"""Reconciliation: how our books compare with the broker's, and what only people can settle."""

from typing import TYPE_CHECKING

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.access import (
    get_signed_in_user,
    has_permission,
    require_permission,
    visible_accounts,
)
from accounts.domain.permissions import Permission
from accounts.queries.installation import find_look_only
from accounts.views.step_up import require_fresh_sign_in
from portfolios.access import visible_breaks
from rebalancer import tasks
from rebalancer.access import get_slice_decision_for
from rebalancer.domain.reconciliation import SliceAnswer
from rebalancer.forms.reconciliation import ANSWERS, ResolutionForm, SliceAnswerForm
from rebalancer.operations import parked
from rebalancer.operations.connections import get_broker_kind
from rebalancer.operations.execution.deciding import resolve_parked_report, settle_parked_slice
from rebalancer.operations.reconciliation import ask_reconciliation
from rebalancer.queries.pages import reconciliation as pages
from rebalancer.views.answers import UNPROCESSABLE, say_no
from robo.common import clock
from robo.common.errors import Conflict, Refused

if TYPE_CHECKING:
    from accounts.models import User

CONFLICT = 409
ROWS_PER_PAGE = 50


@require_permission(Permission.RECONCILE)
@require_safe
def show_reconciliation(request: HttpRequest) -> HttpResponse:
    """Show comparisons with the broker, and what waits for somebody's word."""
    return _render(request, get_signed_in_user(request))


def _render(request: HttpRequest, user: "User", *, status: int = 200) -> HttpResponse:
    runs = pages.list_runs(user.firm_id)
    last = pages.find_last_done(runs)
    may_settle = has_permission(user, Permission.SETTLE_REPORTS)
    page = Paginator(pages.open_reports(user), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    slices = pages.parked_slices(user.firm_id)[:ROWS_PER_PAGE]
    may_read_breaks = has_permission(user, Permission.READ_BOOK)
    context = {
        "runs": runs,
        "last": last,
        "figures": pages.list_figures(last) if last else [],
        "broker": get_broker_kind(user.firm_id),
        "stop": find_look_only(user.firm_id),
        "page": page,
        "reports": pages.describe_reports(list(page), visible_accounts(user)),
        "slices": [
            (line, [(answer, ANSWERS[answer]) for answer in parked.list_answers(line.slice)])
            for line in pages.describe_slices(list(slices), user)
        ],
        "may_settle": may_settle,
        "may_read_breaks": may_read_breaks,
        "open_break_count": visible_breaks(user).filter(closed_at__isnull=True).count()
        if may_read_breaks
        else None,
    }
    return render(request, "rebalancer/reconciliation.html", context, status=status)


@require_permission(Permission.RECONCILE)
@require_POST
def ask_for_one(request: HttpRequest) -> HttpResponse:
    """Ask for a comparison now."""
    user = get_signed_in_user(request)
    try:
        ask_reconciliation(firm_id=user.firm_id, user_id=user.pk, now=clock.now())
    except Refused as error:
        messages.error(request, str(error))
        return _render(
            request, user, status=CONFLICT if isinstance(error, Conflict) else UNPROCESSABLE
        )
    tasks.nudge(tasks.reconcile_brokers)
    messages.success(request, "Asked. The figures are here in a moment.")
    return redirect("rebalancer:reconciliation")


@require_permission(Permission.SETTLE_REPORTS)
@require_POST
@require_fresh_sign_in
def answer_slice(request: HttpRequest, slice_id: int) -> HttpResponse:
    """Say what became of an order whose outcome nobody knows."""
    user = get_signed_in_user(request)
    row = get_object_or_404(pages.parked_slices(user.firm_id), pk=slice_id)
    form = SliceAnswerForm(request.POST)
    if not form.is_valid():
        return _refuse(request, Refused("Say what became of it, and how you know."))
    answer, reason = form.cleaned_data["answer"], form.cleaned_data["reason"]
    try:
        if answer is SliceAnswer.TAKEN:
            settle_parked_slice(
                slice_id=row.pk, answer=answer, user_id=user.pk, reason=reason, now=clock.now()
            )
        else:
            parked.ask_slice_answer(slice_id=row.pk, answer=answer, user_id=user.pk, reason=reason)
    except Refused as error:
        return _refuse(request, error)
    words = "The broker is asked about it from now on."
    messages.success(
        request,
        words
        if answer is SliceAnswer.TAKEN
        else "Kept. A second person confirms before it counts.",
    )
    return redirect("rebalancer:reconciliation")


@require_permission(Permission.SETTLE_REPORTS)
@require_POST
@require_fresh_sign_in
def confirm_slice(request: HttpRequest, decision_id: int) -> HttpResponse:
    """Confirm, as the second person, what becomes of an order."""
    user = get_signed_in_user(request)
    decision = get_slice_decision_for(user, decision_id)
    try:
        parked.confirm_slice_answer(decision_id=decision.pk, user_id=user.pk, now=clock.now())
    except Refused as error:
        return _refuse(request, error)
    messages.success(request, "Confirmed: it no longer waits.")
    return redirect("rebalancer:reconciliation")


@require_permission(Permission.SETTLE_REPORTS)
@require_POST
@require_fresh_sign_in
def resolve_report(request: HttpRequest, report_id: int) -> HttpResponse:
    """Say how a report that fitted nothing was dealt with."""
    user = get_signed_in_user(request)
    row = get_object_or_404(pages.open_reports(user), pk=report_id)
    form = ResolutionForm(request.POST)
    try:
        resolve_parked_report(
            report_id=row.pk,
            user_id=user.pk,
            resolution=form.cleaned_data["resolution"] if form.is_valid() else "",
            now=clock.now(),
        )
    except Refused as error:
        return _refuse(request, error)
    messages.success(request, "Dealt with.")
    return redirect("rebalancer:reconciliation")


def _refuse(request: HttpRequest, error: Refused) -> HttpResponse:
    return say_no(
        request,
        error,
        back_url=reverse("rebalancer:reconciliation"),
        back_label="Back to the reconciliation",
    )
