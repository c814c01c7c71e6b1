"""How a block is shared out: pro rata by the statement made before it traded, at one price.

Counted in whole units of the smallest place, so that nothing is lost to rounding on the way.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from portfolios.domain.money import CENT, QUANTITY_STEP, ZERO, round_money

# Quantity times price has eight and six places.
VALUE_STEP = Decimal("1e-14")
_VALUE_UNITS_PER_CENT = int(CENT / VALUE_STEP)

Statement = Sequence[tuple[str, Decimal]]


@dataclass(frozen=True, slots=True)
class Share:
    """One order's share of its block: shares, and the cash paid or received for them."""

    quantity: Decimal
    amount: Decimal


def share_out(
    *, ordered: Sequence[Decimal], share_step: Decimal, filled: Decimal, value: Decimal
) -> list[Share]:
    """Share a block's executions out over its orders, in the order of the statement.

    Shares go by largest remainder in steps of `share_step`, ties to the earlier: nobody is more
    than one step from the exact share, and nobody gets more than was ordered. Cash goes by largest
    remainder in cents of one average price; it sums to `value` (quantity times price), rounded.
    What was filled beyond all that was ordered is nobody's, with its part of the value.

    :raises ValueError: when something is below zero, or nothing was ordered.
    """
    wanted = [_count(quantity, QUANTITY_STEP) for quantity in ordered]
    whole = _count(filled, QUANTITY_STEP)
    if whole < 0 or value < 0 or not wanted or min(wanted) <= 0:
        raise ValueError(f"{filled} for {value} cannot be shared out over {list(ordered)}")
    units = _split_steps(wanted, min(whole, sum(wanted)), _count(share_step, QUANTITY_STEP))
    cents = _split_cents(units, whole, value)
    return [
        Share(quantity * QUANTITY_STEP, amount * CENT)
        for quantity, amount in zip(units, cents, strict=True)
    ]


def share_surplus(
    *, ordered: Sequence[Decimal], share_step: Decimal, filled: Decimal
) -> list[Decimal]:
    """Return whose account a fill beyond what was ordered touches, and by how much, pro rata."""
    wanted = [_count(quantity, QUANTITY_STEP) for quantity in ordered]
    surplus = max(_count(filled, QUANTITY_STEP) - sum(wanted), 0)
    # More than everybody ordered once over: let each limit grow as far as it takes.
    times = -(-surplus // sum(wanted))
    limits = [quantity * times for quantity in wanted]
    return [
        units * QUANTITY_STEP
        for units in (
            _split_steps(limits, surplus, _count(share_step, QUANTITY_STEP))
            if surplus
            else [0] * len(wanted)
        )
    ]


def _split_steps(wanted: Sequence[int], whole: int, step: int) -> list[int]:
    total = sum(wanted)
    parts = [whole * quantity // total // step * step for quantity in wanted]
    left = whole - sum(parts)
    # By what is missing to the exact share; multiplied by `total`, so that it is a whole number.
    by_remainder = sorted(
        range(len(wanted)), key=lambda i: (parts[i] * total - whole * wanted[i], i)
    )
    for i in by_remainder:
        more = min(step, left, wanted[i] - parts[i])
        parts[i] += more
        left -= more
    return parts


def _split_cents(units: Sequence[int], whole: int, value: Decimal) -> list[int]:
    shared = sum(units)
    if not shared:
        return [0] * len(units)
    worth = _count(value, VALUE_STEP)
    # What was shared out costs its part of the value: all of it, unless there is a surplus.
    total = _count(round_money(value * shared / whole) if shared < whole else round_money(value))
    divisor = whole * _VALUE_UNITS_PER_CENT
    parts = [worth * quantity // divisor for quantity in units]
    by_remainder = sorted(
        (i for i, quantity in enumerate(units) if quantity),
        key=lambda i: (-(worth * units[i] % divisor), i),
    )
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts


def _count(amount: Decimal, unit: Decimal = CENT) -> int:
    return int((amount / unit).to_integral_value())


def take_lots(
    lots: Sequence[tuple[int, Decimal]], quantity: Decimal
) -> tuple[tuple[int, Decimal], ...]:
    """Return (lot id, quantity) of the first lots, in their order, that make up `quantity`."""
    picks = []
    for lot_id, available in lots:
        part = min(available, quantity)
        if part > ZERO:
            picks.append((lot_id, part))
            quantity -= part
    return tuple(picks)


def name_fill(client_order_id: str, number: int, *, is_reversal: bool = False) -> str:
    """Return under which source an order's fill of a sharing out, or its reversal, is booked."""
    return f"fill:{client_order_id}:{number}{':back' if is_reversal else ''}"


def make_slice_id(block_public_id: str, number: int) -> str:
    """Return our id of a slice: a function of its block alone; no retry makes another."""
    return f"EK{hashlib.sha256(f'{block_public_id}:{number}'.encode()).hexdigest()[:30]}"


def hash_statement(
    *, block_public_id: str, security_id: int, side: str, statement: Sequence[Sequence[str]]
) -> str:
    """Return the SHA-256 of who takes part in a block, with how much, as it is kept.

    Written as PostgreSQL writes its own JSON, so that the proof can say it again in SQL.
    """
    text = json.dumps([block_public_id, security_id, side, [list(row) for row in statement]])
    return hashlib.sha256(text.encode()).hexdigest()
