"""Put a corporate action on record; once somebody has confirmed it, it is booked on its day."""

import re
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.queries.people import get_service_user
from portfolios.domain.kinds import ActionKind
from portfolios.management.choosing import choose_firm
from portfolios.operations.corporate_actions import ActionDetails, record_action
from portfolios.queries.books import get_today
from portfolios.queries.corporate_actions import describe_in_words
from portfolios.queries.prices import get_security_ids
from robo.common import clock
from robo.common.errors import Refused


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the security, what happens to it, and when."""
        parser.add_argument("symbol")
        parser.add_argument("kind", choices=[str(kind) for kind in ActionKind])
        parser.add_argument("effective_date", type=date.fromisoformat, help="YYYY-MM-DD")
        parser.add_argument("--ratio", help="of a split: NEW:OLD, for instance 2:1")
        parser.add_argument("--symbol", dest="new_symbol", default="", help="the new one")
        parser.add_argument("--cash", help="per share, of a dividend or a merger")
        parser.add_argument("--pay-date", type=date.fromisoformat, help="of a dividend")
        parser.add_argument("--source", default="", help="where it was read")
        parser.add_argument("--firm", help="name of the firm; not needed where there is one")

    def handle(self, *args: Any, **options: Any) -> None:
        """Record it, and say so in a sentence."""
        firm = choose_firm(options["firm"])
        symbol = options["symbol"]
        security_id = get_security_ids(firm.pk, {symbol}).get(symbol)
        if security_id is None:
            raise CommandError(f"{symbol} is not one of the securities of {firm.name}")
        new_shares, old_shares = _read_ratio(options["ratio"])
        today = get_today(firm, clock.now())
        try:
            row = record_action(
                firm_id=firm.pk,
                details=ActionDetails(
                    security_id=security_id,
                    kind=ActionKind(options["kind"]),
                    effective_date=options["effective_date"],
                    pay_date=options["pay_date"],
                    new_shares=new_shares,
                    old_shares=old_shares,
                    new_symbol=options["new_symbol"],
                    cash_per_share=_read_cash(options["cash"]),
                    source=options["source"],
                ),
                market_date=today,
                actor_id=get_service_user(firm.pk).pk,
            )
        except Refused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"On record: {describe_in_words(row)}. It waits for a person to confirm it."
        )


def _read_ratio(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    found = re.fullmatch(r"([0-9]{1,7}):([0-9]{1,7})", text)
    if found is None:
        raise CommandError(f"{text} is not NEW:OLD")
    return int(found[1]), int(found[2])


def _read_cash(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        raise CommandError(f"{text} is not an amount of cash per share") from None
