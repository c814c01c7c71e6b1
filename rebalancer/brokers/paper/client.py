"""The paper broker over HTTP: for a broker that outlives us, in a process of its own.

Whatever is not a whole and well-formed answer means that the outcome is not known.
"""

import http.client
import json
import socket
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from rebalancer.brokers.paper import wire
from rebalancer.brokers.paper.ledger import CustodyTransfer
from rebalancer.brokers.port import (
    Abilities,
    AllocationInstruction,
    BrokerOrder,
    BrokerPosition,
    BrokerUnavailable,
    OrderTicket,
)

TIMEOUT_SECONDS = 10.0


class PaperClient:
    """A paper broker at `url`: http://host:port, or unix:///path/of/its/socket."""

    name = "PAPER"

    def __init__(
        self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS, has_unique_ids: bool = True
    ) -> None:
        self._parts = urlsplit(url)
        if self._parts.scheme not in ("http", "unix"):
            raise ValueError(f"the paper broker's address starts with http or unix, not {url!r}")
        self._timeout_seconds = timeout_seconds
        self.abilities = Abilities(
            has_unique_ids=has_unique_ids, has_limit_orders=True, has_blocks=True
        )

    def _connect(self) -> http.client.HTTPConnection:
        if self._parts.scheme == "unix":
            return _UnixConnection(self._parts.path, self._timeout_seconds)
        return http.client.HTTPConnection(
            self._parts.hostname or "127.0.0.1", self._parts.port, timeout=self._timeout_seconds
        )

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        connection = self._connect()
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            status, text = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise BrokerUnavailable(f"the paper broker did not answer: {error!r}") from error
        finally:
            connection.close()
        if status != HTTPStatus.OK:
            raise BrokerUnavailable(f"the paper broker answered {status}: {text[:200]!r}")
        try:
            answer = json.loads(text)
        except ValueError as error:
            raise BrokerUnavailable("the paper broker's answer is not JSON") from error
        if not isinstance(answer, dict):
            raise BrokerUnavailable("the paper broker's answer is not an object")
        return answer

    def submit(self, ticket: OrderTicket) -> BrokerOrder:
        """Send an order. BrokerUnavailable: the outcome is not known."""
        return self._read_orders([self._ask("POST", "/orders", wire.write(ticket))])[0]

    def get_orders(self, client_order_ids: Sequence[str]) -> Mapping[str, BrokerOrder]:
        """Return what is known of these orders. BrokerUnavailable."""
        body = {"client_order_ids": list(client_order_ids)}
        orders = self._read_list(self._ask("POST", "/orders/lookup", body), "orders")
        return {order.client_order_id: order for order in self._read_orders(orders)}

    def cancel(self, client_order_id: str) -> None:
        """Ask to stop working an order. BrokerUnavailable."""
        self._ask("POST", "/orders/cancel", {"client_order_id": client_order_id})

    def list_orders(self, since: datetime) -> Sequence[BrokerOrder]:
        """Return every order that is open or was touched since. BrokerUnavailable."""
        answer = self._ask("GET", f"/orders?since={quote(since.isoformat())}")
        return self._read_orders(self._read_list(answer, "orders"))

    def allocate(self, instruction: AllocationInstruction) -> None:
        """Tell whose a block's shares are. BrokerUnavailable."""
        self._ask("POST", "/allocations", wire.write(instruction))

    def list_positions(self, account_numbers: Sequence[str]) -> Sequence[BrokerPosition]:
        """Return what accounts hold. BrokerUnavailable."""
        answer = self._ask("POST", "/positions", {"account_numbers": list(account_numbers)})
        try:
            return [wire.read_position(item) for item in self._read_list(answer, "positions")]
        except ValueError as error:
            raise BrokerUnavailable(f"the paper broker's answer: {error}") from error

    def transfer(self, *, key: str, account_number: str, symbol: str, quantity: Decimal) -> bool:
        """Bring shares (or cash: no symbol) into an account, once for each key."""
        body = {
            "key": key,
            "account_number": account_number,
            "symbol": symbol,
            "quantity": str(quantity),
        }
        return bool(self._ask("POST", "/transfers", body).get("is_new"))

    def transfer_all(self, transfers: Sequence[CustodyTransfer]) -> int:
        """Make transfers, all or none of them; return how many were new. BrokerUnavailable."""
        body = {"transfers": wire.write(list(transfers))}
        return int(self._ask("POST", "/transfers/all", body).get("new", 0))

    def count_orders(self) -> int:
        """Return how many orders the broker ever took."""
        return int(self._ask("GET", "/health").get("orders", -1))

    def control(self, path: str, **values: Any) -> dict[str, Any]:
        """Turn the dial or move the market, as tests and chaos do."""
        return self._ask("POST", f"/control/{path}", values)

    def _read_list(self, answer: dict[str, Any], name: str) -> list[Any]:
        found = answer.get(name)
        if not isinstance(found, list):
            raise BrokerUnavailable(f"the paper broker's answer has no {name}")
        return found

    def _read_orders(self, found: list[Any]) -> list[BrokerOrder]:
        try:
            return [wire.read_order(item) for item in found]
        except ValueError as error:
            raise BrokerUnavailable(f"the paper broker's answer: {error}") from error


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket file."""

    def __init__(self, path: str, timeout_seconds: float) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path, self._timeout_seconds = path, timeout_seconds

    def connect(self) -> None:
        """Connect to the file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._timeout_seconds)
        self.sock.connect(self._path)
