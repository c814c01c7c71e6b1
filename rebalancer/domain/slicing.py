"""How a block is spread over its trading day: what goes to market when."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from portfolios.domain.money import ZERO, floor_to_step
from rebalancer.domain.impact import ImpactTerms, build_terms, plan_holdings
from rebalancer.domain.kinds import SliceStrategy

SLICE_SECONDS = 15 * 60
SLICES_MAX = 60
# Trading days a session is cut from: schedules count in days, sessions in seconds.
SESSION_DAYS = 1.0
# A convention, not a measurement: as much again and a half at open and close as at midday.
CURVE_DEPTH = 1.5
WORDS = {
    SliceStrategy.TWAP: "spread evenly in time",
    SliceStrategy.VWAP: "spread as the market usually trades",
    SliceStrategy.SCHEDULE: "spread by risk, most of it early",
}


@dataclass(frozen=True, slots=True)
class SlicePlan:
    """A part of a block, and the instant from which it may be sent."""

    quantity: Decimal
    due_at: datetime


@dataclass(frozen=True, slots=True)
class SlicingTerms:
    """What shapes a schedule; what is not known leaves its part of it out.

    `volume_curve` gives the share of a session's volume traded by a share of its time, both from
    0 to 1. `participation_max` bounds each slice by that share of the volume of its interval.
    """

    daily_volume: Decimal | None = None
    participation_max: Decimal | None = None
    impact: ImpactTerms | None = None
    risk_aversion: float = 0.0
    session_days: float = SESSION_DAYS
    volume_curve: Callable[[float], float] | None = None


PLAIN = SlicingTerms()


@dataclass(frozen=True, slots=True)
class Market:
    """What is known of a security's market; None where it is not. Volatility is a day's."""

    price: Decimal
    half_spread_bps: Decimal
    daily_volume: Decimal | None
    daily_volatility: Decimal | None


@dataclass(frozen=True, slots=True)
class Spreading:
    """What a firm wishes for its large blocks; risk aversion is for each unit of money."""

    strategy: SliceStrategy
    share_min: Decimal
    participation_max: Decimal
    risk_aversion: float


@dataclass(frozen=True, slots=True)
class Choice:
    """How a block is cut, why in words, and what its schedule needs."""

    strategy: SliceStrategy
    note: str
    terms: SlicingTerms = PLAIN


def choose_strategy(
    *,
    quantity: Decimal,
    wanted: Spreading,
    market: Market,
    elapsed: float,
    until: float = 1.0,
) -> Choice:
    """Return how to cut a block that has its session from a share `elapsed` to a share `until`.

    It goes whole where the firm spreads nothing, where the volume is not known, and where it is
    small; a schedule by risk needs spread and volatility, and follows the market without them.
    """
    volume = market.daily_volume
    if wanted.strategy is SliceStrategy.AT_ONCE:
        return Choice(SliceStrategy.AT_ONCE, "Whole: the firm's limits spread no block.")
    if not volume:
        return Choice(SliceStrategy.AT_ONCE, "Whole: the daily volume is not known.")
    share = quantity / volume
    words = f"{_write_share(share)} of a usual day's volume"
    if share < wanted.share_min:
        least = _write_share(wanted.share_min)
        return Choice(SliceStrategy.AT_ONCE, f"Whole: {words}, less than {least}.")
    curve = cut_curve(measure_usual_volume, elapsed, until)
    left = volume * Decimal(repr(measure_usual_volume(until) - measure_usual_volume(elapsed)))
    strategy, impact = wanted.strategy, None
    if strategy is SliceStrategy.SCHEDULE:
        if market.daily_volatility and market.half_spread_bps:
            impact = build_terms(
                price=float(market.price),
                half_spread_bps=float(market.half_spread_bps),
                daily_volume=float(volume),
                daily_volatility=float(market.daily_volatility),
            )
        else:
            strategy, words = SliceStrategy.VWAP, f"{words}; no volatility or spread is known"
    terms = SlicingTerms(
        daily_volume=left,
        participation_max=wanted.participation_max,
        impact=impact,
        risk_aversion=wanted.risk_aversion,
        session_days=SESSION_DAYS * (until - elapsed),
        volume_curve=curve,
    )
    return Choice(strategy, f"{words[0].upper()}{words[1:]}, {WORDS[strategy]}.", terms)


def cut_curve(
    curve: Callable[[float], float], elapsed: float, until: float = 1.0
) -> Callable[[float], float]:
    """Return the volume curve of a part of a session, itself from 0 to 1.

    :raises ValueError: when nothing is left.
    """
    if not 0 <= elapsed < until <= 1:
        raise ValueError(f"no session is left from a share of {elapsed} to {until}")
    before, after = curve(elapsed), curve(until)
    return lambda share: (curve(elapsed + (until - elapsed) * share) - before) / (after - before)


def _write_share(share: Decimal) -> str:
    percent = share * 100
    return f"{percent:.2f} %" if percent < 10 else f"{percent:,.0f} %"


def measure_usual_volume(elapsed: float) -> float:
    """Return the share of a session's volume traded after a share of its time: a U in slope."""
    depth = CURVE_DEPTH
    return (elapsed + depth * ((2 * elapsed - 1) ** 3 + 1) / 6) / (1 + depth / 3)


def plan_slices(
    *,
    quantity: Decimal,
    share_step: Decimal,
    strategy: SliceStrategy,
    start: datetime,
    end: datetime,
    terms: SlicingTerms = PLAIN,
) -> tuple[SlicePlan, ...]:
    """Cut a block into parts due between `start` and `end`, in whole share steps, in order.

    They add up to `quantity`, unless the participation cap leaves a rest that today's volume
    cannot take: that rest is not planned. The cap also carries what an interval cannot take over to
    the ones after it.

    :raises ValueError: when there is nothing to cut, or a strategy lacks what it needs.
    """
    if quantity <= 0 or share_step <= 0 or end < start:
        raise ValueError(f"{quantity} in steps of {share_step} from {start} to {end}")
    seconds = (end - start).total_seconds()
    count = max(1, min(SLICES_MAX, int(seconds // SLICE_SECONDS)))
    if strategy is SliceStrategy.AT_ONCE:
        return (SlicePlan(quantity, start),)
    done = _list_done(strategy, float(quantity), count, terms)
    caps = _list_caps(count, share_step, terms)
    plans, planned = [], ZERO
    for index, share in enumerate(done):
        target = quantity if index == count - 1 else floor_to_step(quantity * share, share_step)
        part = min(target - planned, caps[index]) if caps else target - planned
        if part > 0:
            plans.append(SlicePlan(part, start + (end - start) * index / count))
            planned += part
    return tuple(plans)


def _list_done(
    strategy: SliceStrategy, quantity: float, count: int, terms: SlicingTerms
) -> list[Decimal]:
    """Return the share of the block that should be done after each interval."""
    if strategy is SliceStrategy.TWAP:
        done = [(index + 1) / count for index in range(count)]
    elif strategy is SliceStrategy.VWAP:
        curve = terms.volume_curve or measure_usual_volume
        done = [curve((index + 1) / count) for index in range(count)]
    elif terms.impact is None:
        raise ValueError("a schedule by risk needs the security's spread, volume and volatility")
    else:
        left = plan_holdings(
            terms=terms.impact,
            quantity=quantity,
            days=terms.session_days,
            count=count,
            risk_aversion=terms.risk_aversion,
        )
        done = [1 - rest / quantity for rest in left]
    if any(not math.isfinite(share) for share in done) or sorted(done) != done:
        raise ValueError("a schedule never goes back")
    return [Decimal(repr(min(max(share, 0.0), 1.0))) for share in done]


def _list_caps(count: int, share_step: Decimal, terms: SlicingTerms) -> Sequence[Decimal]:
    """Return the most that each interval may take; nothing where there is no cap."""
    if terms.participation_max is None or terms.daily_volume is None:
        return ()
    curve = terms.volume_curve or measure_usual_volume
    most = terms.participation_max * terms.daily_volume
    return [
        floor_to_step(
            most * Decimal(repr(curve((index + 1) / count) - curve(index / count))), share_step
        )
        for index in range(count)
    ]
