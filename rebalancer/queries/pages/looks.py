"""When a policy will look next: the schedule's own rule, asked of the sessions to come."""

from collections.abc import Sequence
from datetime import date

from rebalancer.domain.policy import PolicyTerms
from rebalancer.domain.schedule import find_latest_look
from rebalancer.queries.pages.words import get_look_schedule
from robo.common.market_calendar import list_sessions, list_sessions_after

# Three annual looks, and a little more.
SESSIONS_AHEAD = 800


def list_next_looks(
    *, terms: PolicyTerms, exchange: str, after: date, count: int
) -> Sequence[date]:
    """Return the next `count` sessions after `after` on which a policy looks.

    Asks the rule that decides what is due, day by day, so that a page can never promise another
    date than the one that is kept. A line that seldom comes gives fewer.
    """
    sessions = list_sessions(exchange)
    schedule = get_look_schedule(terms)
    looks: list[date] = []
    for session in list_sessions_after(exchange, after, SESSIONS_AHEAD):
        look = find_latest_look(
            schedule=schedule, cron_line=terms.cron_line, sessions=sessions, market_date=session
        )
        if look is not None and look.session == session:
            looks.append(session)
            if len(looks) == count:
                break
    return looks
