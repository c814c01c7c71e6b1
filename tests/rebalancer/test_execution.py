"""From orders to blocks, from a broker's words to books: what may surprise, on purpose."""

import uuid
from datetime import date
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.domain.roles import Role
from accounts.models import AuditEntry
from portfolios import models as facts
from portfolios.domain.kinds import ActionKind
from portfolios.operations import rebuilding
from portfolios.operations.books import NotEnoughCash
from portfolios.operations.breaks import Adjustment, close_break
from portfolios.operations.corporate_actions import ActionDetails, apply_actions
from portfolios.queries.books import check_books
from rebalancer import models
from rebalancer.brokers.port import BrokerOrder, BrokerStatus, Execution
from rebalancer.domain.kinds import BrokerKind, ExecutionKind
from rebalancer.domain.lifecycle import OrderStatus
from rebalancer.domain.reconciliation import SliceAnswer
from rebalancer.operations import cash, custody, orders, parked
from rebalancer.operations.execution import brokers, completing, deciding, reports
from rebalancer.queries.pages.orders import describe_orders
from rebalancer.queries.proof import check_orders
from robo.common.errors import Conflict, Refused
from tests import people
from tests.portfolios.actions import announce_action
from tests.rebalancer.scripted import ScriptedBroker
from tests.rebalancer.world import DAY, NOW, make_world

pytestmark = pytest.mark.django_db(transaction=True)
D = Decimal
OLD = date(2020, 1, 2)
MONDAY = date(2026, 11, 23)
BUST, CORRECTION = ExecutionKind.BUST, ExecutionKind.CORRECTION


@pytest.fixture
def script(monkeypatch):
    broker = ScriptedBroker()
    monkeypatch.setattr(brokers, "get_paper_broker", lambda: broker)
    return broker


def start(*sizes, **terms):
    """Return a world whose accounts hold too much USTM, with approved proposals on their way."""
    world = make_world(**terms)
    for size in sizes:
        world.add_account(
            "1000", lots=[("USTM", str(size), "4000", OLD), ("BOND", "10", "900", OLD)]
        )
    world.look()
    for proposal in models.Proposal.objects.filter(firm=world.firm).order_by("id"):
        world.approve(proposal)
    orders.submit_orders(now=NOW)
    return world


def get_sale(world):
    return models.Slice.objects.select_related("block").get(
        block__firm=world.firm, block__side="SELL"
    )


def prove(world):
    assert check_books(world.firm.pk) == []
    assert check_orders(world.firm.pk) == []
    assert rebuilding.rebuild_totals(firm_id=world.firm.pk) == 0
    assert completing.rebuild_orders(firm_id=world.firm.pk) == 0


def list_sales():
    return list(models.Order.objects.filter(side="SELL").order_by("client_order_id"))


# --- Blocks ---------------------------------------------------------------------------------


def test_orders_of_many_accounts_go_as_one_and_share_one_price(script):
    world = start(80, 120, 200)
    [block] = models.Block.objects.filter(side="SELL")
    sales = list_sales()
    assert block.quantity == sum(order.quantity for order in sales)
    assert block.statement == [[o.client_order_id, f"{o.quantity:f}"] for o in sales]
    formed = AuditEntry.objects.get(
        action="rebalancer.block.formed", object_id=str(block.public_id)
    )
    assert formed.detail["statement_hash"] == block.statement_hash
    [ticket] = script.tickets
    assert (ticket.quantity, ticket.account_number) == (block.quantity, "")

    # Two parts at two prices: while it works, pages show who has how much of it so far.
    script.say(ticket.client_order_id, "F1", 10, "99")
    orders.poll_broker(now=NOW)
    lines = describe_orders(
        models.Order.objects.filter(side="SELL").select_related("security", "block__security"),
        is_client=False,
    )
    assert sum(line.provisional_quantity for line in lines) == 10
    assert {line.order.status for line in lines} == {OrderStatus.PARTIALLY_FILLED}
    assert not models.Fill.objects.exists()
    script.say(ticket.client_order_id, "F2", block.quantity - 10, "101", status=BrokerStatus.FILLED)
    orders.poll_broker(now=NOW)

    fills = list(models.Fill.objects.filter(order__side="SELL"))
    assert len({fill.price for fill in fills}) == 1
    value = 10 * D(99) + (block.quantity - 10) * D(101)
    assert sum(fill.amount for fill in fills) == value
    assert {order.status for order in list_sales()} == {OrderStatus.FILLED}
    [told] = [told for told in script.told if told.side == "SELL"]
    assert {(s.quantity, s.amount) for s in told.shares} == {(f.quantity, f.amount) for f in fills}
    assert {s.account_number for s in told.shares} == {str(a.public_id) for a in world.accounts}
    prove(world)
    # Only now do the buys go, as blocks of their own.
    orders.submit_orders(now=NOW)
    assert {t.side for t in script.tickets[1:]} == {"BUY"}
    prove(world)


def test_a_broker_without_blocks_gets_each_account_its_own_order(script):
    from rebalancer.brokers.port import Abilities

    script.abilities = Abilities(has_blocks=False)
    world = start(80, 120)
    assert models.Block.objects.filter(side="SELL").count() == 2
    assert {t.account_number for t in script.tickets} == {str(a.public_id) for a in world.accounts}
    for ticket in script.tickets:
        script.say(
            ticket.client_order_id,
            f"F-{ticket.client_order_id}",
            ticket.quantity,
            status=BrokerStatus.FILLED,
        )
    orders.poll_broker(now=NOW)
    assert {order.status for order in list_sales()} == {OrderStatus.FILLED}
    assert script.told == []
    prove(world)


def test_a_broker_of_whole_shares_gets_whole_shares(script):
    from rebalancer.brokers.port import Abilities

    script.abilities = Abilities(has_blocks=True, has_fractions=False)
    world = start(80)
    sale = get_sale(world)
    script.say(sale.client_order_id, "F1", sale.quantity, status=BrokerStatus.FILLED)
    orders.poll_broker(now=NOW)
    orders.submit_orders(now=NOW)
    assert all(ticket.quantity == int(ticket.quantity) for ticket in script.tickets)
    cut = models.Order.objects.get(security__symbol="INTL")
    assert cut.quantity < cut.trade.quantity
    assert "whole shares only" in cut.reason
    prove(world)


def test_the_broker_is_told_whose_the_shares_are_until_it_has_heard(script):
    world = start(80)
    sale = get_sale(world)
    script.say(sale.client_order_id, "F1", sale.quantity, status=BrokerStatus.FILLED)
    answers = script.get_orders([sale.client_order_id])
    script.is_silent = True
    reports.record_answers(answers, broker=BrokerKind.PAPER, now=NOW)
    orders.poll_broker(now=NOW)
    block = models.Block.objects.get(pk=sale.block_id)
    assert (block.allocation_number, block.allocation_sent) == (1, 0)
    script.is_silent = False
    orders.poll_broker(now=NOW)
    orders.poll_broker(now=NOW)
    assert len([told for told in script.told if told.side == "SELL"]) == 1
    prove(world)


def test_when_the_day_is_over_the_rest_is_cancelled_and_what_was_filled_is_shared_out(script):
    world = start(80, 120)
    sale = get_sale(world)
    script.say(sale.client_order_id, "F1", 7)
    orders.poll_broker(now=NOW)
    assert orders.end_sessions(now=NOW) == 0
    world.set_prices(MONDAY)
    assert orders.end_sessions(now=NOW) == 1
    assert script.cancels == [sale.client_order_id]
    # Nothing is closed before the broker says so.
    assert {order.status for order in list_sales()} == {OrderStatus.PARTIALLY_FILLED}
    script.end(sale.client_order_id, BrokerStatus.EXPIRED, "day order")
    orders.poll_broker(now=NOW)
    assert {order.status for order in list_sales()} == {OrderStatus.EXPIRED}
    assert sum(order.filled_quantity for order in list_sales()) == 7
    prove(world)
    orders.submit_orders(now=NOW)
    prove(world)


# --- Busts, corrections, late fills ---------------------------------------------------------


def test_a_bust_before_the_sharing_out_leaves_no_trace_in_the_books(script):
    world = start(80)
    sale = get_sale(world)
    script.say(sale.client_order_id, "F1", 5)
    script.say(sale.client_order_id, "F2", 3)
    script.say(sale.client_order_id, "B1", 5, kind=BUST, refers_to="F1")
    script.end(sale.client_order_id, BrokerStatus.CANCELLED)
    orders.poll_broker(now=NOW)
    [order] = list_sales()
    assert (order.status, order.filled_quantity) == (OrderStatus.CANCELLED, 3)
    assert models.Fill.objects.filter(order=order).count() == 1
    prove(world)


def fill_sale(world, script, price="100"):
    """Fill and book the sale of a world of one account; return its slice."""
    sale = get_sale(world)
    script.say(sale.client_order_id, "F1", sale.quantity, price, status=BrokerStatus.FILLED)
    orders.poll_broker(now=NOW)
    prove(world)
    return sale


def test_a_bust_after_the_sharing_out_takes_the_booking_back(script):
    world = start(80, 120)
    before = {row.account_id: row.amount for row in facts.CashBalance.objects.all()}
    sale = fill_sale(world, script)
    script.say(sale.client_order_id, "B1", sale.quantity, kind=BUST, refers_to="F1", total="0")
    orders.review_orders(now=NOW)
    assert {order.status for order in list_sales()} == {OrderStatus.CANCELLED}
    assert {order.filled_quantity for order in list_sales()} == {0}
    assert {row.account_id: row.amount for row in facts.CashBalance.objects.all()} == before
    reversals = models.Fill.objects.filter(reverses__isnull=False)
    assert {fill.entry.reverses_id for fill in reversals} == {
        fill.reverses.entry_id for fill in reversals
    }
    assert script.told[-1].number == 2
    assert script.told[-1].shares == ()
    prove(world)


def test_a_correction_books_what_the_fill_should_have_said(script):
    world = start(80, 120)
    sale = fill_sale(world, script)
    script.say(*(sale.client_order_id, "C1", sale.quantity, "101"), kind=CORRECTION, refers_to="F1")
    assert orders.review_orders(now=NOW) == 1
    sales = list_sales()
    assert sum(order.filled_amount for order in sales) == sale.quantity * 101
    assert {order.status for order in sales} == {OrderStatus.FILLED}
    assert models.Fill.objects.filter(order__side="SELL").count() == 3 * len(sales)
    assert orders.review_orders(now=NOW) == 0
    prove(world)


def test_a_fill_after_the_cancel_is_booked(script):
    world = start(80, 120)
    sale = get_sale(world)
    script.say(sale.client_order_id, "F1", 7)
    script.end(sale.client_order_id, BrokerStatus.CANCELLED)
    orders.poll_broker(now=NOW)
    assert {order.status for order in list_sales()} == {OrderStatus.CANCELLED}
    script.say(sale.client_order_id, "F2", 4, "98")
    orders.review_orders(now=NOW)
    assert sum(order.filled_quantity for order in list_sales()) == 11
    script.say(sale.client_order_id, "F3", sale.quantity - 11)
    orders.review_orders(now=NOW)
    assert {order.status for order in list_sales()} == {OrderStatus.FILLED}
    prove(world)


def test_a_bust_that_overtakes_its_fill_waits_for_it(script):
    world = start(80)
    sale = get_sale(world)
    name = sale.client_order_id
    bust = Execution("B1", D(5), D(100), DAY, BUST, "F1")
    early = BrokerOrder(name, BrokerStatus.WORKING, D(0), (bust,))
    reports.record_answers({name: early}, broker=BrokerKind.PAPER, now=NOW)
    assert not models.Execution.objects.exists()
    [parked] = models.ParkedReport.objects.all()
    assert "before its fill F1" in parked.reason
    fill = Execution("F1", D(5), D(100), DAY)
    late = BrokerOrder(name, BrokerStatus.WORKING, D(0), (fill,))
    reports.record_answers({name: late}, broker=BrokerKind.PAPER, now=NOW)
    sale.refresh_from_db()
    parked.refresh_from_db()
    assert (sale.filled_quantity, parked.resolution) == (0, "Its fill arrived.")
    assert set(models.Execution.objects.values_list("execution_id", flat=True)) == {"F1", "B1"}
    prove(world)


def test_what_a_sale_brought_is_not_paid_out_before_it_is_there(script):
    world = start(80)
    fill_sale(world, script)
    [account] = world.accounts
    terms = {"account_id": account.pk, "token": uuid.uuid4(), "actor_id": world.admin.pk}
    with pytest.raises(NotEnoughCash, match="not settled yet"):
        cash.withdraw_cash(**terms, amount=D("1500"), entry_date=DAY)
    cash.withdraw_cash(**terms, amount=D("1500"), entry_date=MONDAY)
    prove(world)


def test_a_bust_of_what_was_spent_since_is_a_break_and_stops_nothing_else(script):
    """The money of the busted sale went to the client: the books cannot follow, and say so."""
    from portfolios.operations.books import withdraw_cash

    world = start(80)
    sale = fill_sale(world, script)
    [account] = world.accounts
    cash = facts.CashBalance.objects.get(account=account).amount
    withdraw_cash(
        account_id=account.pk,
        amount=cash,
        entry_date=DAY,
        token=uuid.uuid4(),
        actor_id=world.admin.pk,
    )
    script.say(sale.client_order_id, "B1", sale.quantity, kind=BUST, refers_to="F1", total="0")
    orders.review_orders(now=NOW)
    broken = {row.security_id: row for row in facts.Break.objects.all()}
    assert set(broken) == {None, world.security_ids["USTM"]}
    assert broken[None].their_quantity == -sale.quantity * 100
    [order] = list_sales()
    assert (order.status, order.filled_quantity) == (OrderStatus.CANCELLED, 0)
    # The ledger still holds the sale; that is what the break is about.
    prove(world)
    # Said again it is the same break, and a correction of it is not booked around it.
    orders.review_orders(now=NOW)
    script.say(sale.client_order_id, "F9", 2, total="2")
    orders.review_orders(now=NOW)
    assert facts.Break.objects.count() == 2
    prove(world)


def test_more_busted_than_was_filled_is_kept_for_a_person(script):
    world = start(80)
    sale = get_sale(world)
    script.say(sale.client_order_id, "F1", 5)
    script.say(sale.client_order_id, "B1", 6, kind=BUST, refers_to="F1", total="0")
    orders.poll_broker(now=NOW)
    sale.refresh_from_db()
    assert sale.filled_quantity == 5
    assert models.ParkedReport.objects.filter(reason__contains="more is taken back").exists()
    assert facts.Break.objects.exists()
    prove(world)


# --- What does not fit ----------------------------------------------------------------------


def test_an_order_that_is_not_ours_becomes_nobodys(script):
    world = start(80)
    rows = {model: model.objects.count() for model in (models.Order, models.Slice, models.Block)}
    script.orders["STRANGER"] = BrokerOrder(
        "STRANGER", BrokerStatus.FILLED, D(5), (Execution("S1", D(5), D(10), DAY),)
    )
    orders.review_orders(now=NOW)
    orders.review_orders(now=NOW)
    [parked] = models.ParkedReport.objects.all()
    assert (parked.firm, parked.client_order_id) == (None, "STRANGER")
    assert not models.Execution.objects.exists()
    assert rows == {model: model.objects.count() for model in rows}
    prove(world)


@pytest.mark.parametrize("lie", [{"symbol": "BOND"}, {"side": "BUY"}])
def test_another_symbol_or_side_is_not_booked_and_freezes(script, lie):
    from dataclasses import replace

    world = start(80)
    sale = get_sale(world)
    script.say(sale.client_order_id, "F1", sale.quantity, status=BrokerStatus.FILLED)
    script.orders[sale.client_order_id] = replace(script.orders[sale.client_order_id], **lie)
    orders.poll_broker(now=NOW)
    sale.refresh_from_db()
    assert (sale.is_parked, sale.filled_quantity) == (True, 0)
    assert "the broker says" in models.ParkedReport.objects.get().reason
    assert facts.Break.objects.get().security_id == world.security_ids["USTM"]
    prove(world)
    # A person finds out, and what we asked for is over; seen again it is no new incident.
    supervisor = people.make_user(world.firm, Role.SUPERVISOR)
    deciding.settle_parked_slice(
        slice_id=sale.pk,
        answer=SliceAnswer.DROP,
        user_id=supervisor.pk,
        reason="Their error.",
        now=NOW,
    )
    orders.poll_broker(now=NOW)
    assert list_sales()[0].status == OrderStatus.REJECTED
    assert models.ParkedReport.objects.count() == facts.Break.objects.count() == 1
    prove(world)


def test_what_is_over_and_cannot_be_recorded_is_ended_by_two_people(script):
    """The broker counts all of it, but for one execution that nobody could book."""
    world = start(80)
    sale = get_sale(world)
    script.say(sale.client_order_id, "F1", 2)
    script.say(sale.client_order_id, "", sale.quantity - 2, status=BrokerStatus.FILLED)
    orders.poll_broker(now=NOW)
    orders.poll_broker(now=NOW)
    sale.refresh_from_db()
    assert (sale.status, sale.is_parked) == (OrderStatus.PARTIALLY_FILLED, True)
    assert sale.reason.endswith("traded, and 2 can be recorded.")
    one, two = (people.make_user(world.firm, Role.SUPERVISOR) for _ in range(2))
    ask = {"slice_id": sale.pk, "user_id": one.pk, "reason": "Their desk will not mend it."}
    # Neither was it never there, nor does it go again.
    for answer in (SliceAnswer.SEND, SliceAnswer.DROP, SliceAnswer.TAKEN):
        with pytest.raises(Refused, match="no answer"):
            parked.ask_slice_answer(**ask, answer=answer)
    decision = parked.ask_slice_answer(**ask, answer=SliceAnswer.END)
    parked.confirm_slice_answer(decision_id=decision.pk, user_id=two.pk, now=NOW)
    [order] = list_sales()
    assert (order.status, order.filled_quantity) == (OrderStatus.CANCELLED, 2)
    assert len(script.tickets) == 1
    # The plan goes on with the cash that there is, and the rest is for the reconciliation to find.
    orders.poll_broker(now=NOW)
    assert {ticket.side for ticket in script.tickets[1:]} <= {"BUY"}
    assert not custody.list_busy_accounts([order.account_id]) or script.tickets[1:]
    prove(world)


def test_an_order_that_lags_behind_is_not_ended_by_people(script):
    world = start(80)
    sale = get_sale(world)
    script.say(sale.client_order_id, "F1", 2, total=sale.quantity)
    orders.poll_broker(now=NOW)
    orders.poll_broker(now=NOW)
    sale.refresh_from_db()
    assert not sale.is_parked  # the broker does not say that it is over
    script.end(sale.client_order_id, BrokerStatus.CANCELLED)
    for _ in range(2):
        orders.poll_broker(now=NOW)
    sale.refresh_from_db()
    assert sale.is_parked
    one, two = (people.make_user(world.firm, Role.SUPERVISOR) for _ in range(2))
    decision = parked.ask_slice_answer(
        slice_id=sale.pk, user_id=one.pk, reason="Nothing comes.", answer=SliceAnswer.END
    )
    # It comes after all, before the second person has spoken.
    script.say(sale.client_order_id, "F2", sale.quantity - 2, total=sale.quantity)
    with pytest.raises(Conflict, match="no longer waits"):
        parked.confirm_slice_answer(decision_id=decision.pk, user_id=two.pk, now=NOW)
    orders.poll_broker(now=NOW)
    assert list_sales()[0].status == OrderStatus.FILLED
    prove(world)


def test_a_surplus_that_was_settled_is_not_counted_again(script):
    world = start(80)
    sale = get_sale(world)
    [order] = list_sales()
    name = sale.client_order_id
    script.say(name, "F1", sale.quantity + 3, status=BrokerStatus.FILLED)
    orders.poll_broker(now=NOW)
    row = facts.Break.objects.get()
    assert (row.kind, row.their_quantity - row.our_quantity) == ("OVERFILL", -3)
    supervisor = people.make_user(world.firm, Role.SUPERVISOR)
    close_break(
        break_id=row.pk,
        user_id=supervisor.pk,
        note="As the broker says.",
        now=NOW,
        adjustment=Adjustment(DAY),
    )
    # Another price for the same shares moves cash only.
    script.say(name, "C1", sale.quantity + 3, "101", kind=CORRECTION, refers_to="F1")
    orders.review_orders(now=NOW)
    assert not facts.Break.objects.filter(closed_at__isnull=True).exists()
    # The surplus is taken back: now what was adjusted is too much.
    script.say(name, "B1", 3, "101", kind=BUST, refers_to="F1")
    orders.review_orders(now=NOW)
    row = facts.Break.objects.get(closed_at__isnull=True)
    assert row.their_quantity - row.our_quantity == 3
    order.refresh_from_db()
    assert order.filled_quantity == order.quantity
    prove(world)


def test_a_correction_after_a_split_is_booked_in_the_shares_of_its_fill(script):
    world = start(80)
    sale = get_sale(world)
    [order] = list_sales()
    script.say(sale.client_order_id, "F1", sale.quantity, status=BrokerStatus.FILLED)
    orders.poll_broker(now=NOW)
    announce_action(
        firm_id=world.firm.pk,
        details=ActionDetails(
            order.security_id, ActionKind.SPLIT, MONDAY, new_shares=2, old_shares=1
        ),
        market_date=DAY,
        actor_id=world.admin.pk,
    )
    world.set_prices(MONDAY, USTM="50")
    assert apply_actions(firm_id=world.firm.pk, on_date=MONDAY) == 1
    script.say(
        sale.client_order_id,
        "C1",
        sale.quantity,
        "101",
        kind=CORRECTION,
        refers_to="F1",
        fill_date=MONDAY,
    )
    orders.review_orders(now=NOW)
    held = facts.Holding.objects.get(account=order.account, security=order.security)
    assert held.quantity == 2 * (80 - sale.quantity)
    assert list(
        models.Fill.objects.filter(order=order, reverses=None).values_list("fill_date", "amount")
    ) == [(DAY, 100 * sale.quantity), (DAY, 101 * sale.quantity)]
    assert not facts.Break.objects.exists()
    prove(world)


def test_an_absurd_price_is_a_fact_and_an_incident(script):
    world = start(80)
    fill_sale(world, script, price="40")
    assert list_sales()[0].filled_amount == list_sales()[0].quantity * 40
    assert "far from" in models.ParkedReport.objects.get().reason
    assert facts.Break.objects.get().kind == "UNKNOWN"
    prove(world)


@pytest.mark.parametrize(
    ("quantity", "price"), [("NaN", "100"), ("5", "NaN"), ("-5", "100"), ("5", "0"), ("1e30", "1")]
)
def test_a_report_that_is_no_number_holds_up_no_other(script, quantity, price):
    first, second = start(80), start(80)
    for world, figures in ((first, (quantity, price)), (second, ("5", "100"))):
        script.say(get_sale(world).client_order_id, f"F{world.firm.pk}", *figures, total="5")
    orders.poll_broker(now=NOW)
    assert (get_sale(first).filled_quantity, get_sale(second).filled_quantity) == (0, 5)
    assert models.ParkedReport.objects.get().firm == first.firm
    prove(first)
    prove(second)


def test_one_execution_is_not_two_orders(script):
    world = make_world()
    other = start(80)
    del world
    sale = get_sale(other)
    script.say(sale.client_order_id, "F1", 5)
    orders.poll_broker(now=NOW)
    twin = models.Slice.objects.create(
        block=sale.block,
        number=2,
        client_order_id="TWIN",
        quantity=1,
        due_at=NOW,
        status=OrderStatus.SUBMITTED,
    )
    script.orders["TWIN"] = BrokerOrder(
        "TWIN", BrokerStatus.WORKING, D(5), (Execution("F1", D(5), D(100), DAY),)
    )
    orders.poll_broker(now=NOW)
    twin.refresh_from_db()
    assert twin.filled_quantity == 0
    assert "on record for another order" in models.ParkedReport.objects.get().reason


def test_two_firms_brokers_may_use_the_same_ids(script):
    first, second = start(80), start(80)
    for world in (first, second):
        script.say(get_sale(world).client_order_id, "F1", 5)
    orders.poll_broker(now=NOW)
    assert get_sale(first).filled_quantity == get_sale(second).filled_quantity == 5


def test_ten_thousand_fills_of_one_share_take_as_many_queries_as_two(script):
    def count(world, number):
        name = get_sale(world).client_order_id
        parts = tuple(
            Execution(f"{name}-{i}", D("0.001"), D(100) + i % 7, DAY) for i in range(number)
        )
        told = BrokerOrder(name, BrokerStatus.WORKING, number * D("0.001"), parts)
        with CaptureQueriesContext(connection) as captured:
            assert reports.record_answers({name: told}, broker=BrokerKind.PAPER, now=NOW) == number
        return sum(not q["sql"].startswith(("BEGIN", "COMMIT")) for q in captured.captured_queries)

    few, many = start(80), start(80)
    inserts = 10_000 // 1000  # PostgreSQL's limit of parameters splits one insert
    assert count(many, 10_000) <= count(few, 2) + inserts
    prove(few)
    prove(many)
    world = many
    sale = get_sale(world)
    assert sale.filled_quantity == 10
