"""The gate before the market: what goes, what waits, what never goes, and what is counted."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from portfolios.domain.kinds import Side
from portfolios.operations.halts import lift_halt, set_halt
from rebalancer import models
from rebalancer.domain.kinds import AUTOMATIC
from rebalancer.domain.limits import DEFAULTS, RefusalCode, Use
from rebalancer.operations import gate
from rebalancer.queries import controls as reads
from rebalancer.queries.work import list_due_looks
from tests.rebalancer.controls_world import (
    advance,
    amount_of,
    ask,
    codes,
    describe,
    give_limits,
    make_approved,
    make_twin,
)
from tests.rebalancer.world import DAY, NOW, make_world

pytestmark = pytest.mark.django_db(transaction=True)
D = Decimal


# --- What goes ----------------------------------------------------------------------------------


def test_what_goes_is_counted_once_on_its_account_and_its_firm():
    world = make_world()
    orders = make_approved(world)
    assert ask(orders) == {}
    expected = Use(amount_of(orders), len(orders), D(0))
    assert reads.get_use(firm_id=world.firm.pk, session_date=DAY) == expected
    # Claimed again, after its release or by mistake: nothing more is counted.
    assert ask(orders[:1], NOW + timedelta(minutes=1)) == {}
    assert reads.get_use(firm_id=world.firm.pk, session_date=DAY) == expected
    counter = models.LimitUse.objects.get(account_id=orders[0].account_id)
    assert (counter.amount, counter.order_count) == (expected.amount, expected.order_count)
    assert models.EnteredOrder.objects.count() == len(orders)


def test_a_run_is_counted_whole_when_its_first_order_goes():
    world = make_world()
    orders = make_approved(world)
    assert len(orders) > 1
    assert ask(orders[:1]) == {}
    assert reads.get_use(firm_id=world.firm.pk, session_date=DAY).order_count == len(orders)


def test_what_is_rolled_back_is_not_counted():
    world = make_world()
    orders = make_approved(world)

    def claim_and_fail():
        with transaction.atomic():
            gate.check_orders(orders=[describe(row) for row in orders], now=NOW)
            raise RuntimeError("the claim failed")

    with pytest.raises(RuntimeError):
        claim_and_fail()
    assert reads.get_use(firm_id=world.firm.pk, session_date=DAY) == Use()


def test_the_gate_works_inside_a_claim_only():
    world = make_world()
    order = describe(make_approved(world)[0])
    with pytest.raises(transaction.TransactionManagementError):
        gate.check_orders(orders=[order], now=NOW)
    with pytest.raises(transaction.TransactionManagementError):
        gate.hold_switches(firm_ids=[world.firm.pk])


def test_nothing_asked_is_nothing_answered():
    with transaction.atomic():
        assert gate.check_orders(orders=[], now=NOW) == {}


# --- Limits that block a run --------------------------------------------------------------------


@pytest.mark.parametrize("room", [-1, 0, 1])
@pytest.mark.parametrize("name", ["firm_amount_max", "firm_orders_max", "account_orders_max"])
def test_a_limit_blocks_the_whole_run_one_below_not_at_and_not_above(name, room):
    world = make_world()
    orders = make_approved(world)
    is_amount = name == "firm_amount_max"
    reached = amount_of(orders) if is_amount else len(orders)
    give_limits(world, **{name: reached + (room * D("0.01") if is_amount else room)})
    refusals = ask(orders)
    if room >= 0:
        assert refusals == {}
        return
    assert set(refusals) == {order.pk for order in orders}
    assert all(refusal.is_final and refusal.sentence for refusal in refusals.values())
    assert reads.get_use(firm_id=world.firm.pk, session_date=DAY) == Use()
    assert not models.EnteredOrder.objects.exists()


def test_one_order_too_large_blocks_the_orders_beside_it_and_those_to_come():
    world = make_world()
    orders = make_approved(world)
    largest = max(orders, key=lambda row: describe(row).amount)
    others = [row for row in orders if row != largest]
    give_limits(world, order_amount_max=describe(largest).amount - D("0.01"))
    refusals = ask(orders)
    assert refusals[largest.pk].code == RefusalCode.ORDER_AMOUNT
    assert {refusals[row.pk].code for row in others} == {RefusalCode.RUN}
    assert largest.security.symbol in refusals[others[0].pk].sentence
    # The culprit is not even asked about: it waits for the sales.
    assert codes(ask(others)) == {RefusalCode.RUN}


def test_a_blocked_run_does_not_stand_in_the_way_of_the_next():
    world = make_world()
    big, small = make_approved(world, "50000"), make_approved(world, "2000")
    give_limits(world, firm_amount_max=amount_of(small))
    refusals = ask([*big, *small])
    assert set(refusals) == {order.pk for order in big}


def test_gains_of_a_day_count_what_sales_realise():
    world = make_world()
    account = world.add_account(
        "100", lots=[("USTM", "100", "4000", DAY.replace(year=2020)), ("BOND", "10", "900", DAY)]
    )
    world.look()
    proposal = models.Proposal.objects.get(account=account)
    world.approve(proposal)
    rows = list(proposal.orders.select_related("security", "trade"))
    gain = sum(row.trade.short_term_gain + row.trade.long_term_gain for row in rows)
    assert gain > 0
    give_limits(world, account_gain_max=gain - D("0.01"))
    assert codes(ask(rows)) == {RefusalCode.GAIN}
    give_limits(world, account_gain_max=gain)
    assert ask(rows) == {}


def test_turnover_is_measured_against_the_value_of_the_account():
    world = make_world()
    orders = make_approved(world)
    share = amount_of(orders) / orders[0].proposal.value
    give_limits(world, account_turnover_max=(share - D("0.0001")).quantize(D("0.0001")))
    assert codes(ask(orders)) == {RefusalCode.TURNOVER}


def test_an_equal_order_shortly_after_is_taken_for_a_double():
    world = make_world()
    orders = make_approved(world)
    assert ask(orders) == {}
    twin = make_twin(orders[0])
    refusals = ask([twin], NOW + timedelta(minutes=DEFAULTS.duplicate_minutes, seconds=-1))
    assert codes(refusals) == {RefusalCode.DUPLICATE}
    assert refusals[twin.pk].is_final
    assert ask([twin], NOW + timedelta(minutes=DEFAULTS.duplicate_minutes)) == {}


def test_an_equal_order_is_no_double_when_the_first_came_to_nothing():
    world = make_world()
    orders = make_approved(world)
    assert ask(orders) == {}
    for status in ("SUBMITTING", "REJECTED"):
        models.Order.objects.filter(pk=orders[0].pk).update(status=status)
    assert ask([make_twin(orders[0])], NOW + timedelta(minutes=1)) == {}


def test_an_automatic_rebalance_waits_out_the_cool_down():
    world = make_world()
    give_limits(world, cool_down_days=7, duplicate_minutes=0)
    orders = make_approved(world)
    assert ask(orders) == {}
    twin = make_twin(orders[0])
    advance(world, 6)
    assert codes(ask([twin])) == {RefusalCode.COOL_DOWN}
    # What a person asked for does not wait.
    models.Check.objects.filter(pk=twin.proposal.origin_check_id).update(cause="REQUESTED")
    assert ask([twin]) == {}
    models.Check.objects.filter(pk=twin.proposal.origin_check_id).update(cause="THRESHOLD")
    advance(world, 7)
    assert ask([twin]) == {}


def test_no_look_falls_due_while_an_account_cools_down():
    world = make_world()
    orders = make_approved(world)
    assert ask(orders) == {}
    models.Proposal.objects.update(status="COMPLETED")
    account_id = orders[0].account_id
    monday, next_week = DAY + timedelta(days=3), DAY + timedelta(days=7)
    for day in (monday, next_week):
        world.set_prices(day)

    def is_due(day):
        due = list_due_looks(firm_id=world.firm.pk, price_date=day)
        return account_id in {look.account_id for look in due if look.cause in AUTOMATIC}

    assert is_due(monday)
    give_limits(world, cool_down_days=7)
    assert not is_due(monday)
    assert is_due(next_week)


def test_what_is_not_in_use_is_not_bought():
    world = make_world()
    orders = make_approved(world)
    orders[0].security.is_active = False
    orders[0].security.save()
    refusals = ask(orders)
    assert refusals[orders[0].pk].code == RefusalCode.NOT_IN_USE
    assert ask([orders[0]], side=Side.SELL) == {}


def test_what_is_frozen_is_not_traded_and_blocks_its_run():
    from portfolios.domain.kinds import BreakKind
    from portfolios.operations.breaks import open_break

    world = make_world()
    orders, others = make_approved(world), make_approved(world)
    open_break(
        account_id=orders[0].account_id,
        security_id=orders[0].security_id,
        kind=BreakKind.POSITION,
        source="test",
        ours=D(1),
        theirs=D(2),
        note="the broker has one more",
    )
    refusals = ask([*orders, *others])
    assert set(refusals) == {order.pk for order in orders}
    assert refusals[orders[0].pk].code == RefusalCode.FROZEN
    assert all(refusal.is_final for refusal in refusals.values())


def test_money_in_doubt_buys_nothing():
    from portfolios.domain.kinds import BreakKind
    from portfolios.operations.breaks import open_break

    world = make_world()
    orders = make_approved(world)
    open_break(
        account_id=orders[0].account_id,
        security_id=None,
        kind=BreakKind.CASH,
        source="test",
        ours=D(1),
        theirs=D(2),
        note="the broker has one more",
    )
    assert RefusalCode.FROZEN in codes(ask(orders))
    assert RefusalCode.FROZEN not in codes(ask(orders, side=Side.SELL))


def test_a_database_from_a_backup_sends_nothing():
    from accounts.models import LookOnly

    world, other = make_world(), make_world()
    orders, others = make_approved(world), make_approved(other)
    LookOnly.objects.create(firm=world.firm, reason="restored")
    refusals = ask([*orders, *others])
    assert set(refusals) == {order.pk for order in orders}
    assert codes(refusals) == {RefusalCode.STOPPED}


# --- What waits ---------------------------------------------------------------------------------


def test_a_halted_security_waits_and_the_others_go():
    world = make_world()
    orders = make_approved(world)
    halt = set_halt(
        security_id=orders[0].security_id,
        user_id=world.admin.pk,
        reason="news pending",
        now=NOW,
        until=NOW + timedelta(hours=1),
    )
    refusals = ask(orders)
    assert set(refusals) == {orders[0].pk}
    assert refusals[orders[0].pk] == gate.Refusal(
        RefusalCode.HALTED, f"{orders[0].security.symbol} is halted: news pending", is_final=False
    )
    assert codes(ask(orders[:1], NOW + timedelta(minutes=59))) == {RefusalCode.HALTED}
    assert ask(orders[:1], NOW + timedelta(hours=1)) == {}
    lift_halt(
        security_id=halt.security_id, user_id=world.other_admin.pk, now=NOW + timedelta(minutes=5)
    )
    assert ask(orders[:1], NOW + timedelta(minutes=6)) == {}


def test_a_real_firm_sends_in_sessions_only():
    world = make_world()
    orders = make_approved(world)
    type(world.firm).objects.filter(pk=world.firm.pk).update(simulated_date=None)
    for instant in (
        datetime(2026, 11, 20, 14, 34, tzinfo=UTC),  # in the first five minutes
        datetime(2026, 11, 20, 20, 55, tzinfo=UTC),  # in the last five
        datetime(2026, 11, 21, 16, 0, tzinfo=UTC),
        datetime(2026, 11, 27, 18, 0, tzinfo=UTC),
    ):
        refusals = ask(orders, instant)
        assert set(refusals) == {order.pk for order in orders}
        assert codes(refusals) == {RefusalCode.CLOSED}
        assert not any(refusal.is_final for refusal in refusals.values())
    assert not models.LimitUse.objects.exists()
    assert ask(orders, datetime(2026, 11, 20, 15, 0, tzinfo=UTC)) == {}
    assert reads.get_use(firm_id=world.firm.pk, session_date=DAY).order_count == len(orders)


def test_an_exchange_that_no_calendar_knows_is_closed():
    world = make_world()
    orders = make_approved(world)
    type(world.firm).objects.update(simulated_date=None, exchange="XXXX")
    assert codes(ask(orders)) == {RefusalCode.CLOSED}


def test_no_more_instructions_go_in_a_minute_than_allowed():
    world = make_world()
    give_limits(world, rate_per_minute=10)

    def take(wanted, now=NOW):
        with transaction.atomic():
            return gate.take_rate(firm_id=world.firm.pk, now=now, wanted=wanted)

    assert [take(7), take(7), take(1)] == [7, 3, 0]
    assert take(1, NOW + timedelta(seconds=59)) == 0
    assert take(4, NOW + timedelta(seconds=60)) == 4
    assert take(9, NOW) == 6, "a clock that steps back opens no fresh minute"


# --- What PostgreSQL itself refuses -------------------------------------------------------------


def test_what_was_entered_is_never_rewritten():
    world = make_world()
    ask(make_approved(world))
    for change in (
        lambda: models.EnteredOrder.objects.update(amount=0),
        lambda: models.EnteredOrder.objects.all().delete(),
    ):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            change()


def test_queries_do_not_grow_with_the_orders():
    world = make_world()
    few, many = [make_approved(world)], [make_approved(world) for _ in range(6)]
    counts = []
    from django.test.utils import CaptureQueriesContext

    with transaction.atomic():
        gate.hold_switches(firm_ids=[world.firm.pk])
    for runs in (few, many):
        with CaptureQueriesContext(connection) as captured:
            assert ask([row for run in runs for row in run]) == {}
        counts.append(len(captured))
    assert counts[0] == counts[1] <= 24
