"""Spread and impact of a security, learnt from what its blocks cost; a few odd ones change little.

A block of q shares costs h + Y s bps, where s = sigma sqrt(q / V) in bps. The median over n samples
is drawn to what was believed before as if that were ten samples more: (10 before + n median) /
(10 + n). Small blocks, whose s is below the stated half spread, tell h (their cost less Y s by the
Y believed before); large ones then tell Y ((cost - h) / s).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median

from portfolios.domain.money import ZERO

PRIOR_WEIGHT = 10
# Fewer samples than this, and plans go on reckoning with what the firm states.
SAMPLES_MIN = 20
SPREAD_STEP, COEFFICIENT_STEP = Decimal("0.001"), Decimal("0.0001")
SPREAD_MAX, COEFFICIENT_MAX = Decimal(1_000), Decimal(10)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a block cost against its arrival price, and s, both in bps; s is None if not known."""

    cost_bps: Decimal
    scale_bps: Decimal | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Half spread in bps, and Y of the square-root law, with how many samples told each."""

    half_spread_bps: Decimal
    coefficient: Decimal
    spread_sample_count: int
    impact_sample_count: int


def estimate_costs(
    samples: Sequence[Sample],
    *,
    stated_half_spread_bps: Decimal,
    stated_coefficient: Decimal = Decimal(1),
) -> Estimate:
    """Return spread and impact after these samples; without any, what was stated."""
    large = [(s.cost_bps, s.scale_bps) for s in samples if _is_large(s, stated_half_spread_bps)]
    spreads = [
        s.cost_bps - stated_coefficient * (s.scale_bps or ZERO)
        for s in samples
        if not _is_large(s, stated_half_spread_bps)
    ]
    half_spread = shrink(spreads, before=stated_half_spread_bps, most=SPREAD_MAX)
    impacts = [(cost - half_spread) / scale for cost, scale in large if scale]
    coefficient = shrink(impacts, before=stated_coefficient, most=COEFFICIENT_MAX)
    return Estimate(
        half_spread_bps=half_spread.quantize(SPREAD_STEP),
        coefficient=coefficient.quantize(COEFFICIENT_STEP),
        spread_sample_count=len(spreads),
        impact_sample_count=len(impacts),
    )


def shrink(values: Sequence[Decimal], *, before: Decimal, most: Decimal) -> Decimal:
    """Return the median of `values` drawn to `before`, between 0 and `most`."""
    if not values:
        return before
    count = len(values)
    drawn = (PRIOR_WEIGHT * before + count * median(values)) / (PRIOR_WEIGHT + count)
    return min(max(drawn, ZERO), most)


def _is_large(sample: Sample, half_spread_bps: Decimal) -> bool:
    return sample.scale_bps is not None and sample.scale_bps > max(half_spread_bps, ZERO)
