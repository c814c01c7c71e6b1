"""The paper broker: fills at price plus half spread, in parts, and rejects now and then, by seed.

It keeps its own record in a file apart from our database and commits on its own, as a real broker
would: whatever dies on our side, it remembers what it was sent. An order's fate is a function of
the seed and its client order id, so a run can be repeated.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from random import Random

from portfolios.domain.money import ZERO, floor_to_step
from rebalancer.brokers.port import (
    BrokerOrder,
    BrokerStatus,
    BrokerUnavailable,
    Execution,
    OrderTicket,
)
from rebalancer.domain.execution import measure_fill_price

REJECT_SHARE = 0.01
PARTIAL_SHARE = 0.25
PART_COUNT_MAX = 3

_SCHEMA = """
CREATE TABLE IF NOT EXISTS paper_order (
    client_order_id TEXT PRIMARY KEY, symbol TEXT NOT NULL, side TEXT NOT NULL,
    quantity TEXT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL,
    parts TEXT NOT NULL, price TEXT NOT NULL, market_date TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS paper_execution (
    fill_id TEXT PRIMARY KEY, client_order_id TEXT NOT NULL, quantity TEXT NOT NULL,
    price TEXT NOT NULL, fill_date TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS paper_execution_order ON paper_execution (client_order_id);
"""


class PaperBroker:
    """A simulated broker with a durable record at `path`."""

    name = "PAPER"

    def __init__(self, path: Path, *, seed: int, reject_share: float | None = None) -> None:
        self.path, self.seed = path, seed
        self.reject_share = REJECT_SHARE if reject_share is None else reject_share

    @contextmanager
    def _record(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=10)) as connection:
                connection.executescript("PRAGMA journal_mode = WAL;" + _SCHEMA)
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.commit()
        except (sqlite3.Error, OSError) as error:
            raise BrokerUnavailable(f"the paper broker's record cannot be used: {error}") from error

    def submit(self, ticket: OrderTicket) -> BrokerOrder:
        """Take an order once; its first part fills when it is next asked about."""
        fate = Random(f"{self.seed}:{ticket.client_order_id}")
        is_rejected = fate.random() < self.reject_share
        parts = [] if is_rejected else _split_parts(ticket, fate)
        price = measure_fill_price(
            side=ticket.side, price=ticket.market_price, half_spread_bps=ticket.half_spread_bps
        )
        with self._record() as record:
            record.execute(
                "INSERT OR IGNORE INTO paper_order VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    ticket.client_order_id,
                    ticket.symbol,
                    ticket.side.value,
                    str(ticket.quantity),
                    (BrokerStatus.REJECTED if is_rejected else BrokerStatus.WORKING).value,
                    "Rejected by the paper broker's dice" if is_rejected else "",
                    " ".join(str(part) for part in parts),
                    str(price),
                    ticket.market_date.isoformat(),
                ),
            )
            [order] = _read(record, [ticket.client_order_id])
        return order

    def get_orders(self, client_order_ids: Sequence[str]) -> Mapping[str, BrokerOrder]:
        """Let one more part of each working order execute, and return what is known."""
        with self._record() as record:
            for client_order_id in client_order_ids:
                _execute_next_part(record, client_order_id)
            return {order.client_order_id: order for order in _read(record, client_order_ids)}

    def count_orders(self) -> int:
        """Return how many orders were ever taken."""
        with self._record() as record:
            [(count,)] = record.execute("SELECT count(*) FROM paper_order")
        return int(count)


def _split_parts(ticket: OrderTicket, fate: Random) -> list[Decimal]:
    """Return the quantities in which an order executes: whole share steps, then the rest."""
    if fate.random() >= PARTIAL_SHARE:
        return [ticket.quantity]
    parts, left = [], ticket.quantity
    for _ in range(fate.randint(1, PART_COUNT_MAX - 1)):
        share = Decimal(str(round(fate.uniform(0.2, 0.7), 3)))
        part = floor_to_step(left * share, ticket.share_step)
        if 0 < part < left:
            parts.append(part)
            left -= part
    return [*parts, left]


def _execute_next_part(record: sqlite3.Connection, client_order_id: str) -> None:
    row = record.execute(
        "SELECT parts, price, market_date FROM paper_order"
        " WHERE client_order_id = ? AND status = 'WORKING'",
        (client_order_id,),
    ).fetchone()
    if row is None:
        return
    parts, price, market_date = row[0].split(), row[1], row[2]
    [(number,)] = record.execute(
        "SELECT count(*) FROM paper_execution WHERE client_order_id = ?", (client_order_id,)
    )
    record.execute(
        "INSERT INTO paper_execution VALUES (?, ?, ?, ?, ?)",
        (f"{client_order_id}-{number + 1}", client_order_id, parts[number], price, market_date),
    )
    if number + 1 == len(parts):
        record.execute(
            "UPDATE paper_order SET status = 'FILLED' WHERE client_order_id = ?",
            (client_order_id,),
        )


def _read(record: sqlite3.Connection, client_order_ids: Sequence[str]) -> list[BrokerOrder]:
    orders = []
    for client_order_id in client_order_ids:
        row = record.execute(
            "SELECT status, reason FROM paper_order WHERE client_order_id = ?", (client_order_id,)
        ).fetchone()
        if row is None:
            continue
        executions = tuple(
            Execution(fill_id, Decimal(quantity), Decimal(price), date.fromisoformat(day))
            for fill_id, quantity, price, day in record.execute(
                "SELECT fill_id, quantity, price, fill_date FROM paper_execution"
                " WHERE client_order_id = ? ORDER BY rowid",
                (client_order_id,),
            )
        )
        orders.append(
            BrokerOrder(
                client_order_id=client_order_id,
                status=BrokerStatus(row[0]),
                filled_quantity=sum((e.quantity for e in executions), ZERO),
                executions=executions,
                reason=row[1],
            )
        )
    return orders
