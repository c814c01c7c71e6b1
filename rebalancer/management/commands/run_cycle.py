"""Run one full daily cycle: checks and proposals (and, in a simulated market, its prices)."""

from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.queries import people
from rebalancer.domain.kinds import MarketMove
from rebalancer.operations import cycles
from robo.common import clock
from robo.common.errors import Refused


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the day and the firm."""
        parser.add_argument("--date", type=date.fromisoformat, help="market day, YYYY-MM-DD")
        parser.add_argument("--firm", help="name of the firm; all firms without it")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the cycle and print its figures."""
        firms = [f for f in people.list_firms() if options["firm"] in (None, f.name)]
        if not firms:
            raise CommandError(f"there is no firm {options['firm']!r}")
        now = clock.now()
        for firm in firms:
            maker = people.get_service_user(firm.pk)
            try:
                if firm.simulated_date is not None and options["date"] is None:
                    run = cycles.request_cycle(
                        firm_id=firm.pk, user_id=maker.pk, move=MarketMove.NEXT_DAY
                    )
                else:
                    day = options["date"] or cycles.get_cycle_date(firm_id=firm.pk, now=now)
                    if day is None:
                        raise CommandError(f"{firm.name}: no price has been recorded yet")
                    run = cycles.start_cycle(firm_id=firm.pk, user_id=maker.pk, price_date=day)
            except Refused as error:
                raise CommandError(f"{firm.name}: {error}") from error
            run = cycles.run_cycle(cycle_run_id=run.pk, now=now)
            figures = ", ".join(f"{name} {count}" for name, count in sorted(run.figures.items()))
            self.stdout.write(f"{firm.name}: {run.label}: {figures or 'nothing was due'}")
