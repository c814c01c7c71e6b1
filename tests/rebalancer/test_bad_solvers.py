"""Solvers that lie, crash or never end: no wrong number is stored, and the others get theirs."""

import os
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import connection, connections

from rebalancer import models, tasks
from rebalancer.domain.kinds import CheckStatus, Mode
from rebalancer.engine import answering
from rebalancer.operations import checks, proposals, shards, solving
from rebalancer.queries import books as book_queries
from rebalancer.queries.proof import check_orders
from rebalancer.queries.work import list_due_looks
from robo.common.errors import Refused
from tests import people
from tests.rebalancer.world import DAY, NOW, make_world

pytestmark = pytest.mark.django_db(transaction=True)
D = Decimal
OLD = date(2020, 1, 2)
SKEWED = [("USTM", "80", "4000", OLD), ("BOND", "10", "900", OLD)]
SECONDS = 0.3


@pytest.fixture
def homes():
    """Give a firm of three households with one drifted account each; the second is the victim."""
    world = make_world()
    for _ in range(3):
        world.household = people.make_household(world.firm, advisor=world.advisor)
        world.add_account("1000", lots=SKEWED)
    return world


def look(world):
    """Look at every account, and leave the proposals to the test."""
    checks.find_due_checks(firm_id=world.firm.pk, price_date=DAY, now=NOW)


def propose(world):
    return proposals.propose(firm_id=world.firm.pk, price_date=DAY, now=NOW)


def check_of(account, period=""):
    return models.Check.objects.get(account=account, period_key__contains=period)


def assert_set_aside(world, words):
    first, victim, last = world.accounts
    assert (check_of(victim).status, words in check_of(victim).reason) == (
        CheckStatus.BLOCKED,
        True,
    ), check_of(victim).reason
    assert "nan" not in str(check_of(victim).certificate).lower()
    assert {row.account_id for row in models.Proposal.objects.all()} == {first.pk, last.pk}
    for proposal in models.Proposal.objects.all():
        moved = sum(
            (trade.amount if trade.side == "SELL" else -trade.amount)
            for trade in proposal.trades.all()
        )
        assert proposal.cash_after == proposal.cash_before + moved >= proposal.required_cash
    assert check_orders(world.firm.pk) == []


def find_household(case, account):
    index = case.book.account_ids.tolist().index(account.pk)
    return int(case.book.household_index[index])


# --- Lies -----------------------------------------------------------------------------------


def sell_more_than_is_held(outcome):
    return replace(outcome, steps=np.full_like(outcome.steps, -(10**6)))


def answer_no_numbers(outcome):
    return replace(
        outcome,
        trade=np.full_like(outcome.trade, np.nan),
        steps=np.full(outcome.steps.shape, np.nan),
        bound=float("nan"),
    )


def answer_of_another_size(outcome):
    return replace(outcome, steps=outcome.steps[:1], is_exit=outcome.is_exit[:1])


def call_it_infeasible(outcome):
    return replace(outcome, is_infeasible=True)


LIES = {
    "sells what is not held": (sell_more_than_is_held, ""),
    "no numbers": (answer_no_numbers, solving.NO_PLAN),
    "another size": (answer_of_another_size, solving.NO_PLAN),
    "infeasible": (call_it_infeasible, "No plan"),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_a_solver_makes_up_is_never_stored(homes, monkeypatch, lie):
    tell, words = LIES[lie]
    honest, victim = solving.solve_households, homes.accounts[1]

    def solve(case, modes):
        found = honest(case, modes)
        home = find_household(case, victim)
        return {h: tell(outcome) if h == home else outcome for h, outcome in found.items()}

    monkeypatch.setattr(solving, "solve_households", solve)
    homes.look()
    assert_set_aside(homes, words)
    assert check_of(victim).reason


@pytest.mark.parametrize(
    ("factor", "words"), [(10**6, "cash would fall to -"), (D("1.5"), "is not a multiple of")]
)
def test_shares_that_do_not_add_up_are_refused_by_the_exact_gate(homes, monkeypatch, factor, words):
    honest, victim = answering.size_account, homes.accounts[1]

    def size(book, targets, formulation, outcome, row, *, order):
        plan = honest(book, targets, formulation, outcome, row, order=order)
        if book.account_ids[plan.account] != victim.pk:
            return plan
        bought = [replace(t, units=int(t.units * factor)) for t in plan.trades if t.units > 0]
        return replace(plan, trades=tuple(bought))

    monkeypatch.setattr(answering, "size_account", size)
    homes.look()
    assert_set_aside(homes, "the plan failed its check: ")
    assert words in check_of(victim).reason


def test_gains_beyond_the_year_s_budget_do_not_pass(homes, monkeypatch):
    """The solver is given no budget, and so keeps none; the gate knows better."""
    victim = homes.accounts[1]
    victim.household.gains_budget = D("1")
    victim.household.save()
    honest = solving.solve_households

    def solve(case, modes):
        rows = tuple(replace(row, gains_budget=None) for row in case.book.households)
        return honest(replace(case, book=replace(case.book, households=rows)), modes)

    monkeypatch.setattr(solving, "solve_households", solve)
    homes.look()
    assert_set_aside(homes, "net gains of")


def test_a_bound_that_the_plan_disproves_is_not_shown(homes, monkeypatch):
    honest = solving.solve_households

    def solve(case, modes):
        found = honest(case, modes)
        return {home: replace(outcome, bound=1e9) for home, outcome in found.items()}

    monkeypatch.setattr(solving, "solve_households", solve)
    homes.look()
    assert models.Proposal.objects.count() == 3
    assert {row.certificate["bound"] for row in models.Proposal.objects.all()} == {None}


# --- Crashes --------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ZeroDivisionError, FloatingPointError, MemoryError, KeyError])
def test_a_solver_that_breaks_down_on_one_household_keeps_nothing_from_the_others(
    homes, monkeypatch, error
):
    honest, victim = solving.solve_households, homes.accounts[1]

    def solve(case, modes):
        home = find_household(case, victim)
        if any(case.book.household_index[account] == home for account in modes):
            raise error("inside")
        return honest(case, modes)

    monkeypatch.setattr(solving, "solve_households", solve)
    homes.look()
    assert_set_aside(homes, f"{solving.NO_PLAN} ({error.__name__})")
    # Once it is mended, the next look finds the account as it was left.
    monkeypatch.setattr(solving, "solve_households", honest)
    monday = date(2026, 11, 23)
    homes.set_prices(monday)
    homes.look(monday)
    assert models.Proposal.objects.filter(account=victim).exists()


def test_a_person_is_told_that_the_engine_failed_and_not_that_nothing_is_left(homes, monkeypatch):
    homes.look()
    proposal = models.Proposal.objects.order_by("id").first()

    def solve(case, modes):
        raise ZeroDivisionError

    monkeypatch.setattr(solving, "solve_households", solve)
    with pytest.raises(Refused, match="stays as it is: the engine gave no answer that can be"):
        proposals.choose_alternative(
            proposal_id=proposal.pk,
            user_id=homes.advisor.pk,
            wanted=solving.Wanted(mode=Mode.BUY_ONLY),
            now=NOW,
        )
    proposal.refresh_from_db()
    assert proposal.status == "PENDING"
    assert models.Proposal.objects.count() == 3


# --- Out of time, out of memory ---------------------------------------------------------------


@contextmanager
def soft_time_limit():
    """Interrupt us as Celery interrupts a task that takes too long."""

    def interrupt(_signal, _frame):
        raise SoftTimeLimitExceeded

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def poison(monkeypatch, account, *, act):
    """Let `act` happen wherever the books of this account are loaded to be solved."""
    honest = solving.load_book

    def load(**asked):
        if account.pk in asked["account_ids"]:
            act()
        return honest(**asked)

    monkeypatch.setattr(solving, "load_book", load)


def test_a_solver_that_never_ends_is_set_aside_and_the_others_get_theirs(homes, monkeypatch):
    look(homes)
    poison(monkeypatch, homes.accounts[1], act=lambda: time.sleep(60))
    monkeypatch.setattr(shards, "COMPANY", (5000, 1))
    cut_short = 0
    for _ in range(shards.ATTEMPTS_MAX):
        with soft_time_limit():
            try:
                propose(homes)
            except SoftTimeLimitExceeded:
                cut_short += 1
    assert cut_short == shards.ATTEMPTS_MAX
    with soft_time_limit():
        assert propose(homes) == {CheckStatus.BLOCKED: 1}
        assert propose(homes) == {}
    assert_set_aside(homes, "set aside: 4 attempts")


def run_in_a_process(work):
    """Run a piece of work in a process of its own; return the signal that ended it, or 0."""
    connections.close_all()  # neither side may use what the other has open
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            connections.close_all()
            os._exit(0)
    _pid, status = os.waitpid(pid, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def test_a_shard_that_kills_its_worker_costs_a_few_workers_and_no_other_account(homes, monkeypatch):
    look(homes)
    victim = homes.accounts[1]
    # As the kernel does where memory ends, or Celery at the hard limit.
    poison(monkeypatch, victim, act=lambda: os.kill(os.getpid(), signal.SIGKILL))
    monkeypatch.setattr(shards, "COMPANY", (5000, 1))
    monkeypatch.setattr(tasks.cycles, "get_cycle_date", lambda **_: DAY)
    monkeypatch.setattr(tasks, "nudge", lambda _task: None)
    ends = [run_in_a_process(tasks.find_due_checks) for _ in range(8)]
    assert ends.count(signal.SIGKILL) == shards.ATTEMPTS_MAX
    assert ends[-3:] == [0, 0, 0]
    assert_set_aside(homes, "set aside: 4 attempts")


def test_untried_checks_go_before_those_that_failed_and_a_household_stays_together(
    homes, monkeypatch
):
    home, account = homes.household, homes.accounts[2]
    second = homes.add_account("1000", lots=SKEWED)
    assert second.household_id == home.pk
    look(homes)
    ids = {row.account_id: row.pk for row in models.Check.objects.all()}
    models.Check.objects.filter(account__in=[account, second]).update(attempt_count=2)
    models.Check.objects.filter(account=homes.accounts[0]).update(attempt_count=1)
    firm_id = homes.firm.pk
    assert shards.take_shard(firm_id=firm_id) == ([ids[homes.accounts[1].pk]], 0)
    models.Check.objects.filter(account=homes.accounts[1]).update(status="NO_TRADE")
    assert shards.take_shard(firm_id=firm_id) == ([ids[homes.accounts[0].pk]], 0)
    models.Check.objects.filter(account=homes.accounts[0]).update(status="NO_TRADE")
    assert shards.take_shard(firm_id=firm_id) == ([ids[account.pk], ids[second.pk]], 0)


def test_a_check_that_waits_for_trades_under_way_was_not_tried(homes, monkeypatch):
    homes.look()
    monday = date(2026, 11, 23)
    homes.set_prices(monday, USTM="101")
    checks.find_due_checks(firm_id=homes.firm.pk, price_date=monday, now=NOW)
    taken = proposals.take_shard

    def approving(**asked):
        shard = taken(**asked)
        for proposal in models.Proposal.objects.filter(status="PENDING"):
            homes.approve(proposal)
        return shard

    monkeypatch.setattr(proposals, "take_shard", approving)
    proposals.propose(firm_id=homes.firm.pk, price_date=monday, now=NOW)
    waiting = models.Check.objects.filter(status=CheckStatus.DUE)
    assert waiting.count() == 3
    assert set(waiting.values_list("attempt_count", flat=True)) == {0}


def test_the_limits_of_tasks_leave_room_for_each_other():
    assert settings.CELERY_TASK_SOFT_TIME_LIMIT < settings.CELERY_TASK_TIME_LIMIT
    patience = settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]
    assert patience > 2 * settings.CELERY_TASK_TIME_LIMIT
    assert shards.COMPANY[0] == book_queries.SHARD_ACCOUNTS


# --- Looks ------------------------------------------------------------------------------------


def test_an_account_that_cannot_be_looked_at_is_set_aside_and_the_others_are(homes, monkeypatch):
    victim = homes.accounts[1]
    honest = checks.load_book

    def load(**asked):
        if victim.pk in asked["account_ids"]:
            raise MemoryError
        return honest(**asked)

    monkeypatch.setattr(checks, "load_book", load)
    monkeypatch.setattr(shards, "COMPANY", (5000, 1))
    monkeypatch.setattr(tasks.cycles, "get_cycle_date", lambda **_: DAY)
    monkeypatch.setattr(tasks, "nudge", lambda _task: None)
    for _ in range(8):
        tasks.find_due_checks()
    assert_set_aside(homes, "attempts to look at it")
    # The next day starts anew, and keeps no record of the attempts of this one.
    monkeypatch.setattr(checks, "load_book", honest)
    monday = date(2026, 11, 23)
    homes.set_prices(monday)
    homes.look(monday)
    assert check_of(victim, period="2026-11-23").status == CheckStatus.PROPOSED
    assert not models.LookShard.objects.exists()


def test_who_is_being_looked_at_by_a_worker_that_lives_was_not_tried(homes):
    looks = list_due_looks(firm_id=homes.firm.pk, price_date=DAY)
    asked = {"firm_id": homes.firm.pk, "price_date": DAY, "looks": looks}
    models.LookShard.objects.create(
        firm=homes.firm, price_date=DAY, account_ids=[homes.accounts[0].pk]
    )
    assert [len(shard) for shard in shards.split_looks(**asked)[0]] == [2, 1]
    held, done = threading.Event(), threading.Event()

    def hold():
        try:
            with shards.count_attempt(**asked):
                held.set()
                done.wait(timeout=30)
        finally:
            connection.close()

    worker = threading.Thread(target=hold)
    worker.start()
    assert held.wait(timeout=30)
    counted = [len(shard) for shard in shards.split_looks(**asked)[0]]
    done.set()
    worker.join()
    assert counted == [2, 1]
    assert models.LookShard.objects.count() == 1
