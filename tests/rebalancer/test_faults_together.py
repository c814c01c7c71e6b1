"""Several at once, and anything in any order: two people, two workers, random days with crashes."""

import random
import threading
import uuid
from collections import Counter
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import connection

from accounts.models import Wish
from portfolios import models as facts
from portfolios.operations import books
from portfolios.queries.books import check_books
from rebalancer import models
from rebalancer.brokers import paper
from rebalancer.domain.kinds import CheckStatus
from rebalancer.domain.lifecycle import ProposalStatus
from rebalancer.operations import approvals, cash, checks, orders, proposals
from rebalancer.queries.proof import check_orders
from robo.common.errors import Conflict
from tests.rebalancer.test_faults import (
    POINTS,
    Crash,
    assert_converged,
    crashing,
    drain,
    drifted_account,
)
from tests.rebalancer.world import DAY, NOW, expire_leases, make_world

pytestmark = pytest.mark.django_db(transaction=True)
D = Decimal
OLD = date(2020, 1, 2)


# --- Several at once ------------------------------------------------------------------------


def run_together(*functions):
    """Run functions in threads from the same instant on; return what each raised, or None."""
    barrier = threading.Barrier(len(functions))
    errors = [None] * len(functions)

    def run(index, function):
        try:
            barrier.wait(timeout=30)
            function()
        except Exception as error:
            errors[index] = error
        finally:
            connection.close()

    threads = [
        threading.Thread(target=run, args=item, daemon=True) for item in enumerate(functions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    return errors


def test_of_two_approvals_at_once_exactly_one_counts():
    world = make_world()
    for _ in range(50):
        drifted_account(world)
    world.look()
    for proposal in models.Proposal.objects.order_by("id"):
        errors = run_together(
            lambda p=proposal: world.approve(p, world.advisor),
            lambda p=proposal: world.approve(p, world.colleague),
        )
        assert sorted(str(type(error).__name__) for error in errors) == ["Conflict", "NoneType"]
        assert models.Decision.objects.filter(proposal=proposal).count() == 1
        assert proposal.orders.count() == proposal.trades.count()
    assert check_orders(world.firm.pk) == []


def test_an_approval_and_a_rejection_at_once_leave_one_decision():
    world = make_world()
    for _ in range(10):
        drifted_account(world)
    world.look()
    for proposal in models.Proposal.objects.order_by("id"):
        errors = run_together(
            lambda p=proposal: world.approve(p, world.advisor),
            lambda p=proposal: approvals.reject_proposal(
                proposal_id=p.pk,
                user_id=world.colleague.pk,
                content_hash=p.content_hash,
                note="No.",
                now=NOW,
            ),
        )
        assert sum(error is None for error in errors) == 1
        proposal.refresh_from_db()
        is_approved = models.Decision.objects.get(proposal=proposal).is_approved
        assert proposal.status == ("APPROVED" if is_approved else "REJECTED")
        assert proposal.orders.exists() == is_approved


def test_two_workers_at_every_stage_do_the_work_once():
    world = make_world()
    for _ in range(12):
        drifted_account(world)
    firm_id = world.firm.pk

    def find():
        checks.find_due_checks(firm_id=firm_id, price_date=DAY, now=NOW)

    def propose():
        proposals.propose(firm_id=firm_id, price_date=DAY, now=NOW)

    def send():
        for _ in range(4):
            orders.submit_orders(now=NOW)
            orders.poll_broker(now=NOW)

    assert run_together(find, find) == [None, None]
    assert models.Check.objects.count() == 12
    assert run_together(propose, propose, find) == [None, None, None]
    assert models.Proposal.objects.count() == 12
    for proposal in models.Proposal.objects.all():
        world.approve(proposal)
    assert run_together(send, send) == [None, None]
    drain(NOW)
    assert_converged(world)
    assert set(models.Proposal.objects.values_list("status", flat=True)) == {"COMPLETED"}


# --- Looks while trades are under way -------------------------------------------------------


def test_a_check_waits_while_trades_of_its_account_are_under_way():
    world = make_world()
    drifted_account(world)
    world.look()
    [proposal] = models.Proposal.objects.all()
    # The next day's look is on record, but nobody has proposed yet when the old one is approved.
    monday = date(2026, 11, 23)
    world.set_prices(monday, USTM="101")
    checks.find_due_checks(firm_id=world.firm.pk, price_date=monday, now=NOW)
    world.approve(proposal)
    proposals.propose(firm_id=world.firm.pk, price_date=monday, now=NOW)
    assert models.Check.objects.latest("id").status == CheckStatus.DUE
    drain(NOW)
    proposals.propose(firm_id=world.firm.pk, price_date=monday, now=NOW)
    assert models.Check.objects.latest("id").status != CheckStatus.DUE
    assert_converged(world)


def test_what_is_excluded_is_sold_though_its_class_is_on_target():
    world = make_world()
    world.add_account(
        "200",
        lots=[("USLC", "80", "4000", OLD), ("INTL", "50", "1", OLD), ("BOND", "47", "1", OLD)],
    )
    facts.Security.objects.filter(symbol="USLC").update(themes=["fossil-fuels"])
    Wish.objects.create(
        household=world.household,
        kind="EXCLUDE",
        subject="fossil-fuels",
        recorded_by=world.advisor,
    )
    world.look()
    [proposal] = models.Proposal.objects.all()
    sold = proposal.trades.get(security__symbol="USLC")
    assert (sold.side, sold.quantity, sold.reason) == ("SELL", 80, "EXCLUDED")


# --- Anything, in any order -----------------------------------------------------------------


class Day:
    """A random schedule of everything that people, workers and markets do, with crashes."""

    CRASHES = {
        "send": [
            *("beginning", "forming", "claiming", "renewing", "sending", "recording"),
            *("telling", "completing"),
        ],
        "poll": ["asking", "sharing out", "booking", "audit", "telling", "completing"],
        "sweep": ["asking"],
    }

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.world = make_world(approval_hours_max=1000)
        self.now, self.day, self.crashes = NOW, DAY, 0
        for _ in range(2):
            drifted_account(self.world, cash=str(self.dice.randint(0, 3000)))
        self.look()
        self.approve()

    def move_market(self):
        self.day = {4: timedelta(3), 5: timedelta(2)}.get(
            self.day.weekday(), timedelta(1)
        ) + self.day
        if self.day == date(2026, 11, 26):  # Thanksgiving
            self.day += timedelta(1)
        price = {
            s: str(round(b * self.dice.uniform(0.9, 1.1), 2))
            for s, b in (("USTM", 100), ("INTL", 40))
        }
        self.world.set_prices(self.day, **price)

    def look(self):
        self.world.look(self.day)

    def approve(self):
        for proposal in models.Proposal.objects.filter(
            firm=self.world.firm, status=ProposalStatus.PENDING
        ):
            try:
                self.world.approve(proposal, now=self.now)
            except Conflict:
                continue

    def send(self):
        orders.submit_orders(now=self.now)

    def poll(self):
        orders.poll_broker(now=self.now)

    def sweep(self):
        self.now += timedelta(seconds=self.dice.choice([1, 90]))
        if self.dice.random() < 0.5:
            expire_leases()
        orders.resolve_unknown_orders(now=self.now)
        orders.end_sessions(now=self.now)
        orders.review_orders(now=self.now)

    def move_cash(self):
        account = self.dice.choice(self.world.accounts)
        operation = self.dice.choice([books.deposit_cash, cash.withdraw_cash])
        with suppress(books.NotEnoughCash):
            operation(
                account_id=account.pk,
                amount=D(self.dice.randint(1, 150000)) / 100,
                entry_date=self.day,
                token=uuid.uuid4(),
                actor_id=self.world.admin.pk,
            )

    def step(self, monkeypatch):
        name = self.dice.choice(
            ["move_market", "look", "look", "approve", "approve", "move_cash", "sweep"]
            + ["send", "poll"] * 4
        )
        with monkeypatch.context() as patch:
            if name in self.CRASHES and self.dice.random() < 0.5:
                owner, point = POINTS[self.dice.choice(self.CRASHES[name])]
                crash = crashing(getattr(owner, point), at_call=1, before=self.dice.random() < 0.5)
                patch.setattr(owner, point, crash)
            try:
                getattr(self, name)()
            except Crash:
                self.crashes += 1


@pytest.mark.parametrize("first_seed", range(0, 10, 5))
def test_whatever_happens_in_whatever_order_it_converges(monkeypatch, first_seed):
    monkeypatch.setattr(paper, "REJECT_SHARE", 0.1)
    monkeypatch.setattr(paper, "PARTIAL_SHARE", 0.5)
    work = Counter()
    for seed in range(first_seed, first_seed + 5):
        day = Day(seed)
        for _ in range(4):
            for _ in range(3):
                day.step(monkeypatch)
            assert check_books(day.world.firm.pk) == [], seed
            assert check_orders(day.world.firm.pk) == [], seed
        drain(day.now)
        assert_converged(day.world)
        work["crashes"] += day.crashes
    work["fills"] = models.Fill.objects.count()
    assert work["crashes"] >= 3, work
    assert work["fills"] >= 5, work
