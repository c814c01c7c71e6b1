"""What ties the accounts of one household together, and what solving them together returns.

The coupled objective is the Problem's own (every account's penalties, targets, groups, costs) plus

    sum_i holding_cost_i (held_i + d_i)                              location, scores
  + sum_r row_penalty_r / (2 Vh) (sum_{i in r} held_i + d_i - row_target_r)^2      Vh = sum of V

under caps, wash sale windows, turnover limits and a gains budget across the accounts.
"""

from dataclasses import dataclass

import numpy as np

from rebalancer.engine.columns import Bools, Floats, Ints
from rebalancer.engine.problem import Problem, measure_cash

OPTIMAL, FEASIBLE, INFEASIBLE, UNROUNDED = "OPTIMAL", "FEASIBLE", "INFEASIBLE", "UNROUNDED"


@dataclass(frozen=True)
class Coupling:
    """What ties the accounts of ONE household together; indices are into its Problem."""

    holding_cost: Floats  # [positions] money per unit of money held after trading; may be negative
    # Quadratic rows over sums of positions, across accounts: targets by security, by class.
    row_offsets: Ints
    row_position: Ints
    row_target: Floats
    row_penalty: Floats
    # Sums of positions that must not exceed `cap_max`: a class, a sector, an issuer.
    cap_offsets: Ints
    cap_position: Ints
    cap_max: Floats
    cap_labels: tuple[str, ...]
    # By group of identical securities: none of these loss segments is sold, or none of these
    # positions is bought.
    wash_segment_offsets: Ints
    wash_segment: Ints
    wash_position_offsets: Ints
    wash_position: Ints
    wash_labels: tuple[str, ...]
    turnover_max: Floats  # [accounts] sum |d| in money; inf: no limit
    gains_max: float  # net gain that this plan may realise in taxable accounts; inf: no limit


@dataclass(frozen=True)
class CoupledSolution:
    """Trades of a household, what they cost and how near the best they are.

    `status` is OPTIMAL (within the tolerance of `bound`), FEASIBLE (the best found, every limit
    holds), INFEASIBLE (no plan meets every limit, not even with fractional shares) or UNROUNDED
    (fractional shares could meet them, no plan of whole steps was found). In the last two nothing
    is traded and the objective is infinite.
    """

    trade: Floats  # [positions] money, negative: sold
    steps: Ints  # [positions] whole steps traded; 0 where `is_exit`
    is_exit: Bools  # [positions] the whole holding is sold
    sold: Floats  # [segments] money sold of each: a washed loss may be passed over
    cash: Floats  # [accounts] after trading
    objective: float
    bound: float  # no plan costs less
    branches: int  # relaxations solved
    status: str


def no_coupling(problem: Problem) -> Coupling:
    """Return the coupling of accounts that have nothing in common."""
    none = np.zeros(0, dtype=np.int64)
    zero = np.zeros(1, dtype=np.int64)
    return Coupling(
        holding_cost=np.zeros(len(problem.held)),
        row_offsets=zero,
        row_position=none,
        row_target=np.zeros(0),
        row_penalty=np.zeros(0),
        cap_offsets=zero,
        cap_position=none,
        cap_max=np.zeros(0),
        cap_labels=(),
        wash_segment_offsets=zero,
        wash_segment=none,
        wash_position_offsets=zero,
        wash_position=none,
        wash_labels=(),
        turnover_max=np.full(problem.account_count, np.inf),
        gains_max=np.inf,
    )


def measure_household(problem: Problem, coupling: Coupling, trade: Floats, sold: Floats) -> float:
    """Return the coupled objective of trades, `sold` by segment, whether they are allowed or not.

    Written straight from the formulation; the solver's own bookkeeping is checked against it.
    """
    account = np.repeat(np.arange(problem.account_count), np.diff(problem.position_offsets))
    bought, gone = np.maximum(trade, 0), np.maximum(-trade, 0)
    is_traded = trade != 0
    holding = problem.held + trade
    cash = measure_cash(problem, trade)
    total = (problem.cash_penalty / (2 * problem.value) * (cash - problem.cash_target) ** 2).sum()
    drift = holding - problem.target
    total += (problem.penalty / (2 * problem.value[account]) * drift**2).sum()
    grouped = problem.group >= 0
    count = len(problem.group_target)
    sums = add_up(problem.group[grouped], holding[grouped], count)
    of_group = np.repeat(problem.value, np.diff(problem.group_offsets))
    total += (problem.group_penalty / (2 * of_group) * (sums - problem.group_target) ** 2).sum()
    total += (problem.tau() * sold).sum()
    total += (problem.buy_cost * bought + problem.sell_cost * gone).sum()
    total += ((problem.ticket_cash + problem.ticket_price[account]) * is_traded).sum()
    total += (problem.impact * np.abs(trade) ** 1.5).sum()
    total += (coupling.holding_cost * holding).sum()
    rows = sum_by(coupling.row_offsets, coupling.row_position, holding)
    weight = coupling.row_penalty / (2 * problem.value.sum())
    total += (weight * (rows - coupling.row_target) ** 2).sum()
    return float(total)


def sum_by(offsets: Ints, members: Ints, values: Floats) -> Floats:
    """Return the sum of `values` over the members of each list."""
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    return add_up(owner, values[members], len(offsets) - 1)


def add_up(index: Ints, values: Floats, count: int) -> Floats:
    """Return `count` sums: each value added to the sum that its index names."""
    return np.bincount(index, weights=values, minlength=count).astype(np.float64)
