"""When a policy looks: the newest session that its schedule names, and the key of that period.

An account is looked at once per key. After downtime only the newest missed look is made up: older
ones would see the same prices.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from cronsim import CronSim, CronSimError

from rebalancer.domain.kinds import Schedule

MONTHS_IN_PERIOD = {Schedule.MONTHLY: 1, Schedule.QUARTERLY: 3, Schedule.ANNUAL: 12}


class CronLineRefused(Exception):
    """The line is no cron line, or names no day that ever comes."""


@dataclass(frozen=True, slots=True)
class Look:
    """A look that is due: at which session, under which key."""

    session: date
    period_key: str


def check_cron_line(cron_line: str) -> None:
    """Accept a five-field cron line.

    :raises CronLineRefused: naming what is wrong.
    """
    try:
        next(CronSim(cron_line, datetime(2026, 1, 1)))  # noqa: DTZ001 - cron lines are local time
    except CronSimError as error:
        raise CronLineRefused(f"{cron_line!r}: {error}") from error
    except StopIteration:
        raise CronLineRefused(f"{cron_line!r} names no day that ever comes") from None


def find_latest_look(
    *, schedule: Schedule, cron_line: str, sessions: Sequence[date], market_date: date
) -> Look | None:
    """Return the newest look due by the close of `market_date`, or None before the first.

    Monthly, quarterly and annual looks fall on the first session of their period; a cron line's day
    that is no session moves to the next one.
    """
    index = bisect_right(sessions, market_date) - 1
    if index < 0:
        return None
    latest = sessions[index]
    if schedule is Schedule.DAILY:
        return Look(latest, latest.isoformat())
    if schedule is Schedule.CRON:
        return _latest_cron_look(cron_line, sessions, market_date)
    months = MONTHS_IN_PERIOD[schedule]
    first_month = (latest.month - 1) // months * months + 1
    start = date(latest.year, first_month, 1)
    session = sessions[bisect_left(sessions, start)]
    return Look(session, f"{schedule}-{start:%Y-%m}")


def _latest_cron_look(cron_line: str, sessions: Sequence[date], market_date: date) -> Look | None:
    evening = datetime.combine(market_date + timedelta(days=1), time())
    for moment in CronSim(cron_line, evening, reverse=True):
        at = bisect_left(sessions, moment.date())
        if at == len(sessions) or moment.date() < sessions[0]:
            return None
        # A day between sessions is looked at on the next one, which may not have come yet.
        if sessions[at] <= market_date:
            return Look(sessions[at], f"CRON-{sessions[at].isoformat()}")
    return None
