"""Every test of the API gets a paper broker of its own, the day of the prices, and no worker."""

from datetime import timedelta

import pytest

from rebalancer.brokers import paper
from robo.common import clock
from tests.api.cast import CANARY, Cast, make_cast, mark_texts
from tests.rebalancer.world import NOW


@pytest.fixture(autouse=True)
def _own_paper_broker(settings, tmp_path, monkeypatch):
    settings.PAPER_BROKER_PATH = tmp_path / "paper_broker.sqlite3"
    monkeypatch.setattr(paper, "REJECT_SHARE", 0.0)


@pytest.fixture(autouse=True)
def _day_of_the_prices(monkeypatch):
    """Keep the proposals of the fixtures fresh, whatever day the tests run on."""
    for name in ("now", "database_now"):
        monkeypatch.setattr(clock, name, lambda: NOW + timedelta(minutes=5))


@pytest.fixture(autouse=True)
def nudged(monkeypatch) -> list[str]:
    """Give the names of the tasks that a worker was asked to run; none runs."""
    names: list[str] = []
    monkeypatch.setattr("rebalancer.tasks.nudge", lambda task, **_: names.append(task.name))
    return names


@pytest.fixture
def cast(db) -> Cast:
    """Give the firm that the test is about."""
    return make_cast()


@pytest.fixture
def other(cast) -> Cast:
    """Give another firm, every text of which holds the canary."""
    stranger = make_cast(CANARY)
    mark_texts(stranger)
    return stranger
