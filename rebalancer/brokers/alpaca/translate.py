"""Alpaca's JSON into our words and back; the numbers that count are read and sent as text."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.models import Order
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest
from pydantic import ValidationError

from portfolios.domain.kinds import Side
from portfolios.domain.money import ZERO, round_price
from rebalancer.brokers.port import (
    BrokerOrder,
    BrokerStatus,
    BrokerUnavailable,
    Execution,
    ExecutionKind,
    OrderTicket,
)

MARKET_ZONE = ZoneInfo("America/New_York")
CLIENT_ID_LENGTH_MAX = 128
_DOLLAR = Decimal(1)
_STATUSES = {
    "filled": BrokerStatus.FILLED,
    "canceled": BrokerStatus.CANCELLED,
    "expired": BrokerStatus.EXPIRED,
    "rejected": BrokerStatus.REJECTED,
    # We never replace an order; somebody else's replacement is another order.
    "replaced": BrokerStatus.CANCELLED,
}
_KINDS = {
    "fill": ExecutionKind.FILL,
    "partial_fill": ExecutionKind.FILL,
    "trade_bust": ExecutionKind.BUST,
    "trade_correct": ExecutionKind.CORRECTION,
}


def write_order(ticket: OrderTicket) -> dict[str, Any]:
    """Return what is posted for a ticket: a day order, at market or at its limit.

    The library checks the combination; quantity and limit go as the exact text.
    """
    facts: dict[str, Any] = {
        "symbol": ticket.symbol,
        "qty": float(ticket.quantity),
        "side": OrderSide.BUY if ticket.side is Side.BUY else OrderSide.SELL,
        "time_in_force": TimeInForce.DAY,
        "client_order_id": ticket.client_order_id,
    }
    if ticket.limit_price is None:
        fields = MarketOrderRequest(**facts).to_request_fields()
    else:
        limit = fit_limit(ticket.side, ticket.limit_price)
        request = LimitOrderRequest(**facts, limit_price=float(limit))
        fields = request.to_request_fields() | {"limit_price": f"{limit:f}"}
    return {**fields, "qty": f"{ticket.quantity.normalize():f}"}


def fit_limit(side: Side, limit: Decimal) -> Decimal:
    """Return a limit in the steps that are allowed: cents from a dollar up, else hundredths of one.

    Rounded so that we never pay more, or take less, than was meant.
    """
    step = Decimal("0.01") if limit >= _DOLLAR else Decimal("0.0001")
    return limit.quantize(step, ROUND_FLOOR if side is Side.BUY else ROUND_CEILING)


def read_order(values: Any) -> tuple[Order, Mapping[str, Any]]:
    """Return an order as the library reads it, and its JSON. BrokerUnavailable: it is none."""
    try:
        return Order(**values), values
    except (ValidationError, TypeError) as error:
        raise BrokerUnavailable(f"Alpaca's answer is not an order: {error!r:.300}") from error


def translate_order(
    order: Order, values: Mapping[str, Any], executions: tuple[Execution, ...]
) -> BrokerOrder:
    """Return an order in our words, with its executions."""
    status = _STATUSES.get(order.status.value, BrokerStatus.WORKING)
    filled = read_number(values.get("filled_qty") or "0")
    side = None
    if order.side is not None:
        side = Side.BUY if order.side is OrderSide.BUY else Side.SELL
    # An order for an amount of money has no quantity; such an order is never ours.
    quantity = values.get("qty")
    return BrokerOrder(
        client_order_id=order.client_order_id,
        status=status,
        filled_quantity=filled,
        executions=executions,
        reason="" if status is BrokerStatus.WORKING else f"Alpaca: {order.status.value}",
        broker_order_id=str(order.id),
        symbol=order.symbol or "",
        side=side,
        quantity=read_number(quantity) if quantity else ZERO,
    )


def read_activity(values: Any) -> tuple[str, Execution] | None:
    """Return the order's id and the execution that an account activity tells of; None: of none.

    A bust and a correction name the fill that they answer.
    """
    if not isinstance(values, Mapping):
        raise BrokerUnavailable("Alpaca's activity is not an object")
    kind = _KINDS.get(str(values.get("execution_type") or values.get("type")))
    if kind is None or not values.get("order_id"):
        return None
    refers_to = str(values.get("previous_execution_id") or values.get("previous_id") or "")
    try:
        execution = Execution(
            fill_id=str(values.get("execution_id") or values["id"]),
            quantity=abs(read_number(values["qty"])),
            price=round_price(read_number(values["price"])),
            fill_date=_read_day(values["transaction_time"]),
            kind=kind,
            refers_to="" if kind is ExecutionKind.FILL else refers_to,
        )
    except (KeyError, ValueError, TypeError) as error:
        raise BrokerUnavailable(f"Alpaca's activity lacks something: {error!r}") from error
    return str(values["order_id"]), execution


def _read_day(value: str) -> date:
    """Return the market day of an instant."""
    return datetime.fromisoformat(value).astimezone(MARKET_ZONE).date()


def read_number(value: Any) -> Decimal:
    """Return a finite number. BrokerUnavailable: it is none."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise BrokerUnavailable(f"Alpaca's answer has {value!r:.40} for a number")
    return number
