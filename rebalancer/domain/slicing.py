"""How a block is spread over its trading day: what goes to market when."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from portfolios.domain.money import ZERO, floor_to_step
from rebalancer.domain.impact import ImpactTerms, plan_holdings
from rebalancer.domain.kinds import SliceStrategy

SLICE_SECONDS = 15 * 60
SLICES_MAX = 60
# Trading days a session is cut from: schedules count in days, sessions in seconds.
SESSION_DAYS = 1.0
# A convention, not a measurement: as much again and a half at open and close as at midday.
CURVE_DEPTH = 1.5


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
    volume_curve: Callable[[float], float] | None = None


PLAIN = SlicingTerms()


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
    if strategy is SliceStrategy.AT_ONCE or count == 1:
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
            days=SESSION_DAYS,
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
