"""The paper exchange: takes orders, works them tick by tick, and reports what happened.

No clock and no thread inside: time passes when `tick` is called, and `now` is what the caller says
it is. Every draw is a function of the seed and of the order it is about, so that a run repeats.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from random import Random

from portfolios.domain.kinds import Side
from rebalancer.brokers.paper import wire
from rebalancer.brokers.paper.dial import Dial
from rebalancer.brokers.paper.ledger import CASH, Ledger
from rebalancer.brokers.paper.market import fade_pressure, fit_part, split_parts
from rebalancer.brokers.paper.record import PaperExecution, PaperOrder, Record
from rebalancer.brokers.paper.telling import tell_order
from rebalancer.brokers.port import (
    AllocationInstruction,
    BrokerOrder,
    BrokerPosition,
    BrokerStatus,
    Execution,
    ExecutionKind,
    OrderTicket,
)

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_FOREVER = 2**62
_TICK = "tick"
_TAKEN_BACK = "A fill was taken back"


class Exchange:
    """One exchange over one record; a new object over the same record goes on where it was."""

    def __init__(
        self, rng: Random, dial: Dial, *, record: Record | None = None, now: datetime = EPOCH
    ) -> None:
        self.rng, self.dial, self.now = rng, dial, now
        self.record = record or Record()
        self.ledger = Ledger(self.record)
        self._seed = rng.getrandbits(64)
        self._tick = int(self.record.get_setting(_TICK, "0"))

    def _draw(self, *about: object) -> Random:
        return Random(":".join(str(part) for part in (self._seed, *about)))

    # --- Orders -----------------------------------------------------------------------------

    def submit(self, ticket: OrderTicket) -> BrokerOrder:
        """Take an order, or say what is known of the one under this id."""
        order = self.record.get_order(ticket.client_order_id)
        if order is None:
            order = self._make_order(ticket)
        elif not self.dial.has_unique_ids:
            order.taken_count += 1
        self.record.put_order(order)
        return self._tell(order)

    def _make_order(self, ticket: OrderTicket) -> PaperOrder:
        fate = self._draw(ticket.client_order_id)
        is_unlucky = fate.random() < self.dial.reject_share
        reason = "Rejected by the paper broker's dice" if is_unlucky else self._refuse(ticket)
        digest = hashlib.sha256(f"{self._seed}:{ticket.client_order_id}".encode()).hexdigest()
        parts = split_parts(
            quantity=ticket.quantity,
            step=ticket.share_step,
            fate=fate,
            partial_share=self.dial.partial_share,
        )
        return PaperOrder(
            client_order_id=ticket.client_order_id,
            broker_order_id=f"P-{digest[:16]}",
            symbol=ticket.symbol,
            side=ticket.side,
            quantity=ticket.quantity,
            share_step=ticket.share_step,
            market_price=ticket.market_price,
            half_spread_bps=ticket.half_spread_bps,
            daily_volume=ticket.daily_volume,
            daily_volatility=ticket.daily_volatility,
            limit_price=ticket.limit_price,
            market_date=ticket.market_date,
            account_number=ticket.account_number,
            status=BrokerStatus.REJECTED if reason else BrokerStatus.WORKING,
            reason=reason,
            parts=() if reason else tuple(parts),
            touched_at=self._stamp(),
            touched_tick=self._tick,
        )

    def _refuse(self, ticket: OrderTicket) -> str:
        """Return why an order cannot be taken; empty: it can."""
        _price, is_forbidden, _halted_until = self.record.get_symbol(ticket.symbol)
        if is_forbidden:
            return f"{ticket.symbol} is not tradable"
        if not (self.dial.checks_funds and ticket.account_number):
            return ""
        if ticket.side is Side.SELL:
            held = self.record.get_position(ticket.account_number, ticket.symbol)
            return "" if held >= ticket.quantity else f"insufficient {ticket.symbol} to sell"
        cash = self.record.get_position(ticket.account_number, CASH)
        price = ticket.limit_price or ticket.market_price
        return "" if cash >= ticket.quantity * price else "insufficient buying power"

    def submit_late(self, ticket: OrderTicket) -> None:
        """Take an order some ticks from now, when its sender has long given up waiting."""
        body = json.dumps(wire.write(ticket))
        due_tick = self._tick + self.dial.late_ticks
        self.record.add_due(due_tick, "SUBMIT", ticket.client_order_id, body)

    def cancel(self, client_order_id: str) -> None:
        """Stop working an order; one part may still execute afterwards, if the dial says so."""
        order = self.record.get_order(client_order_id)
        if order is None or order.status is not BrokerStatus.WORKING:
            return
        is_late = self._draw(client_order_id, "cancel").random() < self.dial.late_fill_share
        self._close(order, BrokerStatus.CANCELLED, "Cancelled on request", keeps_part=is_late)

    def _close(
        self, order: PaperOrder, status: BrokerStatus, reason: str, *, keeps_part: bool = False
    ) -> None:
        order.status, order.reason = status, reason
        order.late_parts = int(keeps_part)
        order.parts = order.parts[:1] if keeps_part else ()
        self._touch(order)

    def _touch(self, order: PaperOrder) -> None:
        order.touched_at, order.touched_tick = self._stamp(), self._tick
        self.record.put_order(order)

    def _stamp(self) -> str:
        return self.now.astimezone(UTC).isoformat(timespec="microseconds")

    # --- Time -------------------------------------------------------------------------------

    def tick(self, client_order_ids: Sequence[str] | None = None) -> None:
        """Let a moment pass: for these orders, or for all that are at work."""
        self._tick += 1
        self.record.set_setting(_TICK, str(self._tick))
        for kind, key, body in self.record.take_due(self._tick):
            if kind == "SUBMIT":
                self.submit(wire.read_ticket(json.loads(body)))
            elif kind == ExecutionKind.BUST:
                self.bust(key)
            else:
                self.correct(key, Decimal(body))
        ids = self.record.list_at_work() if client_order_ids is None else client_order_ids
        for client_order_id in ids:
            order = self.record.get_order(client_order_id)
            if order is not None and (order.status is BrokerStatus.WORKING or order.late_parts):
                self._work(order)

    def _work(self, order: PaperOrder) -> None:
        price, _is_forbidden, halted_until = self.record.get_symbol(order.symbol)
        if halted_until > self._tick:
            return
        dice = self._draw(order.symbol, "halt", self._tick)
        if self.dial.halt_share and dice.random() < self.dial.halt_share:
            until = self._tick + self.dial.late_ticks
            self._set_symbol(order.symbol, halted_until=until)
            return
        fill_count = order.fill_count
        for _ in range(self.dial.parts_per_tick):
            if not order.parts or not self._execute_part(order, price):
                break
        if order.late_parts:
            order.late_parts, order.parts = 0, ()
        elif not order.parts:
            self._finish(order)
        self.ledger.post(order)
        if order.fill_count > fill_count:
            self._touch(order)
        else:
            self.record.put_order(order)

    def _finish(self, order: PaperOrder) -> None:
        if order.filled_quantity >= order.quantity:
            order.status = BrokerStatus.FILLED
        else:
            order.status, order.reason = BrokerStatus.CANCELLED, _TAKEN_BACK

    def _execute_part(self, order: PaperOrder, told_price: Decimal | None) -> bool:
        """Execute what there is a market for of the next part; return whether anything did."""
        wanted = order.parts[0]
        if self.dial.part_quantity:
            wanted = min(wanted, Decimal(self.dial.part_quantity))
        pressed, pressed_at = self.record.get_pressure(order)
        pressure = fade_pressure(pressed, self._tick - pressed_at)
        quantity, price = fit_part(
            quote=order.quote(told_price),
            pressure=pressure,
            wanted=wanted,
            step=order.share_step,
            limit=order.limit_price,
        )
        if not quantity:
            return False
        if order.daily_volume:
            self.record.set_pressure(order, pressure + quantity, self._tick)
        left = order.parts[0] - quantity
        order.parts = (left, *order.parts[1:]) if left > 0 else order.parts[1:]
        fate = self._draw(order.client_order_id, "fill", order.fill_count)
        if fate.random() < self.dial.absurd_price_share:
            price *= 10
        if not order.parts and fate.random() < self.dial.overfill_share:
            quantity += order.share_step
        self._book_fill(order, quantity, price, fate)
        return True

    def _book_fill(
        self, order: PaperOrder, quantity: Decimal, price: Decimal, fate: Random
    ) -> None:
        order.fill_count += 1
        order.filled_quantity += quantity
        order.filled_value += quantity * price
        fill_id = f"{order.client_order_id}-{order.fill_count}"
        self._report(order, Execution(fill_id, quantity, price, order.market_date))
        due_tick = self._tick + fate.randint(1, 4)
        if fate.random() < self.dial.bust_share:
            self.record.add_due(due_tick, ExecutionKind.BUST.value, fill_id)
        elif fate.random() < self.dial.correction_share:
            corrected = price + price * order.half_spread_bps / 10_000 + Decimal("0.01")
            self.record.add_due(
                due_tick, ExecutionKind.CORRECTION.value, fill_id, f"{corrected:.6f}"
            )

    def _report(self, order: PaperOrder, report: Execution) -> None:
        self.record.add_execution(PaperExecution(order.client_order_id, self._tick, report))

    # --- What the market takes back ---------------------------------------------------------------

    def bust(self, fill_id: str) -> bool:
        """Declare that a fill never was; False if there is none that stands."""
        return self._answer(fill_id, ExecutionKind.BUST, None, None)

    def correct(self, fill_id: str, price: Decimal, quantity: Decimal | None = None) -> bool:
        """Say what a fill should have said; False if there is none that stands."""
        return self._answer(fill_id, ExecutionKind.CORRECTION, price, quantity)

    def _answer(
        self, fill_id: str, kind: ExecutionKind, price: Decimal | None, quantity: Decimal | None
    ) -> bool:
        execution = self.record.get_execution(fill_id)
        standing = self.record.get_standing(fill_id)
        if execution is None or standing is None:
            return False
        order = self.record.get_order(execution.client_order_id)
        if order is None:
            return False
        is_bust = kind is ExecutionKind.BUST
        report = Execution(
            fill_id=f"{fill_id}-{kind.value[0]}{self.record.count_answers(fill_id) + 1}",
            quantity=standing.quantity if quantity is None else quantity,
            price=standing.price if price is None else price,
            fill_date=standing.fill_date,
            kind=kind,
            refers_to=fill_id,
        )
        order.filled_quantity -= standing.quantity
        order.filled_value -= standing.quantity * standing.price
        if not is_bust:
            order.filled_quantity += report.quantity
            order.filled_value += report.quantity * report.price
        elif order.status is BrokerStatus.FILLED:
            self._finish(order)
        self._report(order, report)
        self.ledger.post(order)
        self._touch(order)
        return True

    # --- Reports ----------------------------------------------------------------------------

    def tell(self, client_order_ids: Sequence[str]) -> dict[str, BrokerOrder]:
        """Return what it says of these orders; an unknown id is absent."""
        found = (self.record.get_order(client_order_id) for client_order_id in client_order_ids)
        return {order.client_order_id: self._tell(order) for order in found if order is not None}

    def list_orders(self, since: datetime) -> list[BrokerOrder]:
        """Return every order that is open or was touched since."""
        stamp = since.astimezone(UTC).isoformat(timespec="microseconds")
        return [self._tell(order) for order in self.record.list_touched(stamp)]

    def _tell(self, order: PaperOrder) -> BrokerOrder:
        order.look_count += 1
        if self.dial.lost_share or self.dial.duplicate_share:
            self.record.put_order(order)
        return tell_order(
            order=order,
            executions=self.record.list_executions(order.client_order_id),
            dial=self.dial,
            tick=self._tick,
            draw=self._draw,
        )

    def count_orders(self) -> int:
        """Return how many orders were ever taken."""
        return self.record.count_orders()[0]

    def count_doubled(self) -> int:
        """Return how many ids were taken more than once."""
        return self.record.count_orders()[1]

    # --- Accounts and the market -----------------------------------------------------------------

    def allocate(self, instruction: AllocationInstruction) -> None:
        """Give a block's shares to accounts, once for each number."""
        self.ledger.allocate(instruction)

    def list_positions(self, account_numbers: Sequence[str]) -> list[BrokerPosition]:
        """Return what accounts hold, cash included."""
        return self.ledger.list_positions(list(account_numbers))

    def transfer(self, *, key: str, account_number: str, symbol: str, quantity: Decimal) -> bool:
        """Bring shares (or cash: no symbol) into an account, once for each key."""
        if not self.record.add_transfer(key):
            return False
        held = self.record.get_position(account_number, symbol)
        self.record.set_position(account_number, symbol, held + quantity)
        return True

    def _set_symbol(
        self,
        symbol: str,
        *,
        price: Decimal | None = None,
        is_forbidden: bool | None = None,
        halted_until: int | None = None,
    ) -> None:
        old_price, was_forbidden, old_until = self.record.get_symbol(symbol)
        self.record.set_symbol(
            symbol,
            price=old_price if price is None else price,
            is_forbidden=was_forbidden if is_forbidden is None else is_forbidden,
            halted_until=old_until if halted_until is None else halted_until,
        )

    def set_price(self, symbol: str, price: Decimal) -> None:
        """Tell the price at which a security trades from now on, whatever tickets say."""
        self._set_symbol(symbol, price=price)

    def halt(self, symbol: str) -> None:
        """Stop trading in a security until it is resumed; orders are taken, and wait."""
        self._set_symbol(symbol, halted_until=_FOREVER)

    def resume(self, symbol: str) -> None:
        """Trade a security again, halted or forbidden."""
        self._set_symbol(symbol, is_forbidden=False, halted_until=0)

    def forbid(self, symbol: str) -> None:
        """Reject new orders in a security: delisted, or never listed here."""
        self._set_symbol(symbol, is_forbidden=True)

    def close_session(self, market_date: date) -> None:
        """End a trading day: what still works of it expires."""
        for order in self.record.list_open_on(market_date):
            self._close(order, BrokerStatus.EXPIRED, "The session ended")

    def cancel_open(self, symbol: str, reason: str) -> None:
        """Cancel every open order in a security."""
        for order in self.record.list_open_in(symbol):
            self._close(order, BrokerStatus.CANCELLED, reason)
