"""A FIX 4.4 acceptor as a process of its own: the other side of a session, with a market behind it.

Written apart from the product's session, so that the two check each other. It keeps every message
that it sent and sends it again when asked. Commands come as lines of JSON on standard input; the
answer is a line on standard output.
"""

import json
import socket
import sys
import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import simplefix

from portfolios.domain.kinds import Side
from rebalancer.brokers.paper import Dial, Exchange
from rebalancer.brokers.port import (
    AllocationInstruction,
    AllocationShare,
    BrokerStatus,
    ExecutionKind,
)
from tests.rebalancer.brokers.tickets import DAY, make_ticket

SENDER, TARGET = "BRKR", "ROBO"
ADMIN = {"0", "1", "2", "3", "4", "5", "A"}
EXECUTION_TYPES = {ExecutionKind.FILL: "F", ExecutionKind.BUST: "H", ExecutionKind.CORRECTION: "G"}
CLOSED = {BrokerStatus.CANCELLED: "4", BrokerStatus.EXPIRED: "C", BrokerStatus.REJECTED: "8"}


def stamp():
    return datetime.now(UTC).strftime("%Y%m%d-%H:%M:%S.%f")[:-3]


def number(value):
    return f"{value.normalize():f}"


class Acceptor:
    """One session with one client, over as many connections as it takes."""

    def __init__(self):
        self.exchange = Exchange(Random(1), Dial(), now=datetime.now(UTC))
        self.lock = threading.RLock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.client = None
        self.next_in = self.next_out = 1
        self.sent = {}
        self.log = []
        self.told = {}
        self.faults = {}
        self.count = 0

    # --- Out --------------------------------------------------------------------------------

    def send(self, kind, body, seq=None, again=False):
        with self.lock:
            if seq is None:
                seq, self.next_out = self.next_out, self.next_out + 1
                self.sent[seq] = (kind, body, stamp())
            message = simplefix.FixMessage()
            for tag, value in [(8, "FIX.4.4"), (35, kind), (49, SENDER), (56, TARGET), (34, seq)]:
                message.append_pair(tag, value)
            if again:
                message.append_pair(43, "Y")
            message.append_pair(52, stamp())
            if again:
                message.append_pair(122, self.sent.get(seq, ("", "", stamp()))[2])
            for tag, value in body:
                message.append_pair(tag, value)
            data = message.encode()
            if self.faults.pop("garble", None):
                data = data[:-5] + b"999" + data[-2:-1] + b"\x01"
            self.log.append(("out", data.decode("ascii", "replace")))
            if self.client is None:
                return
            try:
                self.client.sendall(data)
            except OSError:
                self.client = None

    def resend(self, begin, end):
        last = self.next_out - 1 if end == 0 else min(end, self.next_out - 1)
        gap_from = None
        for seq in range(begin, last + 1):
            kind, body, _at = self.sent.get(seq, ("0", [], ""))
            if kind in ADMIN:
                gap_from = gap_from or seq
                continue
            if gap_from:
                self.send("4", [(123, "Y"), (36, seq)], seq=gap_from, again=True)
                gap_from = None
            self.send(kind, body, seq=seq, again=True)
        if gap_from:
            self.send("4", [(123, "Y"), (36, last + 1)], seq=gap_from, again=True)

    def report_all(self):
        for order in self.exchange.list_orders(datetime(1990, 1, 1, tzinfo=UTC)):
            self.report(order)

    def report(self, order):
        """Send what has not been told of an order yet, in the order in which it happened."""
        is_new = order.client_order_id not in self.told
        told = self.told.setdefault(order.client_order_id, {"count": 0, "status": None})
        if is_new and order.status is not BrokerStatus.REJECTED:
            self.send_report(order, "0", "0", cumulative=Decimal(0))
        cumulative = Decimal(0)
        standing = {}
        for position, report in enumerate(order.executions):
            key = report.refers_to or report.fill_id
            standing[key] = Decimal(0) if report.kind is ExecutionKind.BUST else report.quantity
            cumulative = sum(standing.values(), Decimal(0))
            if position < told["count"]:
                continue
            is_last = position == len(order.executions) - 1
            status = "2" if cumulative >= order.quantity else "1" if cumulative else "0"
            if is_last and order.status in CLOSED:
                status = CLOSED[order.status]
            self.send_report(order, EXECUTION_TYPES[report.kind], status, cumulative, report=report)
        told["count"] = len(order.executions)
        if order.status in CLOSED and told["status"] is not order.status:
            kind = CLOSED[order.status]
            self.send_report(order, kind, kind, cumulative)
        told["status"] = order.status

    def send_report(self, order, kind, status, cumulative, report=None, extra=()):
        self.count += 1
        is_dead = status in ("4", "8", "C")
        left = Decimal(0) if is_dead else order.quantity - cumulative
        body = [(37, order.broker_order_id), (11, order.client_order_id), *extra]
        body.append((17, report.fill_id if report else f"S-{self.count}"))
        if report and report.refers_to:
            body.append((19, report.refers_to))
        body += [(150, kind), (39, status)]
        if kind == "8":
            body += [(103, "0"), (58, order.reason)]
        body += [(55, order.symbol), (54, "1" if order.side is Side.BUY else "2")]
        body.append((38, number(order.quantity)))
        if report:
            body += [(32, number(report.quantity)), (31, number(report.price))]
        body += [(151, number(max(left, Decimal(0)))), (14, number(cumulative)), (6, "0")]
        body += [(75, f"{DAY:%Y%m%d}"), (60, stamp())]
        self.send("8", body)

    # --- In ---------------------------------------------------------------------------------

    def serve(self):
        while True:
            client, _address = self.listener.accept()
            with self.lock:
                self.client = client
            self.read(client)
            client.close()
            with self.lock:
                if self.client is client:
                    self.client = None

    def read(self, client):
        parser = simplefix.FixParser()
        while True:
            try:
                data = client.recv(65536)
            except OSError:
                return
            if not data:
                return
            parser.append_buffer(data)
            while (message := parser.get_message()) is not None:
                with self.lock:
                    self.log.append(("in", message.encode().decode("ascii")))
                    if self.take(message) == "hang up":
                        return

    def take(self, message):
        kind, seq = message.get(35).decode(), int(message.get(34))
        if self.faults.get("silent"):
            return None
        is_fill = kind == "4" and message.get(123) == b"Y"
        if seq > self.next_in:
            self.send("2", [(7, self.next_in), (16, 0)])
            if kind == "A":
                self.log_on()
            return None
        if seq < self.next_in:
            if message.get(43) == b"Y":
                return None
            self.send("5", [(58, "MsgSeqNum too low")])
            return "hang up"
        self.next_in = int(message.get(36)) if is_fill else seq + 1
        if kind == self.faults.get("drop before"):
            del self.faults["drop before"]
            return "hang up"
        action = getattr(self, f"on_{kind}", None)
        if action is not None:
            action({int(tag): value.decode() for tag, value in message.pairs}, message)
        if kind == self.faults.get("drop after"):
            del self.faults["drop after"]
            return "hang up"
        return "hang up" if kind == "5" else None

    def log_on(self):
        skip = self.faults.pop("skip", 0)
        for _ in range(skip):
            self.sent[self.next_out] = ("0", [], stamp())
            self.next_out += 1
        self.send("A", [(98, 0), (108, 30)])
        if "ask" in self.faults:
            begin, end = self.faults.pop("ask")
            self.send("2", [(7, begin), (16, end)])
        if self.faults.pop("test", None):
            self.send("1", [(112, "ARE YOU THERE")])

    def on_A(self, fields, message):
        self.log_on()

    def on_1(self, fields, message):
        self.send("0", [(112, fields[112])])

    def on_2(self, fields, message):
        self.resend(int(fields[7]), int(fields[16]))

    def on_5(self, fields, message):
        self.send("5", [])

    def on_D(self, fields, message):
        known = self.exchange.tell([fields[11]]).get(fields[11])
        if known is not None:
            body = [(37, known.broker_order_id), (11, fields[11]), (17, f"S-dup{self.next_out}")]
            body += [(150, "8"), (39, "8"), (103, "6"), (58, "duplicate order"), (55, fields[55])]
            body += [(54, fields[54]), (151, "0"), (14, "0"), (6, "0"), (60, stamp())]
            self.send("8", body)
            return
        if self.faults.pop("business reject", None):
            self.send("j", [(45, fields[34]), (372, "D"), (380, "4"), (58, "trading is closed")])
            return
        limit = fields.get(44)
        ticket = make_ticket(
            fields[11],
            symbol=fields[55],
            side=Side.BUY if fields[54] == "1" else Side.SELL,
            quantity=Decimal(fields[38]),
            share_step=Decimal("0.00000001"),
            limit_price=None if limit is None else Decimal(limit),
            account_number=fields.get(1, ""),
        )
        order = self.exchange.submit(ticket)
        if self.faults.get("drop after") == "D":
            self.client = None
        self.report(order)
        if self.faults.pop("twice", None):
            last = self.next_out - 1
            kind, body, _at = self.sent[last]
            self.send(kind, body, seq=last, again=True)
            self.send(kind, body)

    def on_F(self, fields, message):
        order = self.exchange.tell([fields[41]]).get(fields[41])
        if order is None or order.status is not BrokerStatus.WORKING:
            body = [(37, "NONE"), (11, fields[11]), (41, fields[41]), (39, "8"), (434, "1")]
            self.send("9", [*body, (102, "0" if order else "1")])
            return
        self.exchange.cancel(fields[41])
        order = self.exchange.tell([fields[41]])[fields[41]]
        self.told[fields[41]]["status"] = order.status
        body = [(37, order.broker_order_id), (11, fields[11]), (41, fields[41])]
        body += [(17, f"S-c{self.next_out}"), (150, "4"), (39, "4"), (55, order.symbol)]
        body += [(54, fields[54]), (38, number(order.quantity)), (151, "0")]
        body += [(14, number(order.filled_quantity)), (6, "0"), (60, stamp())]
        self.send("8", body)

    def on_H(self, fields, message):
        order = self.exchange.tell([fields[11]]).get(fields[11])
        if order is None:
            body = [(37, "NONE"), (11, fields[11]), (17, "0"), (150, "I"), (39, "8"), (103, "5")]
            body += [(55, fields[55]), (54, fields[54]), (151, "0"), (14, "0"), (6, "0")]
            self.send("8", [*body, (58, "unknown order"), (60, stamp())])
            return
        self.send_status(order)

    def send_status(self, order, extra=()):
        filled = order.filled_quantity
        status = CLOSED.get(order.status) or ("2" if filled >= order.quantity else "0")
        self.send_report(order, "I", status, filled, extra=extra)

    def on_AF(self, fields, message):
        orders = self.exchange.list_orders(datetime(1990, 1, 1, tzinfo=UTC))
        if not orders:
            self.send("j", [(45, fields[34]), (372, "AF"), (380, "0"), (58, "no orders")])
        for position, order in enumerate(orders, 1):
            last = "Y" if position == len(orders) else "N"
            extra = [(584, fields[584]), (911, len(orders)), (912, last)]
            self.send_status(order, extra)

    def on_J(self, fields, message):
        pairs = [(int(tag), value.decode()) for tag, value in message.pairs]
        ids = tuple(value for tag, value in pairs if tag == 11)
        columns = {tag: [v for t, v in pairs if t == tag] for tag in (79, 80, 154)}
        shares = tuple(
            AllocationShare(account, Decimal(quantity), Decimal(amount))
            for account, quantity, amount in zip(
                columns[79], columns[80], columns[154], strict=True
            )
        )
        block_id, _dash, sequence = fields[70].rpartition("-")
        self.exchange.allocate(
            AllocationInstruction(
                block_id=block_id,
                number=int(sequence),
                symbol=fields[55],
                side=Side.BUY if fields[54] == "1" else Side.SELL,
                client_order_ids=ids,
                shares=shares,
            )
        )
        self.send("P", [(70, fields[70]), (75, fields[75]), (60, stamp()), (87, "0")])

    def on_AN(self, fields, message):
        account = fields[1]
        found = self.exchange.list_positions([account])
        party = [(453, 1), (448, account), (447, "D"), (452, 24), (1, account), (581, 1)]
        result = "0" if found else "2"
        body = [(721, f"R-{fields[710]}"), (710, fields[710]), (727, len(found)), (728, result)]
        self.send("AO", [*body, (729, "0" if found else "2"), *party])
        for position, item in enumerate(found):
            instrument = [(55, item.symbol)] if item.symbol else [(55, "USD"), (460, "4")]
            side = (704, number(item.quantity))
            if item.quantity < 0:
                side = (705, number(-item.quantity))
            body = [(721, f"R-{fields[710]}-{position}"), (710, fields[710]), (728, "0")]
            body += [(715, fields[715]), *party, *instrument, (730, "0"), (731, "1"), (734, "0")]
            self.send(
                "AP", [*body, (702, 1), (703, "TOT"), side, (753, 1), (707, "FMTM"), (708, 0)]
            )

    # --- What the test says -------------------------------------------------------------------

    def obey(self, command):
        action = getattr(self, "do_" + command.pop("do").replace(" ", "_"))
        with self.lock:
            return action(**command) or {"done": True}

    def do_tick(self):
        self.exchange.now = datetime.now(UTC)
        self.exchange.tick()
        self.report_all()

    def do_dial(self, **values):
        self.exchange.dial = Dial(**values)

    def do_bust(self, fill_id):
        done = self.exchange.bust(fill_id)
        self.report_all()
        return {"done": done}

    def do_correct(self, fill_id, price):
        done = self.exchange.correct(fill_id, Decimal(price))
        self.report_all()
        return {"done": done}

    def do_fault(self, **faults):
        self.faults |= faults

    def do_count(self):
        return {"count": self.exchange.count_orders()}

    def do_numbers(self):
        return {"next_in": self.next_in, "next_out": self.next_out}

    def do_log(self):
        return {"log": self.log}


def main():
    acceptor = Acceptor()
    threading.Thread(target=acceptor.serve, daemon=True).start()
    say({"port": acceptor.listener.getsockname()[1]})
    for line in sys.stdin:
        say(acceptor.obey(json.loads(line)))


def say(answer):
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
