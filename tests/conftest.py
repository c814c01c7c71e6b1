"""What every test shares: who travels in time takes the database's clock along."""

from datetime import UTC, datetime

import pytest
import time_machine
from django.utils import timezone

from robo.common import clock


@pytest.fixture(autouse=True)
def _database_clock_travels(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Move the database's clock as far as our own, but for tests about clocks that differ."""
    if not request.node.get_closest_marker("two_clocks"):
        stays = clock.database_now

        def travels() -> datetime:
            real = datetime.fromtimestamp(time_machine.escape_hatch.time.time(), tz=UTC)
            return stays() + (timezone.now() - real)

        monkeypatch.setattr(clock, "database_now", travels)
