"""Where a policy names the order of lots, the plan and its price keep to it."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolios.domain.tax.lot_methods import LotMethod
from rebalancer.engine.lot_order import level_up
from tests.rebalancer import cases

# Lot 1 is the oldest and has the largest gain, lot 3 the youngest and the smallest.
LOTS = [
    cases.lot(1, 1, "100", "2000", acquired=date(2015, 1, 2)),
    cases.lot(2, 1, "100", "4500", acquired=date(2018, 1, 2)),
    cases.lot(3, 1, "100", "9000", acquired=date(2021, 1, 4)),
]


def sold_lots(method):
    book = cases.book(
        securities=[cases.security(1, "STK", "A", "100"), cases.security(2, "BND", "B", "50")],
        models=[cases.model("0", (1, "0.5"), (2, "0.5"))],
        policies=[cases.policy(lot_method=method)],
        lots=LOTS,
    )
    [sale] = [trade for trade in cases.solve(book).plan.trades if trade.lots]
    return {lot.lot_id: lot.quantity for lot in sale.lots}, sale


@pytest.mark.parametrize(
    ("method", "first"),
    [
        (LotMethod.FIFO, 1),
        (LotMethod.LIFO, 3),
        (LotMethod.HIFO, 3),
        (LotMethod.LOFO, 1),
        (LotMethod.LEAST_TAX, 3),
    ],
)
def test_the_first_lot_is_the_one_that_the_method_names(method, first):
    lots, _sale = sold_lots(method)
    assert lots[first] == 100
    assert len(lots) == 2


def test_the_price_of_a_prescribed_order_is_what_the_plan_counts():
    """First in, first out sells the dear lots, so less is sold than with the cheap ones first."""
    dear, cheap = sold_lots(LotMethod.FIFO)[1], sold_lots(LotMethod.LEAST_TAX)[1]
    assert dear.tax > cheap.tax
    assert dear.quantity <= cheap.quantity


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0.01, 100)), min_size=1, max_size=12))
def test_levelling_keeps_the_total_and_rises(rows):
    prices, amounts = np.array(rows).T
    level = level_up(prices, amounts)
    assert (np.diff(level) >= -1e-12).all()
    assert (level * amounts).sum() == pytest.approx((prices * amounts).sum(), abs=1e-9)
    # Nowhere dearer than selling the same amount in the order given.
    assert (np.cumsum(level * amounts) <= np.cumsum(prices * amounts) + 1e-9).all()


def test_an_order_that_rises_already_is_left_alone():
    assert level_up(np.array([1.0, 2.0, 3.0]), np.ones(3)).tolist() == [1.0, 2.0, 3.0]
    assert level_up(np.array([3.0, 1.0]), np.array([1.0, 3.0])).tolist() == [1.5, 1.5]
