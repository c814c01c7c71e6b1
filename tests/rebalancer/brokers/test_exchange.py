"""The paper exchange: prices, parts, cancels, busts, positions and actions, by hand and by dice."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolios.domain.kinds import Side
from rebalancer.brokers.paper import Exchange
from rebalancer.brokers.paper.dial import Dial, parse_dial
from rebalancer.brokers.paper.simulated import SimulatedBroker
from rebalancer.brokers.port import (
    BrokerStatus,
    BrokerUnavailable,
    ExecutionKind,
)
from rebalancer.domain.execution import measure_fill_price
from tests.rebalancer.brokers.tickets import DAY, make_ticket

D = Decimal


def make_exchange(seed=1, **dial):
    return Exchange(Random(seed), Dial(**dial))


def holdings(exchange, *numbers):
    return {
        (position.account_number, position.symbol): position.quantity
        for position in exchange.list_positions(numbers)
    }


def known(exchange, client_order_id="ev-1"):
    return exchange.tell([client_order_id])[client_order_id]


# --- Price ----------------------------------------------------------------------------------


@pytest.mark.parametrize("side", list(Side))
def test_without_volume_the_price_is_the_half_spread(side):
    exchange = make_exchange()
    exchange.submit(make_ticket(side=side, half_spread_bps=D("7.5")))
    exchange.tick()
    [fill] = known(exchange).executions
    assert fill.price == measure_fill_price(side=side, price=D(100), half_spread_bps=D("7.5"))
    assert fill.fill_date == DAY


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        # Two basis points and 1.5 % a day: one per cent of the volume costs 17 basis points.
        ("10000", "100.170000"),
        ("40000", "100.320000"),
    ],
)
def test_impact_follows_the_square_root_of_the_share_of_volume(quantity, expected):
    exchange = make_exchange()
    facts = {"daily_volume": D(1_000_000), "daily_volatility": D("0.015")}
    exchange.submit(make_ticket(quantity=D(quantity), half_spread_bps=D(2), **facts))
    exchange.tick()
    [fill] = known(exchange).executions
    assert fill.price == D(expected)


def test_what_was_taken_before_presses_on_the_price_and_fades():
    facts = {"daily_volume": D(1_000_000), "daily_volatility": D("0.015"), "quantity": D(10_000)}

    def second_price(ticks_between):
        exchange = make_exchange()
        exchange.submit(make_ticket("first", **facts))
        exchange.tick()
        for _ in range(ticks_between):
            exchange.tick()
        exchange.submit(make_ticket("second", **facts))
        exchange.tick()
        return known(exchange, "second").executions[0].price

    alone, soon, later = D("100.15"), second_price(0), second_price(5)
    assert alone < later < soon
    assert second_price(200) == alone


def test_depth_limits_what_one_tick_can_fill():
    exchange = make_exchange()
    exchange.submit(make_ticket(quantity=D(120), daily_volume=D(1000)))
    filled = []
    for _ in range(3):
        exchange.tick()
        filled.append(known(exchange).filled_quantity)
    assert filled == [50, 100, 120]
    assert known(exchange).status is BrokerStatus.FILLED


def test_a_limit_is_never_crossed_and_waits_for_a_better_price():
    exchange = make_exchange()
    exchange.submit(make_ticket(half_spread_bps=D(10), limit_price=D("100.05")))
    exchange.tick()
    assert known(exchange).filled_quantity == 0
    exchange.set_price("VTI", D("99.90"))
    exchange.tick()
    assert known(exchange).executions[0].price <= D("100.05")


# --- Fate -----------------------------------------------------------------------------------


def test_a_run_repeats_with_the_same_seed_and_differs_with_another():
    def run(seed):
        exchange = make_exchange(seed, reject_share=0.3, partial_share=0.5, bust_share=0.2)
        for number in range(40):
            exchange.submit(make_ticket(f"ev-{number}", quantity=D(100)))
        for _ in range(6):
            exchange.tick()
        return exchange.tell([f"ev-{number}" for number in range(40)])

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_the_same_id_is_one_order_unless_the_dial_says_otherwise():
    exchange = make_exchange()
    first = exchange.submit(make_ticket())
    assert exchange.submit(make_ticket()) == first
    assert (exchange.count_orders(), exchange.count_doubled()) == (1, 0)
    careless = make_exchange(has_unique_ids=False)
    careless.submit(make_ticket())
    careless.submit(make_ticket())
    assert careless.count_doubled() == 1


def test_rejects_name_the_reason():
    exchange = make_exchange(checks_funds=True)
    exchange.forbid("GONE")
    assert exchange.submit(make_ticket("a", symbol="GONE")).reason == "GONE is not tradable"
    poor = exchange.submit(make_ticket("b", account_number="1"))
    assert (poor.status, poor.reason) == (BrokerStatus.REJECTED, "insufficient buying power")
    sale = exchange.submit(make_ticket("c", account_number="1", side=Side.SELL))
    assert sale.reason == "insufficient VTI to sell"
    exchange.transfer(key="t", account_number="1", symbol="", quantity=D(1000))
    assert exchange.submit(make_ticket("d", account_number="1")).status is BrokerStatus.WORKING


def test_a_halt_holds_orders_until_it_ends():
    exchange = make_exchange()
    exchange.halt("VTI")
    exchange.submit(make_ticket())
    exchange.tick()
    assert known(exchange).filled_quantity == 0
    exchange.resume("VTI")
    exchange.tick()
    assert known(exchange).status is BrokerStatus.FILLED


def test_a_cancel_stops_the_rest_and_a_late_fill_may_follow():
    exchange = make_exchange(late_fill_share=1.0, part_quantity=4)
    exchange.submit(make_ticket())
    exchange.tick()
    exchange.cancel("ev-1")
    assert (known(exchange).status, known(exchange).filled_quantity) == (BrokerStatus.CANCELLED, 4)
    exchange.tick()
    assert (known(exchange).status, known(exchange).filled_quantity) == (BrokerStatus.CANCELLED, 8)
    exchange.tick()
    assert known(exchange).filled_quantity == 8
    exchange.cancel("nobody knows this")


def test_a_session_ends_with_what_is_left_expired():
    exchange = make_exchange(part_quantity=4)
    exchange.submit(make_ticket())
    exchange.submit(make_ticket("tomorrow", market_date=DAY + timedelta(days=1)))
    exchange.tick(["ev-1"])
    exchange.close_session(DAY)
    assert (known(exchange).status, known(exchange).filled_quantity) == (BrokerStatus.EXPIRED, 4)
    assert known(exchange, "tomorrow").status is BrokerStatus.WORKING


def test_a_bust_takes_a_fill_back_once():
    exchange = make_exchange()
    exchange.submit(make_ticket(account_number="1"))
    exchange.tick()
    assert exchange.bust("ev-1-1")
    assert not exchange.bust("ev-1-1")
    assert not exchange.correct("ev-1-1", D(99))
    assert not exchange.bust("nothing")
    order = known(exchange)
    assert (order.status, order.filled_quantity) == (BrokerStatus.CANCELLED, 0)
    assert [report.kind for report in order.executions] == ["FILL", "BUST"]
    assert order.executions[1].refers_to == "ev-1-1"
    assert holdings(exchange, "1") == {("1", ""): 0}


def test_corrections_follow_each_other_and_a_bust_takes_back_the_last():
    exchange = make_exchange()
    exchange.submit(make_ticket(account_number="1"))
    exchange.tick()
    exchange.correct("ev-1-1", D("101"))
    assert holdings(exchange, "1") == {("1", ""): -1010, ("1", "VTI"): 10}
    exchange.correct("ev-1-1", D("102"), D("9"))
    assert holdings(exchange, "1") == {("1", ""): -918, ("1", "VTI"): 9}
    assert known(exchange).filled_quantity == 9
    exchange.bust("ev-1-1")
    assert holdings(exchange, "1") == {("1", ""): 0}
    ids = [report.fill_id for report in known(exchange).executions]
    assert len(set(ids)) == 4


def test_overfill_absurd_price_and_a_wrong_identity_are_told_as_they_are():
    exchange = make_exchange(overfill_share=1.0, absurd_price_share=1.0)
    exchange.submit(make_ticket())
    exchange.tick()
    order = known(exchange)
    assert order.filled_quantity == 11
    assert order.executions[0].price == 1000
    liar = make_exchange(wrong_side_share=1.0, wrong_symbol_share=1.0)
    told = liar.submit(make_ticket())
    assert (told.side, told.symbol) == (Side.SELL, "VTIX")


def test_reports_get_lost_come_late_or_twice_but_the_sum_is_true():
    exchange = make_exchange(duplicate_share=1.0)
    exchange.submit(make_ticket())
    exchange.tick()
    assert len(known(exchange).executions) == 2
    exchange.dial = Dial(lost_share=1.0)
    assert known(exchange).executions == ()
    assert known(exchange).filled_quantity == 10
    exchange.dial = Dial(late_share=1.0, late_ticks=3)
    assert known(exchange).executions == ()
    for _ in range(3):
        exchange.tick()
    assert len(known(exchange).executions) == 1


def test_one_order_may_fill_in_ten_thousand_parts():
    exchange = make_exchange(part_quantity=1, parts_per_tick=10_000)
    exchange.submit(make_ticket(quantity=D(10_000), account_number="1"))
    exchange.tick()
    order = known(exchange)
    assert len({report.fill_id for report in order.executions}) == 10_000
    assert (order.status, order.filled_quantity) == (BrokerStatus.FILLED, 10_000)
    assert holdings(exchange, "1")["1", "VTI"] == 10_000


def test_the_list_has_what_is_open_or_was_touched_since():
    exchange = make_exchange()
    exchange.submit(make_ticket("old"))
    exchange.tick()
    exchange.now = datetime(2024, 3, 2, tzinfo=UTC)
    exchange.submit(make_ticket("open"))
    since = datetime(2024, 3, 1, tzinfo=UTC)
    assert [order.client_order_id for order in exchange.list_orders(since)] == ["open"]
    exchange.bust("old-1")
    assert [order.client_order_id for order in exchange.list_orders(since)] == ["old", "open"]


# --- The dial and the simulated wire --------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"bust_chare": 0.1}, "bust_chare"),
        ({"bust_share": 1.5}, "bust_share"),
        ({"bust_share": "0.5"}, "bust_share"),
        ({"bust_share": float("nan")}, "bust_share"),
        ({"bust_share": True}, "bust_share"),
        ({"late_ticks": 1.5}, "late_ticks"),
        ({"parts_per_tick": 0}, "parts_per_tick"),
        ({"checks_funds": 1}, "checks_funds"),
        ({"request_lost_share": 0.6, "hang_share": 0.6}, "add up"),
    ],
)
def test_a_dial_that_makes_no_sense_is_refused(values, word):
    with pytest.raises(ValueError, match=word):
        parse_dial(values)


def test_a_lost_request_is_not_taken_a_lost_answer_is_and_a_late_one_comes_later():
    exchange = make_exchange()
    broker = SimulatedBroker(exchange)
    for name, taken_now, taken_later in [
        ("request_lost_share", False, False),
        ("throttled_share", False, False),
        ("answer_lost_share", True, True),
        ("error_502_share", True, True),
        ("taken_late_share", False, True),
    ]:
        exchange.dial = Dial(**{name: 1.0})
        with pytest.raises(BrokerUnavailable):
            broker.submit(make_ticket(name))
        exchange.dial = Dial()
        assert (name in broker.get_orders([name])) is taken_now, name
        exchange.tick()
        exchange.tick()
        assert (name in broker.get_orders([name])) is taken_later, name


# --- By dice --------------------------------------------------------------------------------

SHARES = st.sampled_from([0.0, 0.2, 0.7])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    dial=st.builds(
        Dial,
        reject_share=SHARES,
        partial_share=SHARES,
        late_fill_share=SHARES,
        bust_share=SHARES,
        correction_share=SHARES,
        overfill_share=SHARES,
    ),
    sides=st.lists(st.sampled_from(Side), min_size=1, max_size=5),
    moves=st.lists(st.tuples(st.sampled_from("tcw"), st.integers(0, 4)), max_size=25),
)
def test_reports_quantities_and_positions_always_agree(seed, dial, sides, moves):
    """The cumulative quantity is what the reports add up to, and the account holds just that."""
    exchange = Exchange(Random(seed), dial)
    ids = [f"ev-{number}" for number in range(len(sides))]
    for client_order_id, side in zip(ids, sides, strict=True):
        facts = {"side": side, "quantity": D(30), "account_number": "1"}
        exchange.submit(make_ticket(client_order_id, **facts))
    for move, which in moves:
        if move == "c":
            exchange.cancel(ids[which % len(ids)])
        else:
            exchange.tick(None if move == "t" else [ids[which % len(ids)]])
        held = cash = D(0)
        for order in exchange.tell(ids).values():
            standing = {}
            for report in order.executions:
                if report.kind is ExecutionKind.BUST:
                    standing[report.refers_to] = (D(0), D(0))
                else:
                    standing[report.refers_to or report.fill_id] = (report.quantity, report.price)
            total = sum((quantity for quantity, _price in standing.values()), D(0))
            value = sum((quantity * price for quantity, price in standing.values()), D(0))
            assert order.filled_quantity == total >= 0
            sign = 1 if order.side is Side.BUY else -1
            held += sign * total
            cash -= sign * round(value, 2)
        found = holdings(exchange, "1")
        assert found.get(("1", "VTI"), 0) == held
        assert found.get(("1", ""), 0) == cash


def test_dates_of_fills_are_the_ticket_s():
    exchange = make_exchange()
    exchange.submit(make_ticket(market_date=date(2031, 5, 6)))
    exchange.tick()
    assert known(exchange).executions[0].fill_date == date(2031, 5, 6)
