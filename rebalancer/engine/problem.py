"""The optimisation problem of many accounts at once, as flat arrays: what every solver reads.

Positions (an account's securities) lie in account order, segments (their lots, as tax law sees
them) in position order; the positions of account `a` are
`position_offsets[a]:position_offsets[a + 1]`. All amounts are money, all costs and rates fractions.

For each account the solvers minimise, in money,

    sum_i penalty_i / (2 V) (held_i + d_i - target_i)^2            drift of each security
  + sum_g group_penalty_g / (2 V) (sum_{i in g} held_i + d_i - group_target_g)^2   of each group
  + cash_penalty / (2 V) (C - cash_target)^2                        idle or missing cash
  + sum_segments tau_l s_l                                          tax, less what waiting saves
  + sum_i buy_cost_i b_i + sell_cost_i s_i                          half spread and commission
  + sum_i (ticket_cash_i + ticket_price) [d_i != 0]                 per ticket
  + sum_i impact_i |d_i|^(3/2)                                      market impact

over d_i = b_i (bought) or -s_i (sold, the segments in order of tau), where

    C = cash - sum_i [ b_i (1 + buy_cost_i) - s_i (1 - sell_cost_i) + ticket_cash_i [d_i != 0] ]
    C >= cash_min,   0 <= b_i <= buy_max_i,   0 <= s_i <= sum of the position's segments,
    |d_i| a whole number of steps, or the whole holding sold;
    |d_i| >= smallest_i, or the whole holding sold;   tau_l = gain_l * rate(is_long_l) - waiting_l.
"""

from dataclasses import dataclass

import numpy as np

from rebalancer.engine.columns import Bools, Floats, Ints


@dataclass(frozen=True)
class Problem:
    """Accounts with positions, groups and segments; see the module for what each number does."""

    # By household: accounts that share one tax return lie next to each other.
    household_offsets: Ints  # [households + 1], into accounts
    # By account.
    value: Floats  # V > 0
    cash: Floats  # C before trading
    cash_min: Floats
    cash_target: Floats
    cash_penalty: Floats
    ticket_price: Floats  # what one ticket fewer is worth; no cash moves
    short_rate: Floats  # tax on a short-term gain; 0 where the account is not taxed
    long_rate: Floats
    position_offsets: Ints  # [accounts + 1]
    group_offsets: Ints  # [accounts + 1]
    # By group: an asset class, or a security with what may stand in for it.
    group_target: Floats
    group_penalty: Floats
    # By position.
    security: Ints  # index into the Book's securities
    group: Ints  # index into the groups of the whole Problem; -1: none
    held: Floats
    target: Floats
    penalty: Floats
    buy_cost: Floats
    sell_cost: Floats
    ticket_cash: Floats
    impact: Floats
    smallest: Floats  # smallest trade
    step: Floats  # money of one share step, > 0
    buy_max: Floats  # 0: may not be bought
    segment_offsets: Ints  # [positions + 1]
    # By segment.
    lot: Ints  # index into the Book's lots
    amount: Floats  # money of the lot that may be sold
    gain: Floats  # gain per unit of money sold; negative: a loss; 0 where not taxed
    is_long: Bools
    waiting: Floats  # what selling later would save or cost per unit of money sold

    @property
    def account_count(self) -> int:
        """Return how many accounts there are."""
        return len(self.value)

    def tau(self) -> Floats:
        """Return the price of selling each segment at the accounts' own rates."""
        account = np.repeat(np.arange(self.account_count), np.diff(self.position_offsets))
        of_segment = np.repeat(account, np.diff(self.segment_offsets))
        rate = np.where(self.is_long, self.long_rate[of_segment], self.short_rate[of_segment])
        tau: Floats = self.gain * rate - self.waiting
        return tau


@dataclass(frozen=True)
class Solution:
    """Trades of every position, and by account what they cost and how near the best they are."""

    trade: Floats  # [positions] money, negative: sold
    steps: Ints  # [positions] whole steps traded; 0 where `is_exit`
    is_exit: Bools  # [positions] the whole holding is sold
    cash: Floats  # [accounts] after trading
    objective: Floats  # [accounts] J
    bound: Floats  # [accounts] no plan costs less; -inf where none is known
    multiplier: Floats  # [accounts] mu, the price of cash


def measure_cash(problem: Problem, trade: Floats) -> Floats:
    """Return the cash of each account after trading, in money."""
    account = np.repeat(np.arange(problem.account_count), np.diff(problem.position_offsets))
    flow = np.maximum(trade, 0) * (1 + problem.buy_cost)
    flow -= np.maximum(-trade, 0) * (1 - problem.sell_cost)
    flow += problem.ticket_cash * (trade != 0)
    spent = np.bincount(account, weights=flow, minlength=problem.account_count)
    cash: Floats = problem.cash - spent
    return cash
