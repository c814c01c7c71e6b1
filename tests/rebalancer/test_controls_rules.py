"""The pure rules of limits: just below, at and above each; collars; hours of real sessions."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolios.domain.kinds import Side
from rebalancer.domain import limits as rules
from rebalancer.domain.execution import measure_fill_price
from rebalancer.domain.limits import DEFAULTS, Limits, OrderFacts, RefusalCode, Use
from robo.common import market_calendar

D = Decimal


def order(**facts):
    return OrderFacts(
        **{
            "order_id": 1,
            "firm_id": 1,
            "account_id": 1,
            "proposal_id": 1,
            "security_id": 1,
            "symbol": "USTM",
            "side": Side.BUY,
            "quantity": D(100),
            "price": D(50),
            "half_spread_bps": D(2),
            "daily_volume": None,
            "broker": "PAPER",
            **facts,
        }
    )


def code_of(breach):
    return breach and breach.code


# --- One order ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "code"), [("99", None), ("100", None), ("101", "ORDER_AMOUNT")]
)
def test_an_order_may_reach_its_largest_amount_and_not_pass_it(quantity, code):
    limits = Limits(order_amount_max=D(5000))
    assert code_of(rules.check_order(limits=limits, order=order(quantity=D(quantity)))) == code


@pytest.mark.parametrize(("quantity", "code"), [("99", None), ("100", None), ("101", "VOLUME")])
def test_an_order_may_reach_its_share_of_volume_and_not_pass_it(quantity, code):
    limits = Limits(volume_share_max=D("0.10"))
    facts = order(quantity=D(quantity), daily_volume=D(1000))
    assert code_of(rules.check_order(limits=limits, order=facts)) == code
    assert rules.check_order(limits=limits, order=replace(facts, daily_volume=None)) is None


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize(("spread", "code"), [("99", None), ("100", None), ("101", "COLLAR")])
def test_an_order_whose_spread_alone_leads_beyond_the_collar_is_refused(side, spread, code):
    facts = order(side=side, half_spread_bps=D(spread), price=D(100))
    assert code_of(rules.check_order(limits=Limits(collar_bps=D(100)), order=facts)) == code


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "-1", "0", "-Infinity"])
@pytest.mark.parametrize("part", ["quantity", "price"])
def test_what_is_no_number_passes_no_limit(bad, part):
    breach = rules.check_order(limits=DEFAULTS, order=order(**{part: D(bad)}))
    assert breach.code == RefusalCode.ORDER_AMOUNT
    assert "USTM" in breach.sentence


def test_a_breach_names_the_order_and_the_figures():
    breach = rules.check_order(
        limits=Limits(order_amount_max=D(4000)), order=order(order_id=7, side=Side.SELL)
    )
    assert breach.order_id == 7
    assert breach.sentence == "SELL 100 USTM comes to 5,000.00; one order may be 4,000.00."


# --- Days of accounts and firms -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("use", "code"),
    [
        (Use(D("4999.99")), None),
        (Use(D("5000.00")), None),
        (Use(D("5000.01")), "TURNOVER"),
        (Use(order_count=9), None),
        (Use(order_count=10), None),
        (Use(order_count=11), "ACCOUNT_ORDERS"),
        (Use(realised_gain=D("299.99")), None),
        (Use(realised_gain=D("300.00")), None),
        (Use(realised_gain=D("300.01")), "GAIN"),
        (Use(realised_gain=D(-9999)), None),
    ],
)
def test_an_account_may_reach_its_limits_of_a_day_and_not_pass_them(use, code):
    limits = Limits(account_turnover_max=D("0.5"), account_orders_max=10, account_gain_max=D(300))
    breach = rules.check_account_use(limits=limits, use=use, value=D(10_000), name="Joint")
    assert code_of(breach) == code
    assert breach is None or "Joint" in breach.sentence


@pytest.mark.parametrize(
    ("use", "code"),
    [
        (Use(D("999.99"), 4), None),
        (Use(D("1000.00"), 5), None),
        (Use(D("1000.01"), 5), "FIRM_AMOUNT"),
        (Use(D("1000.00"), 6), "FIRM_ORDERS"),
    ],
)
def test_a_firm_may_reach_its_limits_of_a_day_and_not_pass_them(use, code):
    limits = Limits(firm_amount_max=D(1000), firm_orders_max=5)
    assert code_of(rules.check_firm_use(limits=limits, use=use)) == code


def test_between_two_automatic_rebalances_lie_the_days_of_the_cool_down():
    limits, first = Limits(cool_down_days=5), date(2026, 11, 20)

    def is_cooling(days):
        return rules.is_cooling_down(
            limits=limits, earlier_date=first, session_date=first + timedelta(days)
        )

    assert [is_cooling(days) for days in (0, 4, 5, 6)] == [True, True, False, False]
    assert not rules.is_cooling_down(limits=DEFAULTS, earlier_date=first, session_date=first)


def test_an_equal_order_is_a_double_within_the_minutes_and_not_after():
    limits, first = Limits(duplicate_minutes=10), datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
    seconds = [599, 600, 601]
    assert [
        rules.is_repeated(limits=limits, earlier=first, now=first + timedelta(seconds=s))
        for s in seconds
    ] == [True, False, False]


@given(amounts=st.lists(st.integers(1, 300), max_size=40), cap=st.integers(1, 2000))
def test_whatever_comes_in_whatever_order_what_was_let_through_never_passes_the_cap(amounts, cap):
    limits, used = Limits(firm_amount_max=D(cap)), Use()
    for amount in amounts:
        after = used.add(Use(D(amount), 1))
        if rules.check_firm_use(limits=limits, use=after) is None:
            used = after
        else:
            assert used.amount + amount > cap  # refused only where it did not fit
    assert used.amount <= cap


# --- Collars ------------------------------------------------------------------------------------

PRICES = st.decimals("0.01", "100000", places=6)


@given(side=st.sampled_from(Side), price=PRICES, bps=st.integers(1, 5000))
def test_a_collar_is_in_ticks_and_never_beyond_its_distance(side, price, bps):
    collar = rules.build_collar(side=side, price=price, limits=Limits(collar_bps=D(bps)))
    tick = D("0.01") if collar >= 1 else D("0.0001")
    assert collar > 0
    assert collar % tick == 0
    far = price * (1 + (1 if side is Side.BUY else -1) * D(bps) / 10_000)
    if side is Side.BUY:
        assert far - D("0.01") < collar <= max(far, tick)
    else:
        assert far <= collar < far + D("0.01")


@given(
    side=st.sampled_from(Side), price=st.decimals("1", "100000", places=2), bps=st.integers(0, 100)
)
def test_an_order_that_passes_can_trade_at_its_expected_price_within_the_collar(side, price, bps):
    limits = Limits(collar_bps=D(200))
    facts = order(side=side, price=price, half_spread_bps=D(bps), quantity=D(1))
    if rules.check_order(limits=limits, order=facts) is None:
        expected = measure_fill_price(side=side, price=price, half_spread_bps=D(bps))
        collar = rules.build_collar(side=side, price=price, limits=limits)
        assert expected <= collar if side is Side.BUY else expected >= collar


# --- Figures of limits --------------------------------------------------------------------------


def test_the_defaults_are_limits():
    assert rules.check_limits(DEFAULTS) == ""
    assert set(rules.LABELS) == set(rules.FIELD_NAMES)
    assert set(rules.BOUNDS) == set(rules.FIELD_NAMES) - set(rules.CHOICES)


@pytest.mark.parametrize("name", rules.CHOICES)
def test_what_is_chosen_is_one_of_the_choices(name):
    for value in rules.CHOICES[name]:
        assert rules.check_limits(replace(DEFAULTS, **{name: value})) == ""
    assert rules.describe(name) in rules.check_limits(replace(DEFAULTS, **{name: "ANYHOW"}))


@pytest.mark.parametrize("name", sorted(rules.BOUNDS))
def test_every_limit_has_bounds_that_hold(name):
    low, high = rules.BOUNDS[name]
    kind = type(getattr(DEFAULTS, name))
    for value, is_fine in ((low, True), (high, True), (low - 1, False), (high + 1, False)):
        fault = rules.check_limits(replace(DEFAULTS, **{name: kind(value)}))
        assert (fault == "") == is_fine
        assert is_fine or rules.describe(name) in fault


def test_a_limit_that_is_no_number_is_refused():
    assert (
        rules.check_limits(Limits(order_amount_max=D("NaN"))) == "Largest order must be a number."
    )


# --- Hours --------------------------------------------------------------------------------------

OPEN, CLOSED = True, False
SESSIONS = [  # instant in UTC; New York is five hours behind, four in summer
    ("2026-11-20 14:29", CLOSED, "a minute before the open"),
    ("2026-11-20 14:30", OPEN, "the open"),
    ("2026-11-20 20:59", OPEN, "the last minute"),
    ("2026-11-20 21:00", CLOSED, "the close"),
    ("2026-11-21 16:00", CLOSED, "a Saturday"),
    ("2026-11-26 16:00", CLOSED, "Thanksgiving"),
    ("2026-11-27 17:59", OPEN, "the day after, until 13:00"),
    ("2026-11-27 18:00", CLOSED, "the early close"),
    ("2026-12-24 17:59", OPEN, "Christmas Eve, until 13:00"),
    ("2026-12-24 18:00", CLOSED, "Christmas Eve, closed early"),
    ("2026-12-25 16:00", CLOSED, "Christmas"),
    ("2012-10-29 15:00", CLOSED, "a hurricane, not foreseen"),
    ("2012-10-30 15:00", CLOSED, "and the day after"),
    ("2012-10-31 15:00", OPEN, "open again"),
    ("2018-12-05 16:00", CLOSED, "a president's funeral"),
    ("2025-01-09 16:00", CLOSED, "another's"),
    ("2026-03-06 14:30", OPEN, "the Friday before the clocks go forward"),
    ("2026-03-09 13:30", OPEN, "the Monday after: an hour earlier in UTC, while Europe waits"),
    ("2026-03-09 13:29", CLOSED, "not yet"),
    ("2026-03-09 20:00", CLOSED, "and closed an hour earlier"),
    ("2026-10-30 13:30", OPEN, "the Friday before they go back; Europe's went already"),
    ("2026-11-02 13:30", CLOSED, "the Monday after"),
    ("2026-11-02 14:30", OPEN, "open at half past nine there"),
    ("2040-12-31 16:00", OPEN, "the last day that the calendar knows"),
    ("2041-01-02 16:00", CLOSED, "beyond it"),
    ("1989-06-01 16:00", CLOSED, "before it"),
]


@pytest.mark.parametrize(("instant", "is_open", "what"), SESSIONS)
def test_orders_go_in_sessions_only(instant, is_open, what):
    now = datetime.fromisoformat(instant).replace(tzinfo=UTC)
    hours = market_calendar.get_session_hours("XNYS", market_calendar.get_local_date("XNYS", now))
    bare = Limits(open_minutes=0, close_minutes=0)
    wait = rules.find_wait(now=now, hours=hours, limits=bare, exchange="XNYS")
    assert (wait == "") == is_open, f"{what}: {wait}"
    assert is_open or "XNYS" in wait


@pytest.mark.parametrize(
    ("instant", "is_open"),
    [("14:39", CLOSED), ("14:40", OPEN), ("20:44", OPEN), ("20:45", CLOSED)],
)
def test_nothing_goes_in_the_first_and_last_minutes(instant, is_open):
    limits = Limits(open_minutes=10, close_minutes=15)
    now = datetime.fromisoformat(f"2026-11-20 {instant}").replace(tzinfo=UTC)
    hours = market_calendar.get_session_hours("XNYS", now.date())
    assert (rules.find_wait(now=now, hours=hours, limits=limits, exchange="X") == "") == is_open


def test_the_day_is_the_exchange_s_own():
    late = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
    assert market_calendar.get_local_date("XNYS", late) == date(2026, 11, 20)
    assert market_calendar.get_local_date("XTKS", late) == date(2026, 11, 21)
