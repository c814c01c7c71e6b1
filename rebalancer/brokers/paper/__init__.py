"""The paper broker: an exchange with a durable record of its own, in this process or in its own.

It commits on its own, as a real broker would: whatever dies on our side, it remembers what it was
sent. Each look lets the orders that are asked about execute a little further.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from random import Random

from rebalancer.brokers.paper.dial import Dial, parse_dial
from rebalancer.brokers.paper.exchange import Exchange
from rebalancer.brokers.paper.ledger import CustodyTransfer
from rebalancer.brokers.paper.record import Record
from rebalancer.brokers.port import (
    Abilities,
    AllocationInstruction,
    BrokerOrder,
    BrokerPosition,
    BrokerUnavailable,
    OrderTicket,
)
from robo.common import clock

REJECT_SHARE = 0.01
PARTIAL_SHARE = 0.25

_DIAL = "dial"


class PaperBroker:
    """A simulated broker with a durable record at `path`."""

    name = "PAPER"
    abilities = Abilities(has_limit_orders=True, has_blocks=True)

    def __init__(
        self,
        path: Path,
        *,
        seed: int,
        reject_share: float | None = None,
        read_clock: Callable[[], datetime] = clock.now,
    ) -> None:
        self.path, self.seed, self._read_clock = path, seed, read_clock
        self.reject_share = REJECT_SHARE if reject_share is None else reject_share

    @contextmanager
    def exchange(self) -> Iterator[Exchange]:
        """Open the exchange for one transaction on its record. BrokerUnavailable."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Without isolation level Python begins no transaction of its own.
            with closing(
                sqlite3.connect(self.path, timeout=10, isolation_level=None)
            ) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("BEGIN IMMEDIATE")
                record = Record(connection)
                yield Exchange(
                    Random(self.seed),
                    self._read_dial(record),
                    record=record,
                    now=self._read_clock(),
                )
                connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            raise BrokerUnavailable(f"the paper broker's record cannot be used: {error}") from error

    def _read_dial(self, record: Record) -> Dial:
        stored = record.get_setting(_DIAL, "")
        if stored:
            return parse_dial(json.loads(stored))
        return Dial(reject_share=self.reject_share, partial_share=PARTIAL_SHARE)

    def set_dial(self, dial: Dial | None) -> None:
        """Turn the fault dial, for good; None: back to the usual."""
        with self.exchange() as exchange:
            values = "" if dial is None else json.dumps(asdict(dial))
            exchange.record.set_setting(_DIAL, values)

    def get_dial(self) -> Dial:
        """Return how the fault dial stands."""
        with self.exchange() as exchange:
            return exchange.dial

    def submit(self, ticket: OrderTicket) -> BrokerOrder:
        """Take an order once; its first part fills when it is next asked about."""
        with self.exchange() as exchange:
            return exchange.submit(ticket)

    def get_orders(self, client_order_ids: Sequence[str]) -> Mapping[str, BrokerOrder]:
        """Let one more part of each of these orders execute, and return what is known."""
        with self.exchange() as exchange:
            exchange.tick(client_order_ids)
            return exchange.tell(client_order_ids)

    def cancel(self, client_order_id: str) -> None:
        """Stop working an order."""
        with self.exchange() as exchange:
            exchange.cancel(client_order_id)

    def list_orders(self, since: datetime) -> Sequence[BrokerOrder]:
        """Return every order that is open or was touched since, by the broker's own clock."""
        with self.exchange() as exchange:
            return exchange.list_orders(since)

    def allocate(self, instruction: AllocationInstruction) -> None:
        """Give a block's shares to accounts, once for each number."""
        with self.exchange() as exchange:
            exchange.allocate(instruction)

    def list_positions(self, account_numbers: Sequence[str]) -> Sequence[BrokerPosition]:
        """Return what accounts hold, cash included."""
        with self.exchange() as exchange:
            return exchange.list_positions(account_numbers)

    def transfer(self, *, key: str, account_number: str, symbol: str, quantity: Decimal) -> bool:
        """Bring shares (or cash: no symbol) into an account, once for each key."""
        with self.exchange() as exchange:
            return exchange.transfer(
                key=key, account_number=account_number, symbol=symbol, quantity=quantity
            )

    def transfer_all(self, transfers: Sequence[CustodyTransfer]) -> int:
        """Make transfers, all or none of them; return how many were new."""
        with self.exchange() as exchange:
            return sum(
                exchange.transfer(
                    key=one.key,
                    account_number=one.account_number,
                    symbol=one.symbol,
                    quantity=one.quantity,
                )
                for one in transfers
            )

    def count_orders(self) -> int:
        """Return how many orders were ever taken."""
        with self.exchange() as exchange:
            return exchange.count_orders()


__all__ = [
    "PARTIAL_SHARE",
    "REJECT_SHARE",
    "CustodyTransfer",
    "Dial",
    "Exchange",
    "PaperBroker",
]
