"""The order blotter."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import get_signed_in_user, require_permission
from accounts.domain.permissions import Permission
from rebalancer.access import visible_orders
from rebalancer.forms import OrderFilterForm
from rebalancer.queries.pages import orders as pages
from rebalancer.views.answers import get_page
from robo.common import clock

PAGE_SIZE = 50


@require_permission(Permission.READ_BOOK)
@require_safe
def list_orders(request: HttpRequest) -> HttpResponse:
    """Show orders with their fills, newest first."""
    user = get_signed_in_user(request)
    orders = visible_orders(user)
    form = OrderFilterForm(request.GET or None, auto_id="filter_%s")
    wanted = pages.OrderFilter(**form.cleaned_data) if form.is_valid() else pages.OrderFilter()
    page = get_page(request, pages.list_orders(orders=orders, wanted=wanted), PAGE_SIZE)
    context = {
        "form": form,
        "is_filtered": wanted != pages.OrderFilter(),
        "page": page,
        "lines": pages.describe_orders(page),
        "counts": pages.count_orders(orders),
        "now": clock.now(),
    }
    return render(request, "rebalancer/orders.html", context)
