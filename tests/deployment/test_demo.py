"""`manage.py demo` as a person meets it: its refusals, its one-shot check, its recoveries."""

import contextlib
import http.client
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from robo import supervisor
from robo.localservices import LocalServices, addresses
from robo.processes import Child, command_line
from robo.supervisor import Demo, DemoError, write_demo_env

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAMS = ("paper_broker", "gunicorn", "worker", "beat", "postgres -D", "redis-server")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def demo_argv(*options: str) -> list[str]:
    return [sys.executable, "manage.py", "demo", *options]


def demo_environment(runtime_dir: Path) -> dict[str, str]:
    """Return an environment in which the demo must not be led astray by the suite's servers."""
    return os.environ | {"EVENKEEL_RUNTIME_DIR": str(runtime_dir), "PYTHONUNBUFFERED": "1"}


def run_demo(runtime_dir: Path, *options: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        demo_argv(*options),
        cwd=CHECKOUT,
        env=demo_environment(runtime_dir),
        capture_output=True,
        text=True,
        timeout=600,
    )


def assert_refused(result: subprocess.CompletedProcess, sentence: str) -> None:
    assert result.returncode == 1
    assert re.search(sentence, result.stderr), result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def leftovers(runtime_dir: Path) -> list[list[str]]:
    """Return the command lines of processes that still know the data folder or its sockets."""
    marks = (str(runtime_dir), str(addresses(runtime_dir).socket_dir))
    found = []
    for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
        line = command_line(pid)
        known = " ".join(line) + read_environment(pid)
        if line and any(mark in known for mark in marks):
            found.append(line)
    return found


def read_environment(pid: int) -> str:
    """Return what a process was started with; nothing of one that is gone or is not ours."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_text(errors="replace")
    return ""


# --- Refusals ----------------------------------------------------------------------------------


def test_port_in_use_is_refused_before_anything_is_written(runtime_dir):
    with socket.socket() as occupant:
        occupant.bind(("127.0.0.1", 0))
        occupant.listen()
        port = occupant.getsockname()[1]
        refused = run_demo(runtime_dir, "--port", str(port))
    assert_refused(refused, rf"Cannot listen on 127.0.0.1:{port} .*in use.*make demo PORT=")
    assert not runtime_dir.exists()


@pytest.mark.parametrize("options", [("--port", "70000"), ("--host", "no such host")])
def test_address_that_cannot_exist_is_refused(runtime_dir, options):
    assert_refused(run_demo(runtime_dir, *options), "Cannot listen on .*choose another")


def test_second_demo_on_the_same_folder_is_refused(runtime_dir):
    with LocalServices(runtime_dir):
        refused = run_demo(runtime_dir, "--port", str(free_port()))
    assert_refused(refused, "Evenkeel is already running from")


def test_folder_that_cannot_be_written_is_refused(runtime_dir):
    runtime_dir.parent.joinpath("file").write_text("")
    refused = run_demo(runtime_dir.parent / "file" / "sub", "--port", str(free_port()))
    assert_refused(refused, "cannot be written")


# --- The settings file -------------------------------------------------------------------------


def test_demo_settings_keep_their_secret_and_are_private(tmp_path):
    path = tmp_path / "demo.env"
    first = write_demo_env(path)
    assert len(first["DJANGO_SECRET_KEY"]) >= 50
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    assert write_demo_env(path) == first
    assert path.read_bytes() == before


def test_demo_settings_complete_a_file_without_changing_what_it_says(tmp_path):
    path = tmp_path / "demo.env"
    path.write_text("# mine\nDJANGO_SECRET_KEY='kept'\nEVENKEEL_TICK_SECONDS=\nLOG_LEVEL=DEBUG")
    path.chmod(0o644)
    values = write_demo_env(path)
    assert values["DJANGO_SECRET_KEY"] == "kept"
    assert values["LOG_LEVEL"] == "DEBUG"
    assert values["EVENKEEL_TICK_SECONDS"] == "5"
    assert path.read_text().startswith("# mine\nDJANGO_SECRET_KEY='kept'\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


# --- Restarts ----------------------------------------------------------------------------------


def test_program_that_keeps_dying_is_given_up_after_three_restarts(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "_FIRST_DELAY_SECONDS", 0.0)
    said: list[str] = []
    demo = Demo(runtime_dir=tmp_path, host="127.0.0.1", port=1, say=said.append)
    child = Child(
        name="worker",
        argv=[sys.executable, "-c", "import sys; sys.exit('no broker')"],
        env=os.environ,
        log_path=tmp_path / "worker.log",
        cwd=tmp_path,
    )
    child.start()
    services = LocalServices(tmp_path)
    for _restart in range(3):
        child.process.wait()
        demo._revive(child, services)
    child.process.wait()
    with pytest.raises(DemoError, match=r"(?s)worker exited with code 1 again.*no broker"):
        demo._revive(child, services)
    assert ["starting it again" in sentence for sentence in said] == [True] * 3


# --- The whole ---------------------------------------------------------------------------------


def test_demo_once(seeded_runtime_dir):
    checked = run_demo(seeded_runtime_dir, "--once", "--port", str(free_port()))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "Web, worker and beat answer." in checked.stdout
    assert leftovers(seeded_runtime_dir) == []


class RunningDemo:
    """A demo in the background, with what it has printed so far."""

    def __init__(self, runtime_dir: Path, port: int) -> None:
        self.port = port
        self.printed: list[str] = []
        self.process = subprocess.Popen(
            demo_argv("--port", str(port)),
            cwd=CHECKOUT,
            env=demo_environment(runtime_dir),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        self.printed.extend(iter(self.process.stdout.readline, ""))

    def wait_for(self, sentence: str, *, seconds: float = 400) -> None:
        deadline = time.monotonic() + seconds
        while sentence not in "".join(self.printed):
            assert time.monotonic() < deadline, f"never said {sentence!r}: {self.printed}"
            assert self.process.poll() is None, f"ended: {self.printed}"
            time.sleep(0.05)

    def wait_for_page(self, *, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not self._page_answers():
            assert time.monotonic() < deadline, "the page never answered"
            time.sleep(0.1)

    def _page_answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/health/")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def child_pids(self) -> dict[str, int]:
        """Return the direct children by the program they run."""
        found = {}
        listing = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True)
        for pid, parent in (map(int, line.split()) for line in listing.stdout.splitlines()):
            if parent == self.process.pid:
                line = " ".join(command_line(pid))
                for program in PROGRAMS:
                    if program in line:
                        found.setdefault(program.split()[0], pid)
        return found


def test_demo_brings_back_what_dies_and_stops_cleanly(seeded_runtime_dir):
    demo = RunningDemo(seeded_runtime_dir, free_port())
    try:
        demo.wait_for("Ctrl-C stops everything")
        for program, name in (("gunicorn", "web"), ("postgres", "postgres"), ("redis", "redis")):
            pids = demo.child_pids()
            os.kill(pids.get(program) or pids["redis-server"], signal.SIGKILL)
            demo.wait_for(f"{name} was killed by SIGKILL; starting it again")
            time.sleep(1.2)  # the first delay
            demo.wait_for_page()
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(timeout=60) == 0, demo.printed
        assert "Stopped." in demo.printed[-1]
        assert "was killed\n" not in "".join(demo.printed)
        assert leftovers(seeded_runtime_dir) == []
    finally:
        demo.process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a dead parent")
def test_killed_demo_leaves_nothing_and_a_term_during_the_start_is_clean(seeded_runtime_dir):
    killed = RunningDemo(seeded_runtime_dir, free_port())
    killed.wait_for("Evenkeel is ready")
    killed.process.kill()
    killed.process.wait()
    deadline = time.monotonic() + 30
    while (remaining := leftovers(seeded_runtime_dir)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert remaining == []

    again = RunningDemo(seeded_runtime_dir, killed.port)
    try:
        again.wait_for("Migrating")
        again.process.terminate()
        assert again.process.wait(timeout=60) == 0, again.printed
        assert leftovers(seeded_runtime_dir) == []
    finally:
        again.process.kill()
