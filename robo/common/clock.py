"""The only place that reads the clock. Call it at the edge (views, tasks, commands) and pass on."""

from datetime import date, datetime

from django.db import connection
from django.utils import timezone


def now() -> datetime:
    """Return the present instant, aware, in UTC."""
    return timezone.now()


def database_now() -> datetime:
    """Return the present instant by the database's clock, which all workers share.

    What is compared with stored instants (leases, limits, hours, cool-downs) is decided by this
    one: a worker whose own clock is off then decides nothing wrong.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        row: tuple[datetime] = cursor.fetchone()
    return row[0]


def today() -> date:
    """Return the present calendar date in UTC."""
    return timezone.now().date()
