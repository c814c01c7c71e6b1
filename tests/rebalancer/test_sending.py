"""Who may send what when: leases, stops, silence, unknown outcomes, and people who cancel."""

import threading
from datetime import date, timedelta
from decimal import Decimal as D

import pytest
from django.db import connection

from accounts.domain.roles import Role
from accounts.models import Firm
from accounts.operations.consents import end_mandate
from portfolios.domain.kinds import BreakKind
from portfolios.operations.breaks import Adjustment, close_break, open_break
from rebalancer import models
from rebalancer.brokers.port import (
    Abilities,
    AllocationRefused,
    BrokerStatus,
    BrokerUnavailable,
)
from rebalancer.domain.kinds import BrokerKind
from rebalancer.domain.lifecycle import OrderStatus
from rebalancer.domain.limits import SwitchScope
from rebalancer.domain.reconciliation import SliceAnswer
from rebalancer.operations import orders
from rebalancer.operations.controls import ask_to_clear, clear_switch, set_switch
from rebalancer.operations.execution import (
    admission,
    asking,
    blocks,
    deciding,
    outbox,
    reports,
    sending,
)
from robo.common.errors import Conflict, NotAllowed, Refused
from tests import people
from tests.rebalancer.test_execution import get_sale, list_sales, prove, script, start
from tests.rebalancer.world import DAY, NOW, expire_leases, make_world

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["script"]


def form(*sizes, **terms):
    """Return a world whose blocks are formed, and not yet sent."""
    world = make_world(**terms)
    for size in sizes:
        world.add_account("1000", lots=[("USTM", str(size), "4000", "2020-01-02")])
    world.look()
    for proposal in models.Proposal.objects.filter(firm=world.firm).order_by("id"):
        world.approve(proposal)
    while orders.begin_executions(now=NOW):
        pass
    blocks.form_blocks(now=NOW)
    return world


# --- Leases ---------------------------------------------------------------------------------


def test_a_slow_sender_does_not_send_what_was_released_meanwhile(script):
    world = form(80)
    claim = sending._claim(after=0, now=NOW)
    [slow] = claim.going
    # It stands still for longer than its lease; the sweep asks, and the next worker sends.
    expire_leases()
    assert asking.resolve_unknown(now=NOW) == 1
    assert get_sale(world).status == OrderStatus.NEW
    assert sending.send_slices(now=NOW) == 1
    # It wakes up.
    assert sending._send_batch([slow], {}) == {}
    assert len(script.tickets) == 1
    assert get_sale(world).attempt_count == 2
    prove(world)


def test_a_lease_that_passed_without_anybody_noticing_is_not_sent_upon(script):
    world = form(80)
    [slow] = sending._claim(after=0, now=NOW).going
    expire_leases()
    assert sending._send_batch([slow], {}) == {}
    assert script.tickets == []
    assert get_sale(world).status == OrderStatus.SUBMITTING
    orders.resolve_unknown_orders(now=NOW)
    orders.submit_orders(now=NOW)
    assert len(script.tickets) == 1


def test_a_silent_broker_is_asked_once_in_a_pass_and_the_rest_is_given_back(script):
    script.abilities, script.is_silent = Abilities(has_blocks=False), True
    form(80, 90, 100, 110)
    calls = []
    submit = script.submit
    script.submit = lambda ticket: calls.append(ticket) or submit(ticket)
    orders.submit_orders(now=NOW)
    assert len(calls) == 1
    by_status = list(
        models.Slice.objects.filter(block__side="SELL").values_list("status", "attempt_count")
    )
    assert sorted(by_status) == [("NEW", 0)] * 3 + [("SUBMITTING", 1)]


def test_two_senders_at_once_send_each_slice_once(script):
    script.abilities = Abilities(has_blocks=False)
    form(*range(80, 92))
    errors = []

    def send():
        try:
            sending.send_slices(now=NOW)
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert errors == []
    names = [ticket.client_order_id for ticket in script.tickets]
    assert len(names) == len(set(names)) == 12


# --- Unknown outcomes -----------------------------------------------------------------------


def test_what_a_broker_would_take_twice_waits_for_a_person(script):
    script.abilities, script.is_silent = Abilities(has_unique_ids=False, has_blocks=True), True
    world = form(80)
    sending.send_slices(now=NOW)
    script.is_silent = False
    expire_leases()
    orders.resolve_unknown_orders(now=NOW)
    orders.submit_orders(now=NOW)
    sale = get_sale(world)
    assert (sale.status, sale.is_parked, script.tickets) == (OrderStatus.SUBMITTING, True, [])
    assert "a person must say" in sale.reason
    settle = {"slice_id": sale.pk, "reason": "Asked their desk.", "now": NOW}
    with pytest.raises(NotAllowed):
        deciding.settle_parked_slice(**settle, answer=SliceAnswer.SEND, user_id=world.advisor.pk)
    operator = people.make_user(world.firm, Role.OPERATOR)
    with pytest.raises(Refused, match="how you know"):
        deciding.settle_parked_slice(
            **settle | {"reason": " "}, answer=SliceAnswer.SEND, user_id=operator.pk
        )
    deciding.settle_parked_slice(**settle, answer=SliceAnswer.SEND, user_id=operator.pk)
    with pytest.raises(Conflict):
        deciding.settle_parked_slice(**settle, answer=SliceAnswer.SEND, user_id=operator.pk)
    orders.submit_orders(now=NOW)
    assert [ticket.client_order_id for ticket in script.tickets] == [sale.client_order_id]
    prove(world)


def test_a_person_does_not_overrule_the_brokers_own_list(script):
    script.abilities, script.is_mute = Abilities(has_unique_ids=False, has_blocks=True), True
    world = form(80)
    get_orders, script.get_orders = script.get_orders, lambda names: {}
    sending.send_slices(now=NOW)
    expire_leases()
    orders.resolve_unknown_orders(now=NOW)
    sale = get_sale(world)
    assert sale.is_parked
    supervisor = people.make_user(world.firm, Role.SUPERVISOR)
    with pytest.raises(Conflict, match="names this order"):
        deciding.settle_parked_slice(
            slice_id=sale.pk, answer=SliceAnswer.SEND, user_id=supervisor.pk, reason="No.", now=NOW
        )
    script.get_orders = get_orders
    sale.refresh_from_db()
    assert (sale.status, sale.is_parked) == (OrderStatus.SUBMITTED, False)
    assert len(script.tickets) == 1


def test_said_to_be_taken_it_is_asked_about_again(script):
    script.abilities, script.is_silent = Abilities(has_unique_ids=False), True
    world = form(80)
    sending.send_slices(now=NOW)
    script.is_silent = False
    expire_leases()
    orders.resolve_unknown_orders(now=NOW)
    sale = get_sale(world)
    supervisor = people.make_user(world.firm, Role.SUPERVISOR)
    deciding.settle_parked_slice(
        slice_id=sale.pk,
        answer=SliceAnswer.TAKEN,
        user_id=supervisor.pk,
        reason="On their screen.",
        now=NOW,
    )
    orders.submit_orders(now=NOW)
    sale.refresh_from_db()
    assert (sale.status, script.tickets) == (OrderStatus.SUBMITTED, [])


def test_taken_after_the_time_out_it_is_found_before_it_is_sent_again(script):
    """Released because the broker did not know it; then it turns out that it does."""
    script.is_silent = True
    world = form(80)
    [item] = sending._claim(after=0, now=NOW).going
    sending._send_batch([item], {})
    script.is_silent = False
    expire_leases()
    orders.resolve_unknown_orders(now=NOW)
    assert get_sale(world).status == OrderStatus.NEW
    script.submit(item.ticket)
    script.say(item.ticket.client_order_id, "F1", 3)
    orders.review_orders(now=NOW)
    sale = get_sale(world)
    assert (sale.status, sale.filled_quantity) == (OrderStatus.PARTIALLY_FILLED, 3)
    orders.submit_orders(now=NOW)
    assert len(script.tickets) == 1
    prove(world)


# --- Stops ----------------------------------------------------------------------------------


def stop(world, scope, **target):
    return set_switch(
        scope=scope,
        user_id=people.make_user(world.firm, Role.SUPERVISOR).pk,
        reason="Something is wrong.",
        **target,
    )


def clear(world, switch):
    first, second = (people.make_user(world.firm, Role.SUPERVISOR) for _ in range(2))
    ask_to_clear(switch_id=switch.pk, user_id=first.pk, reason="It is over.")
    clear_switch(switch_id=switch.pk, user_id=second.pk)


def test_a_stop_between_block_and_sending_holds_the_slice(script):
    world = form(80, 120)
    switch = stop(world, SwitchScope.FIRM)
    assert sending.send_slices(now=NOW) == 0
    assert (script.tickets, get_sale(world).status) == ([], OrderStatus.NEW)
    clear(world, switch)
    assert sending.send_slices(now=NOW) == 1


def test_an_order_that_waits_says_why_and_goes_when_it_may(script):
    world = make_world()
    world.add_account("1000", lots=[("USTM", "80", "4000", "2020-01-02")])
    world.look()
    world.approve(models.Proposal.objects.get())
    switch = stop(world, SwitchScope.FIRM)
    for _ in range(2):
        orders.submit_orders(now=NOW)
    [order] = list_sales()
    assert (order.status, order.block) == (OrderStatus.NEW, None)
    assert order.reason == "Waits: The firm's trading is stopped: Something is wrong."
    clear(world, switch)
    orders.submit_orders(now=NOW)
    order.refresh_from_db()
    assert (order.status, order.reason) == (OrderStatus.SUBMITTED, "")


def test_a_firm_whose_market_is_closed_or_unknown_holds_up_no_other(script):
    closed, lost, other = (make_world() for _ in range(3))
    for world in (closed, lost, other):
        world.add_account("1000", lots=[("USTM", "80", "4000", "2020-01-02")])
        world.look()
        world.approve(models.Proposal.objects.get(firm=world.firm))
    while orders.begin_executions(now=NOW):
        pass
    # After hours; and on an exchange that no calendar knows.
    Firm.objects.filter(pk=closed.firm.pk).update(simulated_date=None)
    Firm.objects.filter(pk=lost.firm.pk).update(simulated_date=None, exchange="NOWHERE")
    orders.submit_orders(now=NOW)
    assert get_sale(other).status == OrderStatus.SUBMITTED
    for world in (closed, lost):
        sale = models.Order.objects.get(firm=world.firm, side="SELL")
        assert sale.status == OrderStatus.NEW
        assert sale.reason.startswith("Waits: ")


def test_a_price_that_moved_while_an_order_waited_ends_the_rest_of_its_plan(script):
    world = start(80)
    sale = get_sale(world)
    script.say(sale.client_order_id, "F1", sale.quantity, status=BrokerStatus.FILLED)
    stop(world, SwitchScope.FIRM)
    orders.poll_broker(now=NOW)
    world.set_prices(date(2026, 11, 23), INTL="30")
    orders.submit_orders(now=NOW)
    buys = models.Order.objects.filter(side="BUY")
    assert {order.status for order in buys} == {OrderStatus.CANCELLED}
    assert all("INTL moved -25.0%" in order.reason for order in buys)
    assert models.Proposal.objects.get().status == "COMPLETED_ADJUSTED"
    prove(world)


def test_what_waited_longer_than_an_approval_holds_is_not_sent(script):
    world = start(80)
    sale = get_sale(world)
    script.say(sale.client_order_id, "F1", sale.quantity, status=BrokerStatus.FILLED)
    switch = stop(world, SwitchScope.FIRM)
    orders.poll_broker(now=NOW)
    decided_at = models.Decision.objects.get().decided_at
    blocks.form_blocks(now=decided_at + admission.RUN_AGE_MAX)
    buys = models.Order.objects.filter(side="BUY")
    assert OrderStatus.CANCELLED not in {order.status for order in buys}
    clear(world, switch)
    blocks.form_blocks(now=decided_at + admission.RUN_AGE_MAX + timedelta(seconds=1))
    assert {order.status for order in buys.all()} == {OrderStatus.CANCELLED}
    assert {order.reason for order in buys.all()} == {"The approval is more than 5 days old."}
    prove(world)


def test_a_stop_between_claim_and_call_is_heeded(script):
    world = form(80)
    claim = sending._claim(after=0, now=NOW)
    switch = stop(world, SwitchScope.FIRM)
    assert sending._send_batch(claim.going, {}) == {}
    sale = get_sale(world)
    assert (script.tickets, sale.status, sale.attempt_count) == ([], OrderStatus.NEW, 0)
    clear(world, switch)
    assert sending.send_slices(now=NOW) == 1


def test_the_stop_of_one_account_takes_it_out_of_a_block_that_was_not_sent(script):
    world = form(80, 120)
    first, second = world.accounts
    switch = stop(world, SwitchScope.ACCOUNT, account_id=first.pk)
    orders.submit_orders(now=NOW)
    orders.submit_orders(now=NOW)
    [ticket] = script.tickets
    assert ticket.account_number == str(second.public_id)
    assert models.Order.objects.get(account=first, side="SELL").status == OrderStatus.NEW
    assert models.Block.objects.filter(is_dissolved=True).count() == 1
    prove(world)
    clear(world, switch)
    orders.submit_orders(now=NOW)
    assert len(script.tickets) == 2
    prove(world)


def test_a_mandate_that_ends_takes_its_account_out_of_a_block_that_waits(script):
    world = form(80, 120)
    end_mandate(account_id=world.accounts[0].pk, user_id=world.admin.pk)
    for minute in (5, 6):
        orders.submit_orders(now=NOW + timedelta(minutes=minute))
    [ticket] = script.tickets
    assert ticket.account_number == str(world.accounts[1].public_id)
    prove(world)


def test_shares_that_are_gone_when_their_order_may_go_are_not_sold(script):
    world = make_world()
    account = world.add_account("1000", lots=[("USTM", "80", "4000", "2020-01-02")])
    world.look()
    world.approve(models.Proposal.objects.get(firm=world.firm))
    orders.begin_executions(now=NOW)
    # The market is closed, and two people settle a difference with the custodian meanwhile.
    row = open_break(
        account_id=account.pk,
        security_id=world.security_ids["USTM"],
        kind=BreakKind.POSITION,
        source="test",
        ours=D(80),
        theirs=D(5),
        note="Never delivered.",
    )
    supervisor = people.make_user(world.firm, Role.SUPERVISOR)
    close_break(
        break_id=row.pk,
        user_id=supervisor.pk,
        note="As the custodian says.",
        now=NOW,
        adjustment=Adjustment(DAY),
    )
    orders.submit_orders(now=NOW)
    assert script.tickets == []
    [sale] = list_sales()
    assert sale.status == OrderStatus.CANCELLED
    assert "no longer what they were" in sale.reason
    prove(world)


def test_what_is_cut_to_the_cash_is_cut_to_whole_shares_as_well(script):
    script.abilities = Abilities(has_fractions=False, has_blocks=True)
    world = start(80)
    sale = get_sale(world)
    script.say(sale.client_order_id, "F1", 2)
    script.end(sale.client_order_id, BrokerStatus.CANCELLED)
    orders.poll_broker(now=NOW)
    orders.submit_orders(now=NOW)
    bought = [ticket for ticket in script.tickets if ticket.side == "BUY"]
    assert "INTL" in {ticket.symbol for ticket in bought}
    assert all(ticket.quantity == int(ticket.quantity) for ticket in bought)
    prove(world)


def test_a_broker_that_takes_no_allocation_holds_up_no_other(script, monkeypatch):
    monkeypatch.setattr(outbox, "BATCH_BLOCKS", 1)
    worlds = [start(80), start(80)]
    for world in worlds:
        sale = get_sale(world)
        script.say(sale.client_order_id, f"F{sale.pk}", sale.quantity, status=BrokerStatus.FILLED)
    told = []

    def allocate(instruction):
        block = models.Block.objects.get(public_id=instruction.block_id)
        if block.firm == worlds[0].firm:
            raise BrokerUnavailable("no answer")
        told.append(block)

    monkeypatch.setattr(script, "allocate", allocate)
    orders.poll_broker(now=NOW)
    assert [block.firm for block in told] == [worlds[1].firm]


def test_a_refused_allocation_is_parked_and_holds_up_no_other(script, monkeypatch):
    world = start(80)
    sale = get_sale(world)
    script.say(sale.client_order_id, "F1", sale.quantity, status=BrokerStatus.FILLED)
    orders.poll_broker(now=NOW)
    [block] = models.Block.objects.filter(side="SELL")
    assert block.allocation_sent == block.allocation_number == 1
    later = models.Block.objects.filter(side="BUY").order_by("pk")
    orders.submit_orders(now=NOW)
    refused, taken = list(later[:2])
    for buy in later:
        [row] = buy.slices.all()
        script.say(row.client_order_id, f"F{row.pk}", row.quantity, status=BrokerStatus.FILLED)
    told = []

    def allocate(instruction):
        if instruction.block_id == str(refused.public_id):
            raise AllocationRefused("no such account")
        told.append(instruction.block_id)

    monkeypatch.setattr(script, "allocate", allocate)
    orders.poll_broker(now=NOW)
    orders.poll_broker(now=NOW)
    assert str(taken.public_id) in told
    [report] = models.ParkedReport.objects.filter(
        firm=world.firm, report_key__startswith="allocation:"
    )
    assert (report.resolved_at, "no such account" in report.reason) == (None, True)


@pytest.mark.parametrize("fault", [BrokerUnavailable("no answer"), ValueError("a broken adapter")])
def test_a_broker_that_is_silent_about_many_holds_up_no_other(script, monkeypatch, fault):
    monkeypatch.setattr(asking, "BATCH_SLICES", 1)
    first, second = form(80), form(80)
    script.is_mute = True
    sending.send_slices(now=NOW)
    sending.send_slices(now=NOW)
    script.is_mute = False
    assert get_sale(first).status == get_sale(second).status == OrderStatus.SUBMITTING
    expire_leases()
    mine = get_sale(first).client_order_id
    get_orders = script.get_orders

    def silent_about_mine(names):
        if mine in names:
            raise fault
        return get_orders(names)

    monkeypatch.setattr(script, "get_orders", silent_about_mine)
    orders.resolve_unknown_orders(now=NOW)
    assert get_sale(second).status == OrderStatus.SUBMITTED


# --- People who cancel ----------------------------------------------------------------------


def cancel(order, user, reason="The client called.", now=NOW):
    deciding.cancel_order(order_id=order.pk, user_id=user.pk, reason=reason, now=now)


def test_an_order_that_waits_is_cancelled_at_once(script):
    world = start(80)
    [buy, *_rest] = models.Order.objects.filter(side="BUY").order_by("id")
    with pytest.raises(Refused, match="Say why"):
        cancel(buy, world.advisor, reason=" ")
    with pytest.raises(NotAllowed):
        cancel(buy, people.make_user(world.firm, Role.ADVISOR))
    with pytest.raises(NotAllowed):
        cancel(buy, world.admin)
    cancel(buy, world.advisor)
    buy.refresh_from_db()
    assert (buy.status, buy.reason) == (
        OrderStatus.CANCELLED,
        f"Cancelled by {world.advisor.name}: The client called.",
    )
    with pytest.raises(Conflict, match="cancelled already"):
        cancel(buy, world.advisor)


def test_an_order_at_the_broker_is_cancelled_there(script):
    world = start(80)
    [order] = list_sales()
    cancel(order, world.advisor)
    assert script.cancels == [get_sale(world).client_order_id]
    order.refresh_from_db()
    assert order.status == OrderStatus.SUBMITTED
    script.say(get_sale(world).client_order_id, "F1", 2)
    script.end(get_sale(world).client_order_id, BrokerStatus.CANCELLED, "as asked")
    orders.poll_broker(now=NOW)
    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == (OrderStatus.CANCELLED, 2)
    prove(world)


def test_what_is_traded_for_many_only_a_supervisor_cancels_for_all(script):
    world = start(80, 120)
    order, other = list_sales()
    with pytest.raises(NotAllowed, match="together with 1 of other accounts"):
        cancel(order, world.advisor)
    assert script.cancels == []
    supervisor = people.make_user(world.firm, Role.SUPERVISOR)
    cancel(order, supervisor)
    script.end(get_sale(world).client_order_id, BrokerStatus.CANCELLED)
    orders.poll_broker(now=NOW)
    assert {row.status for row in list_sales()} == {OrderStatus.CANCELLED}
    prove(world)


def test_a_cancel_is_asked_for_again_until_it_is_heard(script):
    world = start(80)
    [order] = list_sales()
    script.is_silent = True
    cancel(order, world.advisor)
    script.is_silent = False
    assert script.cancels == []
    cancel(order, world.advisor, now=NOW + timedelta(seconds=30))
    assert script.cancels == []  # asked for a moment ago
    cancel(order, world.advisor, now=NOW + timedelta(seconds=90))
    assert len(script.cancels) == 1


def test_a_cancel_that_no_broker_heard_is_not_forgotten(script):
    world = form(80)
    script.is_mute = True
    sending.send_slices(now=NOW)  # taken, and the answer is lost
    script.is_silent = True
    [order] = list_sales()
    cancel(order, world.advisor)
    script.is_silent = script.is_mute = False
    expire_leases()
    orders.resolve_unknown_orders(now=NOW)
    orders.submit_orders(now=NOW)
    orders.end_sessions(now=NOW + timedelta(seconds=90))
    assert script.cancels == [get_sale(world).client_order_id]


def test_a_cancel_does_not_end_what_the_broker_may_still_take(script):
    """It timed out, the broker did not know it, a person cancelled it, and then it was taken."""
    script.is_silent = True
    world = form(80)
    [item] = sending._claim(after=0, now=NOW).going
    sending._send_batch([item], {})
    script.is_silent = False
    expire_leases()
    orders.resolve_unknown_orders(now=NOW)
    supervisor = people.make_user(world.firm, Role.SUPERVISOR)
    [order] = list_sales()
    deciding.cancel_order(
        order_id=order.pk, user_id=supervisor.pk, reason="The client asked.", now=NOW
    )
    for _ in range(2):
        orders.submit_orders(now=NOW)
        orders.end_sessions(now=NOW)
    sale = get_sale(world)
    assert (script.tickets, sale.status, sale.closed_at) == ([], OrderStatus.NEW, None)
    # So its shares are not sold a second time.
    world.look()
    assert models.Proposal.objects.count() == 1
    script.submit(item.ticket)
    script.say(sale.client_order_id, "F1", sale.quantity, status=BrokerStatus.FILLED)
    orders.review_orders(now=NOW)
    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == (OrderStatus.FILLED, order.quantity)
    prove(world)


def test_what_somebody_cancelled_is_not_sent_while_the_broker_is_silent(script):
    world = form(80)
    script.is_silent = True
    sending.send_slices(now=NOW)
    expire_leases()
    script.is_silent = False
    orders.resolve_unknown_orders(now=NOW)
    assert get_sale(world).status == OrderStatus.NEW
    script.is_silent = True
    [order] = list_sales()
    cancel(order, world.advisor)
    script.is_silent = False
    orders.submit_orders(now=NOW)
    assert script.tickets == []
    orders.end_sessions(now=NOW)
    # Until its day is over the broker may still take what it did not know.
    assert list_sales()[0].status == OrderStatus.SUBMITTING
    world.set_prices(date(2026, 11, 23))
    orders.end_sessions(now=NOW)
    [order] = list_sales()
    assert (order.status, order.filled_quantity) == (OrderStatus.EXPIRED, 0)
    assert "The client called." in order.reason
    prove(world)


# --- The day --------------------------------------------------------------------------------


def test_what_was_never_sent_ends_with_its_day(script):
    world = form(80)
    stop(world, SwitchScope.FIRM)
    world.set_prices(date(2026, 11, 23))
    orders.end_sessions(now=NOW)
    assert script.cancels == script.tickets == []
    assert list_sales()[0].status == OrderStatus.EXPIRED
    assert list_sales()[0].reason == "The trading day is over."
    prove(world)


def test_a_released_slice_is_asked_about_before_its_day_ends(script):
    """It was sent once without an answer, and taken after all: it must not be closed unseen."""
    script.is_silent = True
    world = form(80)
    [item] = sending._claim(after=0, now=NOW).going
    sending._send_batch([item], {})
    script.is_silent = False
    expire_leases()
    orders.resolve_unknown_orders(now=NOW)
    script.submit(item.ticket)
    world.set_prices(date(2026, 11, 23))
    orders.end_sessions(now=NOW)
    assert script.cancels == [item.ticket.client_order_id]
    assert get_sale(world).status == OrderStatus.SUBMITTED
    script.end(item.ticket.client_order_id, BrokerStatus.EXPIRED)
    orders.poll_broker(now=NOW)
    assert list_sales()[0].status == OrderStatus.EXPIRED
    prove(world)


def test_a_report_is_settled_once_by_somebody_of_the_firm(script):
    world, other = start(80), make_world()
    sale = get_sale(world)
    script.say(sale.client_order_id, "F1", "-5")
    reports.record_answers(
        script.get_orders([sale.client_order_id]), broker=BrokerKind.PAPER, now=NOW
    )
    parked = models.ParkedReport.objects.get()
    settle = {"report_id": parked.pk, "resolution": "A test of theirs.", "now": NOW}
    supervisor = people.make_user(world.firm, Role.SUPERVISOR)
    stranger = people.make_user(other.firm, Role.SUPERVISOR)
    for user in (stranger, world.advisor):
        with pytest.raises(NotAllowed):
            deciding.resolve_parked_report(**settle, user_id=user.pk)
    with pytest.raises(Refused):
        deciding.resolve_parked_report(**settle | {"resolution": ""}, user_id=supervisor.pk)
    deciding.resolve_parked_report(**settle, user_id=supervisor.pk)
    with pytest.raises(Conflict):
        deciding.resolve_parked_report(**settle, user_id=supervisor.pk)
