"""The page for auditors: one proposal's whole life, from trigger to lots."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import get_signed_in_user, require_permission
from accounts.domain.permissions import Permission
from rebalancer.access import get_proposal_for
from rebalancer.queries.pages.life import load_life


@require_permission(Permission.DECIDE_PROPOSALS, Permission.VERIFY_JOURNAL)
@require_safe
def show_life(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Show what is on record of a proposal, and whether the journal agrees."""
    proposal = get_proposal_for(get_signed_in_user(request), public_id)
    context = {"proposal": proposal, "life": load_life(proposal)}
    return render(request, "rebalancer/proposal_life.html", context)
