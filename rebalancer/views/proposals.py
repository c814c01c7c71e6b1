"""A proposal: what it would change and why, the decision, and its orders as they go."""

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.access import get_signed_in_user, has_permission, require_permission
from accounts.domain.permissions import Permission
from accounts.domain.roles import Role
from accounts.views.step_up import require_fresh_sign_in
from rebalancer import tasks
from rebalancer.access import UNDECIDED, get_proposal_for, visible_proposals
from rebalancer.domain.lifecycle import ANSWERABLE, ProposalStatus
from rebalancer.engine.book import NO_BUY, NO_SELL, LockRow
from rebalancer.forms import AnswerForm, DecisionForm, TradeChoiceForm
from rebalancer.forms.alternatives import WhatIfForm
from rebalancer.operations import approvals, consents, proposals
from rebalancer.operations.approvals import ProposalStale
from rebalancer.operations.solving import Wanted, read_wanted
from rebalancer.queries.pages import alternatives, words
from rebalancer.queries.pages import consents as consent_pages
from rebalancer.queries.pages import proposal as pages
from rebalancer.views.answers import UNPROCESSABLE, get_price_date, say_no, tell_form_errors
from robo.common import clock
from robo.common.errors import Refused

if TYPE_CHECKING:
    from accounts.models import User
    from rebalancer.models import Proposal


@require_permission(Permission.READ_PROPOSALS)
@require_safe
def show_proposal(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Show a proposal; a client sees that it is being reviewed, and the trades once decided."""
    user = get_signed_in_user(request)
    proposal = get_proposal_for(user, public_id)
    return _render(request, user, proposal, DecisionForm(), 200)


def _render(
    request: HttpRequest, user: "User", proposal: "Proposal", form: DecisionForm, status: int
) -> HttpResponse:
    now = clock.now()
    is_pending = proposal.status == ProposalStatus.PENDING
    is_client = user.role == Role.CLIENT
    asks_client = is_client and consent_pages.shows_trades_early(proposal)
    is_own = proposal.proposed_by_id == user.pk
    may_decide = is_pending and has_permission(user, Permission.DECIDE_PROPOSALS)
    may_edit = is_pending and has_permission(user, Permission.EDIT_PROPOSALS)
    context = {
        "proposal": proposal,
        "page": pages.load_proposal_page(proposal, price_date=get_price_date(proposal.firm, now)),
        "progress": pages.load_progress(proposal, is_client=is_client),
        # The very question that an approval asks, so that the page never promises more.
        "changes": approvals.list_changes_since(proposal) if may_decide else [],
        "form": form,
        "currency": proposal.firm.currency,
        "is_staff": not is_client,
        **_describe_consent(user, proposal, now),
        "what_if": _make_what_if(proposal) if may_edit else None,
        "is_pending": is_pending,
        "is_own": is_own,
        "is_late": is_pending and proposal.expires_at <= now,
        "may_edit": may_edit,
        "may_decide": may_decide,
        "may_approve": may_decide and not is_own,
        "may_compare": has_permission(user, Permission.DECIDE_PROPOSALS),
        "shows_trades": not is_client or asks_client or proposal.status not in UNDECIDED,
        "tax_status": words.TAX_STATUS_WORDS[proposal.account.tax_status],
        "is_taxable": proposal.account.tax_status == "TAXABLE",
    }
    return render(request, "rebalancer/proposal.html", context, status=status)


def _describe_consent(user: "User", proposal: "Proposal", now: datetime) -> dict[str, object]:
    """Return what the page says of the client's word: why, the question, and what waits for it."""
    is_client = user.role == Role.CLIENT
    may_answer = has_permission(user, Permission.ANSWER_PROPOSALS) and consent_pages.wants_answer(
        proposal, now
    )
    return {
        "answer": consent_pages.find_answer(proposal),
        "answer_form": AnswerForm() if may_answer else None,
        "rationale": consent_pages.explain_to_client(proposal) if is_client else (),
        "client_status": (
            words.WAITS_FOR_CLIENT
            if may_answer
            else words.CLIENT_STATUS_WORDS.get(proposal.status, "")
        ),
        # The very question that sending asks.
        "missing": (
            consents.list_missing(proposal, now=now) if proposal.status in ANSWERABLE else []
        ),
    }


@require_permission(Permission.READ_PROPOSALS)
@require_safe
def show_progress(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Answer the orders of a proposal as they stand; a changed state asks for the whole page."""
    user = get_signed_in_user(request)
    proposal = get_proposal_for(user, public_id)
    is_client = user.role == Role.CLIENT
    if is_client and proposal.status in UNDECIDED:
        raise Http404
    seen = request.GET.get("seen")
    if seen and seen != proposal.status:
        return HttpResponse(headers={"HX-Refresh": "true"})
    progress = pages.load_progress(proposal, is_client=is_client)
    context = {"proposal": proposal, "progress": progress}
    return render(request, "rebalancer/_progress.html", context)


@require_permission(Permission.DECIDE_PROPOSALS)
@require_POST
@require_fresh_sign_in
def decide(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Approve or reject exactly what was seen."""
    user = get_signed_in_user(request)
    proposal = get_proposal_for(user, public_id)
    form = DecisionForm(request.POST)
    if not form.is_valid():
        if "decision" in form.errors or "content_hash" in form.errors:
            tell_form_errors(request, {"": ["The decision could not be read. Please try again."]})
        return _render(request, user, proposal, form, UNPROCESSABLE)
    is_approval = form.cleaned_data["decision"] == "approve"
    operation = approvals.approve_proposal if is_approval else approvals.reject_proposal
    address = reverse("rebalancer:proposal", args=[public_id])
    try:
        operation(
            proposal_id=proposal.pk,
            user_id=user.pk,
            content_hash=form.cleaned_data["content_hash"],
            note=form.cleaned_data["note"],
            now=clock.database_now(),
        )
    except Refused as error:
        fresh = _find_fresh(user, proposal, error)
        return say_no(
            request,
            error,
            back_url=address,
            back_label="Back to this proposal" if fresh else "See how it stands now",
            fresh_url=reverse("rebalancer:proposal", args=[fresh]) if fresh else "",
        )
    if is_approval:
        tasks.nudge(tasks.submit_orders)
        missing = consents.list_missing(proposal, now=clock.now())
        if missing:
            messages.info(
                request, f"Approved. It is sent when this is settled: {' '.join(missing)}"
            )
        else:
            messages.success(request, "Approved. The orders are on their way.")
    else:
        messages.success(request, "Rejected. Nothing will be traded.")
    return redirect(address)


@require_permission(Permission.ANSWER_PROPOSALS)
@require_POST
@require_fresh_sign_in
def answer(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Record a client's own yes or no to exactly what was seen."""
    user = get_signed_in_user(request)
    proposal = get_proposal_for(user, public_id)
    address = reverse("rebalancer:proposal", args=[public_id])
    form = AnswerForm(request.POST)
    if not form.is_valid():
        refusal = Refused("Your answer could not be read. Please say yes or no.")
        return say_no(request, refusal, back_url=address, back_label="Back to the trades")
    is_yes = form.cleaned_data["answer"] == "yes"
    try:
        consents.answer_proposal(
            proposal_id=proposal.pk,
            user_id=user.pk,
            is_yes=is_yes,
            content_hash=form.cleaned_data["content_hash"],
            note=form.cleaned_data["note"],
            now=clock.database_now(),
        )
    except Refused as error:
        return say_no(request, error, back_url=address, back_label="See how it stands now")
    if is_yes:
        tasks.nudge(tasks.submit_orders)
        messages.success(request, "Thank you. Your yes is on record.")
        return redirect(address)
    messages.success(request, "Your no is on record. Nothing will be traded.")
    return redirect("rebalancer:household", proposal.account.household.public_id)


def _find_fresh(user: "User", proposal: "Proposal", error: Refused) -> UUID | None:
    """Return what took the proposal's place, made by this very refusal or a moment before it."""
    if isinstance(error, ProposalStale):
        return error.fresh_public_id
    later = visible_proposals(user).filter(supersedes=proposal, status=ProposalStatus.PENDING)
    return later.values_list("public_id", flat=True).first()


@require_permission(Permission.EDIT_PROPOSALS)
@require_POST
def remove_trades(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Solve again without the chosen trades; somebody else must approve the result."""
    user = get_signed_in_user(request)
    proposal = get_proposal_for(user, public_id)
    address = reverse("rebalancer:proposal", args=[public_id])
    trade_ids = list(proposal.trades.values_list("pk", flat=True))
    form = TradeChoiceForm(request.POST, trade_ids=trade_ids)
    if not form.is_valid():
        tell_form_errors(request, form.errors)
        return redirect(address)
    try:
        fresh = proposals.remove_trades(
            proposal_id=proposal.pk,
            user_id=user.pk,
            trade_ids=form.cleaned_data["trade"],
            now=clock.database_now(),
        )
    except Refused as error:
        return say_no(request, error, back_url=address, back_label="Back to the proposal")
    messages.success(
        request,
        "Solved again without those trades. You made this one, so a colleague must approve it.",
    )
    return redirect("rebalancer:proposal", fresh.public_id)


# --- What else could be done ---------------------------------------------------------------------


def _may_use(user: "User", proposal: "Proposal") -> bool:
    return (
        has_permission(user, Permission.EDIT_PROPOSALS)
        and proposal.status == ProposalStatus.PENDING
    )


def _make_what_if(proposal: "Proposal", data: QueryDict | None = None) -> WhatIfForm:
    return WhatIfForm(data, tradable=alternatives.list_tradable(proposal), kept_mode=proposal.mode)


@require_permission(Permission.DECIDE_PROPOSALS)
@require_safe
def show_alternatives(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Answer every way to trade the account, side by side, for the page of its proposal."""
    user = get_signed_in_user(request)
    proposal = get_proposal_for(user, public_id)
    context = {
        "proposal": proposal,
        "alternatives": alternatives.list_alternatives(proposal),
        "currency": proposal.firm.currency,
        "may_use": _may_use(user, proposal),
    }
    return render(request, "rebalancer/_alternatives.html", context)


@require_permission(Permission.EDIT_PROPOSALS)
@require_safe
def show_what_if(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Answer what the engine would propose if some things were otherwise; nothing is stored."""
    user = get_signed_in_user(request)
    proposal = get_proposal_for(user, public_id)
    form = _make_what_if(proposal, request.GET)
    context: dict[str, object] = {"proposal": proposal, "currency": proposal.firm.currency}
    if not form.is_valid():
        context["errors"] = form.list_errors()
    elif form.read() != alternatives.WhatIf():
        context["now"], context["then"] = alternatives.compare_alternative(proposal, form.read())
        context["may_use"] = _may_use(user, proposal)
    status = UNPROCESSABLE if form.errors else 200
    return render(request, "rebalancer/_what_if_result.html", context, status=status)


@require_permission(Permission.EDIT_PROPOSALS)
@require_POST
def use_alternative(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Put another plan in the proposal's place; somebody else must approve it."""
    user = get_signed_in_user(request)
    proposal = get_proposal_for(user, public_id)
    form = _make_what_if(proposal, request.POST)
    try:
        fresh = proposals.choose_alternative(
            proposal_id=proposal.pk,
            user_id=user.pk,
            wanted=_read_wanted(proposal, form),
            now=clock.database_now(),
        )
    except Refused as error:
        address = reverse("rebalancer:proposal", args=[public_id])
        return say_no(request, error, back_url=address, back_label="Back to the proposal")
    messages.success(
        request,
        "Solved again your way. You made this one, so a colleague must approve it.",
    )
    return redirect("rebalancer:proposal", fresh.public_id)


def _read_wanted(proposal: "Proposal", form: WhatIfForm) -> Wanted:
    """Return what to ask of the engine: what was asked for before holds unless said otherwise.

    :raises Refused: when the form makes no sense, or asks for nothing.
    """
    if not form.is_valid():
        raise Refused(" ".join(form.list_errors()))
    what_if, kept = form.read(), read_wanted(proposal.wanted)
    if what_if == alternatives.WhatIf():
        raise Refused("Nothing is asked for that the proposal does not do already.")
    ids = {row.symbol: row.security_id for row in form.tradable}
    locks = [
        LockRow(proposal.account_id, ids[symbol], code)
        for code, symbols in ((NO_BUY, what_if.never_buy), (NO_SELL, what_if.never_sell))
        for symbol in symbols
    ]
    budget = what_if.gains_budget
    return Wanted(
        mode=what_if.mode or kept.mode,
        gains_budget=kept.gains_budget if budget is None else budget,
        extra_locks=locks,
    )
