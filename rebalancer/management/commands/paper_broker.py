"""`manage.py paper_broker`: the paper broker as a process of its own, with a fault dial."""

import json
import signal
import threading
from argparse import ArgumentParser
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from rebalancer.operations.connections import serve_paper_broker


class Command(BaseCommand):
    """Serve the paper broker until told to stop."""

    help = (
        "Serves the paper broker over HTTP, on a port of this machine or a socket file, so that it"
        " outlives everything else. Point PAPER_BROKER_URL at it."
    )

    # It needs neither pages nor tables: checking them would only make it start late.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--path", type=Path, default=None, help="its durable record (SQLite)")
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument("--port", type=int, help="listen on this port of 127.0.0.1")
        where.add_argument("--socket", type=Path, help="listen on this socket file")
        parser.add_argument(
            "--tick-seconds",
            type=float,
            default=0.0,
            help="work all orders this often; 0: an order moves on when it is asked about",
        )
        parser.add_argument("--dial", type=Path, help="a JSON file with the fault dial")

    def handle(self, **options: Any) -> None:
        """Run until SIGTERM or Ctrl-C."""
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: stop.set())
        dial = self._read_dial(options["dial"])
        address = options["socket"] or ("127.0.0.1", options["port"])
        try:
            with suppress(KeyboardInterrupt):
                serve_paper_broker(
                    path=options["path"] or settings.PAPER_BROKER_PATH,
                    address=address,
                    tick_seconds=options["tick_seconds"],
                    dial=dial,
                    stop=stop,
                    ready=lambda: self._say(address),
                )
        except (OSError, OverflowError, ValueError) as error:
            raise CommandError(f"The paper broker cannot be served: {error}") from error

    def _say(self, address: object) -> None:
        self.stdout.write(f"The paper broker answers at {address}.")
        self.stdout.flush()

    def _read_dial(self, path: Path | None) -> dict[str, Any] | None:
        if path is None:
            return None
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise CommandError(f"The dial cannot be read: {error}") from error
        if not isinstance(found, dict):
            raise CommandError("The dial is a JSON object.")
        return found
