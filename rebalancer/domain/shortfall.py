"""Implementation shortfall: what carrying out a decision cost, against the price it was made at.

After Perold (1988): delay, trading and what was missed by not filling, each with its sign, so that
they add up to the whole. Positive is a cost to the client, whichever side was traded.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from portfolios.domain.kinds import Side
from portfolios.domain.money import BPS, ZERO

BPS_STEP = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Shortfall:
    """The parts of the shortfall in money, and the value decided upon that they are measured by."""

    decided_value: Decimal
    delay: Decimal  # from the decision to when it went to market
    trading: Decimal  # spread and impact, from then to what was paid
    missed: Decimal  # what did not fill, at the close
    fees: Decimal
    expected_trading: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        """Return the whole shortfall, money."""
        return self.delay + self.trading + self.missed + self.fees

    def as_bps(self, amount: Decimal) -> Decimal:
        """Return an amount in bps of the value decided upon; zero where nothing was."""
        if not self.decided_value:
            return ZERO
        return (amount / self.decided_value / BPS).quantize(BPS_STEP)


def measure_shortfall(
    *,
    side: Side,
    quantity: Decimal,
    decision_price: Decimal,
    arrival_price: Decimal,
    filled_quantity: Decimal,
    filled_value: Decimal,
    close_price: Decimal,
    fees: Decimal = ZERO,
    expected_bps: Decimal = ZERO,
) -> Shortfall:
    """Return the shortfall of one order or block.

    `filled_value` is quantity times price summed over its executions; `close_price` values what
    did not fill.

    :raises ValueError: when more was filled than decided, or a price is not above zero.
    """
    if not 0 <= filled_quantity <= quantity or filled_value < 0:
        raise ValueError(f"{filled_quantity} filled of {quantity}")
    if min(decision_price, arrival_price, close_price) <= 0:
        raise ValueError("prices must be above zero")
    sign = 1 if side is Side.BUY else -1
    return Shortfall(
        decided_value=quantity * decision_price,
        delay=sign * (arrival_price - decision_price) * filled_quantity,
        trading=sign * (filled_value - arrival_price * filled_quantity),
        missed=sign * (close_price - decision_price) * (quantity - filled_quantity),
        fees=fees,
        expected_trading=expected_bps * BPS * arrival_price * filled_quantity,
    )


def sum_shortfalls(parts: Iterable[Shortfall]) -> Shortfall:
    """Return many shortfalls as one; in bps it is their mean, weighted by value."""
    total = Shortfall(ZERO, ZERO, ZERO, ZERO, ZERO)
    for part in parts:
        total = Shortfall(
            total.decided_value + part.decided_value,
            total.delay + part.delay,
            total.trading + part.trading,
            total.missed + part.missed,
            total.fees + part.fees,
            total.expected_trading + part.expected_trading,
        )
    return total
