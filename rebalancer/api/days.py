"""Which market day the endpoints measure on."""

from datetime import date
from typing import TYPE_CHECKING

from portfolios.queries.books import get_market_date
from rebalancer.operations.cycles import get_cycle_date
from robo.common import clock

if TYPE_CHECKING:
    from accounts.models import Firm


def get_price_date(firm: "Firm") -> date:
    """Return the market day that pages measure on: the same as the next cycle would."""
    now = clock.now()
    return get_cycle_date(firm_id=firm.pk, now=now) or get_market_date(firm, now)
