"""What every test shares: one name of the database, a clock of the database that travels along with
ours, and examples without a time limit.
"""

from datetime import UTC, datetime

import pytest
import time_machine
from django.utils import timezone
from hypothesis import HealthCheck, settings

from robo.common import clock

# How long an example takes depends on what else the machine does.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.fixture(scope="session")
def django_db_modify_db_settings_xdist_suffix() -> None:
    """Keep the name of the test database: each worker has a server of its own."""


@pytest.fixture(autouse=True)
def _database_clock_travels(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Move the database's clock as far as our own, but for tests about clocks that differ."""
    if not request.node.get_closest_marker("two_clocks"):
        stays = clock.database_now

        def travels() -> datetime:
            if not time_machine.escape_hatch.is_travelling():
                return stays()
            real = datetime.fromtimestamp(time_machine.escape_hatch.time.time(), tz=UTC)
            return stays() + (timezone.now() - real)

        monkeypatch.setattr(clock, "database_now", travels)
