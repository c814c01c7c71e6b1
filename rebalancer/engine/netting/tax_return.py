"""The year of gains of the United States as a price: what net gains cost, and at which rates.

Short- and long-term gains are netted; a small net loss is deducted from income, the rest carried
on. The tax is linear in five regimes. Where its rate falls as gains rise it is not convex, so that
every regime has to be tried; the planes below it prove how far an answer is from the best.
"""

from dataclasses import dataclass, fields

import numpy as np

from rebalancer.engine.columns import Bools, Floats, Ints
from rebalancer.engine.netting.plan import sum_accounts, sum_segments
from rebalancer.engine.problem import Problem
from rebalancer.engine.subproblem import label_rows

REGIMES = 5


@dataclass(frozen=True)
class TaxYear:
    """Each household's year before the plan, and its rates; all arrays are by household.

    `carried_rate` is what a dollar of loss carried on is worth today.
    """

    short: Floats  # net short-term gains so far, after carries, money
    long: Floats
    loss_cap: Floats  # money of losses that may be deducted from income
    short_rate: Floats
    long_rate: Floats
    deduction_rate: Floats
    carried_rate: Floats

    def take(self, households: Ints) -> "TaxYear":
        """Return the years of some households."""
        return TaxYear(*(getattr(self, field.name)[households] for field in fields(self)))


@dataclass(frozen=True)
class Reach:
    """How far each household's net gains can go, whatever it sells today, money."""

    short_low: Floats
    short_high: Floats
    long_low: Floats
    long_high: Floats

    def take(self, households: Ints) -> "Reach":
        """Return the reach of some households."""
        return Reach(*(getattr(self, field.name)[households] for field in fields(self)))


@dataclass(frozen=True)
class Kink:
    """A line on which the tax's rate changes, between two regimes by their place in the list."""

    below: int
    above: int
    is_of_net: bool  # short and long together, else short alone
    is_at_cap: bool  # else at zero

    def measure(self, year: TaxYear, short: Floats, long: Floats) -> Floats:
        """Return how far net gains are above the kink, money."""
        gains = short + long if self.is_of_net else short
        return gains + year.loss_cap if self.is_at_cap else gains


# Those that are convex for any rates in use: the two at zero only where losses are deducted at less
# than gains are taxed.
KINKS = (
    Kink(2, 0, is_of_net=False, is_at_cap=False),
    Kink(4, 3, is_of_net=True, is_at_cap=True),
    Kink(3, 2, is_of_net=True, is_at_cap=False),
    Kink(3, 1, is_of_net=True, is_at_cap=False),
)


def measure_reach(problem: Problem, year: TaxYear) -> Reach:
    """Return how far each household's net gains can go: all gains sold, or all losses."""
    gains = problem.gain * problem.amount
    sums = []
    for is_long in (False, True):
        for part in (np.minimum(gains, 0), np.maximum(gains, 0)):
            chosen = np.where(problem.is_long == is_long, part, 0)
            sums.append(sum_accounts(problem, sum_segments(problem, chosen)))
    return Reach(
        year.short + sums[0], year.short + sums[1], year.long + sums[2], year.long + sums[3]
    )


def measure_year(problem: Problem, year: TaxYear, sold: Floats) -> tuple[Floats, Floats]:
    """Return each household's net short and long gains of the year with what is sold, money."""
    gains = problem.gain * sold
    short = sum_accounts(problem, sum_segments(problem, np.where(problem.is_long, 0, gains)))
    long = sum_accounts(problem, sum_segments(problem, np.where(problem.is_long, gains, 0)))
    return year.short + short, year.long + long


def price_segments(problem: Problem, short_rate: Floats, long_rate: Floats) -> Floats:
    """Return the price of selling each segment at marginal rates by household."""
    accounts = label_rows(problem.household_offsets)
    household = accounts[label_rows(problem.segment_offsets[problem.position_offsets])]
    rate = np.where(problem.is_long, long_rate[household], short_rate[household])
    tau: Floats = problem.gain * rate - problem.waiting
    return tau


def tax_of(year: TaxYear, short: Floats, long: Floats) -> Floats:
    """Return the year's tax at these net gains, money; negative: saved."""
    net = short + long
    gains = year.short_rate * np.maximum(short, 0) + year.long_rate * np.maximum(long, 0)
    mixed = np.where(short >= 0, year.short_rate, year.long_rate) * net
    losses = year.deduction_rate * np.maximum(net, -year.loss_cap)
    losses += year.carried_rate * np.minimum(net + year.loss_cap, 0)
    taxed = np.where((short >= 0) & (long >= 0), gains, mixed)
    tax: Floats = np.where(net >= 0, taxed, losses)
    return tax


def list_pairs(year: TaxYear) -> tuple[tuple[Floats, Floats], ...]:
    """Return the marginal (short, long) rates of each regime."""
    return (
        (year.short_rate, year.long_rate),
        (year.short_rate, year.short_rate),
        (year.long_rate, year.long_rate),
        (year.deduction_rate, year.deduction_rate),
        (year.carried_rate, year.carried_rate),
    )


def find_regime(year: TaxYear, short: Floats, long: Floats) -> Ints:
    """Return the place in `list_pairs` of the regime that these net gains are in."""
    net = short + long
    taxed = np.where(short < 0, 2, np.where(long < 0, 1, 0))
    regime: Ints = np.where(net >= 0, taxed, np.where(net >= -year.loss_cap, 3, 4))
    return regime


def list_reachable(year: TaxYear, reach: Reach) -> tuple[Bools, ...]:
    """Tell for each regime which households may get into it."""
    high, low = reach.short_high + reach.long_high, reach.short_low + reach.long_low
    can_gain, can_lose = high >= 0, (low <= 0) & (high >= -year.loss_cap)
    return (
        (reach.short_high >= 0) & (reach.long_high >= 0),
        can_gain & (reach.short_high >= 0) & (reach.long_low < 0),
        can_gain & (reach.short_low < 0) & (reach.long_high >= 0),
        can_lose,
        low < -year.loss_cap,
    )


def find_lowest(year: TaxYear, reach: Reach, short_rate: Floats, long_rate: Floats) -> Floats:
    """Return the least that the tax is above short_rate * short + long_rate * long within reach.

    The difference is linear between the kinks, so that it is least at a corner: of the reach, or
    where a kink meets its border or another kink.
    """
    least = np.full(len(year.short), np.inf)
    edges_short, edges_long = (reach.short_low, reach.short_high), (reach.long_low, reach.long_high)
    zero = np.zeros_like(least)
    points = [(short, long) for short in edges_short for long in edges_long]
    points += [(zero, long) for long in edges_long] + [(short, zero) for short in edges_short]
    for net in (zero, -year.loss_cap):
        points += [(short, net - short) for short in edges_short]
        points += [(net - long, long) for long in edges_long]
    points.append((zero, zero))
    for short, long in points:
        # A point outside is moved to the border: it proves less there, but nothing wrong.
        inside_short = np.clip(short, *edges_short)
        inside_long = np.clip(long, *edges_long)
        above = tax_of(year, inside_short, inside_long)
        above -= short_rate * inside_short + long_rate * inside_long
        least = np.minimum(least, above)
    return least
