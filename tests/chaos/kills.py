"""Processes are killed at random moments and at named points while a firm trades."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.chaos import proving
from tests.chaos import stage as staging
from tests.chaos.points import POINTS
from tests.chaos.stage import Stage

CAST = ("broker", "web", "celery", "worker-1", "worker-2", "worker-3", "beat-1", "beat-2")
# Who is killed when nobody has died by himself, and how often compared with the others.
VICTIMS = {
    "worker-1": 5, "worker-2": 5, "worker-3": 5, "celery": 3, "broker": 4, "web": 3,
    "beat-1": 1, "beat-2": 1,
}  # fmt: skip
POINT_SHARE = 0.7
# A worker that has not come to its point by then is killed where it is.
POINT_SECONDS = 6.0
DRAIN_SECONDS = 120


@dataclass
class Run:
    """The state of one run."""

    stage: Stage
    alive: dict[str, int] = field(default_factory=dict)
    # What is to kill a worker, and since when it has been on its way there.
    aims: dict[str, tuple[str, float]] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    point_kills: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    acknowledged: dict[str, int] = field(default_factory=dict)
    drops: int = 0
    flushes: int = 0
    strange: list[str] = field(default_factory=list)

    def start(self, name: str) -> None:
        """Start a program; a worker often with a point at which it is to die."""
        stage, rng = self.stage, self.stage.rng
        self.aims.pop(name, None)
        if name.startswith("worker") and rng.random() < POINT_SHARE:
            rarest = min(self.point_kills[point] for point in POINTS)
            aimed = {point for point, _since in self.aims.values()}
            choice = [p for p in POINTS if self.point_kills[p] == rarest and p not in aimed]
            point = rng.choice(choice or list(POINTS))
            self.aims[name] = point, time.monotonic()
            self.alive[name] = stage.nursery.start(
                name, "worker", url=stage.broker_url, point=point, hits=rng.choice((1, 1, 2, 3))
            )
        else:
            self.alive[name] = stage.start(name)

    def kill(self, name: str) -> None:
        """Kill a program and start it again; if it had died by itself, say why."""
        was_alive = self.stage.nursery.kill(self.alive[name])
        aim = self.aims.get(name)
        if was_alive:
            self.kills[f"{name.split('-')[0]}, at random"] += 1
        elif aim:
            self.kills["worker, at a named point"] += 1
            self.point_kills[aim[0]] += 1
        else:
            self.strange.append(f"{name} ended by itself")
        self.start(name)

    def collect(self) -> None:
        """Start again what has died at its point."""
        for name in CAST:
            if not self.stage.nursery.is_alive(self.alive[name]):
                self.kill(name)

    @property
    def kill_count(self) -> int:
        """Return how many processes were killed."""
        return sum(self.kills.values())


def run_kills(stage: Stage, *, kills: int, drops: int, flushes: int) -> tuple[Run, list[str]]:
    """Kill until there were enough of everything, let it come to rest, and prove it."""
    run = Run(stage)
    for name in CAST:
        run.start(name)
    wait_for_web(stage)
    staging.bring_positions(stage)
    waves = 0
    with ThreadPoolExecutor(4) as people:
        while run.kill_count < kills or run.drops < drops or run.flushes < flushes:
            waves += work(run, people, waves)
            time.sleep(stage.rng.uniform(0.0, 0.25))
            run.collect()
            disturb(run, kills=kills, drops=drops, flushes=flushes)
    seconds = come_to_rest(run)
    figures, found = proving.prove(stage, run.acknowledged)
    figures |= {"seconds to rest": round(seconds)}
    report(run, figures)
    found += run.strange
    return run, found


def wait_for_web(stage: Stage) -> None:
    """Wait until the web server answers."""
    deadline = time.monotonic() + 60
    while not staging.is_web_up(stage):
        if time.monotonic() > deadline:
            raise RuntimeError((stage.nursery.logs_dir / "web.log").read_text()[-3000:])
        time.sleep(0.1)


def work(run: Run, people: ThreadPoolExecutor, waves: int) -> int:
    """Let some accounts have proposals, and people approve what waits; return 1 for a new wave."""
    stage, rng = run.stage, run.stage.rng
    accounts = stage.firm.world.accounts
    is_new = 0
    if rng.random() < 0.03 and not proving.count_open(stage.firm.pk):
        staging.next_day(stage)
    if rng.random() < 0.7:
        staging.propose(stage, rng.sample(accounts, min(len(accounts), rng.randint(1, 4))))
        is_new = 1
    pending = staging.list_pending(stage)
    shown = rng.sample(pending, min(len(pending), 4))
    clicks = [(rng.randrange(2), *row) for row in shown for _click in range(rng.choice((1, 1, 2)))]
    futures = {people.submit(staging.post_approval, stage, *click): click for click in clicks}
    for future, (person, public_id, _hash) in futures.items():
        status, text = future.result()
        run.answers[str(status)] += 1
        if status == 200:
            run.acknowledged[public_id] = stage.people[person].pk
        elif status not in (0, 409, 503):
            run.strange.append(f"an approval was answered {status}: {text[:200]}")
    return is_new


def disturb(run: Run, *, kills: int, drops: int, flushes: int) -> None:
    """Kill somebody, drop database connections, or empty Redis."""
    rng = run.stage.rng
    for name, (_point, since) in list(run.aims.items()):
        if time.monotonic() - since > POINT_SECONDS:
            run.kill(name)
    if rng.random() < 0.5:
        names = list(VICTIMS)
        [victim] = rng.choices(names, weights=list(VICTIMS.values()))
        # Who is on his way to a point is left alone for a while.
        if victim not in run.aims and run.kill_count < kills:
            run.kill(victim)
    if run.drops < drops and rng.random() < 0.5:
        run.drops += drop_connections(run.stage, share=0.2)
    if run.flushes < flushes and rng.random() < max(0.05, flushes / max(kills, 1)):
        flush_redis()
        run.flushes += 1


def drop_connections(stage: Stage, *, share: float) -> int:
    """Terminate some of the programs' connections to the database; return how many."""
    with psycopg.connect(stage.admin_url, autocommit=True) as admin:
        rows = admin.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND usename IN ('robo_app', 'robo_worker') AND pid <> pg_backend_pid()"
        ).fetchall()
        chosen = [pid for (pid,) in rows if stage.rng.random() < share]
        for pid in chosen:
            admin.execute("SELECT pg_terminate_backend(%s)", [pid])
    return len(chosen)


def flush_redis() -> None:
    """Empty Redis: queues, locks, counters, everything."""
    import os

    import redis

    path = os.environ["CACHE_URL"].removeprefix("unix://").split("?")[0]
    with redis.Redis(unix_socket_path=path) as server:
        server.flushall()


def come_to_rest(run: Run) -> float:
    """Let whole processes work until nothing is open; return after how many seconds it was so."""
    stage = run.stage
    for name in CAST:
        if name in run.aims or not stage.nursery.is_alive(run.alive[name]):
            stage.nursery.kill(run.alive[name])
            run.aims.pop(name, None)
            run.alive[name] = stage.start(name)
    began = time.monotonic()
    while proving.count_open(stage.firm.pk) and time.monotonic() - began < DRAIN_SECONDS:
        time.sleep(0.2)
    seconds = time.monotonic() - began
    for name in CAST:
        if name != "broker":
            stage.nursery.kill(run.alive.pop(name))
    return seconds


def report(run: Run, figures: dict[str, Any]) -> None:
    """Print the table."""
    from tests.chaos.telling import say

    say(f"SIGKILLs: {run.kill_count}")
    for name, count in sorted(run.kills.items()):
        say(f"  {name}: {count}")
    for name, count in sorted(run.point_kills.items()):
        say(f"    {name}: {count}")
    say(f"database connections dropped: {run.drops}; Redis emptied: {run.flushes}")
    say(f"approvals over HTTP by status (0: no answer): {dict(sorted(run.answers.items()))}")
    for name, number in figures.items():
        say(f"{name}: {number}")
