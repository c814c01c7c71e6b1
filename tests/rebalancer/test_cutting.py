"""Large blocks are cut by the firm's limits: due through the day, told why, sent when due."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from accounts.domain.roles import Role
from accounts.models import Firm
from accounts.operations.consents import end_mandate
from portfolios.models import Security
from rebalancer import models
from rebalancer.brokers.port import Abilities, BrokerStatus
from rebalancer.domain.kinds import SliceStrategy
from rebalancer.domain.lifecycle import OrderStatus
from rebalancer.domain.limits import SwitchScope
from rebalancer.domain.slicing import Market, Spreading, choose_strategy, measure_usual_volume
from rebalancer.operations import orders
from rebalancer.operations.controls import set_switch
from tests import people
from tests.rebalancer.controls_world import give_limits
from tests.rebalancer.test_execution import prove, script
from tests.rebalancer.world import NOW, make_world

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["script"]
D = Decimal
OLD = date(2020, 1, 2)
# A Monday in New York: 9:30 to 16:00 are 14:30 to 21:00 UTC.
OPEN = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
MORNING = OPEN + timedelta(minutes=30)


def begin(*, volume="1000", volatility="0.32", real=False, before=lambda world: None, **limits):
    """Return a world whose approved sale of some seventy USTM waits to go, and its limits."""
    world = make_world()
    Security.objects.filter(symbol="USTM").update(
        daily_volume=volume and D(volume), volatility=volatility and D(volatility)
    )
    usual = {"slice_strategy": "TWAP", "volume_share_max": D(1), "participation_max": D(1)}
    give_limits(world, **usual | limits)
    world.add_account("1000", lots=[("USTM", "120", "4000", OLD), ("BOND", "10", "900", OLD)])
    before(world)
    world.look()
    for proposal in models.Proposal.objects.filter(firm=world.firm):
        world.approve(proposal)
    if real:
        Firm.objects.filter(pk=world.firm.pk).update(simulated_date=None)
    return world


def get_block(world):
    return models.Block.objects.get(firm=world.firm, side="SELL", is_dissolved=False)


# --- When -----------------------------------------------------------------------------------


def test_slices_of_a_real_day_are_due_through_it_and_go_when_due(script):
    world = begin(real=True)
    orders.submit_orders(now=MORNING)
    block = get_block(world)
    slices = list(block.slices.all())
    assert block.strategy == SliceStrategy.TWAP
    assert len(slices) > 10
    assert sum(row.quantity for row in slices) == block.quantity
    assert slices[0].due_at == MORNING
    # Nothing is sent in a session's last five minutes; of what is left, half is for the buys.
    end = OPEN + timedelta(hours=6, minutes=25)
    assert max(row.due_at for row in slices) < MORNING + (end - MORNING) / 2
    assert len(script.tickets) == 1
    orders.submit_orders(now=MORNING + timedelta(seconds=60))
    assert len(script.tickets) == 1, "nothing else is due yet"
    for row in slices:
        orders.submit_orders(now=row.due_at)
    names = [ticket.client_order_id for ticket in script.tickets]
    assert names == [row.client_order_id for row in slices]
    # The block is over when its last slice is, at one price for everybody.
    for number, name in enumerate(names):
        script.say(name, f"F{number}", script.tickets[number].quantity, status=BrokerStatus.FILLED)
        orders.poll_broker(now=slices[-1].due_at)
    block.refresh_from_db()
    assert block.status == OrderStatus.FILLED
    assert models.Fill.objects.filter(order__block=block).count() == 1
    prove(world)


def test_what_was_not_sent_when_the_day_ends_expires(script):
    world = begin(real=True)
    orders.submit_orders(now=MORNING)
    [ticket] = script.tickets
    script.say(ticket.client_order_id, "F", ticket.quantity, status=BrokerStatus.FILLED)
    after = OPEN + timedelta(hours=7)
    orders.poll_broker(now=MORNING)
    orders.end_sessions(now=after)
    block = get_block(world)
    assert (block.status, block.filled_quantity) == (OrderStatus.EXPIRED, ticket.quantity)
    assert models.Order.objects.get(block=block).filled_quantity == ticket.quantity
    prove(world)


def test_after_a_halt_what_is_overdue_goes_one_by_one(script):
    world = begin(real=True)
    orders.submit_orders(now=MORNING)
    later = MORNING + timedelta(hours=2)
    due = get_block(world).slices.filter(due_at__lte=later).count()
    assert due > 5
    for minute in range(3):
        orders.submit_orders(now=later + timedelta(minutes=minute))
    assert len(script.tickets) == 1 + 3
    names = [row.client_order_id for row in get_block(world).slices.order_by("number")[:4]]
    assert [ticket.client_order_id for ticket in script.tickets] == names


def add_another(world):
    world.add_account("1000", lots=[("USTM", "60", "2000", OLD), ("BOND", "10", "900", OLD)])


def test_the_stop_of_one_account_ends_a_block_that_was_sent_in_part(script):
    world = begin(real=True, before=add_another)
    orders.submit_orders(now=MORNING)
    [ticket] = script.tickets
    script.say(ticket.client_order_id, "F", ticket.quantity, status=BrokerStatus.FILLED)
    set_switch(
        scope=SwitchScope.ACCOUNT,
        user_id=people.make_user(world.firm, Role.SUPERVISOR).pk,
        reason="The client called.",
        account_id=world.accounts[0].pk,
    )
    later = MORNING + timedelta(hours=1)
    orders.submit_orders(now=later)
    orders.poll_broker(now=later)
    assert len(script.tickets) == 1
    block = get_block(world)
    assert (block.status, block.shared_quantity) == (OrderStatus.CANCELLED, ticket.quantity)
    sales = models.Order.objects.filter(block=block)
    assert sum(order.filled_quantity for order in sales) == ticket.quantity
    assert len(sales) == 2
    assert all("may trade any more" in order.reason for order in sales)
    prove(world)


def test_a_mandate_that_ends_keeps_back_the_slices_that_wait(script):
    world = begin(real=True)
    orders.submit_orders(now=MORNING)
    [account] = world.accounts
    end_mandate(account_id=account.pk, user_id=world.admin.pk)
    orders.submit_orders(now=MORNING + timedelta(hours=1))
    # A new mandate approves nothing of before.
    people.give_mandate(account)
    orders.submit_orders(now=MORNING + timedelta(hours=2))
    assert len(script.tickets) == 1
    prove(world)


def test_slices_of_a_simulated_day_are_due_at_once_in_order(script):
    world = begin()
    orders.submit_orders(now=NOW)
    slices = list(get_block(world).slices.all())
    assert {row.due_at for row in slices} == {NOW}
    assert len(slices) > 10
    assert [t.client_order_id for t in script.tickets] == [row.client_order_id for row in slices]


def test_the_paper_broker_works_every_slice():
    world = begin(slice_strategy="SCHEDULE")
    world.trade(rounds=40)
    block = get_block(world)
    assert block.status == OrderStatus.FILLED
    assert block.slices.count() > 5
    assert {row.status for row in block.slices.all()} == {OrderStatus.FILLED}
    assert models.Proposal.objects.get(firm=world.firm).status == "COMPLETED"
    prove(world)


def test_shortly_before_the_close_a_block_goes_whole(script):
    world = begin(real=True)
    orders.submit_orders(now=OPEN + timedelta(hours=5, minutes=40))
    block = get_block(world)
    assert block.strategy == SliceStrategy.AT_ONCE
    assert block.slices.count() == 1
    assert "too little of the session" in block.plan_note


def test_the_buys_that_waited_have_the_other_half_of_the_day(script):
    others = Security.objects.filter(symbol__in=["BOND", "INTL"])
    world = begin(real=True, before=lambda world: others.update(daily_volume=D(500)))
    orders.submit_orders(now=MORNING)
    sale = get_block(world)
    last = max(row.due_at for row in sale.slices.all())
    for row in sale.slices.all():
        orders.submit_orders(now=row.due_at)
    for number, ticket in enumerate(script.tickets):
        script.say(
            ticket.client_order_id, f"F{number}", ticket.quantity, status=BrokerStatus.FILLED
        )
    orders.poll_broker(now=last)
    orders.submit_orders(now=last)
    buys = models.Block.objects.filter(firm=world.firm, side="BUY")
    assert buys.count() == 2
    for block in buys:
        due = [row.due_at for row in block.slices.all()]
        assert len(due) > 5
        assert OPEN + timedelta(hours=6) < max(due) < OPEN + timedelta(hours=6, minutes=25)


def test_what_comes_shortly_before_the_close_keeps_to_the_cap(script):
    world = begin(real=True, participation_max=D("0.05"))
    orders.submit_orders(now=OPEN + timedelta(hours=6, minutes=15))
    block = get_block(world)
    assert "left out today" in block.plan_note
    assert sum(row.quantity for row in block.slices.all()) <= D("0.05") * 1000 * D("0.1")


# --- How much -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"volume": None}, "daily volume is not known"),
        ({"volume": "0"}, "daily volume is not known"),
        ({"slice_strategy": "AT_ONCE", "cool_down_days": 1}, "limits spread no block"),
        ({"volume": "1000000"}, "less than 1.00 %"),
    ],
)
def test_a_block_goes_whole_and_says_why(script, facts, words):
    world = begin(**facts)
    if facts.get("volume") == "0":
        # No order passes a volume limit of nothing.
        orders.submit_orders(now=NOW)
        assert not models.Block.objects.exists()
        return
    orders.submit_orders(now=NOW)
    block = get_block(world)
    assert block.strategy == SliceStrategy.AT_ONCE
    assert [row.quantity for row in block.slices.all()] == [block.quantity]
    assert words in block.plan_note


def test_what_the_market_cannot_take_in_a_day_is_left_and_said_so(script):
    world = begin(participation_max=D("0.05"))
    orders.submit_orders(now=NOW)
    block = get_block(world)
    sent = sum(row.quantity for row in block.slices.all())
    assert 0 < sent <= D("0.05") * 1000
    assert f"{(block.quantity - sent).normalize():f} are left out today" in block.plan_note
    for number, ticket in enumerate(script.tickets):
        script.say(
            ticket.client_order_id, f"F{number}", ticket.quantity, status=BrokerStatus.FILLED
        )
    orders.poll_broker(now=NOW)
    block.refresh_from_db()
    order = models.Order.objects.get(block=block)
    assert (order.status, order.filled_quantity) == (OrderStatus.CANCELLED, sent)
    assert "left out today" in order.reason
    prove(world)


def test_where_the_market_takes_not_one_share_the_block_ends_unfilled(script):
    world = begin(participation_max=D("0.0001"))
    orders.submit_orders(now=NOW)
    block = get_block(world)
    assert (block.slices.count(), block.status) == (0, OrderStatus.CANCELLED)
    assert "left out today" in models.Order.objects.get(block=block).reason
    prove(world)


def test_without_volatility_the_schedule_follows_the_market(script):
    world = begin(slice_strategy="SCHEDULE", volatility=None)
    orders.submit_orders(now=NOW)
    block = get_block(world)
    assert block.strategy == SliceStrategy.VWAP
    assert "no volatility" in block.plan_note


def test_the_expected_cost_is_the_half_spread_and_the_square_root_law(script):
    world = begin()
    orders.submit_orders(now=NOW)
    block = get_block(world)
    daily = 0.32 / 252**0.5
    expected = 2 + daily * (float(block.quantity) / 1000) ** 0.5 * 1e4
    assert float(block.expected_cost_bps) == pytest.approx(expected, abs=0.001)


# --- The choice -----------------------------------------------------------------------------


def choose(quantity="100000", elapsed=0.0, strategy=SliceStrategy.VWAP, until=1.0, **market):
    return choose_strategy(
        quantity=D(quantity),
        wanted=Spreading(strategy, D("0.01"), D("0.10"), 1e-6),
        market=Market(
            **{
                "price": D(50),
                "half_spread_bps": D(5),
                "daily_volume": D(1_000_000),
                "daily_volatility": D("0.02"),
                **market,
            }
        ),
        elapsed=elapsed,
        until=until,
    )


def test_later_in_the_day_only_what_is_left_of_it_counts():
    half = choose(elapsed=0.5)
    assert half.terms.session_days == 0.5
    assert half.terms.daily_volume == pytest.approx(
        D(1_000_000) * D(str(1 - measure_usual_volume(0.5)))
    )
    assert half.terms.volume_curve(0) == 0
    assert half.terms.volume_curve(1) == pytest.approx(1)
    # From midday on trading picks up: less than half of the rest in the first half of it.
    assert half.terms.volume_curve(0.5) < 0.5


def test_a_part_of_the_day_has_its_own_volume():
    first = choose(elapsed=0.0, until=0.5)
    assert first.terms.daily_volume == pytest.approx(D(500_000))
    assert first.terms.session_days == 0.5
    assert first.terms.volume_curve(1) == pytest.approx(1)
    assert first.terms.volume_curve(0.5) > 0.5


def test_at_the_smallest_share_it_is_spread():
    assert choose("10000").strategy is SliceStrategy.VWAP
    assert choose("9999").strategy is SliceStrategy.AT_ONCE


@pytest.mark.parametrize("lack", [{"half_spread_bps": D(0)}, {"daily_volatility": None}])
def test_a_schedule_by_risk_needs_spread_and_volatility(lack):
    assert choose(strategy=SliceStrategy.SCHEDULE).terms.impact is not None
    assert choose(strategy=SliceStrategy.SCHEDULE, **lack).strategy is SliceStrategy.VWAP


@pytest.mark.parametrize("elapsed", [1, 1.5, -0.1])
def test_no_session_no_schedule(elapsed):
    with pytest.raises(ValueError, match="no session"):
        choose(elapsed=elapsed)


def test_a_broker_of_whole_shares_gets_whole_slices(script):
    script.abilities = Abilities(has_fractions=False, has_blocks=True)
    world = begin(
        real=True,
        before=lambda _world: Security.objects.filter(symbol="USTM").update(share_step=D("0.001")),
    )
    orders.submit_orders(now=MORNING)
    slices = list(get_block(world).slices.all())
    assert len(slices) > 1
    assert all(row.quantity == int(row.quantity) for row in slices)
