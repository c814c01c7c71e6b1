"""The objective term by term, for any trades: what a plan, or doing nothing, costs each account."""

from dataclasses import dataclass, fields

import numpy as np

from rebalancer.engine.answer import Terms
from rebalancer.engine.columns import Floats, Ints
from rebalancer.engine.netting.plan import list_sold
from rebalancer.engine.problem import Problem, measure_cash


@dataclass(frozen=True)
class TermColumns:
    """One column per term, one entry per account; and the gains that the sales realise."""

    drift: Floats
    cash_drag: Floats
    tax: Floats
    spread: Floats
    commission: Floats
    tickets: Floats
    impact: Floats
    location: Floats
    short_gain: Floats
    long_gain: Floats

    @property
    def total(self) -> Floats:
        """Return the objective by account."""
        names = [field.name for field in fields(Terms)]
        total: Floats = sum((getattr(self, name) for name in names), np.zeros_like(self.drift))
        return total

    def sum_of(self, accounts: Ints) -> Terms:
        """Return the terms of some accounts together."""
        return Terms(
            **{f.name: float(getattr(self, f.name)[accounts].sum()) for f in fields(Terms)}
        )


def measure_terms(
    problem: Problem,
    trade: Floats,
    *,
    half_spread: Floats,
    order: Floats | None = None,
) -> TermColumns:
    """Return the terms of these trades (money by position) for every account of the Problem.

    `half_spread` by position divides proportional costs into spread and commission; lots are sold
    in the `order` given, by default cheapest first. Tax is at the accounts' own rates, lot by lot.
    """
    tau = problem.tau()
    count = problem.account_count
    account = np.repeat(np.arange(count), np.diff(problem.position_offsets))
    size = np.abs(trade)
    traded = size > 0
    after = problem.held + trade
    value = problem.value[account]
    sold = list_sold(problem, trade, tau if order is None else order)
    of_segment = np.repeat(account, np.diff(problem.segment_offsets))

    def add(amounts: Floats) -> Floats:
        return np.bincount(account, weights=amounts, minlength=count).astype(np.float64)

    group_sums = problem.group_target * 0.0
    grouped = problem.group >= 0
    np.add.at(group_sums, problem.group[grouped], after[grouped])
    group_account = np.repeat(np.arange(count), np.diff(problem.group_offsets))
    of_groups = (
        problem.group_penalty
        / (2 * problem.value[group_account])
        * (group_sums - problem.group_target) ** 2
    )
    cost = np.where(trade > 0, problem.buy_cost, problem.sell_cost) * size
    cash = measure_cash(problem, trade)
    gains = sold * problem.gain

    def add_segments(amounts: Floats) -> Floats:
        return np.bincount(of_segment, weights=amounts, minlength=count).astype(np.float64)

    return TermColumns(
        drift=add(problem.penalty / (2 * value) * (after - problem.target) ** 2)
        + np.bincount(group_account, weights=of_groups, minlength=count),
        cash_drag=problem.cash_penalty / (2 * problem.value) * (cash - problem.cash_target) ** 2,
        tax=add_segments(sold * tau),
        spread=add(half_spread * size),
        commission=add(cost - half_spread * size + problem.ticket_cash * traded),
        tickets=add(problem.ticket_price[account] * traded),
        impact=add(problem.impact * size**1.5),
        location=np.zeros(count),
        short_gain=add_segments(np.where(problem.is_long, 0.0, gains)),
        long_gain=add_segments(np.where(problem.is_long, gains, 0.0)),
    )
