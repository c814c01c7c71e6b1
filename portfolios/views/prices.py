"""Pages of prices: the latest by security with its age, what was refused, and a person's word."""

from datetime import date
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.access import get_signed_in_user, require_permission
from accounts.domain.permissions import Permission
from portfolios.access import get_refused_price_for
from portfolios.domain.kinds import PriceRefusal
from portfolios.forms import ReleaseForm
from portfolios.operations import prices as operations
from portfolios.queries import prices as queries
from portfolios.queries.books import get_market_date
from robo.common import clock
from robo.common.errors import Refused

ROWS_PER_PAGE = 50


@require_permission(Permission.READ_PRICES)
@require_safe
def list_prices(request: HttpRequest) -> HttpResponse:
    """Show the latest price of each security, oldest first: what needs attention is on top."""
    firm = get_signed_in_user(request).firm
    market_date = get_market_date(firm, clock.now())
    page = Paginator(queries.list_latest_prices(firm.pk), ROWS_PER_PAGE).get_page(
        request.GET.get("page")
    )
    rows = [_aged(row, market_date, firm.price_age_days_max) for row in page]
    return render(
        request,
        "portfolios/prices.html",
        {
            "page": page,
            "rows": rows,
            "market_date": market_date,
            "age_days_max": firm.price_age_days_max,
            "refused_count": queries.list_refused_prices(firm.pk).count(),
        },
    )


def _aged(row: dict[str, Any], market_date: date, age_days_max: int) -> dict[str, Any]:
    age = None if row["latest_date"] is None else (market_date - row["latest_date"]).days
    return {**row, "age_days": age, "is_stale": age is None or age > age_days_max}


@require_permission(Permission.READ_PRICES)
@require_safe
def list_refused(request: HttpRequest) -> HttpResponse:
    """Show quotes that were not believed, newest first, with the way to believe a jump."""
    firm = get_signed_in_user(request).firm
    reason = request.GET.get("reason", "")
    reason = reason if reason in list(PriceRefusal) else ""
    rows = queries.list_refused_prices(firm.pk, reason=reason)
    page = Paginator(rows, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    return render(
        request,
        "portfolios/refused_prices.html",
        {
            "page": page,
            "reason": reason,
            "reasons": [(item, _words(item)) for item in PriceRefusal],
            "rows": [
                {
                    **row,
                    "words": _words(row["reason"]),
                    "can_release": row["reason"] == PriceRefusal.JUMP
                    and row["price_on_record"] is None,
                }
                for row in page
            ],
        },
    )


def _words(reason: str) -> str:
    return reason.replace("_", " ").capitalize()


@require_permission(Permission.RELEASE_PRICES)
@require_POST
def release_price(request: HttpRequest, refused_price_id: int) -> HttpResponse:
    """Believe a refused jump on the admin's word."""
    user = get_signed_in_user(request)
    refused = get_refused_price_for(user, refused_price_id)
    form = ReleaseForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Say why this price is right.")
    else:
        try:
            report = operations.release_refused_price(
                refused_price_id=refused.pk,
                reason=form.cleaned_data["reason"],
                now=clock.now(),
                actor_id=user.pk,
            )
        except Refused as error:
            messages.error(request, str(error))
        else:
            said = f"{refused.symbol} at {refused.quoted} on {refused.price_date} is on record."
            if report.recorded:
                said += f" {report.recorded} later prices followed it."
            messages.success(request, said)
    return redirect(reverse("portfolios:refused_prices"))
