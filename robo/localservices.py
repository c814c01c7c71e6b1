"""PostgreSQL and Redis for one checkout, run from wheels as our own children: no installation, no
TCP port, no shared state. `addresses` tells settings where they listen; `LocalServices` runs them.
"""

import fcntl
import hashlib
import os
import shutil
import signal
import socket
import stat
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

from robo import localbinaries
from robo.localdatabase import APP_ROLE, DATABASE, OWNER_ROLE, WORKER_ROLE, make_database
from robo.processes import Child, Identity, command_line, pid_in_file, stop_stranded

_ADMIN = "robo_admin"  # superuser of the cluster; the application never connects as it
_READY_SECONDS = 120  # a recovery after a crash may be long
_SHARED_MEMORY_IN_USE = "pre-existing shared memory block"


class LocalServicesError(Exception):
    """The servers cannot run, for the reason given in one sentence meant for a person."""


class AlreadyRunningError(LocalServicesError):
    """Another process runs the servers of this data folder."""


@dataclass(frozen=True, kw_only=True)
class LocalAddresses:
    """Where the servers of one data folder listen, as URLs that settings understand."""

    database_url: str  # as the owner of the tables
    app_database_url: str
    worker_database_url: str
    cache_url: str
    broker_url: str
    socket_dir: Path


def addresses(runtime_dir: Path) -> LocalAddresses:
    """Return where the servers of this data folder listen, running or not; changes nothing."""
    socket_dir = _recorded_socket_dir(runtime_dir) or _usual_socket_dir(runtime_dir)
    redis_socket = socket_dir / "redis.sock"
    return LocalAddresses(
        database_url=_database_url(socket_dir=socket_dir, role=OWNER_ROLE, database=DATABASE),
        app_database_url=_database_url(socket_dir=socket_dir, role=APP_ROLE, database=DATABASE),
        worker_database_url=_database_url(
            socket_dir=socket_dir, role=WORKER_ROLE, database=DATABASE
        ),
        cache_url=f"unix://{redis_socket}?db=2",
        broker_url=f"redis+socket://{redis_socket}?virtual_host=0",
        socket_dir=socket_dir,
    )


class LocalServices:
    """The two servers, running for as long as the `with` block."""

    def __init__(
        self,
        runtime_dir: Path,
        *,
        fsync: bool = True,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Name the data folder; `fsync=False` is for tests, whose data may be lost.

        `cancelled` is asked while waiting, so that a person who stops us need not wait too.
        """
        self.runtime_dir = Path(os.path.abspath(runtime_dir))
        self.fsync = fsync
        self._cancelled = cancelled
        self.children: list[Child] = []
        self._lock_fd: int | None = None

    def __enter__(self) -> Self:
        """Start both servers, waiting until each answers; LocalServicesError says why not."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop both servers."""
        self.stop()

    @property
    def addresses(self) -> LocalAddresses:
        """Return where these servers listen."""
        return addresses(self.runtime_dir)

    def start(self) -> None:
        """Start both servers and make the database; LocalServicesError says why not."""
        binaries = self._find_binaries()
        self._take_lock()
        try:
            self._prepare_socket_dir()
            self._start_postgres(binaries.postgres_dir)
            self._start_redis(binaries.redis_server)
            self._make_database()
        except BaseException as error:
            self.stop()
            if isinstance(error, (OSError, localbinaries.NotFoundError)):
                raise LocalServicesError(f"The local servers cannot start: {error}") from error
            raise

    def restart(self, child: Child) -> None:
        """Start one of the two servers again after it died by itself."""
        try:
            if child.name == "postgres":
                self._forget_postgres(Path(child.argv[child.argv.index("-D") + 1]))
            child.start()
            self._wait_for(child)
        except OSError as error:
            raise LocalServicesError(f"{child.name} cannot start again: {error}") from error

    def stop(self) -> None:
        """Stop Redis, then PostgreSQL, and let go of the data folder."""
        for child in reversed(self.children):
            child.stop()
        self.children = []
        if self._lock_fd is not None:
            if not self.addresses.socket_dir.is_symlink():
                shutil.rmtree(self.addresses.socket_dir, ignore_errors=True)
            os.close(self._lock_fd)
            self._lock_fd = None

    # --- The data folder ------------------------------------------------------------------------

    def _find_binaries(self) -> localbinaries.Binaries:
        try:
            return localbinaries.find()
        except localbinaries.NotFoundError as error:
            raise LocalServicesError(str(error)) from error

    def _take_lock(self) -> None:
        lock_path = self.runtime_dir / "lock"
        try:
            # Traversable for the server's own user when we are root; secrets in it are 0600.
            self.runtime_dir.mkdir(parents=True, exist_ok=True, mode=0o755)
            self._lock_fd = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            if os.geteuid() == 0:
                self.runtime_dir.chmod(0o755)
        except OSError as error:
            raise LocalServicesError(
                f"The folder {self.runtime_dir} cannot be written ({error.strerror}): make it"
                " writable, or name another with EVENKEEL_RUNTIME_DIR."
            ) from error
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock_fd)
            self._lock_fd = None
            raise AlreadyRunningError(
                f"Evenkeel is already running from {self.runtime_dir}: stop it first (Ctrl-C)."
            ) from error

    def _prepare_socket_dir(self) -> None:
        record = self.runtime_dir / "socket_dir"
        record.unlink(missing_ok=True)
        socket_dir = _usual_socket_dir(self.runtime_dir)
        try:
            socket_dir.mkdir(mode=0o700)
        except FileExistsError:
            found = socket_dir.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                # Somebody else made this name first: never put a trusted socket into it.
                socket_dir = Path(tempfile.mkdtemp(prefix="robo-", dir="/tmp"))
                record.write_text(str(socket_dir))
        identity = self._identity()
        # The postgres user must pass through a folder that root owns, but not list it.
        socket_dir.chmod(0o711 if identity else 0o700)
        postgres_dir = socket_dir / "pg"
        postgres_dir.mkdir(mode=0o700, exist_ok=True)
        if identity:
            os.chown(postgres_dir, identity.uid, identity.gid)

    def _identity(self) -> Identity | None:
        """PostgreSQL refuses to run as root: name the user it runs as then."""
        if os.geteuid() != 0:
            return None
        identity = localbinaries.unprivileged_identity()
        if identity is None:
            raise LocalServicesError(
                "PostgreSQL refuses to run as root, and this machine has neither a user `postgres`"
                " nor `nobody` to run it as."
            )
        return identity

    # --- PostgreSQL -----------------------------------------------------------------------------

    def _start_postgres(self, postgres_dir: Path) -> None:
        identity = self._identity()
        home = localbinaries.home_for(self.runtime_dir, identity)
        if identity:
            postgres_dir = localbinaries.readable_copy(postgres_dir, home)
        data_dir = home / "postgres"
        self._forget_postgres(data_dir)
        if not data_dir.exists():
            self._create_cluster(postgres_dir, data_dir, identity)
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.addresses.socket_dir / "pg"),
            "unix_socket_permissions": "0700",
            "shared_buffers": "128MB",
            "max_connections": "60",
            "wal_level": "minimal",
            "max_wal_senders": "0",
            "timezone": "UTC",
            "fsync": "on" if self.fsync else "off",
        }
        if os.uname().sysname == "Linux" and not os.access("/dev/shm", os.W_OK):  # noqa: S108
            options["dynamic_shared_memory_type"] = "mmap"
        settings = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        child = Child(
            name="postgres",
            argv=[str(postgres_dir / "postgres"), "-D", str(data_dir), *settings],
            env=localbinaries.server_environment(),
            log_path=self.runtime_dir / "logs" / "postgres.log",
            cwd=Path("/"),
            stop_signal=signal.SIGINT,  # fast shutdown: ends sessions instead of waiting for them
            identity=identity,
        )
        self._start_child(child)

    def _create_cluster(
        self, postgres_dir: Path, data_dir: Path, identity: Identity | None
    ) -> None:
        # Made beside and renamed: an interrupted initdb leaves nothing that looks like a cluster.
        unfinished = data_dir.with_name("postgres.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if identity:
            os.chown(unfinished, identity.uid, identity.gid)
        argv = [str(postgres_dir / "initdb"), "-D", str(unfinished), "-U", _ADMIN, "--auth=trust"]
        argv += ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        argv += ["--locale=C", "--no-sync"]
        child = Child(
            name="initdb",
            argv=argv,
            env=localbinaries.server_environment(),
            log_path=self.runtime_dir / "logs" / "initdb.log",
            cwd=Path("/"),
            identity=identity,
        )
        child.start()
        assert child.process is not None  # noqa: S101  (start() has just set it)
        if child.process.wait() != 0:
            raise LocalServicesError(
                f"initdb {child.exit_reason()}: {child.log_tail(lines=3)} (log: {child.log_path})"
            )
        unfinished.rename(data_dir)

    def _forget_postgres(self, data_dir: Path) -> None:
        """Clear what a killed server left behind, without touching a stranger with the same pid."""
        pid_file = data_dir / "postmaster.pid"
        pid = pid_in_file(pid_file)
        if pid is not None:
            words = command_line(pid)
            is_ours = str(data_dir) in words and "postgres" in Path(words[0]).name
            if is_ours and not stop_stranded(pid, stop_signal=signal.SIGINT):
                raise LocalServicesError(f"An old PostgreSQL (process {pid}) does not stop.")
            pid_file.unlink(missing_ok=True)
        for leftover in (self.addresses.socket_dir / "pg").glob(".s.PGSQL.*"):
            leftover.unlink()

    def _make_database(self) -> None:
        import psycopg  # here, so that settings can use this module without a driver

        try:
            make_database(self._admin_url())
        except psycopg.Error as error:
            raise LocalServicesError(f"The database cannot be made: {error}") from error

    # --- Redis ----------------------------------------------------------------------------------

    def _start_redis(self, server: Path) -> None:
        socket_path = self.addresses.socket_dir / "redis.sock"
        # Redis and Valkey write different append-only layouts, so each has a folder.
        data_dir = self.runtime_dir / server.name
        data_dir.mkdir(mode=0o700, exist_ok=True)
        pid_file = self.runtime_dir / "redis.pid"
        pid = pid_in_file(pid_file)
        if pid is not None and str(socket_path) in " ".join(command_line(pid)):
            stop_stranded(pid, stop_signal=signal.SIGTERM)
        argv = [str(server), "--port", "0", "--unixsocket", str(socket_path)]
        argv += ["--unixsocketperm", "700", "--dir", str(data_dir), "--appendonly", "yes"]
        argv += ["--save", "", "--maxmemory-policy", "noeviction", "--daemonize", "no"]
        child = Child(
            name="redis",
            argv=argv,
            env=localbinaries.server_environment(),
            log_path=self.runtime_dir / "logs" / "redis.log",
            cwd=Path("/"),
        )
        self._start_child(child)

    # --- Starting and waiting -------------------------------------------------------------------

    def _start_child(self, child: Child) -> None:
        self.children.append(child)  # before it starts, so that a failure below stops it
        child.start()
        self._wait_for(child)

    def _wait_for(self, child: Child) -> None:
        """Wait until a server answers a question; one that merely runs may be replaying."""
        is_ready = self._postgres_answers if child.name == "postgres" else self._redis_answers
        if child.name == "redis" and child.process:
            (self.runtime_dir / "redis.pid").write_text(f"{child.process.pid}\n")
        deadline = time.monotonic() + _READY_SECONDS
        while not is_ready():
            if self._cancelled():
                raise LocalServicesError(f"Stopped while {child.name} was starting.")
            if not child.is_running():
                if time.monotonic() < deadline and _SHARED_MEMORY_IN_USE in child.log_tail(lines=3):
                    # Sessions of a killed server need a moment to notice; then it can start.
                    time.sleep(0.5)
                    child.start()
                    continue
                raise LocalServicesError(
                    f"{child.name} {child.exit_reason()} while starting:"
                    f" {child.log_tail(lines=3)} (log: {child.log_path})"
                )
            if time.monotonic() > deadline:
                raise LocalServicesError(
                    f"{child.name} did not answer within {_READY_SECONDS} seconds"
                    f" (log: {child.log_path})."
                )
            time.sleep(0.03)

    def _postgres_answers(self) -> bool:
        import psycopg  # here, so that settings can use this module without a driver

        try:
            with psycopg.connect(self._admin_url(), connect_timeout=5) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.Error:
            return False

    def _redis_answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            try:
                connection.connect(str(self.addresses.socket_dir / "redis.sock"))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
            except OSError:
                return False

    def _admin_url(self) -> str:
        return _database_url(socket_dir=self.addresses.socket_dir, role=_ADMIN, database="postgres")


def is_running(runtime_dir: Path) -> bool:
    """Say whether some process runs the servers of this data folder."""
    try:
        lock_fd = os.open(runtime_dir / "lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock_fd)
    return False


def _usual_socket_dir(runtime_dir: Path) -> Path:
    # Short, for a socket's path may have 103 bytes; and not from TMPDIR, which differs by shell.
    digest = hashlib.sha256(os.path.realpath(runtime_dir).encode()).hexdigest()[:8]
    return Path("/tmp") / f"robo-{os.geteuid()}-{digest}"  # noqa: S108


def _recorded_socket_dir(runtime_dir: Path) -> Path | None:
    try:
        return Path((runtime_dir / "socket_dir").read_text())
    except OSError:
        return None


def _database_url(*, socket_dir: Path, role: str, database: str) -> str:
    return f"postgresql://{role}@/{database}?{urlencode({'host': str(socket_dir / 'pg')})}"
