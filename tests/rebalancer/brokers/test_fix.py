"""The FIX session against an acceptor in a process of its own: breaks, gaps, doubles, lies."""

import threading
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from portfolios.domain.kinds import Side
from rebalancer.brokers.fix import FixStore
from rebalancer.brokers.port import (
    AllocationInstruction,
    AllocationShare,
    BrokerStatus,
    BrokerUnavailable,
    ExecutionKind,
)
from tests.rebalancer.brokers.fix_dictionary import DICTIONARY, Dictionary
from tests.rebalancer.brokers.rigs import FixRig
from tests.rebalancer.brokers.tickets import make_ticket

D = Decimal


@pytest.fixture
def rig(tmp_path):
    made = FixRig(tmp_path)
    yield made
    made.close()


def received(rig, kind):
    """Return the messages of a kind that the acceptor received."""
    log = rig.command("log")["log"]
    return [text for way, text in log if way == "in" and f"\x0135={kind}\x01" in text]


def look(rig, client_order_id="ev-1"):
    rig.tick()
    return rig.broker.get_orders([client_order_id])[client_order_id]


# --- Breaks ---------------------------------------------------------------------------------


def test_reports_that_came_while_nobody_was_there_are_caught_up_with(rig):
    rig.dial(part_quantity=1)
    rig.broker.submit(make_ticket())
    for _ in range(10):
        rig.tick()
    order = rig.broker.get_orders(["ev-1"])["ev-1"]
    assert (order.status, order.filled_quantity) == (BrokerStatus.FILLED, 10)
    assert len({report.fill_id for report in order.executions}) == 10


def test_a_connection_lost_before_the_order_was_read_sends_it_again_as_a_possible_double(rig):
    rig.command("fault", **{"drop before": "D"})
    with pytest.raises(BrokerUnavailable):
        rig.broker.submit(make_ticket())
    assert rig.broker.get_orders(["ev-1"]) == {}
    order = rig.broker.submit(make_ticket())
    assert order.status is BrokerStatus.WORKING
    assert rig.count() == 1
    first, second = received(rig, "D")
    assert "\x0197=Y\x01" not in first
    assert "\x0197=Y\x01" in second


def test_a_stale_order_is_never_sent_again_when_the_other_side_asks(rig):
    rig.broker.submit(make_ticket())
    rig.command("fault", ask=[1, 0])
    assert look(rig).status is BrokerStatus.FILLED
    assert len(received(rig, "D")) == 1
    [fill] = received(rig, "4")
    assert "\x01123=Y\x01" in fill
    assert "\x0143=Y\x01" in fill
    assert "\x0134=1\x01" in fill
    # The session goes on with the numbers where they were.
    assert look(rig).status is BrokerStatus.FILLED


def test_a_message_of_ours_that_never_arrived_is_filled_over_not_repeated(rig):
    store = FixStore(rig.folder / "fix.sqlite3")
    rig.broker.submit(make_ticket())
    store.take_number()
    store.take_number()
    rig.broker.submit(make_ticket("ev-2"))
    assert rig.count() == 2
    assert len(received(rig, "D")) == 2
    numbers = rig.command("numbers")
    assert numbers["next_in"] == store.get_numbers()[1]


def test_a_gap_in_what_the_other_side_sent_is_asked_about_once(rig):
    rig.broker.submit(make_ticket())
    rig.command("fault", skip=5)
    assert look(rig).filled_quantity == 10
    assert len(received(rig, "2")) == 1
    numbers = rig.command("numbers")
    assert FixStore(rig.folder / "fix.sqlite3").get_numbers()[0] == numbers["next_out"]


def test_a_garbled_message_is_passed_over_and_asked_for_again(rig):
    rig.command("fault", garble=True)
    # The first message that is garbled is the answer to the log-on.
    with pytest.raises(BrokerUnavailable):
        FixRig.make_broker(rig).get_orders([])
    rig.broker.submit(make_ticket())
    assert look(rig).filled_quantity == 10


def test_reports_that_come_twice_count_once(rig):
    rig.command("fault", twice=True)
    rig.broker.submit(make_ticket())
    order = look(rig)
    assert (order.filled_quantity, len(order.executions)) == (10, 1)


def test_a_test_request_is_answered(rig):
    rig.command("fault", test=True)
    rig.broker.submit(make_ticket())
    assert any("112=ARE YOU THERE" in text for text in received(rig, "0"))


def test_silence_is_an_unknown_outcome(tmp_path):
    rig = FixRig(tmp_path, timeout_seconds=0.6)
    try:
        rig.command("fault", silent=True)
        with pytest.raises(BrokerUnavailable, match="no answer in time"):
            rig.broker.submit(make_ticket())
    finally:
        rig.close()


def test_nobody_there_is_an_unknown_outcome(rig):
    rig.process.kill()
    rig.process.wait()
    with pytest.raises(BrokerUnavailable, match="no connection"):
        rig.broker.submit(make_ticket())


def test_numbers_that_went_back_stop_the_session_until_somebody_sets_them(rig):
    rig.broker.submit(make_ticket())
    store = FixStore(rig.folder / "fix.sqlite3")
    next_in, next_out = store.get_numbers()
    store.set_numbers(next_in=next_in + 50, next_out=next_out)
    with pytest.raises(BrokerUnavailable, match="numbers must be set"):
        rig.broker.get_orders(["ev-1"])
    store.set_numbers(next_in=next_in, next_out=store.get_numbers()[1])
    assert look(rig).filled_quantity == 10


def test_our_own_numbers_gone_back_is_said_too(rig):
    rig.broker.submit(make_ticket())
    young = rig.make_broker("younger.sqlite3")
    with pytest.raises(BrokerUnavailable, match="MsgSeqNum too low"):
        young.get_orders(["ev-1"])


def test_a_lost_memory_is_filled_from_the_whole_list(rig):
    rig.dial(part_quantity=4)
    rig.broker.submit(make_ticket())
    rig.broker.submit(make_ticket("ev-2"))
    rig.tick()
    numbers = rig.command("numbers")
    young = rig.make_broker("younger.sqlite3")
    FixStore(rig.folder / "younger.sqlite3").set_numbers(
        next_in=numbers["next_out"], next_out=numbers["next_in"]
    )
    found = young.get_orders(["ev-1", "ev-2", "never sent"])
    assert set(found) == {"ev-1", "ev-2"}
    # What executed before is known as a sum only: the difference is there for all to see.
    assert (found["ev-1"].filled_quantity, found["ev-1"].executions) == (4, ())


def test_being_killed_between_any_two_messages_loses_nothing(rig, monkeypatch):
    rig.dial(part_quantity=1)
    rig.broker.submit(make_ticket())
    for _ in range(6):
        rig.tick()

    class Killed(BaseException):
        pass

    count_in, deaths = FixStore.count_in, 0
    for call, is_before in ((0, True), (0, False), (1, True), (1, False), (2, True), (2, False)):
        calls = iter(range(100))

        def dying(self, *args, calls=calls, call=call, is_before=is_before):
            number = next(calls)
            if number == call and is_before:
                raise Killed
            count_in(self, *args)
            if number == call:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(FixStore, "count_in", dying)
            try:
                rig.make_broker().get_orders(["ev-1"])
            except Killed:
                deaths += 1
    assert deaths == 6
    order = rig.make_broker().get_orders(["ev-1"])["ev-1"]
    assert (order.filled_quantity, len(order.executions)) == (6, 6)


def test_two_at_once_take_turns(rig):
    brokers = [rig.make_broker() for _ in range(4)]
    threads = [
        threading.Thread(target=broker.submit, args=[make_ticket(f"ev-{number}")])
        for number, broker in enumerate(brokers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rig.count() == 4


def test_who_waits_too_long_for_the_session_is_told(rig):
    store = FixStore(rig.folder / "fix.sqlite3")
    impatient = rig.make_broker()
    impatient._wait_seconds = 0.1
    with (
        store.hold(timeout_seconds=1),
        pytest.raises(BrokerUnavailable, match="in use elsewhere"),
    ):
        impatient.submit(make_ticket())


def test_one_conversation_may_carry_many_orders(rig):
    with rig.broker.conversation():
        for number in range(20):
            rig.broker.submit(make_ticket(f"ev-{number}"))
    assert rig.count() == 20
    assert len(received(rig, "A")) == 1


# --- Refusals and corrections ---------------------------------------------------------------


def test_a_message_that_is_refused_is_a_reject_with_its_reason(rig):
    rig.command("fault", **{"business reject": True})
    order = rig.broker.submit(make_ticket())
    assert (order.status, order.reason) == (BrokerStatus.REJECTED, "trading is closed")


def test_a_reject_by_the_market_keeps_its_reason(rig):
    rig.dial(reject_share=1.0)
    order = rig.broker.submit(make_ticket())
    assert order.status is BrokerStatus.REJECTED
    assert "dice" in order.reason


def test_a_duplicate_at_the_broker_is_looked_up_and_never_rejected(rig):
    rig.broker.submit(make_ticket())
    numbers = rig.command("numbers")
    young = rig.make_broker("younger.sqlite3")
    FixStore(rig.folder / "younger.sqlite3").set_numbers(
        next_in=numbers["next_out"], next_out=numbers["next_in"]
    )
    order = young.submit(make_ticket())
    assert order.status is BrokerStatus.WORKING
    assert rig.count() == 1


@pytest.mark.parametrize(
    "facts", [{"symbol": "VT\x01I"}, {"symbol": "ÄÖÜ"}, {"account_number": "1\n2"}]
)
def test_what_cannot_be_written_is_never_sent(rig, facts):
    assert rig.broker.submit(make_ticket(**facts)).status is BrokerStatus.REJECTED
    assert rig.count() == 0


def test_without_fractions_a_fraction_is_never_sent(rig):
    rig.broker.abilities = type(rig.broker.abilities)(has_fractions=False)
    assert rig.broker.submit(make_ticket(quantity=D("1.5"))).status is BrokerStatus.REJECTED
    assert rig.count() == 0


def test_a_correction_names_its_fill(rig):
    rig.broker.submit(make_ticket())
    rig.tick()
    assert rig.command("correct", fill_id="ev-1-1", price="101.25")["done"]
    fill, correction = rig.broker.get_orders(["ev-1"])["ev-1"].executions
    assert correction.kind is ExecutionKind.CORRECTION
    assert (correction.refers_to, correction.price) == (fill.fill_id, D("101.25"))


# --- By the dictionary ---


@pytest.mark.skipif(not DICTIONARY.exists(), reason=f"{DICTIONARY} is not there")
def test_every_message_of_a_busy_day_keeps_to_the_dictionary(rig):
    rig.dial(part_quantity=6)
    rig.broker.submit(make_ticket(account_number="ACC-1"))
    rig.broker.submit(make_ticket("ev-2", side=Side.SELL, limit_price=D("99.5")))
    rig.broker.submit(make_ticket("ev-3", quantity=D("2.5"), share_step=D("0.5")))
    look(rig)
    rig.broker.cancel("ev-1")
    rig.broker.cancel("ev-1")
    rig.bust("ev-2")
    rig.command("correct", fill_id="ev-3-1", price="98.5")
    rig.command("fault", ask=[1, 0], test=True)
    rig.broker.get_orders(["ev-1", "never sent"])
    rig.command("fault", skip=2)
    rig.command("fault", **{"drop before": "D"})
    with pytest.raises(BrokerUnavailable):
        rig.broker.submit(make_ticket("ev-4"))
    rig.broker.submit(make_ticket("ev-4"))
    for number in (1, 2):
        shares = (AllocationShare("ACC-1", D("2.5"), D("246.25")),)
        rig.broker.allocate(
            AllocationInstruction("block", number, "VTI", Side.BUY, ("ev-3",), shares)
        )
    rig.broker.list_positions(["ACC-1", "NOBODY"])
    rig.broker.list_orders(datetime(2024, 1, 1, tzinfo=UTC))
    dictionary = Dictionary(DICTIONARY)
    log = rig.command("log")["log"]
    faults = [fault for _way, text in log for fault in dictionary.find_faults(text)]
    assert faults == []
    kinds = {text.split("\x0135=")[1].split("\x01")[0] for way, text in log if way == "in"}
    assert kinds >= {"A", "0", "1", "2", "4", "5", "D", "F", "H", "AF", "J", "AN"}
