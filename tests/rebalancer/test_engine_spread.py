"""Sharing an amount out among bounded places, against independent solvers of the same problem."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from rebalancer.engine.spread import spread


def numbers(low, high):
    # Rounded: nobody spreads amounts that differ by less than a millionth.
    return st.floats(low, high).map(lambda x: round(x, 6))


@st.composite
def problems(draw, slope_least=0.0, count_max=7):
    """Draw places (center, slope, low, high) and a total."""
    count = draw(st.integers(1, count_max))
    places = [
        (
            draw(numbers(-50, 150)),
            draw(st.one_of(st.just(0.0), numbers(max(slope_least, 1e-3), 100)))
            if slope_least == 0
            else draw(numbers(slope_least, 100)),
            low := draw(numbers(-20, 80)),
            low + draw(numbers(0, 100)),
        )
        for _ in range(count)
    ]
    center, slope, low, high = (np.array(column) for column in zip(*places, strict=True))
    return {"center": center, "slope": slope, "low": low, "high": high}, draw(numbers(-200, 900))


@settings(max_examples=200, deadline=None)
@given(problems())
def test_the_conditions_of_an_optimum_hold(problem):
    """Feasible, and every place that is not at a bound is off its center by the same theta."""
    places, total = problem
    center, slope, low, high = (places[key] for key in ("center", "slope", "low", "high"))
    x = spread(total=total, **places)
    assert (x >= low - 1e-9).all()
    assert (x <= high + 1e-9).all()
    still = slope == 0
    assert x[still] == pytest.approx(np.clip(center, low, high)[still])
    reach = [np.where(still, x, bound).sum() for bound in (low, high)]
    assert x.sum() == pytest.approx(min(max(total, reach[0]), reach[1]), abs=1e-7)
    if not reach[0] < total < reach[1]:
        return
    theta = (x - center)[~still] / slope[~still]
    at_low = np.isclose(x, low, atol=1e-7)[~still]
    at_high = np.isclose(x, high, atol=1e-7)[~still]
    inside = theta[~at_low & ~at_high]
    level = inside[0] if len(inside) else None
    for value, is_low, is_high in zip(theta, at_low, at_high, strict=True):
        if level is None or (is_low and is_high):
            continue
        if is_low:
            assert value >= level - 1e-5
        elif is_high:
            assert value <= level + 1e-5
        else:
            assert value == pytest.approx(level, abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(problems(slope_least=1.0, count_max=5), st.floats(0.05, 0.95))
def test_no_general_solver_finds_anything_better(problem, share):
    places, _total = problem
    center, slope, low, high = (places[key] for key in ("center", "slope", "low", "high"))
    assume(high.sum() - low.sum() > 1)
    total = float(low.sum() + share * (high.sum() - low.sum()))

    def cost(x):
        return float(((x - center) ** 2 / slope).sum())

    x = spread(total=total, **places)
    start = low + (high - low) * (total - low.sum()) / (high - low).sum()
    solved = minimize(
        cost,
        start,
        jac=lambda x: 2 * (x - center) / slope,
        bounds=list(zip(low, high, strict=True)),
        constraints=[{"type": "eq", "fun": lambda x: x.sum() - total}],
        method="SLSQP",
        options={"maxiter": 300, "ftol": 1e-12},
    )
    assume(solved.success)
    assert cost(x) <= solved.fun + 1e-5 * max(1.0, solved.fun)
    assert x == pytest.approx(solved.x, abs=0.05)


@settings(max_examples=200, deadline=None)
@given(problems(), st.integers(0, 10**6))
def test_the_order_of_places_does_not_matter(problem, seed):
    places, total = problem
    order = np.random.default_rng(seed).permutation(len(places["center"]))
    mixed = {name: values[order] for name, values in places.items()}
    assert spread(total=total, **mixed) == pytest.approx(spread(total=total, **places)[order])


@pytest.mark.parametrize(
    ("slope", "expected"),
    [([1, 1, 1], [6000, 3050, 1950]), ([0.5, 0.3, 0.2], [6000, 3000, 2000])],
    ids=["equal", "by target"],
)
def test_d4_a_deposit_of_a_thousand(slope, expected):
    found = spread(
        total=11_000.0,
        center=np.array([5500.0, 3300.0, 2200.0]),
        slope=np.array(slope, float),
        low=np.array([6000.0, 2500.0, 1500.0]),
        high=np.full(3, 11_000.0),
    )
    assert found == pytest.approx(expected)


def test_d5_a_withdrawal_of_a_thousand():
    found = spread(
        total=9000.0,
        center=np.array([4500.0, 2700.0, 1800.0]),
        slope=np.ones(3),
        low=np.zeros(3),
        high=np.array([6000.0, 2500.0, 1500.0]),
    )
    assert found == pytest.approx([5000, 2500, 1500])


def test_a_total_out_of_reach_gives_the_nearest_bound():
    places = {"center": np.array([1.0, 2.0]), "slope": np.ones(2)}
    bounds = {"low": np.zeros(2), "high": np.array([3.0, 4.0])}
    assert spread(total=100, **places, **bounds).tolist() == [3, 4]
    assert spread(total=-100, **places, **bounds).tolist() == [0, 0]
    assert spread(total=5, center=np.ones(2), slope=np.zeros(2), **bounds).tolist() == [1, 1]
