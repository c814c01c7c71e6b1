"""Netting a United States tax year: short against long, the capped deduction, losses carried on.

26 USC 1211, 1212 and 1222. The limit of the deduction by taxable income is left to the tax return.
"""

from decimal import Decimal

from portfolios.domain.money import ZERO
from portfolios.domain.tax.regime import Rates, YearTax


def settle_us_year(
    *,
    short: Decimal,
    long: Decimal,
    carry_short: Decimal,
    carry_long: Decimal,
    rates: Rates,
    loss_cap: Decimal,
) -> YearTax:
    """Return the tax of a year; the deduction takes short-term losses first.

    :raises ValueError: when a carried loss or the cap is negative.
    """
    if min(carry_short, carry_long, loss_cap) < 0:
        raise ValueError("losses carried in, and the cap on losses, are amounts of zero or more")
    short, long = _offset(short - carry_short, long - carry_long)
    loss_short, loss_long = max(-short, ZERO), max(-long, ZERO)
    deduction = min(loss_cap, loss_short + loss_long)
    from_short = min(deduction, loss_short)
    taxable_short, taxable_long = max(short, ZERO), max(long, ZERO)
    return YearTax(
        taxable_short=taxable_short,
        taxable_long=taxable_long,
        deduction=deduction,
        carry_short=loss_short - from_short,
        carry_long=loss_long - (deduction - from_short),
        tax=rates.short * taxable_short + rates.long * taxable_long - rates.deduction * deduction,
    )


def _offset(short: Decimal, long: Decimal) -> tuple[Decimal, Decimal]:
    """Set a loss of one term against a gain of the other; what is left keeps its term."""
    if short < 0 < long:
        moved = min(-short, long)
        return short + moved, long - moved
    if long < 0 < short:
        moved = min(-long, short)
        return short - moved, long + moved
    return short, long


def compute_us_tax_value(
    *, short: Decimal, long: Decimal, rates: Rates, loss_cap: Decimal
) -> Decimal:
    """Return the year's tax less what losses carried on are worth today.

    Five plain pieces, not convex together: at the borders long = 0 and short + long = 0 the
    next unit of gain becomes cheaper, so that a solver has to try each pair of `list_us_rates`.
    """
    net = short + long
    if short >= 0 and long >= 0:
        return rates.short * short + rates.long * long
    if net >= 0:
        return (rates.short if short >= 0 else rates.long) * net
    if net >= -loss_cap:
        return rates.deduction * net
    return -rates.deduction * loss_cap + rates.carried * (net + loss_cap)


def list_us_rates(rates: Rates) -> tuple[tuple[Decimal, Decimal], ...]:
    """Return the (short, long) rates of the five pieces, each pair once."""
    pairs = (
        (rates.short, rates.long),
        (rates.short, rates.short),
        (rates.long, rates.long),
        (rates.deduction, rates.deduction),
        (rates.carried, rates.carried),
    )
    return tuple(dict.fromkeys(pairs))
