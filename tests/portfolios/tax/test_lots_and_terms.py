"""Which lots a sale uses up (L1), when they turn long-term (H1), and the figures of the law."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolios.domain.tax import get_regime
from portfolios.domain.tax.lot_methods import LotMethod, average_lots, order_lots
from portfolios.domain.tax.rates import (
    UK_EXEMPT_AMOUNTS,
    UK_GAINS_RATES,
    US_LONG_TERM,
    US_LOSS_CAP,
    US_LOSS_CAP_SEPARATE,
    FilingStatus,
    find_in_force,
    find_long_term_rate,
)
from portfolios.domain.tax.regime import OpenLot, Rates, Segment

D = Decimal
US, UK = get_regime("US"), get_regime("UK")
RATES = Rates(short=D("0.35"), long=D("0.15"), deduction=D("0.35"), carried=D("0.1"))
DAY = date(2025, 6, 30)
A, B, C, E, F = 1, 2, 3, 4, 5
LOTS = [
    OpenLot(A, D(50), D(50 * 20), date(2020, 3, 2)),
    OpenLot(B, D(60), D(60 * 58), date(2024, 9, 3)),
    OpenLot(C, D(40), D(40 * 45), date(2024, 2, 1)),
    OpenLot(E, D(80), D(80 * 52), date(2025, 3, 3)),
    OpenLot(F, D(30), D(30 * 40), date(2025, 1, 15)),
]


def order(method, lots=LOTS, regime=US, **options):
    return order_lots(
        lots=lots,
        method=method,
        regime=regime,
        day=DAY,
        unit_price=D(50),
        rates=RATES,
        **options,
    )


def sell_150(method):
    """Return the lots used and the gains, short and long, of selling 150 at 50."""
    left, used, short, long = D(150), [], D(0), D(0)
    for lot in order(method):
        quantity = min(left, lot.quantity)
        if not quantity:
            break
        left -= quantity
        used.append((lot.lot_id, quantity))
        gain = quantity * (50 - lot.unit_cost)
        if US.is_long_term(acquired_date=lot.holding_start, sold_date=DAY):
            long += gain
        else:
            short += gain
    return used, short, long


@pytest.mark.parametrize(
    ("method", "used", "short", "long", "tax"),
    [
        (LotMethod.FIFO, [(A, 50), (C, 40), (B, 60)], -480, 1700, "87.00"),
        (LotMethod.LIFO, [(E, 80), (F, 30), (B, 40)], -180, 0, "-63.00"),
        (LotMethod.HIFO, [(B, 60), (E, 80), (C, 10)], -640, 50, "-216.50"),
        (LotMethod.LEAST_TAX, [(B, 60), (E, 80), (C, 10)], -640, 50, "-216.50"),
        (LotMethod.LOFO, [(A, 50), (F, 30), (C, 40), (E, 30)], 240, 1700, "339.00"),
    ],
)
def test_l1_each_method_uses_its_lots(method, used, short, long, tax):
    assert sell_150(method) == (used, short, long)
    assert RATES.short * short + RATES.long * long == D(tax)


def test_l1_average_basis():
    view = average_lots(LOTS)
    total = sum(lot.cost for lot in view)
    assert total == sum(lot.cost for lot in LOTS)
    average = total / 260
    assert round(average, 6) == D("44.769231")
    assert round(150 * (50 - average), 6) == D("784.615385")
    assert all(abs(lot.unit_cost - average) < D("0.001") for lot in view)
    assert [lot.lot_id for lot in order(LotMethod.AVERAGE)] == [A, C, B, F, E]
    assert order(LotMethod.AVERAGE)[0].unit_cost == D("44.7692")
    assert average_lots([]) == ()


def test_ties_go_to_the_smaller_tax_then_the_older_then_the_lower_id():
    # The same basis, above the price: the short-term loss saves more. Then age, then id.
    young, old = date(2025, 1, 2), date(2020, 1, 2)
    lots = [
        OpenLot(4, D(1), D(60), young),
        OpenLot(3, D(1), D(60), young),
        OpenLot(2, D(1), D(60), old),
        OpenLot(1, D(1), D(60), old + timedelta(days=1)),
    ]
    assert [lot.lot_id for lot in order(LotMethod.HIFO, lots)] == [3, 4, 2, 1]


def test_specified_lots_are_sold_as_named_and_no_others():
    named = order(LotMethod.SPECIFIED, specified_ids=[C, A])
    assert [lot.lot_id for lot in named] == [C, A]
    for wrong in ([C, 99], [C, C]):
        with pytest.raises(ValueError, match="each once"):
            order(LotMethod.SPECIFIED, specified_ids=wrong)


@given(st.sampled_from([m for m in LotMethod if m is not LotMethod.SPECIFIED]), st.randoms())
def test_the_order_given_never_matters(method, shuffler):
    shuffled = list(LOTS)
    shuffler.shuffle(shuffled)
    if method is not LotMethod.AVERAGE:
        assert order(method, shuffled) == order(method)
    assert {lot.lot_id for lot in order(method, shuffled)} == {lot.lot_id for lot in LOTS}


def test_least_tax_is_never_dearer_than_any_other_order():
    def tax_of(lot):
        is_long = US.is_long_term(acquired_date=lot.holding_start, sold_date=DAY)
        return (RATES.long if is_long else RATES.short) * (50 - lot.unit_cost)

    assert all(tax_of(a) <= tax_of(b) for a, b in pairwise(order(LotMethod.LEAST_TAX)))


# --- Terms ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("acquired", "sold", "is_long"),
    [
        ("2024-06-30", "2025-06-30", False),
        ("2024-06-30", "2025-07-01", True),
        ("2024-02-29", "2025-02-28", False),
        ("2024-02-29", "2025-03-01", True),
        ("2023-02-28", "2024-02-29", False),
        ("2023-02-28", "2024-03-01", True),
    ],
)
def test_h1_long_term_is_more_than_one_year(acquired, sold, is_long):
    days = {
        "acquired_date": date.fromisoformat(acquired),
        "sold_date": date.fromisoformat(sold),
    }
    assert US.is_long_term(**days) == is_long


@given(st.dates(date(1990, 1, 1), date(2090, 1, 1)))
def test_the_long_term_date_is_the_first_long_term_day(acquired):
    first = US.long_term_date(acquired)
    assert US.is_long_term(acquired_date=acquired, sold_date=first)
    assert not US.is_long_term(acquired_date=acquired, sold_date=first - timedelta(days=1))


def test_the_american_tax_year_is_the_calendar_year():
    assert US.tax_year(date(2024, 2, 29)) == (date(2024, 1, 1), date(2024, 12, 31))
    assert (US.loss_cap, US_LOSS_CAP_SEPARATE) == (US_LOSS_CAP, 1500)


def test_american_segments_are_the_lots_themselves():
    assert not US.is_ordered
    assert US.list_segments(lots=LOTS[:2], day=DAY) == (
        Segment(A, D(50), D(20), is_long_term=True),
        Segment(B, D(60), D(58), is_long_term=False),
    )


# --- Regimes and figures ----------------------------------------------------------------------


def test_an_unknown_regime_is_refused_by_name():
    assert (get_regime("US").name, get_regime("UK").code) == ("United States", "UK")
    with pytest.raises(ValueError, match="'FR'; known are UK, US"):
        get_regime("FR")


@pytest.mark.parametrize(
    ("status", "income", "rate"),
    [
        (FilingStatus.SINGLE, 48349, "0"),
        (FilingStatus.SINGLE, 48350, "0.15"),
        (FilingStatus.SINGLE, 200000, "0.188"),
        (FilingStatus.SINGLE, 533400, "0.238"),
        (FilingStatus.JOINT, 96699, "0"),
        (FilingStatus.JOINT, 249999, "0.15"),
        (FilingStatus.JOINT, 600050, "0.238"),
    ],
)
def test_the_rate_on_the_next_dollar_of_long_term_gain(status, income, rate):
    found = find_long_term_rate(
        status=status,
        taxable_income=D(income),
        income_before_deductions=D(income),
        day=DAY,
    )
    assert found == D(rate)


def test_figures_are_found_by_date_and_never_before_the_first():
    assert find_in_force(UK_EXEMPT_AMOUNTS, date(2024, 4, 6)).amount == 3000
    assert find_in_force(UK_GAINS_RATES, DAY).higher == D("0.24")
    with pytest.raises(ValueError, match="no figures are known for 2024-04-05"):
        find_in_force(UK_EXEMPT_AMOUNTS, date(2024, 4, 5))


@pytest.mark.parametrize("table", [US_LONG_TERM, UK_EXEMPT_AMOUNTS, UK_GAINS_RATES])
def test_every_figure_names_its_source_and_says_whether_it_was_checked(table):
    for entry in table:
        assert entry.source.text
        assert entry.source.checked_on or "not compared" in entry.source.note
