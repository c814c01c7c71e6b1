"""What may break between approval and books, broken on purpose: nothing doubled, nothing lost."""

import uuid
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db.models import F, Q

from portfolios import models as facts
from portfolios.operations import books, rebuilding
from portfolios.queries.books import check_books
from rebalancer import models
from rebalancer.brokers import paper
from rebalancer.brokers.port import BrokerOrder, BrokerStatus, BrokerUnavailable, Execution
from rebalancer.domain.kinds import BrokerKind
from rebalancer.domain.lifecycle import CLOSED_ORDER, OPEN_PROPOSAL, OrderStatus, ProposalStatus
from rebalancer.operations import cash, orders
from rebalancer.operations.connections import get_paper_broker
from rebalancer.operations.execution import allocation, completing, reports, sending
from rebalancer.queries.proof import check_orders
from tests.rebalancer.world import DAY, NOW, expire_leases, make_world

pytestmark = pytest.mark.django_db(transaction=True)
D = Decimal
OLD = date(2020, 1, 2)
LATER = timedelta(minutes=5)
PAPER = BrokerKind.PAPER


class Crash(BaseException):
    """The process dies here."""


def drifted_account(world, cash="1000"):
    """Open an account that holds far too many US shares."""
    return world.add_account(cash, lots=[("USTM", "80", "4000", OLD), ("BOND", "10", "900", OLD)])


def approved_world(account_count=1, **terms):
    """Return a world whose drifted accounts have approved proposals."""
    world = make_world(**terms)
    for _ in range(account_count):
        drifted_account(world)
    world.look()
    for proposal in models.Proposal.objects.filter(firm=world.firm).order_by("id"):
        world.approve(proposal)
    return world


def drain(now):
    """Do what beat does until nothing is open."""
    is_open = Q(status__in=OPEN_PROPOSAL - {ProposalStatus.PENDING})
    for _ in range(15):
        now += LATER
        expire_leases()
        orders.resolve_unknown_orders(now=now)
        orders.submit_orders(now=now)
        orders.poll_broker(now=now)
        orders.end_sessions(now=now)
        if not models.Proposal.objects.filter(is_open).exists():
            return
    pytest.fail("an hour and a quarter was not enough")


def assert_converged(world):
    """Everything sent is closed, the broker's record is ours, and all books agree."""
    assert check_books(world.firm.pk) == []
    assert check_orders(world.firm.pk) == []
    sent = models.Slice.objects.exclude(submitted_at=None)
    for table in (models.Order, models.Block, models.Slice):
        assert not table.objects.exclude(status__in=CLOSED_ORDER).exists()
    broker = get_paper_broker()
    assert broker.count_orders() == sent.count()
    theirs = broker.get_orders([row.client_order_id for row in sent])
    for row in sent:
        known = theirs[row.client_order_id]
        assert known.filled_quantity == row.filled_quantity
        assert {e.fill_id for e in known.executions} == set(
            row.executions.values_list("execution_id", flat=True)
        )
    # Everything that was shared out, the broker has heard of.
    assert not models.Block.objects.exclude(allocation_sent=F("allocation_number")).exists()
    assert not models.Proposal.objects.filter(
        status__in=OPEN_PROPOSAL - {ProposalStatus.PENDING}
    ).exists()
    assert rebuilding.rebuild_totals(firm_id=world.firm.pk) == 0
    assert completing.rebuild_orders(firm_id=world.firm.pk) == 0


def crashing(function, *, at_call, before, error=Crash):
    """Return `function` that dies at its n-th call, before or after it has taken effect."""
    count = iter(range(1, 10**6))

    def wrapped(*args, **kwargs):
        is_now = next(count) == at_call
        if is_now and before:
            raise error("before")
        answer = function(*args, **kwargs)
        if is_now:
            raise error("after")
        return answer

    return wrapped


# --- A crash at each point ------------------------------------------------------------------

POINTS = {
    "sending": (paper.PaperBroker, "submit"),
    "asking": (paper.PaperBroker, "get_orders"),
    "beginning": (orders, "begin_executions"),
    "forming": (orders, "form_blocks"),
    "claiming": (sending, "_claim"),
    "renewing": (sending, "_renew_lease"),
    "recording": (sending, "record_answers"),
    "sharing out": (allocation, "book_changes"),
    "booking": (books, "book_fills"),
    "audit": (allocation, "audit_orders"),
    "telling": (paper.PaperBroker, "allocate"),
    "completing": (orders, "complete_proposals"),
}


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_at_each_point_doubles_and_loses_nothing(monkeypatch, point):
    owner, name = POINTS[point]
    for at_call, before in ((1, True), (2, False)):
        world = approved_world()
        with monkeypatch.context() as patch:
            crash = crashing(getattr(owner, name), at_call=at_call, before=before)
            patch.setattr(owner, name, crash)
            with pytest.raises(Crash):
                world.trade()
        drain(NOW)
        assert_converged(world)
        [proposal] = models.Proposal.objects.filter(firm=world.firm)
        assert proposal.status == ProposalStatus.COMPLETED
        balance = facts.CashBalance.objects.get(account=proposal.account)
        assert balance.amount == proposal.cash_after


@pytest.mark.parametrize("before", [True, False], ids=["not taken", "taken"])
def test_a_broker_that_does_not_answer_is_asked_before_anything_is_sent_again(monkeypatch, before):
    world = approved_world()
    with monkeypatch.context() as patch:
        submit = crashing(
            paper.PaperBroker.submit, at_call=1, before=before, error=BrokerUnavailable
        )
        patch.setattr(paper.PaperBroker, "submit", submit)
        orders.submit_orders(now=NOW)
        [unknown] = models.Slice.objects.filter(status=OrderStatus.SUBMITTING)
        # Inside its lease nobody touches it.
        assert orders.resolve_unknown_orders(now=NOW) == 0
        orders.submit_orders(now=NOW)
    unknown.refresh_from_db()
    assert (unknown.status, unknown.attempt_count) == (OrderStatus.SUBMITTING, 1)
    drain(NOW)
    unknown.refresh_from_db()
    assert unknown.attempt_count == (2 if before else 1)
    assert_converged(world)


def test_buys_wait_while_the_outcome_of_a_sale_is_not_known(monkeypatch):
    approved_world()

    def silent(_self, _ticket):
        raise BrokerUnavailable("no answer")

    monkeypatch.setattr(paper.PaperBroker, "submit", silent)
    orders.submit_orders(now=NOW)
    assert set(models.Order.objects.filter(side="BUY").values_list("status", flat=True)) == {"NEW"}


def test_an_answer_seen_twice_or_late_changes_nothing():
    world = approved_world()
    orders.submit_orders(now=NOW)
    broker = get_paper_broker()
    names = list(models.Slice.objects.values_list("client_order_id", flat=True))
    early = broker.get_orders(names)
    while True:
        late = broker.get_orders(names)
        if late == broker.get_orders(names):
            break
    for answers in (late, early, late):
        reports.record_answers(answers, broker=PAPER, now=NOW)
    drain(NOW)
    reports.record_answers(late, broker=PAPER, now=NOW)
    assert_converged(world)


@pytest.mark.parametrize("status", [BrokerStatus.CANCELLED, BrokerStatus.REJECTED])
def test_an_end_that_overtakes_its_fills_waits_for_them(status):
    world = approved_world()
    orders.submit_orders(now=NOW)
    sale = models.Slice.objects.get(block__side="SELL")
    part = Execution("X-1", D(2), D("99.98"), DAY)
    ended = BrokerOrder(sale.client_order_id, status, D(2), (), "ended")
    reports.record_answers({sale.client_order_id: ended}, broker=PAPER, now=NOW)
    sale.refresh_from_db()
    # Two shares are sold that we know nothing of: nothing is shared out, nothing is released.
    assert (sale.status, sale.broker_quantity) == (OrderStatus.SUBMITTED, 2)
    assert allocation.allocate_blocks(now=NOW) == 0
    told = replace(ended, executions=(part,))
    reports.record_answers({sale.client_order_id: told}, broker=PAPER, now=NOW)
    assert allocation.allocate_blocks(now=NOW) == 1
    order = models.Order.objects.get(side="SELL")
    assert (order.status, order.filled_quantity) == (OrderStatus.CANCELLED, 2)
    assert check_books(world.firm.pk) == []
    assert check_orders(world.firm.pk) == []


def test_a_fill_beyond_the_order_holds_up_no_other():
    first, second = approved_world(), approved_world()
    orders.submit_orders(now=NOW)
    over, plain = (models.Slice.objects.get(block__firm=w.firm) for w in (first, second))
    answers = {
        row.client_order_id: BrokerOrder(
            row.client_order_id,
            BrokerStatus.FILLED,
            quantity,
            (Execution(f"X-{row.pk}", quantity, D("99.98"), DAY),),
        )
        for row, quantity in ((over, over.quantity + 1), (plain, plain.quantity))
    }
    assert reports.record_answers(answers, broker=PAPER, now=NOW) == 2
    assert allocation.allocate_blocks(now=NOW) == 2
    # Both are booked as ordered; the share too much is nobody's, and a person is told.
    assert set(models.Order.objects.filter(side="SELL").values_list("status", flat=True)) == {
        "FILLED"
    }
    [parked] = models.ParkedReport.objects.all()
    assert "of an order of" in parked.reason
    [broken] = facts.Break.objects.all()
    assert (broken.kind, broken.account.firm) == ("OVERFILL", first.firm)
    assert broken.their_quantity == broken.our_quantity - 1
    for world in (first, second):
        assert check_books(world.firm.pk) == []
        assert check_orders(world.firm.pk) == []


# --- The broker does less than was asked ----------------------------------------------------


def reject_sales(monkeypatch):
    """Make the broker reject every sale."""
    submit = paper.PaperBroker.submit

    def rejecting(self, ticket):
        self.reject_share = 1.0 if ticket.side == "SELL" else 0.0
        return submit(self, ticket)

    monkeypatch.setattr(paper.PaperBroker, "submit", rejecting)


def test_after_a_rejected_sale_buys_are_cut_to_the_cash_that_is_there(monkeypatch):
    world = approved_world()
    reject_sales(monkeypatch)
    drain(NOW)
    assert_converged(world)
    [proposal] = models.Proposal.objects.all()
    assert proposal.status == ProposalStatus.COMPLETED_ADJUSTED
    by_side = Counter(models.Order.objects.values_list("side", "status"))
    assert by_side["SELL", "REJECTED"] == 1
    assert by_side["BUY", "FILLED"] >= 1  # the account's own 1,000 is still spent
    cut = [order for order in models.Order.objects.filter(side="BUY") if order.reason]
    assert cut
    assert all(order.quantity <= order.trade.quantity for order in cut)
    assert 0 <= facts.CashBalance.objects.get().amount < 1000


def test_after_a_rejected_sale_without_cash_nothing_is_bought(monkeypatch):
    world = make_world(cash_floor_amount=D("40"))
    drifted_account(world, cash="60")
    world.look()
    world.approve(models.Proposal.objects.get())
    reject_sales(monkeypatch)
    drain(NOW)
    assert_converged(world)
    assert facts.CashBalance.objects.get().amount >= 40
    assert models.Proposal.objects.get().status == ProposalStatus.COMPLETED_ADJUSTED
    assert "CANCELLED" in set(models.Order.objects.values_list("status", flat=True))


def test_parts_of_an_order_cost_what_the_whole_would(monkeypatch):
    monkeypatch.setattr(paper, "PARTIAL_SHARE", 1.0)
    world = approved_world()
    drain(NOW)
    assert_converged(world)
    [proposal] = models.Proposal.objects.all()
    assert proposal.status == ProposalStatus.COMPLETED
    assert models.Execution.objects.count() > models.Order.objects.count()
    # However many parts: one price, one booking.
    assert models.Fill.objects.count() == models.Order.objects.count()
    assert facts.CashBalance.objects.get().amount == proposal.cash_after


def test_cash_that_a_buy_under_way_will_take_cannot_be_withdrawn():
    # What must stay by the policy is no part of what buys may take, up to their limit.
    world = approved_world(cash_floor_amount=D("40"))
    while not models.Order.objects.filter(side="BUY", status=OrderStatus.SUBMITTED).exists():
        orders.submit_orders(now=NOW)
        orders.poll_broker(now=NOW)
        orders.submit_orders(now=NOW)
    balance = facts.CashBalance.objects.get()
    withdrawal = {
        "account_id": balance.account_id,
        "entry_date": DAY,
        "token": uuid.uuid4(),
        "actor_id": world.advisor.pk,
    }
    with pytest.raises(books.NotEnoughCash, match="under way"):
        cash.withdraw_cash(amount=balance.amount, **withdrawal)
    cash.withdraw_cash(amount=D("1.00"), **withdrawal)
    drain(NOW)
    assert_converged(world)
