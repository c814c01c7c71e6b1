"""The order blotter, and cancelling an order of it."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import get_signed_in_user, has_permission, require_permission
from accounts.domain.permissions import Permission
from rebalancer.access import get_order_for, visible_orders
from rebalancer.domain.lifecycle import OPEN_ORDER
from rebalancer.forms import OrderFilterForm
from rebalancer.forms.controls import ReasonForm
from rebalancer.operations.execution.deciding import cancel_order
from rebalancer.queries.pages import orders as pages
from rebalancer.views.answers import UNPROCESSABLE, get_page
from robo.common import clock
from robo.common.errors import Conflict, Refused

PAGE_SIZE = 50
CONFLICT = 409


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
        "lines": pages.describe_orders(page, is_client=False),
        "counts": pages.count_orders(orders),
        "now": clock.now(),
        "may_cancel": has_permission(user, Permission.CANCEL_ORDERS),
    }
    return render(request, "rebalancer/orders.html", context)


@require_permission(Permission.CANCEL_ORDERS)
@require_http_methods(["GET", "HEAD", "POST"])
def cancel(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Cancel an order, and with it what is left of the block that it is traded in."""
    user = get_signed_in_user(request)
    order = get_order_for(user, public_id)
    form = ReasonForm(request.POST or None)
    status = 200
    if request.method == "POST":
        status = UNPROCESSABLE
        if form.is_valid():
            try:
                cancel_order(
                    order_id=order.pk,
                    user_id=user.pk,
                    reason=form.cleaned_data["reason"],
                    now=clock.database_now(),
                )
            except Refused as error:
                form.add_error(None, str(error))
                status = CONFLICT if isinstance(error, Conflict) else UNPROCESSABLE
            else:
                messages.success(
                    request,
                    "Asked: what the broker has of it is cancelled once the broker answers."
                    if order.block
                    else "Cancelled. Nothing of it was sent.",
                )
                return redirect("rebalancer:orders")
    context = {
        "order": order,
        "form": form,
        "is_open": order.status in OPEN_ORDER,
        "companion_count": order.block.orders.count() - 1 if order.block else 0,
    }
    return render(request, "rebalancer/order_cancel.html", context, status=status)
