"""The objective of a whole household, term by term: its accounts' own terms, and what ties them."""

from dataclasses import replace

import numpy as np

from rebalancer.engine.answer import Terms
from rebalancer.engine.book import Book
from rebalancer.engine.columns import Floats
from rebalancer.engine.coupled.terms import sum_by
from rebalancer.engine.netting.plan import list_sold
from rebalancer.engine.netting.tax_return import tax_of
from rebalancer.engine.outcome import Outcome
from rebalancer.engine.separable import build_tax_year
from rebalancer.engine.terms import TermColumns, measure_terms


def measure_household_terms(
    book: Book, outcome: Outcome, trade: Floats, *, order: Floats | None = None
) -> Terms:
    """Return what these trades (money by position) cost a household, exclusions included.

    Lots are sold in `order`, by default cheapest first.
    """
    problem, coupling = outcome.formulation.problem, outcome.coupling
    columns = measure_terms(
        problem, trade, half_spread=book.half_spread[problem.security], order=order
    )
    terms = columns.sum_of(np.arange(problem.account_count))
    if outcome.is_netted:
        terms = replace(terms, tax=_net_tax(book, outcome, trade, columns, order))
    after = problem.held + trade
    if outcome.matrices is not None:
        terms = replace(terms, drift=_measure_risk(outcome, after))
    rows = sum_by(coupling.row_offsets, coupling.row_position, after)
    weight = coupling.row_penalty / (2 * problem.value.sum())
    return replace(
        terms,
        drift=terms.drift + float((weight * (rows - coupling.row_target) ** 2).sum()),
        location=float((coupling.holding_cost * after).sum()),
    )


def _net_tax(
    book: Book, outcome: Outcome, trade: Floats, columns: TermColumns, order: Floats | None
) -> float:
    """Return what these trades change of the year's tax, less what waiting would save."""
    problem = outcome.formulation.problem
    home = book.household_index[outcome.formulation.accounts[:1]]
    year = build_tax_year(book, home)
    after = tax_of(
        year,
        year.short + columns.short_gain.sum(),
        year.long + columns.long_gain.sum(),
    )
    sold = list_sold(problem, trade, problem.tau() if order is None else order)
    change = after - tax_of(year, year.short, year.long)
    return float(change[0] - (sold * problem.waiting).sum())


def _measure_risk(outcome: Outcome, after: Floats) -> float:
    problem, drift = outcome.formulation.problem, 0.0
    for row, matrix in enumerate(outcome.matrices or ()):
        span = slice(problem.position_offsets[row], problem.position_offsets[row + 1])
        off = after[span] - problem.target[span]
        drift += float(off @ matrix @ off) / (2 * float(problem.value[row]))
    return drift
