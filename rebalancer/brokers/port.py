"""What Evenkeel asks of a broker. Adapters translate; they decide nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from portfolios.domain.kinds import Side


class BrokerUnavailable(Exception):
    """The broker did not answer: whether it has the order is not known."""


class BrokerStatus(StrEnum):
    """What a broker says of an order."""

    WORKING = "WORKING"
    FILLED = "FILLED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class OrderTicket:
    """An order as sent; `client_order_id` is ours, and the broker takes each id once."""

    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    share_step: Decimal
    market_price: Decimal
    half_spread_bps: Decimal
    market_date: date


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution; `fill_id` is the broker's and unique."""

    fill_id: str
    quantity: Decimal
    price: Decimal
    fill_date: date


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """What the broker knows of one of our orders, every execution included."""

    client_order_id: str
    status: BrokerStatus
    filled_quantity: Decimal
    executions: tuple[Execution, ...]
    reason: str = ""


class Broker(Protocol):
    """A broker that enforces our order ids: sending one twice is the same order."""

    name: str

    def submit(self, ticket: OrderTicket) -> BrokerOrder:
        """Send an order, or return what is known of it if it was sent before.

        :raises BrokerUnavailable: when the outcome is not known.
        """
        ...

    def get_orders(self, client_order_ids: Sequence[str]) -> Mapping[str, BrokerOrder]:
        """Return what the broker knows of these orders; an unknown id is absent.

        :raises BrokerUnavailable: when it does not answer.
        """
        ...
