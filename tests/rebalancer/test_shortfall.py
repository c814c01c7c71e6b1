"""Implementation shortfall: its parts, their signs, and that they add up."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolios.domain.kinds import Side
from rebalancer.domain.shortfall import measure_shortfall, sum_shortfalls

D = Decimal


def test_a_purchase_half_filled():
    """Decided at 100, went to market at 101, paid 102 for half; the close was 105."""
    found = measure_shortfall(
        side=Side.BUY,
        quantity=D(100),
        decision_price=D(100),
        arrival_price=D(101),
        filled_quantity=D(50),
        filled_value=D(5100),
        close_price=D(105),
        fees=D("1.50"),
        expected_bps=D(40),
    )
    assert (found.delay, found.trading, found.missed) == (D(50), D(50), D(250))
    assert found.total == D("351.50")
    assert found.as_bps(found.total) == D("351.5000")
    assert found.expected_trading == D("20.2")


def test_a_sale_into_a_fall_costs_too():
    found = measure_shortfall(
        side=Side.SELL,
        quantity=D(10),
        decision_price=D(100),
        arrival_price=D(99),
        filled_quantity=D(10),
        filled_value=D(985),
        close_price=D(90),
    )
    assert (found.delay, found.trading, found.missed) == (D(10), D(5), D(0))


prices = st.decimals("0.01", "900", places=2)


@given(st.sampled_from(Side), prices, prices, prices, prices, st.integers(1, 999), st.data())
def test_the_parts_are_the_paper_portfolio_less_the_real_one(
    side, decided, arrived, paid, closed, quantity, data
):
    filled = data.draw(st.integers(0, quantity))
    found = measure_shortfall(
        side=side,
        quantity=D(quantity),
        decision_price=decided,
        arrival_price=arrived,
        filled_quantity=D(filled),
        filled_value=paid * filled,
        close_price=closed,
    )
    sign = 1 if side is Side.BUY else -1
    on_paper = sign * quantity * (closed - decided)
    in_fact = sign * filled * (closed - paid)
    assert found.total == on_paper - in_fact


def test_many_weigh_by_what_was_decided():
    small, large = (
        measure_shortfall(
            side=Side.BUY,
            quantity=D(quantity),
            decision_price=D(10),
            arrival_price=D(10),
            filled_quantity=D(quantity),
            filled_value=D(quantity) * paid,
            close_price=D(10),
        )
        for quantity, paid in ((100, D("10.10")), (900, D("10.00")))
    )
    together = sum_shortfalls([small, large])
    assert together.as_bps(together.total) == D("10.0000")


def test_more_filled_than_decided_is_refused():
    facts = {"decision_price": D(1), "arrival_price": D(1), "close_price": D(1)}
    with pytest.raises(ValueError, match="11 filled of 10"):
        measure_shortfall(
            side=Side.BUY, quantity=D(10), filled_quantity=D(11), filled_value=D(11), **facts
        )
    with pytest.raises(ValueError, match="above zero"):
        measure_shortfall(
            side=Side.BUY,
            quantity=D(10),
            filled_quantity=D(1),
            filled_value=D(11),
            **{**facts, "close_price": D(0)},
        )
