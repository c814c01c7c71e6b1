"""The paper exchange's durable list: one SQLite file (or memory), read and written row by row.

SQLite because it must outlive our processes, our database and itself being killed, with nothing to
install. Whoever opens the connection owns the transaction.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import date
from decimal import Decimal
from typing import Any

from portfolios.domain.kinds import Side
from portfolios.domain.money import ZERO
from rebalancer.brokers.paper.market import Quote
from rebalancer.brokers.paper.schema import prepare
from rebalancer.brokers.port import BrokerStatus, Execution, ExecutionKind


@dataclass(slots=True)
class PaperOrder:
    """One order as the exchange keeps it; the fields are the columns, in order."""

    client_order_id: str
    broker_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    share_step: Decimal
    market_price: Decimal
    half_spread_bps: Decimal
    daily_volume: Decimal | None
    daily_volatility: Decimal | None
    limit_price: Decimal | None
    market_date: date
    account_number: str
    status: BrokerStatus
    reason: str
    parts: tuple[Decimal, ...]  # still to execute
    touched_at: str
    touched_tick: int
    late_parts: int = 0  # execute although the order was cancelled
    taken_count: int = 1
    look_count: int = 0
    fill_count: int = 0
    filled_quantity: Decimal = ZERO
    filled_value: Decimal = ZERO
    block_id: str = ""  # of the allocation that took its shares over
    posted_quantity: Decimal = ZERO  # what its own account was given for it
    posted_amount: Decimal = ZERO
    split_ratio: Decimal = Decimal(1)  # shares of today for one share of the trade

    def quote(self, price: Decimal | None) -> Quote:
        """Return the market that it meets; `price` if the exchange was told a newer one."""
        return Quote(
            side=self.side,
            price=self.market_price if price is None else price,
            half_spread_bps=self.half_spread_bps,
            daily_volume=self.daily_volume,
            daily_volatility=self.daily_volatility,
        )


@dataclass(frozen=True, slots=True)
class PaperExecution:
    """A report with the order it belongs to and the tick it happened at."""

    client_order_id: str
    tick: int
    report: Execution


_COLUMNS = [field.name for field in fields(PaperOrder)]
_DECIMALS = {
    "quantity",
    "share_step",
    "market_price",
    "half_spread_bps",
    "daily_volume",
    "daily_volatility",
    "limit_price",
    "filled_quantity",
    "filled_value",
    "posted_quantity",
    "posted_amount",
    "split_ratio",
}


class Record:
    """The rows of one exchange, over a connection whose transaction somebody else ends."""

    def __init__(self, connection: sqlite3.Connection | None = None) -> None:
        # In memory it may change threads; whoever shares it keeps the threads apart.
        self.connection = connection or sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False
        )
        prepare(self.connection)

    def _all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, values).fetchall()

    def _one(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self.connection.execute(sql, values).fetchone()
        return row

    # --- Orders -----------------------------------------------------------------------------

    def get_order(self, client_order_id: str) -> PaperOrder | None:
        """Return an order, or None."""
        row = self._one("SELECT * FROM exchange_order WHERE client_order_id = ?", client_order_id)
        return None if row is None else _read_order(row)

    def put_order(self, order: PaperOrder) -> None:
        """Store an order as it now stands."""
        values = [to_plain(value) for value in astuple(order)]
        marks = ", ".join("?" * len(values))
        self.connection.execute(f"INSERT OR REPLACE INTO exchange_order VALUES ({marks})", values)  # noqa: S608

    def list_at_work(self) -> list[str]:
        """Return the ids of orders that a tick may change, in their own order."""
        sql = (
            "SELECT client_order_id FROM exchange_order"
            " WHERE status = 'WORKING' OR late_parts > 0 ORDER BY client_order_id"
        )
        return [row[0] for row in self._all(sql)]

    def list_open_in(self, symbol: str) -> list[PaperOrder]:
        """Return the open orders in a security."""
        sql = "SELECT * FROM exchange_order WHERE symbol = ? AND status = 'WORKING'"
        return [_read_order(row) for row in self._all(sql, symbol)]

    def list_open_on(self, market_date: date) -> list[PaperOrder]:
        """Return the open orders of a trading day."""
        sql = "SELECT * FROM exchange_order WHERE market_date = ? AND status = 'WORKING'"
        return [_read_order(row) for row in self._all(sql, market_date.isoformat())]

    def list_touched(self, since: str) -> list[PaperOrder]:
        """Return every order that is open or was touched since, by id."""
        sql = (
            "SELECT * FROM exchange_order WHERE status = 'WORKING' OR touched_at >= ?"
            " ORDER BY client_order_id"
        )
        return [_read_order(row) for row in self._all(sql, since)]

    def list_filled(self, symbol: str) -> list[PaperOrder]:
        """Return the orders in a security that executed at all."""
        sql = "SELECT * FROM exchange_order WHERE symbol = ? AND fill_count > 0"
        return [_read_order(row) for row in self._all(sql, symbol)]

    def count_orders(self) -> tuple[int, int]:
        """Return how many ids were ever taken, and how many of them more than once."""
        [(count, doubled)] = self._all(
            "SELECT count(*), coalesce(sum(taken_count > 1), 0) FROM exchange_order"
        )
        return int(count), int(doubled)

    # --- Executions ---------------------------------------------------------------------------

    def add_execution(self, execution: PaperExecution) -> None:
        """Store a report for good."""
        report = execution.report
        self.connection.execute(
            "INSERT INTO exchange_execution VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                report.fill_id,
                execution.client_order_id,
                str(report.quantity),
                str(report.price),
                report.fill_date.isoformat(),
                report.kind.value,
                report.refers_to,
                execution.tick,
            ),
        )

    def list_executions(self, client_order_id: str) -> list[PaperExecution]:
        """Return an order's reports in the order in which they happened."""
        sql = "SELECT * FROM exchange_execution WHERE client_order_id = ? ORDER BY rowid"
        return [_read_execution(row) for row in self._all(sql, client_order_id)]

    def get_execution(self, fill_id: str) -> PaperExecution | None:
        """Return one report, or None."""
        row = self._one("SELECT * FROM exchange_execution WHERE fill_id = ?", fill_id)
        return None if row is None else _read_execution(row)

    def get_standing(self, fill_id: str) -> Execution | None:
        """Return what a fill amounts to by its latest answer; busted or unknown: None."""
        fill = self.get_execution(fill_id)
        sql = "SELECT * FROM exchange_execution WHERE refers_to = ? ORDER BY rowid DESC LIMIT 1"
        row = self._one(sql, fill_id)
        if fill is None or row is None:
            return None if fill is None else fill.report
        answer = _read_execution(row).report
        return None if answer.kind is ExecutionKind.BUST else answer

    def count_answers(self, fill_id: str) -> int:
        """Return how many busts and corrections a fill has had."""
        [(count,)] = self._all("SELECT count(*) FROM exchange_execution WHERE refers_to=?", fill_id)
        return int(count)

    # --- The market ---------------------------------------------------------------------------

    def get_symbol(self, symbol: str) -> tuple[Decimal | None, bool, int]:
        """Return a security's told price, whether it is forbidden, and the end of its halt."""
        sql = "SELECT price, is_forbidden, halted_until FROM exchange_symbol WHERE symbol = ?"
        row = self._one(sql, symbol) or (None, 0, 0)
        return None if row[0] is None else Decimal(row[0]), bool(row[1]), int(row[2])

    def set_symbol(
        self, symbol: str, *, price: Decimal | None, is_forbidden: bool, halted_until: int
    ) -> None:
        """Store a security's price, whether it may be traded, and the end of its halt."""
        self.connection.execute(
            "INSERT OR REPLACE INTO exchange_symbol VALUES (?, ?, ?, ?)",
            (symbol, to_plain(price), int(is_forbidden), halted_until),
        )

    def get_pressure(self, order: PaperOrder) -> tuple[Decimal, int]:
        """Return the shares that pressed on the order's market, and the tick they did at."""
        row = self._one(
            "SELECT quantity, tick FROM exchange_pressure"
            " WHERE symbol = ? AND market_date = ? AND side = ?",
            order.symbol,
            order.market_date.isoformat(),
            order.side.value,
        )
        return (ZERO, 0) if row is None else (Decimal(row[0]), int(row[1]))

    def set_pressure(self, order: PaperOrder, quantity: Decimal, tick: int) -> None:
        """Store the shares that press on the order's market as of a tick."""
        self.connection.execute(
            "INSERT OR REPLACE INTO exchange_pressure VALUES (?, ?, ?, ?, ?)",
            (
                order.symbol,
                order.market_date.isoformat(),
                order.side.value,
                str(quantity),
                tick,
            ),
        )

    # --- What comes later, positions, settings --------------------------------------------------

    def add_due(self, due_tick: int, kind: str, key: str, body: str = "") -> None:
        """Note something to be done at a tick; the same thing is noted once."""
        self.connection.execute(
            "INSERT OR IGNORE INTO exchange_due VALUES (?, ?, ?, ?)", (due_tick, kind, key, body)
        )

    def take_due(self, tick: int) -> list[tuple[str, str, str]]:
        """Return and forget what has fallen due: kind, key, body."""
        sql = "SELECT kind, key, body FROM exchange_due WHERE due_tick <= ? ORDER BY due_tick, key"
        found = self._all(sql, tick)
        self.connection.execute("DELETE FROM exchange_due WHERE due_tick <= ?", (tick,))
        return [(str(kind), str(key), str(body)) for kind, key, body in found]

    def get_position(self, account_number: str, symbol: str) -> Decimal:
        """Return what an account holds of a security, or its cash (no symbol)."""
        row = self._one(
            "SELECT quantity FROM exchange_position WHERE account_number = ? AND symbol = ?",
            account_number,
            symbol,
        )
        return ZERO if row is None else Decimal(row[0])

    def set_position(self, account_number: str, symbol: str, quantity: Decimal) -> None:
        """Store what an account holds."""
        self.connection.execute(
            "INSERT OR REPLACE INTO exchange_position VALUES (?, ?, ?)",
            (account_number, symbol, str(quantity)),
        )

    def list_positions(
        self, account_numbers: Iterable[str] | None = None, symbol: str | None = None
    ) -> Iterator[tuple[str, str, Decimal]]:
        """Yield account, security and quantity, of some accounts or of one security."""
        sql = "SELECT account_number, symbol, quantity FROM exchange_position"
        if symbol is not None:
            rows = self._all(f"{sql} WHERE symbol = ? ORDER BY account_number", symbol)
        else:
            rows = [
                row
                for number in account_numbers or ()
                for row in self._all(f"{sql} WHERE account_number = ? ORDER BY symbol", number)
            ]
        for number, found, quantity in rows:
            yield number, found, Decimal(quantity)

    def get_allocation(self, block_id: str) -> tuple[Any, ...] | None:
        """Return an allocation's number, security, side, shares (JSON) and split ratio, or None."""
        sql = "SELECT number, symbol, side, shares, ratio FROM exchange_allocation WHERE block_id=?"
        return self._one(sql, block_id)

    def list_allocations(self, symbol: str) -> list[tuple[str, Decimal]]:
        """Return the allocations in a security: block and split ratio."""
        sql = "SELECT block_id, ratio FROM exchange_allocation WHERE symbol = ?"
        return [(str(block_id), Decimal(ratio)) for block_id, ratio in self._all(sql, symbol)]

    def set_allocation_ratio(self, block_id: str, ratio: Decimal) -> None:
        """Store how many shares of today one share of the block has become."""
        sql = "UPDATE exchange_allocation SET ratio = ? WHERE block_id = ?"
        self.connection.execute(sql, (str(ratio), block_id))

    def put_allocation(self, block_id: str, values: Sequence[Any]) -> None:
        """Store an allocation: number, security, side, shares (JSON), split ratio."""
        self.connection.execute(
            "INSERT OR REPLACE INTO exchange_allocation VALUES (?, ?, ?, ?, ?, ?)",
            (block_id, *values),
        )

    def add_transfer(self, key: str) -> bool:
        """Note a transfer; False if it was noted before."""
        sql = "INSERT OR IGNORE INTO exchange_transfer VALUES (?)"
        return self.connection.execute(sql, (key,)).rowcount == 1

    def get_setting(self, name: str, default: str) -> str:
        """Return a setting."""
        row = self._one("SELECT value FROM exchange_setting WHERE name = ?", name)
        return default if row is None else str(row[0])

    def set_setting(self, name: str, value: str) -> None:
        """Store a setting."""
        self.connection.execute(
            "INSERT OR REPLACE INTO exchange_setting VALUES (?,?)", (name, value)
        )


def to_plain(value: Any) -> Any:
    """Return a value as SQLite stores it: numbers and days as text."""
    if isinstance(value, tuple):
        return " ".join(str(part) for part in value)
    if isinstance(value, Decimal):
        return str(value) if value else "0"
    if isinstance(value, date):
        return value.isoformat()
    return value


def _read_order(row: Sequence[Any]) -> PaperOrder:
    values = dict(zip(_COLUMNS, row, strict=True))
    for name in _DECIMALS:
        if values[name] is not None:
            values[name] = Decimal(values[name])
    values["side"] = Side(values["side"])
    values["status"] = BrokerStatus(values["status"])
    values["market_date"] = date.fromisoformat(values["market_date"])
    values["parts"] = tuple(Decimal(part) for part in values["parts"].split())
    return PaperOrder(**values)


def _read_execution(row: Sequence[Any]) -> PaperExecution:
    fill_id, client_order_id, quantity, price, fill_date, kind, refers_to, tick = row
    return PaperExecution(
        client_order_id=client_order_id,
        tick=tick,
        report=Execution(
            fill_id=fill_id,
            quantity=Decimal(quantity),
            price=Decimal(price),
            fill_date=date.fromisoformat(fill_date),
            kind=ExecutionKind(kind),
            refers_to=refers_to,
        ),
    )
