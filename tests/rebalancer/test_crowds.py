"""A crash in which all accounts of all firms breach at once: who is served, and in which order."""

from datetime import date, timedelta

import pytest

from rebalancer import models
from rebalancer.brokers.port import Abilities, BrokerStatus
from rebalancer.domain.limits import SwitchScope
from rebalancer.operations import orders
from rebalancer.operations.controls import set_switch
from tests.rebalancer.controls_world import give_limits
from tests.rebalancer.test_execution import script
from tests.rebalancer.world import NOW, make_world

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["script"]
OLD = date(2020, 1, 2)
MONDAY = date(2026, 11, 23)
ON_TARGET = [("USTM", "40", "3000", OLD), ("INTL", "50", "1900", OLD), ("BOND", "47", "3700", OLD)]
ACCOUNTS, A_MINUTE = 5, 2


def crash():
    """Return a firm all of whose accounts were on target until the market fell, approved."""
    world = make_world()
    give_limits(world, rate_per_minute=A_MINUTE)
    for _ in range(ACCOUNTS):
        world.add_account("240", lots=ON_TARGET)
    world.look()
    assert not models.Proposal.objects.filter(firm=world.firm).exists()
    world.set_prices(MONDAY, USTM="80", INTL="30")
    world.look(MONDAY)
    waiting = models.Proposal.objects.filter(firm=world.firm).order_by("id")
    assert {row.account_id for row in waiting} == {account.pk for account in world.accounts}
    for proposal in waiting:
        world.approve(proposal)
    return world


def test_when_every_account_breaches_all_are_served_in_turn_within_the_limits(script):
    script.abilities = Abilities(has_blocks=False)
    stopped, world = crash(), crash()
    set_switch(scope=SwitchScope.FIRM, user_id=stopped.admin.pk, reason="prices are odd")
    now, first_seen = NOW, {}
    for minute in range(60):
        before = len(script.tickets)
        orders.submit_orders(now=now)
        sent = script.tickets[before:]
        assert len(sent) <= A_MINUTE
        for ticket in sent:
            row = models.Order.objects.get(block__slices__client_order_id=ticket.client_order_id)
            first_seen.setdefault(row.account_id, minute)
            price = str(ticket.market_price)
            name = ticket.client_order_id
            script.say(name, f"F-{name}", ticket.quantity, price, status=BrokerStatus.FILLED)
        orders.poll_broker(now=now)
        now += timedelta(minutes=1)
        if not models.Proposal.objects.filter(
            firm=world.firm, status__in=["APPROVED", "EXECUTING"]
        ).exists():
            break
    # One firm stands still; in the other everybody's turn comes, in order, and nobody's is late.
    assert set(first_seen) == {account.pk for account in world.accounts}
    turns = [first_seen[account.pk] for account in world.accounts]
    assert turns == [number // A_MINUTE for number in range(ACCOUNTS)]
    assert not models.Slice.objects.filter(
        block__firm=stopped.firm, submitted_at__isnull=False
    ).exists()
