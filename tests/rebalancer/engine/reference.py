"""Slow, independent answers to a Problem: Clarabel for what is convex, SCIP for everything.

Nothing here shares code with the engine; what the solvers answer is measured again, in money.
"""

from tests.rebalancer.engine.reference_convex import solve_with_clarabel
from tests.rebalancer.engine.reference_measure import (
    Answer,
    HouseholdTax,
    is_feasible,
    measure_cash,
    measure_netted,
    measure_objective,
    measure_tax,
    measure_untaxed,
    pour,
)
from tests.rebalancer.engine.reference_scip import solve_with_scip

__all__ = [
    "Answer",
    "HouseholdTax",
    "is_feasible",
    "measure_cash",
    "measure_netted",
    "measure_objective",
    "measure_tax",
    "measure_untaxed",
    "pour",
    "solve_with_clarabel",
    "solve_with_scip",
]
