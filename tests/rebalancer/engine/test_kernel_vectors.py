"""The kernel against worked examples: hand-made accounts with answers to the printed digits."""

import numpy as np
import pytest

from rebalancer.engine.kernel.solve import finish_exactly, solve_convex, solve_discrete
from rebalancer.engine.problem import Problem

FIRST_LOTS = [(20_000, 0.0), (20_000, 0.01), (26_000, 0.03)]


def build_account(held, target, penalty, costs, lots, *, cash, value, **columns) -> Problem:
    """Return one account with what an example does not name left at nothing."""
    count = len(held)
    segments = [lot for lots_of_one in lots for lot in lots_of_one]
    plain = {
        "household_offsets": np.array([0, 1]),
        "value": np.array([value]),
        "cash": np.array([cash], dtype=float),
        "cash_min": np.array([500.0]),
        "cash_target": np.array([0.01 * value]),
        "cash_penalty": np.array([0.5]),
        "ticket_price": np.zeros(1),
        "short_rate": np.zeros(1),
        "long_rate": np.ones(1),
        "position_offsets": np.array([0, count]),
        "group_offsets": np.array([0, 0]),
        "group_target": np.zeros(0),
        "group_penalty": np.zeros(0),
        "security": np.arange(count),
        "group": np.full(count, -1),
        "held": np.array(held, dtype=float),
        "target": np.array(target, dtype=float),
        "penalty": np.array(penalty, dtype=float),
        "buy_cost": np.array(costs, dtype=float),
        "sell_cost": np.array(costs, dtype=float),
        "ticket_cash": np.zeros(count),
        "impact": np.zeros(count),
        "smallest": np.zeros(count),
        "step": np.full(count, 1e-6),
        "buy_max": np.full(count, np.inf),
        "segment_offsets": np.cumsum([0, *map(len, lots)]),
        "lot": np.arange(len(segments)),
        "amount": np.array([amount for amount, _ in segments], dtype=float),
        "gain": np.array([tau for _, tau in segments], dtype=float),
        "is_long": np.ones(len(segments), dtype=bool),
        "waiting": np.zeros(len(segments)),
    }
    return Problem(**{**plain, **columns})


def build_example(*, cash=1_000, first=FIRST_LOTS, third=0.002, **columns) -> Problem:
    """Return the examples' account of three securities, one bought cheaply long ago."""
    return build_account(
        (66_000, 26_000, 7_000),
        np.array([0.60, 0.30, 0.09]) * (99_000 + cash),
        (0.5, 0.4, 0.8),
        (5e-4, 10e-4, 15e-4),
        (first, [(26_000, 0.005)], [(7_000, third)]),
        cash=cash,
        value=99_000.0 + cash,
        **columns,
    )


DEARER_LOTS = [(2_000, 0.0), (20_000, 0.02), (44_000, 0.05)]
CHEAPER_LOTS = [(2_000, 0.0), (20_000, 0.004), (44_000, 0.05)]
PLAIN_TRADES = (-5815.449908, 3855.846226, 1865.449548)


@pytest.mark.parametrize(
    ("columns", "trades", "cash", "multiplier", "cost"),
    [
        pytest.param({}, PLAIN_TRADES, 1084.5924, -0.00042296, 9.778758, id="plain"),
        pytest.param(
            {"cash": 6_000},
            (-2806.267503, 5348.582078, 2308.693782),
            1138.7769,
            -0.00042275,
            10.442622,
            id="deposit",
        ),
        pytest.param(
            {"cash": -3_000},
            (-8222.795832, 2661.657544, 1510.854161),
            1041.2448,
            -0.00042315,
            9.247667,
            id="withdrawal",
        ),
        pytest.param(
            {"third": -0.02}, PLAIN_TRADES, 1084.5924, -0.00042296, 9.778758, id="loss_not_worth_it"
        ),
        pytest.param(
            {"first": DEARER_LOTS},
            (-3000.735864, 2372.015258, 1123.163477),
            500.00,
            0.00550643,
            57.061847,
            id="cash_floor",
        ),
        pytest.param(
            {"first": CHEAPER_LOTS},
            (-5221.51549, 3597.877682, 1736.400849),
            878.4237,
            0.00060788,
            23.852689,
            id="second_lot",
        ),
    ],
)
def test_convex_example(columns, trades, cash, multiplier, cost):
    solution = solve_convex(build_example(**columns))
    assert solution.trade == pytest.approx(trades, abs=6e-7)
    assert solution.cash[0] == pytest.approx(cash, abs=6e-5)
    assert solution.multiplier[0] == pytest.approx(multiplier, abs=6e-9)
    assert solution.objective[0] == pytest.approx(cost, abs=6e-7)
    assert solution.bound[0] == pytest.approx(cost, abs=6e-7)


@pytest.mark.parametrize(
    ("ticket", "cash", "cost"), [(0.0, 1050.51, 9.793828), (5.0, 1035.51, 24.790602)]
)
def test_whole_shares_example(ticket, cash, cost):
    problem = build_example(
        step=np.array([250.0, 80.0, 50.0]),
        smallest=np.full(3, 500.0),
        ticket_cash=np.full(3, ticket),
    )
    solution, proved = finish_exactly(problem, solve_discrete(problem), np.array([0]))
    assert solution.trade.tolist() == [-5750, 3840, 1850]
    assert solution.steps.tolist() == [-23, 48, 37]
    assert solution.cash[0] == pytest.approx(cash, abs=6e-3)
    assert solution.objective[0] == pytest.approx(cost, abs=6e-7)
    assert proved.all()


def test_first_order_condition_by_hand():
    solution = solve_convex(build_example())
    drift = 0.5 / 100_000 * (66_000 + solution.trade[0] - 60_000)
    assert drift == pytest.approx(9.2275e-4, abs=1e-9)
    assert drift == pytest.approx(0.0005 + 0.0 - solution.multiplier[0] * 0.9995, abs=1e-15)


@pytest.mark.parametrize(
    ("penalty", "buys"),
    [((1.0, 1.0, 1.0), (0, 550, 450)), ((1 / 0.5, 1 / 0.3, 1 / 0.2), (0, 500, 500))],
)
def test_deposit_buys_what_lacks_most(penalty, buys):
    problem = build_account(
        (6_000, 2_500, 1_500),
        (5_500, 3_300, 2_200),
        penalty,
        (0, 0, 0),
        ([], [], []),
        cash=1_000,
        value=11_000.0,
        cash_min=np.zeros(1),
        cash_penalty=np.zeros(1),
    )
    assert solve_convex(problem).trade == pytest.approx(buys, abs=1e-6)
    assert solve_discrete(problem).trade == pytest.approx(buys, abs=1e-4)


def test_withdrawal_sells_what_is_most_above_target():
    problem = build_account(
        (6_000, 2_500, 1_500),
        (4_500, 2_700, 1_800),
        (1.0, 1.0, 1.0),
        (0, 0, 0),
        ([(6_000, 0.0)], [(2_500, 0.0)], [(1_500, 0.0)]),
        cash=-1_000,
        value=9_000.0,
        cash_min=np.zeros(1),
        cash_target=np.zeros(1),
        cash_penalty=np.full(1, 1e9),
        buy_max=np.zeros(3),
    )
    assert solve_convex(problem).trade == pytest.approx((-1_000, 0, 0), abs=1e-5)
    assert solve_discrete(problem).trade == pytest.approx((-1_000, 0, 0), abs=1e-4)
