"""The paper broker's record and its process: what it took it keeps, whatever breaks around it."""

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from rebalancer.brokers import paper
from rebalancer.brokers.paper import PaperBroker
from rebalancer.brokers.paper.client import PaperClient
from rebalancer.brokers.paper.dial import Dial
from rebalancer.brokers.paper.ledger import CustodyTransfer
from rebalancer.brokers.port import BrokerStatus, BrokerUnavailable
from tests.rebalancer.brokers.rigs import CHECKOUT, ClientRig
from tests.rebalancer.brokers.tickets import make_ticket

D = Decimal


@pytest.fixture
def rig(tmp_path):
    made = ClientRig(tmp_path)
    yield made
    made.close()


# --- The record -----------------------------------------------------------------------------


def test_another_object_over_the_same_file_goes_on_where_the_first_was(tmp_path):
    path = tmp_path / "p.sqlite3"
    first = PaperBroker(path, seed=1, reject_share=0.0)
    first.set_dial(Dial(part_quantity=4))
    first.submit(make_ticket())
    first.get_orders(["ev-1"])
    second = PaperBroker(path, seed=1, reject_share=0.0)
    order = second.get_orders(["ev-1"])["ev-1"]
    assert (order.status, order.filled_quantity) == (BrokerStatus.WORKING, 8)
    assert second.get_dial() == Dial(part_quantity=4)
    second.set_dial(None)
    assert second.get_dial().partial_share == paper.PARTIAL_SHARE


def test_by_default_some_orders_are_rejected_and_some_filled_in_parts(tmp_path):
    broker = PaperBroker(tmp_path / "p.sqlite3", seed=7, reject_share=0.2)
    ids = [f"ev-{number}" for number in range(60)]
    statuses = [broker.submit(make_ticket(i, quantity=D(100))).status for i in ids]
    assert 2 < statuses.count(BrokerStatus.REJECTED) < 30
    broker.get_orders(ids)
    part = [o for o in broker.get_orders(ids).values() if len(o.executions) > 1]
    assert part


def test_transfers_go_over_the_wire_together_and_once(rig):
    transfers = [
        CustodyTransfer("a", "1", "", D("1000.25")),
        CustodyTransfer("b", "1", "VTI", D("3.5")),
        CustodyTransfer("c", "2", "VTI", D(1)),
    ]
    assert rig.broker.transfer_all(transfers) == 3
    more = [*transfers, CustodyTransfer("d", "1", "", D("-0.25"))]
    assert rig.broker.transfer_all(more) == 1
    found = {(p.account_number, p.symbol): p.quantity for p in rig.broker.list_positions(["1"])}
    assert found == {("1", ""): D(1000), ("1", "VTI"): D("3.5")}
    with pytest.raises(BrokerUnavailable):
        rig.broker.transfer_all([CustodyTransfer("e", "1", "", D(5)), _nonsense()])
    assert {p.quantity for p in rig.broker.list_positions(["1"]) if not p.symbol} == {D(1000)}


def _nonsense():
    return CustodyTransfer("f", "1", "VTI", D("NaN"))


def test_what_cannot_be_recorded_was_not_taken(tmp_path):
    (tmp_path / "file").write_text("")
    broken = PaperBroker(tmp_path / "file" / "p.sqlite3", seed=1)
    with pytest.raises(BrokerUnavailable):
        broken.submit(make_ticket())
    torn = tmp_path / "torn.sqlite3"
    torn.write_bytes(b"this is no database, and long enough to be looked at as one" * 20)
    with pytest.raises(BrokerUnavailable):
        PaperBroker(torn, seed=1).count_orders()


def test_a_record_of_the_first_version_is_taken_over(tmp_path):
    path = tmp_path / "old.sqlite3"
    with sqlite3.connect(path) as old:
        old.executescript(
            """
            CREATE TABLE paper_order (client_order_id TEXT PRIMARY KEY, symbol TEXT, side TEXT,
                quantity TEXT, status TEXT, reason TEXT, parts TEXT, price TEXT, market_date TEXT);
            CREATE TABLE paper_execution (fill_id TEXT PRIMARY KEY, client_order_id TEXT,
                quantity TEXT, price TEXT, fill_date TEXT);
            INSERT INTO paper_order VALUES
                ('a', 'VTI', 'BUY', '10', 'WORKING', '', '4 6', '100.05', '2024-03-01'),
                ('b', 'VTI', 'SELL', '5', 'REJECTED', 'dice', '', '99.95', '2024-03-01');
            INSERT INTO paper_execution VALUES ('a-1', 'a', '4', '100.05', '2024-03-01');
            """
        )
    broker = PaperBroker(path, seed=1, reject_share=0.0)
    found = broker.get_orders(["a", "b"])
    assert (found["a"].status, found["a"].filled_quantity) == (BrokerStatus.FILLED, 10)
    assert [e.fill_id for e in found["a"].executions] == ["a-1", "a-2"]
    assert {e.price for e in found["a"].executions} == {D("100.05")}
    assert (found["b"].status, found["b"].reason) == (BrokerStatus.REJECTED, "dice")
    assert broker.count_orders() == 2


KILLED = """
import os, sys
from decimal import Decimal
from pathlib import Path
from rebalancer.brokers.paper import PaperBroker
from tests.rebalancer.brokers.tickets import make_ticket
broker = PaperBroker(Path(sys.argv[1]), seed=1, reject_share=0.0)
number = 0
while True:
    broker.submit(make_ticket(f"ev-{number}", quantity=Decimal(9)))
    os.write(1, f"{number}\\n".encode())
    broker.get_orders([f"ev-{number}"])
    number += 1
"""


def test_what_was_answered_survives_being_killed(tmp_path):
    path = tmp_path / "p.sqlite3"
    for _ in range(3):
        path.unlink(missing_ok=True)
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], cwd=CHECKOUT, stdout=subprocess.PIPE
        )
        answered = [child.stdout.readline() for _ in range(15)]
        child.send_signal(signal.SIGKILL)
        answered += child.stdout.readlines()
        child.wait()
        child.stdout.close()
        broker = PaperBroker(path, seed=1, reject_share=0.0)
        ids = [f"ev-{line.decode().strip()}" for line in answered if line.endswith(b"\n")]
        assert set(broker.get_orders(ids)) == set(ids)


# --- The process ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "is_taken"),
    [
        ("request_lost", False),
        ("throttled", False),
        ("answer_lost", True),
        ("error_500", True),
        ("error_502", True),
        ("truncated", True),
        ("wrong_schema", True),
        ("hang", True),
    ],
)
def test_every_fault_of_the_wire_is_an_unknown_outcome(rig, fault, is_taken):
    rig.dial(**{f"{fault}_share": 1.0}, hang_seconds=1.0)
    impatient = PaperClient(f"http://127.0.0.1:{rig.server.server_port}", timeout_seconds=0.5)
    with pytest.raises(BrokerUnavailable):
        impatient.submit(make_ticket())
    with pytest.raises(BrokerUnavailable):
        impatient.get_orders(["ev-1"])
    with pytest.raises(BrokerUnavailable):
        impatient.list_orders(datetime(2024, 1, 1, tzinfo=UTC))
    rig.dial()
    assert ("ev-1" in rig.broker.get_orders(["ev-1"])) is is_taken
    rig.broker.submit(make_ticket())
    assert rig.broker.count_orders() == 1


def test_an_order_may_be_taken_after_the_time_out(rig):
    rig.dial(taken_late_share=1.0)
    with pytest.raises(BrokerUnavailable):
        rig.broker.submit(make_ticket())
    rig.dial()
    assert rig.broker.get_orders(["ev-1"]) == {}
    assert "ev-1" in rig.broker.get_orders(["ev-1"])


def test_no_server_is_an_unknown_outcome(tmp_path):
    for url in ("http://127.0.0.1:9", f"unix://{tmp_path}/nothing.sock"):
        with pytest.raises(BrokerUnavailable):
            PaperClient(url).get_orders(["ev-1"])
    with pytest.raises(ValueError, match="http or unix"):
        PaperClient("ftp://127.0.0.1")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nothing", None, 404),
        ("POST", "/orders", "not json", 400),
        ("POST", "/orders", "[]", 400),
        ("POST", "/orders", "{}", 400),
        ("POST", "/orders", json.dumps({"client_order_id": "x", "quantity": "NaN"}), 400),
        ("POST", "/orders/lookup", json.dumps({}), 400),
        ("GET", "/orders?since=yesterday", None, 400),
        ("POST", "/control/dial", json.dumps({"typo_share": 1}), 400),
        ("POST", "/control/market", json.dumps({"do": "explode"}), 400),
        ("POST", "/transfers", json.dumps({"key": "k"}), 400),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_and_nothing_is_taken(
    rig, method, path, body, status
):
    connection = http.client.HTTPConnection("127.0.0.1", rig.server.server_port, timeout=5)
    connection.request(method, path, body)
    response = connection.getresponse()
    assert response.status == status
    assert "error" in json.loads(response.read())
    connection.close()
    assert rig.broker.count_orders() == 0


@pytest.mark.parametrize(
    "change",
    [
        {"quantity": "-1"},
        {"quantity": 5},
        {"quantity": "Infinity"},
        {"market_price": "0"},
        {"side": "HOLD"},
        {"symbol": ""},
        {"market_date": "tomorrow"},
        {"extra": "1"},
    ],
)
def test_a_ticket_with_one_wrong_field_is_refused(rig, change):
    body = json.loads(json.dumps(paper.wire.write(make_ticket()))) | change
    connection = http.client.HTTPConnection("127.0.0.1", rig.server.server_port, timeout=5)
    connection.request("POST", "/orders", json.dumps(body))
    response = connection.getresponse()
    assert response.status == 400
    assert next(iter(change)) in json.loads(response.read())["error"]
    connection.close()


def test_a_body_too_long_is_not_read(rig):
    connection = http.client.HTTPConnection("127.0.0.1", rig.server.server_port, timeout=5)
    connection.putrequest("POST", "/orders")
    connection.putheader("Content-Length", str(10**12))
    connection.endheaders()
    assert connection.getresponse().status == 400
    connection.close()


class Process:
    """`manage.py paper_broker` on a socket file, killed and started at will."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.socket = folder / "broker.sock"
        self.argv = [sys.executable, "-W", "ignore", "manage.py", "paper_broker"]
        self.argv += ["--path", str(folder / "p.sqlite3"), "--socket", str(self.socket), *arguments]
        self.child = None

    def start(self):
        self.child = subprocess.Popen(
            self.argv, cwd=CHECKOUT, env=os.environ, stdout=subprocess.PIPE, text=True
        )
        assert "answers at" in self.child.stdout.readline()
        return PaperClient(f"unix://{self.socket}")

    def stop(self, number):
        self.child.send_signal(number)
        code = self.child.wait(timeout=20)
        self.child.stdout.close()
        return code


def test_the_process_outlives_nothing_but_remembers_everything(tmp_path):
    dial = tmp_path / "dial.json"
    dial.write_text(json.dumps({"part_quantity": 4}))
    process = Process(tmp_path, "--dial", str(dial))
    client = process.start()
    client.submit(make_ticket())
    assert client.get_orders(["ev-1"])["ev-1"].filled_quantity == 4
    assert oct(process.socket.stat().st_mode)[-3:] == "600"
    process.stop(signal.SIGKILL)
    with pytest.raises(BrokerUnavailable):
        client.get_orders(["ev-1"])
    client = process.start()
    assert client.get_orders(["ev-1"])["ev-1"].filled_quantity == 8
    assert process.stop(signal.SIGTERM) == 0


def test_the_process_may_work_orders_by_itself(tmp_path):
    process = Process(tmp_path, "--tick-seconds", "0.05")
    client = process.start()
    client.control("dial", part_quantity=1)
    client.submit(make_ticket())
    deadline = time.monotonic() + 20
    while client.list_orders(datetime(2024, 1, 1, tzinfo=UTC))[0].filled_quantity < 10:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert process.stop(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("text", "word"),
    [("nonsense", "cannot be read"), ("[]", "object"), ('{"x": 1}', "no 'x'"), (None, "read")],
)
def test_the_command_says_what_is_wrong(tmp_path, text, word):
    dial = tmp_path / "dial.json"
    if text is not None:
        dial.write_text(text)
    where = {"path": tmp_path / "p.sqlite3", "socket": tmp_path / "broker.sock"}
    with pytest.raises(CommandError, match=word):
        call_command("paper_broker", dial=dial, **where)
    with pytest.raises(CommandError, match="cannot be served"):
        call_command("paper_broker", path=tmp_path / "p.sqlite3", port=70000)
