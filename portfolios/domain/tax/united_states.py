"""The United States: free choice of lots, two terms, wash sales, a capped deduction for losses."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from portfolios.domain import lots as lot_rules
from portfolios.domain.tax.events import Acquisition, Sale, TaxView
from portfolios.domain.tax.netting import compute_us_tax_value, list_us_rates, settle_us_year
from portfolios.domain.tax.rates import US_LOSS_CAP
from portfolios.domain.tax.regime import OpenLot, Rates, Segment, Windows, YearTax
from portfolios.domain.tax.wash_sales import WINDOW, find_wash_windows, match_wash_sales


@dataclass(frozen=True, slots=True)
class UnitedStates:
    """Federal law for individuals; `loss_cap` is halved for a spouse who files separately."""

    loss_cap: Decimal = US_LOSS_CAP
    code: str = "US"
    name: str = "United States"
    is_ordered: bool = False
    wash_days_before: int = WINDOW.days
    wash_days_after: int = WINDOW.days

    def tax_year(self, day: date) -> tuple[date, date]:
        """Return the first and last day of the calendar year."""
        return date(day.year, 1, 1), date(day.year, 12, 31)

    def is_long_term(self, *, acquired_date: date, sold_date: date) -> bool:
        """Return whether shares were held for more than one year."""
        return lot_rules.is_long_term(acquired_date=acquired_date, sold_date=sold_date)

    def long_term_date(self, acquired_date: date) -> date | None:
        """Return the first day on which a sale is long-term."""
        # A year and a day is 366 days, or 367 across a leap day: the rule itself says which.
        soonest = acquired_date + timedelta(days=366)
        if self.is_long_term(acquired_date=acquired_date, sold_date=soonest):
            return soonest
        return soonest + timedelta(days=1)

    def match(self, acquisitions: Iterable[Acquisition], sales: Iterable[Sale]) -> TaxView:
        """Return the household's ledger with wash sales adjusted.

        :raises LedgerFault: when purchases and sales contradict each other.
        """
        return match_wash_sales(acquisitions, sales)

    def list_segments(self, *, lots: Sequence[OpenLot], day: date) -> tuple[Segment, ...]:
        """Return each lot as it is: the seller may name the shares."""
        return tuple(
            Segment(
                lot_id=lot.lot_id,
                quantity=lot.quantity,
                unit_cost=lot.unit_cost,
                is_long_term=self.is_long_term(acquired_date=lot.holding_start, sold_date=day),
            )
            for lot in lots
        )

    def find_windows(
        self, acquisitions: Iterable[Acquisition], sales: Iterable[Sale], day: date
    ) -> Windows:
        """Return the purchases that would wash a loss, and the recent ones that would.

        :raises LedgerFault: when purchases and sales contradict each other.
        """
        return find_wash_windows(acquisitions, sales, day)

    def settle_year(
        self,
        *,
        short: Decimal,
        long: Decimal,
        carry_short: Decimal,
        carry_long: Decimal,
        rates: Rates,
    ) -> YearTax:
        """Return the tax of a year: netting, the capped deduction, what is carried on.

        :raises ValueError: when a carried loss is negative.
        """
        return settle_us_year(
            short=short,
            long=long,
            carry_short=carry_short,
            carry_long=carry_long,
            rates=rates,
            loss_cap=self.loss_cap,
        )

    def tax_value(self, *, short: Decimal, long: Decimal, rates: Rates) -> Decimal:
        """Return the year's tax less what losses carried on are worth today."""
        return compute_us_tax_value(short=short, long=long, rates=rates, loss_cap=self.loss_cap)

    def marginal_rates(self, rates: Rates) -> tuple[tuple[Decimal, Decimal], ...]:
        """Return the pairs of rates (short, long) that the next unit of gain may meet."""
        return list_us_rates(rates)
