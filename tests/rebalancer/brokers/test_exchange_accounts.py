"""Positions at the paper exchange: fills, allocations, transfers and corporate actions."""

from decimal import Decimal

from portfolios.domain.kinds import Side
from rebalancer.brokers.paper import actions
from rebalancer.brokers.port import AllocationInstruction, AllocationShare, BrokerStatus
from tests.rebalancer.brokers.test_exchange import holdings, known, make_exchange
from tests.rebalancer.brokers.tickets import make_ticket

D = Decimal


def allocation(number, *shares, block_id="B", ids=("ev-1",)):
    return AllocationInstruction(
        block_id=block_id,
        number=number,
        symbol="VTI",
        side=Side.BUY,
        client_order_ids=ids,
        shares=tuple(AllocationShare(account, D(q), D(a)) for account, q, a in shares),
    )


def test_an_allocation_counts_once_and_a_later_one_replaces_it():
    exchange = make_exchange()
    exchange.submit(make_ticket())
    exchange.tick()
    assert holdings(exchange, "1", "2") == {}
    first = allocation(1, ("1", "7", "700"), ("2", "3", "300"))
    for _ in range(2):
        exchange.allocate(first)
    assert holdings(exchange, "1", "2") == {
        ("1", ""): -700, ("1", "VTI"): 7, ("2", ""): -300, ("2", "VTI"): 3,
    }  # fmt: skip
    exchange.allocate(allocation(2, ("1", "5", "500"), ("2", "5", "500")))
    exchange.allocate(first)
    assert holdings(exchange, "1", "2") == {
        ("1", ""): -500, ("1", "VTI"): 5, ("2", ""): -500, ("2", "VTI"): 5,
    }  # fmt: skip


def test_an_allocation_takes_over_what_the_order_gave_its_account():
    exchange = make_exchange()
    exchange.submit(make_ticket(account_number="1"))
    exchange.tick()
    exchange.allocate(allocation(1, ("1", "10", "1000")))
    assert holdings(exchange, "1") == {("1", ""): -1000, ("1", "VTI"): 10}
    exchange.bust("ev-1-1")
    exchange.allocate(allocation(2))
    assert holdings(exchange, "1") == {("1", ""): 0}


def test_a_transfer_counts_once():
    exchange = make_exchange()
    for _ in range(2):
        exchange.transfer(key="k", account_number="1", symbol="VTI", quantity=D(3))
    assert holdings(exchange, "1") == {("1", "VTI"): 3}


def test_a_split_multiplies_positions_pays_fractions_and_cancels_orders():
    exchange = make_exchange()
    exchange.transfer(key="k", account_number="1", symbol="VTI", quantity=D(5))
    exchange.set_price("VTI", D(90))
    exchange.submit(make_ticket())
    actions.split_shares(exchange, "VTI", numerator=1, denominator=3, share_step=D(1))
    assert holdings(exchange, "1") == {("1", "VTI"): 1, ("1", ""): 180}
    order = known(exchange)
    assert (order.status, order.reason) == (BrokerStatus.CANCELLED, "CORPORATE_ACTION")


def test_a_trade_from_before_a_split_is_taken_back_in_the_shares_of_today():
    exchange = make_exchange()
    exchange.submit(make_ticket(account_number="1"))
    exchange.submit(make_ticket("block"))
    exchange.tick()
    exchange.allocate(allocation(1, ("2", "10", "1000"), ids=("block",)))
    actions.split_shares(exchange, "VTI", numerator=2, denominator=1)
    assert holdings(exchange, "1", "2")["1", "VTI"] == 20
    assert holdings(exchange, "1", "2")["2", "VTI"] == 20
    exchange.bust("ev-1-1")
    exchange.allocate(allocation(2, ids=("block",)))
    assert holdings(exchange, "1", "2") == {("1", ""): 0, ("2", ""): 0}
    assert known(exchange).filled_quantity == 0


def test_symbol_change_dividend_and_merger():
    exchange = make_exchange()
    exchange.transfer(key="k", account_number="1", symbol="OLD", quantity=D(4))
    actions.pay_dividend(exchange, "OLD", D("0.255"))
    actions.change_symbol(exchange, "OLD", "NEW")
    assert holdings(exchange, "1") == {("1", ""): D("1.02"), ("1", "NEW"): 4}
    actions.merge_for_cash(exchange, "NEW", D("10"))
    assert holdings(exchange, "1") == {("1", ""): D("41.02")}
    assert exchange.submit(make_ticket(symbol="NEW")).status is BrokerStatus.REJECTED
