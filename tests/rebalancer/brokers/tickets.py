"""Tickets for tests: sensible values, of which a test names those that it is about."""

from datetime import date
from decimal import Decimal
from typing import Any

from portfolios.domain.kinds import Side
from rebalancer.brokers.port import OrderTicket

DAY = date(2024, 3, 1)


def make_ticket(client_order_id="ev-1", **facts: Any) -> OrderTicket:
    """Return a ticket: buy ten VTI at about 100 dollars."""
    values = {
        "symbol": "VTI",
        "side": Side.BUY,
        "quantity": Decimal("10"),
        "share_step": Decimal("1"),
        "market_price": Decimal("100"),
        "half_spread_bps": Decimal("0"),
        "market_date": DAY,
        **facts,
    }
    return OrderTicket(client_order_id=client_order_id, **values)
