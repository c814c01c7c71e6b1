"""Which entries of the journal are events that a firm's own systems may be told of."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

ATTEMPTS_MAX = 10
FIRST_WAIT_SECONDS = 30
WAIT_SECONDS_MAX = 6 * 3600


class DeliveryStatus(StrEnum):
    """Where a delivery stands."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    GIVEN_UP = "GIVEN_UP"


# The journal's action, and the event that it is to the outside. What is missing stays inside.
EVENTS: Mapping[str, str] = {
    "rebalancer.proposal.made": "proposal.created",
    "rebalancer.proposal.approved": "proposal.approved",
    "rebalancer.proposal.rejected": "proposal.rejected",
    "rebalancer.proposal.expired": "proposal.expired",
    "rebalancer.proposal.superseded": "proposal.superseded",
    "rebalancer.proposal.completed": "proposal.executed",
    "rebalancer.proposal.completed_adjusted": "proposal.executed",
    "rebalancer.order.filled": "order.closed",
    "rebalancer.order.cancelled": "order.closed",
    "rebalancer.order.rejected": "order.closed",
    "rebalancer.order.expired": "order.closed",
    "portfolios.break.opened": "break.opened",
    "portfolios.break.closed": "break.closed",
    "rebalancer.switch.set": "switch.set",
    "rebalancer.switch.cleared": "switch.cleared",
    "portfolios.model.published": "model.published",
}
EVENT_NAMES = tuple(dict.fromkeys(EVENTS.values()))


def schedule_retry(*, attempts: int, now: datetime, luck: float) -> datetime | None:
    """Return when to try again after so many attempts, None when it is time to give up.

    Each wait is twice the one before; `luck` from 0 to 1 spreads it over its last half, so that
    endpoints that failed together are not all tried together.
    """
    if attempts >= ATTEMPTS_MAX:
        return None
    wait_seconds = min(FIRST_WAIT_SECONDS * 2 ** max(attempts - 1, 0), WAIT_SECONDS_MAX)
    return now + timedelta(seconds=wait_seconds * (0.5 + 0.5 * luck))
