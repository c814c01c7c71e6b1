"""Execution: what carrying out decisions cost, and whether clients were treated alike."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.access import get_signed_in_user, require_permission
from accounts.domain.permissions import Permission
from portfolios.domain.money import round_money, round_price
from portfolios.queries.books import get_market_date
from rebalancer.access import visible_orders
from rebalancer.domain.calibration import SAMPLES_MIN
from rebalancer.operations.costs import calibrate_costs
from rebalancer.queries import costs as reads
from rebalancer.queries.controls import get_limits
from rebalancer.queries.fairness import list_shared, measure_shares
from rebalancer.queries.pages import execution as pages
from rebalancer.views.answers import get_page, say_no
from robo.common import clock
from robo.common.csv_export import Cell, ExportTooLong, answer_csv

if TYPE_CHECKING:
    from rebalancer.domain.shortfall import Shortfall
    from rebalancer.models import Order

PAGE_SIZE = 50
COST_HEADER = (
    "Day",
    "Side",
    "Symbol",
    "Quantity",
    "Filled quantity",
    "Decision price",
    "Arrival price",
    "Average price",
    "Delay",
    "Spread and impact",
    "Missed",
    "Fees",
    "Total",
    "Total in bps",
    "Expected in bps",
    "Realised in bps",
    "Cut",
    "Why",
)
ORDER_HEADER = (
    "Day",
    "Household",
    "Account",
    "Side",
    "Symbol",
    "Quantity",
    "Filled quantity",
    "Delay",
    "Spread and impact",
    "Missed",
    "Total",
    "Total in bps",
    "Our id",
)
FAIRNESS_HEADER = (
    "Day",
    "Side",
    "Symbol",
    "Accounts",
    "Filled quantity",
    "Steps off pro rata",
    "Price difference",
    "Fair",
    "Seconds to sharing out",
    "First-day return",
)


@require_permission(Permission.READ_POLICIES)
@require_safe
def show_costs(request: HttpRequest) -> HttpResponse:
    """Show what trading cost, by month, security and block."""
    user = get_signed_in_user(request)
    newest, month = _find_months(request)
    page = get_page(
        request,
        reads.list_blocks(firm_id=user.firm_id, since=month.first, until=month.last),
        PAGE_SIZE,
    )
    context = {
        "costs": pages.load_costs(firm_id=user.firm_id, newest=newest, month=month),
        "month": month,
        "under_way": pages.list_under_way(user.firm_id),
        "page": page,
        "lines": [(cost, pages.describe_cost(cost)) for cost in reads.measure_blocks(page)],
        "limits": get_limits([user.firm_id])[user.firm_id],
        "samples_min": SAMPLES_MIN,
        "currency": user.firm.currency,
    }
    return render(request, "rebalancer/execution.html", context)


@require_permission(Permission.READ_POLICIES)
@require_safe
def show_fairness(request: HttpRequest) -> HttpResponse:
    """Show how blocks were shared out, and whether some accounts had better luck than others."""
    user = get_signed_in_user(request)
    newest, month = _find_months(request)
    blocks = list_shared(firm_id=user.firm_id, since=month.first, until=month.last)
    page = get_page(request, blocks, PAGE_SIZE)
    context = {
        "months": pages.load_fairness(firm_id=user.firm_id, newest=newest),
        "month": month,
        "page": page,
        "lines": measure_shares(page),
        "currency": user.firm.currency,
    }
    return render(request, "rebalancer/execution_fairness.html", context)


@require_permission(Permission.WRITE_POLICIES)
@require_POST
def calibrate(request: HttpRequest) -> HttpResponse:
    """Learn from executions now, rather than at the turn of the month."""
    user = get_signed_in_user(request)
    day = get_market_date(user.firm, clock.now())
    count = calibrate_costs(firm_id=user.firm_id, as_of_date=day, actor_id=user.pk)
    words = f"Estimated {count} securities." if count else "Nothing new since the last estimate."
    messages.success(request, words)
    return redirect("rebalancer:execution")


@require_permission(Permission.READ_POLICIES)
@require_safe
def export_costs(request: HttpRequest) -> HttpResponse:
    """Answer the costs of a month's blocks as CSV."""
    user = get_signed_in_user(request)
    _newest, month = _find_months(request)
    blocks = reads.list_blocks(firm_id=user.firm_id, since=month.first, until=month.last)
    return _answer(
        request,
        f"execution-{month.code}.csv",
        COST_HEADER,
        (_write_cost(cost) for cost in reads.measure_blocks(blocks)),
    )


@require_permission(Permission.READ_BOOK)
@require_safe
def export_order_costs(request: HttpRequest) -> HttpResponse:
    """Answer the costs of a month's orders as CSV, those that the reader may see."""
    _newest, month = _find_months(request)
    orders = visible_orders(get_signed_in_user(request)).filter(
        block__in=reads.list_blocks(
            firm_id=get_signed_in_user(request).firm_id, since=month.first, until=month.last
        ).order_by()
    )
    rows = orders.select_related("block", "trade", "security", "account__household").order_by("-pk")
    return _answer(
        request,
        f"order-costs-{month.code}.csv",
        ORDER_HEADER,
        _write_orders(reads.measure_orders(rows)),
    )


@require_permission(Permission.READ_POLICIES)
@require_safe
def export_fairness(request: HttpRequest) -> HttpResponse:
    """Answer how a month's blocks were shared out as CSV."""
    user = get_signed_in_user(request)
    _newest, month = _find_months(request)
    blocks = list_shared(firm_id=user.firm_id, since=month.first, until=month.last)
    rows = (
        (
            one.block.session_date,
            one.block.side,
            one.block.security.symbol,
            one.order_count,
            one.block.filled_quantity,
            round_price(one.fairness.steps_off_max),
            round_price(one.fairness.price_spread),
            "yes" if one.fairness.is_fair else "no",
            None if one.wait_seconds is None else round(one.wait_seconds),
            None if one.first_day_return is None else round_price(one.first_day_return),
        )
        for one in measure_shares(blocks)
    )
    return _answer(request, f"fairness-{month.code}.csv", FAIRNESS_HEADER, rows)


def _find_months(request: HttpRequest) -> tuple[pages.Month, pages.Month]:
    """Return the newest month with a block, and the one that the address asks for."""
    user = get_signed_in_user(request)
    today = get_market_date(user.firm, clock.now())
    newest = pages.find_newest_month(user.firm_id, today)
    return newest, pages.read_month(request.GET.get("month", "")) or newest


def _answer(
    request: HttpRequest,
    file_name: str,
    header: tuple[str, ...],
    rows: Iterator[tuple[Cell, ...]],
) -> HttpResponse:
    try:
        return answer_csv(file_name=file_name, header=header, rows=rows)
    except ExportTooLong as refusal:
        back = reverse("rebalancer:execution")
        return say_no(request, refusal, back_url=back, back_label="Back to execution")


def _write_cost(cost: reads.BlockCost) -> tuple[Cell, ...]:
    block, parts = cost.block, cost.shortfall
    return (
        block.session_date,
        block.side,
        block.security.symbol,
        block.quantity,
        block.filled_quantity,
        round_price(cost.decision_price),
        block.arrival_price,
        None if cost.average_price is None else round_price(cost.average_price),
        round_money(parts.delay),
        round_money(parts.trading),
        round_money(parts.missed),
        round_money(parts.fees),
        round_money(parts.total),
        parts.as_bps(parts.total),
        cost.expected_bps,
        None if cost.trading_bps is None else round_price(cost.trading_bps),
        block.strategy,
        block.plan_note,
    )


def _write_orders(rows: "Iterable[tuple[Order, Shortfall]]") -> Iterator[tuple[Cell, ...]]:
    for order, parts in rows:
        yield (
            order.block.session_date if order.block else None,
            order.account.household.name,
            order.account.name,
            order.side,
            order.security.symbol,
            order.quantity,
            order.filled_quantity,
            round_money(parts.delay),
            round_money(parts.trading),
            round_money(parts.missed),
            round_money(parts.total),
            parts.as_bps(parts.total),
            order.client_order_id,
        )
