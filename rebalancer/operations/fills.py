"""What the broker reports: fills on record and in the books, and what that completes."""

import logging
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Sum

from portfolios.domain.kinds import Side
from portfolios.domain.money import ZERO, round_money
from portfolios.operations import books
from rebalancer import models
from rebalancer.brokers.paper import PaperBroker
from rebalancer.brokers.port import (
    BrokerOrder,
    BrokerStatus,
    Execution,
)
from rebalancer.domain.fills import FillRefused, OrderState, apply_fill
from rebalancer.domain.lifecycle import (
    OPEN_ORDER,
    OrderEvent,
    OrderStatus,
    ProposalEvent,
    ProposalStatus,
    advance_order,
    advance_proposal,
)
from rebalancer.operations.trail import audit_orders, audit_proposals

logger = logging.getLogger(__name__)

PROPOSALS_AT_ONCE = 200
COMPLETED = {
    ProposalStatus.COMPLETED: "All trades are done",
    ProposalStatus.COMPLETED_ADJUSTED: "The trades are done, not all as planned",
}


def record_answers(answers: Mapping[str, BrokerOrder], *, now: datetime) -> int:
    """Record what the broker said; one order that does not fit its books holds up no other."""
    try:
        return _record_together(answers, now=now)
    except (books.BooksDisagree, FillRefused):
        if len(answers) == 1:
            logger.exception(
                "order %s cannot be booked and waits for a person", next(iter(answers))
            )
            return 0
    names = sorted(answers)
    halves = (names[: len(names) // 2], names[len(names) // 2 :])
    return sum(record_answers({name: answers[name] for name in half}, now=now) for half in halves)


@transaction.atomic(durable=True)
def _record_together(answers: Mapping[str, BrokerOrder], *, now: datetime) -> int:
    """Record fills, book them and advance their orders in one transaction."""
    orders = list(
        models.Order.objects.select_for_update(of=["self"])
        .select_related("security", "firm")
        .prefetch_related("trade__trade_lots")
        .filter(client_order_id__in=list(answers))
        .order_by("id")
    )
    known = set(
        models.Fill.objects.filter(order__in=orders).values_list("broker", "broker_fill_id")
    )
    exact = dict(
        models.Fill.objects.filter(order__in=orders)
        .values("order_id")
        .annotate(total=Sum(F("quantity") * F("price")))
        .values_list("order_id", "total")
    )
    fills: list[models.Fill] = []
    to_book: dict[str, list[books.FillToBook]] = defaultdict(list)
    for order in orders:
        answer = answers[order.client_order_id]
        for execution in answer.executions:
            if (PaperBroker.name, execution.fill_id) in known:
                continue
            fill, entry = _apply(order, execution, exact)
            fills.append(fill)
            to_book[order.firm.currency].append(entry)
        _follow_status(order, answer, now)
    models.Fill.objects.bulk_create(fills)
    for currency, entries in to_book.items():
        books.book_fills(fills=entries, currency=currency)
    models.Order.objects.bulk_update(
        orders,
        [
            "status",
            "filled_quantity",
            "filled_amount",
            "submitted_at",
            "closed_at",
            "lease_until",
            "reason",
        ],
    )
    audit_orders([order for order in orders if order.closed_at == now])
    return len(fills)


def _apply(
    order: models.Order, execution: Execution, exact: dict[int, Decimal]
) -> tuple[models.Fill, books.FillToBook]:
    applied = apply_fill(
        state=OrderState(
            status=OrderStatus(order.status),
            quantity=order.quantity,
            filled_quantity=order.filled_quantity,
            filled_amount=order.filled_amount,
            exact_amount=exact.get(order.pk, ZERO),
        ),
        quantity=execution.quantity,
        price=execution.price,
        lots=[(lot.lot_id, lot.quantity) for lot in order.trade.trade_lots.all()],
    )
    order.status = applied.state.status
    order.filled_quantity = applied.state.filled_quantity
    order.filled_amount = applied.state.filled_amount
    exact[order.pk] = applied.state.exact_amount
    fill = models.Fill(
        order=order,
        broker=PaperBroker.name,
        broker_fill_id=execution.fill_id,
        quantity=execution.quantity,
        price=execution.price,
        fill_date=execution.fill_date,
    )
    verb = "Bought" if order.side == Side.BUY else "Sold"
    entry = books.FillToBook(
        source=f"fill:{PaperBroker.name}:{execution.fill_id}",
        account_id=order.account_id,
        security_id=order.security_id,
        side=Side(order.side),
        quantity=execution.quantity,
        amount=applied.amount,
        fill_date=execution.fill_date,
        picks=applied.picks if order.side == Side.SELL else (),
        memo=f"{verb} {order.security.symbol} at {execution.price.normalize():f}",
    )
    return fill, entry


def _follow_status(order: models.Order, answer: BrokerOrder, now: datetime) -> None:
    """Take over the broker's state, once every share it reports is on our record as well."""
    if order.submitted_at is None:
        order.submitted_at = now
    order.lease_until = None
    if order.status == OrderStatus.FILLED:
        order.closed_at = order.closed_at or now
    elif answer.filled_quantity != order.filled_quantity or order.status not in OPEN_ORDER:
        return
    elif answer.status is BrokerStatus.REJECTED:
        close_order(order, OrderEvent.REJECT, now, answer.reason)
    elif answer.status is BrokerStatus.CANCELLED:
        close_order(order, OrderEvent.CANCEL, now, answer.reason)
    elif order.status == OrderStatus.SUBMITTING:
        order.status = advance_order(order.status, OrderEvent.ACKNOWLEDGE)


@transaction.atomic(durable=True)
def complete_proposals(*, now: datetime) -> int:
    """Complete every executing proposal whose orders are all closed; return how many."""
    open_orders = models.Order.objects.filter(proposal_id=OuterRef("pk"), status__in=OPEN_ORDER)
    done = list(
        models.Proposal.objects.select_for_update(skip_locked=True)
        .filter(status=ProposalStatus.EXECUTING)
        .filter(~Exists(open_orders))
        .prefetch_related("orders__trade")
        .order_by("id")[:PROPOSALS_AT_ONCE]
    )
    for proposal in done:
        as_planned = all(
            order.status == OrderStatus.FILLED and order.quantity == order.trade.quantity
            for order in proposal.orders.all()
        )
        event = ProposalEvent.COMPLETE if as_planned else ProposalEvent.COMPLETE_ADJUSTED
        proposal.status = advance_proposal(proposal.status, event)
        proposal.closed_at = now
        proposal.close_reason = "" if as_planned else "Some orders did not fill as planned."
    models.Proposal.objects.bulk_update(done, ["status", "closed_at", "close_reason"])
    for status, words in COMPLETED.items():
        audit_proposals(
            [proposal for proposal in done if proposal.status == status],
            event=status.lower(),
            summary=words,
        )
    return len(done)


@transaction.atomic
def rebuild_orders(*, firm_id: int) -> int:
    """Recompute what orders say is filled from their fills; return how many rows changed."""
    totals = {
        order_id: (quantity, round_money(amount))
        for order_id, quantity, amount in models.Fill.objects.filter(order__firm_id=firm_id)
        .values("order_id")
        .annotate(total=Sum("quantity"), amount=Sum(F("quantity") * F("price")))
        .values_list("order_id", "total", "amount")
    }
    wrong = []
    for order in models.Order.objects.select_for_update().filter(firm_id=firm_id):
        right = totals.get(order.pk, (ZERO, ZERO))
        if right != (order.filled_quantity, order.filled_amount):
            order.filled_quantity, order.filled_amount = right
            wrong.append(order)
    models.Order.objects.bulk_update(wrong, ["filled_quantity", "filled_amount"])
    return len(wrong)


def close_order(order: models.Order, event: OrderEvent, now: datetime, reason: str) -> None:
    """Move an order to where `event` leads for good; the caller saves it."""
    order.status = advance_order(order.status, event)
    order.closed_at = now
    order.lease_until = None
    order.reason = reason[:300]
