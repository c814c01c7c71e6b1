"""A household as its tax return sees it: rates, gains so far this year, losses carried, limits."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class HouseholdTerms:
    """One tax return, and whether its accounts are managed as one allocation.

    Rates are fractions, amounts are money. `year_*` are the net gains realised so far this tax
    year, allowed losses included; `carried_*` are losses of earlier years, not negative.
    """

    household_id: int
    short_term_rate: Decimal
    long_term_rate: Decimal
    regime: str = "US"
    deduction_rate: Decimal | None = None  # of losses set against income; none: short_term_rate
    carried_share: Decimal = Decimal("0.8")  # worth today of a long-term rate's saving, later
    year_short_gain: Decimal = Decimal(0)
    year_long_gain: Decimal = Decimal(0)
    carried_short_loss: Decimal = Decimal(0)
    carried_long_loss: Decimal = Decimal(0)
    loss_cap: Decimal | None = None  # of losses set against income a year; none: the regime's
    gains_budget: Decimal | None = None  # net gains that this year may realise in all
    # What is sold now would else be sold after `deferral_years`, if ever (methods of deferral).
    discount_rate: Decimal = Decimal("0.05")
    deferral_years: Decimal = Decimal(10)
    realised_share: Decimal = Decimal(0)  # how likely it is that it is ever sold and taxed
    is_together: bool = False  # one target for all accounts; the engine chooses what lies where
