"""Alpaca's adapter against a local server that speaks its API: every answer that is none."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from alpaca.trading.models import Order

from portfolios.domain.kinds import Side
from rebalancer.brokers.alpaca import AlpacaBroker, translate
from rebalancer.brokers.paper.dial import Dial
from rebalancer.brokers.port import (
    AllocationInstruction,
    BrokerStatus,
    BrokerUnavailable,
    ExecutionKind,
)
from tests.rebalancer.brokers.alpaca_server import ACCOUNT_NUMBER, KEY_ID
from tests.rebalancer.brokers.rigs import CHECKOUT, AlpacaRig
from tests.rebalancer.brokers.tickets import DAY, make_ticket

D = Decimal
DATA = Path(os.environ.get("EVENKEEL_DATA_DIR", CHECKOUT.parent / "shared" / "data"))
EXAMPLES = DATA / "formats" / "alpaca_rebalancing_examples.json"


@pytest.fixture
def rig():
    made = AlpacaRig()
    yield made
    made.close()


def post_count(rig):
    return rig.server.requests.count(("POST", "/v2/orders"))


# --- What is sent ---------------------------------------------------------------------------


def test_numbers_are_sent_as_exact_text(rig):
    facts = {"quantity": D("0.12345678"), "side": Side.SELL, "limit_price": D("101.239")}
    rig.broker.submit(make_ticket(**facts))
    [body] = rig.server.posted
    assert body == {
        "symbol": "VTI",
        "qty": "0.12345678",
        "side": "sell",
        "type": "limit",
        "limit_price": "101.24",
        "time_in_force": "day",
        "client_order_id": "ev-1",
    }


@pytest.mark.parametrize(
    ("side", "limit", "expected"),
    [
        (Side.BUY, "100.019", "100.01"),
        (Side.SELL, "100.011", "100.02"),
        (Side.BUY, "0.99999", "0.9999"),
        (Side.SELL, "0.12341", "0.1235"),
        (Side.BUY, "1.00", "1.00"),
    ],
)
def test_a_limit_is_rounded_so_that_it_costs_us_nothing(side, limit, expected):
    assert translate.fit_limit(side, D(limit)) == D(expected)


def test_an_order_for_another_account_is_never_sent(rig):
    order = rig.broker.submit(make_ticket(account_number="SOMEBODY-ELSE"))
    assert order.status is BrokerStatus.REJECTED
    assert "SOMEBODY-ELSE" in order.reason
    assert rig.server.posted == []
    assert rig.broker.list_positions(["SOMEBODY-ELSE"]) == []


def test_an_id_that_is_too_long_is_never_sent(rig):
    assert rig.broker.submit(make_ticket("x" * 129)).status is BrokerStatus.REJECTED
    assert rig.server.posted == []


# --- What is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"quantity": D(5000)}, "insufficient buying power"),
        ({"symbol": "NOPE"}, "not found"),
        ({"quantity": D("0.001")}, "minimal amount"),
    ],
)
def test_a_refusal_is_a_reject_with_its_reason(rig, facts, word):
    order = rig.broker.submit(make_ticket(**facts))
    assert order.status is BrokerStatus.REJECTED
    assert word in order.reason
    assert rig.count() == 0


def test_a_duplicate_is_looked_up_and_never_rejected(rig):
    rig.broker.submit(make_ticket())
    rig.tick()
    again = rig.broker.submit(make_ticket())
    assert (again.status, again.filled_quantity) == (BrokerStatus.FILLED, 10)
    assert post_count(rig) == 2


def test_a_refusal_of_an_order_that_was_taken_is_not_believed(rig):
    rig.server.fault = "post refused although taken"
    assert rig.broker.submit(make_ticket()).status is BrokerStatus.WORKING


def test_a_duplicate_that_cannot_be_found_is_an_unknown_outcome(rig, monkeypatch):
    rig.broker.submit(make_ticket())
    monkeypatch.setattr(type(rig.broker), "get_orders", lambda *_args: {})
    with pytest.raises(BrokerUnavailable, match="does not find it"):
        rig.broker.submit(make_ticket())


@pytest.mark.parametrize(
    "fault",
    [
        "request lost", "answer lost", "429", "500", "502", "html 200", "html 403", "error 200",
        "truncated", "cut json", "null", "hang",
    ],
)  # fmt: skip
def test_what_is_not_an_answer_is_an_unknown_outcome(rig, fault):
    rig.server.fault = fault
    with pytest.raises(BrokerUnavailable):
        rig.broker.submit(make_ticket())
    # The library's own retries are off: one try is one request.
    assert post_count(rig) == 1
    for question in (
        lambda: rig.broker.get_orders(["ev-1"]),
        lambda: rig.broker.get_orders(["ev-1", "ev-2"]),
        lambda: rig.broker.list_orders(datetime.now(UTC)),
        lambda: rig.broker.list_positions([ACCOUNT_NUMBER]),
        lambda: rig.broker.cancel("ev-1"),
    ):
        with pytest.raises(BrokerUnavailable):
            question()
    rig.server.fault = ""
    is_taken = fault not in ("request lost", "429")
    assert ("ev-1" in rig.broker.get_orders(["ev-1"])) is is_taken


def test_a_hanging_broker_costs_no_more_than_the_time_out(rig):
    rig.server.fault = "hang"
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        rig.broker.get_orders(["ev-1"])
    assert time.monotonic() - began < 1.9


def test_wrong_keys_say_nothing_about_an_order(rig):
    stranger = AlpacaBroker(key_id=KEY_ID, secret_key="wrong", url=rig.server.url)
    for question in (
        lambda: stranger.submit(make_ticket()),
        lambda: stranger.get_orders(["ev-1"]),
        lambda: stranger.list_positions([ACCOUNT_NUMBER]),
    ):
        with pytest.raises(BrokerUnavailable):
            question()


def test_no_connection_is_an_unknown_outcome():
    nobody = AlpacaBroker(key_id="k", secret_key="s", url="http://127.0.0.1:9")
    with pytest.raises(BrokerUnavailable):
        nobody.submit(make_ticket())


def test_secrets_are_in_no_error(rig):
    secret = "s3cr3t-canary"
    broker = AlpacaBroker(key_id="k", secret_key=secret, url=rig.server.url)
    with pytest.raises(BrokerUnavailable) as caught:
        broker.submit(make_ticket())
    shown = f"{caught.value!r} {caught.value.__cause__!r} {broker!r}"
    assert secret not in shown


def test_it_takes_no_allocations(rig):
    assert not rig.broker.abilities.has_blocks
    with pytest.raises(BrokerUnavailable):
        rig.broker.allocate(AllocationInstruction("b", 1, "VTI", Side.BUY, (), ()))


# --- What is told ---------------------------------------------------------------------------


def test_many_orders_take_few_requests_and_many_pages_are_read(rig):
    ids = [f"ev-{number}" for number in range(30)]
    rig.server.exchange.dial = Dial(part_quantity=1, parts_per_tick=10)
    for client_order_id in ids:
        rig.broker.submit(make_ticket(client_order_id))
    rig.tick()
    rig.server.requests.clear()
    found = rig.broker.get_orders([*ids, "unknown"])
    assert set(found) == set(ids)
    assert all(len(order.executions) == 10 for order in found.values())
    # One list, one look-up of what is not in it, and four pages of 300 activities.
    assert len(rig.server.requests) == 6


def test_a_long_list_is_read_to_its_end(rig, monkeypatch):
    monkeypatch.setattr("rebalancer.brokers.alpaca.broker.ORDERS_A_PAGE", 4)
    for number in range(11):
        rig.broker.submit(make_ticket(f"ev-{number}"))
    found = rig.broker.list_orders(datetime.now(UTC) - timedelta(hours=1))
    assert len(found) == 11


def test_a_correction_names_its_fill_and_its_new_price(rig):
    rig.broker.submit(make_ticket())
    rig.tick()
    with rig.server.lock:
        rig.server.exchange.correct("ev-1-1", D("101.5"))
    fill, correction = rig.broker.get_orders(["ev-1"])["ev-1"].executions
    assert correction.kind is ExecutionKind.CORRECTION
    assert (correction.refers_to, correction.price) == (fill.fill_id, D("101.5"))


def test_a_bust_of_everything_is_still_told(rig):
    rig.broker.submit(make_ticket())
    rig.tick()
    rig.bust("ev-1")
    order = rig.broker.get_orders(["ev-1"])["ev-1"]
    assert order.filled_quantity == 0
    assert [report.kind for report in order.executions] == ["FILL", "BUST"]


def test_a_fill_after_midnight_in_london_belongs_to_the_day_in_new_york():
    _order_id, execution = translate.read_activity(
        {
            "id": "20240301::a",
            "type": "fill",
            "transaction_time": "2024-03-02T00:30:00Z",
            "price": "1",
            "qty": "1",
            "order_id": "o",
        }
    )
    assert execution.fill_date == DAY


@pytest.mark.parametrize(
    "change", [{"price": "NaN"}, {"qty": None}, {"transaction_time": "soon"}, {"id": None}]
)
def test_an_activity_that_cannot_be_read_is_no_answer(change):
    activity = {
        "id": "a",
        "type": "fill",
        "transaction_time": "2024-03-02T00:30:00Z",
        "price": "1",
        "qty": "1",
        "order_id": "o",
    }
    values = {name: value for name, value in (activity | change).items() if value is not None}
    with pytest.raises(BrokerUnavailable):
        translate.read_activity(values)


def test_an_activity_that_is_no_trade_is_passed_over():
    assert translate.read_activity({"id": "a", "type": "dividend", "order_id": "o"}) is None


@pytest.mark.skipif(not EXAMPLES.exists(), reason=f"{EXAMPLES} is not there")
def test_the_documented_orders_are_read_as_they_are():
    answers = [example["json"] for example in json.loads(EXAMPLES.read_text())["examples"]]
    answers = [answer for answer in answers if isinstance(answer, dict)]
    runs = [run for answer in answers for run in [answer, *answer.get("runs", [])]]
    found = [order for run in runs for order in run.get("orders") or []]
    assert found
    for values in found:
        order = translate.translate_order(*translate.read_order(values), ())
        assert order.status is BrokerStatus.FILLED
        assert order.filled_quantity == D(values["filled_qty"])
        # Ordered for an amount of money, not for a number of shares.
        assert order.quantity == 0
        assert order.client_order_id == values["client_order_id"]


def test_every_state_of_the_library_is_translated():
    for state in Order.model_fields["status"].annotation:
        values = _order_json() | {"status": state.value}
        status = translate.translate_order(*translate.read_order(values), ()).status
        closed = {"filled", "canceled", "expired", "rejected", "replaced"}
        assert (status is not BrokerStatus.WORKING) is (state.value in closed), state


def _order_json():
    rig = AlpacaRig()
    rig.broker.submit(make_ticket())
    with rig.server.lock:
        [order] = rig.server.all_orders()
        found = rig.server.order_json(order)
    rig.close()
    return found
