"""What Evenkeel asks of a broker. Adapters translate; they decide nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from portfolios.domain.kinds import Side
from portfolios.domain.money import ZERO
from rebalancer.domain.kinds import ExecutionKind as ExecutionKind


class BrokerUnavailable(Exception):
    """The broker did not answer: whether it has the order is not known."""


class AllocationRefused(BrokerUnavailable):
    """The broker answered, and will not share a block out as it was told."""


class BrokerStatus(StrEnum):
    """What a broker says of an order."""

    WORKING = "WORKING"
    FILLED = "FILLED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a broker can do; the roads that need more than it can are not taken."""

    # It refuses a second order under an id of ours that it already has. Without this, an order
    # whose outcome is unknown waits for a person.
    has_unique_ids: bool = True
    has_fractions: bool = True
    has_lot_selection: bool = False
    has_notional_orders: bool = False
    has_limit_orders: bool = False
    # It takes one order for many accounts, and is told afterwards whose shares they are.
    has_blocks: bool = False


@dataclass(frozen=True, slots=True)
class OrderTicket:
    """An order as sent; `client_order_id` is ours, and the broker takes each id once.

    Market facts travel along for the paper broker, whose market is made of them.
    """

    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    share_step: Decimal
    market_price: Decimal
    half_spread_bps: Decimal
    market_date: date
    # The custodian's number; empty: a block of many accounts.
    account_number: str = ""
    # Pay no more, or take no less; None: at market.
    limit_price: Decimal | None = None
    daily_volume: Decimal | None = None
    # Of daily returns, as a fraction of one.
    daily_volatility: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Execution:
    """One report about a fill; `fill_id` is the broker's and unique.

    A bust says what it takes back, a correction what the fill named in `refers_to` should have
    said; either may arrive before the fill itself.
    """

    fill_id: str
    quantity: Decimal
    price: Decimal
    fill_date: date
    kind: ExecutionKind = ExecutionKind.FILL
    refers_to: str = ""


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """What the broker knows of one of our orders, every execution included.

    `filled_quantity` is the broker's own cumulative figure, busts and corrections counted.
    """

    client_order_id: str
    status: BrokerStatus
    filled_quantity: Decimal
    executions: tuple[Execution, ...]
    reason: str = ""
    broker_order_id: str = ""
    symbol: str = ""
    side: Side | None = None
    quantity: Decimal = ZERO


def reject_ticket(ticket: OrderTicket, reason: str) -> BrokerOrder:
    """Return what becomes of a ticket that its broker refuses."""
    return BrokerOrder(
        client_order_id=ticket.client_order_id,
        status=BrokerStatus.REJECTED,
        filled_quantity=ZERO,
        executions=(),
        reason=reason[:300],
        symbol=ticket.symbol,
        side=ticket.side,
        quantity=ticket.quantity,
    )


@dataclass(frozen=True, slots=True)
class AllocationShare:
    """One account's share of a block: shares, and the cash paid or received for them."""

    account_number: str
    quantity: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class AllocationInstruction:
    """Whose the shares of a block are, all told; a later `number` replaces an earlier one."""

    block_id: str
    number: int
    symbol: str
    side: Side
    client_order_ids: tuple[str, ...]
    shares: tuple[AllocationShare, ...]


@dataclass(frozen=True, slots=True)
class BrokerPosition:
    """What the broker says an account holds; `symbol` is empty for cash."""

    account_number: str
    symbol: str
    quantity: Decimal


class Broker(Protocol):
    """A broker behind one set of questions; every call may be repeated without harm."""

    name: str
    abilities: Abilities

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

    def cancel(self, client_order_id: str) -> None:
        """Ask the broker to stop working an order; what came of it is in `get_orders`.

        :raises BrokerUnavailable: when it does not answer.
        """
        ...

    def list_orders(self, since: datetime) -> Sequence[BrokerOrder]:
        """Return every order that is open or was touched since, whoever sent it.

        :raises BrokerUnavailable: when it does not answer.
        """
        ...

    def allocate(self, instruction: AllocationInstruction) -> None:
        """Tell whose the shares of a block are; only where `abilities.has_blocks`.

        :raises BrokerUnavailable: when it does not answer.
        """
        ...

    def list_positions(self, account_numbers: Sequence[str]) -> Sequence[BrokerPosition]:
        """Return what these accounts hold, cash included, by the broker's own books.

        :raises BrokerUnavailable: when it does not answer.
        """
        ...
