"""`manage.py create_firm`: the way into an empty installation: a firm and its first admin."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.access import build_sign_in_path
from accounts.operations.users import found_firm
from robo.common.errors import Refused


class Command(BaseCommand):
    """Translate the command line into one operation."""

    help = "Create a firm with its first admin, and print the one-time link that lets them in."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("name", help="what the firm is called")
        parser.add_argument("--admin-email", required=True)
        parser.add_argument("--admin-name", required=True)
        parser.add_argument("--currency", default="USD", help="three letters, such as USD")
        parser.add_argument("--exchange", default="XNYS", help="ISO 10383 market code")

    def handle(self, *args: Any, **options: Any) -> None:
        """Create both, or neither."""
        try:
            admin = found_firm(
                name=options["name"],
                currency=options["currency"],
                exchange=options["exchange"],
                admin_email=options["admin_email"],
                admin_name=options["admin_name"],
            )
        except Refused as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(f"{admin.firm.name} is created. {admin.email} sets a password at:")
        self.stdout.write(f"  {build_sign_in_path(admin)}")
        self.stdout.write("on this site's own address. The link works once, for three days.")
