"""One rig for each adapter: the broker as the product sees it, and hands on its market."""

import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from rebalancer.brokers.alpaca import AlpacaBroker
from rebalancer.brokers.fix import FixBroker, FixConnection, FixStore
from rebalancer.brokers.paper import Exchange, PaperBroker
from rebalancer.brokers.paper.client import PaperClient
from rebalancer.brokers.paper.dial import Dial
from rebalancer.brokers.paper.server import PaperServer
from rebalancer.brokers.paper.simulated import SimulatedBroker
from rebalancer.brokers.port import Abilities
from tests.rebalancer.brokers.alpaca_server import (
    ACCOUNT_NUMBER,
    KEY_ID,
    SECRET_KEY,
    AlpacaServer,
)

CHECKOUT = Path(__file__).resolve().parents[3]


class PaperRig:
    """The paper broker in this process: it ticks when it is asked."""

    account_number = "ACC-1"
    can_lose_answers = False

    def __init__(self, folder):
        self.broker = PaperBroker(folder / "paper.sqlite3", seed=1, reject_share=0.0)
        self.dial()

    def dial(self, **values):
        self.broker.set_dial(Dial(**values))

    def tick(self):
        pass  # asking is enough

    def bust(self, client_order_id, number=1):
        with self.broker.exchange() as exchange:
            assert exchange.bust(f"{client_order_id}-{number}")

    def count(self):
        return self.broker.count_orders()


class SimulatedRig:
    """The paper exchange in memory, behind a wire that may fail."""

    account_number = "ACC-1"
    can_lose_answers = True

    def __init__(self):
        self.exchange = Exchange(Random(1), Dial(), now=datetime.now(UTC))
        self.broker = SimulatedBroker(self.exchange)

    def dial(self, **values):
        self.exchange.dial = Dial(**values)

    def tick(self):
        self.exchange.tick()

    def bust(self, client_order_id, number=1):
        assert self.exchange.bust(f"{client_order_id}-{number}")

    def count(self):
        return self.exchange.count_orders()

    @contextmanager
    def losing_answers(self):
        self.dial(answer_lost_share=1.0)
        yield
        self.dial()


class ClientRig(PaperRig):
    """The paper broker as a server, and its client."""

    can_lose_answers = True

    def __init__(self, folder):
        super().__init__(folder)
        self.record = self.broker
        self.server = PaperServer(("127.0.0.1", 0), self.record)
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.broker = PaperClient(url, timeout_seconds=5)

    def dial(self, **values):
        if hasattr(self, "server"):
            self.broker.control("dial", **values)
        else:
            super().dial(**values)

    def bust(self, client_order_id, number=1):
        fill_id = f"{client_order_id}-{number}"
        assert self.broker.control("market", do="bust", fill_id=fill_id) == {"done": True}

    @contextmanager
    def losing_answers(self):
        self.dial(answer_lost_share=1.0)
        yield
        self.dial()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class AlpacaRig:
    """Alpaca's adapter and a local server that speaks its API."""

    account_number = ACCOUNT_NUMBER
    can_lose_answers = True

    def __init__(self):
        self.server = AlpacaServer()
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        self.broker = AlpacaBroker(
            key_id=KEY_ID, secret_key=SECRET_KEY, url=self.server.url, timeout_seconds=1
        )

    def dial(self, **values):
        self.server.exchange.dial = Dial(**values)

    def tick(self):
        with self.server.lock:
            self.server.exchange.tick()
            for client_order_id in self.server.times:
                self.server.touch(client_order_id)

    def bust(self, client_order_id, number=1):
        with self.server.lock:
            assert self.server.exchange.bust(f"{client_order_id}-{number}")
            self.server.touch(client_order_id)

    def count(self):
        return self.server.exchange.count_orders()

    @contextmanager
    def losing_answers(self):
        self.server.fault = "post answer lost"
        yield
        self.server.fault = ""

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class FixRig:
    """The FIX adapter and an acceptor in a process of its own."""

    account_number = "ACC-1"
    can_lose_answers = True

    def __init__(self, folder, **connection):
        script = Path(__file__).with_name("fix_acceptor.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=CHECKOUT,
            text=True,
        )
        self.port = json.loads(self.process.stdout.readline())["port"]
        self.folder = folder
        self.connection = connection
        self.broker = self.make_broker()

    def make_broker(self, store="fix.sqlite3"):
        facts = {"host": "127.0.0.1", "port": self.port, "sender": "ROBO", "target": "BRKR"}
        facts |= {"has_tls": False, "timeout_seconds": 5.0, **self.connection}
        abilities = Abilities(
            has_unique_ids=True, has_fractions=True, has_limit_orders=True, has_blocks=True
        )
        return FixBroker(FixConnection(**facts), FixStore(self.folder / store), abilities=abilities)

    def command(self, do, **values):
        self.process.stdin.write(json.dumps({"do": do, **values}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def dial(self, **values):
        self.command("dial", **values)

    def tick(self):
        self.command("tick")

    def bust(self, client_order_id, number=1):
        assert self.command("bust", fill_id=f"{client_order_id}-{number}")["done"]

    def count(self):
        return self.command("count")["count"]

    @contextmanager
    def losing_answers(self):
        self.command("fault", **{"drop after": "D"})
        yield

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
