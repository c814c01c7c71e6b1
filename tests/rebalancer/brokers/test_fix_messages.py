"""FIX messages: reports that make no sense, bytes cut anywhere, samples, the dictionary itself."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer.brokers.fix import FixStore
from rebalancer.brokers.fix.message import Framer, Message, encode
from rebalancer.brokers.fix.translate import read_position, read_report
from rebalancer.brokers.port import BrokerStatus
from tests.rebalancer.brokers.fix_dictionary import DICTIONARY, SAMPLES, Dictionary
from tests.rebalancer.brokers.tickets import DAY

D = Decimal


# --- Reports that cannot be believed --------------------------------------------------------


def report(**changes):
    fields = {
        11: "ev-1", 37: "B", 17: "E", 150: "F", 39: "1", 55: "VTI", 54: "1", 38: "10", 32: "4",
        31: "100", 151: "6", 14: "4", 6: "100", 60: "20240301-15:00:00.000",
    }  # fmt: skip
    changed = fields | {int(name[1:]): value for name, value in changes.items()}
    return Message([(tag, value) for tag, value in changed.items() if value is not None])


@pytest.mark.parametrize(
    "changes",
    [
        {"t31": "NaN"}, {"t31": "0"}, {"t31": "-5"}, {"t32": "Infinity"}, {"t32": None},
        {"t14": "many"}, {"t11": None}, {"t60": "today"}, {"t150": "H"},
    ],
)  # fmt: skip
def test_a_report_that_makes_no_sense_is_refused(tmp_path, changes):
    with pytest.raises(ValueError, match=r".+"):
        read_report(report(**changes), FixStore(tmp_path / "s.sqlite3"))


def test_a_bust_that_repeats_nothing_takes_back_what_was_reported(tmp_path):
    store = FixStore(tmp_path / "s.sqlite3")
    store.count_in(2, read_report(report(), store))
    bust = report(t150="H", t17="X", t19="E", t32=None, t31=None, t14="0")
    execution = read_report(bust, store).execution
    assert (execution.quantity, execution.price, execution.refers_to) == (4, 100, "E")


def test_the_trade_date_counts_and_else_the_day_in_new_york(tmp_path):
    store = FixStore(tmp_path / "s.sqlite3")
    late = report(t60="20240302-03:00:00.000")
    assert read_report(late, store).execution.fill_date == DAY
    stated = report(t60="20240305-03:00:00.000", t75="20240301")
    assert read_report(stated, store).execution.fill_date == DAY


def test_ids_of_executions_are_told_apart_by_session(tmp_path):
    store = FixStore(tmp_path / "s.sqlite3", prefix="abc")
    store.count_in(2, read_report(report(), store))
    store.count_in(3, read_report(report(t150="H", t17="X" * 90, t19="E", t14="0"), store))
    fill, bust = store.get_orders(["ev-1"])["ev-1"].executions
    assert (fill.fill_id, bust.refers_to) == ("abc:E", "abc:E")
    assert bust.fill_id.startswith("abc:")
    assert len(bust.fill_id) <= 80


def test_a_short_position_is_below_zero():
    assert read_position(Message([(55, "VTI"), (705, "3")])) == ("VTI", -3)
    assert read_position(Message([(55, "USD"), (460, "4"), (704, "9.5")])) == ("", D("9.5"))


# --- Bytes ----------------------------------------------------------------------------------


@given(cuts=st.lists(st.integers(1, 400), max_size=12), junk=st.binary(max_size=30))
def test_messages_are_found_however_the_bytes_are_cut(cuts, junk):
    messages = [encode([(35, "0"), (34, str(n))], [(112, "x" * n)]) for n in range(1, 4)]
    stream = junk.replace(b"8", b"") + b"".join(messages)
    framer, found, start = Framer(), [], 0
    for cut in [*sorted(set(cuts)), len(stream)]:
        framer.add(stream[start:cut])
        start = max(start, cut)
        while (message := framer.take()) is not None:
            found.append(message.number)
    assert found == [1, 2, 3]


@given(data=st.binary(max_size=300))
def test_no_bytes_break_the_reader(data):
    framer = Framer()
    framer.add(b"8=FIX.4.4\x01" + data)
    for _ in range(10):
        if framer.take() is None:
            break
    framer.add(encode([(35, "0"), (34, "7")], []))
    numbers = []
    while (message := framer.take()) is not None:
        numbers.append(message.get(34))
    # A false length may swallow what follows; anything else may not.
    assert "7" in numbers or b"9=" in data


@pytest.mark.parametrize(
    "spoil", [lambda b: b[:-3] + b"99\x01", lambda b: b.replace(b"35=", b"3=")]
)
def test_a_message_with_a_wrong_checksum_is_no_message(spoil):
    framer = Framer()
    good = encode([(35, "0"), (34, "1")], [])
    framer.add(spoil(good) + encode([(35, "0"), (34, "2")], []))
    assert framer.take().number == 2
    assert framer.take() is None


# --- By the dictionary ----------------------------------------------------------------------


@pytest.mark.skipif(not DICTIONARY.exists(), reason=f"{DICTIONARY} is not there")
def test_the_dictionary_finds_what_is_wrong():
    dictionary = Dictionary(DICTIONARY)
    good = encode(
        [(35, "D"), (49, "A"), (56, "B"), (34, "1"), (52, "20240301-15:00:00")],
        [(11, "x"), (55, "VTI"), (54, "1"), (60, "20240301-15:00:00"), (38, "1"), (40, "1")],
    ).decode()
    assert dictionary.find_faults(good) == []
    assert any("54" in fault for fault in dictionary.find_faults(good.replace("54=1", "54=Q")))
    assert any("40" in fault for fault in dictionary.find_faults(good.replace("\x0140=1", "")))
    assert any("708" in fault for fault in dictionary.find_faults(good.replace("38=1", "708=1")))


@pytest.mark.skipif(not SAMPLES.exists(), reason=f"{SAMPLES} is not there")
def test_the_sample_messages_are_read(tmp_path):
    store = FixStore(tmp_path / "s.sqlite3")
    framer = Framer()
    for line in SAMPLES.read_text().splitlines():
        if line and not line.startswith("#"):
            framer.add(line.replace("|", "\x01").encode())
    messages = []
    while (message := framer.take()) is not None:
        messages.append(message)
        if message.kind == "8":
            store.count_in(2, read_report(message, store))
    assert [message.kind for message in messages] == ["A", "D", "D", "8", "8", "8", "8", "F"]
    orders = store.get_orders(["ORD-1", "ORD-2"])
    assert (orders["ORD-1"].status, orders["ORD-1"].filled_quantity) == (
        BrokerStatus.FILLED,
        D("12.5"),
    )
    prices = [(report.quantity, report.price) for report in orders["ORD-1"].executions]
    assert prices == [(5, D("290.01")), (D("7.5"), D("290.03"))]
    assert orders["ORD-2"].reason == "cash orders not supported"
