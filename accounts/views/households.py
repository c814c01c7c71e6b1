"""A firm's households by name, for its admins: set them up, set taxes, say who advises them."""

from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import (
    check_permission,
    get_known_household_for,
    get_signed_in_user,
    get_user_for,
    has_permission,
    known_households,
    require_permission,
)
from accounts.domain.permissions import Permission
from accounts.domain.taxes import FRACTIONS, TAX_FIELDS
from accounts.forms import AssignmentForm, HouseholdForm, TaxTermsForm
from accounts.operations import people as operations
from accounts.queries import people as queries
from accounts.queries import risk as risk_queries
from robo.common.errors import Refused

if TYPE_CHECKING:
    from accounts.models import Household

HOUSEHOLDS_A_PAGE = 50


@require_safe
@require_permission(Permission.READ_USERS)
def households(request: HttpRequest) -> HttpResponse:
    """List the firm's households with their advisors, accounts and risk score."""
    user = get_signed_in_user(request)
    words = request.GET.get("words", "").strip()[:80].replace("\x00", "")
    rows = queries.count_accounts_and_members(known_households(user)).order_by("name")
    if words:
        rows = rows.filter(name__icontains=words)
    page = Paginator(rows, HOUSEHOLDS_A_PAGE).get_page(request.GET.get("page"))
    ids = [household.pk for household in page]
    leads = queries.list_lead_advisors(ids)
    profiles = risk_queries.list_latest_profiles(ids)
    lines = [
        {"household": row, "lead": leads.get(row.pk), "profile": profiles.get(row.pk)}
        for row in page
    ]
    context = {
        "page": page,
        "lines": lines,
        "words": words,
        "may_edit": has_permission(user, Permission.WRITE_HOUSEHOLDS),
    }
    return render(request, "accounts/households.html", context)


@require_permission(Permission.WRITE_HOUSEHOLDS)
def household_new(request: HttpRequest) -> HttpResponse:
    """Set up a household."""
    admin = get_signed_in_user(request)
    form = HouseholdForm(
        request.POST or None, initial={"short_term_rate": "35", "long_term_rate": "15"}
    )
    if request.method == "POST" and form.is_valid():
        try:
            household = operations.create_household(
                firm_id=admin.firm_id, actor_id=admin.pk, **form.cleaned_data
            )
        except Refused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"{household.name} is set up. Who advises them?")
            return redirect("accounts:household", public_id=household.public_id)
    status = 422 if form.is_bound and form.errors else 200
    return render(request, "accounts/household_new.html", {"form": form}, status=status)


@require_permission(Permission.READ_USERS)
def household(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Show a household's advisors, members and accounts; POST sets its taxes."""
    admin = get_signed_in_user(request)
    shown = get_known_household_for(admin, public_id)
    if request.method == "POST":
        check_permission(admin, Permission.WRITE_HOUSEHOLDS)
    form = TaxTermsForm(request.POST or None, initial=_fill_tax_form(shown))
    if request.method == "POST" and form.is_valid():
        try:
            operations.set_tax_terms(
                household_id=shown.pk, actor_id=admin.pk, values=form.cleaned_data
            )
        except Refused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, "Taxes saved.")
            return redirect("accounts:household", public_id=public_id)
    context = {
        "household": shown,
        "form": form,
        "assignment_form": AssignmentForm(admin),
        "assignments": queries.list_assignments(shown.pk),
        "members": queries.list_members(shown.pk),
        "accounts": queries.list_accounts(shown.pk),
        "may_edit": has_permission(admin, Permission.WRITE_HOUSEHOLDS),
    }
    status = 422 if form.is_bound and form.errors else 200
    return render(request, "accounts/household.html", context, status=status)


def _fill_tax_form(shown: "Household") -> dict[str, object]:
    values: dict[str, object] = {}
    for name in TAX_FIELDS:
        value = getattr(shown, name)
        if isinstance(value, Decimal):
            shown_value = value * 100 if name in FRACTIONS else value
            value = f"{shown_value.normalize():f}"
        values[name] = value
    return values


@require_POST
@require_permission(Permission.WRITE_HOUSEHOLDS)
def advisor_assign(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Let an advisor look after a household."""
    admin = get_signed_in_user(request)
    shown = get_known_household_for(admin, public_id)
    form = AssignmentForm(admin, request.POST)
    if not form.is_valid():
        messages.error(request, "Pick an advisor of the firm.")
        return redirect("accounts:household", public_id=public_id)
    advisor = form.cleaned_data["advisor"]
    try:
        operations.assign_advisor(
            household_id=shown.pk,
            advisor_id=advisor.pk,
            is_lead=form.cleaned_data["is_lead"],
            actor_id=admin.pk,
        )
    except Refused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, f"{advisor.name} now looks after {shown.name}.")
    return redirect("accounts:household", public_id=public_id)


@require_POST
@require_permission(Permission.WRITE_HOUSEHOLDS)
def advisor_release(request: HttpRequest, public_id: UUID, advisor_id: UUID) -> HttpResponse:
    """End an advisor's work for a household."""
    admin = get_signed_in_user(request)
    shown = get_known_household_for(admin, public_id)
    advisor = get_user_for(admin, advisor_id)
    try:
        operations.release_advisor(household_id=shown.pk, advisor_id=advisor.pk, actor_id=admin.pk)
    except Refused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, f"{advisor.name} no longer looks after {shown.name}.")
    return redirect("accounts:household", public_id=public_id)
