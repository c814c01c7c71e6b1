"""Share an amount out among bounded places: the one numerical tool that targets and trades use."""

import numpy as np

from rebalancer.engine.book import Floats


def spread(*, total: float, center: Floats, slope: Floats, low: Floats, high: Floats) -> Floats:
    """Return x with low <= x <= high and sum(x) = total, as near `center` as can be.

    Minimises sum((x - center)^2 / slope): x = clip(center + theta * slope, low, high). The sum is
    piecewise linear and rising in theta, so theta follows exactly from the kinks around the total.
    Places with slope 0 stay at `center`. A total out of reach gives the nearest bound. All arrays
    have one entry per place and finite bounds, in money or in weight; `slope` is not negative.
    """
    still = np.clip(center, low, high)
    moving = slope > 0
    if not moving.any() or abs(total - still.sum()) <= 1e-12 * max(1.0, abs(total)):
        return still
    at_bounds = np.concatenate([low[moving] - center[moving], high[moving] - center[moving]])
    kinks = np.unique(at_bounds / np.concatenate([slope[moving], slope[moving]]))
    # One row per kink: small, because places are asset classes or securities.
    moved = np.clip(center + kinks[:, None] * slope, low, high)
    sums = np.where(moving, moved, still).sum(axis=1)
    at = int(np.searchsorted(sums, total))
    if at == 0 or at == len(kinks):
        theta = kinks[min(at, len(kinks) - 1)]
    else:
        part = (total - sums[at - 1]) / (sums[at] - sums[at - 1])
        theta = kinks[at - 1] + part * (kinks[at] - kinks[at - 1])
    return np.where(moving, np.clip(center + theta * slope, low, high), still)
