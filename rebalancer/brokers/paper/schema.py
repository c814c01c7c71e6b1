"""The tables of the paper exchange's durable list, and the way up from its first version."""

import sqlite3
from decimal import Decimal

from portfolios.domain.money import ZERO

VERSION = 2

_SCHEMA = """
CREATE TABLE exchange_order (
    client_order_id TEXT PRIMARY KEY, broker_order_id TEXT NOT NULL, symbol TEXT NOT NULL,
    side TEXT NOT NULL, quantity TEXT NOT NULL, share_step TEXT NOT NULL,
    market_price TEXT NOT NULL, half_spread_bps TEXT NOT NULL, daily_volume TEXT,
    daily_volatility TEXT, limit_price TEXT, market_date TEXT NOT NULL,
    account_number TEXT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL,
    parts TEXT NOT NULL, touched_at TEXT NOT NULL, touched_tick INTEGER NOT NULL,
    late_parts INTEGER NOT NULL, taken_count INTEGER NOT NULL, look_count INTEGER NOT NULL,
    fill_count INTEGER NOT NULL, filled_quantity TEXT NOT NULL, filled_value TEXT NOT NULL,
    block_id TEXT NOT NULL, posted_quantity TEXT NOT NULL, posted_amount TEXT NOT NULL,
    split_ratio TEXT NOT NULL);
CREATE INDEX exchange_order_at_work ON exchange_order (client_order_id)
    WHERE status = 'WORKING' OR late_parts > 0;
CREATE INDEX exchange_order_touched ON exchange_order (touched_at);
CREATE TABLE exchange_execution (
    fill_id TEXT PRIMARY KEY, client_order_id TEXT NOT NULL, quantity TEXT NOT NULL,
    price TEXT NOT NULL, fill_date TEXT NOT NULL, kind TEXT NOT NULL, refers_to TEXT NOT NULL,
    tick INTEGER NOT NULL);
CREATE INDEX exchange_execution_order ON exchange_execution (client_order_id);
CREATE INDEX exchange_execution_answers ON exchange_execution (refers_to) WHERE refers_to <> '';
CREATE TABLE exchange_symbol (
    symbol TEXT PRIMARY KEY, price TEXT, is_forbidden INTEGER NOT NULL DEFAULT 0,
    halted_until INTEGER NOT NULL DEFAULT 0);
CREATE TABLE exchange_pressure (
    symbol TEXT, market_date TEXT, side TEXT, quantity TEXT NOT NULL, tick INTEGER NOT NULL,
    PRIMARY KEY (symbol, market_date, side));
CREATE TABLE exchange_due (
    due_tick INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (kind, key));
CREATE TABLE exchange_position (
    account_number TEXT, symbol TEXT, quantity TEXT NOT NULL,
    PRIMARY KEY (account_number, symbol));
CREATE TABLE exchange_allocation (
    block_id TEXT PRIMARY KEY, number INTEGER NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL,
    shares TEXT NOT NULL, ratio TEXT NOT NULL);
CREATE TABLE exchange_transfer (key TEXT PRIMARY KEY);
CREATE TABLE exchange_setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables if they are not there, taking over the orders of an older record."""
    [(version,)] = connection.execute("PRAGMA user_version").fetchall()
    if version >= VERSION:
        return
    for statement in _SCHEMA.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'paper_order'").fetchone():
        _take_over(connection)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _take_over(connection: sqlite3.Connection) -> None:
    """Bring orders and executions over from the first version of this record."""
    record = "SELECT quantity, price FROM paper_execution WHERE client_order_id = ?"
    for row in connection.execute("SELECT * FROM paper_order").fetchall():
        client_order_id, symbol, side, quantity, status, reason, parts, price, market_date = row
        fills = [
            (Decimal(filled), Decimal(paid))
            for filled, paid in connection.execute(record, (client_order_id,))
        ]
        connection.execute(
            "INSERT INTO exchange_order VALUES (?, ?, ?, ?, ?, '0.00000001', ?, '0', NULL, NULL,"
            " NULL, ?, '', ?, ?, ?, '', 0, 0, 1, 0, ?, ?, ?, '', '0', '0', '1')",
            (
                client_order_id,
                f"P-{client_order_id}",
                symbol,
                side,
                quantity,
                price,
                market_date,
                status,
                reason,
                " ".join(parts.split()[len(fills) :]),
                len(fills),
                str(sum((filled for filled, _paid in fills), ZERO)),
                str(sum((filled * paid for filled, paid in fills), ZERO)),
            ),
        )
    connection.execute(
        "INSERT INTO exchange_execution"
        " SELECT fill_id, client_order_id, quantity, price, fill_date, 'FILL', '', 0"
        " FROM paper_execution ORDER BY rowid"
    )
