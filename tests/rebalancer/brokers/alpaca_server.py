"""A local stand-in for Alpaca's Trading API: the documented addresses, fields and errors.

Every answer is checked with the models of Alpaca's own client library before it is sent. Behind it
stands the paper exchange, so that markets behave the same for every adapter.
"""

import json
import threading
import time
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from urllib.parse import parse_qs, urlsplit

from alpaca.trading.models import Order, Position, TradeAccount

from portfolios.domain.kinds import Side
from rebalancer.brokers.paper import Dial, Exchange
from rebalancer.brokers.port import BrokerStatus, ExecutionKind
from tests.rebalancer.brokers.tickets import DAY, make_ticket

KEY_ID, SECRET_KEY = "PK-TEST", "not-a-real-secret"
ACCOUNT_NUMBER = "PA3TEST00001"
ASSETS = {"VTI", "BND", "BRK.B"}
_NAMESPACE = uuid.UUID("12345678-1234-5678-1234-567812345678")
_STATUSES = {
    BrokerStatus.FILLED: "filled",
    BrokerStatus.CANCELLED: "canceled",
    BrokerStatus.REJECTED: "rejected",
    BrokerStatus.EXPIRED: "expired",
}
_ACTIVITY_KINDS = {
    ExecutionKind.FILL: "fill",
    ExecutionKind.BUST: "trade_bust",
    ExecutionKind.CORRECTION: "trade_correct",
}


class Refused(Exception):
    """An error as the API words it."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.body = status, {"code": code, "message": message}


class AlpacaServer(ThreadingHTTPServer):
    """One account; `fault` spoils answers until it is emptied."""

    daemon_threads = True

    def __init__(self, **dial):
        super().__init__(("127.0.0.1", 0), Handler)
        self.exchange = Exchange(Random(1), Dial(**dial))
        self.lock = threading.RLock()
        self.fault = ""
        self.page_size_max = 500
        self.cash = Decimal("100000")
        self.times = {}
        self.posted = []
        self.requests = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def order_json(self, order):
        sent_at, updated_at = self.times[order.client_order_id]
        stamp = updated_at.isoformat().replace("+00:00", "Z")
        filled = order.filled_quantity
        status = _STATUSES.get(order.status)
        value = sum((report.quantity * report.price for report in order.executions), Decimal(0))
        found = {
            "id": str(uuid.uuid5(_NAMESPACE, order.client_order_id)),
            "client_order_id": order.client_order_id,
            "created_at": sent_at.isoformat().replace("+00:00", "Z"),
            "updated_at": stamp,
            "submitted_at": sent_at.isoformat().replace("+00:00", "Z"),
            "filled_at": stamp if order.executions else None,
            "expired_at": None,
            "canceled_at": stamp if status == "canceled" else None,
            "failed_at": None,
            "replaced_at": None,
            "replaced_by": None,
            "replaces": None,
            "asset_id": str(uuid.uuid5(_NAMESPACE, order.symbol)),
            "symbol": order.symbol,
            "asset_class": "us_equity",
            "notional": None,
            "qty": f"{order.quantity.normalize():f}",
            "filled_qty": f"{filled.normalize():f}",
            "filled_avg_price": f"{value / filled:f}" if filled else None,
            "order_class": "",
            "order_type": "market",
            "type": "market",
            "side": order.side.lower(),
            "time_in_force": "day",
            "limit_price": None,
            "stop_price": None,
            "status": status or ("partially_filled" if filled else "new"),
            "extended_hours": False,
            "legs": None,
            "trail_percent": None,
            "trail_price": None,
            "hwm": None,
            "subtag": None,
            "source": None,
        }
        Order(**found)
        return found

    def touch(self, client_order_id):
        sent_at = self.times.get(client_order_id, (datetime.now(UTC), None))[0]
        self.times[client_order_id] = (sent_at, datetime.now(UTC))

    def all_orders(self):
        return self.exchange.tell(list(self.times)).values()

    def activities(self):
        found = []
        for order in self.all_orders():
            for report in order.executions:
                found.append(
                    {
                        "id": _activity_id(report.fill_id),
                        "activity_type": "FILL",
                        "transaction_time": f"{report.fill_date}T15:00:00.000Z",
                        "type": _ACTIVITY_KINDS[report.kind],
                        "price": f"{report.price}",
                        "qty": f"{report.quantity}",
                        "side": order.side.lower(),
                        "symbol": order.symbol,
                        "leaves_qty": "0",
                        "order_id": str(uuid.uuid5(_NAMESPACE, order.client_order_id)),
                        "cum_qty": f"{order.filled_quantity}",
                        "order_status": "filled",
                        "previous_id": _activity_id(report.refers_to) if report.refers_to else None,
                    }
                )
        return found


def _activity_id(fill_id):
    return f"{DAY:%Y%m%d}000000000::{uuid.uuid5(_NAMESPACE, fill_id)}"


class Handler(BaseHTTPRequestHandler):
    """One request: sign-in, fault, answer."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_args):
        pass

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def do_DELETE(self):
        self.answer()

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.server.requests.append((self.command, parts.path))
        fault = self.server.fault
        if fault == "request lost":
            self.close_connection = True
            return
        if fault == "429":
            self.send(429, {"code": 42910000, "message": "rate limit exceeded"})
            return
        try:
            with self.server.lock:
                self.check_keys()
                status, found = self.route(parts.path, query, body)
        except Refused as refusal:
            status, found = refusal.status, refusal.body
        if fault and (self.command == "POST" or not fault.startswith("post ")):
            self.spoil(fault.removeprefix("post "), found)
        else:
            self.send(status, found)

    def check_keys(self):
        keys = (self.headers.get("APCA-API-KEY-ID"), self.headers.get("APCA-API-SECRET-KEY"))
        if keys != (KEY_ID, SECRET_KEY):
            raise Refused(401, 40110000, "request is not authorized")

    def send(self, status, found, kind="application/json", missing=0):
        content = found if isinstance(found, bytes) else json.dumps(found).encode()
        if status == 204:
            content = b""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content) + missing))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def spoil(self, fault, found):
        self.close_connection = True
        content = json.dumps(found).encode()
        answers = {
            "500": (500, {"code": 50010000, "message": "internal server error occurred"}),
            "502": (502, b"<html><body>502 Bad Gateway</body></html>", "text/html"),
            "html 200": (200, b"<html><body>maintenance</body></html>", "text/html"),
            "html 403": (403, b"<html><body>blocked by a firewall</body></html>", "text/html"),
            "error 200": (200, {"code": 40010001, "message": "an error inside a 200"}),
            "truncated": (200, content[:-20], "application/json", 20),
            "cut json": (200, content[:-20]),
            "null": (200, None),
            "refused although taken": (422, {"code": 42210000, "message": "unexpected error"}),
        }
        if fault == "hang":
            time.sleep(2)
        elif fault != "answer lost":
            self.send(*answers[fault])

    def route(self, path, query, body):
        server = self.server
        match self.command, path.removeprefix("/v2"):
            case "POST", "/orders":
                return 200, self.post_order(body)
            case "GET", "/orders":
                return 200, self.list_orders(query)
            case "GET", "/orders:by_client_order_id":
                known = server.exchange.tell([query["client_order_id"]])
                if not known:
                    raise Refused(404, 40410000, "order not found for client_order_id")
                return 200, server.order_json(known[query["client_order_id"]])
            case "GET", "/account/activities/FILL":
                return 200, self.list_activities(query)
            case "GET", "/account":
                return 200, self.account()
            case "GET", "/positions":
                return 200, self.positions()
            case "DELETE", address if address.startswith("/orders/"):
                return self.delete_order(address.removeprefix("/orders/"))
        raise Refused(404, 40410000, "endpoint not found.")

    def post_order(self, body):
        server = self.server
        server.posted.append(body)
        client_order_id = body["client_order_id"]
        if server.exchange.tell([client_order_id]):
            raise Refused(422, 40010001, "client_order_id must be unique")
        if body["symbol"] not in ASSETS:
            raise Refused(422, 42210000, f'asset "{body["symbol"]}" not found')
        quantity, limit = Decimal(body["qty"]), body.get("limit_price")
        if limit is not None and Decimal(limit) >= 1 and -Decimal(limit).as_tuple().exponent > 2:
            raise Refused(422, 42210000, "sub-penny increment does not fulfill minimum pricing")
        if body["side"] == "buy" and quantity * 100 > server.cash:
            raise Refused(403, 40310000, "insufficient buying power")
        if quantity * 100 < 1:
            raise Refused(403, 40310000, "cost basis must be >= minimal amount of order 1")
        ticket = make_ticket(
            client_order_id,
            symbol=body["symbol"],
            side=Side(body["side"].upper()),
            quantity=quantity,
            share_step=Decimal("0.000000001"),
            limit_price=None if limit is None else Decimal(limit),
            account_number=ACCOUNT_NUMBER,
        )
        order = server.exchange.submit(ticket)
        server.touch(client_order_id)
        return server.order_json(order)

    def list_orders(self, query):
        found = [self.server.order_json(order) for order in self.server.all_orders()]
        status = query.get("status", "open")
        is_open = {"new", "partially_filled"}
        if status != "all":
            found = [item for item in found if (item["status"] in is_open) == (status == "open")]
        if "after" in query:
            after = datetime.fromisoformat(query["after"])
            found = [i for i in found if datetime.fromisoformat(i["submitted_at"]) > after]
        is_descending = query.get("direction", "desc") == "desc"
        found.sort(key=lambda item: item["submitted_at"], reverse=is_descending)
        return found[: min(int(query.get("limit", 50)), self.server.page_size_max)]

    def list_activities(self, query):
        found = self.server.activities()
        if "page_token" in query:
            ids = [item["id"] for item in found]
            found = found[ids.index(query["page_token"]) + 1 :]
        return found[: int(query.get("page_size", 100))]

    def delete_order(self, order_id):
        for order in self.server.all_orders():
            if str(uuid.uuid5(_NAMESPACE, order.client_order_id)) == order_id:
                if order.status is not BrokerStatus.WORKING:
                    raise Refused(422, 42210000, f'order is already in "{order.status}" state')
                self.server.exchange.cancel(order.client_order_id)
                self.server.touch(order.client_order_id)
                return 204, None
        raise Refused(404, 40410000, f"order not found for {order_id}")

    def account(self):
        found = {
            "id": str(uuid.uuid5(_NAMESPACE, ACCOUNT_NUMBER)),
            "account_number": ACCOUNT_NUMBER,
            "status": "ACTIVE",
            "currency": "USD",
            "cash": f"{self.server.cash + self.cash_change()}",
            "buying_power": "200000",
            "pattern_day_trader": False,
            "trading_blocked": False,
            "transfers_blocked": False,
            "account_blocked": False,
            "created_at": "2024-01-01T00:00:00Z",
            "trade_suspended_by_user": False,
            "multiplier": "1",
            "shorting_enabled": False,
        }
        TradeAccount(**found)
        return found

    def cash_change(self):
        held = self.server.exchange.list_positions([ACCOUNT_NUMBER])
        return sum((item.quantity for item in held if not item.symbol), Decimal(0))

    def positions(self):
        found = []
        for item in self.server.exchange.list_positions([ACCOUNT_NUMBER]):
            if not item.symbol:
                continue
            found.append(
                {
                    "asset_id": str(uuid.uuid5(_NAMESPACE, item.symbol)),
                    "symbol": item.symbol,
                    "exchange": "ARCA",
                    "asset_class": "us_equity",
                    "avg_entry_price": "100",
                    "qty": f"{item.quantity}",
                    "side": "long" if item.quantity > 0 else "short",
                    "cost_basis": "0",
                }
            )
            Position(**found[-1])
        return found
