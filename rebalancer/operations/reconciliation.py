"""A firm's books and orders compared with what its broker says: differences become breaks.

Nothing here edits books. What the broker executed and we have not heard of goes on record by the
normal road; what then still differs, and is not on its way, freezes the security in its account
until a person has settled it, or until both sides agree again by themselves.
"""

import logging
from collections.abc import Mapping
from datetime import date, datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Now

from accounts.operations.audit import record_audit_entry
from accounts.operations.installation import note_reconciled
from accounts.queries import people
from portfolios.queries.books import get_today
from rebalancer import models
from rebalancer.brokers.port import BrokerUnavailable
from rebalancer.domain.kinds import BrokerKind
from rebalancer.domain.reconciliation import RunStatus
from rebalancer.operations.comparing import Work, compare_orders, compare_positions
from rebalancer.operations.connections import get_broker_kind
from rebalancer.operations.custody import tell_paper_broker
from rebalancer.operations.execution.allocation import allocate_blocks
from rebalancer.operations.execution.brokers import reach_broker
from rebalancer.operations.execution.facts import is_over
from rebalancer.operations.orders import finish_orders
from robo.common.errors import Conflict

logger = logging.getLogger(__name__)

# A run that has not ended by then never will: whoever ran it is gone.
RUN_MINUTES_MAX = 30
# A broker that is silent is left in peace for so long, and the journal with it.
RETRY_MINUTES = 15
UNANSWERED = "The broker did not answer, so nothing was compared."


# --- When ----------------------------------------------------------------------------------------


@transaction.atomic
def ask_reconciliation(*, firm_id: int, user_id: int, now: datetime) -> models.ReconciliationRun:
    """Ask for a comparison with the broker, which a worker makes.

    :raises Conflict: when one is under way.
    """
    _give_up_stuck(firm_id)
    run = _create(firm_id, RunStatus.ASKED, now, user_id)
    record_audit_entry(
        firm_id=firm_id,
        actor_id=user_id,
        action="rebalancer.reconciliation.asked",
        object_id=str(run.public_id),
        summary="Asked for a comparison with the broker's books",
    )
    return run


def reconcile_due(*, now: datetime) -> int:
    """Compare what somebody asked for, and each firm once its market day is over; return how many.

    A day is compared once, and again, after a while, only where an attempt came to nothing.
    """
    done = 0
    asked = models.ReconciliationRun.objects.filter(status=RunStatus.ASKED).order_by("pk")
    for firm_id in list(asked.values_list("firm_id", flat=True)):
        done += _try(firm_id, now)
    for firm in people.list_firms():
        today = get_today(firm, now)
        # A simulated day has no bell: it is compared as it begins, with all of the one before it.
        is_ripe = firm.simulated_date is not None or is_over(firm, today, now)
        if is_ripe and not _is_settled(firm.pk, today):
            done += _try(firm.pk, now)
    return done


def _is_settled(firm_id: int, day: date) -> bool:
    """Return whether a day was compared, or an attempt at it failed only a moment ago."""
    just_failed = Q(
        status=RunStatus.FAILED, finished_at__gt=Now() - timedelta(minutes=RETRY_MINUTES)
    )
    runs = models.ReconciliationRun.objects.filter(firm_id=firm_id, day=day)
    return runs.filter(Q(status=RunStatus.DONE) | just_failed).exists()


def _try(firm_id: int, now: datetime) -> int:
    try:
        return int(reconcile(firm_id=firm_id, now=now).status == RunStatus.DONE)
    except Conflict:
        return 0
    except Exception:
        # One firm's trouble is not another's; it is on record in its run.
        logger.exception("the books of firm %s could not be compared", firm_id)
        return 0


def reconcile(*, firm_id: int, now: datetime) -> models.ReconciliationRun:
    """Compare a firm's books and orders with its broker's, and put every difference on record.

    A broker that does not answer leaves a failed run, and nothing opened or closed by it.

    :raises Conflict: when another run of the firm is under way.
    """
    run = _start(firm_id, now)
    kind = BrokerKind(run.broker)
    try:
        work = Work(firm_id, kind, reach_broker(kind, firm_id), now)
        compare_orders(work)
        allocate_blocks(now=now)
        finish_orders(now=now)
        tell_paper_broker(firm_id=firm_id)
        compare_positions(work)
    except BrokerUnavailable:
        logger.exception("%s of firm %s cannot be compared with", kind, firm_id)
        return _end(run, RunStatus.FAILED, {}, UNANSWERED)
    except Exception:
        _end(run, RunStatus.FAILED, {}, "It broke off, and was not finished.")
        raise
    return _end(run, RunStatus.DONE, work.tally.as_figures(), "")


@transaction.atomic(durable=True)
def _start(firm_id: int, now: datetime) -> models.ReconciliationRun:
    _give_up_stuck(firm_id)
    run = (
        models.ReconciliationRun.objects.select_for_update()
        .filter(firm_id=firm_id, status=RunStatus.ASKED)
        .first()
    )
    if run is None:
        run = _create(firm_id, RunStatus.RUNNING, now, None)
    run.status, run.started_at = RunStatus.RUNNING, Now()
    run.broker = get_broker_kind(firm_id)
    run.save(update_fields=["status", "started_at", "broker"])
    run.refresh_from_db()
    return run


def _create(
    firm_id: int, status: RunStatus, now: datetime, user_id: int | None
) -> models.ReconciliationRun:
    try:
        with transaction.atomic():
            return models.ReconciliationRun.objects.create(
                firm_id=firm_id,
                broker=get_broker_kind(firm_id),
                day=get_today(people.get_firm(firm_id), now),
                status=status,
                asked_by_id=user_id,
            )
    except IntegrityError as error:
        raise Conflict("The books are being compared with the broker's already.") from error


def _give_up_stuck(firm_id: int) -> None:
    models.ReconciliationRun.objects.filter(
        firm_id=firm_id,
        status=RunStatus.RUNNING,
        started_at__lt=Now() - timedelta(minutes=RUN_MINUTES_MAX),
    ).update(status=RunStatus.FAILED, finished_at=Now(), error="It was cut short.")


@transaction.atomic(durable=True)
def _end(
    run: models.ReconciliationRun, status: RunStatus, figures: Mapping[str, int], error: str
) -> models.ReconciliationRun:
    run.status, run.figures, run.error, run.finished_at = status, dict(figures), error, Now()
    run.save(update_fields=["status", "figures", "error", "finished_at"])
    run.refresh_from_db()
    if status is RunStatus.DONE and run.started_at is not None:
        note_reconciled(firm_id=run.firm_id, started_at=run.started_at)
    words = "Compared" if status is RunStatus.DONE else "Could not compare"
    record_audit_entry(
        firm_id=run.firm_id,
        actor_id=run.asked_by_id or people.get_service_user(run.firm_id).pk,
        action=f"rebalancer.reconciliation.{status.lower()}",
        object_id=str(run.public_id),
        summary=f"{words} the books with the broker's",
        detail={"day": run.day.isoformat(), "broker": run.broker, **figures, "error": error},
    )
    return run
