"""How far accounts stand from their targets and which bands that breaks, for a whole Book."""

from dataclasses import dataclass

import numpy as np

from rebalancer.domain.kinds import BandLevel, BandMeasure
from rebalancer.domain.policy import PolicyTerms
from rebalancer.engine.book import EXCLUDED, NO_SELL, Book
from rebalancer.engine.columns import Bools, Floats, sum_in_order
from rebalancer.engine.targets import Targets

CASH_LABEL = "Cash"
# Weights are ratios of sums of floats: what lies on the edge must not flicker over it.
EDGE = 1e-9


@dataclass(frozen=True)
class Rows:
    """One kind of rows (asset classes, or securities), cash last: weights and bands by account."""

    labels: tuple[str, ...]
    weights: Floats  # [accounts, rows]
    targets: Floats
    low: Floats
    high: Floats
    breached: Bools


@dataclass(frozen=True)
class Drift:
    """The drift of every account; a blocked account shows zeros."""

    by_class: Rows
    by_security: Rows
    is_breached: Bools  # [accounts], at the level that the account's policy names
    is_cash_short: Bools  # cash is below what is needed soon
    drift_max: Floats  # largest distance from target, at that level
    drift_total: Floats  # half the sum of distances: the least turnover to the target

    def rows_of(self, level: BandLevel) -> Rows:
        """Return the rows at a policy's level."""
        return self.by_class if level is BandLevel.ASSET_CLASS else self.by_security


def measure_half_widths(*, policy: PolicyTerms, targets: Floats) -> Floats:
    """Return the half-width of the band around each target weight."""
    absolute = np.full_like(targets, float(policy.absolute_band))
    relative = float(policy.relative_band) * targets
    floor = float(policy.band_floor)
    match policy.band_measure:
        case BandMeasure.ABSOLUTE:
            return absolute
        case BandMeasure.RELATIVE:
            return np.maximum(relative, floor)
        case BandMeasure.WIDER:
            return np.maximum(np.maximum(absolute, relative), floor)
        case BandMeasure.NARROWER:
            return np.maximum(np.minimum(absolute, relative), floor)


def measure_drift(book: Book, targets: Targets, *, is_flow: bool = False) -> Drift:
    """Measure every account against its targets and bands.

    With `is_flow` (money came or went) cash is held to the policy's narrowest band, so that a
    deposit inside an ordinary band does not lie idle.
    """
    usable = np.ones(book.account_count, np.bool_)
    usable[sorted(targets.blocked)] = False
    own = np.where(usable, book.values, 1.0)[:, None]
    money = [
        np.where(usable[:, None], book.held_values, 0.0),
        np.where(usable, book.cash, 0.0),
        np.where(usable[:, None], targets.weights, 0.0) * own,
        np.where(usable, targets.cash, 0.0) * own[:, 0],
        np.where(usable, targets.required_cash, 0.0),
    ]
    value = join_households(book, np.where(usable, own[:, 0], 0.0))
    value = np.where(value > 0, value, 1.0)
    held, cash, target, cash_target, required = (
        join_households(book, part) / (value[:, None] if part.ndim == 2 else value)
        for part in money
    )

    rows = [
        _measure_rows(
            book,
            labels=(*labels, CASH_LABEL),
            weights=np.column_stack([weights, cash]),
            targets=np.column_stack([wanted, cash_target]),
            required=required,
            value=value,
            is_flow=is_flow,
        )
        for labels, weights, wanted in (
            (book.class_names, book.sum_classes(held), book.sum_classes(target)),
            (tuple(row.symbol for row in book.securities), held, target),
        )
    ]
    by_level = [
        np.array([policy.band_level is level for policy in book.policies] + [False])
        for level in (BandLevel.ASSET_CLASS, BandLevel.SECURITY)
    ]
    is_breached = np.zeros(book.account_count, np.bool_)
    drift_max = np.zeros(book.account_count)
    drift_total = np.zeros(book.account_count)
    for row, at_level in zip(rows, by_level, strict=True):
        chosen = usable & at_level[book.policy_index]
        distance = np.abs(row.weights - row.targets)
        is_breached |= chosen & row.breached.any(axis=1)
        drift_max = np.where(chosen, distance.max(axis=1), drift_max)
        drift_total = np.where(chosen, sum_in_order(distance) / 2, drift_total)
    is_cash_short = usable & (book.cash + 0.005 < targets.required_cash)
    is_breached |= usable & _holds_excluded(book)
    return Drift(
        by_class=rows[0],
        by_security=rows[1],
        is_breached=is_breached | is_cash_short,
        is_cash_short=is_cash_short,
        drift_max=drift_max,
        drift_total=drift_total,
    )


def join_households(book: Book, amounts: Floats) -> Floats:
    """Give every account of a household that is managed together the household's sum."""
    together = np.array([row.is_together for row in book.households], np.bool_)
    if not together.any():
        return amounts
    sums = np.add.reduceat(amounts, book.household_offsets[:-1], axis=0)
    mine = together[book.household_index]
    joined = amounts.copy()
    joined[mine] = sums[book.household_index[mine]]
    return joined


def _holds_excluded(book: Book) -> Bools:
    """Return which accounts hold what they must not, and may sell, above the smallest trade.

    Inside an asset class that is on target no band would tell.
    """
    if not len(book.lock_code):
        return np.zeros(book.account_count, np.bool_)
    codes = np.zeros_like(book.held_units)
    account = np.repeat(np.arange(book.account_count), np.diff(book.lock_offsets))
    np.bitwise_or.at(codes, (account, book.lock_security), book.lock_code)
    must_leave = (codes & EXCLUDED > 0) & (codes & NO_SELL == 0)
    least = np.array([float(policy.min_trade_amount) for policy in book.policies] + [0.0])
    leaving: Floats = sum_in_order(np.nan_to_num(book.held_values) * must_leave)
    return np.asarray(leaving > least[book.policy_index], np.bool_)


def _measure_rows(
    book: Book,
    *,
    labels: tuple[str, ...],
    weights: Floats,
    targets: Floats,
    required: Floats,
    value: Floats,
    is_flow: bool,
) -> Rows:
    half = np.ones_like(targets)
    least = np.zeros(book.account_count)
    for index, policy in enumerate(book.policies):
        mine = book.policy_index == index
        half[mine] = measure_half_widths(policy=policy, targets=targets[mine])
        least[mine] = float(policy.min_trade_amount)
        if is_flow:
            half[mine, -1] = float(policy.band_floor)
    # What has no target should not be there at all, above the smallest amount that is traded.
    with np.errstate(divide="ignore", invalid="ignore"):
        least_weight = np.nan_to_num(least / value)
    unwanted = targets <= 0
    unwanted[:, -1] = False
    half = np.where(unwanted, np.minimum(half, least_weight[:, None]), half)
    low, high = np.maximum(targets - half, 0.0), np.minimum(targets + half, 1.0)
    low[:, -1] = np.maximum(low[:, -1], np.minimum(required, 1.0))
    high[:, -1] = np.maximum(high[:, -1], low[:, -1])
    breached = (weights < low - EDGE) | (weights > high + EDGE)
    return Rows(labels, weights, targets, low, high, breached)
