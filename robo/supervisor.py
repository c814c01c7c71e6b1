"""The whole of Evenkeel on one machine: servers, migrations, demo firm, web, worker and beat,
started in order, restarted when one dies, and stopped in the reverse order.
"""

import base64
import contextlib
import http.client
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from robo.localservices import LocalServices, LocalServicesError, addresses, is_running
from robo.processes import Child

CHECKOUT = Path(__file__).resolve().parent.parent
_RESTARTS_MAX = 3
_FIRST_DELAY_SECONDS = 1.0
_STEADY_SECONDS = 120  # a program that ran this long is forgiven its earlier deaths
_READY_SECONDS = 120
_POLL_SECONDS = 0.1
SIGN_IN = "sign in with"  # how `seed_demo` begins its last lines
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DemoError(Exception):
    """The demo cannot run, for the reason given in words meant for a person."""


class _StopRequestedError(Exception):
    """A person asked to stop; raised only where we wait, never in the middle of a step."""


class Demo:
    """One run of the demo."""

    def __init__(
        self, *, runtime_dir: Path, host: str, port: int, say: Callable[[str], None]
    ) -> None:
        """Name the data folder, the web address, and who hears about progress."""
        self.runtime_dir = Path(os.path.abspath(runtime_dir))
        self.host = host
        self.port = port
        self._say = say
        self._started_at = time.monotonic()
        self._stop_requested = False
        self._programs: list[Child] = []
        self._deaths: dict[str, list[float]] = {}

    def run(self, *, once: bool) -> None:
        """Run until a signal; with `once`, until web, worker and beat have answered. DemoError."""
        with self._signals_noted():
            self._check_port()
            services = LocalServices(self.runtime_dir, cancelled=lambda: self._stop_requested)
            try:
                self._serve(services, once=once)
            except _StopRequestedError:
                if once:
                    raise DemoError("Stopped before everything had answered.") from None
            except LocalServicesError as error:
                if not self._stop_requested:
                    raise DemoError(str(error)) from error
            except OSError as error:
                raise DemoError(f"The demo cannot go on: {error}") from error
            finally:
                self._stop_programs()
                services.stop()
        self._progress("Stopped.")

    def _serve(self, services: LocalServices, *, once: bool) -> None:
        self._progress("Starting PostgreSQL and Redis ...")
        services.start()
        self._set_old_logs_aside()
        environment = self._environment(services)
        self._progress("Servers answer. Migrating the database ...")
        self._run_step("migrate", environment, "--no-input", "--verbosity", "0")
        self._progress("Seeding the demo firm (the first time takes longest) ...")
        seeded = self._run_step("seed_demo", environment)
        self._progress("Starting web, worker and beat ...")
        self._programs = self._make_programs(environment)
        for program in self._programs:
            program.start()
        self._wait_until(self._web_answers, services, "the web server")
        if once:
            self._wait_until(lambda: self._worker_answers(environment), services, "the worker")
            self._wait_until(self._beat_ticks, services, "beat")
            self._progress("Web, worker and beat answer.")
        self._progress(f"Evenkeel is ready: {self._address}")
        # The last thing that seeding says is who can sign in.
        self._say("".join(seeded.rpartition(SIGN_IN)[1:]))
        if not once:
            self._say("Ctrl-C stops everything; the data stays. Logs: " + str(self._logs_dir))
            while True:
                self._pause(services)

    # --- What runs ------------------------------------------------------------------------------

    @property
    def _logs_dir(self) -> Path:
        return self.runtime_dir / "logs"

    @property
    def _address(self) -> str:
        shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"http://{_bracketed(shown)}:{self.port}/"

    def _make_programs(self, environment: dict[str, str]) -> list[Child]:
        # A process of its own, like a real broker: what it took it keeps, whoever else dies.
        broker_socket = addresses(self.runtime_dir).socket_dir / "broker.sock"
        broker = [sys.executable, "manage.py", "paper_broker", "--socket", str(broker_socket)]
        environment = environment | {"PAPER_BROKER_URL": f"unix://{broker_socket}"}
        celery = [sys.executable, "-m", "celery", "-A", "robo"]
        memory = Path("/dev/shm")  # noqa: S108  (gunicorn's heartbeat files must not touch a disk)
        heartbeat_dir = memory if os.access(memory, os.W_OK) else self.runtime_dir
        web = [sys.executable, "-m", "gunicorn", "robo.wsgi", "--worker-class", "gthread"]
        web += ["--workers", "2", "--threads", "4", "--no-control-socket"]
        web += ["--bind", f"{_bracketed(self.host)}:{self.port}"]
        web += ["--worker-tmp-dir", str(heartbeat_dir), "--graceful-timeout", "10"]
        worker = [*celery, "worker", "--concurrency", "2", "--loglevel", "INFO"]
        worker += ["--without-gossip", "--without-mingle"]
        # No pid file: its number may belong to a stranger after a crash, and our lock is enough.
        beat = [*celery, "beat", "--pidfile=", f"--schedule={self.runtime_dir / 'beat-schedule'}"]
        beat += ["--loglevel", "INFO"]
        # With the remapped signal the worker stops in bounded time and gives its task back.
        worker_role = environment | {"EVENKEEL_DB_ROLE": "worker"}
        remapped = worker_role | {"REMAP_SIGTERM": "SIGQUIT"}
        return [
            self._child("broker", broker, environment),
            self._child("web", web, environment | {"EVENKEEL_DB_ROLE": "web"}),
            self._child("worker", worker, remapped),
            self._child("beat", beat, worker_role),
        ]

    def _child(self, name: str, argv: list[str], environment: dict[str, str]) -> Child:
        log_path = self._logs_dir / f"{name}.log"
        return Child(name=name, argv=argv, env=environment, log_path=log_path, cwd=CHECKOUT)

    def _environment(self, services: LocalServices) -> dict[str, str]:
        """Return the environment of every program; nothing outside may redirect it."""
        local = services.addresses
        kept = {name: value for name, value in os.environ.items() if name != "GUNICORN_CMD_ARGS"}
        hosts = ["localhost", "127.0.0.1", "[::1]", _bracketed(self.host)]
        return {
            "DJANGO_ALLOWED_HOSTS": ",".join(hosts),
            **write_demo_env(self.runtime_dir / "demo.env"),
            **kept,
            "CACHE_URL": local.cache_url,
            "CELERY_BROKER_URL": local.broker_url,
            "DATABASE_URL": local.app_database_url,
            "DATABASE_WORKER_URL": local.worker_database_url,
            "DATABASE_OWNER_URL": local.database_url,
            "EVENKEEL_DB_ROLE": "owner",  # to migrate and seed; web and worker have their own
            "DJANGO_DEBUG": "0",
            "DJANGO_SETTINGS_MODULE": "robo.settings",
            "EVENKEEL_BEHIND_PROXY": "0",
            "EVENKEEL_DEMO": "1",
            "EVENKEEL_HTTPS": "0",
            "EVENKEEL_RUNTIME_DIR": str(self.runtime_dir),
            "EVENKEEL_SERVE_UNCOLLECTED": "1",
            "PAPER_BROKER_URL": "",
            "PAPER_BROKER_PATH": str(self.runtime_dir / "paper_broker.sqlite3"),
            "PYTHONUNBUFFERED": "1",
        }

    def _run_step(self, command: str, environment: dict[str, str], *arguments: str) -> str:
        """Run one management command to its end and return what it printed."""
        argv = [sys.executable, "manage.py", command, *arguments]
        child = self._child(command, argv, environment)
        child.output_path = self._logs_dir / f"{command}.out"
        child.start()
        shown = 0
        try:
            while child.is_running():
                self._raise_if_stop_requested()
                time.sleep(_POLL_SECONDS)
                shown = self._show_progress(child.output_path, shown)
        finally:
            child.stop()
        printed = child.output_path.read_text(errors="replace").rstrip()
        if child.process is None or child.process.returncode != 0:
            raise DemoError(
                f"`manage.py {command}` {child.exit_reason()}:\n{child.log_tail()}\n"
                f"(log: {child.log_path})"
            )
        return printed

    def _show_progress(self, path: Path, shown: int) -> int:
        """Pass on the lines of progress after the first `shown`; return how many there are."""
        progress = path.read_text(errors="replace").partition(SIGN_IN)[0]
        lines = progress.split("\n")[:-1]  # the last one may not be whole yet
        for line in lines[shown:]:
            self._progress(f"  {line}")
        return len(lines)

    # --- Watching -------------------------------------------------------------------------------

    def _pause(self, services: LocalServices) -> None:
        """Wait a moment, then bring back whatever died; raises when asked to stop."""
        time.sleep(_POLL_SECONDS)
        self._raise_if_stop_requested()
        for child in (*services.children, *self._programs):
            if not child.is_running():
                self._revive(child, services)

    def _revive(self, child: Child, services: LocalServices) -> None:
        reason = child.exit_reason()
        now = time.monotonic()
        recent = [at for at in self._deaths.get(child.name, []) if now - at < _STEADY_SECONDS]
        self._deaths[child.name] = [*recent, now]
        if len(recent) >= _RESTARTS_MAX:
            raise DemoError(
                f"{child.name} {reason} again after {_RESTARTS_MAX} restarts; stopping everything."
                f"\n{child.log_tail()}\n(log: {child.log_path})"
            )
        delay_seconds = _FIRST_DELAY_SECONDS * 2 ** len(recent)
        self._progress(f"{child.name} {reason}; starting it again in {delay_seconds:.0f} s.")
        resume_at = now + delay_seconds
        while time.monotonic() < resume_at:
            self._raise_if_stop_requested()
            time.sleep(_POLL_SECONDS)
        if child in services.children:
            services.restart(child)
        else:
            child.start()

    def _wait_until(self, is_ready: Callable[[], bool], services: LocalServices, name: str) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not is_ready():
            if time.monotonic() > deadline:
                raise DemoError(
                    f"{name} did not answer within {_READY_SECONDS} seconds"
                    f" (logs: {self._logs_dir})."
                )
            self._pause(services)

    def _web_answers(self) -> bool:
        host = self._address.removeprefix("http://").rsplit(":", 1)[0].strip("[]")
        connection = http.client.HTTPConnection(host, self.port, timeout=10)
        try:
            connection.request("GET", "/health/")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _worker_answers(self, environment: dict[str, str]) -> bool:
        # A process of its own: Celery takes the broker's address from the environment first, and
        # ours may name another broker.
        ping = [sys.executable, "-m", "celery", "-A", "robo", "inspect", "ping", "--timeout", "3"]
        try:
            answered = subprocess.run(
                ping, cwd=CHECKOUT, env=environment, capture_output=True, timeout=60, check=False
            )
        except subprocess.TimeoutExpired:
            return False
        return answered.returncode == 0

    def _beat_ticks(self) -> bool:
        return "Sending due task" in (self._logs_dir / "beat.log").read_text(errors="replace")

    # --- Beginning and end ----------------------------------------------------------------------

    def _check_port(self) -> None:
        """Refuse before anything is started when the address cannot be listened on."""
        try:
            if not 0 < self.port < 2**16:  # the resolver would quietly take the remainder
                raise OverflowError
            family, kind, protocol, _, address = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            with socket.socket(family, kind, protocol) as probe:
                # As gunicorn does, or connections of an earlier run would still block the port.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except (OSError, OverflowError) as error:
            if is_running(self.runtime_dir):
                raise DemoError(
                    f"Evenkeel is already running from {self.runtime_dir}: stop it first (Ctrl-C)."
                ) from error
            reason = error.strerror if isinstance(error, OSError) else "no such port"
            raise DemoError(
                f"Cannot listen on {_bracketed(self.host)}:{self.port} ({reason}): choose another"
                " port with `make demo PORT=8001` or `manage.py demo --port 8001`."
            ) from error

    def _set_old_logs_aside(self) -> None:
        for name in ("broker", "web", "worker", "beat", "migrate", "seed_demo"):
            log_path = self._logs_dir / f"{name}.log"
            if log_path.exists():
                log_path.replace(log_path.with_suffix(".log.1"))

    @contextlib.contextmanager
    def _signals_noted(self) -> Iterator[None]:
        """Note the wish to stop instead of interrupting whatever is going on."""

        def note(_number: int, _frame: object) -> None:
            self._stop_requested = True

        before = {number: signal.signal(number, note) for number in _STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _raise_if_stop_requested(self) -> None:
        if self._stop_requested:
            raise _StopRequestedError

    def _stop_programs(self) -> None:
        if self._programs:
            self._progress("Stopping beat, worker, web, Redis and PostgreSQL ...")
        for program in reversed(self._programs):
            if not program.stop():
                self._progress(f"{program.name} did not stop in time and was killed.")

    def _progress(self, sentence: str) -> None:
        self._say(f"[{time.monotonic() - self._started_at:5.1f} s] {sentence}")


def write_demo_env(path: Path) -> dict[str, str]:
    """Complete the demo's settings file, readable by its owner only, and return its values.

    What stands in it is kept: a new secret would sign everybody out.
    """
    try:
        path.chmod(0o600)
        text = path.read_text()
    except FileNotFoundError:
        text = "# Written by `manage.py demo`; what you change here is kept.\n"
    found = dict(re.findall(r"^[ \t]*(\w+)[ \t]*=[ \t]*(.*?)[ \t]*$", text, flags=re.MULTILINE))
    defaults = {
        # The mark in front keeps this key from being used anywhere but in a demo.
        "DJANGO_SECRET_KEY": "demo-" + secrets.token_urlsafe(50),
        "EVENKEEL_SECRETS_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "EVENKEEL_DEMO": "1",
        "EVENKEEL_TICK_SECONDS": "5",
    }
    missing = {name: value for name, value in defaults.items() if not found.get(name)}
    if missing:
        lines = [f"{name}={value}\n" for name, value in missing.items()]
        unfinished = path.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        with os.fdopen(
            os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w"
        ) as out:
            out.write(text if text.endswith("\n") else f"{text}\n")
            out.writelines(lines)
        unfinished.replace(path)
    return {name: value.strip("'\"") for name, value in found.items()} | missing


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
