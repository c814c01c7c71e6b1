"""Close a firm's books through a day for good: nothing is booked on it or before it any more."""

from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.queries.people import get_service_user
from portfolios.management.choosing import choose_firm
from portfolios.operations.periods import close_books
from portfolios.queries.books import get_market_date
from robo.common import clock
from robo.common.errors import Refused


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the day and the firm."""
        parser.add_argument("through", type=date.fromisoformat, help="YYYY-MM-DD")
        parser.add_argument("--firm", help="name of the firm; not needed where there is one")

    def handle(self, *args: Any, **options: Any) -> None:
        """Close them."""
        firm = choose_firm(options["firm"])
        try:
            close_books(
                firm_id=firm.pk,
                account_id=None,
                through_date=options["through"],
                market_date=get_market_date(firm, clock.now()),
                actor_id=get_service_user(firm.pk).pk,
            )
        except Refused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{firm.name}: the books are closed through {options['through']}")
