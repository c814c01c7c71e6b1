"""Gains budgets and turnover limits: exact where any amount may be traded, kept everywhere."""

from dataclasses import replace

import numpy as np
import pytest

from rebalancer.engine.kernel.solve import solve_convex, solve_discrete
from rebalancer.engine.netting.budgets import (
    measure_gains,
    measure_turnover,
    no_limits,
    solve_within,
    weigh_plan,
)
from rebalancer.engine.netting.plan import sum_accounts
from rebalancer.engine.subproblem import select_households
from tests.rebalancer.engine.random_households import draw_households
from tests.rebalancer.engine.reference import (
    is_feasible,
    measure_cash,
    measure_objective,
    pour,
    solve_with_clarabel,
    solve_with_scip,
)

BPS = 1e4
KINDS = ("gains", "turnover", "both")


def draw_limits(problem, kind, *, solve=solve_convex, is_divisible=True, seed=0):
    """Return limits that bind for most: a share of what the plan without limits does."""
    plan, _ = solve_within(problem, no_limits(problem), solve, is_divisible=is_divisible)
    gains, turnover = measure_gains(problem, plan.sold), measure_turnover(problem, plan.trade)
    rng = np.random.default_rng(seed)
    limits = no_limits(problem)
    if kind != "turnover":
        budget = np.where(gains > 0, gains * rng.random(len(gains)), np.inf)
        so_far = rng.normal(0, 5e3, len(gains))
        limits = replace(limits, gains_budget=budget + so_far, gains_so_far=so_far)
    if kind != "gains":
        limits = replace(limits, turnover=turnover * rng.uniform(0.2, 1.1, len(turnover)))
    return limits


def list_accounts_of(problem, household):
    return list(range(*problem.household_offsets[household : household + 2]))


def measure_gap(problem, limits, plan, household, solve):
    """Return the plan's objective less the reference's, bp of the household's value."""
    accounts = list_accounts_of(problem, household)
    answer = solve(
        problem,
        accounts,
        gains_limit=limits.gains_left()[household],
        turnover_limits=[limits.turnover[a] for a in accounts],
    )
    weight = sum_accounts(problem, weigh_plan(problem, plan))[household]
    return (weight - answer.objective) / problem.value[accounts].sum() * BPS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kinds", [{"loss_max": 0.0005}, {"has_partners": True, "loss_max": 0.03}])
def test_limits_are_met_at_the_least_cost(kind, kinds):
    problem, _ = draw_households(5, 16, accounts_max=2, **kinds)
    limits = draw_limits(problem, kind)
    plan, report = solve_within(problem, limits, solve_convex, is_divisible=True)
    assert not report.budget_exceeded_by.any()
    assert not report.turnover_exceeded_by.any()
    assert (measure_gains(problem, plan.sold) <= limits.gains_left()).all()
    assert (measure_turnover(problem, plan.trade) <= limits.turnover).all()
    gaps = [measure_gap(problem, limits, plan, h, solve_with_clarabel) for h in range(16)]
    assert max(gaps) < 1e-6
    assert min(gaps) > -1e-6
    assert (report.gain_price > 0).sum() >= (1 if kind == "gains" else 0)
    assert (report.turnover_price > 0).sum() >= (0 if kind == "gains" else 15)


def test_bounds_hold_for_every_plan_within_the_limits():
    problem, _ = draw_households(6, 20, accounts_max=2, loss_max=0.0005)
    limits = draw_limits(problem, "both")
    plan, _ = solve_within(problem, limits, solve_convex, is_divisible=True)
    bound = sum_accounts(problem, plan.bound)
    weight = sum_accounts(problem, weigh_plan(problem, plan))
    value = sum_accounts(problem, problem.value)
    assert (bound <= weight).all()
    assert ((weight - bound) / value * BPS).max() < 1e-5
    rng = np.random.default_rng(1)
    for _ in range(20):
        trade = plan.trade * rng.uniform(0, 1, len(plan.trade))
        sold = pour(problem, trade, problem.tau(), range(problem.account_count))
        fits = measure_gains(problem, sold) <= limits.gains_left()
        for h in np.flatnonzero(fits):
            accounts = list_accounts_of(problem, h)
            if all(measure_cash(problem, a, trade) >= problem.cash_min[a] for a in accounts):
                assert measure_objective(problem, accounts, trade) >= bound[h]


def test_a_jump_over_the_budget_is_met_exactly_by_a_mixture():
    """Two lots of the same tax but different gain: only a mixture meets the budget in full."""
    problem, _ = draw_households(8, 1, positions=2, loss_max=0.0005)
    first = int(problem.segment_offsets[1])
    gain, waiting = np.full(len(problem.gain), 0.3), np.zeros(len(problem.gain))
    is_long = np.full(len(gain), fill_value=True)
    gain[0], waiting[0] = 0.8, 0.15 * 0.5 + 1e-4  # dearer in gains, cheaper in the objective
    problem = replace(
        problem,
        gain=gain,
        is_long=is_long,
        waiting=waiting,
        target=np.where(np.arange(2) == 0, problem.held * 0.5, problem.held * 1.5),
    )
    assert first >= 1
    limits = draw_limits(problem, "gains")
    plan, report = solve_within(problem, limits, solve_convex, is_divisible=True)
    gains = measure_gains(problem, plan.sold)[0]
    assert gains == pytest.approx(limits.gains_left()[0], rel=1e-7)
    assert gains <= limits.gains_left()[0]
    assert report.gain_price[0] > 0
    assert abs(measure_gap(problem, limits, plan, 0, solve_with_clarabel)) < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_limits_hold_in_whole_shares(kind):
    problem, _ = draw_households(9, 10, loss_max=0.0005, whole_share=0.7, ticket=1.0, positions=5)
    limits = draw_limits(problem, kind, solve=solve_discrete, is_divisible=False)
    plan, report = solve_within(problem, limits, solve_discrete, is_divisible=False)
    assert not report.budget_exceeded_by.any()
    assert not report.turnover_exceeded_by.any()
    assert (measure_gains(problem, plan.sold) <= limits.gains_left()).all()
    assert (measure_turnover(problem, plan.trade) <= limits.turnover).all()
    for a in range(problem.account_count):
        assert is_feasible(problem, a, plan.trade, 1e-6 * problem.value[a] / 1e3)
    bound = sum_accounts(problem, plan.bound)
    assert (sum_accounts(problem, weigh_plan(problem, plan)) >= bound).all()
    gaps = [measure_gap(problem, limits, plan, h, solve_with_scip) for h in range(5)]
    assert np.mean(gaps) < 0.5
    assert min(gaps) > -2e-3


def test_a_budget_that_cannot_be_met_is_reported_and_missed_by_the_least():
    """Cash has to be raised from lots that all have gains."""
    problem, _ = draw_households(10, 3, positions=4, loss_max=0.0005)
    gain = np.maximum(problem.gain, 0.05)
    cash = problem.cash - np.array([0.0, 0.3, 0.0]) * problem.value
    problem = replace(problem, gain=gain, cash=cash)
    limits = replace(no_limits(problem), gains_budget=np.array([np.inf, 0.0, np.inf]))
    plan, report = solve_within(problem, limits, solve_convex, is_divisible=True)
    accounts = list_accounts_of(problem, 1)
    least = solve_with_clarabel(problem, accounts, tau=1e4 * problem.gain)
    least_gain = float((problem.gain * least.sold).sum())
    assert least_gain > 0
    assert report.budget_exceeded_by[1] == pytest.approx(least_gain, rel=1e-4)
    assert report.budget_exceeded_by[[0, 2]].tolist() == [0, 0]
    assert plan.cash[1] >= problem.cash_min[1] - 1e-6
    free, _ = solve_within(problem, no_limits(problem), solve_convex, is_divisible=True)
    elsewhere = np.r_[0:4, 8:12]
    assert (plan.trade[elsewhere] == free.trade[elsewhere]).all()


def test_a_turnover_that_cannot_be_met_is_reported():
    problem, _ = draw_households(10, 2, positions=4, loss_max=0.0005)
    problem = replace(problem, cash=problem.cash - np.array([0.3, 0.0]) * problem.value)
    limits = replace(no_limits(problem), turnover=np.array([0.1, np.inf]))
    plan, report = solve_within(problem, limits, solve_convex, is_divisible=True)
    assert report.turnover_exceeded_by[0] == pytest.approx(
        measure_turnover(problem, plan.trade)[0] - 0.1
    )
    assert 0.15 < report.turnover_exceeded_by[0] < 0.25
    assert report.turnover_exceeded_by[1] == 0
    assert plan.cash[0] >= problem.cash_min[0] - 1e-6


def test_losses_give_the_budget_back_and_a_year_over_it_adds_nothing():
    problem, _ = draw_households(11, 12, has_partners=True)
    free, _ = solve_within(problem, no_limits(problem), solve_convex, is_divisible=True)
    gains = measure_gains(problem, free.sold)
    assert (gains < 0).any()
    so_far = np.full(12, 5000.0)
    limits = replace(no_limits(problem), gains_budget=np.zeros(12), gains_so_far=so_far)
    plan, report = solve_within(problem, limits, solve_convex, is_divisible=True)
    after = measure_gains(problem, plan.sold)
    assert (after <= 0).all()
    is_loss = gains <= 0
    assert after[is_loss] == pytest.approx(gains[is_loss])
    assert report.budget_exceeded_by == pytest.approx(np.maximum(after + 5000, 0))


@pytest.mark.parametrize("kind", KINDS)
def test_a_household_alone_is_solved_to_the_same_bytes(kind):
    problem, _ = draw_households(12, 12, accounts_max=2, loss_max=0.0005)
    limits = draw_limits(problem, kind)
    plan, _ = solve_within(problem, limits, solve_convex, is_divisible=True)
    for h in (0, 5, 11):
        part, selection = select_households(problem, np.array([h]))
        alone, _ = solve_within(
            part,
            limits.take(np.array([h]), selection.accounts),
            solve_convex,
            is_divisible=True,
        )
        assert (alone.trade == plan.trade[selection.positions]).all()
        assert (alone.sold == plan.sold[selection.segments]).all()
        assert (alone.cost == plan.cost[selection.accounts]).all()


def test_without_limits_the_kernel_answers():
    problem, _ = draw_households(13, 10, has_partners=True)
    plan, report = solve_within(problem, no_limits(problem), solve_convex, is_divisible=True)
    solution = solve_convex(problem)
    assert (plan.trade == solution.trade).all()
    assert weigh_plan(problem, plan) == pytest.approx(solution.objective, abs=1e-8)
    assert not report.gain_price.any()
    assert not report.turnover_price.any()
