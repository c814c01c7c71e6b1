"""What can be run, by name: each returns a sentence for everything that did not hold."""

from argparse import Namespace
from collections.abc import Callable

from tests.chaos import kills, outages, race
from tests.chaos.stage import Stage, make_firm


def act_kills(stage: Stage, asked: Namespace) -> list[str]:
    """Kill processes while a firm trades."""
    make_firm(stage, asked.accounts)
    _run, found = kills.run_kills(
        stage, kills=asked.kills, drops=asked.drops, flushes=asked.flushes
    )
    return found


def act_race(stage: Stage, asked: Namespace) -> list[str]:
    """Let four clicks at once decide on each proposal."""
    make_firm(stage, min(asked.races, 100))
    return race.run_race(stage, asked.races)


def act_drain(stage: Stage, asked: Namespace) -> list[str]:
    """Take the time until everything is sent and booked."""
    make_firm(stage, max(50, asked.accounts))
    return outages.run_drains(stage)


def act_database(stage: Stage, asked: Namespace) -> list[str]:
    """Let the database be read only, and restart it."""
    make_firm(stage, asked.accounts)
    return outages.run_database(stage)


def act_crash(stage: Stage, asked: Namespace) -> list[str]:
    """Crash the database server."""
    make_firm(stage, asked.accounts)
    return outages.run_crashes(stage, asked.crashes)


def act_skew(stage: Stage, asked: Namespace) -> list[str]:
    """Shift clocks."""
    make_firm(stage, asked.accounts)
    return outages.run_skew(stage)


ACTS: dict[str, Callable[[Stage, Namespace], list[str]]] = {
    "kills": act_kills,
    "race": act_race,
    "drain": act_drain,
    "database": act_database,
    "crash": act_crash,
    "skew": act_skew,
}
