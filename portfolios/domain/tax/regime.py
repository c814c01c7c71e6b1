"""The questions that every country's tax law answers, in one shape; each law has its own file.

A regime is a value without state: the same ledger and day always give the same answer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol

from portfolios.domain.tax.events import Acquisition, Sale, TaxView


@dataclass(frozen=True, slots=True)
class OpenLot:
    """Shares that may be sold; `cost` is their basis in tax law (a `BasisPiece` gives one)."""

    lot_id: int
    quantity: Decimal
    cost: Decimal
    holding_start: date

    @property
    def unit_cost(self) -> Decimal:
        """Return the basis of one share, not rounded."""
        return self.cost / self.quantity


@dataclass(frozen=True, slots=True)
class Segment:
    """A quantity that a sale can use up at one cost per share and one kind of rate."""

    lot_id: int
    quantity: Decimal
    unit_cost: Decimal
    is_long_term: bool


@dataclass(frozen=True, slots=True)
class Windows:
    """What a household should leave alone today so that no loss is denied.

    `buy_blocked`: group -> last day on which buying it, in any account, would deny a loss that is
    already realised. `at_risk`: group -> lots bought so recently that they would take up the loss
    of any other lot of the group sold today.
    """

    buy_blocked: dict[str, date]
    at_risk: dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Rates:
    """Tax rates as fractions; `carried` is what a unit of loss carried forward is worth today.

    A law without terms (the United Kingdom) reads `short` as its one rate on gains.
    """

    short: Decimal
    long: Decimal
    deduction: Decimal
    carried: Decimal


@dataclass(frozen=True, slots=True)
class YearTax:
    """A settled tax year: what is taxed, what is deducted, what is carried on, the tax in money.

    `deduction` is the loss set against other income (US) or the exempt amount used (UK). A negative
    `tax` is saved on other income.
    """

    taxable_short: Decimal
    taxable_long: Decimal
    deduction: Decimal
    carry_short: Decimal
    carry_long: Decimal
    tax: Decimal


class TaxRegime(Protocol):
    """One country's law on gains, for one taxpayer or a couple taxed as one."""

    @property
    def code(self) -> str:
        """Return the country's code, such as US."""

    @property
    def name(self) -> str:
        """Return the country's name."""

    @property
    def is_ordered(self) -> bool:
        """Return whether segments must be sold in the order given, as from a pool."""

    @property
    def loss_cap(self) -> Decimal:
        """Return how much loss a year may set against other income, in money."""

    @property
    def wash_days_before(self) -> int:
        """Return for how many days a purchase puts losses of the same group at risk."""

    @property
    def wash_days_after(self) -> int:
        """Return for how many days after a loss buying the same group would deny it."""

    def tax_year(self, day: date) -> tuple[date, date]:
        """Return the first and the last day of the tax year of `day`."""

    def is_long_term(self, *, acquired_date: date, sold_date: date) -> bool:
        """Return whether a sale counts as long-term."""

    def long_term_date(self, acquired_date: date) -> date | None:
        """Return the first day on which a sale is long-term, or None where no day is."""

    def match(self, acquisitions: Iterable[Acquisition], sales: Iterable[Sale]) -> TaxView:
        """Return what a household's whole ledger reports, whatever the order of its rows.

        :raises LedgerFault: when purchases and sales contradict each other.
        """

    def list_segments(self, *, lots: Sequence[OpenLot], day: date) -> tuple[Segment, ...]:
        """Return what may be sold on `day` of one security in one account."""

    def find_windows(
        self, acquisitions: Iterable[Acquisition], sales: Iterable[Sale], day: date
    ) -> Windows:
        """Return what to leave alone on `day`, from what the household did up to and on it.

        :raises LedgerFault: when purchases and sales contradict each other.
        """

    def settle_year(
        self,
        *,
        short: Decimal,
        long: Decimal,
        carry_short: Decimal,
        carry_long: Decimal,
        rates: Rates,
    ) -> YearTax:
        """Return the tax of a year's net gains after losses carried in (given as amounts >= 0).

        :raises ValueError: when a carried loss is negative.
        """

    def tax_value(self, *, short: Decimal, long: Decimal, rates: Rates) -> Decimal:
        """Return the tax of net gains less the value of losses carried on, as an optimiser sees it.

        `short` and `long` are already net of the year to date and of losses carried in.
        """

    def marginal_rates(self, rates: Rates) -> tuple[tuple[Decimal, Decimal], ...]:
        """Return every pair of rates (short, long) that the next unit of gain may meet."""


def is_loss_washed(*, windows: Windows, group: str, lot_id: int) -> bool:
    """Return whether selling this lot at a loss today would see the loss denied.

    The lot itself and the unsold rest of the same purchase do not count; any other recent purchase
    does, even a small one: this errs on the side of not harvesting.
    """
    return any(recent_id != lot_id for recent_id in windows.at_risk.get(group, ()))
