"""What a trade costs: the price with the half spread against us, and the cash it moves.

One definition for the engine's exact gate, the paper broker and the books, so that what was
promised is what is booked.
"""

from decimal import Decimal

from portfolios.domain.kinds import Side
from portfolios.domain.money import BPS, round_money, round_price


def measure_fill_price(*, side: Side, price: Decimal, half_spread_bps: Decimal) -> Decimal:
    """Return the price per share that a market order pays or gets, to six places."""
    sign = 1 if side is Side.BUY else -1
    return round_price(price * (1 + sign * half_spread_bps * BPS))


def measure_amount(*, quantity: Decimal, fill_price: Decimal) -> Decimal:
    """Return the cash that a fill moves, to the cent."""
    return round_money(quantity * fill_price)
