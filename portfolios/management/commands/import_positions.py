"""Read a broker's statement and report what it would change; with --apply, change it."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.domain.roles import TaxStatus
from accounts.queries.people import find_household, get_service_user
from portfolios.domain.import_plan import ImportPlan, ImportTerms, PlannedAccount
from portfolios.management.choosing import choose_firm, describe_refused
from portfolios.operations.statements import ImportRefused, apply_import
from portfolios.queries.books import get_market_date
from portfolios.queries.statements import plan_import
from portfolios.statements import StatementUnreadable, read_statement
from robo.common import clock

# What can be read at once; the readers refuse more, but only after it is in memory.
FILE_BYTES_MAX = 25 * 1024 * 1024


class Command(BaseCommand):
    """Import positions from a broker's export."""

    help = (
        "Read a broker's export (Schwab, Fidelity, Vanguard, Interactive Brokers, OFX) and report "
        "what it would change. Nothing is written without --apply; then all of it is, or nothing. "
        "Exit status 1 when a row was refused."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the file, the firm and the terms."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--firm", help="name of the firm; not needed where there is one")
        parser.add_argument("--household", help="name of the household that new accounts belong to")
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument("--apply", action="store_true", help="take the statement into the books")
        mode.add_argument("--dry-run", action="store_true", help="only report (the default)")
        parser.add_argument(
            "--create-missing",
            action="store_true",
            help="open unknown accounts and take on unknown securities as unclassified",
        )
        parser.add_argument(
            "--tax-status",
            type=TaxStatus,
            choices=list(TaxStatus),
            help="tax status of new accounts; without it, guessed from each account's name",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, report, and with --apply take into the books."""
        firm = choose_firm(options["firm"])
        statement = self._read(options["file"])
        terms = ImportTerms(
            market_date=get_market_date(firm, clock.now()),
            household_id=self._choose_household(firm.pk, options["household"]),
            create_missing=options["create_missing"],
            tax_status=options["tax_status"],
        )
        if options["apply"]:
            try:
                plan = apply_import(
                    firm_id=firm.pk,
                    statement=statement,
                    file_name=options["file"].name,
                    terms=terms,
                    actor_id=get_service_user(firm.pk).pk,
                )
            except ImportRefused as error:
                plan = error.plan
        else:
            plan = plan_import(firm_id=firm.pk, statement=statement, terms=terms)
        self._report(plan, is_applied=options["apply"])
        if plan.refused:
            sys.exit(1)

    def _read(self, path: Path) -> Any:
        try:
            with path.open("rb") as file:
                content = file.read(FILE_BYTES_MAX + 1)
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from error
        try:
            return read_statement(content, path.name)
        except StatementUnreadable as error:
            raise CommandError(str(error)) from error

    def _choose_household(self, firm_id: int, name: str | None) -> int | None:
        if not name:
            return None
        household = find_household(firm_id=firm_id, name=name)
        if household is None:
            raise CommandError(f"The firm has no household named {name!r}.")
        return household.pk

    def _report(self, plan: ImportPlan, *, is_applied: bool) -> None:
        self.stdout.write(f"{plan.broker} statement of {plan.as_of}")
        for account in plan.accounts:
            self._report_account(account)
        for note in plan.notes:
            self.stdout.write(f"Note: {note}")
        for line in describe_refused(plan.refused):
            self.stdout.write(line)
        if plan.refused:
            self.stdout.write("Nothing was written: a statement is taken whole or not at all.")
        elif plan.imported_before or not plan.changes_anything:
            self.stdout.write("Nothing to do: the books already say the same.")
        elif is_applied:
            self.stdout.write("Imported.")
        else:
            self.stdout.write("Dry run: nothing was written. Use --apply to write.")

    def _report_account(self, account: PlannedAccount) -> None:
        self.stdout.write(
            f"Account {account.number} ({account.name}): {account.state.lower()}, "
            f"cash {account.cash}, total {account.total}"
        )
        for holding in account.holdings:
            is_new = ", new security" if holding.is_new_security else ""
            note = f" ({holding.note})" if holding.note else ""
            self.stdout.write(
                f"  {holding.state.lower():9} {holding.symbol} {holding.quantity.normalize():f}"
                f"{is_new}{note}"
            )
