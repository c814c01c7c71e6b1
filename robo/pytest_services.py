"""pytest plugin: starts the suite's own PostgreSQL and Redis before Django reads its settings, and
offers a real Celery worker and a real browser as fixtures. Named in `addopts`, because a conftest
would be read too late.
"""

import base64
import gc
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from robo.localservices import AlreadyRunningError, LocalServices, LocalServicesError, addresses
from robo.processes import Child

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHECKOUT = Path(__file__).resolve().parent.parent
_WORKER_READY_SECONDS = 90
# A test is over before much garbage has gathered.
_GC_THRESHOLDS = (50_000, 20, 50)
_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, Any, Any]:
    """Start the servers and point settings at them, before pytest-django loads settings."""
    asks = early_config.known_args_namespace
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if getattr(asks, "numprocesses", None) and not worker:
        # The workers run the tests, each on servers of its own; we only read the settings.
        point_settings_at(CHECKOUT / ".robo" / "test")
    elif not (asks.help or asks.version):
        try:
            _start_services(early_config, name=f"test{worker}")
        except LocalServicesError as error:
            raise pytest.UsageError(str(error)) from error
    return (yield)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Let the garbage collector leave alone what stays: thousands of tests, and all modules."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def _start_services(config: pytest.Config, *, name: str) -> None:
    services = LocalServices(CHECKOUT / ".robo" / name, fsync=False)
    try:
        services.start()
    except AlreadyRunningError:
        # Another test run in this checkout has them; this one makes its own and removes them.
        folder = Path(tempfile.mkdtemp(prefix="robo-test-"))
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        folder.chmod(0o755)  # PostgreSQL's own user must reach the data when we are root
        services = LocalServices(folder, fsync=False)
        config.add_cleanup(services.stop)
        services.start()
    else:
        config.add_cleanup(services.stop)
    point_settings_at(services.runtime_dir)


def point_settings_at(runtime_dir: Path) -> None:
    """Let the settings of this process, and of those it starts, name the servers of a folder."""
    local = addresses(runtime_dir)
    broker_file = runtime_dir / f"paper_broker_{os.getpid()}.sqlite3"
    for stale in runtime_dir.glob("paper_broker*"):
        stale.unlink()
    os.environ |= {
        "CACHE_URL": local.cache_url,
        "CELERY_BROKER_URL": local.broker_url,
        "DATABASE_URL": local.database_url,
        "DJANGO_DEBUG": "0",
        "DJANGO_SECRET_KEY": secrets.token_urlsafe(50),
        "DJANGO_SETTINGS_MODULE": "robo.settings",
        "EVENKEEL_DEMO": "0",
        "EVENKEEL_HTTPS": "0",
        # Most tests are not about the doors; those that are ask for the second step themselves.
        "EVENKEEL_MFA_REQUIRED": "0",
        "EVENKEEL_RUNTIME_DIR": str(runtime_dir),
        "EVENKEEL_SECRETS_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "EVENKEEL_SERVE_UNCOLLECTED": "1",
        "PAPER_BROKER_PATH": str(broker_file),
        "PAPER_BROKER_URL": "",
    }


@pytest.fixture(scope="session", autouse=True)
def _fast_password_hasher() -> Iterator[None]:
    """Hash with MD5 in tests: Argon2 is slow on purpose, and no test is about its strength."""
    from django.conf import settings
    from django.test import override_settings

    fast = "django.contrib.auth.hashers.MD5PasswordHasher"
    with override_settings(PASSWORD_HASHERS=[fast, *settings.PASSWORD_HASHERS]):
        yield


@pytest.fixture(scope="session", autouse=True)
def _forced_sign_ins_are_fresh() -> Iterator[None]:
    """Let `force_login` leave the same records as somebody who has just given their password."""
    from django.test import Client

    plain = Client.force_login

    def force_login(self: Client, user: Any, backend: str | None = None) -> None:
        plain(self, user, backend)
        now_seconds = time.time()
        session = self.session
        session["account_authentication_methods"] = [{"method": "password", "at": now_seconds}]
        session["account_authentication_methods_user"] = str(user.pk)
        session["doors.since"] = session["doors.seen"] = now_seconds
        session.save()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "force_login", force_login)
        yield


@pytest.fixture(scope="session", autouse=True)
def _tests_may_empty_tables() -> Iterator[None]:
    """Let the clean-up after a transactional test empty the append-only tables as well."""
    from django.db.backends.postgresql.operations import DatabaseOperations

    def sql_flush(_operations: Any, _style: Any, tables: list[str], **_options: Any) -> list[str]:
        return tables

    def flush(_operations: Any, tables: list[str]) -> None:
        empty_tables(tables)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "sql_flush", sql_flush)
        patch.setattr(DatabaseOperations, "execute_sql_flush", flush)
        yield


def empty_tables(tables: Iterable[str]) -> None:
    """Delete every row of these tables; ids go on, so that nothing remembered fits another row.

    Few of many tables hold anything after a test, and a few rows are deleted sooner than a hundred
    empty files are made anew. Triggers that refuse it, as is their purpose, are set aside inside
    this one transaction.
    """
    from django.db import connection, transaction

    asked = " UNION ALL ".join(
        f"SELECT '{table}' WHERE EXISTS (SELECT FROM \"{table}\")"  # noqa: S608
        for table in tables
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(asked)
        filled = [table for (table,) in cursor.fetchall()]
        for table in filled:
            cursor.execute(f'ALTER TABLE "{table}" DISABLE TRIGGER USER')
        for table in filled:
            cursor.execute(f'DELETE FROM "{table}"')  # noqa: S608
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in filled:
            cursor.execute(f'ALTER TABLE "{table}" ENABLE TRIGGER USER')


# --- A real worker -----------------------------------------------------------------------------


class WorkerProcess:
    """A Celery worker as its own process, on the test database and the test broker."""

    def __init__(self, *, database_url: str, log_path: Path) -> None:
        """Name the database it works on and the file it logs to; `start` starts it."""
        self.database_url = database_url
        self.log_path = log_path
        self.child: Child | None = None

    @property
    def pid(self) -> int:
        """Return the process number of the worker's parent process."""
        if self.child is None or self.child.process is None:
            raise RuntimeError("The worker has not been started.")
        return self.child.process.pid

    def start(self, **environment: str) -> None:
        """Start it, with further environment variables, and wait until it takes tasks."""
        argv = [sys.executable, "-m", "celery", "-A", "robo", "worker", "--concurrency", "2"]
        argv += ["--without-gossip", "--without-mingle", "--loglevel", "INFO"]
        self.child = Child(
            name="worker",
            argv=[*argv, "--hostname", f"test-{secrets.token_hex(4)}@%h"],
            env=os.environ
            | {"DATABASE_URL": self.database_url, "REMAP_SIGTERM": "SIGQUIT"}
            | environment,
            log_path=self.log_path,
            cwd=CHECKOUT,
        )
        log_size = self.log_path.stat().st_size if self.log_path.exists() else 0
        self.child.start()
        deadline = time.monotonic() + _WORKER_READY_SECONDS
        while " ready." not in self.log()[log_size:]:
            if not self.child.is_running() or time.monotonic() > deadline:
                reason = self.child.exit_reason()
                raise RuntimeError(f"The worker {reason}: {self.child.log_tail()}")
            time.sleep(0.1)

    def kill9(self) -> None:
        """Kill the worker and its pool, as a lost machine would, and wait until all are gone."""
        group = self.pid
        os.killpg(group, signal.SIGKILL)
        self.stop()
        deadline = time.monotonic() + 10
        while live_processes(group=group) and time.monotonic() < deadline:
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it as an operator would; tasks that do not end in time go back to the queue."""
        if self.child is not None:
            self.child.stop()

    def log(self) -> str:
        """Return everything it has logged."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""


@pytest.fixture
def celery_worker_to_start(transactional_db: None, tmp_path: Path) -> Iterator[WorkerProcess]:
    """Give a worker that is yet to start, on an empty queue; it sees what is committed."""
    import redis
    from django.db import connection

    local = addresses(Path(os.environ["EVENKEEL_RUNTIME_DIR"]))
    with redis.Redis(unix_socket_path=str(local.socket_dir / "redis.sock"), db=0) as queue:
        queue.flushdb()
    database = str(connection.settings_dict["NAME"])
    worker = WorkerProcess(
        database_url=local.database_url.replace("@/robo?", f"@/{database}?"),
        log_path=tmp_path / "worker.log",
    )
    yield worker
    worker.stop()


@pytest.fixture
def celery_worker_process(celery_worker_to_start: WorkerProcess) -> WorkerProcess:
    """Give a running worker on an empty queue; it sees what is committed."""
    celery_worker_to_start.start()
    return celery_worker_to_start


def live_processes(*, group: int) -> list[int]:
    """Return the processes of a group, without those that are dead and only wait for init."""
    listing = subprocess.run(
        ["ps", "-eo", "pid=,pgid=,stat="],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.split() for line in listing.stdout.splitlines()]
    return [int(pid) for pid, pgid, state in rows if int(pgid) == group and state[0] != "Z"]


# --- A real browser ----------------------------------------------------------------------------


def find_chromium() -> str | None:
    """Return the path of a Chromium that runs: the one named in CHROMIUM, or one on PATH."""
    for name in (os.environ.get("CHROMIUM", ""), *_CHROMIUM_NAMES):
        path = shutil.which(name) if name else None
        # A package manager may leave a stub that only says where to find the browser.
        if path and _runs(path):
            return path
    return None


def _runs(path: str) -> bool:
    try:
        asked = subprocess.run([path, "--version"], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


@pytest.fixture(scope="session")
def chromium() -> str:
    """Give the path of Chromium; skip where there is none, but never in CI."""
    path = find_chromium()
    if path is None:
        reason = (
            "no Chromium found: install one (Debian: `apt-get install chromium`) or name it in the"
            " environment variable CHROMIUM"
        )
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(f"CI must run the browser tests, but {reason}")
        pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator["Browser"]:
    """Give one headless browser for the whole session."""
    from django.db import connections
    from playwright.sync_api import sync_playwright

    # Playwright keeps an event loop in this thread, and Django then refuses every query.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    # Inside the loop Django opens connections of its own; one left open on the other side of it
    # would keep the test database from being dropped.
    connections.close_all()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_CHROMIUM_FLAGS)
        yield browser
        browser.close()
        connections.close_all()


@pytest.fixture
def browser_context(browser: "Browser") -> Iterator["BrowserContext"]:
    """Give a fresh profile: no cookies, no storage."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def page(browser_context: "BrowserContext") -> "Page":
    """Give an empty page in a fresh profile."""
    return browser_context.new_page()
