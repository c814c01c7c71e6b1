"""The references themselves: known answers, agreement of the two solvers, measures, limits."""

from dataclasses import replace

import numpy as np
import pytest

from tests.rebalancer.engine.random_households import build_problem, draw_households
from tests.rebalancer.engine.reference import (
    HouseholdTax,
    is_feasible,
    measure_cash,
    measure_netted,
    measure_objective,
    measure_tax,
    pour,
    solve_with_clarabel,
    solve_with_scip,
)

YEAR = HouseholdTax(0.0, 0.0, 3000.0, 0.35, 0.15, 0.3, 0.1)


def build_known(cash=1000.0, lots=((20000, 0.0), (20000, 0.01), (26000, 0.03)), last=0.002):
    """Return the account of the published vectors: three assets, taxed at a rate of one."""
    amounts = [amount for amount, _ in lots] + [26000.0, 7000.0]
    account = {
        "value": 99000 + cash,
        "cash": cash,
        "held": np.array([66000.0, 26000.0, 7000.0]),
        "target": np.array([0.6, 0.3, 0.09]) * (99000 + cash),
        "penalty": np.array([0.5, 0.4, 0.8]),
        "cost": np.array([5e-4, 10e-4, 15e-4]),
        "step": np.full(3, 1e-6),
        "smallest": np.zeros(3),
        "ticket": np.zeros(3),
        "counts": np.array([len(lots), 1, 1]),
        "amount": np.array(amounts, dtype=float),
        "gain": np.array([tau for _, tau in lots] + [0.005, last]),
        "is_long": np.full(len(amounts), fill_value=True),
    }
    problem = build_problem([account], [1])
    return replace(problem, long_rate=np.ones(1), cash_min=np.full(1, 500.0))


LATE = ((2000, 0.0), (20000, 0.02), (44000, 0.05))
KNOWN = [
    ({}, (-5815.449908, 3855.846226, 1865.449548), 1084.5924, 9.778758),
    ({"cash": 6000.0}, (-2806.267503, 5348.582078, 2308.693782), 1138.7769, 10.442622),
    ({"cash": -3000.0}, (-8222.795832, 2661.657544, 1510.854161), 1041.2448, 9.247667),
    ({"last": -0.02}, (-5815.449908, 3855.846226, 1865.449548), 1084.5924, 9.778758),
    ({"lots": LATE}, (-3000.735864, 2372.015258, 1123.163477), 500.0, 57.061847),
    (
        {"lots": ((2000, 0.0), (20000, 0.004), (44000, 0.05))},
        (-5221.51549, 3597.877682, 1736.400849),
        878.4237,
        23.852689,
    ),
]


@pytest.mark.parametrize(("changes", "trade", "cash", "cost"), KNOWN)
def test_clarabel_knows_the_published_vectors(changes, trade, cash, cost):
    problem = build_known(**changes)
    answer = solve_with_clarabel(problem, 0)
    assert answer.trade == pytest.approx(trade, abs=2e-3)
    assert measure_cash(problem, 0, answer.trade) == pytest.approx(cash, abs=2e-3)
    assert answer.objective == pytest.approx(cost, abs=1e-6)
    assert measure_objective(problem, 0, answer.trade) == pytest.approx(cost, abs=1e-6)


@pytest.mark.parametrize(("ticket", "cost"), [(0.0, 9.793828), (5.0, 24.790602)])
def test_scip_knows_the_published_vectors_in_whole_shares(ticket, cost):
    problem = replace(
        build_known(),
        step=np.array([250.0, 80.0, 50.0]),
        smallest=np.full(3, 500.0),
        ticket_cash=np.full(3, ticket),
    )
    answer = solve_with_scip(problem, 0)
    assert answer.trade == pytest.approx((-5750, 3840, 1850))
    assert answer.objective == pytest.approx(cost, abs=1e-6)
    assert answer.bound == pytest.approx(cost, abs=2e-3)
    assert is_feasible(problem, 0, answer.trade)


@pytest.mark.parametrize(
    "kinds", [{"loss_max": 0.5}, {"has_partners": True}, {"accounts_max": 2, "loss_max": 0.0005}]
)
def test_both_solvers_agree_where_any_amount_may_be_traded(kinds):
    problem, _ = draw_households(21, 3, positions=4, **kinds)
    for h in range(3):
        accounts = list(range(*problem.household_offsets[h : h + 2]))
        value = problem.value[accounts].sum()
        limits = {"gains_limit": 0.001 * value, "turnover_limits": [0.2] * len(accounts)}
        for limit in ({}, limits):
            convex = solve_with_clarabel(problem, accounts, **limit)
            full = solve_with_scip(problem, accounts, **limit)
            assert convex.objective == pytest.approx(full.objective, abs=2e-8 * value)


def test_impact_is_the_power_of_three_halves():
    problem = replace(build_known(), impact=np.full(3, 2e-6))
    answer = solve_with_clarabel(problem, 0)
    nearby = np.random.default_rng(3).normal(0, 30, (200, 3)) + answer.trade
    costs = [measure_objective(problem, 0, trade) for trade in nearby]
    assert min(costs) > answer.objective
    extra = measure_objective(problem, 0, answer.trade)
    extra -= measure_objective(build_known(), 0, answer.trade)
    assert extra == pytest.approx(2e-6 * (np.abs(answer.trade) ** 1.5).sum())


def test_no_plan_is_said_when_there_is_none():
    problem = replace(build_known(), cash_min=np.full(1, 2e5))
    assert solve_with_clarabel(problem, 0) is None
    assert solve_with_scip(problem, 0) is None


@pytest.mark.parametrize(
    ("changes", "trade"),
    [
        ({}, (0, 2000, 0)),  # overdrawn
        ({"step": np.full(3, 250.0)}, (-300, 0, 0)),
        ({"smallest": np.full(3, 500.0)}, (-400, 0, 0)),
        ({"buy_max": np.zeros(3)}, (0, 100, 0)),
        ({}, (-66001, 0, 0)),  # more than is held
    ],
)
def test_every_limit_is_looked_at(changes, trade):
    problem = replace(build_known(), **changes)
    assert not is_feasible(problem, 0, np.array(trade, dtype=float))
    assert is_feasible(problem, 0, np.zeros(3))


def test_a_whole_holding_needs_no_whole_steps():
    problem = replace(build_known(), step=np.full(3, 250.0), smallest=np.full(3, 8000.0))
    assert is_feasible(problem, 0, np.array([0.0, 0.0, -7000.0]))
    assert not is_feasible(problem, 0, np.array([0.0, 0.0, -6750.0]))


def test_the_cheapest_lots_go_first():
    problem = build_known()
    sold = pour(problem, np.array([-25000.0, 100, 0]), problem.tau(), 0)
    assert sold.tolist() == [20000, 5000, 0, 0, 0]
    sold = pour(problem, np.array([-25000.0, 100, 0]), -problem.tau(), 0)
    assert sold.tolist() == [0, 0, 25000, 0, 0]


@pytest.mark.parametrize(
    ("short", "long", "tax"),
    [
        (5000, 8000, 0.35 * 5000 + 0.15 * 8000),
        (6000, -2500, 0.35 * 3500),
        (-4000, 10000, 0.15 * 6000),
        (-1000, -500, -0.3 * 1500),
        (1000, -9000, -0.3 * 3000 - 0.1 * 5000),
    ],
)
def test_the_five_regimes_of_a_return(short, long, tax):
    assert measure_tax(YEAR, short, long) == pytest.approx(tax)


def test_scip_chooses_the_regime_that_a_grid_finds_best():
    """One security, one lot with a loss: the tax return decides how much of it is sold."""
    problem, _ = draw_households(5, 1, positions=1)
    problem = replace(
        problem,
        gain=np.full(len(problem.gain), -0.4),
        is_long=np.full(len(problem.gain), fill_value=True),
        cash_penalty=np.zeros(1),
        buy_max=np.zeros(1),
    )
    for short in (0.0, 2500.0, 9000.0):
        tax = replace(YEAR, short=short)
        answer = solve_with_scip(problem, 0, tax=tax)
        grid = [
            measure_netted(problem, 0, trade, pour(problem, trade, problem.gain, 0), tax)
            for trade in -np.linspace(0, problem.held, 2001)
        ]
        assert answer.objective <= min(grid) + 1e-6
        assert answer.objective == pytest.approx(min(grid), abs=1e-5 * problem.value[0])
