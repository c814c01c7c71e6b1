"""The paper exchange for a simulator: in this process, in memory, time moved by hand.

The faults of the wire are drawn from the exchange's own generator; whatever happens, the caller
sees what it would see of a real wire: an answer, or none.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from rebalancer.brokers.paper.dial import WireFault, draw_wire_fault
from rebalancer.brokers.paper.exchange import Exchange
from rebalancer.brokers.port import (
    Abilities,
    AllocationInstruction,
    BrokerOrder,
    BrokerPosition,
    BrokerUnavailable,
    OrderTicket,
)

_NOT_DONE = (WireFault.REQUEST_LOST, WireFault.THROTTLED, WireFault.TAKEN_LATE)


class SimulatedBroker:
    """A broker over an exchange whose wire may fail; it ticks only when it is told to."""

    name = "PAPER"

    def __init__(self, exchange: Exchange, *, has_blocks: bool = True) -> None:
        self.exchange = exchange
        self.abilities = Abilities(
            has_unique_ids=exchange.dial.has_unique_ids,
            has_limit_orders=True,
            has_blocks=has_blocks,
        )

    def _pass_wire(self, fault: WireFault | None) -> None:
        if fault is not None:
            raise BrokerUnavailable(f"the wire failed: {fault}")

    def _draw(self) -> WireFault | None:
        fault = draw_wire_fault(self.exchange.rng, self.exchange.dial)
        if fault in _NOT_DONE and fault is not WireFault.TAKEN_LATE:
            raise BrokerUnavailable(f"the wire failed: {fault}")
        return fault

    def submit(self, ticket: OrderTicket) -> BrokerOrder:
        """Send an order through the wire."""
        fault = self._draw()
        if fault is WireFault.TAKEN_LATE:
            self.exchange.submit_late(ticket)
            raise BrokerUnavailable("the wire failed: taken after the time-out")
        order = self.exchange.submit(ticket)
        self._pass_wire(fault)
        return order

    def get_orders(self, client_order_ids: Sequence[str]) -> Mapping[str, BrokerOrder]:
        """Ask about orders through the wire."""
        self._pass_wire(self._draw())
        return self.exchange.tell(client_order_ids)

    def cancel(self, client_order_id: str) -> None:
        """Ask for a cancel through the wire."""
        fault = self._draw()
        self.exchange.cancel(client_order_id)
        self._pass_wire(fault)

    def list_orders(self, since: datetime) -> Sequence[BrokerOrder]:
        """Ask for the list through the wire."""
        self._pass_wire(self._draw())
        return self.exchange.list_orders(since)

    def allocate(self, instruction: AllocationInstruction) -> None:
        """Send an allocation through the wire."""
        fault = self._draw()
        self.exchange.allocate(instruction)
        self._pass_wire(fault)

    def list_positions(self, account_numbers: Sequence[str]) -> Sequence[BrokerPosition]:
        """Ask for positions through the wire."""
        self._pass_wire(self._draw())
        return self.exchange.list_positions(account_numbers)
