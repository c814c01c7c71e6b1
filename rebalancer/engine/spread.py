"""Share an amount out among bounded places: the one numerical tool that targets and trades use."""

import numpy as np

from rebalancer.engine.columns import Floats, Ints
from rebalancer.engine.compiled import compiled


@compiled
def spread(total: float, center: Floats, slope: Floats, low: Floats, high: Floats) -> Floats:
    """Return x with low <= x <= high and sum(x) = total, as near `center` as can be.

    Minimises sum((x - center)^2 / slope): x = clip(center + theta * slope, low, high). The sum is
    piecewise linear and rising in theta, so theta follows exactly from the kinks around the total.
    Places with slope 0 stay at `center`. A total out of reach gives the nearest bound. All arrays
    have one entry per place and finite bounds, in money or in weight; `slope` is not negative.
    """
    still = np.minimum(np.maximum(center, low), high)
    places = np.flatnonzero(slope > 0)
    if len(places) == 0 or abs(total - still.sum()) <= 1e-12 * max(1.0, abs(total)):
        return still
    kinks = np.unique(
        np.concatenate(
            (
                (low[places] - center[places]) / slope[places],
                (high[places] - center[places]) / slope[places],
            )
        )
    )
    rest = still.sum() - still[places].sum()
    # The kinks on either side of the total, by bisection: the sum rises with theta.
    first, last = 0, len(kinks) - 1
    if _sum_at(kinks[first], center, slope, low, high, places) + rest >= total:
        theta = kinks[first]
    elif _sum_at(kinks[last], center, slope, low, high, places) + rest <= total:
        theta = kinks[last]
    else:
        while last - first > 1:
            middle = (first + last) // 2
            if _sum_at(kinks[middle], center, slope, low, high, places) + rest < total:
                first = middle
            else:
                last = middle
        below = _sum_at(kinks[first], center, slope, low, high, places) + rest
        above = _sum_at(kinks[last], center, slope, low, high, places) + rest
        part = (total - below) / (above - below)
        theta = kinks[first] + part * (kinks[last] - kinks[first])
    for place in places:
        moved = center[place] + theta * slope[place]
        still[place] = min(max(moved, low[place]), high[place])
    return still


@compiled
def _sum_at(
    theta: float, center: Floats, slope: Floats, low: Floats, high: Floats, places: Ints
) -> float:
    total = 0.0
    for place in places:
        moved = center[place] + theta * slope[place]
        total += min(max(moved, low[place]), high[place])
    return total
