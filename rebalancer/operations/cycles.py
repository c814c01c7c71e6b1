"""One full cycle after another: prices, checks, proposals; by day, with its progress on record.

A run's remaining market days are in its row. Each step may run twice, so whoever finds a run that
has not advanced for a while takes it up where it stopped.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import partial

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Now

from accounts.domain.roles import PriceSourceKind
from accounts.operations.audit import record_audit_entry
from accounts.operations.firms import advance_simulated_date
from accounts.queries import people
from portfolios.operations.corporate_actions import apply_actions
from portfolios.operations.prices import record_prices
from portfolios.price_sources.simulated import Listing, simulate_closes
from portfolios.queries import books as book_queries
from portfolios.queries import market
from rebalancer import models
from rebalancer.domain.kinds import CycleStatus, MarketMove
from rebalancer.operations.checks import find_due_checks
from rebalancer.operations.proposals import propose
from robo.common.builds import OtherBuild, check_build
from robo.common.errors import Conflict, Refused
from robo.common.market_calendar import list_sessions_after

logger = logging.getLogger(__name__)

# A run that has not advanced for so long was cut short.
STUCK_AFTER = timedelta(seconds=60)
STEPS_PER_DAY = 3

MOVES = {
    MarketMove.NEXT_DAY: ("Next day", 1, ""),
    MarketMove.NEXT_WEEK: ("Next week", 5, ""),
    MarketMove.CRASH: ("Crash", 1, "CRASH"),
    MarketMove.RALLY: ("Rally", 1, "RALLY"),
}


def request_cycle(*, firm_id: int, user_id: int, move: MarketMove) -> models.CycleRun:
    """Ask for the simulated market to move, and for what follows.

    :raises Refused: when the firm's market is a real one.
    :raises Conflict: when a run is under way.
    """
    firm = people.get_firm(firm_id)
    if firm.simulated_date is None:
        raise Refused("Only a simulated market can be moved.")
    label, count, shock = MOVES[move]
    days = list_sessions_after(firm.exchange, firm.simulated_date, count)
    return _create_run(firm_id=firm_id, user_id=user_id, label=label, days=days, shock=shock)


def start_cycle(*, firm_id: int, user_id: int, price_date: date) -> models.CycleRun:
    """Ask for one cycle on the prices of a day that are on record."""
    return _create_run(
        firm_id=firm_id,
        user_id=user_id,
        label=f"Cycle of {price_date}",
        days=[price_date],
        shock="",
    )


@transaction.atomic
def _create_run(
    *, firm_id: int, user_id: int, label: str, days: Sequence[date], shock: str
) -> models.CycleRun:
    try:
        with transaction.atomic():
            run = models.CycleRun.objects.create(
                firm_id=firm_id,
                label=label,
                price_dates=[day.isoformat() for day in days],
                market_shock=shock,
                total_count=STEPS_PER_DAY * len(days),
                step="Waiting for a worker",
                requested_by_id=user_id,
            )
    except IntegrityError:
        raise Conflict("A run is under way; wait until it is done.") from None
    record_audit_entry(
        firm_id=firm_id,
        actor_id=user_id,
        action="rebalancer.cycle.requested",
        object_id=str(run.public_id),
        summary=f"Asked for a cycle: {label}",
        detail={"days": run.price_dates, "shock": shock},
    )
    return run


def run_cycle(*, cycle_run_id: int, now: datetime) -> models.CycleRun:
    """Run every remaining day of a run; nothing happens when another worker has it."""
    run = _claim(cycle_run_id, now)
    if run is None:
        return models.CycleRun.objects.get(pk=cycle_run_id)
    try:
        while run.price_dates:
            _run_day(run, date.fromisoformat(run.price_dates[0]), now)
    except OtherBuild:
        raise  # whoever fits the database takes the run up where it stands
    except Exception as error:
        run.status, run.error = CycleStatus.FAILED, f"{type(error).__name__}: {error}"[:500]
        run.finished_at = now
        run.save(update_fields=["status", "error", "finished_at"])
        raise
    run.status, run.step, run.finished_at = CycleStatus.DONE, "Done", now
    run.save(update_fields=["status", "step", "finished_at"])
    return run


def list_stuck_cycles(*, now: datetime) -> list[int]:
    """Return runs that wait for a worker, or whose worker is gone."""
    return list(
        models.CycleRun.objects.filter(_waiting(now)).order_by("id").values_list("id", flat=True)
    )


def _waiting(now: datetime) -> Q:
    return Q(status=CycleStatus.QUEUED) | Q(
        status=CycleStatus.RUNNING, advanced_at__lt=now - STUCK_AFTER
    )


@transaction.atomic
def _claim(cycle_run_id: int, now: datetime) -> models.CycleRun | None:
    run = (
        models.CycleRun.objects.select_for_update(skip_locked=True)
        .filter(_waiting(now), pk=cycle_run_id)
        .first()
    )
    if run is not None:
        run.status, run.advanced_at = CycleStatus.RUNNING, now
        run.save(update_fields=["status", "advanced_at"])
    return run


def _run_day(run: models.CycleRun, day: date, now: datetime) -> None:
    firm = people.get_firm(run.firm_id)
    figures: Counter[str] = Counter(run.figures)
    if firm.price_source == PriceSourceKind.SIMULATED:
        _report(run, f"{day:%d %b}: prices", 0)
        report = _simulate_prices(run, day, now)
        figures += Counter(prices=report)
    figures += Counter(actions=apply_actions(firm_id=run.firm_id, on_date=day))
    _report(run, f"{day:%d %b}: looking at accounts", 1)
    figures += Counter(
        {
            f"checks_{status.lower()}": count
            for status, count in find_due_checks(
                firm_id=run.firm_id, price_date=day, now=now, on_shard=partial(_show_life, run)
            ).items()
        }
    )
    _report(run, f"{day:%d %b}: writing proposals", 2)
    answers = propose(
        firm_id=run.firm_id, price_date=day, now=now, on_shard=partial(_show_life, run)
    )
    figures += Counter({f"answers_{status.lower()}": n for status, n in answers.items()})
    check_build()  # else the day may seem done because nothing of it was ours to do
    run.figures = dict(figures)
    run.price_dates = run.price_dates[1:]
    _report(run, f"{day:%d %b}: done", 0)


def _show_life(run: models.CycleRun) -> None:
    """Say that the run advances, so that nobody takes it over."""
    models.CycleRun.objects.filter(pk=run.pk).update(advanced_at=Now())


def _report(run: models.CycleRun, step: str, steps_done_today: int) -> None:
    run.step = step
    run.done_count = run.total_count - STEPS_PER_DAY * len(run.price_dates) + steps_done_today
    # The database's clock, not the worker's, says when a run last advanced.
    run.advanced_at = Now()
    run.save(update_fields=["step", "done_count", "figures", "price_dates", "advanced_at"])


def _simulate_prices(run: models.CycleRun, day: date, now: datetime) -> int:
    with transaction.atomic():
        advance_simulated_date(firm_id=run.firm_id, simulated_date=day)
        listings = [
            Listing(symbol, code, close)
            for symbol, code, close in market.list_listings(run.firm_id, before=day)
        ]
        quotes = simulate_closes(
            listings=listings, price_date=day, seed=str(run.firm_id), shock=run.market_shock
        )
        report = record_prices(
            firm_id=run.firm_id,
            quotes=quotes,
            source="simulated",
            now=now,
            actor_id=run.requested_by_id,
        )
    return report.recorded


def get_cycle_date(*, firm_id: int, now: datetime) -> date | None:
    """Return the market day a cycle should run on: the newest priced one up to today's, if any."""
    newest = market.get_newest_price_date(firm_id)
    if newest is None:
        return None
    return min(newest, book_queries.get_market_date(people.get_firm(firm_id), now))
