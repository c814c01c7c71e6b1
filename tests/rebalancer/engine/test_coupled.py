"""The coupled path against SCIP, against sort-and-fill, and against its own rules."""

from dataclasses import replace

import numpy as np
import pytest

from rebalancer.engine.coupled.solve import (
    CoupledSolution,
    measure_household,
    no_coupling,
    solve_coupled,
)
from rebalancer.engine.problem import Solution
from tests.rebalancer.engine.random_coupled import HouseholdShape, build_household, without_wash
from tests.rebalancer.engine.reference_coupled import (
    list_faults,
    scale_household,
    solve_household_with_scip,
)

SMALL = {"accounts": 2, "securities": 4, "lots": 2, "classes": 2, "whole_shares": 1.0}
MIDDLE = {"accounts": 3, "securities": 8, "lots": 3}
BPS = 1e4


def build(seed, **shape):
    return build_household(np.random.default_rng(seed), HouseholdShape(**shape))


def price_nothing(problem, coupling):
    return measure_household(
        problem, coupling, np.zeros_like(problem.held), np.zeros_like(problem.amount)
    )


def may_do_nothing(problem, coupling):
    caps = [
        problem.held[coupling.cap_position[start:end]].sum() <= limit
        for start, end, limit in zip(
            coupling.cap_offsets[:-1], coupling.cap_offsets[1:], coupling.cap_max, strict=True
        )
    ]
    return bool((problem.cash >= problem.cash_min).all() and all(caps))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"has_wash": False},
        {"cap": 0.02, "turnover": 0.15},
        {"gains": 0.0, "flow": 0.1},
    ],
    ids=["windows", "no windows", "caps and turnover", "gains budget"],
)
def test_small_household_is_as_good_as_scip_proves(seed, extra):
    problem, coupling = build(seed, **SMALL | extra)
    solution = solve_coupled(problem, coupling)
    best, proved = solve_household_with_scip(problem, coupling, seconds=3)
    money = problem.value.sum()
    assert list_faults(problem, coupling, solution) == []
    assert solution.objective <= best + 1e-3 * abs(best)
    assert solution.objective >= proved - 1e-7 * money
    assert solution.bound <= best + 1e-7 * money


@pytest.mark.parametrize("seed", range(3))
def test_tickets_and_smallest_trades_stay_near_scip(seed):
    problem, coupling = build(seed, **SMALL, ticket=2.0, smallest=0.005)
    solution = solve_coupled(problem, coupling)
    best, _ = solve_household_with_scip(problem, coupling, seconds=3)
    assert list_faults(problem, coupling, solution) == []
    assert (solution.objective - best) / problem.value.sum() * BPS < 0.2
    assert solution.bound <= best + 1e-7 * problem.value.sum()


def test_benchmark_households_meet_their_bound():
    """5 accounts x 20 securities x 5 lots with location and wash windows, a dozen of them."""
    gaps = []
    for seed in range(12):
        problem, coupling = build(seed)
        solution = solve_coupled(problem, coupling)
        assert list_faults(problem, coupling, solution) == []
        gaps.append((solution.objective - solution.bound) / problem.value.sum() * BPS)
    assert min(gaps) >= 0
    assert np.median(gaps) < 0.01
    assert max(gaps) < 0.5


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"cap": 0.05, "turnover": 0.3, "flow": 0.1},
        {"gains": 0.0, "flow": 0.1},
        {"gains": -0.01, "flow": 0.02},
        {"has_wash": False, "ticket": 3.0, "smallest": 0.01},
        {"impact": 1e-3, "row_penalty": 0.0},
        {"own_penalty": 0.0},
        {"flow": 0.8, "whole_shares": 1.0},
        {"accounts": 1, "securities": 1},
    ],
    ids=str,
)
def test_every_plan_keeps_every_rule_and_beats_doing_nothing(extra):
    solved = 0
    for seed in range(12):
        problem, coupling = build(seed, **MIDDLE | extra)
        solution = solve_coupled(problem, coupling)
        if not np.isfinite(solution.objective):
            assert not may_do_nothing(problem, coupling) or extra.get("gains", 0) < 0
            assert not solution.trade.any()
            continue
        solved += 1
        assert list_faults(problem, coupling, solution) == []
        assert solution.bound <= solution.objective
        measured = measure_household(problem, coupling, solution.trade, solution.sold)
        assert solution.objective == pytest.approx(measured, rel=1e-12)
        if may_do_nothing(problem, coupling) and extra.get("gains", 0) >= 0:
            assert solution.objective <= price_nothing(problem, coupling)
    assert solved >= 3


def test_bound_is_below_random_plans_that_keep_the_rules():
    """Weak duality: no plan that keeps the rules costs less than the bound."""
    checked = 0
    for seed in range(20):
        problem, coupling = build(seed, **SMALL, flow=0.0)
        bound = solve_coupled(problem, coupling).bound
        random = np.random.default_rng(seed)
        for _ in range(200):
            trade = _draw_trades(random, problem)
            sold = _sell_in_order(problem, trade)
            if not list_faults(problem, coupling, _as_solution(problem, trade, sold)):
                checked += 1
                assert measure_household(problem, coupling, trade, sold) >= bound
    assert checked > 100


def _draw_trades(random, problem):
    position = np.repeat(np.arange(len(problem.held)), np.diff(problem.segment_offsets))
    sellable = np.bincount(position, problem.amount, len(problem.held))
    wish = random.normal(0, 0.1, len(problem.held)) * problem.held
    wish *= random.random(len(wish)) < 0.4
    wish = np.where(problem.buy_max > 0, wish, np.minimum(wish, 0))
    return np.trunc(np.maximum(wish, -sellable) / problem.step) * problem.step


def _sell_in_order(problem, trade):
    sold = np.zeros(len(problem.amount))
    tau = problem.tau()
    for i in range(len(trade)):
        left = max(-trade[i], 0.0)
        pieces = np.arange(*problem.segment_offsets[i : i + 2])
        for k in pieces[np.argsort(tau[pieces], kind="stable")]:
            sold[k] = min(left, problem.amount[k])
            left -= sold[k]
    return sold


def _as_solution(problem, trade, sold):
    return CoupledSolution(
        trade=trade,
        steps=np.round(trade / problem.step).astype(np.int64),
        is_exit=np.zeros(len(trade), dtype=bool),
        sold=sold,
        cash=np.zeros(0),
        objective=0.0,
        bound=0.0,
        branches=0,
        status="",
    )


def build_location_household(random, accounts, securities):
    """Return a household without lots whose location cost is a product u_a v_i.

    Its targets fill it exactly and are held as stiffly as money allows, so that the only freedom
    is which account holds what.
    """
    shape = HouseholdShape(
        accounts=accounts,
        securities=securities,
        classes=1,
        has_lots=False,
        has_wash=False,
        own_penalty=0.0,
        row_penalty=0.0,
        whole_shares=0.0,
        flow=0.0,
    )
    problem, coupling = build_household(random, shape)
    everywhere = np.arange(accounts * securities)
    invested = np.bincount(everywhere // securities, problem.held, accounts)
    share = random.dirichlet(np.full(securities, 2.0))
    by_account = np.sort(random.uniform(0.001, 0.02, accounts))
    by_security = random.uniform(0.1, 1.0, securities)
    problem = replace(
        problem,
        cash=np.zeros(accounts),
        cash_min=np.zeros(accounts),
        cash_target=np.zeros(accounts),
        value=invested,
        buy_cost=np.zeros(len(everywhere)),
        sell_cost=np.zeros(len(everywhere)),
        buy_max=np.full(len(everywhere), np.inf),
        step=np.full(len(everywhere), 0.01),
    )
    coupling = replace(
        coupling,
        holding_cost=np.outer(by_account, by_security).ravel(),
        row_offsets=np.arange(securities + 1) * accounts,
        row_position=everywhere.reshape(accounts, securities).T.ravel(),
        row_target=share * invested.sum(),
        row_penalty=np.full(securities, 50.0),
    )
    return problem, coupling, by_account, by_security, invested, share * invested.sum()


def sort_and_fill(by_account, by_security, capacity, demand):
    """Return the least location cost: dearest securities into the cheapest accounts first."""
    total = 0.0
    room, left = capacity.copy(), demand.copy()
    for security in np.argsort(-by_security):
        for account in np.argsort(by_account):
            part = min(room[account], left[security])
            room[account] -= part
            left[security] -= part
            total += part * by_account[account] * by_security[security]
    return total


@pytest.mark.parametrize("seed", range(8))
def test_location_without_lots_is_sort_and_fill(seed):
    """Methods 2.8: with loc = u_a v_i and no lots, sorting both and filling is optimal."""
    random = np.random.default_rng(seed)
    parts = build_location_household(random, 3, 6)
    problem, coupling, by_account, by_security, capacity, demand = parts
    solution = solve_coupled(problem, coupling)
    filled = sort_and_fill(by_account, by_security, capacity, demand)
    holding = problem.held + solution.trade
    located = float((coupling.holding_cost * holding).sum())
    same_mix = float(by_account @ capacity * (by_security @ demand) / capacity.sum())
    # The stiff but not rigid targets let the plan save a little drift against location.
    assert located == pytest.approx(filled, rel=2e-2)
    assert solution.objective <= filled + 1e-6 * capacity.sum()
    assert solution.bound <= filled
    assert located < same_mix


def test_a_loss_is_never_sold_while_its_like_is_bought():
    """Many households whose losses pay for selling and whose targets ask for buying."""
    conflicts = 0
    for seed in range(10):
        problem, coupling = build(seed, **MIDDLE)
        free = solve_coupled(problem, without_wash(coupling))
        conflicts += any("wash" in fault for fault in list_faults(problem, coupling, free))
        solution = solve_coupled(problem, coupling)
        assert not [f for f in list_faults(problem, coupling, solution) if "wash" in f]
        assert solution.objective >= free.bound
    assert conflicts >= 5  # without the rule most of them would have washed a loss


@pytest.mark.parametrize("seed", range(3))
def test_groups_of_an_account_count_too(seed):
    """Groups of the Problem itself, with no household rows, against SCIP."""
    problem, coupling = build(seed, **SMALL, row_penalty=0.0)
    pairs = np.arange(len(problem.held)) // 2  # two groups of two securities by account
    problem = replace(
        problem,
        group=pairs,
        group_offsets=np.array([0, 2, 4]),
        group_target=np.bincount(pairs, problem.target),
        group_penalty=np.full(4, 0.5),
    )
    solution = solve_coupled(problem, coupling)
    best, proved = solve_household_with_scip(problem, coupling, seconds=3)
    money = problem.value.sum()
    assert list_faults(problem, coupling, solution) == []
    assert solution.objective <= best + 1e-3 * abs(best)
    assert solution.objective >= proved - 1e-7 * money
    assert solution.bound <= best + 1e-7 * money


def test_windows_may_share_what_they_forbid_to_buy():
    """Every loss of the household blocks every purchase: sell losses or buy, nothing between."""
    for seed in range(4):
        problem, coupling = build(seed, **MIDDLE, flow=0.0)
        count = len(coupling.wash_labels)
        everything = np.arange(len(problem.held))
        shared = replace(
            coupling,
            wash_position=np.tile(everything, count),
            wash_position_offsets=np.arange(count + 1) * len(everything),
        )
        solution = solve_coupled(problem, shared)
        assert list_faults(problem, shared, solution) == []
        assert solution.bound <= solution.objective <= price_nothing(problem, shared)


def test_gains_budget_binds_and_costs():
    problem, coupling = build(3, **MIDDLE)
    # A withdrawal from the first, taxable account that its losses and cash cannot pay.
    problem = replace(problem, cash_min=problem.cash_min + np.array([0.5, 0, 0]) * problem.value)
    free = solve_coupled(problem, coupling)
    budget = 0.9 * float((problem.gain * free.sold).sum())
    assert budget > 0
    bound = solve_coupled(problem, replace(coupling, gains_max=budget))
    assert float((problem.gain * bound.sold).sum()) <= budget + 1e-6
    assert bound.objective > free.objective


def test_turnover_limit_binds_and_costs():
    problem, coupling = build(4, **MIDDLE, flow=0.0)
    free = solve_coupled(problem, coupling)
    traded = np.add.reduceat(np.abs(free.trade), problem.position_offsets[:-1])
    limit = traded / 2
    bound = solve_coupled(problem, replace(coupling, turnover_max=limit))
    assert (
        np.add.reduceat(np.abs(bound.trade), problem.position_offsets[:-1]) <= limit + 1e-6
    ).all()
    assert bound.objective > free.objective


def test_never_worse_than_a_start_that_is_allowed():
    problem, coupling = build(5, **MIDDLE)
    good = solve_coupled(problem, coupling)
    accounts = problem.account_count
    start = Solution(
        trade=good.trade,
        steps=good.steps,
        is_exit=good.is_exit,
        cash=good.cash,
        objective=np.zeros(accounts),
        bound=np.zeros(accounts),
        multiplier=np.zeros(accounts),
    )
    rushed = solve_coupled(problem, coupling, start=start, branches_max=1)
    assert rushed.objective <= good.objective + 1e-9 * problem.value.sum()


def test_same_input_same_bytes():
    problem, coupling = build(6, **MIDDLE, cap=0.1)
    first, second = solve_coupled(problem, coupling), solve_coupled(problem, coupling)
    assert first.trade.tobytes() == second.trade.tobytes()
    assert first.bound == second.bound


def test_another_currency_unit_gives_the_same_plan():
    problem, coupling = build(7, **MIDDLE, whole_shares=1.0)
    plain = solve_coupled(problem, coupling)
    scaled = solve_coupled(*scale_household(problem, coupling, 128.0))
    assert scaled.objective / 128 == pytest.approx(plain.objective, rel=1e-4)


def test_uncoupled_household_at_target_stays():
    problem, coupling = build(8, **MIDDLE, has_lots=False, has_wash=False, flow=0.0)
    problem = replace(problem, target=problem.held, cash_target=problem.cash)
    solution = solve_coupled(problem, no_coupling(problem))
    assert not solution.trade.any()
    assert solution.status == "OPTIMAL"


def test_more_cash_than_everything_sold_is_infeasible():
    problem, coupling = build(9, **MIDDLE)
    need = problem.cash_min.copy()
    need[1] = 2 * problem.value[1]
    solution = solve_coupled(replace(problem, cash_min=need), coupling)
    assert solution.status == "INFEASIBLE"
    assert solution.objective == solution.bound == np.inf


def test_two_households_at_once_are_refused():
    problem, coupling = build(10, **MIDDLE)
    two = replace(problem, household_offsets=np.array([0, 1, 3]))
    with pytest.raises(ValueError, match="one household"):
        solve_coupled(two, coupling)


def test_a_loss_in_two_windows_is_refused():
    problem, coupling = build(11, **MIDDLE)
    twice = replace(
        coupling, wash_segment=np.full_like(coupling.wash_segment, coupling.wash_segment[0])
    )
    with pytest.raises(ValueError, match="two wash windows"):
        solve_coupled(problem, twice)
