"""A real Celery worker, killed or replaced again and again while orders are under way.

Whatever it was doing, and whenever its tasks are acknowledged: nothing is lost, nothing is done
twice, and the books agree.
"""

import itertools
import os
import time
from datetime import date
from pathlib import Path
from random import Random

import pytest

from portfolios.queries.books import check_books
from rebalancer import models, tasks
from rebalancer.domain.lifecycle import CLOSED_ORDER, OPEN_PROPOSAL, OrderStatus
from rebalancer.operations import orders
from rebalancer.operations.connections import get_paper_broker
from rebalancer.queries.proof import check_orders
from robo.common import clock
from tests.rebalancer.world import expire_leases, make_world

pytestmark = pytest.mark.django_db(transaction=True)
OLD = date(2020, 1, 2)
ACCOUNTS, KILLS, SECONDS = 8, 3, 240


# How the worker that comes next acknowledges its tasks: early or late, given back or not.
ACKNOWLEDGING = [{"ACKS_LATE": late, "GIVES_BACK": back} for late in "01" for back in "01"]


def test_killing_the_worker_loses_nothing_and_doubles_nothing(
    celery_worker_to_start, settings, tmp_path
):
    world = make_world()
    for number in range(ACCOUNTS):
        world.add_account(
            "1000", lots=[("USTM", str(60 + number), "4000", OLD), ("BOND", "10", "900", OLD)]
        )
    world.look()
    for proposal in models.Proposal.objects.all():
        world.approve(proposal)
    order_count = models.Order.objects.count()
    assert order_count >= 3 * ACCOUNTS

    worker, dice = celery_worker_to_start, Random(9)
    environment = hook(tmp_path, ACKNOWLEDGE) | {
        "PAPER_BROKER_PATH": str(settings.PAPER_BROKER_PATH)
    }
    kinds = itertools.cycle(ACKNOWLEDGING)
    kills, deadline = 0, time.monotonic() + SECONDS
    worker.start(**environment, **next(kinds))
    while models.Proposal.objects.filter(status__in=OPEN_PROPOSAL).exists():
        assert time.monotonic() < deadline, worker.log()[-3000:]
        tasks.submit_orders.delay()
        tasks.poll_broker.delay()
        tasks.sweep.delay()
        time.sleep(dice.uniform(0.0, 0.25))
        if kills < KILLS:
            kills += 1
            # Killed, and the last one asked to stop, as in a deploy.
            (worker.kill9 if kills < KILLS else worker.stop)()
            # What it had claimed is looked up once its lease is over: do not wait for that.
            expire_leases()
            worker.start(**environment, **next(kinds))

    worker.kill9()
    assert kills == KILLS
    assert models.Order.objects.count() == order_count
    # The worker's broker rejects one order in a hundred; every other one is filled in full.
    assert not models.Order.objects.exclude(status__in=CLOSED_ORDER).exists()
    sent = models.Slice.objects.filter(submitted_at__isnull=False)
    assert get_paper_broker().count_orders() == sent.count()
    assert check_books(world.firm.pk) == []
    assert check_orders(world.firm.pk) == []


def test_a_worker_killed_between_the_broker_and_the_books_is_made_up_for(
    celery_worker_to_start, settings, tmp_path
):
    """The worst moment, hit on purpose: the broker has the order, and we do not know it."""
    world = make_world()
    world.add_account("1000", lots=[("USTM", "80", "4000", OLD), ("BOND", "10", "900", OLD)])
    world.look()
    world.approve(models.Proposal.objects.get())
    worker = celery_worker_to_start
    broker_path = {"PAPER_BROKER_PATH": str(settings.PAPER_BROKER_PATH)}
    worker.start(**broker_path, **hook(tmp_path, KILL_AFTER_SUBMIT))
    tasks.submit_orders.delay()
    deadline = time.monotonic() + 30
    while not get_paper_broker().count_orders():
        assert time.monotonic() < deadline, worker.log()[-3000:]
        time.sleep(0.05)
    worker.kill9()
    assert models.Slice.objects.filter(status=OrderStatus.SUBMITTING).exists()
    assert not models.Fill.objects.exists()

    taken = get_paper_broker().count_orders()
    expire_leases()
    orders.resolve_unknown_orders(now=clock.now())
    assert get_paper_broker().count_orders() == taken
    world.trade(now=clock.now())
    assert get_paper_broker().count_orders() == models.Slice.objects.count()
    assert not models.Order.objects.exclude(status=OrderStatus.FILLED).exists()
    assert check_books(world.firm.pk) == []
    assert check_orders(world.firm.pk) == []


def hook(folder, code):
    """Return the environment in which a process runs this code before anything else."""
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parents[2])])}


ACKNOWLEDGE = """
import os
from robo.celery import app

app.conf.task_acks_late = os.environ["ACKS_LATE"] == "1"
app.conf.task_reject_on_worker_lost = os.environ["GIVES_BACK"] == "1"
app.conf.worker_soft_shutdown_timeout = 2
"""
KILL_AFTER_SUBMIT = """
import os, signal
import rebalancer.brokers.paper as paper

submit = paper.PaperBroker.submit


def submit_and_die(self, ticket):
    submit(self, ticket)
    os.kill(os.getpid(), signal.SIGKILL)


paper.PaperBroker.submit = submit_and_die
"""
