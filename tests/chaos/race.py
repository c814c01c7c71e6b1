"""The race of approvals: two advisors, each with a double click, at once, over HTTP."""

import json
import statistics
import threading
import time
from collections import Counter
from typing import Any

from rebalancer.models import Decision, Order, Proposal
from tests.chaos import kills, proving
from tests.chaos import stage as staging
from tests.chaos.stage import PEOPLE, Stage
from tests.chaos.telling import say

CLICKS = 2
Answer = tuple[int, int, str]


def run_race(stage: Stage, races: int) -> list[str]:
    """Race so many proposals; return a sentence for each that went wrong."""
    pids = [stage.start(name) for name in ("broker", "web")]
    kills.wait_for_web(stage)
    staging.bring_positions(stage)
    found, statuses, times, done = [], Counter[str](), [], 0
    winners: Counter[int] = Counter()
    acknowledged: dict[str, int] = {}
    while done < races:
        # Nothing is sent meanwhile: what an approval leaves are orders that wait.
        if not staging.propose(stage, stage.firm.world.accounts):
            raise RuntimeError("there are not enough accounts for so many races")
        for public_id, content_hash in staging.list_pending(stage)[: races - done]:
            began = time.monotonic()
            answers = _race(stage, public_id, content_hash)
            times.append(time.monotonic() - began)
            statuses.update(str(status) for _person, status, _text in answers)
            found += _judge(public_id, answers)
            for person, status, _text in answers:
                if status == 200:
                    winners[person] += 1
                    acknowledged[public_id] = stage.people[person].pk
            done += 1
        if done < races:
            _trade(stage)
    found += _check_decisions(acknowledged, races)
    _trade(stage)
    figures, faults = proving.prove(stage, acknowledged)
    found += faults
    for pid in pids:
        stage.nursery.kill(pid)
    say(f"races: {races} proposals x {PEOPLE * CLICKS} at once; wrong: {len(found)}")
    say(f"answers by status: {dict(sorted(statuses.items()))}; won by: {dict(winners)}")
    say(f"a race lasts {statistics.median(times):.3f} s in the median, {max(times):.3f} s at most")
    for name, number in figures.items():
        say(f"{name}: {number}")
    return found


def _check_decisions(acknowledged: dict[str, int], races: int) -> list[str]:
    """Return where decisions or orders are not what people were told."""
    found: list[str] = []
    proposals = Proposal.objects.filter(public_id__in=acknowledged)
    trades = sum(row.trades.count() for row in proposals)
    order_count = Order.objects.filter(proposal__in=proposals).count()
    if order_count != trades:
        found.append(f"{order_count} orders of {trades} trades")
    decisions = Decision.objects.filter(proposal__in=proposals)
    found += [
        f"{row.proposal.public_id} was acknowledged to somebody else"
        for row in decisions.select_related("proposal")
        if row.decided_by_id != acknowledged[str(row.proposal.public_id)]
    ]
    if decisions.count() != races:
        found.append(f"{decisions.count()} decisions in {races} races")
    return found


def _race(stage: Stage, public_id: str, content_hash: str) -> list[Answer]:
    barrier = threading.Barrier(PEOPLE * CLICKS)
    answers: list[Answer] = []

    def click(person: int) -> None:
        barrier.wait()
        answers.append((person, *staging.post_approval(stage, person, public_id, content_hash)))

    threads = [
        threading.Thread(target=click, args=(person,))
        for person in range(PEOPLE)
        for _click in range(CLICKS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def _judge(public_id: str, answers: list[Answer]) -> list[str]:
    """Return what is wrong with the answers to one race: one yes, and a 409 with its sentence."""
    yes = [row for row in answers if row[1] == 200]
    found = [] if len(yes) == 1 else [f"{public_id}: {len(yes)} were told yes"]
    for _person, status, text in answers:
        if status == 200:
            continue
        if status != 409 or not _get_sentence(text):
            found.append(f"{public_id}: a loser was answered {status}: {text[:200]}")
    return found


def _get_sentence(text: str) -> Any:
    try:
        return json.loads(text)["errors"][0]["detail"]
    except (ValueError, LookupError, TypeError):
        return ""


def _trade(stage: Stage) -> None:
    """Let one worker do what was approved."""
    pid = stage.start("worker-1")
    deadline = time.monotonic() + kills.DRAIN_SECONDS
    while proving.count_open(stage.firm.pk) and time.monotonic() < deadline:
        time.sleep(0.2)
    stage.nursery.kill(pid)
