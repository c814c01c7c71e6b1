"""Tickets, orders and positions as JSON and back: numbers as text, unknown keys refused."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from portfolios.domain.kinds import Side
from rebalancer.brokers.port import (
    AllocationInstruction,
    AllocationShare,
    BrokerOrder,
    BrokerPosition,
    BrokerStatus,
    Execution,
    ExecutionKind,
    OrderTicket,
)


class WireError(ValueError):
    """The JSON is not what it should be; the text names the field."""


def write(value: Any) -> Any:
    """Return a dataclass (or a list of them) as JSON values."""
    if isinstance(value, (list, tuple)):
        return [write(item) for item in value]
    return _plain(asdict(value))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (Decimal, date)):
        return str(value)
    return value


def read_ticket(values: Any) -> OrderTicket:
    """Return the ticket that JSON describes. WireError."""
    found = _Fields(values, OrderTicket.__slots__)
    ticket = OrderTicket(
        client_order_id=found.text("client_order_id", is_needed=True),
        symbol=found.text("symbol", is_needed=True),
        side=found.side("side"),
        quantity=found.number("quantity"),
        share_step=found.number("share_step"),
        market_price=found.number("market_price"),
        half_spread_bps=found.number("half_spread_bps", may_be_zero=True),
        market_date=found.day("market_date"),
        account_number=found.text("account_number"),
        limit_price=found.number_or_none("limit_price"),
        daily_volume=found.number_or_none("daily_volume"),
        daily_volatility=found.number_or_none("daily_volatility"),
    )
    return ticket


def read_order(values: Any) -> BrokerOrder:
    """Return the order that JSON describes. WireError."""
    found = _Fields(values, BrokerOrder.__slots__)
    executions = found.items("executions")
    return BrokerOrder(
        client_order_id=found.text("client_order_id", is_needed=True),
        status=found.choice("status", BrokerStatus),
        filled_quantity=found.number("filled_quantity", may_be_zero=True),
        executions=tuple(_read_execution(item) for item in executions),
        reason=found.text("reason"),
        broker_order_id=found.text("broker_order_id"),
        symbol=found.text("symbol"),
        side=None if found.get("side") is None else found.side("side"),
        quantity=found.number("quantity", may_be_zero=True),
    )


def _read_execution(values: Any) -> Execution:
    found = _Fields(values, Execution.__slots__)
    return Execution(
        fill_id=found.text("fill_id", is_needed=True),
        quantity=found.number("quantity"),
        price=found.number("price"),
        fill_date=found.day("fill_date"),
        kind=found.choice("kind", ExecutionKind),
        refers_to=found.text("refers_to"),
    )


def read_instruction(values: Any) -> AllocationInstruction:
    """Return the allocation that JSON describes. WireError."""
    found = _Fields(values, AllocationInstruction.__slots__)
    shares = [_Fields(item, AllocationShare.__slots__) for item in found.items("shares")]
    ids = found.items("client_order_ids")
    if not all(isinstance(item, str) for item in ids):
        raise WireError("client_order_ids: a list of texts is wanted")
    number = found.get("number")
    if isinstance(number, bool) or not isinstance(number, int):
        raise WireError("number: a whole number is wanted")
    return AllocationInstruction(
        block_id=found.text("block_id", is_needed=True),
        number=number,
        symbol=found.text("symbol", is_needed=True),
        side=found.side("side"),
        client_order_ids=tuple(ids),
        shares=tuple(
            AllocationShare(
                account_number=share.text("account_number", is_needed=True),
                quantity=share.number("quantity", may_be_zero=True),
                amount=share.number("amount", may_be_zero=True),
            )
            for share in shares
        ),
    )


def read_position(values: Any) -> BrokerPosition:
    """Return the position that JSON describes; cash may be negative. WireError."""
    found = _Fields(values, BrokerPosition.__slots__)
    return BrokerPosition(
        account_number=found.text("account_number"),
        symbol=found.text("symbol"),
        quantity=found.any_number("quantity"),
    )


class _Fields:
    """The fields of one JSON object, each read as what it must be."""

    def __init__(self, values: Any, names: Any) -> None:
        if not isinstance(values, Mapping):
            raise WireError(f"an object is wanted, not {values!r:.60}")
        if unknown := set(values) - set(names):
            raise WireError(f"unknown field {min(unknown)!r}")
        self.values = values

    def get(self, name: str) -> Any:
        return self.values.get(name)

    def text(self, name: str, *, is_needed: bool = False) -> str:
        value = self.values.get(name, "")
        if not isinstance(value, str) or (is_needed and not value):
            raise WireError(f"{name}: a text is wanted")
        return value

    def any_number(self, name: str) -> Decimal:
        value = self.values.get(name)
        try:
            number = Decimal(value) if isinstance(value, str) else None
        except InvalidOperation:
            number = None
        if number is None or not number.is_finite():
            raise WireError(f"{name}: a finite number, as text, is wanted")
        return number

    def number(self, name: str, *, may_be_zero: bool = False) -> Decimal:
        number = self.any_number(name)
        if number < 0 or (number == 0 and not may_be_zero):
            raise WireError(f"{name}: {number} is not allowed")
        return number

    def number_or_none(self, name: str) -> Decimal | None:
        return None if self.values.get(name) is None else self.number(name)

    def day(self, name: str) -> date:
        try:
            return date.fromisoformat(self.text(name, is_needed=True))
        except ValueError as error:
            raise WireError(f"{name}: a date is wanted") from error

    def choice(self, name: str, kinds: Any) -> Any:
        try:
            return kinds(self.text(name, is_needed=True))
        except ValueError as error:
            raise WireError(f"{name}: {self.values.get(name)!r:.40} is not known") from error

    def side(self, name: str) -> Side:
        return Side(self.choice(name, Side))

    def items(self, name: str) -> list[Any]:
        value = self.values.get(name)
        if not isinstance(value, list):
            raise WireError(f"{name}: a list is wanted")
        return value
