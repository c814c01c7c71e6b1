"""Write a statement from the journal that a client can check without us, with its verifier."""

import json
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.queries import people
from accounts.queries.statements import build_statement, get_verifier_source
from robo.common.errors import Refused

STATEMENT, VERIFIER = "statement.json", "verify_statement.py"


class Command(BaseCommand):
    """Translate the command line into one statement."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--firm", required=True, help="name of the firm")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--entry", type=int, metavar="ID", help="one entry, by its number")
        what.add_argument("--household", type=UUID, metavar="UUID", help="a household's entries")
        parser.add_argument("--from", dest="from_date", type=date.fromisoformat, metavar="DATE")
        parser.add_argument("--to", dest="to_date", type=date.fromisoformat, metavar="DATE")
        parser.add_argument(
            "--output", type=Path, default=Path(), metavar="FOLDER", help="where both files go"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write statement and verifier, and say how to use them."""
        firm = people.find_firm(options["firm"])
        if firm is None:
            raise CommandError(f"there is no firm {options['firm']!r}")
        household_id = None
        if options["household"] is not None:
            household_id = people.find_household_id(firm_id=firm.pk, public_id=options["household"])
            if household_id is None:
                raise CommandError(f"{firm.name} has no household {options['household']}")
        try:
            statement = build_statement(
                firm=firm,
                entry_id=options["entry"],
                household_id=household_id,
                from_date=options["from_date"],
                to_date=options["to_date"],
            )
        except Refused as refusal:
            raise CommandError(str(refusal)) from refusal
        folder: Path = options["output"]
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(statement, indent=1, ensure_ascii=False)
        (folder / STATEMENT).write_text(f"{text}\n", encoding="utf-8")
        (folder / VERIFIER).write_text(get_verifier_source(), encoding="utf-8")
        self.stdout.write(
            f"{len(statement['entries'])} entries are in {folder / STATEMENT}. Check them with:\n"
            f"  python3 {folder / VERIFIER} {folder / STATEMENT} --key {statement['public_key']}\n"
            "Tell the key by another way than the statement itself."
        )
