"""What a FIX session must remember: sequence numbers, what was sent, and what came back.

One SQLite file for each session. A message is counted as received in the same transaction as what
it told us, so that being killed in between neither loses a report nor counts one twice.
"""

import fcntl
import hashlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from portfolios.domain.kinds import Side
from portfolios.domain.money import ZERO
from rebalancer.brokers.port import (
    BrokerOrder,
    BrokerStatus,
    BrokerUnavailable,
    Execution,
    ExecutionKind,
    OrderTicket,
)
from robo.common import clock

_SCHEMA = """
CREATE TABLE IF NOT EXISTS number (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT OR IGNORE INTO number VALUES ('next_in', 1), ('next_out', 1), ('cancels', 0);
CREATE TABLE IF NOT EXISTS sent (
    client_order_id TEXT PRIMARY KEY, symbol TEXT NOT NULL, side TEXT NOT NULL,
    quantity TEXT NOT NULL, market_date TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS told (
    client_order_id TEXT PRIMARY KEY, broker_order_id TEXT NOT NULL, status TEXT NOT NULL,
    filled_quantity TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL,
    quantity TEXT NOT NULL, reason TEXT NOT NULL, touched_at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS told_touched ON told (touched_at);
CREATE TABLE IF NOT EXISTS execution (
    fill_id TEXT PRIMARY KEY, client_order_id TEXT NOT NULL, quantity TEXT NOT NULL,
    price TEXT NOT NULL, fill_date TEXT NOT NULL, kind TEXT NOT NULL, refers_to TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS execution_order ON execution (client_order_id);
"""
FILL_ID_LENGTH_MAX = 80
_LOCK_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Report:
    """What one execution report says of an order, and the execution in it, if there is one."""

    client_order_id: str
    broker_order_id: str
    status: BrokerStatus
    filled_quantity: Decimal
    symbol: str
    side: Side | None
    quantity: Decimal
    reason: str
    execution: Execution | None


@dataclass(frozen=True, slots=True)
class SentOrder:
    """What was sent under an id."""

    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    market_date: date


class FixStore:
    """The memory of one session, in a file of its own.

    `prefix` stands before the ids of executions, which are unique in one session only, while we
    keep those of many.
    """

    def __init__(self, path: Path, *, prefix: str = "") -> None:
        self.path, self._prefix = path, prefix
        self._kept: sqlite3.Connection | None = None

    @contextmanager
    def hold(self, *, timeout_seconds: float) -> Iterator[None]:
        """Keep every other process away from the session. BrokerUnavailable: it is in use."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.path.with_suffix(".lock").open("a") as file:
            deadline = time.monotonic() + timeout_seconds
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if time.monotonic() > deadline:
                        raise BrokerUnavailable("the FIX session is in use elsewhere") from error
                    time.sleep(_LOCK_POLL_SECONDS)
            try:
                yield
            finally:
                if self._kept is not None:
                    self._kept.close()
                    self._kept = None

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction; the connection stays open while the session is held."""
        try:
            if self._kept is None:
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._kept = sqlite3.connect(self.path, timeout=10, isolation_level=None)
                self._kept.executescript("PRAGMA journal_mode = WAL;" + _SCHEMA)
            connection = self._kept
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            raise BrokerUnavailable(f"the FIX session's memory fails: {error}") from error

    # --- Sequence numbers -----------------------------------------------------------------------

    def get_numbers(self) -> tuple[int, int]:
        """Return the numbers of the next message in and of the next one out."""
        with self._open() as connection:
            found = dict(connection.execute("SELECT name, value FROM number").fetchall())
        return int(found["next_in"]), int(found["next_out"])

    def set_numbers(self, *, next_in: int, next_out: int) -> None:
        """Set both numbers, as agreed with the other side by telephone."""
        with self._open() as connection:
            _set_number(connection, "next_in", next_in)
            _set_number(connection, "next_out", next_out)

    def take_number(self, name: str = "next_out") -> int:
        """Return the next number and count it as used, before anything is sent under it.

        A number that is used up and never sent is a gap, which the other side asks about; a number
        used twice would end the session.
        """
        with self._open() as connection:
            value = _get_number(connection, name)
            _set_number(connection, name, value + 1)
        return value

    def count_in(self, next_in: int, report: Report | None = None) -> None:
        """Move the next number in, together with what the message told."""
        with self._open() as connection:
            if report is not None:
                _keep(connection, report)
            _set_number(connection, "next_in", next_in)

    # --- Orders -----------------------------------------------------------------------------

    def add_sent(self, ticket: OrderTicket) -> bool:
        """Note an order before it is sent; False: an order under this id was noted before."""
        with self._open() as connection:
            cursor = connection.execute(
                "INSERT OR IGNORE INTO sent VALUES (?, ?, ?, ?, ?)",
                (
                    ticket.client_order_id,
                    ticket.symbol,
                    ticket.side.value,
                    str(ticket.quantity),
                    ticket.market_date.isoformat(),
                ),
            )
            return cursor.rowcount == 1

    def get_sent(self, client_order_id: str) -> SentOrder | None:
        """Return what was sent under an id, or None."""
        with self._open() as connection:
            row = connection.execute(
                "SELECT * FROM sent WHERE client_order_id = ?", (client_order_id,)
            ).fetchone()
        if row is None:
            return None
        return SentOrder(row[0], row[1], Side(row[2]), Decimal(row[3]), date.fromisoformat(row[4]))

    def get_orders(self, client_order_ids: Sequence[str]) -> dict[str, BrokerOrder]:
        """Return what was told of these orders."""
        with self._open() as connection:
            found = [self._read(connection, item) for item in client_order_ids]
        return {order.client_order_id: order for order in found if order is not None}

    def list_touched(self, since: datetime) -> list[BrokerOrder]:
        """Return the orders that are open or were reported on since."""
        with self._open() as connection:
            ids = connection.execute(
                "SELECT client_order_id FROM told WHERE status = 'WORKING' OR touched_at >= ?"
                " ORDER BY client_order_id",
                (since.astimezone(UTC).isoformat(timespec="microseconds"),),
            ).fetchall()
            found = [self._read(connection, row[0]) for row in ids]
        return [order for order in found if order is not None]

    def _read(self, connection: sqlite3.Connection, client_order_id: str) -> BrokerOrder | None:
        order = _read(connection, client_order_id)
        if order is None or not self._prefix:
            return order
        executions = tuple(
            replace(
                execution,
                fill_id=self._name(execution.fill_id),
                refers_to=self._name(execution.refers_to) if execution.refers_to else "",
            )
            for execution in order.executions
        )
        return replace(order, executions=executions)

    def _name(self, fill_id: str) -> str:
        name = f"{self._prefix}:{fill_id}"
        if len(name) <= FILL_ID_LENGTH_MAX:
            return name
        return f"{self._prefix}:{hashlib.sha256(fill_id.encode()).hexdigest()}"

    def get_fill(self, fill_id: str) -> tuple[Decimal, Decimal] | None:
        """Return the quantity and price of a fill that was reported, or None."""
        with self._open() as connection:
            row = connection.execute(
                "SELECT quantity, price FROM execution WHERE fill_id = ?", (fill_id,)
            ).fetchone()
        return None if row is None else (Decimal(row[0]), Decimal(row[1]))


def _get_number(connection: sqlite3.Connection, name: str) -> int:
    [(value,)] = connection.execute("SELECT value FROM number WHERE name = ?", (name,)).fetchall()
    return int(value)


def _set_number(connection: sqlite3.Connection, name: str, value: int) -> None:
    connection.execute("UPDATE number SET value = ? WHERE name = ?", (value, name))


def _keep(connection: sqlite3.Connection, report: Report) -> None:
    now = clock.now().astimezone(UTC).isoformat(timespec="microseconds")
    connection.execute(
        "INSERT OR REPLACE INTO told VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            report.client_order_id,
            report.broker_order_id,
            report.status.value,
            str(report.filled_quantity),
            report.symbol,
            "" if report.side is None else report.side.value,
            str(report.quantity),
            report.reason,
            now,
        ),
    )
    execution = report.execution
    if execution is not None:
        connection.execute(
            "INSERT OR IGNORE INTO execution VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                execution.fill_id,
                report.client_order_id,
                str(execution.quantity),
                str(execution.price),
                execution.fill_date.isoformat(),
                execution.kind.value,
                execution.refers_to,
            ),
        )


def _read(connection: sqlite3.Connection, client_order_id: str) -> BrokerOrder | None:
    row = connection.execute(
        "SELECT * FROM told WHERE client_order_id = ?", (client_order_id,)
    ).fetchone()
    if row is None:
        return None
    executions = tuple(
        Execution(
            fill_id,
            Decimal(quantity),
            Decimal(price),
            date.fromisoformat(day),
            ExecutionKind(kind),
            refers_to,
        )
        for fill_id, quantity, price, day, kind, refers_to in connection.execute(
            "SELECT fill_id, quantity, price, fill_date, kind, refers_to FROM execution"
            " WHERE client_order_id = ? ORDER BY rowid",
            (client_order_id,),
        )
    )
    return BrokerOrder(
        client_order_id=row[0],
        status=BrokerStatus(row[2]),
        filled_quantity=Decimal(row[3]),
        executions=executions,
        reason=row[7],
        broker_order_id=row[1],
        symbol=row[4],
        side=Side(row[5]) if row[5] else None,
        quantity=Decimal(row[6] or ZERO),
    )
