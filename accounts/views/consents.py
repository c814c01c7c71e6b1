"""A household's documents: what it agreed to, what it still has to read, and its mandates."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.access import (
    check_permission,
    get_household_for,
    get_known_household_for,
    get_signed_in_user,
    has_permission,
    known_accounts,
    require_permission,
)
from accounts.domain.permissions import Permission
from accounts.domain.roles import Role
from accounts.forms.consents import ConsentForm, ReviewForm
from accounts.operations import consents
from accounts.queries import consents as queries
from accounts.queries import risk as risk_queries
from accounts.views.step_up import ask_again, is_fresh, require_fresh_sign_in
from robo.common import clock
from robo.common.errors import Conflict, Refused

if TYPE_CHECKING:
    from accounts.models import Household, User

CONFLICT, UNPROCESSABLE = 409, 422


@require_permission(Permission.READ_PROFILE)
def documents(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Show the texts that a household agrees to; POST records that one of its people does."""
    user = get_signed_in_user(request)
    household = get_known_household_for(user, public_id)
    if request.method != "POST":
        return _show_documents(request, user, household, None, 200)
    check_permission(user, Permission.WRITE_PROFILE)
    if not is_fresh(request):
        return ask_again(request)
    lines = queries.list_documents(household, queries.get_firm_day(household.firm, clock.now()))
    offered = [f"{line.disclosure.pk}:{line.disclosure.text_hash}" for line in lines]
    form = ConsentForm(request.POST, offered=offered)
    if not form.is_valid():
        return _show_documents(request, user, household, form, UNPROCESSABLE)
    try:
        given = consents.give_consents(
            household_id=household.pk, user_id=user.pk, agreed=form.read()
        )
    except Refused as refusal:
        form.add_error(None, str(refusal))
        status = CONFLICT if isinstance(refusal, Conflict) else UNPROCESSABLE
        return _show_documents(request, user, household, form, status)
    if given:
        messages.success(request, "Thank you. What you agreed to is on record.")
    return redirect("accounts:documents", public_id=public_id)


def _show_documents(
    request: HttpRequest,
    user: "User",
    household: "Household",
    form: ConsentForm | None,
    status: int,
) -> HttpResponse:
    accounts = list(known_accounts(user).filter(household=household, is_open=True).order_by("pk"))
    in_force = queries.find_mandates_in_force([account.pk for account in accounts])
    lines = queries.list_documents(household, queries.get_firm_day(household.firm, clock.now()))
    is_own = user.role == Role.CLIENT
    context = {
        "household": household,
        "lines": lines,
        "wanted_count": sum(line.consent is None for line in lines),
        "account_lines": [
            {"account": account, "mandate": in_force.get(account.pk)} for account in accounts
        ],
        "form": form,
        "is_own": is_own,
        "may_agree": is_own and has_permission(user, Permission.WRITE_PROFILE),
        "may_record": has_permission(user, Permission.WRITE_HOUSEHOLDS),
        "may_end": is_own or has_permission(user, Permission.WRITE_HOUSEHOLDS),
    }
    return render(request, "accounts/documents.html", context, status=status)


@require_POST
@require_permission(Permission.WRITE_HOUSEHOLDS, Permission.WRITE_PROFILE)
@require_fresh_sign_in
def mandate_end(request: HttpRequest, public_id: UUID, account_id: UUID) -> HttpResponse:
    """End the mandate of one account: from now on each proposal needs the client's yes."""
    user = get_signed_in_user(request)
    household = get_known_household_for(user, public_id)
    account = known_accounts(user).filter(household=household, public_id=account_id).first()
    if account is None:
        raise Http404
    try:
        consents.end_mandate(account_id=account.pk, user_id=user.pk)
    except Refused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, f"The mandate of {account.name} has ended.")
    return redirect("accounts:documents", public_id=public_id)


@require_POST
@require_permission(Permission.REVIEW_PROFILES)
def profile_review(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Note what came of answers that contradict each other; trades may be proposed again."""
    user = get_signed_in_user(request)
    household = get_household_for(user, public_id)
    profile = risk_queries.get_latest_profile(household.pk)
    form = ReviewForm(request.POST)
    if profile is None:
        messages.error(request, "The household has not answered the questions yet.")
    elif not form.is_valid():
        messages.error(request, "Note what came of it, in a few words.")
    else:
        try:
            consents.review_profile(
                profile_id=profile.pk, note=form.cleaned_data["note"], user_id=user.pk
            )
        except Refused as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, "Noted. Trades may be proposed again.")
    return redirect("accounts:risk_profile", public_id=public_id)
