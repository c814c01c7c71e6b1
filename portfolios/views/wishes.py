"""The page of a household's wishes, for its members and its advisors."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.access import (
    check_permission,
    get_household_for,
    get_signed_in_user,
    has_permission,
    require_permission,
)
from accounts.domain.permissions import Permission
from accounts.domain.roles import WishKind
from accounts.operations.wishes import end_wish
from portfolios.access import get_wish_id_for
from portfolios.forms import WishForm
from portfolios.operations.wishes import record_wish
from portfolios.queries.securities import list_securities, list_themes
from portfolios.queries.wishes import list_wishes
from portfolios.views.posting import get_posted, get_status
from robo.common import clock
from robo.common.errors import Refused


@require_permission(Permission.READ_WISHES)
def show_wishes(request: HttpRequest, household_id: UUID) -> HttpResponse:
    """Show a household's wishes, and add one."""
    user = get_signed_in_user(request)
    household = get_household_for(user, household_id)
    if request.method == "POST":
        check_permission(user, Permission.WRITE_WISHES)
    securities = list_securities(household.firm_id).order_by("symbol")
    form = WishForm(
        get_posted(request),
        symbols=[(row.symbol, f"{row.symbol} · {row.name}") for row in securities],
        themes=list_themes(household.firm_id),
    )
    if request.method == "POST" and form.is_valid():
        try:
            record_wish(
                household_id=household.pk,
                kind=WishKind(form.cleaned_data["kind"]),
                subject=form.cleaned_data["subject"],
                note=form.cleaned_data["note"],
                actor_id=user.pk,
            )
        except Refused as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "The wish is on record; every new proposal respects it.")
            return redirect("portfolios:wishes", household_id)
    context = {
        "household": household,
        "form": form,
        "wishes": list_wishes(household),
        "may_edit": has_permission(user, Permission.WRITE_WISHES),
    }
    return render(request, "portfolios/wishes.html", context, status=get_status(form))


@require_permission(Permission.WRITE_WISHES)
@require_POST
def end(request: HttpRequest, household_id: UUID, wish_id: int) -> HttpResponse:
    """End a wish."""
    user = get_signed_in_user(request)
    wish_id = get_wish_id_for(user, household_id, wish_id)
    try:
        end_wish(wish_id=wish_id, actor_id=user.pk, now=clock.now())
    except Refused as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "The wish has ended.")
    return redirect("portfolios:wishes", household_id)
