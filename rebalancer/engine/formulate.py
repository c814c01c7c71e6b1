"""From a Book to the optimisation problem: what each account may trade, at what price, and why.

The drift of a security is priced so that at five points off its target the owner pays the policy's
`willingness`, tax included, per unit traded to correct it. Where bands are laid around asset
classes the class carries that price and its securities a tenth of it; where losses are harvested, a
security and what may stand in for it share one group.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rebalancer.domain.kinds import BandLevel, Mode
from rebalancer.domain.policy import PolicyTerms
from rebalancer.engine.book import Book
from rebalancer.engine.centers import Centers
from rebalancer.engine.columns import SHARE_UNITS, Bools, Floats, Ints
from rebalancer.engine.drift import join_households
from rebalancer.engine.lot_order import prescribe_order
from rebalancer.engine.netting.plan import sum_segments
from rebalancer.engine.problem import Problem
from rebalancer.engine.segments import Segments
from rebalancer.engine.sleeves import index_sleeves
from rebalancer.engine.subproblem import Selection, label_rows, select_households
from rebalancer.engine.targets import Targets

# The willingness of a policy is meant at this distance from target.
WILLING_AT = 0.05
# What a distance costs inside a group, against what the group's own distance costs.
INSIDE_SHARE = 0.1
STAND_IN_SHARE = 0.001
TRADING_DAYS = 252
# Where nothing may be bought, cash that sales bring is no drift; not quite nothing, so that the
# price of cash is defined.
SOLD_CASH_SHARE = 1e-6
# So that a plan that leaves exactly what is required is not lost to the last bit of a float.
UNDER_A_CENT = 0.004
# So much of one security is never bought at once: its 1e-8 shares must fit in 64 bits, twice over.
UNITS_MAX = 2**61


@dataclass(frozen=True)
class Formulation:
    """A Problem with what its solution must be read by.

    `problem` is the whole; `to_solve` has the exclusions sold already, as they are whatever it
    costs. Both have the same positions.
    """

    problem: Problem
    to_solve: Problem
    accounts: Ints  # Book account by Problem account
    account: Ints  # Problem account by position
    forced: Bools  # [positions] sold whatever it costs
    is_partner: Bools  # [positions] may only stand in for something sold at a loss
    is_loss: Bools  # [segments] sold, it may not be bought again for a while
    is_harvest: Bools  # [segments] a loss worth taking by itself

    @property
    def forced_turnover(self) -> Floats:
        """Return by account what must be sold, money."""
        gone = self.problem.amount - self.to_solve.amount
        return sum_segments(self.problem, gone)

    @property
    def forced_gain(self) -> float:
        """Return the gain that what must be sold realises, money."""
        gone = self.problem.amount - self.to_solve.amount
        return float((gone * self.problem.gain).sum())


def formulate(
    book: Book,
    targets: Targets,
    centers: Centers,
    segments: Segments,
    accounts: Ints,
    modes: list[Mode],
) -> Formulation:
    """Return the Problem of these accounts (in Book order, none of them blocked)."""
    row_of = np.full(book.account_count, -1)
    row_of[accounts] = np.arange(len(accounts))
    held = np.nan_to_num(book.held_values[accounts])
    partner = _find_partners(book, segments, row_of, centers)
    involved = (held > 0) | (centers.securities > 0) | partner
    account, security = np.nonzero(involved)
    # Only what is wanted is bought, however well its share step would round.
    is_wanted = join_households(book, targets.weights)[accounts] > 0
    position = np.full(involved.shape, -1)
    position[account, security] = np.arange(len(account))

    segment_position = position[
        row_of[book.lot_account[segments.lot]], book.lot_security[segments.lot]
    ]
    harvest_only = np.array([mode is Mode.HARVEST_ONLY for mode in modes], np.bool_)
    may_sell = centers.may_sell[account, security]
    usable = may_sell[segment_position] & (
        segments.is_harvest | ~harvest_only[account[segment_position]]
    )
    order = np.flatnonzero(usable)[np.argsort(segment_position[usable], kind="stable")]
    segment_position = segment_position[order]

    policies = [book.policies[index] for index in book.policy_index[accounts]]
    homes = [book.households[index] for index in book.household_index[accounts]]
    value = book.values[accounts]
    joined = join_households(book, book.values)[accounts]
    penalty = np.array([float(row.willingness) for row in policies]) / WILLING_AT
    groups = _build_groups(book, centers, policies, penalty, is_wanted, account, security)
    commission = np.array([float(row.commission_bps) / 1e4 for row in policies])
    cost = book.half_spread[security] + commission[account]
    taxable = book.is_taxable[accounts]
    cash = book.cash[accounts]
    counts = np.bincount(account, minlength=len(accounts))
    sells_only = np.array([mode is Mode.SELL_ONLY for mode in modes], np.bool_)
    problem = Problem(
        household_offsets=_household_offsets(book, accounts),
        value=value,
        cash=cash,
        cash_min=targets.required_cash[accounts] - UNDER_A_CENT,
        cash_target=centers.cash * value / joined,
        cash_penalty=penalty * np.where(sells_only, SOLD_CASH_SHARE, 1.0),
        ticket_price=np.array([float(row.ticket_price) for row in policies]),
        short_rate=np.where(taxable, [float(row.short_term_rate) for row in homes], 0.0),
        long_rate=np.where(taxable, [float(row.long_term_rate) for row in homes], 0.0),
        position_offsets=np.concatenate([[0], np.cumsum(counts)]),
        security=security,
        held=held[account, security],
        buy_cost=cost,
        sell_cost=cost,
        ticket_cash=np.array([float(row.commission_fixed) for row in policies])[account],
        impact=_measure_impact(book)[security],
        smallest=np.array([max(float(row.min_trade_amount), 0.01) for row in policies])[account],
        step=book.step_units[security] / SHARE_UNITS * np.nan_to_num(book.prices[security]),
        buy_max=np.where(
            centers.may_buy[account, security]
            & (is_wanted[account, security] | partner[account, security])
            & (~harvest_only[account] | partner[account, security]),
            # Nobody buys for more than all that an account is worth.
            np.minimum(
                UNITS_MAX / SHARE_UNITS * np.nan_to_num(book.prices[security]), value[account]
            ),
            0.0,
        ),
        segment_offsets=_offsets(segment_position, len(account)),
        lot=segments.lot[order],
        amount=segments.amount[order],
        gain=segments.gain[order],
        is_long=segments.is_long[order],
        waiting=segments.waiting[order],
        **groups,
    )
    problem = prescribe_order(book, problem, [row.lot_method for row in policies])
    forced = centers.must_leave[account, security]
    washed = _find_undone(book, accounts, problem, account, forced, segments.is_loss[order])
    problem = replace(problem, buy_max=np.where(washed, 0.0, problem.buy_max))
    return Formulation(
        problem=problem,
        to_solve=_sell_forced(problem, account, forced),
        accounts=accounts,
        account=account,
        forced=forced,
        is_partner=partner[account, security] & (held[account, security] <= 0),
        is_loss=segments.is_loss[order],
        is_harvest=segments.is_harvest[order],
    )


def select_household(formulation: Formulation, household: int) -> tuple[Formulation, Selection]:
    """Return one household of a Formulation as a Formulation of its own."""
    problem, selection = select_households(formulation.problem, np.array([household]))
    to_solve, _selection = select_households(formulation.to_solve, np.array([household]))
    return (
        Formulation(
            problem=problem,
            to_solve=to_solve,
            accounts=formulation.accounts[selection.accounts],
            account=label_rows(problem.position_offsets),
            forced=formulation.forced[selection.positions],
            is_partner=formulation.is_partner[selection.positions],
            is_loss=formulation.is_loss[selection.segments],
            is_harvest=formulation.is_harvest[selection.segments],
        ),
        selection,
    )


def _offsets(index: Ints, count: int) -> Ints:
    return np.concatenate([[0], np.cumsum(np.bincount(index, minlength=count))]).astype(np.int64)


def _household_offsets(book: Book, accounts: Ints) -> Ints:
    homes = book.household_index[accounts]
    starts = np.flatnonzero(np.diff(homes, prepend=-1))
    return np.append(starts, len(accounts)).astype(np.int64)


def _find_partners(book: Book, segments: Segments, row_of: Ints, centers: Centers) -> Bools:
    """Return [accounts, securities]: the best buyable substitute of each loss worth taking."""
    partner = np.zeros(centers.may_buy.shape, np.bool_)
    lots = segments.lot[segments.is_harvest]
    pairs = np.unique(np.column_stack([book.lot_account[lots], book.lot_security[lots]]), axis=0)
    for account, security in pairs.tolist():
        for security_id in book.substitutes_of(account, security):
            substitute = book.index_of_security.get(security_id)
            if (
                substitute is not None
                and centers.may_buy[row_of[account], substitute]
                and book.group_index[substitute] != book.group_index[security]
            ):
                partner[row_of[account], substitute] = True
                break
    return partner


def _build_groups(
    book: Book,
    centers: Centers,
    policies: list[PolicyTerms],
    penalty: Floats,
    is_wanted: Bools,
    account: Ints,
    security: Ints,
) -> dict[str, Any]:
    """Return group columns: asset classes, or sleeves of a security and its substitutes.

    What stands alone in its group needs none: it carries the group's target and price itself.
    """
    by_class = np.array([row.band_level is BandLevel.ASSET_CLASS for row in policies], np.bool_)
    harvests = np.array([row.harvests_losses for row in policies], np.bool_)
    classes, sleeve = len(book.class_names), index_sleeves(book)
    label = np.where(
        by_class[account],
        book.class_index[security],
        np.where(harvests[account], sleeve[security] + classes, -1),
    )
    key = account * (classes + len(book.securities)) + label
    kinds, place, counts = np.unique(key, return_inverse=True, return_counts=True)
    in_group = (label >= 0) & (counts[place] > 1)
    kinds, place = np.unique(key[in_group], return_inverse=True)
    group = np.full(len(account), -1)
    group[in_group] = place
    group_account, group_label = np.divmod(kinds, classes + len(book.securities))

    center = centers.securities[account, security]
    of_class = centers.classes[account, np.minimum(label, classes - 1)]
    is_alone = by_class[account] & ~in_group
    # What stands in for a wanted security does nearly as well: going back must cost nearly nothing.
    shared = (sleeve[:, None] == sleeve[None, :]).astype(np.float64)
    has_wanted = is_wanted.astype(np.float64) @ shared > 0
    stands_in = has_wanted[account, security] & ~is_wanted[account, security]
    inside = np.where(stands_in, STAND_IN_SHARE, INSIDE_SHARE)
    sums = np.bincount(place, weights=center[in_group], minlength=len(kinds))
    is_class = group_label < classes
    at_class = np.where(is_class, group_label, 0)
    return {
        "group": group,
        "group_offsets": _offsets(group_account, len(policies)),
        "group_target": np.where(is_class, centers.classes[group_account, at_class], sums),
        "group_penalty": penalty[group_account],
        "target": np.where(is_alone, of_class, center),
        "penalty": penalty[account] * np.where(in_group, inside, 1.0),
    }


def _measure_impact(book: Book) -> Floats:
    """Return c of c |d|^(3/2) by security: daily volatility over the root of a day's volume."""
    impact = np.zeros(len(book.securities))
    for index, row in enumerate(book.securities):
        if row.daily_volume and row.volatility is not None and row.price is not None:
            daily = float(row.volatility) / TRADING_DAYS**0.5
            impact[index] = daily / float(row.daily_volume * row.price) ** 0.5
    return impact


def _find_undone(
    book: Book, accounts: Ints, problem: Problem, account: Ints, forced: Bools, is_loss: Bools
) -> Bools:
    """Return the positions whose purchase would undo a loss that has to be realised."""
    owner = label_rows(problem.segment_offsets)
    losing = np.bincount(owner, weights=is_loss, minlength=len(forced)) > 0
    key = book.household_index[accounts[account]] * len(book.securities)
    key += book.group_index[problem.security]
    return np.isin(key, key[forced & losing])


def _sell_forced(problem: Problem, account: Ints, forced: Bools) -> Problem:
    if not forced.any():
        return problem
    starts = problem.segment_offsets[:-1]
    sums = np.add.reduceat(np.append(problem.amount, 0.0), starts) * (
        np.diff(problem.segment_offsets) > 0
    )
    proceeds = np.where(
        forced & (sums > 0), sums * (1 - problem.sell_cost) - problem.ticket_cash, 0.0
    )
    cash = problem.cash.copy()
    np.add.at(cash, account, proceeds)
    of_segment = np.repeat(np.arange(len(account)), np.diff(problem.segment_offsets))
    return replace(
        problem,
        cash=cash,
        held=np.where(forced, problem.held - sums, problem.held),
        buy_max=np.where(forced, 0.0, problem.buy_max),
        amount=np.where(forced[of_segment], 0.0, problem.amount),
    )
