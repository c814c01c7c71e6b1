"""Our tickets as FIX messages, and FIX reports in our words."""

from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from portfolios.domain.kinds import Side
from portfolios.domain.money import ZERO, round_price
from rebalancer.brokers.fix.message import Message, Pair, write_time
from rebalancer.brokers.fix.store import FixStore, Report, SentOrder
from rebalancer.brokers.port import (
    AllocationInstruction,
    BrokerOrder,
    BrokerStatus,
    Execution,
    ExecutionKind,
    OrderTicket,
)

MARKET_ZONE = ZoneInfo("America/New_York")
UNKNOWN_ORDER, DUPLICATE_ORDER = "5", "6"  # reasons of a reject
_CURRENCY = "4"  # a Product
_STATUSES = {
    "2": BrokerStatus.FILLED,
    "4": BrokerStatus.CANCELLED,
    "8": BrokerStatus.REJECTED,
    "C": BrokerStatus.EXPIRED,
}
_KINDS = {
    "F": ExecutionKind.FILL,
    "H": ExecutionKind.BUST,
    "G": ExecutionKind.CORRECTION,
}


def write_side(side: Side) -> str:
    """Return a side as FIX writes it."""
    return "1" if side is Side.BUY else "2"


def read_side(value: str) -> Side | None:
    """Return a side; sells short count as sells, anything else as unknown."""
    return {"1": Side.BUY, "2": Side.SELL, "5": Side.SELL, "6": Side.SELL}.get(value)


def write_number(number: Decimal) -> str:
    """Return a number without exponent or needless zeros."""
    return f"{number.normalize():f}"


def read_number(message: Message, tag: int, default: Decimal | None = None) -> Decimal:
    """Return the number in a field. ValueError: it is none, or not finite."""
    value = message.get(tag)
    if not value and default is not None:
        return default
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise ValueError(f"field {tag} is not a number") from error
    if not number.is_finite():
        raise ValueError(f"field {tag} is not finite")
    return number


def write_order(ticket: OrderTicket, now: datetime) -> list[Pair]:
    """Return the body of a NewOrderSingle: a day order, at market or at its limit."""
    body = [(11, ticket.client_order_id)]
    if ticket.account_number:
        body.append((1, ticket.account_number))
    body += [
        (21, "1"),
        (55, ticket.symbol),
        (54, write_side(ticket.side)),
        (60, write_time(now)),
        (38, write_number(ticket.quantity)),
    ]
    if ticket.limit_price is None:
        body.append((40, "1"))
    else:
        body += [(40, "2"), (44, write_number(ticket.limit_price))]
    return [*body, (59, "0")]


def write_cancel(order: BrokerOrder, side: Side, cancel_id: str, now: datetime) -> list[Pair]:
    """Return the body of an OrderCancelRequest."""
    return [
        (41, order.client_order_id),
        (11, cancel_id),
        (55, order.symbol),
        (54, write_side(side)),
        (60, write_time(now)),
        (38, write_number(order.quantity)),
    ]


def write_status_request(sent: SentOrder) -> list[Pair]:
    """Return the body of an OrderStatusRequest."""
    return [(11, sent.client_order_id), (55, sent.symbol), (54, write_side(sent.side))]


def write_allocation(
    instruction: AllocationInstruction, trade_date: date, now: datetime
) -> list[Pair]:
    """Return the body of an AllocationInstruction: at the block's average price."""
    quantity = sum((share.quantity for share in instruction.shares), ZERO)
    amount = sum((share.amount for share in instruction.shares), ZERO)
    is_new = instruction.number == 1
    body = [(70, f"{instruction.block_id}-{instruction.number}"), (71, "0" if is_new else "1")]
    body.append((626, "1"))
    if not is_new:
        # 1: what was told before was wrong.
        body += [(72, f"{instruction.block_id}-{instruction.number - 1}"), (796, "1")]
    body += [(857, "1"), (73, str(len(instruction.client_order_ids)))]
    body += [(11, client_order_id) for client_order_id in instruction.client_order_ids]
    body += [
        (54, write_side(instruction.side)),
        (55, instruction.symbol),
        (53, write_number(quantity)),
        (6, write_number(round_price(amount / quantity) if quantity else ZERO)),
        (75, trade_date.strftime("%Y%m%d")),
        (60, write_time(now)),
        (78, str(len(instruction.shares))),
    ]
    for share in instruction.shares:
        body += [
            (79, share.account_number),
            (80, write_number(share.quantity)),
            (154, write_number(share.amount)),
        ]
    return body


def write_position_request(request_id: str, number: str, now: datetime) -> list[Pair]:
    """Return the body of a RequestForPositions for one account."""
    return [
        (710, request_id),
        (724, "0"),
        (453, "1"),
        (448, number),
        (447, "D"),
        (452, "24"),
        (1, number),
        (581, "1"),
        (715, now.astimezone(MARKET_ZONE).strftime("%Y%m%d")),
        (60, write_time(now)),
    ]


def read_position(message: Message) -> tuple[str, Decimal]:
    """Return symbol and quantity of a PositionReport; cash has no symbol. ValueError."""
    long, short = read_number(message, 704, ZERO), read_number(message, 705, ZERO)
    symbol = "" if message.get(460) == _CURRENCY else message.get(55)
    return symbol, long - short


def get_order_id(message: Message) -> str:
    """Return our id of the order that a report is about: a cancel has an id of its own."""
    return message.get(41) or message.get(11)


def is_unknown_order(message: Message) -> bool:
    """Say whether a report says that the broker has no such order."""
    return message.get(39) == "8" and message.get(103) == UNKNOWN_ORDER


def is_duplicate(message: Message) -> bool:
    """Say whether a report says that the broker already has an order under this id."""
    return message.get(150) == "8" and message.get(103) == DUPLICATE_ORDER


def read_report(message: Message, store: FixStore) -> Report | None:
    """Return what an ExecutionReport says of an order; None: it says that there is none such.

    :raises ValueError: for a report that cannot be believed.
    """
    client_order_id = get_order_id(message)
    if not client_order_id:
        raise ValueError("the report names no order")
    if is_unknown_order(message) or is_duplicate(message):
        return None
    status = _STATUSES.get(message.get(39), BrokerStatus.WORKING)
    return Report(
        client_order_id=client_order_id,
        broker_order_id=message.get(37),
        status=status,
        filled_quantity=read_number(message, 14, ZERO),
        symbol=message.get(55),
        side=read_side(message.get(54)),
        quantity=read_number(message, 38, ZERO),
        reason=message.get(58)[:300],
        execution=_read_execution(message, store),
    )


def _read_execution(message: Message, store: FixStore) -> Execution | None:
    kind = _KINDS.get(message.get(150))
    if kind is None:
        return None
    refers_to = message.get(19)
    quantity, price = read_number(message, 32, ZERO), read_number(message, 31, ZERO)
    if kind is not ExecutionKind.FILL:
        if not refers_to:
            raise ValueError("a bust or a correction names no fill")
        # A bust need not repeat what it takes back.
        known = store.get_fill(refers_to) or (quantity, price)
        quantity, price = quantity or known[0], price or known[1]
    if quantity <= 0 or price <= 0:
        raise ValueError("an execution of nothing, or for nothing")
    return Execution(
        fill_id=message.get(17),
        quantity=quantity,
        price=round_price(price),
        fill_date=_read_day(message),
        kind=kind,
        refers_to="" if kind is ExecutionKind.FILL else refers_to,
    )


def _read_day(message: Message) -> date:
    if message.get(75):
        return datetime.strptime(message.get(75), "%Y%m%d").replace(tzinfo=UTC).date()
    instant = datetime.strptime(message.get(60)[:17], "%Y%m%d-%H:%M:%S").replace(tzinfo=UTC)
    return instant.astimezone(MARKET_ZONE).date()
