"""Thresholds and rates of tax law, dated, with sources. To be checked by a person every year.

`checked_on` is None where nobody has compared the figure with the official text yet: a page that
shows such a figure must say so. Estimates may use it; nothing here is advice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import TypeVar

US_LOSS_CAP = Decimal(3000)
US_LOSS_CAP_SEPARATE = Decimal(1500)


class FilingStatus(StrEnum):
    """How a United States household files."""

    SINGLE = "SINGLE"
    JOINT = "JOINT"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a figure comes from, and when a person compared it with the official text."""

    text: str
    note: str
    checked_on: date | None = None


@dataclass(frozen=True, slots=True)
class Bracket:
    """A rate that holds for taxable income above `above_amount`."""

    above_amount: Decimal
    rate: Decimal


@dataclass(frozen=True, slots=True)
class UsLongTermRates:
    """Rates on long-term gains from a date on, and the surtax on investment income."""

    from_date: date
    brackets: dict[FilingStatus, tuple[Bracket, ...]]
    surtax: dict[FilingStatus, Bracket]
    source: Source


@dataclass(frozen=True, slots=True)
class UkExemptAmount:
    """The annual exempt amount of an individual, from the first day of a tax year on."""

    from_date: date
    amount: Decimal
    source: Source


@dataclass(frozen=True, slots=True)
class UkGainsRates:
    """Capital gains tax on shares within the basic rate band and above it, from a date on."""

    from_date: date
    basic: Decimal
    higher: Decimal
    source: Source


Dated = TypeVar("Dated", UsLongTermRates, UkExemptAmount, UkGainsRates)

_NOT_CHECKED = "Taken second-hand; not compared with the official text."
_RECALLED = "General knowledge; not compared with the official text."


def _brackets(*steps: tuple[str, str]) -> tuple[Bracket, ...]:
    return tuple(Bracket(Decimal(above), Decimal(rate)) for above, rate in steps)


US_LOSS_CAP_SOURCE = Source("26 USC 1211(b)", _RECALLED)

US_LONG_TERM = (
    UsLongTermRates(
        from_date=date(2025, 1, 1),
        brackets={
            FilingStatus.SINGLE: _brackets(("0", "0"), ("48350", "0.15"), ("533400", "0.20")),
            FilingStatus.JOINT: _brackets(("0", "0"), ("96700", "0.15"), ("600050", "0.20")),
        },
        surtax={
            FilingStatus.SINGLE: Bracket(Decimal(200000), Decimal("0.038")),
            FilingStatus.JOINT: Bracket(Decimal(250000), Decimal("0.038")),
        },
        source=Source("26 USC 1(h) as indexed for 2025; 26 USC 1411 for the surtax", _NOT_CHECKED),
    ),
)

UK_EXEMPT_AMOUNTS = (
    UkExemptAmount(
        date(2024, 4, 6), Decimal(3000), Source("TCGA 1992 s. 1K, 2024/25 on", _RECALLED)
    ),
)

UK_GAINS_RATES = (
    UkGainsRates(
        date(2024, 10, 30),
        basic=Decimal("0.18"),
        higher=Decimal("0.24"),
        source=Source("TCGA 1992 s. 1H, disposals from 30 October 2024", _RECALLED),
    ),
)


def find_in_force(table: Sequence[Dated], day: date) -> Dated:
    """Return the entry of a dated table that holds on `day`.

    :raises ValueError: when `day` is before the first entry.
    """
    past = [entry for entry in table if entry.from_date <= day]
    if not past:
        raise ValueError(f"no figures are known for {day}; the first are of {table[0].from_date}")
    return max(past, key=lambda entry: entry.from_date)


def find_long_term_rate(
    *, status: FilingStatus, taxable_income: Decimal, income_before_deductions: Decimal, day: date
) -> Decimal:
    """Return the federal rate on the next dollar of long-term gain, surtax included.

    `taxable_income` (money, gains included) picks the bracket; the surtax looks at
    `income_before_deductions` (modified adjusted gross income).

    :raises ValueError: when no figures are known for `day`.
    """
    figures = find_in_force(US_LONG_TERM, day)
    brackets = figures.brackets[status]
    rate = brackets[0].rate
    for _below, bracket in pairwise(brackets):
        if taxable_income >= bracket.above_amount:
            rate = bracket.rate
    surtax = figures.surtax[status]
    return rate + (surtax.rate if income_before_deductions >= surtax.above_amount else 0)
