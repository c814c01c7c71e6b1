"""What was acknowledged outlives the database server, with the settings that it is started with."""

import os
import signal
import threading
import time
from pathlib import Path

import psycopg
import pytest

from robo.localservices import LocalServices

CRASHES, WRITERS = 2, 3


@pytest.fixture
def services(tmp_path: Path):
    """Give servers that write to disk, as everybody's but the tests' do."""
    tmp_path.parent.chmod(0o755)
    tmp_path.chmod(0o755)
    with LocalServices(tmp_path) as running:
        yield running


def write_until_it_dies(url: str, writer: int, kept: list[tuple[int, int]], first: int) -> None:
    """Add one row after the other; remember those whose commit was answered."""
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            number = first
            while True:
                connection.execute("INSERT INTO told VALUES (%s, %s)", (writer, number))
                kept.append((writer, number))
                number += 1
    except psycopg.Error:
        return


def test_acknowledged_means_on_disk(services):
    url = services.addresses.database_url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE told (writer int, number int)")
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {name}").fetchone() == ("on",), name
    kept: list[tuple[int, int]] = []
    [postgres] = [child for child in services.children if child.name == "postgres"]
    for crash in range(CRASHES):
        before = len(kept)
        writers = [
            threading.Thread(target=write_until_it_dies, args=(url, n, kept, 1_000_000 * crash))
            for n in range(WRITERS)
        ]
        for writer in writers:
            writer.start()
        deadline = time.monotonic() + 60
        while len(kept) < before + 60:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(postgres.process.pid, signal.SIGKILL)
        for writer in writers:
            writer.join(timeout=60)
        postgres.process.wait(timeout=60)
        services.restart(postgres)
        with psycopg.connect(url) as connection:
            found = set(connection.execute("SELECT writer, number FROM told").fetchall())
        assert set(kept) - found == set()
    assert len(kept) >= 60 * CRASHES


def test_no_code_of_ours_loosens_a_commit():
    checkout = Path(__file__).resolve().parents[2]
    sources = [
        path
        for app in ("accounts", "portfolios", "rebalancer", "robo")
        for path in (checkout / app).rglob("*.py")
    ]
    assert len(sources) > 250
    assert [path for path in sources if "synchronous_commit" in path.read_text()] == []
    assert "synchronous_commit" not in (checkout / "docker-compose.yml").read_text()
