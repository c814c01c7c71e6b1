"""Erase the words of a household's old journal entries; the chain still verifies without them."""

from datetime import date
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.operations.erasure import erase_words
from accounts.queries import people
from robo.common import clock
from robo.common.errors import Refused


class Command(BaseCommand):
    """Translate the command line into one operation."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--firm", required=True, help="name of the firm")
        parser.add_argument("--household", required=True, type=UUID, metavar="UUID")
        parser.add_argument("--before", required=True, type=date.fromisoformat, metavar="DATE")
        parser.add_argument("--by", required=True, metavar="EMAIL", help="who decides it")
        parser.add_argument("--second", required=True, metavar="EMAIL", help="who agrees")

    def handle(self, *args: Any, **options: Any) -> None:
        """Erase, or say why not."""
        firm = people.find_firm(options["firm"])
        if firm is None:
            raise CommandError(f"there is no firm {options['firm']!r}")
        household_id = people.find_household_id(firm_id=firm.pk, public_id=options["household"])
        if household_id is None:
            raise CommandError(f"{firm.name} has no household {options['household']}")
        user_id, second_user_id = (self._find_user_id(options[name]) for name in ("by", "second"))
        try:
            count = erase_words(
                household_id=household_id,
                before_date=options["before"],
                user_id=user_id,
                second_user_id=second_user_id,
                today=clock.today(),
            )
        except Refused as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(f"The words of {count} entries are erased.")

    def _find_user_id(self, email: str) -> int:
        user = people.find_user(email)
        if user is None:
            raise CommandError(f"nobody signs in as {email}")
        return user.pk
