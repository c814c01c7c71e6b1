"""A broker whose every word a test writes: it takes orders, and says what it is told to say."""

from dataclasses import dataclass, field, replace
from decimal import Decimal

from rebalancer.brokers.port import (
    Abilities,
    BrokerOrder,
    BrokerStatus,
    BrokerUnavailable,
    Execution,
)
from rebalancer.domain.kinds import ExecutionKind
from tests.rebalancer.world import DAY


@dataclass
class ScriptedBroker:
    """Takes each id once; nothing fills unless a test says so."""

    name: str = "PAPER"
    abilities: Abilities = field(default_factory=lambda: Abilities(has_blocks=True))
    orders: dict = field(default_factory=dict)
    tickets: list = field(default_factory=list)
    cancels: list = field(default_factory=list)
    told: list = field(default_factory=list)
    is_silent: bool = False
    # Takes what it is sent, but the answer is lost.
    is_mute: bool = False

    def _listen(self):
        if self.is_silent:
            raise BrokerUnavailable("no answer")

    def submit(self, ticket):
        self._listen()
        self.tickets.append(ticket)
        self.orders.setdefault(
            ticket.client_order_id,
            BrokerOrder(ticket.client_order_id, BrokerStatus.WORKING, Decimal(0), ()),
        )
        if self.is_mute:
            raise BrokerUnavailable("the answer is lost")
        return self.orders[ticket.client_order_id]

    def get_orders(self, client_order_ids):
        self._listen()
        return {name: self.orders[name] for name in client_order_ids if name in self.orders}

    def cancel(self, client_order_id):
        self._listen()
        self.cancels.append(client_order_id)

    def list_orders(self, since):
        self._listen()
        return list(self.orders.values())

    def allocate(self, instruction):
        self._listen()
        self.told.append(instruction)

    def list_positions(self, account_numbers):
        return []

    # --- What a test makes it say --------------------------------------------------------------

    def say(self, name, fill_id, quantity, price="100", *, total=None, status=None, **more):
        """Add an execution to an order, and to its cumulative figure what it changes."""
        order = self.orders[name]
        quantity = Decimal(quantity)
        kind = more.get("kind", ExecutionKind.FILL)
        change = {ExecutionKind.FILL: quantity, ExecutionKind.BUST: -quantity}.get(kind, 0)
        filled = order.filled_quantity + change if total is None else Decimal(total)
        told = Execution(fill_id, quantity, Decimal(price), more.pop("fill_date", DAY), **more)
        self.orders[name] = replace(
            order,
            executions=(*order.executions, told),
            filled_quantity=filled,
            status=status or order.status,
        )

    def end(self, name, status, reason=""):
        """Say that an order is over."""
        self.orders[name] = replace(self.orders[name], status=status, reason=reason)
