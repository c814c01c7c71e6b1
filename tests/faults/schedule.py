"""One schedule: a firm, a broker and a scheduler out of one seed, looked at after every step."""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from unittest.mock import patch

from django.db import transaction

from rebalancer.brokers.port import Abilities
from rebalancer.operations import proposals
from rebalancer.operations.execution import brokers
from robo.common.errors import Conflict, NotAllowed, Refused
from tests.faults import actions, checks, converging
from tests.faults.broker import Rates, SeededBroker
from tests.faults.crashes import Crash, Points
from tests.faults.firm import SimFirm, make_firm
from tests.faults.running import planned_once
from tests.rebalancer.world import NOW

STEPS = 60
ALLOWED = (Refused, Conflict, NotAllowed)


class Violation(AssertionError):
    """Something that must hold did not; the text says after which step."""


@dataclass
class Schedule:
    """All that a step may use."""

    seed: int
    rng: Random
    broker: SeededBroker
    points: Points
    firm: SimFirm
    now: datetime = NOW
    trace: list[str] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)
    # What an earlier look at a page showed, for clicks on stale tabs.
    seen: list[tuple[int, str]] = field(default_factory=list)
    # Slices that were looked at when they closed.
    closed: set[int] = field(default_factory=set)

    def look(self) -> None:
        """Check everything that must hold at any moment."""
        found = checks.find_faults(self)
        if found:
            raise Violation("; ".join(found)[:2000])


def run_schedule(seed: int, *, steps: int = STEPS) -> Counter[str]:
    """Run one schedule to its end; return its figures.

    :raises Violation: with the seed, the step and what did not hold.
    """
    rng = Random(seed)
    # Ids decide who gets an odd share: from the seed too, or nothing could be replayed.
    with patch.object(os, "urandom", lambda size: rng.randbytes(size)), planned_once():
        schedule = _begin(seed, rng)
        with (
            patch.object(brokers, "get_paper_broker", lambda: schedule.broker),
            # A stale proposal ends here instead of being solved again: the engine is no part of it.
            patch.object(proposals, "solve_checks", lambda **_terms: ([], [])),
            schedule.points.installed(),
        ):
            _run(schedule, steps)
    return schedule.figures


def _begin(seed: int, rng: Random) -> Schedule:
    firm = make_firm(rng)
    abilities = Abilities(
        has_unique_ids=rng.random() < 0.8,
        has_limit_orders=rng.random() < 0.7,
        has_blocks=rng.random() < 0.7,
    )
    points = Points(
        rng,
        crash=rng.choice((0, 0.01, 0.03)),
        query_crash=rng.choice((0, 0.001, 0.003)),
        meddle=rng.choice((0, 0.02, 0.06)),
    )
    broker = SeededBroker(rng, Rates.draw(rng), abilities)
    broker.today = firm.today
    broker.point = points.hit
    schedule = Schedule(seed, rng, broker, points, firm)
    broker.witness = lambda ticket: checks.witness_sending(schedule, ticket)
    return schedule


def _run(schedule: Schedule, steps: int) -> None:
    rng = schedule.rng
    weights = {action: share * rng.choice((0.3, 1, 3)) for action, share in actions.USUAL.items()}
    names = list(weights)
    meddlers = [action for action in names if action in actions.MEDDLERS]

    def step_in() -> None:
        _act(schedule, rng.choice(meddlers), "  meanwhile ")

    schedule.points.step_in = step_in
    schedule.points.is_off = False
    for number in range(1, steps + 1):
        schedule.now += timedelta(minutes=rng.randint(1, 9))
        [action] = rng.choices(names, weights=list(weights.values()))
        if number <= len(actions.OPENING):
            action = actions.OPENING[number - 1]
        try:
            _act(schedule, action, f"{number}. ")
            schedule.points.is_off = True
            if schedule.points.is_dirty:
                schedule.look()
                schedule.points.is_dirty = False
        except Exception as error:
            raise _describe(schedule, number, error) from error
        schedule.points.is_off = False
        schedule.figures["steps"] += 1
    schedule.points.is_off = schedule.broker.is_off = True
    try:
        converging.converge(schedule)
    except Exception as error:
        raise _describe(schedule, steps + 1, error) from error
    _count(schedule)


def _act(schedule: Schedule, action: Callable[[Schedule], None], prefix: str) -> None:
    """Take a step; a refusal is an answer, a crash is a process that died."""
    name = action.__name__
    try:
        action(schedule)
    except ALLOWED as error:
        name += f" (refused: {str(error)[:60]})"
        schedule.figures["refusals"] += 1
    except Crash:
        name += " (crashed)"
        # Whatever it held, and whatever it had read, is gone with the process.
        assert not transaction.get_connection().in_atomic_block
        was_off, schedule.points.is_off = schedule.points.is_off, True
        schedule.firm.world.firm.refresh_from_db()
        schedule.broker.today = schedule.firm.today
        schedule.points.is_off = was_off
    schedule.trace.append(prefix + name)


def _describe(schedule: Schedule, number: int, error: Exception) -> Violation:
    steps = "\n".join(schedule.trace[-12:])
    return Violation(
        f"seed {schedule.seed}, step {number}: {type(error).__name__}: {error}\n{steps}\n"
        f"Again: python -m tests.faults --seed {schedule.seed} --seeds 1"
    )


def _count(schedule: Schedule) -> None:
    schedule.figures.update(
        schedules=1,
        crashes=schedule.points.crash_count,
        meddlings=schedule.points.meddle_count,
        broker_orders=len(schedule.broker.orders),
        odd_orders=len(schedule.broker.odd),
    )
