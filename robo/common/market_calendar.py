"""Sessions of an exchange: which days the market opens, and which day's close is the latest.

A thin door to `exchange_calendars`; a day past the end of what it knows counts as closed.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any

FIRST_DAY, LAST_DAY = "1990-01-01", "2040-12-31"


class UnknownExchange(Exception):
    """No calendar is known under this market code."""


@lru_cache(maxsize=16)
def _calendar(exchange: str) -> Any:
    # Imported here because it takes a second, which most commands need not spend.
    import exchange_calendars

    try:
        return exchange_calendars.get_calendar(exchange, start=FIRST_DAY, end=LAST_DAY)
    except exchange_calendars.errors.InvalidCalendarName as error:
        raise UnknownExchange(f"no market calendar is known for {exchange!r}") from error


@lru_cache(maxsize=16)
def list_sessions(exchange: str) -> Sequence[date]:
    """Return every session of the exchange, in order.

    :raises UnknownExchange: when the code names no calendar.
    """
    return tuple(session.date() for session in _calendar(exchange).sessions)


def is_session(exchange: str, day: date) -> bool:
    """Return whether the exchange opens on that day."""
    sessions = list_sessions(exchange)
    index = bisect_left(sessions, day)
    return index < len(sessions) and sessions[index] == day


def get_session_on_or_before(exchange: str, day: date) -> date:
    """Return the last session that is not after `day`."""
    sessions = list_sessions(exchange)
    return sessions[bisect_right(sessions, day) - 1]


def get_session_on_or_after(exchange: str, day: date) -> date:
    """Return the first session that is not before `day`."""
    sessions = list_sessions(exchange)
    return sessions[bisect_left(sessions, day)]


def list_sessions_after(exchange: str, day: date, count: int) -> Sequence[date]:
    """Return the next `count` sessions after `day`."""
    sessions = list_sessions(exchange)
    first = bisect_right(sessions, day)
    return sessions[first : first + count]


def get_latest_closed_session(exchange: str, now: datetime) -> date:
    """Return the newest session whose closing bell has rung by `now` (aware)."""
    calendar = _calendar(exchange)
    session = get_session_on_or_before(exchange, now.astimezone(calendar.tz).date())
    if calendar.session_close(session.isoformat()) > now:
        session = list_sessions(exchange)[list_sessions(exchange).index(session) - 1]
    return session
