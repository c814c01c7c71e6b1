"""A simulated market for the demo firm: closes that follow from seed, day and the day before.

Daily log returns have one market factor, a factor per asset class and noise per security. The same
day asked for again gives the same closes, so a cycle that was cut short can be taken up again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from math import exp
from random import Random

from portfolios.domain.pricing import Quote

MARKET_VOLATILITY = 0.009  # of one day
MARKET_DRIFT = 0.0003
NOISE_VOLATILITY = 0.0015


@dataclass(frozen=True, slots=True)
class ClassBehaviour:
    """How an asset class moves: with the market, on its own, and on an ordinary day."""

    market_beta: float
    own_volatility: float
    drift: float


BEHAVIOUR = {
    "us-equity": ClassBehaviour(1.0, 0.002, 0.0001),
    "intl-equity": ClassBehaviour(0.9, 0.004, 0.0),
    "emerging-equity": ClassBehaviour(1.1, 0.006, 0.0),
    "real-estate": ClassBehaviour(0.9, 0.006, 0.0),
    "us-bonds": ClassBehaviour(-0.05, 0.0025, 0.0001),
    "intl-bonds": ClassBehaviour(0.0, 0.0025, 0.0001),
    "inflation-bonds": ClassBehaviour(0.0, 0.003, 0.0001),
}
OTHER_BEHAVIOUR = ClassBehaviour(0.8, 0.004, 0.0)

# One bad or good day: the move of the market factor, as a log return.
SHOCKS = {"CRASH": -0.22, "RALLY": 0.16}


@dataclass(frozen=True, slots=True)
class Listing:
    """A security to quote: its symbol, the code of its asset class, and its newest close."""

    symbol: str
    class_code: str
    close: Decimal


def simulate_closes(
    *, listings: Sequence[Listing], price_date: date, seed: str, shock: str = ""
) -> list[Quote]:
    """Return a close for every listing on `price_date`, in the order of symbols."""
    day = Random(f"{seed}:{price_date.isoformat()}:{shock}")
    market = day.gauss(MARKET_DRIFT, MARKET_VOLATILITY) + SHOCKS.get(shock, 0.0)
    codes = sorted({listing.class_code for listing in listings})
    own: Mapping[str, float] = {
        code: day.gauss(0.0, BEHAVIOUR.get(code, OTHER_BEHAVIOUR).own_volatility) for code in codes
    }
    quotes = []
    for listing in sorted(listings, key=lambda row: row.symbol):
        behaviour = BEHAVIOUR.get(listing.class_code, OTHER_BEHAVIOUR)
        move = (
            behaviour.drift
            + behaviour.market_beta * market
            + own[listing.class_code]
            + day.gauss(0.0, NOISE_VOLATILITY)
        )
        close = (listing.close * Decimal(str(round(exp(move), 8)))).quantize(Decimal("0.01"))
        quotes.append(Quote(listing.symbol, price_date, str(max(close, Decimal("0.01")))))
    return quotes
