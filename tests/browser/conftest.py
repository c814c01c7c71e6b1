"""One demo firm for all browser tests: seeded once, served live, with a real worker and beat.

Its rows are committed, for the worker is another process; they are gone when the last of these
tests is done.
"""

import os
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from pytest_django.live_server_helper import LiveServer

from rebalancer.management import demo_firm
from robo.localservices import addresses
from robo.processes import Child
from robo.pytest_services import CHECKOUT, WorkerProcess
from tests.browser.visitor import Visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PASSWORD = "as-even-as-a-keel"
# A shorter past than the demo's own: long enough for done, open and blocked accounts.
HISTORY_SESSIONS, LIVE_SESSIONS = 40, 6
WIDTH, HEIGHT = 1280, 900


@pytest.fixture(scope="package")
def seeded_firm(
    django_db_setup: None, django_db_blocker: Any, browser: "Browser"
) -> Iterator[None]:
    """Give a database that holds the demo firm and nothing else; empty it afterwards."""
    shorter = pytest.MonkeyPatch()
    shorter.setattr(demo_firm, "HISTORY_SESSIONS", HISTORY_SESSIONS)
    shorter.setattr(demo_firm, "LIVE_SESSIONS", LIVE_SESSIONS)
    with django_db_blocker.unblock(), override_settings(DEMO=True, DEMO_PASSWORD=PASSWORD):
        # pytest-django makes the test database only if a test of the session is marked django_db.
        assert str(connection.settings_dict["NAME"]).startswith("test_")
        # Also sets the ids back, on which the dice of the simulated market depend.
        call_command("flush", interactive=False, verbosity=0)
        call_command("seed_demo", stdout=StringIO())
        shorter.undo()
        yield
        call_command("flush", interactive=False, verbosity=0)


@pytest.fixture(scope="package")
def site_url(seeded_firm: None) -> Iterator[str]:
    """Give the address of a live server with the demo firm."""
    server = LiveServer("localhost")
    yield server.url
    server.stop()


@pytest.fixture(scope="module")
def worker_and_beat(seeded_firm: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let a real worker and a real beat work for the demo firm."""
    logs = tmp_path_factory.mktemp("browser")
    local = addresses(Path(os.environ["EVENKEEL_RUNTIME_DIR"]))
    with redis.Redis(unix_socket_path=str(local.socket_dir / "redis.sock"), db=0) as queue:
        queue.flushdb()
    database = str(connection.settings_dict["NAME"])
    database_url = local.database_url.replace("@/robo?", f"@/{database}?")
    worker = WorkerProcess(database_url=database_url, log_path=logs / "worker.log")
    worker.start(EVENKEEL_DEMO="1")
    beat = make_beat(database_url, logs)
    beat.start()
    yield
    beat.stop()
    worker.kill9()  # nothing of what it does is needed any more


def make_beat(database_url: str, logs: Path) -> Child:
    """Return a beat that ticks every second, so that nobody waits long for a fill."""
    argv = [sys.executable, "-m", "celery", "-A", "robo", "beat", "--pidfile="]
    return Child(
        name="beat",
        argv=[*argv, f"--schedule={logs / 'schedule'}"],
        env=os.environ | {"DATABASE_URL": database_url, "EVENKEEL_TICK_SECONDS": "1"},
        log_path=logs / "beat.log",
        cwd=CHECKOUT,
    )


@pytest.fixture
def visit(site_url: str, browser: "Browser") -> Iterator[Callable[..., Visitor]]:
    """Give a way to sign people in, each in a browser profile of their own.

    Afterwards no page may have raised an error or broken the content security policy.
    """
    visitors: list[Visitor] = []

    def sign_in(email: str, **options: Any) -> Visitor:
        context = browser.new_context(
            base_url=site_url,
            viewport={"width": WIDTH, "height": HEIGHT},
            reduced_motion="reduce",
            **options,
        )
        context.set_default_timeout(15_000)
        visitors.append(Visitor(context))
        visitors[-1].sign_in(email, PASSWORD)
        return visitors[-1]

    yield sign_in
    faults = [fault for visitor in visitors for fault in visitor.faults]
    for visitor in visitors:
        visitor.context.close()
    assert faults == []
