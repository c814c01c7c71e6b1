"""The paper market of one security, made of the facts that an order brings along.

Half spread first; then the square-root law: an order of q in a market that trades V a day moves the
price against itself by Y sigma sqrt(q / V) on average. Shares taken a moment ago still press on the
price, half as much with each tick, so that waiting between slices helps.
"""

from dataclasses import dataclass
from decimal import Decimal
from random import Random

from portfolios.domain.kinds import Side
from portfolios.domain.money import ZERO, floor_to_step, round_price
from rebalancer.domain.execution import measure_fill_price

IMPACT = Decimal(1)  # Y of the square-root law
DEPTH_SHARE = Decimal("0.05")  # of a day's volume, to be had in one tick
PRESSURE_KEPT = Decimal("0.5")  # from one tick to the next
PART_COUNT_MAX = 3

_FORGOTTEN_TICKS = 60
_MOVE_MAX = Decimal("0.5")
_PRICE_MIN = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Quote:
    """What an order meets: price, half spread, a day's volume and its volatility (fractions)."""

    side: Side
    price: Decimal
    half_spread_bps: Decimal
    daily_volume: Decimal | None
    daily_volatility: Decimal | None


def measure_part_price(*, quote: Quote, pressure: Decimal, quantity: Decimal) -> Decimal:
    """Return the price of `quantity` shares after `pressure` shares were taken before them."""
    base = measure_fill_price(
        side=quote.side, price=quote.price, half_spread_bps=quote.half_spread_bps
    )
    if not quote.daily_volume or not quote.daily_volatility:
        return max(base, _PRICE_MIN)
    before = _measure_cost(pressure, quote.daily_volume, quote.daily_volatility)
    after = _measure_cost(pressure + quantity, quote.daily_volume, quote.daily_volatility)
    move = min((after - before) / quantity, _MOVE_MAX)
    sign = 1 if quote.side is Side.BUY else -1
    return max(round_price(base + sign * quote.price * move), _PRICE_MIN)


def _measure_cost(quantity: Decimal, volume: Decimal, volatility: Decimal) -> Decimal:
    return IMPACT * volatility * quantity * (quantity / volume).sqrt()


def fade_pressure(quantity: Decimal, ticks: int) -> Decimal:
    """Return what is left of a pressure after so many ticks."""
    return ZERO if ticks > _FORGOTTEN_TICKS else quantity * PRESSURE_KEPT**ticks


def fit_part(
    *, quote: Quote, pressure: Decimal, wanted: Decimal, step: Decimal, limit: Decimal | None
) -> tuple[Decimal, Decimal]:
    """Return how much of `wanted` executes now and at what price; nothing: (0, price)."""
    quantity = wanted
    if quote.daily_volume:
        depth = max(floor_to_step(quote.daily_volume * DEPTH_SHARE, step), step)
        quantity = min(quantity, depth)
    while quantity > 0:
        price = measure_part_price(quote=quote, pressure=pressure, quantity=quantity)
        if limit is None or (price <= limit if quote.side is Side.BUY else price >= limit):
            return quantity, price
        quantity = floor_to_step(quantity / 2, step)
    return ZERO, ZERO


def split_parts(
    *, quantity: Decimal, step: Decimal, fate: Random, partial_share: float
) -> list[Decimal]:
    """Return the quantities in which an order executes: whole share steps, then the rest."""
    if fate.random() >= partial_share:
        return [quantity]
    parts, left = [], quantity
    for _ in range(fate.randint(1, PART_COUNT_MAX - 1)):
        share = Decimal(str(round(fate.uniform(0.2, 0.7), 3)))
        part = floor_to_step(left * share, step)
        if 0 < part < left:
            parts.append(part)
            left -= part
    return [*parts, left]
