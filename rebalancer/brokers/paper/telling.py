"""What the paper exchange says of an order: the truth, less what the dial withholds or garbles.

A report may be left out of one look, told late, or told twice, and a side or symbol may be wrong.
The cumulative quantity is always the truth, so that whoever compares finds out.
"""

from collections.abc import Callable, Sequence
from random import Random

from portfolios.domain.kinds import Side
from rebalancer.brokers.paper.dial import Dial
from rebalancer.brokers.paper.record import PaperExecution, PaperOrder
from rebalancer.brokers.port import BrokerOrder, Execution


def tell_order(
    *,
    order: PaperOrder,
    executions: Sequence[PaperExecution],
    dial: Dial,
    tick: int,
    draw: Callable[..., Random],
) -> BrokerOrder:
    """Return an order as it is told at this look."""
    told: list[Execution] = []
    for execution in executions:
        told += _tell_execution(execution, order.look_count, dial, tick, draw)
    side, symbol = order.side, order.symbol
    if dial.wrong_side_share or dial.wrong_symbol_share:
        fate = draw(order.client_order_id, "identity")
        if fate.random() < dial.wrong_side_share:
            side = Side.SELL if side is Side.BUY else Side.BUY
        if fate.random() < dial.wrong_symbol_share:
            symbol = f"{symbol}X"
    return BrokerOrder(
        client_order_id=order.client_order_id,
        status=order.status,
        filled_quantity=order.filled_quantity,
        executions=tuple(told),
        reason=order.reason,
        broker_order_id=order.broker_order_id,
        symbol=symbol,
        side=side,
        quantity=order.quantity,
    )


def _tell_execution(
    execution: PaperExecution, look: int, dial: Dial, tick: int, draw: Callable[..., Random]
) -> list[Execution]:
    report = execution.report
    if not (dial.lost_share or dial.late_share or dial.duplicate_share):
        return [report]
    is_late = draw(report.fill_id, "late").random() < dial.late_share
    if is_late and tick < execution.tick + dial.late_ticks:
        return []
    fate = draw(report.fill_id, "look", look)
    if fate.random() < dial.lost_share:
        return []
    return [report, report] if fate.random() < dial.duplicate_share else [report]
