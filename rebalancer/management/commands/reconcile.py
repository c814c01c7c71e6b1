"""`manage.py reconcile`: compare the books with the broker's now, and print the figures."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.queries import people
from rebalancer.domain.reconciliation import RunStatus
from rebalancer.operations.reconciliation import reconcile
from robo.common import clock
from robo.common.errors import Refused


class Command(BaseCommand):
    help = (
        "Compares positions, cash and orders with the broker's; differences are put on record, and"
        " freeze what they are about. Exit code 1: a firm could not be compared."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the firm."""
        parser.add_argument("--firm", help="name of the firm; all firms without it")

    def handle(self, *args: Any, **options: Any) -> None:
        """Compare each firm; one that cannot be compared holds up no other."""
        firms = [f for f in people.list_firms() if options["firm"] in (None, f.name)]
        if options["firm"] and not firms:
            raise CommandError(f"there is no firm {options['firm']!r}")
        failed = 0
        for firm in firms:
            try:
                run = reconcile(firm_id=firm.pk, now=clock.database_now())
            except Refused as error:
                failed += 1
                self.stderr.write(f"{firm.name}: {error}")
                continue
            if run.status != RunStatus.DONE:
                failed += 1
                self.stderr.write(f"{firm.name}: {run.error}")
                continue
            figures = ", ".join(f"{name} {count}" for name, count in run.figures.items())
            self.stdout.write(f"{firm.name}: {figures}")
        if failed:
            raise CommandError(f"{failed} of {len(firms)} firms were not compared", returncode=1)
