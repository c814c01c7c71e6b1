"""Sessions of an exchange: which days the market opens, and which day's close is the latest.

A thin door to `exchange_calendars`; a day past the end of what it knows counts as closed.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

FIRST_DAY, LAST_DAY = "1990-01-01", "2040-12-31"


class UnknownExchange(Exception):
    """No calendar is known under this market code."""


@lru_cache(maxsize=16)
def _calendar(exchange: str) -> Any:
    # Imported here because it takes a second, which most commands need not spend.
    import exchange_calendars

    # Some calendars are known for fewer years than others: the widest span that one gives counts.
    for span in ({"start": FIRST_DAY, "end": LAST_DAY}, {"end": LAST_DAY}, {}):
        try:
            return exchange_calendars.get_calendar(exchange, **span)
        except exchange_calendars.errors.InvalidCalendarName as error:
            raise UnknownExchange(f"no market calendar is known for {exchange!r}") from error
        except ValueError:
            continue
    raise UnknownExchange(f"the market calendar of {exchange!r} covers no day at all")


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


def list_sessions_after(exchange: str, day: date, count: int) -> Sequence[date]:
    """Return the next `count` sessions after `day`."""
    sessions = list_sessions(exchange)
    first = bisect_right(sessions, day)
    return sessions[first : first + count]


@lru_cache(maxsize=1024)
def get_session_hours(exchange: str, day: date) -> tuple[datetime, datetime] | None:
    """Return when the exchange opens and closes on that day, in UTC; None when it does not.

    Early closes count. A day that the calendar does not reach counts as closed.

    :raises UnknownExchange: when the code names no calendar.
    """
    if not is_session(exchange, day):
        return None
    calendar = _calendar(exchange)
    opens, closes = calendar.session_open(day.isoformat()), calendar.session_close(day.isoformat())
    return opens.to_pydatetime().astimezone(UTC), closes.to_pydatetime().astimezone(UTC)


def get_local_date(exchange: str, now: datetime) -> date:
    """Return which day it is at the exchange at `now` (aware)."""
    day: date = now.astimezone(_calendar(exchange).tz).date()
    return day


def get_last_known_session(exchange: str) -> date:
    """Return the last session that the calendar knows; every day after it counts as closed."""
    return list_sessions(exchange)[-1]


def get_latest_closed_session(exchange: str, now: datetime) -> date:
    """Return the newest session whose closing bell has rung by `now` (aware)."""
    calendar = _calendar(exchange)
    session = get_session_on_or_before(exchange, now.astimezone(calendar.tz).date())
    if calendar.session_close(session.isoformat()) > now:
        session = list_sessions(exchange)[list_sessions(exchange).index(session) - 1]
    return session
