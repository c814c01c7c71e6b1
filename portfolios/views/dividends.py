"""The page of what becomes of an account's dividends, for its household and its advisors."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts.access import (
    check_permission,
    get_account_for,
    get_signed_in_user,
    has_permission,
    require_permission,
)
from accounts.domain.permissions import Permission
from portfolios.forms.actions import ReinvestmentForm
from portfolios.operations.dividends import choose_reinvestment
from portfolios.queries.dividends import list_choices
from portfolios.queries.securities import list_securities
from portfolios.views.posting import get_posted, get_status
from robo.common.errors import Refused


@require_permission(Permission.READ_WISHES)
def show_choices(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Show whether an account's dividends are reinvested, and change it."""
    user = get_signed_in_user(request)
    account = get_account_for(user, public_id)
    if request.method == "POST":
        check_permission(user, Permission.WRITE_WISHES)
    securities = list_securities(account.firm_id).order_by("symbol")
    form = ReinvestmentForm(
        get_posted(request),
        securities=[(str(row.pk), f"{row.symbol} · {row.name}") for row in securities],
    )
    if request.method == "POST" and form.is_valid():
        try:
            choose_reinvestment(
                account_id=account.pk,
                security_id=form.cleaned_data["security"],
                reinvests=form.reinvests,
                actor_id=user.pk,
            )
        except Refused as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "The choice is on record, from the next dividend on.")
            return redirect("portfolios:reinvestment", public_id)
    context = {
        "account": account,
        "choices": list_choices([account.pk]),
        "form": form,
        "may_edit": has_permission(user, Permission.WRITE_WISHES),
    }
    return render(request, "portfolios/reinvestment.html", context, status=get_status(form))
