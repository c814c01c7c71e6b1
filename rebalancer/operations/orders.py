"""From approval to books: claim, send, look, record, book, complete. Every step may run twice.

A foreign call stands between two transactions, never inside one. An order is SUBMITTING from before
the call until its outcome is on record; whoever finds it there past its lease asks the broker by
our own id before anything is sent again.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, Sum

from accounts.operations.audit import AuditRecord, record_audit_entries
from accounts.queries import people, planning
from portfolios.domain.kinds import Side
from portfolios.domain.money import ZERO, floor_to_step, round_money
from portfolios.operations import books
from portfolios.queries import books as book_queries
from portfolios.queries import market
from rebalancer import models
from rebalancer.brokers.paper import PaperBroker
from rebalancer.brokers.port import (
    Broker,
    BrokerOrder,
    BrokerStatus,
    BrokerUnavailable,
    Execution,
    OrderTicket,
)
from rebalancer.domain.execution import measure_amount, measure_fill_price
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
from rebalancer.operations.approvals import list_changes_since

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
BATCH_ORDERS = 200
BATCH_PROPOSALS = 50


def get_broker() -> Broker:
    """Return the broker that orders go to."""
    return PaperBroker(settings.PAPER_BROKER_PATH, seed=settings.PAPER_BROKER_SEED)


# --- Begin ---------------------------------------------------------------------------------------


@transaction.atomic(durable=True)
def begin_executions(*, now: datetime) -> int:
    """Turn approved proposals into executing ones, unless what was approved no longer holds."""
    approved = list(
        models.Proposal.objects.select_for_update(skip_locked=True, of=["self"])
        .select_related("policy")
        .filter(status=ProposalStatus.APPROVED)
        .order_by("id")[:BATCH_PROPOSALS]
    )
    for proposal in approved:
        changes = list_changes_since(proposal)
        if not changes:
            proposal.status = advance_proposal(proposal.status, ProposalEvent.EXECUTE)
            continue
        proposal.status = advance_proposal(proposal.status, ProposalEvent.EXPIRE)
        proposal.closed_at = now
        proposal.close_reason = f"Approved, but never sent: {'; '.join(changes)}."[:300]
        proposal.orders.update(
            status=advance_order(OrderStatus.NEW, OrderEvent.CANCEL),
            closed_at=now,
            reason="The approval lapsed before anything was sent.",
        )
    models.Proposal.objects.bulk_update(approved, ["status", "closed_at", "close_reason"])
    _audit_proposals(approved)
    return len(approved)


# --- Send ----------------------------------------------------------------------------------------


def submit_orders(*, now: datetime) -> int:
    """Send every order that may go: sells first, buys once their proposal's sells are closed."""
    while begin_executions(now=now):
        pass
    broker, sent = get_broker(), 0
    while tickets := _claim_orders(now=now):
        answers: dict[str, BrokerOrder] = {}
        for ticket in tickets:
            try:
                answers[ticket.client_order_id] = broker.submit(ticket)
            except BrokerUnavailable:
                # The outcome is unknown: the order stays SUBMITTING until the sweep has asked.
                logger.exception("order %s: no answer", ticket.client_order_id)
        _record_answers(answers, now=now)
        sent += len(answers)
        if len(answers) < len(tickets):
            break
    complete_proposals(now=now)
    return sent


@transaction.atomic(durable=True)
def _claim_orders(*, now: datetime) -> list[OrderTicket]:
    """Mark a batch of orders as being sent and return what to send."""
    open_sells = models.Order.objects.filter(
        proposal_id=OuterRef("proposal_id"), side=Side.SELL, status__in=OPEN_ORDER
    )
    orders = list(
        models.Order.objects.select_for_update(skip_locked=True, of=["self"])
        .select_related("security")
        .filter(status=OrderStatus.NEW, proposal__status=ProposalStatus.EXECUTING)
        .filter(Q(side=Side.SELL) | ~Exists(open_sells))
        .order_by("-side", "id")[:BATCH_ORDERS]
    )
    if not orders:
        return []
    markets = {
        firm_id: _load_market(firm_id, now) for firm_id in sorted({o.firm_id for o in orders})
    }
    cash = _load_free_cash(orders)
    tickets = []
    for order in orders:
        today = markets[order.firm_id]
        price = today.prices.get(order.security_id)
        if price is None:
            _close(order, OrderEvent.CANCEL, now, "No usable price when it was to be sent.")
            continue
        if order.side == Side.BUY and not _fit_to_cash(order, price, cash, now):
            continue
        order.status = advance_order(order.status, OrderEvent.CLAIM)
        order.attempt_count += 1
        order.lease_until = now + LEASE
        tickets.append(
            OrderTicket(
                client_order_id=order.client_order_id,
                symbol=order.security.symbol,
                side=Side(order.side),
                quantity=order.quantity,
                share_step=order.security.share_step,
                market_price=price,
                half_spread_bps=order.security.half_spread_bps,
                market_date=today.market_date,
            )
        )
    models.Order.objects.bulk_update(
        orders, ["status", "attempt_count", "lease_until", "quantity", "reason", "closed_at"]
    )
    return tickets


@dataclass(frozen=True, slots=True)
class _Market:
    market_date: date
    prices: dict[int, Decimal]


def _load_market(firm_id: int, now: datetime) -> _Market:
    firm = people.get_firm(firm_id)
    market_date = book_queries.get_market_date(firm, now)
    latest = market.get_latest_prices(
        firm_id=firm_id, price_date=market_date, age_days_max=firm.price_age_days_max
    )
    return _Market(
        market_date, {security_id: price for security_id, (_day, price) in latest.items()}
    )


def _load_free_cash(orders: Sequence[models.Order]) -> dict[int, Decimal]:
    """Return what each account may spend: cash less what must stay and what open buys take."""
    account_ids = sorted({order.account_id for order in orders})
    free = {
        account_id: cash for account_id, (cash, _v) in book_queries.get_cash(account_ids).items()
    }
    for account_id, need, floor in models.Proposal.objects.filter(
        pk__in={order.proposal_id for order in orders}
    ).values_list(
        "account_id", "inputs__account__need_amount", "inputs__policy__cash_floor_amount"
    ):
        free[account_id] -= Decimal(need) + Decimal(floor)
    for order in models.Order.objects.filter(
        account_id__in=account_ids, side=Side.BUY, status__in=OPEN_ORDER - {OrderStatus.NEW}
    ).select_related("trade"):
        left = order.quantity - order.filled_quantity
        free[order.account_id] -= measure_amount(quantity=left, fill_price=order.trade.fill_price)
    return free


def _fit_to_cash(
    order: models.Order, price: Decimal, cash: dict[int, Decimal], now: datetime
) -> bool:
    """Cut a buy to the cash that is there; return whether anything is left to buy."""
    fill_price = measure_fill_price(
        side=Side.BUY, price=price, half_spread_bps=order.security.half_spread_bps
    )
    quantity = order.quantity
    if measure_amount(quantity=quantity, fill_price=fill_price) > cash[order.account_id]:
        affordable = max(cash[order.account_id], ZERO) / fill_price
        quantity = floor_to_step(affordable, order.security.share_step)
        # Rounding the amount up to the cent may still ask for one cent too much.
        if measure_amount(quantity=quantity, fill_price=fill_price) > cash[order.account_id]:
            quantity -= order.security.share_step
        if quantity <= 0:
            _close(order, OrderEvent.CANCEL, now, "The sales brought too little cash to buy any.")
            return False
        order.reason = (
            f"Cut from {order.quantity.normalize():f} to {quantity.normalize():f}: "
            "there is less cash than was planned."
        )
        order.quantity = quantity
    cash[order.account_id] -= measure_amount(quantity=quantity, fill_price=fill_price)
    return True


def _close(order: models.Order, event: OrderEvent, now: datetime, reason: str) -> None:
    order.status = advance_order(order.status, event)
    order.closed_at = now
    order.lease_until = None
    order.reason = reason[:300]


# --- Look ----------------------------------------------------------------------------------------


def poll_broker(*, now: datetime) -> int:
    """Ask the broker about every order it has and book what is new; return how many fills."""
    broker, booked, after = get_broker(), 0, 0
    while True:
        batch = list(
            models.Order.objects.filter(
                status__in=[OrderStatus.SUBMITTED, OrderStatus.PARTIALLY_FILLED], id__gt=after
            )
            .order_by("id")
            .values_list("id", "client_order_id")[:BATCH_ORDERS]
        )
        if not batch:
            break
        after = batch[-1][0]
        answers = broker.get_orders([client_order_id for _pk, client_order_id in batch])
        booked += _record_answers(answers, now=now)
    complete_proposals(now=now)
    return booked


def resolve_unknown_orders(*, now: datetime) -> int:
    """Ask the broker about orders whose sending was cut short; return how many were resolved.

    What the broker knows is on record with it; what it does not know may be sent again.
    """
    ids = list(
        models.Order.objects.filter(status=OrderStatus.SUBMITTING, lease_until__lt=now)
        .order_by("id")
        .values_list("client_order_id", flat=True)[:BATCH_ORDERS]
    )
    if not ids:
        return 0
    answers = get_broker().get_orders(ids)
    _record_answers(answers, now=now)
    with transaction.atomic(durable=True):
        lost = list(
            models.Order.objects.select_for_update(skip_locked=True).filter(
                client_order_id__in=set(ids) - set(answers),
                status=OrderStatus.SUBMITTING,
                lease_until__lt=now,
            )
        )
        for order in lost:
            order.status = advance_order(order.status, OrderEvent.RELEASE)
            order.lease_until = None
        models.Order.objects.bulk_update(lost, ["status", "lease_until"])
    return len(ids)


# --- Record and book -----------------------------------------------------------------------------


def _record_answers(answers: Mapping[str, BrokerOrder], *, now: datetime) -> int:
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
    return sum(_record_answers({name: answers[name] for name in half}, now=now) for half in halves)


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
    _audit_orders([order for order in orders if order.closed_at == now])
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
        _close(order, OrderEvent.REJECT, now, answer.reason)
    elif answer.status is BrokerStatus.CANCELLED:
        _close(order, OrderEvent.CANCEL, now, answer.reason)
    elif order.status == OrderStatus.SUBMITTING:
        order.status = advance_order(order.status, OrderEvent.ACKNOWLEDGE)


# --- Complete ------------------------------------------------------------------------------------


@transaction.atomic(durable=True)
def complete_proposals(*, now: datetime) -> int:
    """Complete every executing proposal whose orders are all closed; return how many."""
    open_orders = models.Order.objects.filter(proposal_id=OuterRef("pk"), status__in=OPEN_ORDER)
    done = list(
        models.Proposal.objects.select_for_update(skip_locked=True)
        .filter(status=ProposalStatus.EXECUTING)
        .filter(~Exists(open_orders))
        .prefetch_related("orders__trade")
        .order_by("id")[:BATCH_ORDERS]
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
    _audit_proposals(done)
    return len(done)


def _audit_proposals(proposals: Sequence[models.Proposal]) -> None:
    if not proposals:
        return
    names = planning.get_account_names([proposal.account_id for proposal in proposals])
    words = {
        ProposalStatus.EXECUTING: "Trades are under way",
        ProposalStatus.EXPIRED: "The approval lapsed, nothing was sent",
        ProposalStatus.COMPLETED: "All trades are done",
        ProposalStatus.COMPLETED_ADJUSTED: "The trades are done, not all as planned",
    }
    makers = {
        firm_id: people.get_service_user(firm_id).pk for firm_id in {p.firm_id for p in proposals}
    }
    record_audit_entries(
        [
            AuditRecord(
                firm_id=proposal.firm_id,
                actor_id=makers[proposal.firm_id],
                household_id=names[proposal.account_id].household_id,
                action=f"rebalancer.proposal.{proposal.status.lower()}",
                object_id=str(proposal.public_id),
                summary=(
                    f"{words[ProposalStatus(proposal.status)]}: {names[proposal.account_id].name}"
                ),
                detail={"reason": proposal.close_reason},
            )
            for proposal in proposals
        ]
    )


def _audit_orders(orders: Sequence[models.Order]) -> None:
    if not orders:
        return
    names = planning.get_account_names([order.account_id for order in orders])
    makers = {
        firm_id: people.get_service_user(firm_id).pk for firm_id in {o.firm_id for o in orders}
    }
    record_audit_entries(
        [
            AuditRecord(
                firm_id=order.firm_id,
                actor_id=makers[order.firm_id],
                household_id=names[order.account_id].household_id,
                action=f"rebalancer.order.{order.status.lower()}",
                object_id=order.client_order_id,
                summary=(
                    f"{order.side.title()} {order.security.symbol} {order.status.lower()}: "
                    f"{names[order.account_id].name}"
                ),
                detail={
                    "filled_quantity": str(order.filled_quantity),
                    "filled_amount": str(order.filled_amount),
                    "reason": order.reason,
                },
            )
            for order in orders
        ]
    )


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
