"""Drift by full covariance: against Clarabel and SCIP, and the promises that need no reference."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebalancer.engine.covariance.solve import solve_covariance
from tests.rebalancer.engine.random_problems import draw_problem, replace_columns
from tests.rebalancer.engine.reference_covariance import (
    draw_matrices,
    measure_with_covariance,
    relax_with_clarabel,
    solve_covariance_with_scip,
)
from tests.rebalancer.engine.reference_measure import is_feasible, measure_cash

BPS = 1e4


def draw(seed, *, accounts, **options):
    problem = draw_problem(seed, accounts=accounts, **options)
    return problem, draw_matrices(seed + 1000, problem)


def in_bps(money, problem):
    return np.asarray(money) / problem.value * BPS


def relax_all(problem, matrices):
    return np.array([relax_with_clarabel(problem, a, m) for a, m in enumerate(matrices)])


def measure_all(problem, matrices, trade):
    return [measure_with_covariance(problem, a, m, trade) for a, m in enumerate(matrices)]


def without_tickets(problem):
    return replace_columns(problem, ticket_cash=0 * problem.ticket_cash)


# --- Fractions of shares -------------------------------------------------------------------------


@pytest.mark.parametrize("positions", [3, 12, 25])
def test_fractions_cost_what_clarabel_finds_and_the_bound_proves_it(positions):
    problem, matrices = draw(1, accounts=25, positions=positions, has_losses=False)
    solution = solve_covariance(problem, matrices, is_discrete=False)
    excess = in_bps(solution.objective - relax_all(problem, matrices), problem)
    assert np.abs(excess).max() < 1e-6  # Clarabel's own accuracy
    assert in_bps(solution.objective - solution.bound, problem).max() < 1e-7
    plain = without_tickets(problem)
    assert solution.objective == pytest.approx(measure_all(plain, matrices, solution.trade))
    for account in range(problem.account_count):
        cash = measure_cash(plain, account, solution.trade)
        assert cash == pytest.approx(solution.cash[account])
        assert cash >= problem.cash_min[account] - 1e-9 * problem.value[account]


def test_market_impact_costs_what_clarabel_finds():
    problem, matrices = draw(2, accounts=15, positions=8, has_losses=False, has_impact=True)
    problem = replace_columns(problem, impact=20 * problem.impact)
    solution = solve_covariance(problem, matrices, is_discrete=False)
    excess = in_bps(solution.objective - relax_all(problem, matrices), problem)
    assert np.abs(excess).max() < 1e-6
    assert in_bps(solution.objective - solution.bound, problem).max() < 1e-7


def test_losses_worth_a_round_trip_are_bounded_by_the_relaxation():
    problem, matrices = draw(3, accounts=40)
    solution = solve_covariance(problem, matrices, is_discrete=False)
    relaxed = relax_all(problem, matrices)
    assert np.abs(in_bps(solution.bound - relaxed, problem)).max() < 1e-6
    assert (in_bps(solution.objective - solution.bound, problem) > 1).any()  # the case is there
    plain = without_tickets(problem)
    assert solution.objective == pytest.approx(measure_all(plain, matrices, solution.trade))


def test_losses_take_the_better_side_of_every_security():
    problem, matrices = draw(4, accounts=12, positions=4)
    solution = solve_covariance(problem, matrices, is_discrete=False)
    excess = []
    for account in range(problem.account_count):
        rows = np.arange(4 * account, 4 * account + 4)
        best = np.inf
        for sides in product((False, True), repeat=4):
            buy_max, amount = problem.buy_max.copy(), problem.amount.copy()
            for row, is_buy in zip(rows, sides, strict=True):
                if is_buy:
                    amount[slice(*problem.segment_offsets[row : row + 2])] = 0.0
                else:
                    buy_max[row] = 0.0
            one_sided = replace_columns(problem, buy_max=buy_max, amount=amount)
            if measure_most_cash(one_sided, account) >= problem.cash_min[account]:
                best = min(best, relax_with_clarabel(one_sided, account, matrices[account]))
        excess.append((solution.objective[account] - best) / problem.value[account] * BPS)
    assert min(excess) > -1e-6
    assert np.mean(np.array(excess) < 1e-6) >= 0.9


def measure_most_cash(problem, account):
    rows = range(*problem.position_offsets[account : account + 2])
    proceeds = [
        problem.amount[slice(*problem.segment_offsets[i : i + 2])].sum()
        * (1 - problem.sell_cost[i])
        for i in rows
    ]
    return problem.cash[account] + sum(proceeds)


def test_copies_of_one_security_and_riskless_ones_have_an_optimum_too():
    problem, _ = draw(5, accounts=12, positions=6, has_losses=False)
    loads = np.array([[0.15], [0.15], [0.15], [0.0], [0.0], [0.05]])
    matrices = [2 * loads @ loads.T] * 12
    solution = solve_covariance(problem, matrices, is_discrete=False)
    excess = in_bps(solution.objective - relax_all(problem, matrices), problem)
    assert np.abs(excess).max() < 1e-5
    whole = solve_covariance(problem, matrices)
    assert all(is_feasible(problem, a, whole.trade) for a in range(12))
    nothing = solve_covariance(problem, [np.zeros((6, 6))] * 12, is_discrete=False)
    assert in_bps(nothing.objective - nothing.bound, problem).max() < 1e-6


def test_idle_cash_may_be_free():
    problem, matrices = draw(6, accounts=20, positions=6, has_losses=False)
    problem = replace_columns(problem, cash_penalty=np.zeros(20))
    solution = solve_covariance(problem, matrices, is_discrete=False)
    excess = in_bps(solution.objective - relax_all(problem, matrices), problem)
    assert np.abs(excess).max() < 1e-6
    assert (solution.multiplier >= 0).all()
    assert in_bps(solution.objective - solution.bound, problem).max() < 1e-6


def test_a_diagonal_matrix_gives_what_the_separable_kernel_gives():
    kernel = pytest.importorskip("rebalancer.engine.kernel.solve")
    problem, _ = draw(7, accounts=30, has_losses=False)
    spans = zip(problem.position_offsets[:-1], problem.position_offsets[1:], strict=True)
    matrices = [np.diag(problem.penalty[start:end]) for start, end in spans]
    ours = solve_covariance(problem, matrices, is_discrete=False)
    theirs = kernel.solve_convex(without_tickets(problem))
    assert np.abs(ours.trade - theirs.trade).max() < 1e-6 * problem.value.max()
    assert np.abs(in_bps(ours.objective - theirs.objective, problem)).max() < 1e-6
    whole, theirs_whole = solve_covariance(problem, matrices), kernel.solve_discrete(problem)
    assert np.mean(in_bps(whole.objective - theirs_whole.objective, problem)) < 0.01


# --- Whole steps ---------------------------------------------------------------------------------


def test_whole_steps_come_close_to_the_proved_optimum():
    problem, matrices = draw(8, accounts=24, positions=6, whole_share=0.7)
    solution = solve_covariance(problem, matrices)
    excess = []
    for account, matrix in enumerate(matrices):
        answer = solve_covariance_with_scip(problem, account, matrix)
        assert answer is not None
        _trade, objective, proved = answer
        scale = BPS / problem.value[account]
        assert solution.bound[account] * scale < objective * scale + 1e-3
        # SCIP's tolerance lets it look a shade too good.
        assert solution.objective[account] * scale > proved * scale - 1e-3
        excess.append((solution.objective[account] - objective) * scale)
    assert np.mean(excess) < 0.05
    assert np.mean(np.array(excess) < 0.01) > 0.8


@pytest.mark.parametrize("seed", [9, 10])
def test_whole_plans_keep_every_limit_and_no_random_plan_is_better(seed):
    problem, matrices = draw(seed, accounts=40, positions=8, has_impact=True)
    solution = solve_covariance(problem, matrices)
    rng = np.random.default_rng(seed)
    assert solution.objective == pytest.approx(measure_all(problem, matrices, solution.trade))
    assert (solution.bound <= solution.objective + 1e-9 * problem.value).all()
    steps = np.where(solution.is_exit, 0, solution.steps) * problem.step
    assert np.where(solution.is_exit, -problem.held, steps) == pytest.approx(solution.trade)
    for account, matrix in enumerate(matrices):
        assert is_feasible(problem, account, solution.trade)
        assert solution.cash[account] >= problem.cash_min[account]
        for scale in (0, *rng.uniform(0, 2, 8)):
            noise = rng.normal(0, 1, len(solution.trade)) * (scale * problem.step)
            other = np.round((scale > 0) * (solution.trade + noise) / problem.step) * problem.step
            if is_feasible(problem, account, other, tolerance=1e-9):
                cost = measure_with_covariance(problem, account, matrix, other)
                assert solution.objective[account] <= cost + 1e-7 * problem.value[account]
                assert solution.bound[account] <= cost + 1e-9 * problem.value[account]


def test_every_account_is_solved_alone_to_the_byte():
    problem, matrices = draw(11, accounts=6)
    together = solve_covariance(problem, matrices)
    assert together.trade.any()
    for account in range(6):
        rows = slice(*problem.position_offsets[account : account + 2])
        alone = solve_covariance(take_account(problem, account), [matrices[account]])
        assert alone.trade.tobytes() == together.trade[rows].tobytes()
        assert alone.bound[0] == together.bound[account]


def take_account(problem, account):
    rows = np.arange(*problem.position_offsets[account : account + 2])
    segments = np.arange(*problem.segment_offsets[[rows[0], rows[-1] + 1]])
    by_account = "value cash cash_min cash_target cash_penalty ticket_price short_rate long_rate"
    by_segment = "lot amount gain is_long waiting"
    by_position = (
        "security group held target penalty buy_cost sell_cost ticket_cash impact smallest step "
        "buy_max"
    )
    columns = {name: getattr(problem, name)[[account]] for name in by_account.split()}
    columns |= {name: getattr(problem, name)[rows] for name in by_position.split()}
    columns |= {name: getattr(problem, name)[segments] for name in by_segment.split()}
    ends = problem.segment_offsets[rows[0] : rows[-1] + 2]
    return replace(
        problem,
        household_offsets=np.array([0, 1]),
        position_offsets=np.array([0, len(rows)]),
        group_offsets=np.array([0, 0]),
        segment_offsets=ends - ends[0],
        **columns,
    )


def test_a_list_and_one_flat_array_are_the_same():
    problem, matrices = draw(12, accounts=5)
    flat = np.concatenate([m.ravel() for m in matrices])
    in_list, as_flat = solve_covariance(problem, matrices), solve_covariance(problem, flat)
    assert in_list.trade.tobytes() == as_flat.trade.tobytes()


def test_at_the_target_nothing_is_traded():
    problem, matrices = draw(13, accounts=10)
    problem = replace_columns(
        problem,
        target=problem.held,
        cash_target=problem.cash,
        cash_min=np.zeros(10),
        cash=np.abs(problem.cash),
        gain=np.abs(problem.gain),
    )
    problem = replace_columns(problem, cash_target=problem.cash)
    solution = solve_covariance(problem, matrices)
    assert not solution.trade.any()
    assert solution.objective == pytest.approx(np.zeros(10))


def test_solving_again_after_the_trades_finds_nothing_more_to_do():
    problem, matrices = draw(14, accounts=20, has_losses=False, has_tickets=False)
    first = solve_covariance(problem, matrices, is_discrete=False)
    lots = np.flatnonzero(problem.held > 0)
    # What is left is one lot without gain or loss: selling it costs the spread only, which is
    # still enough to keep a plan that was worth its spread from being undone.
    held = problem.held + first.trade
    offsets = np.concatenate([[0], np.cumsum(held > 1e-9)])
    count = int(offsets[-1])
    after = replace_columns(
        problem,
        held=held,
        cash=first.cash,
        segment_offsets=offsets,
        lot=np.arange(count),
        amount=held[held > 1e-9],
        gain=np.full(count, 1.0),
        is_long=np.zeros(count, bool),
        waiting=np.zeros(count),
        short_rate=np.full(20, 0.5),
    )
    again = solve_covariance(after, matrices, is_discrete=False)
    assert len(lots) > 0
    assert np.abs(again.trade).max() < 1e-6 * problem.value.max()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), factor=st.sampled_from([1e-3, 0.5, 100.0]))
def test_money_in_another_unit_scales_the_trades(seed, factor):
    problem, matrices = draw(seed, accounts=2, positions=5)
    money = (
        "value cash cash_min cash_target ticket_price held target ticket_cash smallest step amount"
    )
    scaled = replace_columns(
        problem, **{name: getattr(problem, name) * factor for name in money.split()}
    )
    plain = solve_covariance(problem, matrices, is_discrete=False)
    other = solve_covariance(scaled, matrices, is_discrete=False)
    assert other.trade == pytest.approx(plain.trade * factor, abs=1e-7 * scaled.value.max())
    whole = solve_covariance(scaled, matrices)
    gap = solve_covariance(problem, matrices).objective * factor - whole.objective
    assert in_bps(gap, scaled) == pytest.approx(0, abs=0.5)


# --- Cash that cannot be had ---------------------------------------------------------------------


@pytest.mark.parametrize("is_discrete", [True, False])
def test_a_floor_out_of_reach_sells_all_that_may_be_sold_and_says_so(is_discrete):
    problem, matrices = draw(15, accounts=8)
    problem = replace_columns(problem, cash_min=3 * problem.value, smallest=0 * problem.smallest)
    problem = without_tickets(problem)
    solution = solve_covariance(problem, matrices, is_discrete=is_discrete)
    assert (solution.cash < problem.cash_min).all()
    assert solution.trade == pytest.approx(-problem.held, abs=1e-6)
    assert (solution.bound == -np.inf).all()


def test_a_floor_that_just_can_be_reached_is_reached():
    problem, matrices = draw(16, accounts=30, has_tickets=False, has_smallest=False)
    most = np.array([measure_most_cash(problem, a) for a in range(30)])
    for share in (0.5, 0.99, 1 - 1e-9):
        hard = replace_columns(problem, cash_min=problem.cash + share * (most - problem.cash))
        whole = solve_covariance(hard, matrices)
        assert (whole.cash >= hard.cash_min).all()
        assert all(is_feasible(hard, a, whole.trade) for a in range(30))


# --- Bad input -----------------------------------------------------------------------------------


def test_a_matrix_that_is_not_one_is_refused_by_name():
    problem, matrices = draw(17, accounts=3, positions=3)
    good, other = matrices[0], matrices[2]
    negative = np.array([[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    skew = good + np.triu(np.ones((3, 3)), 1)
    for bad, words in (
        (negative, "account 1 is not positive semi-definite"),
        (skew, "account 1 is not positive semi-definite"),
        (np.full((3, 3), np.nan), "account 1 has entries that are not numbers"),
        (np.eye(2), r"account 1 is \(2, 2\), not 3 wide"),
    ):
        with pytest.raises(ValueError, match=words):
            solve_covariance(problem, [good, bad, other])
    with pytest.raises(ValueError, match="2 drift matrices for 3 accounts"):
        solve_covariance(problem, [good, other])
    with pytest.raises(ValueError, match="26 entries for matrices of 27"):
        solve_covariance(problem, np.zeros(26))
    with pytest.raises(ValueError, match="1 prices of selling"):
        solve_covariance(problem, matrices, tau=np.zeros(1))


def test_no_accounts_and_accounts_without_positions_are_fine():
    problem, matrices = draw(18, accounts=1, positions=3)
    empty = replace(
        take_account(problem, 0),
        position_offsets=np.array([0, 0]),
        segment_offsets=np.array([0]),
        **{
            name: getattr(problem, name)[:0]
            for name in [
                "security",
                "group",
                "held",
                "target",
                "penalty",
                "buy_cost",
                "sell_cost",
                "ticket_cash",
                "impact",
                "smallest",
                "step",
                "buy_max",
                "lot",
                "amount",
                "gain",
                "is_long",
                "waiting",
            ]
        },
    )
    solution = solve_covariance(empty, [np.zeros((0, 0))])
    assert solution.cash == pytest.approx(problem.cash)
    assert solution.bound == pytest.approx(solution.objective)
