"""What may be sold of each lot, what it gains, and what selling it is worth or costs in tax."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache

import numpy as np

from portfolios.domain.tax import get_regime, harvest_value
from portfolios.domain.tax.harvest_value import HarvestCase, harvest_threshold
from portfolios.domain.tax.regime import TaxRegime
from rebalancer.engine.book import Book
from rebalancer.engine.columns import CENTS, SHARE_UNITS, Bools, Floats, Ints, to_day

# A year and a bit: nothing older than this can still be short-term in any regime.
TERM_DAYS = 400
# Beyond these days to long-term the threshold no longer moves.
TERM_DAYS_MAX = harvest_value.TERM_DAYS
# What is not known of a security's volatility is taken as a broad stock index's.
VOLATILITY_USUAL = 0.16
# Losses that are not harvested for their own sake still come first when something must be sold:
# their price lies between this share of the cost of selling and zero.
UNHARVESTED = 0.9


@dataclass(frozen=True)
class Segments:
    """One entry per lot of the chosen accounts that may be sold, in account and lot order."""

    lot: Ints  # index into the Book's lots
    amount: Floats
    gain: Floats
    is_long: Bools
    waiting: Floats
    is_loss: Bools  # sold, it may not be bought again for a while
    is_harvest: Bools  # a loss worth taking by itself


def find_last_long_day(regime: TaxRegime, day: date) -> int:
    """Return the last purchase day (since 1970) whose gain is long-term if sold on `day`."""
    acquired = day
    while not regime.is_long_term(acquired_date=acquired, sold_date=day):
        acquired -= timedelta(days=1)
        if (day - acquired).days > TERM_DAYS:
            return to_day(date.min) + TERM_DAYS
    return to_day(acquired)


@dataclass(frozen=True, slots=True)
class Leeway:
    """What may be sold at all.

    With `keeps_short_gains` gains that soon turn long-term are kept, where the policy says so; with
    `takes_washed` a loss that tax law would deny may be sold too, and counts for nothing; without
    `harvests` no loss is taken for its own sake.
    """

    keeps_short_gains: bool = True
    takes_washed: bool = False
    harvests: bool = True


ORDINARY = Leeway()
LAST_RESORT = Leeway(keeps_short_gains=False, takes_washed=True)
NO_HARVEST = Leeway(harvests=False)


def build_segments(book: Book, accounts: Ints, leeway: Leeway = ORDINARY) -> Segments:
    """Return the sellable lots of these accounts."""
    chosen = np.zeros(book.account_count, np.bool_)
    chosen[accounts] = True
    lots = np.flatnonzero(chosen[book.lot_account])
    account, security = book.lot_account[lots], book.lot_security[lots]
    household = book.household_index[account]
    taxable = book.is_taxable[account]
    amount = book.lot_units[lots] / SHARE_UNITS * np.nan_to_num(book.prices[security])
    with np.errstate(divide="ignore", invalid="ignore"):
        basis = (book.lot_cost_cents[lots] / CENTS) / amount
        gain = np.where(taxable & (amount > 0), (1 - book.half_spread[security]) - basis, 0.0)
    long_days = np.array([_last_long_day(row.regime, book.price_date) for row in book.households])
    days_short = book.lot_day[lots] - long_days[household]  # days until it is long-term, if > 0
    is_long = days_short <= 0

    at_risk = book.washes.at_risk[lots] & (gain < 0)
    gain = np.where(at_risk, 0.0, gain)
    short_rate, long_rate, discount = _rates(book)
    rate = np.where(is_long, long_rate[household], short_rate[household])
    waiting = gain * long_rate[household] * discount[household]
    policy_index = book.policy_index[account]
    keeping = np.array([row.hold_for_long_term_days for row in book.policies], np.int64)
    kept = ~is_long & (gain > 0) & (days_short <= keeping[policy_index]) & leeway.keeps_short_gains
    # What a harvest must be worth at least, in money; no policy that takes none asks for so much.
    least = np.array(
        [
            float(row.harvest_benefit_min) if row.harvests_losses and leeway.harvests else np.inf
            for row in book.policies
        ]
    )
    round_trip = 2 * book.half_spread[security]
    benefit = (-gain * rate - round_trip) * amount
    is_harvest = (gain < 0) & taxable & (benefit >= least[policy_index])
    for place in map(int, np.flatnonzero(is_harvest)):
        home = book.households[household[place]]
        threshold = _find_threshold(
            book.price_date,
            home.regime,
            home.short_term_rate,
            home.long_term_rate,
            book.securities[security[place]].volatility,
            float(round_trip[place]),
            int(min(max(days_short[place], 0), TERM_DAYS_MAX)),
        )
        is_harvest[place] = -gain[place] / basis[place] >= threshold
    # A loss not worth taking by itself counts for nothing, but what saves most tax goes first.
    is_loss = gain < 0
    depth = np.where(is_loss, -gain * rate / (-gain * rate + 0.01), 0.0)
    kept_out = is_loss & ~is_harvest
    waiting = np.where(kept_out, UNHARVESTED * book.half_spread[security] * depth, waiting)
    gain = np.where(kept_out, 0.0, gain)
    keep = ~kept & (amount > 0) & (leeway.takes_washed | ~at_risk)
    return Segments(
        lot=lots[keep],
        amount=amount[keep],
        gain=gain[keep],
        is_long=is_long[keep],
        waiting=waiting[keep],
        is_loss=is_loss[keep],
        is_harvest=is_harvest[keep],
    )


def _rates(book: Book) -> tuple[Floats, Floats, Floats]:
    rows = book.households
    discount = [
        float(row.realised_share) * float(1 + row.discount_rate) ** -float(row.deferral_years)
        for row in rows
    ]
    return (
        np.array([float(row.short_term_rate) for row in rows]),
        np.array([float(row.long_term_rate) for row in rows]),
        np.array(discount),
    )


@lru_cache(maxsize=64)
def _last_long_day(regime: str, day: date) -> int:
    return find_last_long_day(get_regime(regime), day)


@lru_cache(maxsize=65_536)
def _find_threshold(
    day: date,
    regime: str,
    short_rate: Decimal,
    long_rate: Decimal,
    volatility: Decimal | None,
    round_trip: float,
    days_short: int,
) -> float:
    """Return the loss, as a share of basis, from which it is worth taking whatever its size."""
    case = HarvestCase(
        day=day,
        year_end=get_regime(regime).tax_year(day)[1],
        round_trip_cost=Decimal(str(round(round_trip, 8))),
        amount=Decimal(10) ** 9,
        rate_saved=short_rate if days_short else long_rate,
        rate_long_term=long_rate,
        days_to_long_term=days_short or None,
    )
    known = Decimal(str(VOLATILITY_USUAL)) if volatility is None else volatility
    return float(harvest_threshold(volatility=known, case=case))
