"""Accounts solved one by one and netted over each tax return: the compiled kernel, all at once."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from portfolios.domain.tax import get_regime
from rebalancer.domain.household import HouseholdTerms
from rebalancer.engine.book import Book
from rebalancer.engine.columns import Bools, Floats, Ints
from rebalancer.engine.formulate import Formulation
from rebalancer.engine.kernel.solve import finish_exactly, solve_convex, solve_discrete
from rebalancer.engine.netting.budgets import Limits
from rebalancer.engine.netting.plan import list_sold, sum_accounts, sum_segments
from rebalancer.engine.netting.solve import solve_netted
from rebalancer.engine.netting.tax_return import TaxYear
from rebalancer.engine.problem import Solution
from rebalancer.engine.subproblem import label_rows
from rebalancer.engine.ties import limit_turnover, measure_gains_left

# A certificate wider than this share of the value is worth the exact completion: 0.01 bp.
DOUBT = 1e-6


@dataclass(frozen=True)
class Separable:
    """Trades of all accounts of a Formulation, and by household how good they are."""

    trade: Floats  # [positions]
    steps: Ints
    is_exit: Bools
    sold: Floats  # [segments]
    bound: Floats  # [households]
    gains_exceeded: Floats  # [households] net gain above the budget that cash could not avoid
    turnover_exceeded: Floats  # [households] trades above the limits that could not be avoided


def solve_separably(book: Book, formulation: Formulation) -> Separable:
    """Return the best plans of accounts by themselves, gains netted over each tax return."""
    problem = formulation.to_solve
    homes = book.household_index[formulation.accounts[problem.household_offsets[:-1]]]
    turnover_left = limit_turnover(book, formulation) - formulation.forced_turnover
    solution, report = solve_netted(
        problem,
        _realise_forced(build_tax_year(book, homes), formulation),
        solve_discrete,
        relaxed=solve_convex,
        limits=Limits(
            gains_budget=np.array([measure_gains_left(book, int(home)) for home in homes]),
            gains_so_far=np.add(*measure_forced_gains(formulation)),
            turnover=np.maximum(turnover_left, 0.0) / problem.value,
        ),
    )
    bound, sold = report.bound, report.sold
    rows = _find_doubtful(formulation, solution, np.isinf(turnover_left))
    if len(rows):
        finished, proved = finish_exactly(problem, solution, rows)
        gained = np.zeros(problem.account_count)
        gained[rows[proved]] = (finished.objective - solution.bound)[rows[proved]]
        bound = bound + sum_accounts(problem, gained)
        owner = label_rows(problem.segment_offsets[problem.position_offsets])
        cheapest = list_sold(problem, finished.trade, problem.tau())
        sold = np.where(np.isin(owner, rows), cheapest, sold)
        solution = finished
    return Separable(
        trade=solution.trade,
        steps=solution.steps,
        is_exit=solution.is_exit,
        sold=sold,
        bound=bound,
        gains_exceeded=report.limits.budget_exceeded_by,
        turnover_exceeded=sum_accounts(
            problem,
            report.limits.turnover_exceeded_by * problem.value + np.maximum(-turnover_left, 0.0),
        ),
    )


def _find_doubtful(formulation: Formulation, solution: Solution, is_free: Bools) -> Ints:
    """Return the accounts whose plan may be further from the best than it should be.

    Only those that nothing but cash ties: not taxed, and `is_free` of a limit on turnover.
    """
    problem = formulation.to_solve
    home = label_rows(problem.household_offsets)
    gap = (solution.objective - solution.bound) / problem.value
    doubtful = np.isfinite(gap) & (gap > DOUBT) & is_free & ~is_taxed(formulation)[home]
    return np.flatnonzero(doubtful)


def measure_forced_gains(formulation: Formulation) -> tuple[Floats, Floats]:
    """Return by household the short and the long gain that what must be sold realises, money."""
    problem = formulation.problem
    gone = (problem.amount - formulation.to_solve.amount) * problem.gain
    short, long = (
        sum_accounts(problem, sum_segments(problem, np.where(problem.is_long == is_long, gone, 0)))
        for is_long in (False, True)
    )
    return short, long


def _realise_forced(year: TaxYear, formulation: Formulation) -> TaxYear:
    """Return the year with what must be sold sold."""
    short, long = measure_forced_gains(formulation)
    return replace(year, short=year.short + short, long=year.long + long)


def build_tax_year(book: Book, households: Ints) -> TaxYear:
    """Return the tax years of some households as the netting reads them."""
    rows = [book.households[household] for household in households]
    return TaxYear(
        short=_column(row.year_short_gain - row.carried_short_loss for row in rows),
        long=_column(row.year_long_gain - row.carried_long_loss for row in rows),
        loss_cap=_column(_loss_cap(row) for row in rows),
        short_rate=_column(row.short_term_rate for row in rows),
        long_rate=_column(row.long_term_rate for row in rows),
        deduction_rate=_column(
            row.short_term_rate if row.deduction_rate is None else row.deduction_rate
            for row in rows
        ),
        carried_rate=_column(row.carried_share * row.long_term_rate for row in rows),
    )


def _loss_cap(row: HouseholdTerms) -> Decimal:
    return get_regime(row.regime).loss_cap if row.loss_cap is None else row.loss_cap


def _column(numbers: Iterable[Decimal]) -> Floats:
    return np.array([float(number) for number in numbers])


def is_taxed(formulation: Formulation) -> Bools:
    """Return by household whether anything it may sell is taxed."""
    problem = formulation.problem
    account = label_rows(problem.segment_offsets[problem.position_offsets])
    household = label_rows(problem.household_offsets)[account]
    count = len(problem.household_offsets) - 1
    return np.bincount(household, np.abs(problem.gain), minlength=count) > 0
