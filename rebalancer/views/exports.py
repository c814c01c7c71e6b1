"""Orders and holdings as CSV, for those who may see them on the page."""

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.access import get_account_for, get_signed_in_user, require_permission
from accounts.domain.permissions import Permission
from accounts.domain.roles import Role
from rebalancer.access import visible_orders
from rebalancer.forms import OrderFilterForm
from rebalancer.queries.pages import account as account_pages
from rebalancer.queries.pages import orders as pages
from rebalancer.views.answers import get_price_date, say_no
from robo.common import clock
from robo.common.csv_export import Cell, ExportTooLong, answer_csv

if TYPE_CHECKING:
    from rebalancer.models import Order

ORDER_HEADER = (
    "Created",
    "Household",
    "Account",
    "Side",
    "Symbol",
    "Quantity",
    "Status",
    "Filled quantity",
    "Filled amount",
    "Average price",
    "Reason",
    "Our id",
)
HOLDING_HEADER = (
    "Symbol",
    "Name",
    "Asset class",
    "Acquired",
    "Quantity",
    "Cost",
    "Price",
    "Price day",
    "Value",
    "Gain",
)


@require_permission(Permission.READ_ORDERS)
@require_safe
def export_orders(request: HttpRequest) -> HttpResponse:
    """Answer the orders of the page's filter as CSV, newest first."""
    form = OrderFilterForm(request.GET or None, auto_id="filter_%s")
    wanted = pages.OrderFilter(**form.cleaned_data) if form.is_valid() else pages.OrderFilter()
    user = get_signed_in_user(request)
    orders = pages.list_orders(orders=visible_orders(user), wanted=wanted)
    is_client = user.role == Role.CLIENT
    try:
        return answer_csv(
            file_name="orders.csv",
            header=ORDER_HEADER,
            rows=(
                _write_order(order, is_client=is_client)
                for order in orders.iterator(chunk_size=2_000)
            ),
        )
    except ExportTooLong as refusal:
        back = reverse("rebalancer:orders")
        return say_no(request, refusal, back_url=back, back_label="Back to the orders")


@require_permission(Permission.READ_HOLDINGS)
@require_safe
def export_holdings(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Answer what an account holds as CSV, lot by lot, and its cash."""
    account = get_account_for(get_signed_in_user(request), public_id)
    price_date = get_price_date(account.firm, clock.now())
    page = account_pages.load_account_page(account=account, price_date=price_date)
    try:
        return answer_csv(
            file_name="holdings.csv", header=HOLDING_HEADER, rows=_write_holdings(page)
        )
    except ExportTooLong as refusal:
        back = reverse("rebalancer:account", args=[public_id])
        return say_no(request, refusal, back_url=back, back_label="Back to the account")


def _write_order(order: "Order", *, is_client: bool) -> tuple[Cell, ...]:
    return (
        order.created_at,
        order.account.household.name,
        order.account.name,
        order.side,
        order.security.symbol,
        order.quantity,
        order.status,
        order.filled_quantity,
        order.filled_amount,
        pages.measure_average_price(order),
        pages.tell_reason(order, is_client=is_client),
        order.client_order_id,
    )


def _write_holdings(page: account_pages.AccountPage) -> Iterator[tuple[Cell, ...]]:
    for row in page.holdings:
        for lot in row.lots:
            yield (
                row.symbol,
                row.name,
                row.class_name,
                lot.acquired_date,
                lot.quantity,
                lot.cost,
                row.price,
                row.price_date,
                lot.value,
                lot.gain,
            )
    yield ("", "Cash", "", None, None, None, None, None, page.cash or Decimal(0), None)
