"""Our books against the broker's: every kind of difference, once, and gone when it is gone."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.domain.roles import Role
from accounts.models import LookOnly
from portfolios.models import Break
from portfolios.operations import books
from portfolios.operations.breaks import Adjustment, close_break
from rebalancer import models
from rebalancer.brokers import paper
from rebalancer.brokers.port import BrokerOrder, BrokerPosition, BrokerStatus, BrokerUnavailable
from rebalancer.domain.kinds import BrokerKind
from rebalancer.domain.lifecycle import OrderStatus
from rebalancer.domain.reconciliation import RunStatus, SliceAnswer, UnderWay, compare_books
from rebalancer.operations import comparing, orders, parked, reconciliation
from rebalancer.operations.connections import get_paper_broker
from rebalancer.operations.execution import asking
from robo.common import clock
from robo.common.errors import Conflict
from tests import people
from tests.rebalancer.world import DAY, NOW, make_world

pytestmark = pytest.mark.django_db(transaction=True)
D = Decimal
OLD = date(2020, 1, 2)
LOTS = [("USTM", "80", "4000", OLD), ("BOND", "10", "900", OLD)]


def run(world):
    """Compare the firm's books, and return the figures."""
    found = reconciliation.reconcile(firm_id=world.firm.pk, now=NOW)
    assert found.status == RunStatus.DONE, found.error
    return found.figures


def shift(account, symbol, quantity, key="shift"):
    """Move something at the broker that our books know nothing of."""
    get_paper_broker().transfer(
        key=f"{key}:{account.public_id}:{symbol}",
        account_number=str(account.public_id),
        symbol=symbol,
        quantity=D(quantity),
    )


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr(paper, "PARTIAL_SHARE", 0.0)
    return make_world()


# --- The arithmetic ------------------------------------------------------------------------------


def test_what_nothing_explains_differs():
    under_way = UnderWay(orders={(1, 7): D(5), (1, None): D(500)}, unsettled={2: D(30)}, moving={3})
    found = compare_books(
        ours={(1, 7): D(10), (1, None): D(100), (2, None): D(50), (3, 7): D(1), (4, 7): D(2)},
        theirs={(1, 7): D(15), (1, None): D("-400.001"), (2, None): D(20), (4, 8): D(2)},
        under_way=under_way,
    )
    words = {(one.account_id, one.security_id): one.explanation for one in found}
    assert words == {
        (1, None): "an order is on its way",
        (1, 7): "an order is on its way",
        (2, None): "sales are paid later",
        (3, 7): "its books moved while they were compared",
        (4, 7): "",
        (4, 8): "",
    }


@pytest.mark.parametrize("theirs", ["15.00000001", "4.99999999"])
def test_an_order_explains_no_more_than_it_orders(theirs):
    under_way = UnderWay(orders={(1, 7): D(5)}, unsettled={})
    [one] = compare_books(ours={(1, 7): D(10)}, theirs={(1, 7): D(theirs)}, under_way=under_way)
    assert not one.explanation


# --- Both start equal, and stay so ---------------------------------------------------------------


def test_books_agree_through_openings_deposits_and_trades(world):
    account = world.add_account("1000", lots=LOTS)
    world.add_account("0")
    figures = run(world)
    assert (figures["accounts"], figures["differences"], figures["in_flight"]) == (2, 0, 0)
    books.deposit_cash(
        account_id=account.pk,
        amount=D("250.25"),
        entry_date=DAY,
        token=account.public_id,
        actor_id=world.admin.pk,
    )
    world.look()
    world.approve(account.proposals.get())
    world.trade()
    assert models.Fill.objects.exists()
    figures = run(world)
    assert (figures["differences"], figures["in_flight"], figures["opened"]) == (0, 0, 0)
    assert not Break.objects.exists()


def test_an_order_at_work_is_in_flight_and_no_break(world, monkeypatch):
    accounts = [world.add_account("1000", lots=LOTS) for _ in range(2)]
    run(world)
    world.look()
    for account in accounts:
        world.approve(account.proposals.get())
    orders.submit_orders(now=NOW)
    # What the broker has executed is not shared out: nobody asks about it here.
    monkeypatch.setattr(reconciliation, "allocate_blocks", lambda **_: 0)
    monkeypatch.setattr(reconciliation, "compare_orders", lambda _work: None)
    shift(accounts[0], "USTM", "-10")
    figures = run(world)
    assert figures["in_flight"] == 1
    assert figures["differences"] == 0
    assert not Break.objects.exists()


def test_what_is_settled_while_the_broker_answers_was_on_its_way(world, monkeypatch):
    account = world.add_account("1000", lots=LOTS)
    run(world)
    shift(account, "USTM", "-10")
    measured = iter([{(account.pk, world.security_ids["USTM"]): D(10)}, {}])
    monkeypatch.setattr(comparing, "_measure_orders", lambda _ids: next(measured))
    figures = run(world)
    assert (figures["in_flight"], figures["differences"]) == (1, 0)
    assert not Break.objects.exists()


# --- What differs --------------------------------------------------------------------------------


def test_each_difference_is_one_break_with_an_owner_however_often_it_is_seen(world):
    account, other = (world.add_account("1000", lots=LOTS) for _ in range(2))
    run(world)
    shift(account, "USTM", "-3")
    shift(account, "INTL", "0.5")
    shift(other, "", "-20.50")
    figures = run(world)
    assert (figures["differences"], figures["opened"]) == (3, 3)
    again = run(world)
    assert (again["differences"], again["opened"], again["closed"]) == (3, 0, 0)
    found = {
        (row.account_id, row.security.symbol if row.security else ""): row
        for row in Break.objects.all()
    }
    assert {key: (row.our_quantity, row.their_quantity) for key, row in found.items()} == {
        (account.pk, "USTM"): (80, 77),
        (account.pk, "INTL"): (0, D("0.5")),
        (other.pk, ""): (1000, D("979.5")),
    }
    assert {row.owner_id for row in found.values()} == {world.advisor.pk}
    shift(account, "USTM", "-1", key="more")
    run(world)
    assert Break.objects.get(pk=found[account.pk, "USTM"].pk).their_quantity == 76


def test_what_agrees_again_closes_by_itself(world):
    account = world.add_account("1000", lots=LOTS)
    run(world)
    shift(account, "USTM", "-3")
    run(world)
    shift(account, "USTM", "3", key="back")
    figures = run(world)
    assert (figures["differences"], figures["closed"]) == (0, 1)
    row = Break.objects.get()
    assert row.closed_by.role == "SERVICE"
    assert "agreed again" in row.closing_note


def test_what_is_adjusted_agrees_from_then_on(world):
    account = world.add_account("1000", lots=LOTS)
    run(world)
    shift(account, "USTM", "-3")
    run(world)
    close_break(
        break_id=Break.objects.get().pk,
        user_id=people.make_user(world.firm, "SUPERVISOR").pk,
        note="The custodian's word",
        now=NOW,
        adjustment=Adjustment(DAY),
    )
    assert run(world)["differences"] == 0
    assert Break.objects.count() == 1


def test_a_broken_security_stops_its_orders_in_that_account_only(world):
    one, two = (world.add_account("1000", lots=LOTS) for _ in range(2))
    run(world)
    world.look()
    for account in (one, two):
        world.approve(account.proposals.get())
    shift(one, "USTM", "-3")
    run(world)
    world.trade()
    assert not models.Order.objects.filter(account=one, filled_quantity__gt=0).exists()
    sold = models.Order.objects.get(account=two, side="SELL", security__symbol="USTM")
    assert sold.status == OrderStatus.FILLED


def test_a_position_in_what_the_firm_does_not_know_is_parked(world):
    account = world.add_account("1000", lots=LOTS)
    run(world)
    shift(account, "XYZ", "4")
    assert run(world)["reports_open"] == 1
    assert run(world)["reports_open"] == 1
    row = models.ParkedReport.objects.get()
    assert row.firm == world.firm
    assert "4 XYZ" in row.reason
    assert not Break.objects.exists()
    shift(account, "XYZ", "-4", key="gone")
    assert run(world)["reports_open"] == 0


# --- Orders --------------------------------------------------------------------------------------


def test_a_lost_execution_is_found_and_booked(world):
    account = world.add_account("1000", lots=LOTS)
    run(world)
    world.look()
    world.approve(account.proposals.get())
    orders.submit_orders(now=NOW)
    row = models.Slice.objects.get(block__security__symbol="USTM")
    # It executes at the broker, and nobody tells us.
    get_paper_broker().get_orders([row.client_order_id])
    assert not models.Execution.objects.exists()
    figures = run(world)
    assert figures["executions"] >= 1
    assert figures["differences"] == 0
    assert models.Fill.objects.filter(order__account=account).exists()


def test_an_order_that_the_broker_does_not_know_is_parked_until_it_does(world, monkeypatch):
    account = world.add_account("1000", lots=LOTS)
    run(world)
    world.look()
    world.approve(account.proposals.get())
    orders.submit_orders(now=NOW)
    with monkeypatch.context() as patch:
        patch.setattr(paper.PaperBroker, "list_orders", lambda *_: [])
        patch.setattr(paper.PaperBroker, "get_orders", lambda *_: {})
        figures = run(world)
        assert figures["orders_missing"] >= 1
        assert run(world)["reports_open"] == figures["orders_missing"]
        assert models.Slice.objects.filter(is_parked=True).exists()
    assert run(world)["reports_open"] == 0
    assert not models.Slice.objects.filter(is_parked=True).exists()


def test_an_order_that_its_broker_forgot_is_ended_by_two_people(world, monkeypatch):
    account = world.add_account("1000", lots=LOTS)
    run(world)
    world.look()
    world.approve(account.proposals.get())
    orders.submit_orders(now=NOW)
    monkeypatch.setattr(paper.PaperBroker, "list_orders", lambda *_: [])
    monkeypatch.setattr(paper.PaperBroker, "get_orders", lambda *_: {})
    run(world)
    [row] = models.Slice.objects.filter(is_parked=True)
    one, two = (people.make_user(world.firm, Role.SUPERVISOR) for _ in range(2))
    asked = parked.ask_slice_answer(
        slice_id=row.pk, answer=SliceAnswer.DROP, user_id=one.pk, reason="Their desk lost it."
    )
    parked.confirm_slice_answer(decision_id=asked.pk, user_id=two.pk, now=NOW)
    row.refresh_from_db()
    assert (row.status, row.is_parked) == (OrderStatus.REJECTED, False)
    assert models.Order.objects.get(block=row.block).status == OrderStatus.REJECTED
    assert run(world)["orders_missing"] == 0


def test_a_strange_order_makes_no_order_and_is_shown_to_nobody_else(world):
    ticket = BrokerOrder(
        "their-own", BrokerStatus.FILLED, D(5), (), broker_order_id="X", symbol="USTM"
    )
    other = make_world()
    asking.record_list([ticket], kind=BrokerKind.PAPER, firm_id=world.firm.pk, now=NOW)
    assert models.ParkedReport.objects.get().firm is None
    asking.record_list([ticket], kind=BrokerKind.ALPACA, firm_id=other.firm.pk, now=NOW)
    assert models.ParkedReport.objects.filter(firm=other.firm).count() == 1
    assert not models.ParkedReport.objects.filter(firm=world.firm).exists()
    assert not models.Order.objects.exists()


def test_another_firm_with_the_same_account_number_is_not_seen(world):
    mine = world.add_account("1000", lots=LOTS, number="000001")
    other = make_world()
    theirs = other.add_account("5", number="000001")
    assert (mine.number, mine.custodian) == (theirs.number, theirs.custodian)
    assert run(world)["differences"] == run(other)["differences"] == 0
    shift(theirs, "BOND", "1")
    assert run(world)["differences"] == 0
    assert run(other)["differences"] == 1


def test_positions_of_accounts_that_nobody_asked_about_are_not_looked_at():
    told = [BrokerPosition("1", "", D(5)), BrokerPosition("2", "ZZZ", D(7))]
    assert comparing._sort_positions(told, {10: "1"}, {}) == ({(10, None): D(5)}, [])


# --- Running -------------------------------------------------------------------------------------


def test_a_silent_broker_fails_the_run_and_changes_nothing(world, monkeypatch):
    account = world.add_account("1000", lots=LOTS)
    run(world)
    shift(account, "USTM", "-3")

    def silent(*_):
        raise BrokerUnavailable("no answer")

    monkeypatch.setattr(paper.PaperBroker, "list_positions", silent)
    found = reconciliation.reconcile(firm_id=world.firm.pk, now=NOW)
    assert found.status == RunStatus.FAILED
    assert "did not answer" in found.error
    assert not Break.objects.exists()


def test_a_silent_broker_is_asked_again_after_a_while(world, monkeypatch):
    world.add_account("1000", lots=LOTS)

    def silent(*_):
        raise BrokerUnavailable("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(paper.PaperBroker, "list_positions", silent)
        for _ in range(3):
            assert reconciliation.reconcile_due(now=NOW) == 0
    assert [row.status for row in models.ReconciliationRun.objects.all()] == [RunStatus.FAILED]
    assert reconciliation.reconcile_due(now=NOW) == 0
    models.ReconciliationRun.objects.update(
        finished_at=clock.database_now() - timedelta(minutes=16)
    )
    assert reconciliation.reconcile_due(now=NOW) == 1


def test_a_crash_while_telling_is_told_once(world, monkeypatch):
    account = world.add_account("1000", lots=LOTS)
    with monkeypatch.context() as patch:
        real = paper.PaperBroker.transfer_all

        def crash(self, transfers):
            real(self, transfers)
            raise BrokerUnavailable("the answer is lost")

        patch.setattr(paper.PaperBroker, "transfer_all", crash)
        assert reconciliation.reconcile(firm_id=world.firm.pk, now=NOW).status == "FAILED"
    assert run(world)["differences"] == 0
    held = {
        p.symbol: p.quantity for p in get_paper_broker().list_positions([str(account.public_id)])
    }
    assert held == {"": 1000, "USTM": 80, "BOND": 10}


def test_a_day_is_compared_once_and_on_request_again(world):
    world.add_account("1000", lots=LOTS)
    assert reconciliation.reconcile_due(now=NOW) == 1
    assert reconciliation.reconcile_due(now=NOW) == 0
    reconciliation.ask_reconciliation(firm_id=world.firm.pk, user_id=world.admin.pk, now=NOW)
    with pytest.raises(Conflict):
        reconciliation.ask_reconciliation(firm_id=world.firm.pk, user_id=world.admin.pk, now=NOW)
    assert reconciliation.reconcile_due(now=NOW) == 1
    last = models.ReconciliationRun.objects.order_by("pk").last()
    assert (last.asked_by, last.status) == (world.admin, RunStatus.DONE)


def test_one_that_was_cut_short_gives_way(world):
    stuck = models.ReconciliationRun.objects.create(
        firm=world.firm,
        broker="PAPER",
        day=DAY,
        status=RunStatus.RUNNING,
        started_at=clock.database_now() - timedelta(minutes=5),
    )
    with pytest.raises(Conflict):
        run(world)
    models.ReconciliationRun.objects.update(started_at=clock.database_now() - timedelta(hours=1))
    run(world)
    stuck.refresh_from_db()
    assert stuck.status == RunStatus.FAILED


def test_a_restored_firm_notes_that_it_was_compared(world):
    stop = LookOnly.objects.create(firm=world.firm, reason="restored")
    run(world)
    stop.refresh_from_db()
    assert stop.reconciled_at >= stop.since


def count_queries(account_count):
    world = make_world()
    for _ in range(account_count):
        world.add_account("1000", lots=LOTS)
    run(world)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert run(world)["accounts"] == account_count
    return len(captured)


def test_more_accounts_take_no_more_queries():
    assert count_queries(2) == count_queries(12) < 80
