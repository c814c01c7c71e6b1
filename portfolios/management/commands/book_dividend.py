"""Book a cash dividend to every account that held a security before the ex-date."""

from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portfolios.management.choosing import choose_firm
from portfolios.operations.dividends import book_dividend
from portfolios.queries.books import get_market_date
from portfolios.queries.prices import get_security_ids
from robo.common import clock

# What is asked for longer after its day is more likely a slip of the year.
EX_DATE_AGE = timedelta(days=366)
AMOUNT_MAX = Decimal(10_000)


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the security, the day and the amount."""
        parser.add_argument("symbol")
        parser.add_argument("ex_date", type=date.fromisoformat, help="YYYY-MM-DD")
        parser.add_argument("amount", help="cash per share")
        parser.add_argument("--pay-date", type=date.fromisoformat, help="without it the ex-date")
        parser.add_argument("--firm", help="name of the firm; not needed where there is one")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check what was asked, book it, and say to how many accounts."""
        firm = choose_firm(options["firm"])
        symbol, ex_date = options["symbol"], options["ex_date"]
        security_id = get_security_ids(firm.pk, {symbol}).get(symbol)
        if security_id is None:
            raise CommandError(f"{symbol} is not one of the securities of {firm.name}")
        market_date = get_market_date(firm, clock.now())
        if not market_date - EX_DATE_AGE <= ex_date <= market_date:
            days = EX_DATE_AGE.days
            raise CommandError(f"{ex_date} is not within {days} days before {market_date}")
        pay_date = options["pay_date"] or ex_date
        if not ex_date <= pay_date <= market_date:
            raise CommandError(f"{pay_date} is not between {ex_date} and {market_date}")
        try:
            amount = Decimal(options["amount"])
        except InvalidOperation:
            amount = Decimal("NaN")
        if not amount.is_finite() or not 0 < amount <= AMOUNT_MAX:
            raise CommandError(f"{options['amount']} is not an amount of cash per share")
        count = book_dividend(
            security_id=security_id,
            ex_date=ex_date,
            amount_per_share=amount,
            currency=firm.currency,
            pay_date=pay_date,
        )
        self.stdout.write(f"{symbol}: {amount} a share booked to {count} accounts")
