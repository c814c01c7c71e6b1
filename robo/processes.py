"""Child processes that never outlive us: started in their own session, stopped in bounded time,
and told by the Linux kernel when their parent is killed. Standard library only.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

STOP_TIMEOUT_SECONDS = 20.0
_PR_SET_PDEATHSIG = 1
_PARENT = "ROBO_PARENT_PID"
# Loaded before any fork: between fork and exec it is not safe to import or to open a library.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The operating-system user that a child runs as, when we ourselves are root."""

    name: str
    uid: int
    gid: int


@dataclass(kw_only=True)
class Child:
    """One program with its own log file, which also takes its output unless that has a file."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log_path: Path
    cwd: Path
    stop_signal: signal.Signals = signal.SIGTERM
    identity: Identity | None = None
    output_path: Path | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start the program, or start it again, appending its output to the log file."""
        self.stop()
        self.log_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.ExitStack() as files:
            log = files.enter_context(self.log_path.open("ab"))
            output = files.enter_context(self.output_path.open("wb")) if self.output_path else log
            self.process = subprocess.Popen(
                self.argv,
                env=dict(self.env) | {_PARENT: str(os.getpid())},
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                # A session of its own: Ctrl-C in the terminal reaches the supervisor only.
                start_new_session=True,
                preexec_fn=die_with_parent(self.stop_signal),
                user=self.identity.uid if self.identity else None,
                group=self.identity.gid if self.identity else None,
                extra_groups=[] if self.identity else None,
            )

    def is_running(self) -> bool:
        """Say whether the program runs."""
        return self.process is not None and not _has_ended(self.process)

    def exit_reason(self) -> str:
        """Say in words how the program ended; collects it and whatever it left running."""
        self.stop()
        code = self.process.returncode if self.process else 0
        return f"was killed by {_signal_name(-code)}" if code < 0 else f"exited with code {code}"

    def stop(self, *, timeout_seconds: float = STOP_TIMEOUT_SECONDS) -> bool:
        """Ask the program to stop, kill what is left at the timeout; False if it came to that."""
        if self.process is None or self.process.returncode is not None:
            return True
        deadline = time.monotonic() + timeout_seconds
        if not _has_ended(self.process):
            self.process.send_signal(self.stop_signal)
        while not _has_ended(self.process) and time.monotonic() < deadline:
            time.sleep(0.02)
        is_clean = _has_ended(self.process)
        if self.process.returncode is None:
            # Its own children share its group. The number cannot belong to a stranger yet, for
            # the leader has not been collected.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return is_clean

    def log_tail(self, *, lines: int = 12) -> str:
        """Return the last lines of the log."""
        return tail(self.log_path, lines=lines)


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """Return a hook for the forked child that ties its life to ours (Linux; None elsewhere)."""
    libc, parent_pid = _LIBC, os.getpid()
    if libc is None:
        return None

    def hook() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent_pid:  # the parent died before the line above took effect
            os._exit(1)

    return hook


def end_after_parent(*, grace_seconds: float = 10.0) -> None:
    """Let a thread kill us and our own children when our parent is gone and we still are not.

    For a `Child` that may hang in an orderly stop, because what it would say goodbye to has died
    with its parent. Nothing happens in a program that somebody else has started.
    """
    parent_pid = int(os.environ.get(_PARENT, "0"))
    if parent_pid != os.getppid():
        return

    def watch() -> None:
        while os.getppid() == parent_pid:
            time.sleep(1)
        time.sleep(grace_seconds)
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="end-after-parent", daemon=True).start()


def command_line(pid: int) -> list[str]:
    """Return the arguments of any process, or nothing when it does not run."""
    proc_file = Path(f"/proc/{pid}/cmdline")
    try:
        if Path("/proc/self/cmdline").exists():
            return [part for part in proc_file.read_text(errors="replace").split("\0") if part]
        listing = subprocess.run(
            ["ps", "-ww", "-o", "command=", "-p", str(pid)],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return []
    return listing.stdout.split()


def stop_stranded(pid: int, *, stop_signal: signal.Signals) -> bool:
    """Stop a program of ours that an earlier supervisor left behind; True once it is gone."""
    deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
    while time.monotonic() < deadline and command_line(pid):
        try:
            os.kill(pid, stop_signal)
        except ProcessLookupError:
            break
        time.sleep(0.2)
    return not command_line(pid)


def tail(path: Path, *, lines: int) -> str:
    """Return the last lines of a text file, or an empty text when there is none."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - 20_000))
            return "\n".join(stream.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def pid_in_file(path: Path) -> int | None:
    """Return the process number on the first line of a pid file, if there is a usable one."""
    try:
        pid = int(path.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    return pid if pid > 1 else None


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Say whether a child has ended, leaving it uncollected where the system allows that."""
    if process.returncode is not None:
        return True
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return process.poll() is not None
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, process.pid, options) is not None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
