"""Solve one household given as JSON: trades, reasons and certificate out, no database needed."""

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from rebalancer.domain.kinds import Mode
from rebalancer.engine import solve_case
from rebalancer.engine.case.rows import CaseRefused


class Command(BaseCommand):
    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the case and, before its own, the mode."""
        parser.add_argument("case", help="a file that docs/cases.md describes; - reads the input")
        parser.add_argument("--mode", choices=list(map(str, Mode)), help="which trades to consider")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the answer as JSON; a refused case prints one JSON line a fault and exits 1."""
        try:
            answer = solve_case(_read(options["case"]), mode=options["mode"])
        except CaseRefused as error:
            for fault in error.errors:
                self.stderr.write(
                    json.dumps({"path": fault.path, "message": fault.message}), self.style.NOTICE
                )
            if error.count > len(error.errors):
                left = error.count - len(error.errors)
                self.stderr.write(json.dumps({"path": "", "message": f"{left} more faults"}))
            sys.exit(1)
        self.stdout.write(json.dumps(answer, indent=2))


def _read(name: str) -> bytes:
    """Return what a file or the input holds.

    :raises CommandError: when it cannot be read.
    """
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}") from None
