"""What the paper exchange's accounts hold: fed by fills, allocations, transfers and actions.

An order for one account moves that account's shares and cash itself. A block's shares belong to
nobody until an allocation says whose they are; a later allocation of the block takes the earlier
one back.
"""

import json
from dataclasses import dataclass
from decimal import Decimal

from portfolios.domain.kinds import Side
from portfolios.domain.money import ZERO, floor_to_step, round_money
from rebalancer.brokers.paper.record import PaperOrder, Record
from rebalancer.brokers.port import AllocationInstruction, BrokerPosition

CASH = ""


@dataclass(frozen=True, slots=True)
class CustodyTransfer:
    """Shares (or cash: no symbol) that come into an account, or leave it; once for each key."""

    key: str
    account_number: str
    symbol: str
    quantity: Decimal


class Ledger:
    """The positions of one exchange."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def move(self, account_number: str, symbol: str, quantity: Decimal, cash: Decimal) -> None:
        """Add shares and cash (both may be negative) to an account."""
        for name, change in ((symbol, quantity), (CASH, cash)):
            if change:
                held = self._record.get_position(account_number, name)
                self._record.set_position(account_number, name, held + change)

    def post(self, order: PaperOrder) -> None:
        """Bring an account in line with what its own order has executed so far.

        The cash of all fills together is rounded once, as our books do it.
        """
        if not order.account_number or order.block_id:
            return
        quantity, amount = order.filled_quantity, round_money(order.filled_value)
        self._give(
            order.account_number,
            order.symbol,
            order.side,
            (quantity - order.posted_quantity) * order.split_ratio,
            amount - order.posted_amount,
        )
        order.posted_quantity, order.posted_amount = quantity, amount

    def _give(
        self, account_number: str, symbol: str, side: Side, quantity: Decimal, amount: Decimal
    ) -> None:
        sign = 1 if side is Side.BUY else -1
        self.move(account_number, symbol, sign * quantity, -sign * amount)

    def allocate(self, instruction: AllocationInstruction) -> None:
        """Give a block's shares to accounts, once for each number."""
        ratio = Decimal(1)
        known = self._record.get_allocation(instruction.block_id)
        if known is not None:
            number, symbol, old_side, shares, stored_ratio = known
            if number >= instruction.number:
                return
            ratio = Decimal(stored_ratio)
            for account_number, quantity, amount in json.loads(shares):
                taken = -Decimal(quantity) * ratio
                self._give(account_number, symbol, Side(old_side), taken, -Decimal(amount))
        for client_order_id in instruction.client_order_ids:
            self._take_back(client_order_id, instruction.block_id)
        for share in instruction.shares:
            self._give(
                share.account_number,
                instruction.symbol,
                instruction.side,
                share.quantity * ratio,
                share.amount,
            )
        rows = [[s.account_number, str(s.quantity), str(s.amount)] for s in instruction.shares]
        self._record.put_allocation(
            instruction.block_id,
            (
                instruction.number,
                instruction.symbol,
                instruction.side.value,
                json.dumps(rows),
                str(ratio),
            ),
        )

    def _take_back(self, client_order_id: str, block_id: str) -> None:
        """Undo what an order gave its own account: from now on the allocation speaks for it."""
        order = self._record.get_order(client_order_id)
        if order is None:
            return
        if order.account_number and not order.block_id:
            self._give(
                order.account_number,
                order.symbol,
                order.side,
                -order.posted_quantity * order.split_ratio,
                -order.posted_amount,
            )
            order.posted_quantity = order.posted_amount = ZERO
        order.block_id = block_id
        self._record.put_order(order)

    def list_positions(self, account_numbers: list[str]) -> list[BrokerPosition]:
        """Return what accounts hold, cash included; an empty position is left out."""
        return [
            BrokerPosition(number, symbol, quantity)
            for number, symbol, quantity in self._record.list_positions(account_numbers)
            if quantity or symbol == CASH
        ]

    # --- Corporate actions ----------------------------------------------------------------------

    def split(
        self, symbol: str, ratio: Decimal, share_step: Decimal, price: Decimal | None
    ) -> None:
        """Multiply every position by `ratio`; what is less than a step is paid in cash."""
        for number, _symbol, quantity in list(self._record.list_positions(symbol=symbol)):
            sign = 1 if quantity >= 0 else -1
            exact = abs(quantity) * ratio
            whole = floor_to_step(exact, share_step)
            self._record.set_position(number, symbol, sign * whole)
            if price is not None and exact > whole:
                self.move(number, CASH, ZERO, sign * round_money((exact - whole) * price))
        # A trade keeps its own shares; what of it is undone later is undone in today's.
        for order in self._record.list_filled(symbol):
            order.split_ratio *= ratio
            self._record.put_order(order)
        for block_id, old_ratio in self._record.list_allocations(symbol):
            self._record.set_allocation_ratio(block_id, old_ratio * ratio)

    def rename(self, symbol: str, new_symbol: str) -> None:
        """Turn every position in a security into one of its successor, share for share."""
        for number, _symbol, quantity in list(self._record.list_positions(symbol=symbol)):
            self.move(number, new_symbol, quantity, ZERO)
            self._record.set_position(number, symbol, ZERO)

    def pay(self, symbol: str, per_share: Decimal, *, takes_shares: bool) -> None:
        """Pay every holder cash per share: a dividend, or a merger that takes the shares."""
        for number, _symbol, quantity in list(self._record.list_positions(symbol=symbol)):
            self.move(number, CASH, ZERO, round_money(quantity * per_share))
            if takes_shares:
                self._record.set_position(number, symbol, ZERO)
