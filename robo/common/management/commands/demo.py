"""`manage.py demo`: run the whole product on this machine, until Ctrl-C."""

import contextlib
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from robo.supervisor import Demo, DemoError


class Command(BaseCommand):
    """Translate the command line into one run of the demo."""

    help = "Run Evenkeel with its own PostgreSQL and Redis, a demo firm, web, worker and beat."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on")
        parser.add_argument(
            "--once",
            action="store_true",
            help="stop once web, worker and beat have answered; exit code 0 if they have",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the demo."""
        demo = Demo(
            runtime_dir=settings.RUNTIME_DIR,
            host=options["host"],
            port=options["port"],
            say=self._say,
        )
        try:
            demo.run(once=options["once"])
        except DemoError as error:
            raise CommandError(str(error)) from error

    def _say(self, text: str) -> None:
        # A closed pipe or terminal is no reason to leave the programs behind.
        with contextlib.suppress(OSError):
            self.stdout.write(text)
            self.stdout.flush()
