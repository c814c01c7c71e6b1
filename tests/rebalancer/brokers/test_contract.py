"""Every adapter keeps the same promises: one suite, run over all of them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from portfolios.domain.kinds import Side
from rebalancer.brokers.port import (
    AllocationInstruction,
    AllocationShare,
    BrokerStatus,
    BrokerUnavailable,
    ExecutionKind,
)
from tests.rebalancer.brokers.rigs import AlpacaRig, ClientRig, FixRig, PaperRig, SimulatedRig
from tests.rebalancer.brokers.tickets import DAY, make_ticket

D = Decimal
MAKERS = {
    "paper": PaperRig,
    "simulated": lambda _folder: SimulatedRig(),
    "client": ClientRig,
    "alpaca": lambda _folder: AlpacaRig(),
    "fix": FixRig,
}


@pytest.fixture(params=MAKERS)
def rig(request, tmp_path):
    made = MAKERS[request.param](tmp_path)
    yield made
    if hasattr(made, "close"):
        made.close()


def look(rig, client_order_id="ev-1"):
    """Let a moment pass and return what the broker then says of an order."""
    rig.tick()
    return rig.broker.get_orders([client_order_id])[client_order_id]


def test_sent_twice_is_one_order(rig):
    first = rig.broker.submit(make_ticket())
    again = rig.broker.submit(make_ticket())
    assert first.status is again.status is BrokerStatus.WORKING
    assert first.broker_order_id == again.broker_order_id != ""
    assert (first.symbol, first.side, first.quantity) == ("VTI", Side.BUY, D(10))
    assert rig.count() == 1


def test_sent_again_after_it_was_filled_is_still_one_order(rig):
    rig.broker.submit(make_ticket())
    look(rig)
    again = rig.broker.submit(make_ticket())
    assert (again.status, again.filled_quantity) == (BrokerStatus.FILLED, 10)
    assert rig.count() == 1


def test_an_unknown_id_is_absent(rig):
    rig.broker.submit(make_ticket())
    assert set(rig.broker.get_orders(["ev-1", "never sent"])) == {"ev-1"}


def test_part_then_whole(rig):
    rig.dial(part_quantity=6)
    rig.broker.submit(make_ticket())
    partly = look(rig)
    assert (partly.status, partly.filled_quantity) == (BrokerStatus.WORKING, 6)
    filled = look(rig)
    assert (filled.status, filled.filled_quantity) == (BrokerStatus.FILLED, 10)
    assert [report.quantity for report in filled.executions] == [6, 4]
    assert {report.price for report in filled.executions} == {D(100)}
    assert {report.fill_date for report in filled.executions} == {DAY}
    # Told again, the same executions carry the same ids.
    assert look(rig).executions == filled.executions


def test_a_sale_is_a_sale(rig):
    rig.broker.submit(make_ticket(side=Side.SELL))
    order = look(rig)
    assert (order.side, order.filled_quantity) == (Side.SELL, 10)


def test_a_limit_order_pays_no_more_than_its_limit(rig):
    rig.broker.submit(make_ticket(limit_price=D("99.99")))
    assert look(rig).filled_quantity == 0
    rig.broker.submit(make_ticket("ev-2", limit_price=D("100.01")))
    assert look(rig, "ev-2").filled_quantity == 10


def test_cancel_then_late_fill(rig):
    rig.dial(part_quantity=4, late_fill_share=1.0)
    rig.broker.submit(make_ticket())
    assert look(rig).filled_quantity == 4
    rig.broker.cancel("ev-1")
    late = look(rig)
    assert (late.status, late.filled_quantity) == (BrokerStatus.CANCELLED, 8)
    assert [report.quantity for report in late.executions] == [4, 4]


def test_cancelling_what_is_done_or_unknown_harms_nothing(rig):
    rig.broker.submit(make_ticket())
    filled = look(rig)
    rig.broker.cancel("ev-1")
    rig.broker.cancel("never sent")
    assert look(rig) == filled


def test_a_bust_refers_to_its_fill_and_lowers_the_sum(rig):
    rig.dial(part_quantity=6)
    rig.broker.submit(make_ticket())
    fill = look(rig).executions[0]
    rig.bust("ev-1")
    order = look(rig)
    [bust] = [report for report in order.executions if report.kind is ExecutionKind.BUST]
    assert (bust.refers_to, bust.quantity, bust.price) == (fill.fill_id, 6, fill.price)
    assert order.filled_quantity == 4


def test_an_answer_that_is_lost_can_be_looked_up(rig):
    if not rig.can_lose_answers:
        pytest.skip("in process no answer is lost")
    with rig.losing_answers(), pytest.raises(BrokerUnavailable):
        rig.broker.submit(make_ticket())
    found = rig.broker.get_orders(["ev-1"])["ev-1"]
    assert found.symbol == "VTI"
    again = rig.broker.submit(make_ticket())
    assert again.status in (BrokerStatus.WORKING, BrokerStatus.FILLED)
    assert rig.count() == 1


def test_the_list_has_open_orders_and_those_touched_since(rig):
    rig.broker.submit(make_ticket())
    look(rig)
    rig.broker.submit(make_ticket("ev-2", limit_price=D("1.00")))
    long_ago = datetime.now(UTC) - timedelta(days=2)
    assert {order.client_order_id for order in rig.broker.list_orders(long_ago)} == {"ev-1", "ev-2"}
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    found = {order.client_order_id for order in rig.broker.list_orders(tomorrow)}
    assert "ev-2" in found


def test_positions_follow_an_order_for_one_account(rig):
    before = {
        position.symbol: position.quantity
        for position in rig.broker.list_positions([rig.account_number])
    }
    rig.broker.submit(make_ticket(account_number=rig.account_number))
    look(rig)
    after = {
        position.symbol: position.quantity
        for position in rig.broker.list_positions([rig.account_number])
    }
    assert after["VTI"] == 10
    assert after[""] == before.get("", 0) - 1000
    assert rig.broker.list_positions(["nobody"]) == []


def test_a_block_is_shared_out_as_told_and_as_corrected(rig):
    if not rig.broker.abilities.has_blocks:
        pytest.skip("this broker takes no blocks")
    rig.broker.submit(make_ticket())
    look(rig)

    def allocate(number, *shares):
        instruction = AllocationInstruction(
            block_id="block",
            number=number,
            symbol="VTI",
            side=Side.BUY,
            client_order_ids=("ev-1",),
            shares=tuple(AllocationShare(account, D(q), D(a)) for account, q, a in shares),
        )
        rig.broker.allocate(instruction)
        rig.broker.allocate(instruction)
        found = rig.broker.list_positions(["A", "B"])
        return {(p.account_number, p.symbol): p.quantity for p in found if p.quantity}

    assert allocate(1, ("A", "7", "700.00"), ("B", "3", "300.00")) == {
        ("A", ""): -700, ("A", "VTI"): 7, ("B", ""): -300, ("B", "VTI"): 3,
    }  # fmt: skip
    assert allocate(2, ("A", "5", "500.00"), ("B", "5", "500.00")) == {
        ("A", ""): -500, ("A", "VTI"): 5, ("B", ""): -500, ("B", "VTI"): 5,
    }  # fmt: skip


def test_fractions_are_exact_to_the_last_place(rig):
    quantity = D("1234.12345678")
    step = D("0.00000001")
    side = Side.SELL  # no account has cash for so many
    rig.broker.submit(make_ticket(quantity=quantity, share_step=step, side=side))
    order = look(rig)
    assert order.filled_quantity == quantity
    assert sum(report.quantity for report in order.executions) == quantity
