"""The world of these tests is made once for each module, and every test's changes are undone."""

from collections.abc import Iterator

import pytest
import time_machine
from django.db import transaction

from rebalancer.brokers import paper
from tests.rebalancer.world import NOW
from tests.security.cast import Scene, make_scene
from tests.security.figures import describe


@pytest.fixture(scope="module")
def furnished(django_db_setup, django_db_blocker) -> Iterator[Scene]:
    """Give the two firms; whatever a test does to them is rolled back."""
    with (
        django_db_blocker.unblock(),
        time_machine.travel(NOW, tick=False),
        transaction.atomic(),
    ):
        yield make_scene()
        transaction.set_rollback(True)


@pytest.fixture
def scene(furnished, db) -> Scene:
    """Give the two firms to a test of their own savepoint."""
    return furnished


@pytest.fixture(autouse=True)
def _own_world(settings, tmp_path, monkeypatch) -> Iterator[None]:
    """Give each test a broker of its own, no worker, and the day of the prices."""
    settings.PAPER_BROKER_PATH = tmp_path / "paper_broker.sqlite3"
    settings.DEMO = False
    settings.SECOND_FACTOR_REQUIRED = False
    monkeypatch.setattr(paper, "REJECT_SHARE", 0.0)
    monkeypatch.setattr("rebalancer.tasks.nudge", lambda task, **_: None)
    with time_machine.travel(NOW, tick=False):
        yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was tried."""
    for line in describe():
        terminalreporter.write_line(line)
