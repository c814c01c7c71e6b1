"""Celery's nudges to look: each reads the clock, and calls operations that may run twice."""

import logging
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from celery import Task, shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.db import InterfaceError, OperationalError
from kombu.exceptions import OperationalError as NoRedis

from accounts.queries import people
from portfolios.queries.books import get_market_date
from rebalancer.operations import (
    approvals,
    checks,
    controls,
    costs,
    cycles,
    orders,
    proposals,
    reconciliation,
)
from robo.common import clock
from robo.common.builds import OtherBuild

logger = logging.getLogger(__name__)

# So many shards of accounts a task takes on before it makes room for the next.
SHARDS_PER_TASK = 2


def nudge(task: Task, **arguments: Any) -> None:
    """Ask a worker to look once the transaction commits; without Redis the next beat will do."""
    try:
        task.delay_on_commit(**arguments)
    except NoRedis:
        logger.warning("no broker to nudge %s; the sweep will find the work", task.name)


@shared_task
def run_cycle(*, cycle_run_id: int) -> None:
    """Run a cycle that somebody asked for."""
    cycles.run_cycle(cycle_run_id=cycle_run_id, now=clock.database_now())


@shared_task
def find_due_checks() -> None:
    """Look at every account that is due, and write the proposals that follow."""
    now = clock.database_now()
    for firm in people.list_firms():
        price_date = cycles.get_cycle_date(firm_id=firm.pk, now=now)
        if price_date is None:
            continue
        done = [
            _take_step(step, firm.pk, price_date, now)
            for step in (checks.find_due_checks, proposals.propose)
        ]
        if any(done):
            # There may be more: look again, in a task of its own and so within its time limit.
            nudge(find_due_checks)


def _take_step(
    step: Callable[..., Counter[str]], firm_id: int, price_date: date, now: datetime
) -> Counter[str]:
    try:
        return step(firm_id=firm_id, price_date=price_date, now=now, shards_max=SHARDS_PER_TASK)
    except (SoftTimeLimitExceeded, OperationalError, InterfaceError, OtherBuild):
        raise
    except Exception:  # the next tick tries smaller shards; nothing else is held up
        logger.exception("firm %s: a shard failed", firm_id)
        return Counter()


@shared_task
def expire_proposals() -> None:
    """Expire what nobody decided in time."""
    approvals.expire_proposals(now=clock.database_now())


@shared_task
def submit_orders() -> None:
    """Send what was approved, and take what comes back at once."""
    now = clock.database_now()
    orders.submit_orders(now=now)
    orders.poll_broker(now=now)


@shared_task
def poll_broker() -> None:
    """Ask the brokers for news, end the days that are over, and send what that has freed."""
    now = clock.database_now()
    orders.poll_broker(now=now)
    orders.end_sessions(now=now)
    orders.submit_orders(now=now)


@shared_task
def review_orders() -> None:
    """Read the brokers' own lists of orders: what came late, and what is not ours."""
    orders.review_orders(now=clock.database_now())


@shared_task
def reconcile_brokers() -> None:
    """Compare each firm's books with its broker's once its day is over, and when somebody asked."""
    reconciliation.reconcile_due(now=clock.database_now())


@shared_task
def calibrate_costs() -> None:
    """Learn from executions what trading costs, once a month for each firm."""
    now = clock.now()
    for firm in people.list_firms():
        costs.calibrate_monthly(firm_id=firm.pk, as_of_date=get_market_date(firm, now))


@shared_task
def sweep() -> None:
    """Find work that a dead worker or a lost message left lying, whatever its stage."""
    now = clock.database_now()
    orders.resolve_unknown_orders(now=now)
    orders.submit_orders(now=now)
    controls.announce_stop_of_all()
    for cycle_run_id in cycles.list_stuck_cycles(now=now):
        nudge(run_cycle, cycle_run_id=cycle_run_id)
