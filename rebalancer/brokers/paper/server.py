"""The paper broker as a process of its own: a small JSON API over HTTP, with a fault dial.

It listens on this machine only (a port of the loopback, or a socket file) and knows no sign-in:
it is a stand-in for a broker, for demonstrations and tests.
"""

import itertools
import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rebalancer.brokers.paper import PaperBroker, actions, wire
from rebalancer.brokers.paper.dial import Dial, WireFault, draw_wire_fault, parse_dial
from rebalancer.brokers.paper.ledger import CustodyTransfer
from rebalancer.brokers.port import BrokerUnavailable

logger = logging.getLogger(__name__)

BODY_BYTES_MAX = 4 * 1024 * 1024
_PAGE_502 = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


class PaperServer(ThreadingHTTPServer):
    """Serves one paper broker; every request is one transaction on its record."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int] | Path, broker: PaperBroker) -> None:
        self.broker = broker
        # Asked once and on each change, or every request would open the record for it.
        self.dial = broker.get_dial()
        self._numbers = itertools.count()
        if isinstance(address, Path):
            self.address_family = socket.AF_UNIX
            address.unlink(missing_ok=True)
            super().__init__(str(address), Handler)  # type: ignore[arg-type]
            address.chmod(0o600)
        else:
            super().__init__(address, Handler)

    def server_bind(self) -> None:
        """Bind without asking a name server who we are, which a socket file cannot answer."""
        if self.address_family == socket.AF_UNIX:
            self.socket.bind(self.server_address)
            self.server_name, self.server_port = "localhost", 0
        else:
            super().server_bind()

    def draw_fault(self) -> WireFault | None:
        """Return what goes wrong with the next request."""
        rng = Random(f"{self.broker.seed}:wire:{next(self._numbers)}")
        return draw_wire_fault(rng, self.dial)

    def turn(self, dial: Dial | None) -> None:
        """Turn the dial, here and in the record."""
        self.broker.set_dial(dial)
        self.dial = self.broker.get_dial()

    def tick_forever(self, interval_seconds: float, stop: threading.Event) -> None:
        """Let time pass for every order at work until told to stop."""
        while not stop.wait(interval_seconds):
            try:
                with self.broker.exchange() as exchange:
                    exchange.tick()
            except BrokerUnavailable:
                logger.exception("the paper broker missed a tick")


class Handler(BaseHTTPRequestHandler):
    """One request: read, perhaps fail, do, answer, perhaps fail."""

    server: PaperServer
    protocol_version = "HTTP/1.1"
    timeout = 30

    def address_string(self) -> str:
        """Return who asks; a socket file has no address."""
        return "local"

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: the supervisor's log is for what went wrong."""

    def do_GET(self) -> None:
        """Answer a question."""
        self._serve()

    def do_POST(self) -> None:
        """Do something."""
        self._serve()

    def _serve(self) -> None:
        path = urlsplit(self.path).path
        is_control = path.startswith("/control/") or path == "/health"
        fault = None if is_control else self.server.draw_fault()
        body = self._read_body()
        if body is None:
            return
        if fault is WireFault.REQUEST_LOST:
            self.close_connection = True
            return
        if fault is WireFault.THROTTLED:
            self._answer(HTTPStatus.TOO_MANY_REQUESTS, {"error": "slow down"})
            return
        if fault is WireFault.TAKEN_LATE:
            self._take_late(path, body)
            self.close_connection = True
            return
        status, answer = self._do(path, body)
        if fault is None:
            self._answer(status, answer)
        else:
            self._fail(fault, answer)

    def _read_body(self) -> Any:
        """Return the JSON of the request ({} for none), or None if it was refused."""
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if not 0 <= length <= BODY_BYTES_MAX:
            self.close_connection = True
            self._answer(HTTPStatus.BAD_REQUEST, {"error": "the body's length is not acceptable"})
            return None
        text = self.rfile.read(length)
        if not text:
            return {}
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            self._answer(HTTPStatus.BAD_REQUEST, {"error": "a JSON object is wanted"})
            return None
        return found

    def _take_late(self, path: str, body: dict[str, Any]) -> None:
        if path != "/orders":
            return
        # Nobody waits for an answer, not even for a refusal.
        with suppress(ValueError, BrokerUnavailable), self.server.broker.exchange() as exchange:
            exchange.submit_late(wire.read_ticket(body))

    def _do(self, path: str, body: dict[str, Any]) -> tuple[HTTPStatus, Any]:
        action = _ROUTES.get((self.command, path))
        if action is None:
            return HTTPStatus.NOT_FOUND, {"error": f"there is no {self.command} {path}"}
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        try:
            return HTTPStatus.OK, action(self.server, body | query)
        except (ValueError, KeyError, TypeError, ArithmeticError) as error:
            return HTTPStatus.BAD_REQUEST, {"error": f"{type(error).__name__}: {error}"}
        except BrokerUnavailable as error:
            return HTTPStatus.SERVICE_UNAVAILABLE, {"error": str(error)}

    def _answer(self, status: HTTPStatus, answer: Any) -> None:
        self._send(status, json.dumps(answer).encode(), "application/json")

    def _send(
        self, status: HTTPStatus, content: bytes, kind: str, *, missing_bytes: int = 0
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content) + missing_bytes))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def _fail(self, fault: WireFault, answer: Any) -> None:
        """Spoil the answer to something that was done."""
        content = json.dumps(answer).encode()
        self.close_connection = True
        if fault is WireFault.ERROR_500:
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "it broke"})
        elif fault is WireFault.ERROR_502:
            self._send(HTTPStatus.BAD_GATEWAY, _PAGE_502, "text/html")
        elif fault is WireFault.WRONG_SCHEMA:
            self._answer(HTTPStatus.OK, {"code": 50010000, "message": "internal error"})
        elif fault is WireFault.TRUNCATED:
            half = content[: len(content) // 2]
            self._send(HTTPStatus.OK, half, "application/json", missing_bytes=10)
        elif fault is WireFault.HANG:
            time.sleep(self.server.dial.hang_seconds)


# --- What can be asked ---------------------------------------------------------------------------

_Action = Callable[[PaperServer, dict[str, Any]], Any]


def _submit(server: PaperServer, body: dict[str, Any]) -> Any:
    return wire.write(server.broker.submit(wire.read_ticket(body)))


def _look_up(server: PaperServer, body: dict[str, Any]) -> Any:
    found = server.broker.get_orders([str(item) for item in body["client_order_ids"]])
    return {"orders": wire.write(list(found.values()))}


def _cancel(server: PaperServer, body: dict[str, Any]) -> Any:
    server.broker.cancel(str(body["client_order_id"]))
    return {}


def _list_orders(server: PaperServer, body: dict[str, Any]) -> Any:
    since = datetime.fromisoformat(body["since"])
    return {"orders": wire.write(list(server.broker.list_orders(since)))}


def _allocate(server: PaperServer, body: dict[str, Any]) -> Any:
    server.broker.allocate(wire.read_instruction(body))
    return {}


def _positions(server: PaperServer, body: dict[str, Any]) -> Any:
    found = server.broker.list_positions([str(item) for item in body["account_numbers"]])
    return {"positions": wire.write(list(found))}


def _transfer(server: PaperServer, body: dict[str, Any]) -> Any:
    is_new = server.broker.transfer(
        key=str(body["key"]),
        account_number=str(body["account_number"]),
        symbol=str(body["symbol"]),
        quantity=_number(body["quantity"]),
    )
    return {"is_new": is_new}


def _transfer_all(server: PaperServer, body: dict[str, Any]) -> Any:
    transfers = [
        CustodyTransfer(
            key=str(item["key"]),
            account_number=str(item["account_number"]),
            symbol=str(item["symbol"]),
            quantity=_number(item["quantity"]),
        )
        for item in body["transfers"]
    ]
    return {"new": server.broker.transfer_all(transfers)}


def _number(value: Any) -> Decimal:
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError(f"{value!r} is not a finite number")
    return number


def _health(server: PaperServer, _body: dict[str, Any]) -> Any:
    with server.broker.exchange() as exchange:
        return {"orders": exchange.count_orders(), "doubled": exchange.count_doubled()}


def _get_dial(server: PaperServer, _body: dict[str, Any]) -> Any:
    return asdict(server.dial)


def _set_dial(server: PaperServer, body: dict[str, Any]) -> Any:
    server.turn(parse_dial(body))
    return asdict(server.dial)


def _market(server: PaperServer, body: dict[str, Any]) -> Any:
    """Do one thing to the market, named by `do`."""
    with server.broker.exchange() as exchange:
        symbol = str(body.get("symbol", ""))
        match body["do"]:
            case "tick":
                exchange.tick()
            case "halt":
                exchange.halt(symbol)
            case "resume":
                exchange.resume(symbol)
            case "forbid":
                exchange.forbid(symbol)
            case "price":
                exchange.set_price(symbol, _number(body["price"]))
            case "close":
                exchange.close_session(datetime.fromisoformat(body["date"]).date())
            case "bust":
                return {"done": exchange.bust(str(body["fill_id"]))}
            case "correct":
                return {"done": exchange.correct(str(body["fill_id"]), _number(body["price"]))}
            case "split":
                numerator, denominator = int(body["numerator"]), int(body["denominator"])
                actions.split_shares(exchange, symbol, numerator=numerator, denominator=denominator)
            case unknown:
                raise ValueError(f"the market cannot {unknown!r}")
    return {"done": True}


_ROUTES: dict[tuple[str, str], _Action] = {
    ("POST", "/orders"): _submit,
    ("GET", "/orders"): _list_orders,
    ("POST", "/orders/lookup"): _look_up,
    ("POST", "/orders/cancel"): _cancel,
    ("POST", "/allocations"): _allocate,
    ("POST", "/positions"): _positions,
    ("POST", "/transfers"): _transfer,
    ("POST", "/transfers/all"): _transfer_all,
    ("GET", "/health"): _health,
    ("GET", "/control/dial"): _get_dial,
    ("POST", "/control/dial"): _set_dial,
    ("POST", "/control/market"): _market,
}
