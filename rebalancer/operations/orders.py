"""From approval to the broker: begin, claim, send, look. Every step may run twice.

A foreign call stands between two transactions, never inside one. An order is SUBMITTING from before
the call until its outcome is on record; whoever finds it there past its lease asks the broker by
our own id before anything is sent again.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from accounts.queries import people
from portfolios.domain.kinds import Side
from portfolios.domain.money import ZERO, floor_to_step
from portfolios.operations.entries import lock_books
from portfolios.queries import books as book_queries
from portfolios.queries import market
from rebalancer import models
from rebalancer.brokers.paper import PaperBroker
from rebalancer.brokers.port import (
    Broker,
    BrokerOrder,
    BrokerUnavailable,
    OrderTicket,
)
from rebalancer.domain.execution import measure_amount, measure_fill_price
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
from rebalancer.operations.fills import close_order, complete_proposals, record_answers
from rebalancer.operations.trail import audit_proposals

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
    begun = [p for p in approved if p.status == ProposalStatus.EXECUTING]
    lapsed = [p for p in approved if p.status == ProposalStatus.EXPIRED]
    audit_proposals(begun, event="executing", summary="Trades are under way")
    audit_proposals(lapsed, event="expired", summary="The approval lapsed, nothing was sent")
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
        record_answers(answers, now=now)
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
    # Another worker may be sending other buys of the same account, or a client taking cash out.
    lock_books(sorted({order.account_id for order in orders}))
    cash = _load_free_cash(orders)
    tickets = []
    for order in orders:
        today = markets[order.firm_id]
        price = today.prices.get(order.security_id)
        if price is None:
            close_order(order, OrderEvent.CANCEL, now, "No usable price when it was to be sent.")
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
    for account_id, required in models.Proposal.objects.filter(
        pk__in={order.proposal_id for order in orders}
    ).values_list("account_id", "required_cash"):
        free[account_id] -= required
    for account_id, amount in measure_open_buys(account_ids).items():
        free[account_id] -= amount
    return free


def measure_open_buys(account_ids: Sequence[int]) -> dict[int, Decimal]:
    """Return the cash that buys at the broker will still take, by account."""
    reserved: dict[int, Decimal] = defaultdict(Decimal)
    for order in models.Order.objects.filter(
        account_id__in=account_ids, side=Side.BUY, status__in=OPEN_ORDER - {OrderStatus.NEW}
    ).select_related("trade"):
        left = order.quantity - order.filled_quantity
        reserved[order.account_id] += measure_amount(
            quantity=left, fill_price=order.trade.fill_price
        )
    return reserved


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
            close_order(
                order, OrderEvent.CANCEL, now, "The sales brought too little cash to buy any."
            )
            return False
        order.reason = (
            f"Cut from {order.quantity.normalize():f} to {quantity.normalize():f}: "
            "there is less cash than was planned."
        )
        order.quantity = quantity
    cash[order.account_id] -= measure_amount(quantity=quantity, fill_price=fill_price)
    return True


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
        booked += record_answers(answers, now=now)
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
    record_answers(answers, now=now)
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
