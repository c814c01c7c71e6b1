"""What deferring a tax is worth, what a harvested loss is worth, and from which loss on to harvest.

Estimates that decide; nothing here is booked. Rates, yields and thresholds are fractions.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from portfolios.domain.money import ZERO

ONE = Decimal(1)
NEVER = Decimal("Infinity")
# Fitted to the optimal-stopping thresholds of seven cases (volatility 5-23 %): within 10 % of each.
FITTED_SCALE = Decimal("2.1")
FITTED_VOLATILITY_POWER = Decimal(2) / Decimal(3)
# Judgement, not fitted: how long before the end of the year, and before a loss turns long-term, the
# value of waiting fades, and how far.
SEASON_DAYS = 60
TERM_DAYS = 45
FADE_FLOOR = Decimal("0.5")


class PairKind(StrEnum):
    """What the security and its partner are, where only that is known."""

    EQUITY = "EQUITY"
    BOND = "BOND"


@dataclass(frozen=True, slots=True)
class HarvestValue:
    """What a harvest adds at the end, and that discounted to today; in money, may be negative."""

    future: Decimal
    present: Decimal


@dataclass(frozen=True, slots=True)
class HarvestCase:
    """A loss that might be taken.

    `round_trip_cost` (there and back) is a fraction of `amount`, the basis in money; `rate_saved`
    is the net rate at which the loss saves tax now, `rate_long_term` the rate once it is long-term,
    in `days_to_long_term` days (None: it is, or terms do not matter); `ticket_cost` and
    `minimum_benefit` are in money; `year_end` is the last day of the tax year.
    """

    day: date
    year_end: date
    round_trip_cost: Decimal
    amount: Decimal
    rate_saved: Decimal
    rate_long_term: Decimal
    days_to_long_term: int | None = None
    ticket_cost: Decimal = ZERO
    minimum_benefit: Decimal = ZERO


def compute_deferral_rate(
    *,
    rate_now: Decimal,
    rate_later: Decimal,
    years: Decimal,
    discount_rate: Decimal,
    chance_realised: Decimal = ONE,
) -> Decimal:
    """Return the rate that realising a gain today costs beyond the tax it would cause later.

    Later means `years` from now at `rate_later`, with the chance that it is ever realised.
    """
    return rate_now - chance_realised * rate_later * (ONE + discount_rate) ** -years


def value_harvest(
    *, loss: Decimal, rate_now: Decimal, rate_later: Decimal, years: Decimal, growth_rate: Decimal
) -> HarvestValue:
    """Return what harvesting a loss adds when the tax saved is invested until the shares are sold.

    The saving grows and its growth is taxed at the end, as is the basis that was given up. The
    value is negative where the later rate is much higher: such a harvest destroys value.
    """
    growth = (ONE + growth_rate) ** years
    saved = loss * rate_now
    future = saved * growth - rate_later * (saved * growth - saved) - loss * rate_later
    return HarvestValue(future=future, present=future / growth)


def compute_yearly_drag(
    *,
    qualified_yield: Decimal,
    ordinary_yield: Decimal,
    realised_short: Decimal,
    realised_long: Decimal,
    rate_long: Decimal,
    rate_ordinary: Decimal,
) -> Decimal:
    """Return what a year's taxes take of a taxable holding, as a fraction of its value."""
    at_long_rate = qualified_yield + realised_long
    return at_long_rate * rate_long + (ordinary_yield + realised_short) * rate_ordinary


def harvest_threshold(
    *, volatility: Decimal, kind: PairKind | None = None, case: HarvestCase | None = None
) -> Decimal:
    """Return the loss, as a fraction of basis, from which harvesting is worth more than waiting.

    Without a case, by a rule of thumb: 5 % for pairs of equities, 2 % for pairs of bonds, otherwise
    0.3 of the annual volatility and at least 2 %.

    With a case, waiting is worth `2.1 * volatility^(2/3) * sqrt(round trip / rate saved)`: more
    where a deeper loss may come, less where a trade is cheap against what it saves. It fades to
    half in the last 60 days of the tax year, after which the saving comes a year later; and in the
    last 45 days of a short-term loss, towards the ratio of the long-term to the present rate. The
    threshold never falls below the loss that pays all costs and the minimum benefit, and is
    infinite where nothing is saved.

    :raises ValueError: when a cost, the amount or the volatility is negative, or the day is after
        the year's end.
    """
    if volatility < 0:
        raise ValueError(f"volatility is negative: {volatility}")
    if case is not None:
        return _weigh_case(volatility, case)
    if kind is PairKind.EQUITY:
        return Decimal("0.05")
    if kind is PairKind.BOND:
        return Decimal("0.02")
    return max(Decimal("0.02"), Decimal("0.3") * volatility)


def _weigh_case(volatility: Decimal, case: HarvestCase) -> Decimal:
    if min(case.amount, case.round_trip_cost, case.ticket_cost, case.minimum_benefit) < 0:
        raise ValueError("amount and costs of a harvest are zero or more")
    if case.day > case.year_end:
        raise ValueError(f"{case.day} is after the end of the year, {case.year_end}")
    if case.amount == 0 or case.rate_saved <= 0:
        return NEVER
    cost_to_saving = case.round_trip_cost / case.rate_saved
    waiting = FITTED_SCALE * volatility**FITTED_VOLATILITY_POWER * cost_to_saving.sqrt()
    return max(waiting * _season_factor(case) * _term_factor(case), _break_even(case))


def _season_factor(case: HarvestCase) -> Decimal:
    days_left = min((case.year_end - case.day).days, SEASON_DAYS)
    return FADE_FLOOR + (ONE - FADE_FLOOR) * days_left / SEASON_DAYS


def _term_factor(case: HarvestCase) -> Decimal:
    if case.days_to_long_term is None:
        return ONE
    lowest = min(max(case.rate_long_term / case.rate_saved, FADE_FLOOR), ONE)
    days_left = min(max(case.days_to_long_term, 0), TERM_DAYS)
    return lowest + (ONE - lowest) * days_left / TERM_DAYS


def _break_even(case: HarvestCase) -> Decimal:
    cost = case.round_trip_cost * case.amount + case.ticket_cost + case.minimum_benefit
    return cost / (case.rate_saved * case.amount)
