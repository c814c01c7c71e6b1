"""Read a price file and report what it would change; with --apply, change it."""

import sys
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.queries.people import get_service_user
from portfolios.management.choosing import choose_firm, describe_refused
from portfolios.operations.prices import PricesRefused, import_price_file
from portfolios.price_sources.csv_file import PriceFileUnreadable, read_price_file
from portfolios.queries.books import get_market_date
from portfolios.queries.price_files import PriceImport, plan_price_import
from robo.common import clock


class Command(BaseCommand):
    """Import prices: date, symbol or ticker, close or price; .csv or .csv.gz."""

    help = (
        "Read a price file (.csv or .csv.gz with date, symbol, close) and report what it would "
        "change. Nothing is written without --apply. Exit status 1 when a row was refused."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the file, the firm and the terms."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--firm", help="name of the firm; not needed where there is one")
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument("--apply", action="store_true", help="record the prices")
        mode.add_argument("--dry-run", action="store_true", help="only report (the default)")
        parser.add_argument(
            "--create-securities",
            action="store_true",
            help="take unknown symbols on as unclassified securities",
        )
        parser.add_argument(
            "--skip-refused",
            action="store_true",
            help="record the good prices although rows are refused; exit status 0",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, report, and with --apply record."""
        started = time.monotonic()
        firm = choose_firm(options["firm"])
        try:
            price_file = read_price_file(options["file"], on_progress=self._show_read)
        except PriceFileUnreadable as error:
            raise CommandError(f"{options['file'].name}: {error.reason}") from error
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}") from error
        now = clock.now()
        if options["apply"]:
            try:
                done = import_price_file(
                    firm_id=firm.pk,
                    price_file=price_file,
                    source=options["file"].name,
                    create_missing=options["create_securities"],
                    skip_refused=options["skip_refused"],
                    now=now,
                    actor_id=get_service_user(firm.pk).pk,
                    on_progress=self._show_written,
                )
            except PricesRefused as error:
                done = PriceImport(recorded=0, unchanged=0, refused=error.refused)
        else:
            done = plan_price_import(
                firm=firm,
                price_file=price_file,
                market_date=get_market_date(firm, now),
                create_missing=options["create_securities"],
            )
        self._report(done, is_applied=options["apply"], seconds=time.monotonic() - started)
        if done.refused and not options["skip_refused"]:
            sys.exit(1)

    def _show_read(self, count: int) -> None:
        self.stderr.write(f"read {count:,} rows")

    def _show_written(self, count: int) -> None:
        self.stderr.write(f"recorded {count:,} prices")

    def _report(self, done: PriceImport, *, is_applied: bool, seconds: float) -> None:
        if done.new_symbols:
            self.stdout.write(f"New unclassified securities: {', '.join(done.new_symbols)}")
        for line in describe_refused(done.refused):
            self.stdout.write(line)
        would = "" if is_applied else "would be "
        self.stdout.write(
            f"{done.recorded:,} prices {would}recorded, {done.unchanged:,} on record already, "
            f"{len(done.refused):,} rows refused; {seconds:.1f} s."
        )
        if not is_applied:
            self.stdout.write("Dry run: nothing was written. Use --apply to write.")
