"""Write a firm's books for a stranger's program to check: Beancount or hledger."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, transaction
from psycopg import IsolationLevel

from portfolios.domain.export import WRITERS
from portfolios.management.choosing import choose_firm
from portfolios.queries.ledger_export import (
    get_first_entry_date,
    get_symbols,
    iter_account_books,
)


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the language, the firm and the file."""
        parser.add_argument("--format", choices=sorted(WRITERS), required=True)
        parser.add_argument("--firm", help="name of the firm; not needed where there is one")
        parser.add_argument("--output", type=Path, help="without it the books are printed")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write all books as they are at one moment."""
        firm = choose_firm(options["firm"])
        # All batches see the books of one moment, whoever trades meanwhile.
        with _one_moment(), transaction.atomic():
            first_date = get_first_entry_date(firm.pk)
            if first_date is None:
                raise CommandError(f"Nothing is booked at {firm.name}.")
            writer = WRITERS[options["format"]](
                title=firm.name, currency=firm.currency, symbols=get_symbols(firm.pk)
            )
            lines = writer.write(iter_account_books(firm.pk), first_date=first_date)
            self._put(lines, options["output"])

    def _put(self, lines: Iterator[str], output: Path | None) -> None:
        if output is None:
            for line in lines:
                self.stdout.write(line)
            return
        try:
            with output.open("w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
        except OSError as error:
            raise CommandError(f"{output} cannot be written: {error.strerror}") from error
        self.stdout.write(f"{output}: written")


@contextmanager
def _one_moment() -> Iterator[None]:
    """Let the next transaction see one unchanging state, if none is under way already."""
    connection.ensure_connection()
    if connection.in_atomic_block:
        yield
        return
    raw: Any = connection.connection
    raw.isolation_level, raw.read_only = IsolationLevel.REPEATABLE_READ, True
    try:
        yield
    finally:
        raw.isolation_level, raw.read_only = None, None
