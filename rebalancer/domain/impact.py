"""What trading itself does to the price: the square-root law, and the model of Almgren and Chriss.

Estimates, so floats; nothing here is booked. Costs are positive whichever side is traded.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# The square-root law's constant is near one in every market measured (methods: X2).
IMPACT_COEFFICIENT = 1.0
BPS_OF_ONE = 1e4
# Almgren and Chriss (2000), section 2.3: a tenth of a day's volume moves the price by one spread
# for good; selling a hundredth of it in a day costs one spread more while it lasts.
PERMANENT_SHARE, TEMPORARY_SHARE = 0.1, 0.01
# Below this, an hour's urgency cannot be told from none, and the even schedule is the answer.
URGENCY_MIN = 1e-6


def estimate_cost_bps(
    *,
    half_spread_bps: float,
    quantity: float,
    daily_volume: float | None,
    daily_volatility: float | None,
    coefficient: float = IMPACT_COEFFICIENT,
) -> float:
    """Return what an order costs, in bps of its value: half spread + Y sigma sqrt(Q / V).

    Where volume or volatility is not known, the half spread alone.

    :raises ValueError: when a number is negative, not finite, or the volume zero.
    """
    known = [half_spread_bps, quantity, coefficient]
    known += [one for one in (daily_volume, daily_volatility) if one is not None]
    if any(not math.isfinite(one) or one < 0 for one in known) or daily_volume == 0:
        raise ValueError(f"no cost can be estimated from {known}")
    if daily_volume is None or daily_volatility is None:
        return half_spread_bps
    share = quantity / daily_volume
    return half_spread_bps + coefficient * daily_volatility * math.sqrt(share) * BPS_OF_ONE


def estimate_impact_bps(
    *, days: float, share_of_volume: float, daily_volatility: float, turnover: float
) -> tuple[float, float]:
    """Return (permanent impact, cost) in bps after Almgren, Thum, Hauptmann and Li (2005).

    `turnover` is shares outstanding over a day's volume; the order takes `days` to work.

    :raises ValueError: when a number is not above zero.
    """
    if min(days, share_of_volume, daily_volatility, turnover) <= 0:
        raise ValueError("every term of the impact model must be above zero")
    permanent = 0.314 * daily_volatility * share_of_volume * turnover**0.25
    temporary = 0.142 * daily_volatility * (share_of_volume / days) ** 0.6
    return permanent * BPS_OF_ONE, (permanent / 2 + temporary) * BPS_OF_ONE


@dataclass(frozen=True, slots=True)
class ImpactTerms:
    """The market of Almgren and Chriss (2000): money per share, shares and days."""

    sigma: float  # of the price, money a share and root of a day
    half_spread: float  # epsilon
    permanent: float  # gamma
    temporary: float  # eta


def build_terms(
    *, price: float, half_spread_bps: float, daily_volume: float, daily_volatility: float
) -> ImpactTerms:
    """Return terms by the authors' own rule of thumb, from spread, volume and volatility.

    :raises ValueError: when a number is not above zero.
    """
    if not all(
        math.isfinite(one) and one > 0
        for one in (price, half_spread_bps, daily_volume, daily_volatility)
    ):
        raise ValueError("price, spread, volume and volatility must all be above zero")
    half_spread = price * half_spread_bps / BPS_OF_ONE
    spread = 2 * half_spread
    return ImpactTerms(
        sigma=price * daily_volatility,
        half_spread=half_spread,
        permanent=spread / (PERMANENT_SHARE * daily_volume),
        temporary=spread / (TEMPORARY_SHARE * daily_volume),
    )


def plan_holdings(
    *, terms: ImpactTerms, quantity: float, days: float, count: int, risk_aversion: float
) -> list[float]:
    """Return what is still to be traded after each of `count` equal intervals; the last is 0.

    x_j = X sinh(k (T - t_j)) / sinh(k T): the least of E + lambda Var (Almgren and Chriss 2000,
    equation 17), the even schedule where urgency vanishes.

    :raises ValueError: when nothing is to be traded, or impact does not outlast an interval.
    """
    if quantity <= 0 or days <= 0 or count < 1 or risk_aversion < 0:
        raise ValueError(f"no schedule of {quantity} over {days} days in {count} intervals")
    interval = days / count
    urgency = _find_urgency(terms, interval, risk_aversion)
    left = [(count - j) / count for j in range(1, count + 1)]
    if urgency * days < URGENCY_MIN:
        return [quantity * share for share in left]
    scale = urgency * days
    # sinh(a) / sinh(b) for a <= b, without overflow where urgency is great.
    return [
        quantity * math.exp(scale * (share - 1)) * -math.expm1(-2 * scale * share)
        / -math.expm1(-2 * scale)
        for share in left
    ]  # fmt: skip


def measure_schedule(
    *, terms: ImpactTerms, holdings: Sequence[float], quantity: float, days: float
) -> tuple[float, float]:
    """Return (expected cost, variance of cost) in money of trading along `holdings`.

    E = gamma X^2 / 2 + epsilon X + eta~ / tau sum n_k^2 and V = sigma^2 tau sum x_k^2 (equations 8
    and 5), with eta~ = eta - gamma tau / 2.
    """
    interval = days / len(holdings)
    before = [quantity, *holdings[:-1]]
    sold = [was - now for was, now in zip(before, holdings, strict=True)]
    temporary = terms.temporary - terms.permanent * interval / 2
    expected = terms.permanent * quantity**2 / 2 + terms.half_spread * sum(map(abs, sold))
    expected += temporary / interval * sum(part**2 for part in sold)
    return expected, terms.sigma**2 * interval * sum(left**2 for left in holdings)


def _find_urgency(terms: ImpactTerms, interval: float, risk_aversion: float) -> float:
    """Return kappa: 2 (cosh(kappa tau) - 1) / tau^2 = lambda sigma^2 / eta~."""
    temporary = terms.temporary - terms.permanent * interval / 2
    if temporary <= 0:
        raise ValueError("the intervals are so long that impact would pay: use more of them")
    squared = risk_aversion * terms.sigma**2 / temporary
    return math.acosh(1 + squared * interval**2 / 2) / interval
