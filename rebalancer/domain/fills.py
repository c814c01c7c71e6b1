"""What an execution does to its order: exact cash, the lots it takes, the order's next state."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from portfolios.domain.money import ZERO, round_money
from rebalancer.domain.lifecycle import OrderEvent, OrderStatus, advance_order


class FillRefused(Exception):
    """An execution does not fit its order."""


@dataclass(frozen=True, slots=True)
class OrderState:
    """An order as far as fills change it; `exact_amount` is the unrounded cash so far."""

    status: OrderStatus
    quantity: Decimal
    filled_quantity: Decimal
    filled_amount: Decimal
    exact_amount: Decimal


@dataclass(frozen=True, slots=True)
class AppliedFill:
    """The order after an execution, the cash it moves, and (lot id, quantity) it takes."""

    state: OrderState
    amount: Decimal
    picks: tuple[tuple[int, Decimal], ...]


def apply_fill(
    *,
    state: OrderState,
    quantity: Decimal,
    price: Decimal,
    lots: Sequence[tuple[int, Decimal]],
) -> AppliedFill:
    """Apply one execution to an order.

    Cash is rounded on the order's running total, so that parts add up to what the whole would have
    cost. `lots` are the trade's (lot id, quantity) in order; earlier fills used the first ones.

    :raises FillRefused: when more would be filled than was ordered.
    """
    filled = state.filled_quantity + quantity
    if quantity <= 0 or filled > state.quantity:
        raise FillRefused(f"{filled} filled of {state.quantity} ordered")
    exact = state.exact_amount + quantity * price
    total = round_money(exact)
    event = OrderEvent.FILL_ALL if filled == state.quantity else OrderEvent.FILL_PART
    return AppliedFill(
        state=OrderState(
            status=advance_order(state.status, event),
            quantity=state.quantity,
            filled_quantity=filled,
            filled_amount=total,
            exact_amount=exact,
        ),
        amount=total - state.filled_amount,
        picks=_take(lots, skip=state.filled_quantity, quantity=quantity),
    )


def _take(
    lots: Sequence[tuple[int, Decimal]], *, skip: Decimal, quantity: Decimal
) -> tuple[tuple[int, Decimal], ...]:
    picks = []
    for lot_id, available in lots:
        used = min(skip, available)
        skip -= used
        part = min(available - used, quantity)
        if part > ZERO:
            picks.append((lot_id, part))
            quantity -= part
    return tuple(picks)
