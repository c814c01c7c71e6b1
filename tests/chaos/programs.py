"""What the nursery's children run: the product's own web server, worker, beat and broker.

The small workers call the tasks' functions in a loop; that is what Celery does with them, without
the second that it needs to start, so that hundreds of them can be killed in a few minutes.
"""

import logging
import random
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connections

from accounts import tasks as people_tasks
from rebalancer import tasks
from rebalancer.brokers.paper import client
from rebalancer.operations import proposals
from rebalancer.operations.execution import sending
from robo.common import clock
from robo.common.tenancy import APP_ROLE, WORKER_ROLE
from tests.chaos import points

logger = logging.getLogger(__name__)
BEAT_TASKS = (
    "rebalancer.tasks.expire_proposals",
    "rebalancer.tasks.poll_broker",
    "rebalancer.tasks.sweep",
    "rebalancer.tasks.review_orders",
    "accounts.tasks.seal_journals",
)
# Waiting a minute for each lease of somebody killed would make a run last hours.
LEASE_SECONDS = 6


def _prepare(role: str, url: str) -> None:
    """Take on the database's role and the broker's address, and leases that pass quickly."""
    settings.PAPER_BROKER_URL = url
    # One dictionary for every connection of this process, whatever its thread.
    connections.settings["default"]["USER"] = role
    sending.CALL_SECONDS_MAX = LEASE_SECONDS // 2
    sending.LEASE = timedelta(seconds=LEASE_SECONDS)
    client.TIMEOUT_SECONDS = LEASE_SECONDS / 2
    client.PaperClient.__init__.__kwdefaults__["timeout_seconds"] = LEASE_SECONDS / 2
    # A stale proposal ends here instead of being solved again: the engine is no part of it.
    proposals.solve_checks = lambda **_terms: ([], [])
    random.seed()


def run_worker(
    *, url: str, point: str = "", hits: int = 1, shift_hours: float = 0, no_review: bool = False
) -> None:
    """Do the tasks' work, again and again, in any order."""
    _prepare(WORKER_ROLE, url)
    if point:
        points.install(point, hits)
    if shift_hours:
        real = clock.now
        clock.now = lambda: real() + timedelta(hours=shift_hours)
    duties: list[Any] = [tasks.submit_orders, tasks.poll_broker, tasks.sweep]
    duties += [people_tasks.seal_journals, tasks.expire_proposals]
    if not no_review:
        duties.append(tasks.review_orders)
    while True:
        for duty in random.sample(duties, len(duties)):
            try:
                duty()
            except DatabaseError:
                # As Celery does: the task has failed, the worker takes the next one.
                logger.exception("%s", duty.name)
            close_old_connections()
        time.sleep(0.05)


def run_celery(*, url: str) -> None:
    """Be a real Celery worker, with a pool of its own children."""
    _prepare(WORKER_ROLE, url)
    from robo.celery import app

    app.worker_main(
        ["worker", "--concurrency", "1", "--without-gossip", "--without-mingle"]
        + ["--loglevel", "WARNING", "--hostname", f"chaos-{time.time_ns()}@%h"]
    )


def run_beat(*, url: str, schedule: str) -> None:
    """Be a real Celery beat, which looks every second."""
    _prepare(WORKER_ROLE, url)
    from robo.celery import app

    app.conf.beat_schedule = {name: {"task": name, "schedule": 1.0} for name in BEAT_TASKS}
    app.Beat(schedule=schedule, pidfile="", loglevel="WARNING").run()


def run_web(*, url: str, bind: str, shift_hours: float = 0) -> None:
    """Be gunicorn, with two workers of four threads."""
    _prepare(APP_ROLE, url)
    if shift_hours:
        real = clock.now
        clock.now = lambda: real() + timedelta(hours=shift_hours)
    from gunicorn.app.wsgiapp import run

    sys.argv = ["gunicorn", "robo.wsgi", "--worker-class", "gthread", "--workers", "2"]
    sys.argv += ["--threads", "4", "--bind", bind, "--no-control-socket", "--log-level", "warning"]
    run()


def run_broker(*, path: str, socket: str) -> None:
    """Be the paper broker, with its durable list."""
    from django.core.management import call_command

    call_command("paper_broker", path=Path(path), socket=Path(socket))


PROGRAMS = {
    "worker": run_worker,
    "celery": run_celery,
    "beat": run_beat,
    "web": run_web,
    "broker": run_broker,
}
