"""The work list, and the approval of many proposals at once."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.access import get_signed_in_user, has_permission, require_permission
from accounts.domain.permissions import Permission
from accounts.views.step_up import require_fresh_sign_in
from rebalancer import tasks
from rebalancer.access import visible_checks, visible_proposals
from rebalancer.forms import BulkForm
from rebalancer.operations import approvals
from rebalancer.queries.pages import work_list
from rebalancer.queries.pages.work_list import Sort, Tab
from rebalancer.views.answers import get_page, get_search
from robo.common import clock
from robo.common.errors import Refused

PAGE_SIZE, PAGE_SIZE_LARGE = 50, 200
RESULT_KEY = "rebalancer.bulk_result"
TAB_LABELS = {
    Tab.PENDING: "Awaiting approval",
    Tab.BREACHED: "Out of band",
    Tab.BLOCKED: "Blocked",
    Tab.EXECUTING: "Executing",
    Tab.DONE: "Done this week",
}
SORT_LABELS = {Sort.DRIFT: "Largest drift", Sort.VALUE: "Largest value", Sort.AGE: "Oldest"}


@dataclass(frozen=True, slots=True)
class TabLink:
    """One tab with its count."""

    tab: Tab
    label: str
    count: int
    is_current: bool


def _read_choice(raw: str | None, default: Any) -> Any:
    """Return the member of an enumeration that the address names, else the default."""
    try:
        return type(default)(raw)
    except ValueError:
        return default


@require_permission(Permission.READ_BOOK)
@require_safe
def show_work_list(request: HttpRequest) -> HttpResponse:
    """Show what waits for somebody, one tab at a time."""
    user = get_signed_in_user(request)
    now = clock.now()
    tab = _read_choice(request.GET.get("tab"), Tab.PENDING)
    sort = _read_choice(request.GET.get("sort"), Sort.DRIFT)
    search = get_search(request)
    is_large = request.GET.get("size") == str(PAGE_SIZE_LARGE)
    size = PAGE_SIZE_LARGE if is_large else PAGE_SIZE
    proposals, checks = visible_proposals(user), visible_checks(user)
    counts = work_list.count_tabs(proposals=proposals, checks=checks, now=now)
    if tab in work_list.PROPOSAL_TABS:
        found = work_list.list_proposal_rows(
            tab=tab, proposals=proposals, search=search, sort=sort, now=now
        )
        page = get_page(request, found, size)
        rows = [work_list.describe_proposal(row, user_id=user.pk) for row in page]
    else:
        page = get_page(
            request,
            work_list.list_check_rows(tab=tab, checks=checks, search=search, sort=sort),
            size,
        )
        rows = [work_list.describe_check(row) for row in page]
    context = {
        "tab": tab,
        "tabs": [TabLink(each, TAB_LABELS[each], counts[each], each is tab) for each in Tab],
        "sort": sort,
        "sorts": SORT_LABELS.items(),
        "search": search,
        "size": size,
        "page": page,
        "rows": rows,
        "now": now,
        "may_approve": has_permission(user, Permission.DECIDE_PROPOSALS) and tab is Tab.PENDING,
        "result": request.session.pop(RESULT_KEY, None),
    }
    return render(request, "rebalancer/work_list.html", context)


@require_permission(Permission.DECIDE_PROPOSALS)
@require_POST
@require_fresh_sign_in
def approve_many(request: HttpRequest) -> HttpResponse:
    """Approve the chosen proposals one by one; what is refused says why, the rest stands."""
    user = get_signed_in_user(request)
    back = redirect(f"{reverse('rebalancer:work_list')}?tab={Tab.PENDING}")
    form = BulkForm(request.POST, choices=request.POST.getlist("choice"))
    if not form.is_valid():
        for error in form.non_field_errors():
            messages.error(request, str(error))
        return back
    approved, refused = 0, []
    chosen = work_list.find_chosen(proposals=visible_proposals(user), choices=form.chosen)
    for proposal, content_hash in chosen:
        try:
            approvals.approve_proposal(
                proposal_id=proposal.pk,
                user_id=user.pk,
                content_hash=content_hash,
                note=form.cleaned_data["note"],
                now=clock.database_now(),
            )
        except Refused as error:
            fresh = getattr(error, "fresh_public_id", None)
            refused.append(
                {
                    "household": proposal.account.household.name,
                    "account": proposal.account.name,
                    "reason": str(error),
                    "public_id": str(fresh or proposal.public_id),
                    "is_fresh": fresh is not None,
                }
            )
        else:
            approved += 1
    if approved:
        tasks.nudge(tasks.submit_orders)
    request.session[RESULT_KEY] = {
        "approved": approved,
        "refused": refused,
        "missing": len(form.chosen) - len(chosen),
    }
    return back
