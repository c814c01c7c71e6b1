"""Count attempts at the doors and make guessers wait, in the database that signing in needs anyway.

Nothing is open while a cache is away, and a cache that was emptied forgives nobody. The rows name
nobody: their keys are hashes.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from accounts.domain.doors import (
    FREE_ATTEMPTS,
    MEMORY_SECONDS,
    WAIT_SECONDS_MAX,
    measure_wait_seconds,
)
from accounts.models import Attempt


@dataclass(frozen=True, slots=True)
class Wait:
    """What an attempt must do first; `is_news` marks the first one refused by this wait."""

    seconds: int = 0
    is_news: bool = False


FREE = Wait()


@transaction.atomic
def register_attempt(
    *,
    key: str,
    now: datetime,
    free: int = FREE_ATTEMPTS,
    wait_seconds_max: int = WAIT_SECONDS_MAX,
) -> Wait:
    """Count an attempt; return how many seconds it must wait, 0 when it may go ahead.

    Counted before anything is compared, so that parallel guesses cannot slip through.
    """
    row, _ = Attempt.objects.select_for_update().get_or_create(
        key=key, defaults={"counted_at": now}
    )
    if row.waits_until is not None and now < row.waits_until:
        is_news, row.is_told = not row.is_told, True
        if is_news:
            row.save(update_fields=["is_told"])
        seconds = (row.waits_until - now).total_seconds()
        return Wait(max(int(seconds) + 1, 1), is_news)
    if now - row.counted_at >= timedelta(seconds=MEMORY_SECONDS):
        row.count, row.counted_at = 0, now
    row.count += 1
    wait_seconds = measure_wait_seconds(row.count, free=free, seconds_max=wait_seconds_max)
    # The one that puts up the wait goes ahead; whoever comes next finds it standing.
    row.waits_until = now + timedelta(seconds=wait_seconds) if wait_seconds else None
    row.is_told = False
    row.save()
    return FREE


def forget_attempts(*, key: str) -> None:
    """Start counting anew, after a success."""
    Attempt.objects.filter(key=key).delete()


def purge_attempts(*, now: datetime) -> int:
    """Remove counts that no longer matter; return how many."""
    old = Attempt.objects.filter(counted_at__lt=now - timedelta(seconds=MEMORY_SECONDS))
    waiting_over = old.exclude(waits_until__gte=now)
    return waiting_over.delete()[0]
