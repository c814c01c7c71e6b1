"""The convex kernel on random accounts: against Clarabel, and what must always hold."""

import numpy as np
import pytest

from rebalancer.engine.kernel.solve import solve_convex
from tests.rebalancer.engine.random_problems import draw_problem, replace_columns
from tests.rebalancer.engine.reference import measure_cash, measure_objective, solve_with_clarabel

BPS = 1e4


def draw_convex(seed, accounts=25, **options):
    return draw_problem(
        seed, accounts=accounts, has_losses=False, has_tickets=False, has_smallest=False, **options
    )


def drop_penalties(problem, every=3):
    """Let the groups alone hold every so many positions: linear ones, whose answers jump."""
    penalty = problem.penalty.copy()
    penalty[::every] = 0
    return replace_columns(problem, penalty=penalty)


@pytest.mark.parametrize(
    "problem",
    [
        pytest.param(draw_convex(1, accounts=60), id="plain"),
        pytest.param(draw_convex(2, positions=20), id="twenty_positions"),
        pytest.param(draw_convex(3, has_impact=True), id="impact"),
        pytest.param(draw_convex(4, groups=4), id="groups"),
        pytest.param(draw_convex(5, groups=3, has_impact=True), id="groups_and_impact"),
        pytest.param(drop_penalties(draw_convex(6, groups=4)), id="held_by_groups_alone"),
    ],
)
def test_agrees_with_clarabel(problem):
    solution = solve_convex(problem)
    for account in range(problem.account_count):
        reference = solve_with_clarabel(problem, account)
        excess = (solution.objective[account] - reference.objective) / problem.value[account]
        assert abs(excess) * BPS < 1e-7
        assert solution.objective[account] == pytest.approx(
            measure_objective(problem, account, solution.trade), rel=1e-12, abs=1e-9
        )
    certificate = (solution.objective - solution.bound) / problem.value * BPS
    assert certificate.min() >= 0
    assert certificate.max() < 1e-8


def test_partner_switch_is_exact():
    """A security sold at a loss and its partner, in one group: the sleeve's switch."""
    problem = draw_convex(7, accounts=40, positions=8, groups=4)
    is_primary = np.arange(len(problem.held)) % 2 == 0
    owner = np.repeat(np.arange(len(problem.held)), np.diff(problem.segment_offsets))
    sellable = is_primary[owner]
    counts = np.bincount(owner[sellable], minlength=len(problem.held))
    sleeve = np.repeat(np.arange(40 * 4), 2)
    held, target = problem.held, problem.target
    paired = replace_columns(
        problem,
        group=sleeve,
        group_target=np.bincount(sleeve, target),
        group_penalty=problem.penalty[::2].copy(),
        penalty=np.zeros(len(held)),
        buy_max=np.where(is_primary, 0.0, np.inf),
        segment_offsets=np.concatenate([[0], np.cumsum(counts)]),
        lot=problem.lot[sellable],
        amount=problem.amount[sellable],
        gain=problem.gain[sellable] - 0.25,
        is_long=problem.is_long[sellable],
        waiting=problem.waiting[sellable],
    )
    solution = solve_convex(paired)
    switched = (solution.trade[::2] < 0) & (solution.trade[1::2] > 0)
    assert switched.sum() > 40
    for account in range(40):
        reference = solve_with_clarabel(paired, account)
        excess = (solution.objective[account] - reference.objective) / problem.value[account]
        assert abs(excess) * BPS < 1e-6


def test_prices_of_gain_and_turnover_decide_but_do_not_count():
    problem = draw_convex(8)
    free = solve_convex(problem)
    priced = solve_convex(problem, gain_price=np.full(25, 0.01), turnover_price=np.full(25, 0.002))
    for account in range(25):
        measured = measure_objective(problem, account, priced.trade)
        assert priced.cash[account] == pytest.approx(measure_cash(problem, account, priced.trade))
        # The order of selling is that of the priced tax, so it may cost more than the cheapest.
        assert priced.objective[account] >= measured - 1e-9
    assert (priced.objective >= free.objective - 1e-9).all()
    assert np.abs(priced.trade).sum() < np.abs(free.trade).sum()
    by_hand = replace_columns(
        problem, buy_cost=problem.buy_cost, sell_cost=problem.sell_cost, waiting=problem.waiting
    )
    own_tau = solve_convex(by_hand, tau=problem.tau() + 0.01 * problem.gain)
    gain_only = solve_convex(problem, gain_price=np.full(25, 0.01))
    assert own_tau.trade == pytest.approx(gain_only.trade, abs=1e-6)


def test_money_has_no_unit():
    problem = draw_convex(9, groups=3)
    money = {
        name: getattr(problem, name) * 1e3
        for name in ("value", "cash", "cash_min", "cash_target", "group_target", "held", "target")
    }
    money |= {name: getattr(problem, name) * 1e3 for name in ("amount", "buy_max", "step")}
    scaled = replace_columns(problem, **money)
    assert solve_convex(scaled).trade == pytest.approx(
        solve_convex(problem).trade * 1e3, rel=1e-8, abs=1e-4
    )


def test_nothing_to_do_at_the_target():
    problem = draw_convex(10, groups=3)
    members = problem.group
    still = replace_columns(
        problem,
        target=problem.held,
        cash_target=problem.cash,
        cash_min=np.minimum(problem.cash, 0),
        group_target=np.bincount(members, problem.held, minlength=len(problem.group_target)),
    )
    assert not solve_convex(still).trade.any()
    assert solve_convex(still).objective == pytest.approx(np.zeros(25), abs=1e-12)


def test_trading_again_changes_nothing():
    problem = draw_convex(11)
    untaxed = replace_columns(problem, gain=np.zeros(len(problem.gain)))
    solution = solve_convex(untaxed)
    share = 1 + solution.trade / np.where(problem.held > 0, problem.held, 1)
    lots = np.repeat(np.minimum(share, 1), np.diff(problem.segment_offsets))
    after = replace_columns(
        untaxed,
        held=problem.held + solution.trade,
        cash=solution.cash,
        amount=problem.amount * lots,
    )
    money = np.repeat(problem.value, 12)
    assert (np.abs(solve_convex(after).trade) <= 1e-9 * money).all()


def test_cash_that_cannot_be_raised_sells_all_that_may_be_sold():
    problem = draw_convex(12, accounts=3)
    short = replace_columns(problem, cash_min=problem.value * 2)
    solution = solve_convex(short)
    sellable = np.add.reduceat(np.append(problem.amount, 0), problem.segment_offsets[:-1]) * (
        np.diff(problem.segment_offsets) > 0
    )
    assert solution.trade == pytest.approx(-sellable)
    assert (solution.cash < short.cash_min).all()
    assert np.isneginf(solution.bound).all()


def test_cash_without_a_target_is_never_spent_for_its_own_sake():
    problem = draw_convex(13)
    free = replace_columns(problem, cash_penalty=np.zeros(25))
    solution = solve_convex(free)
    assert (solution.multiplier >= 0).all()
    assert (solution.multiplier == 0).any()
    for account in range(25):
        reference = solve_with_clarabel(free, account)
        excess = (solution.objective[account] - reference.objective) / problem.value[account]
        assert abs(excess) * BPS < 1e-7
