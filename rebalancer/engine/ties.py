"""What ties the accounts of one household together: shared targets, caps, wash windows, budgets."""

from collections.abc import Iterable
from decimal import Decimal

import numpy as np

from portfolios.domain.tax import get_regime
from portfolios.domain.tax.harvest_value import compute_yearly_drag
from rebalancer.domain.kinds import BandLevel
from rebalancer.domain.policy import CapTerms, PolicyTerms
from rebalancer.engine.book import Book
from rebalancer.engine.caps import find_capped
from rebalancer.engine.centers import Centers
from rebalancer.engine.columns import CENTS, SHARE_UNITS, Floats, Ints
from rebalancer.engine.coupled.terms import Coupling
from rebalancer.engine.formulate import INSIDE_SHARE, WILLING_AT, Formulation
from rebalancer.engine.problem import Problem


def tie_household(
    book: Book,
    formulation: Formulation,
    centers: Centers,
    *,
    gains_left: float,
) -> Coupling:
    """Return what ties the accounts of a Formulation, all of one household, together.

    `gains_left` is the net gain that the year may still realise, infinite for no limit. Only a
    household that is managed together shares targets and may choose what lies where.
    """
    problem = formulation.problem
    household = book.households[book.household_index[formulation.accounts[0]]]
    policies = [book.policies[i] for i in book.policy_index[formulation.accounts]]
    rows: list[tuple[Ints, float, float]] = []
    holding_cost = np.zeros(len(problem.held))
    if household.is_together:
        rows = _share_targets(book, formulation, centers, policies[0])
        holding_cost = measure_location(book, formulation)
    caps = list(_list_caps(book, formulation, policies, is_together=household.is_together))
    washes = list(_list_washes(book, formulation))
    return Coupling(
        holding_cost=holding_cost,
        row_offsets=_offsets(len(members) for members, _target, _penalty in rows),
        row_position=_join([members for members, _target, _penalty in rows]),
        row_target=np.array([target for _members, target, _penalty in rows]),
        row_penalty=np.array([penalty for _members, _target, penalty in rows]),
        cap_offsets=_offsets(len(members) for members, _limit, _label in caps),
        cap_position=_join([members for members, _limit, _label in caps]),
        cap_max=np.array([limit for _members, limit, _label in caps]),
        cap_labels=tuple(label for _members, _limit, label in caps),
        wash_segment_offsets=_offsets(len(segments) for segments, _positions, _label in washes),
        wash_segment=_join([segments for segments, _positions, _label in washes]),
        wash_position_offsets=_offsets(len(positions) for _segments, positions, _label in washes),
        wash_position=_join([positions for _segments, positions, _label in washes]),
        wash_labels=tuple(label for _segments, _positions, label in washes),
        turnover_max=np.maximum(
            limit_turnover(book, formulation) - formulation.forced_turnover, 0.0
        ),
        gains_max=gains_left,
    )


def measure_location(book: Book, formulation: Formulation) -> Floats:
    """Return, by position, what a unit of money held there costs in tax on its income.

    The yearly drag of a taxable account, `yield * rate`, over the years that the household expects
    to hold on; nothing where income is not taxed as it comes.
    """
    problem = formulation.problem
    account = formulation.accounts[formulation.account]
    home = book.households[book.household_index[formulation.accounts[0]]]
    cost = np.zeros(len(book.securities))
    for security in np.unique(problem.security):
        row = book.securities[security]
        drag = compute_yearly_drag(
            qualified_yield=row.qualified_yield,
            ordinary_yield=row.ordinary_yield,
            realised_short=Decimal(0),
            realised_long=Decimal(0),
            rate_long=home.long_term_rate,
            rate_ordinary=home.short_term_rate,
        )
        cost[security] = float(drag * home.deferral_years)
    return np.where(book.is_taxable[account], cost[problem.security], 0.0)


def limit_turnover(book: Book, formulation: Formulation) -> Floats:
    """Return by account how much may be traded in all, in money; infinite for no limit."""
    limits = [book.policies[i].turnover_max for i in book.policy_index[formulation.accounts]]
    share = np.array([np.inf if limit is None else float(limit) for limit in limits])
    return share * formulation.problem.value


def measure_gains_left(book: Book, household: int) -> float:
    """Return the net gain that a household's year may still realise; infinite for no limit.

    A transition spreads what the legacy would gain over its years; it counts as a budget as well.
    """
    terms = book.households[household]
    so_far = float(terms.year_short_gain + terms.year_long_gain)
    limits = [np.inf if terms.gains_budget is None else float(terms.gains_budget) - so_far]
    span = slice(book.household_offsets[household], book.household_offsets[household + 1])
    policies = {int(index) for index in book.policy_index[span] if index >= 0}
    limits += [
        limit - so_far
        for limit in (
            _measure_transition(book, household, book.policies[index]) for index in policies
        )
    ]
    return max(min(limits), 0.0)


def _measure_transition(book: Book, household: int, policy: PolicyTerms) -> float:
    """Return the year's share of the gains embedded in what the models do not hold."""
    if not policy.transition_years:
        return np.inf
    regime = get_regime(book.households[household].regime)
    year = regime.tax_year(book.price_date)[0].year
    years_left = max(policy.transition_start_year + policy.transition_years - year, 1)
    accounts = np.flatnonzero(
        (book.household_index == household) & book.is_taxable & (book.model_index >= 0)
    )
    legacy = 0.0
    for account in accounts:
        wanted = {i for i, _weight in book.models[book.model_index[account]].weights}
        for lot in range(book.lot_offsets[account], book.lot_offsets[account + 1]):
            row = book.securities[book.lot_security[lot]]
            if row.security_id not in wanted and row.price is not None:
                worth = book.lot_units[lot] / SHARE_UNITS * float(row.price)
                legacy += worth - book.lot_cost_cents[lot] / CENTS
    terms = book.households[household]
    realised = float(terms.year_short_gain + terms.year_long_gain)
    return max(legacy + realised, 0.0) / years_left


def _share_targets(
    book: Book, formulation: Formulation, centers: Centers, policy: PolicyTerms
) -> list[tuple[Ints, float, float]]:
    """Return rows (members, target, penalty) for the household's securities and classes."""
    problem = formulation.problem
    penalty = float(policy.willingness) / WILLING_AT
    by_class = policy.band_level is BandLevel.ASSET_CLASS
    inside = penalty * (INSIDE_SHARE if by_class else 1.0)
    rows = []
    for security in np.unique(problem.security):
        members = np.flatnonzero(problem.security == security)
        rows.append((members, float(centers.securities[0, security]), inside))
    if by_class:
        classes = book.class_index[problem.security]
        for group in np.unique(classes):
            members = np.flatnonzero(classes == group)
            rows.append((members, float(centers.classes[0, group]), penalty))
    return rows


def _list_caps(
    book: Book, formulation: Formulation, policies: list[PolicyTerms], *, is_together: bool
) -> Iterable[tuple[Ints, float, str]]:
    """Yield (members, limit, label); what is over its cap already must only not grow."""
    problem = formulation.problem
    everyone = np.ones(len(problem.held), np.bool_)
    scopes: list[tuple[np.ndarray, float, tuple[CapTerms, ...]]] = (
        [(everyone, float(problem.value.sum()), policies[0].caps)]
        if is_together
        else [
            (formulation.account == row, float(problem.value[row]), policy.caps)
            for row, policy in enumerate(policies)
        ]
    )
    for mine, value, caps in scopes:
        for cap in caps:
            members = np.flatnonzero(mine & np.isin(problem.security, find_capped(book, cap)))
            if len(members):
                limit = max(float(cap.max_weight) * value, _measure_stuck(problem, members))
                yield members, limit, f"at most {cap.max_weight:.0%} in {cap.name}"


def _measure_stuck(problem: Problem, members: Ints) -> float:
    """Return what stays of some positions when all that may be sold is sold, money."""
    starts, stops = problem.segment_offsets[members], problem.segment_offsets[members + 1]
    sellable = sum(problem.amount[a:b].sum() for a, b in zip(starts, stops, strict=True))
    return float(problem.held[members].sum() - sellable)


def _list_washes(book: Book, formulation: Formulation) -> Iterable[tuple[Ints, Ints, str]]:
    """Yield, by group of identical securities, losses that may be taken and what may be bought."""
    problem = formulation.problem
    owner = np.repeat(np.arange(len(problem.held)), np.diff(problem.segment_offsets))
    group = book.group_index[problem.security]
    losing = formulation.is_loss
    for number in np.unique(group[owner[losing]]):
        segments = np.flatnonzero(losing & (group[owner] == number))
        positions = np.flatnonzero((group == number) & (problem.buy_max > 0))
        if len(positions):
            symbol = book.securities[problem.security[owner[segments[0]]]].symbol
            yield segments, positions, symbol


def _offsets(counts: Iterable[int]) -> Ints:
    return np.concatenate([[0], np.cumsum(list(counts))]).astype(np.int64)


def _join(parts: list[Ints]) -> Ints:
    return np.concatenate([*parts, np.zeros(0)]).astype(np.int64)
