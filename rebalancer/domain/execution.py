"""What a trade costs: the price with the half spread against us, and the cash it moves.

One definition for the engine's exact gate, the paper broker and the books, so that what was
promised is what is booked.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from portfolios.domain.kinds import Side
from portfolios.domain.money import BPS, CENT, PRICE_STEP, round_money, round_price

TRADING_DAYS = 252  # a year


def measure_fill_price(*, side: Side, price: Decimal, half_spread_bps: Decimal) -> Decimal:
    """Return the price per share that a market order pays or gets, to six places."""
    sign = 1 if side is Side.BUY else -1
    return round_price(price * (1 + sign * half_spread_bps * BPS))


def measure_amount(*, quantity: Decimal, fill_price: Decimal) -> Decimal:
    """Return the cash that a fill moves, to the cent."""
    return round_money(quantity * fill_price)


def measure_expected_cost_bps(
    *,
    quantity: Decimal,
    half_spread_bps: Decimal,
    daily_volume: Decimal | None,
    yearly_volatility: Decimal | None,
    coefficient: Decimal = Decimal(1),
) -> Decimal:
    """Return what trading so many shares is expected to cost, in basis points of their value.

    Half the spread, and the square-root law of impact: a coefficient near one times daily
    volatility times the root of the share of a usual day's volume; no impact where volume or
    volatility is not known.
    """
    impact = Decimal(0)
    if daily_volume and yearly_volatility:
        daily = yearly_volatility / Decimal(TRADING_DAYS).sqrt()
        impact = coefficient * daily * (quantity / daily_volume).sqrt() / BPS
    return (half_spread_bps + impact).quantize(BPS)


def measure_daily_volatility(yearly: Decimal | None) -> Decimal | None:
    """Return the volatility of a day's return, a fraction of one, from a year's."""
    if yearly is None:
        return None
    return (yearly / Decimal(TRADING_DAYS).sqrt()).quantize(Decimal("1e-8"))


def round_to_tick(price: Decimal, *, up: bool) -> Decimal:
    """Return a price in ticks: a cent, or a hundredth of one below a price of one."""
    tick = CENT if price >= 1 else CENT * CENT
    ticks = (price / tick).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR)
    return (ticks * tick).quantize(PRICE_STEP)
