"""The only place that reads the clock. Call it at the edge (views, tasks, commands) and pass on."""

from datetime import date, datetime

from django.utils import timezone


def now() -> datetime:
    """Return the present instant, aware, in UTC."""
    return timezone.now()


def today() -> date:
    """Return the present calendar date in UTC."""
    return timezone.now().date()
