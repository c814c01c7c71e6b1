"""Make the demo firm, through operations only; a second run changes nothing, a cut one goes on."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.queries import people
from rebalancer.domain.kinds import MarketMove
from rebalancer.management import demo_firm as demo
from rebalancer.management.demo_build import found_firm, let_things_happen
from rebalancer.operations import approvals, cycles, orders
from rebalancer.queries.seeding import count_cycles, list_pending, list_unfinished_cycles
from robo.common import clock
from robo.common.errors import Refused


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Seed, say how far it has come, and print who can sign in."""
        if not settings.DEMO:
            raise CommandError("seed_demo only runs in a demo: set EVENKEEL_DEMO=1")
        now = clock.now()
        if people.find_firm(demo.FIRM_NAME) is None:
            self.say("making the demo firm: people, securities, a year of prices, accounts")
            with transaction.atomic():
                found_firm(now)
        firm = people.find_firm(demo.FIRM_NAME)
        if firm is None:
            raise CommandError("the demo firm was not made")
        self.live(firm.pk, now)
        self.say(f"sign in with the password  {settings.DEMO_PASSWORD}")
        for role, (email, name) in (
            ("advisor", demo.ADVISORS[0]),
            ("client", demo.HOUSEHOLDS[0].client),
            ("supervisor", demo.SUPERVISORS[0]),
            ("model admin", demo.MODEL_ADMIN),
            ("admin", demo.ADMINS[0]),
            ("operator", demo.OPERATOR),
        ):
            self.say(f"  {role:<11} {email:<28} {name}")

    def say(self, line: str) -> None:
        """Print one line at once, also into a pipe."""
        self.stdout.write(line)
        self.stdout.flush()

    def live(self, firm_id: int, now: datetime) -> None:
        """Live through the last weeks before the demo begins: real cycles, approvals and fills."""
        # A run that was cut short with the process that ran it: nobody else runs any yet.
        for cycle_run_id in list_unfinished_cycles(firm_id):
            cycles.run_cycle(cycle_run_id=cycle_run_id, now=now + 2 * cycles.STUCK_AFTER)
        maker = people.get_service_user(firm_id)
        last_day = demo.LIVE_SESSIONS - 1
        for day in range(count_cycles(firm_id), demo.LIVE_SESSIONS):
            if day % 5 == 0:
                self.say(f"living through the weeks before: day {day + 1} of {last_day + 1}")
            if day == last_day:
                with transaction.atomic():
                    let_things_happen(firm_id, now)
            run = cycles.request_cycle(firm_id=firm_id, user_id=maker.pk, move=MarketMove.NEXT_DAY)
            cycles.run_cycle(cycle_run_id=run.pk, now=now)
            # What the last day proposes is left for the person who tries the demo.
            if day < last_day:
                self.decide(firm_id, now)

    def decide(self, firm_id: int, now: datetime) -> None:
        """Let the lead advisors approve what waits, and the broker fill it."""
        for proposal in list_pending(firm_id):
            try:
                approvals.approve_proposal(
                    proposal_id=proposal.proposal_id,
                    user_id=proposal.lead_advisor_id,
                    content_hash=proposal.content_hash,
                    note="",
                    now=now,
                )
            except Refused as error:
                self.say(f"  not approved: {error}")
        while orders.submit_orders(now=now) + orders.poll_broker(now=now):
            pass
