"""What every page of decisions shares: the day that it speaks of, paging, and how a no is said."""

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from portfolios.queries.books import get_market_date
from rebalancer.operations.cycles import get_cycle_date
from robo.common.errors import Conflict, NotAllowed, Refused

if TYPE_CHECKING:
    from accounts.models import Firm

UNPROCESSABLE = 422
SEARCH_LENGTH_MAX = 80


def get_price_date(firm: "Firm", now: datetime) -> date:
    """Return the market day that pages measure on: the same as the next cycle would."""
    return get_cycle_date(firm_id=firm.pk, now=now) or get_market_date(firm, now)


def get_search(request: HttpRequest) -> str:
    """Return what the reader searches for, without the one character that no text column holds."""
    return request.GET.get("q", "").replace("\0", "").strip()[:SEARCH_LENGTH_MAX]


def get_page(request: HttpRequest, rows: Any, size: int) -> "Page[Any]":
    """Return the page of rows that the address asks for; beyond the end it is the last one."""
    return Paginator(rows, size).get_page(request.GET.get("page"))


def say_no(
    request: HttpRequest,
    error: Refused,
    *,
    back_url: str,
    back_label: str,
    fresh_url: str = "",
) -> HttpResponse:
    """Answer a refused operation with a page that explains: 409, 403 or 422."""
    if isinstance(error, Conflict):
        status, title = 409, "Things have moved on"
    elif isinstance(error, NotAllowed):
        status, title = 403, "Not yours to do"
    else:
        status, title = UNPROCESSABLE, "That could not be done"
    context = {
        "title": title,
        "reason": str(error),
        "back_url": back_url,
        "back_label": back_label,
        "fresh_url": fresh_url,
    }
    return render(request, "rebalancer/refused.html", context, status=status)


def tell_form_errors(request: HttpRequest, errors: Any) -> None:
    """Show what is wrong with a small form on the page that it came from."""
    for field_errors in errors.values():
        for text in field_errors:
            messages.error(request, text)
