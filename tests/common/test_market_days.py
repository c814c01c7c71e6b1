"""Days that are unlike others: clocks that change, early closes, closures nobody planned."""

from datetime import UTC, date, datetime

import pytest

from robo.common.market_calendar import (
    get_last_known_session,
    get_latest_closed_session,
    get_local_date,
    get_session_hours,
    is_session,
    list_sessions,
)

NEW_YORK, LONDON = "XNYS", "XLON"


@pytest.mark.parametrize(
    ("exchange", "day", "opens", "closes"),
    [
        (NEW_YORK, date(2026, 3, 6), (14, 30), (21, 0)),
        (NEW_YORK, date(2026, 3, 9), (13, 30), (20, 0)),  # America is an hour ahead already
        (LONDON, date(2026, 3, 9), (8, 0), (16, 30)),
        (LONDON, date(2026, 3, 30), (7, 0), (15, 30)),
        (LONDON, date(2026, 10, 26), (8, 0), (16, 30)),  # Europe is back already
        (NEW_YORK, date(2026, 10, 30), (13, 30), (20, 0)),
        (NEW_YORK, date(2026, 11, 2), (14, 30), (21, 0)),
        (NEW_YORK, date(2026, 11, 27), (14, 30), (18, 0)),  # the day after Thanksgiving
        (NEW_YORK, date(2026, 12, 24), (14, 30), (18, 0)),
        (NEW_YORK, date(2025, 7, 3), (13, 30), (17, 0)),
    ],
)
def test_sessions_are_at_the_exchanges_own_hours(exchange, day, opens, closes):
    hours = get_session_hours(exchange, day)
    assert [(moment.hour, moment.minute) for moment in hours] == [opens, closes]
    assert all(moment.date() == day and moment.tzinfo is UTC for moment in hours)


@pytest.mark.parametrize(
    "day",
    [
        date(2012, 10, 29),  # a storm
        date(2012, 10, 30),
        date(2018, 12, 5),  # days of mourning
        date(2025, 1, 9),
        date(2026, 11, 26),  # holidays
        date(2026, 12, 25),
        date(2026, 7, 3),
        date(2026, 3, 8),  # Sundays on which clocks change
        date(2026, 11, 1),
    ],
)
def test_a_closed_day_has_no_hours(day):
    assert not is_session(NEW_YORK, day)
    assert get_session_hours(NEW_YORK, day) is None


def test_a_day_beyond_the_calendar_is_closed():
    last = get_last_known_session(NEW_YORK)
    assert last > date(2027, 1, 1)
    beyond = last.replace(year=last.year + 3)
    assert not is_session(NEW_YORK, beyond)
    assert get_session_hours(NEW_YORK, beyond) is None


def test_every_evening_belongs_to_one_day_through_both_changes_of_the_clock():
    """A look after each close, at a fixed hour of the exchange, sees each session once."""
    days = [day for day in list_sessions(NEW_YORK) if day.year == 2026]
    assert len(days) > 245
    for before, day in zip(days, days[1:], strict=False):
        opens, closes = get_session_hours(NEW_YORK, day)
        assert get_latest_closed_session(NEW_YORK, closes) == day
        assert get_latest_closed_session(NEW_YORK, opens) == before
        assert get_local_date(NEW_YORK, opens) == get_local_date(NEW_YORK, closes) == day
    # Half past midnight in London is the day before in New York, in every season.
    for month in (1, 3, 7, 10, 11):
        assert get_local_date(NEW_YORK, datetime(2026, month, 10, 0, 30, tzinfo=UTC)).day == 9
