"""Prove the books: transfers, lots, holdings, cash, orders, fills and approvals agree."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.queries import people
from portfolios.operations.rebuilding import rebuild_totals
from portfolios.queries.books import check_books
from rebalancer.operations.execution.completing import rebuild_orders
from rebalancer.queries.proof import check_orders


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the firm, and whether to recompute running totals."""
        parser.add_argument("--firm", help="name of the firm; all firms without it")
        parser.add_argument(
            "--rebuild",
            action="store_true",
            help="recompute lots, holdings, cash and order totals from entries and fills",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the first fault and exit 1, or say that the books agree."""
        firms = [f for f in people.list_firms() if options["firm"] in (None, f.name)]
        if options["firm"] and not firms:
            raise CommandError(f"there is no firm {options['firm']!r}")
        for firm in firms:
            if options["rebuild"]:
                changed = rebuild_totals(firm_id=firm.pk) + rebuild_orders(firm_id=firm.pk)
                self.stdout.write(f"{firm.name}: {changed} running totals were put right")
            faults = [*check_books(firm.pk), *check_orders(firm.pk)]
            if faults:
                first = faults[0]
                raise CommandError(
                    f"{firm.name}: {first.title}: {first.detail} ({len(faults)} faults in all)",
                    returncode=1,
                )
            self.stdout.write(f"{firm.name}: the books agree")
