"""The page on which an admin puts a mandate that a client signed on record."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts.access import get_known_household_for, get_signed_in_user, require_permission
from accounts.domain.permissions import Permission
from accounts.operations.consents import MandateDetails
from accounts.queries.people import list_accounts
from accounts.views.step_up import require_fresh_sign_in
from portfolios.forms.mandates import MandateForm
from portfolios.operations.mandates import record_mandate
from portfolios.queries.securities import list_asset_classes
from portfolios.views.posting import get_posted, get_status
from robo.common.errors import Refused


@require_permission(Permission.WRITE_HOUSEHOLDS)
@require_fresh_sign_in
def record(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Put a mandate that a client signed on record."""
    admin = get_signed_in_user(request)
    household = get_known_household_for(admin, public_id)
    form = MandateForm(
        get_posted(request),
        accounts=[account for account in list_accounts(household.pk) if account.is_open],
        class_codes=[row.code for row in list_asset_classes(household.firm_id)],
    )
    if request.method == "POST" and form.is_valid():
        details = form.read()
        account = details.pop("account")
        try:
            record_mandate(
                account_id=account.pk, details=MandateDetails(**details), user_id=admin.pk
            )
        except Refused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"The mandate of {account.name} is on record.")
            return redirect("accounts:documents", public_id=public_id)
    context = {"form": form, "household": household}
    return render(request, "portfolios/mandate_new.html", context, status=get_status(form))
