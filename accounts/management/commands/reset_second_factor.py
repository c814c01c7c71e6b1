"""Takes away a lost second step for who has no colleague to ask: `reset_second_factor E-MAIL`."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.operations.second_factors import reset_from_console
from accounts.queries.people import find_user
from robo.common.errors import Refused


class Command(BaseCommand):
    """Remove a person's second factors; the journal and a mail to its owner tell of it."""

    help = "Take away a lost second step of the sign-in. With colleagues, use the People page."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command's arguments."""
        parser.add_argument("email", help="whose second step was lost")
        parser.add_argument("--reason", required=True, help="why; its owner gets to read it")

    def handle(self, *args: Any, **options: Any) -> None:
        """Remove it."""
        user = find_user(options["email"])
        if user is None:
            raise CommandError("Nobody signs in with that address.")
        try:
            reset_from_console(user_id=user.pk, reason=options["reason"])
        except Refused as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(f"Removed. {user.name} sets up another one at the next sign-in.")
