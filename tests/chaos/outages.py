"""Redis emptied, a database that is read only, restarts or crashes, and clocks that lie."""

import signal
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from unittest.mock import patch

import psycopg
from django.db import connection

from rebalancer.models import Proposal
from robo.common import clock
from tests.chaos import kills, proving
from tests.chaos import stage as staging
from tests.chaos.stage import Stage
from tests.chaos.telling import say

WORKERS = ("worker-1", "worker-2")
DRAINS = 5
REFUSED = (0, 503)


@contextmanager
def running(stage: Stage, *names: str) -> Iterator[dict[str, int]]:
    """Run the broker, the web server and these for a while."""
    pids = {name: stage.start(name) for name in ("broker", "web", *names)}
    try:
        kills.wait_for_web(stage)
        staging.bring_positions(stage)
        yield pids
    finally:
        for pid in pids.values():
            stage.nursery.kill(pid)


def approve_all(stage: Stage, acknowledged: dict[str, int]) -> Counter[int]:
    """Approve whatever waits, over HTTP; return the answers by status."""
    answers: Counter[int] = Counter()
    for public_id, content_hash in staging.list_pending(stage):
        status, _text = staging.post_approval(stage, 0, public_id, content_hash)
        answers[status] += 1
        if status == 200:
            acknowledged[public_id] = stage.people[0].pk
    return answers


def wait_for_rest(stage: Stage) -> float:
    """Return after how many seconds nothing was open any more."""
    began = time.monotonic()
    while proving.count_open(stage.firm.pk) and time.monotonic() - began < kills.DRAIN_SECONDS:
        time.sleep(0.1)
    return time.monotonic() - began


# --- F-07: how long until everything is sent and booked -------------------------------------------


def run_drains(stage: Stage) -> list[str]:
    """Empty Redis behind 50 approved proposals, kill a worker in the middle, and take the time."""
    acknowledged: dict[str, int] = {}
    times: dict[str, list[float]] = {"Redis emptied": [], "a worker killed": []}
    with running(stage, "celery", "beat-1") as pids:
        for number in range(2 * DRAINS):
            what = list(times)[number % 2]
            stage.nursery.kill(pids["celery"])
            staging.next_day(stage)
            staging.propose(stage, stage.firm.world.accounts)
            approve_all(stage, acknowledged)
            if what == "Redis emptied":
                kills.flush_redis()
            else:
                point = {"point": "after the call, before its answer is on record", "hits": 1}
                pid = stage.nursery.start("worker-1", "worker", url=stage.broker_url, **point)
                while stage.nursery.is_alive(pid):
                    time.sleep(0.02)
                stage.nursery.kill(pid)
            began = time.monotonic()
            pids["celery"] = stage.start("celery")
            wait_for_rest(stage)
            times[what].append(time.monotonic() - began)
    for what, seconds in times.items():
        say(f"{what}: at rest after {statistics.median(seconds):.1f} s, at most {max(seconds):.1f}")
    figures, found = proving.prove(stage, acknowledged)
    say(str(figures))
    return found


# --- F-05: the database may only be read, or restarts ---------------------------------------------


def run_database(stage: Stage) -> list[str]:
    """Let the database be read only, then restart it at once, in the middle of a wave."""
    acknowledged: dict[str, int] = {}
    found: list[str] = []
    with running(stage, *WORKERS):
        staging.propose(stage, stage.firm.world.accounts)
        _set_read_only(stage, is_on=True)
        time.sleep(1)
        taken = proving.count_taken(stage)
        answers = approve_all(stage, acknowledged)
        say(f"read only: approvals answered {dict(answers)}")
        found += [f"read only: an approval was answered {s}" for s in answers if s not in REFUSED]
        time.sleep(1)
        if proving.count_taken(stage) != taken:
            found.append("something was sent while nothing could be recorded")
        _set_read_only(stage, is_on=False)
        answers = approve_all(stage, acknowledged)
        say(f"writable again: {dict(answers)}")
        _restart(stage, signal.SIGQUIT)
        staging.propose(stage, stage.firm.world.accounts)
        answers = approve_all(stage, acknowledged)
        say(f"after an immediate restart: {dict(answers)}")
        say(f"at rest after {wait_for_rest(stage):.1f} s")
    figures, wrong = proving.prove(stage, acknowledged)
    say(str(figures))
    return found + wrong


def _set_read_only(stage: Stage, *, is_on: bool) -> None:
    # For the programs alone: we go on writing, as the operator who repairs it would.
    with psycopg.connect(stage.admin_url, autocommit=True) as admin:
        for role in ("robo_app", "robo_worker"):
            admin.execute(
                f"ALTER ROLE {role} SET default_transaction_read_only = {'on' if is_on else 'off'}"
            )
    kills.drop_connections(stage, share=1)


def _restart(stage: Stage, how: signal.Signals) -> None:
    server = stage.get_server("postgres")
    assert server.process is not None
    assert stage.services is not None
    connection.close()
    server.process.send_signal(how)
    server.process.wait()
    stage.services.restart(server)


# --- F-06: the server crashes while fills stream in -----------------------------------------------


def run_crashes(stage: Stage, crashes: int) -> list[str]:
    """SIGKILL the database server, with fsync on, while people approve and fills come in."""
    acknowledged: dict[str, int] = {}
    answers: Counter[int] = Counter()
    with running(stage, *WORKERS):
        for _number in range(crashes):
            some = stage.rng.sample(stage.firm.world.accounts, 6)
            staging.propose(stage, some)
            answers += approve_all(stage, acknowledged)
            time.sleep(stage.rng.uniform(0.0, 1.0))
            _restart(stage, signal.SIGKILL)
        say(f"{crashes} crashes of the server; approvals answered {dict(answers)}")
        say(f"at rest after {wait_for_rest(stage):.1f} s")
    figures, found = proving.prove(stage, acknowledged)
    say(str(figures))
    return found


# --- F-11: clocks that are two hours off ----------------------------------------------------------


def run_skew(stage: Stage) -> list[str]:
    """Shift the clocks of the web server and of the workers: nothing may lapse early or late."""
    found: list[str] = []
    for hours in (2, -2):
        staging.propose(stage, stage.firm.world.accounts)
        pending = list(Proposal.objects.filter(firm_id=stage.firm.pk, status="PENDING"))
        now = clock.database_now()
        half = len(pending) // 2
        for row in pending:
            is_over = row in pending[:half]
            row.created_at = now - timedelta(hours=5)
            row.expires_at = now + timedelta(hours=-1 if is_over else 1)
        Proposal.objects.bulk_update(pending, ["created_at", "expires_at"])
        over, due = pending[:half], pending[half:]
        found += _ask_web(stage, over[:3], hours, status=409)
        pid = stage.nursery.start("worker-1", "worker", url=stage.broker_url, shift_hours=hours)
        time.sleep(4)
        stage.nursery.kill(pid)
        early = Proposal.objects.filter(pk__in=[row.pk for row in due], status="EXPIRED").count()
        late = Proposal.objects.filter(pk__in=[row.pk for row in over], status="PENDING").count()
        say(f"clocks {hours:+} h: {early} of {len(due)} early, {late} of {len(over)} late")
        found += [f"{early} lapsed early, {late} late, {hours:+} h"] if early or late else []
        found += _ask_web(stage, due[:3], hours, status=200)
    return found


def _ask_web(stage: Stage, rows: list[Proposal], hours: int, *, status: int) -> list[str]:
    """Return approvals that a web server with a wrong clock answered otherwise."""
    real = clock.now
    pid = stage.nursery.start(
        "web", "web", url=stage.broker_url, bind=f"127.0.0.1:{stage.port}", shift_hours=hours
    )
    found = []
    try:
        kills.wait_for_web(stage)
        # Signed in by the same clock: how long a sign-in lasts is another matter.
        with patch.object(clock, "now", lambda: real() + timedelta(hours=hours)):
            cookie = staging.sign_in(stage.people[0])
        stage.cookies[0] = cookie
        for row in rows:
            got, text = staging.post_approval(stage, 0, str(row.public_id), row.content_hash)
            if got != status:
                found.append(f"{hours:+} h: answered {got}, not {status}: {text[:160]}")
    finally:
        stage.nursery.kill(pid)
    return found
