"""A broker out of one seed: it loses, delays, doubles and takes back, and knows the truth."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_DOWN, Decimal
from random import Random

from rebalancer.brokers.port import (
    Abilities,
    AllocationInstruction,
    BrokerOrder,
    BrokerStatus,
    BrokerUnavailable,
    Execution,
    OrderTicket,
)
from rebalancer.domain.executions import Word, measure_effect
from rebalancer.domain.kinds import ExecutionKind

CENT = Decimal("0.01")
DEAD = (BrokerStatus.REJECTED, BrokerStatus.CANCELLED, BrokerStatus.EXPIRED)


@dataclass(frozen=True, slots=True)
class Rates:
    """How often each thing goes wrong, as a share from 0 to 1."""

    request_lost: float = 0.0
    taken_late: float = 0.0
    answer_lost: float = 0.0
    silent: float = 0.0
    reject: float = 0.0
    report_lost: float = 0.0
    duplicate: float = 0.0
    stale: float = 0.0
    bust: float = 0.0
    correction: float = 0.0
    late_fill: float = 0.0
    overfill: float = 0.0

    @classmethod
    def draw(cls, rng: Random) -> "Rates":
        """Return the rates of one schedule: each kind of fault is off, usual, or frequent."""
        usual = {
            "request_lost": 0.1,
            "taken_late": 0.1,
            "answer_lost": 0.12,
            "silent": 0.04,
            "reject": 0.04,
            "report_lost": 0.2,
            "duplicate": 0.2,
            "stale": 0.1,
            "bust": 0.08,
            "correction": 0.06,
            "late_fill": 0.3,
            "overfill": 0.03,
        }
        return cls(**{name: share * rng.choice((0, 1, 1, 3)) for name, share in usual.items()})


@dataclass(slots=True)
class Held:
    """One order as the broker has it."""

    ticket: OrderTicket
    status: BrokerStatus = BrokerStatus.WORKING
    executions: list[Execution] = field(default_factory=list)
    # What it said earlier, for answers that arrive late.
    snapshots: list[BrokerOrder] = field(default_factory=list)
    was_cancelled: bool = False

    @property
    def filled(self) -> Decimal:
        """Return what stands of all its executions."""
        return measure_filled(self.executions)

    @property
    def left(self) -> Decimal:
        """Return what is still to be filled."""
        return self.ticket.quantity - self.filled


def measure_filled(executions: list[Execution]) -> Decimal:
    """Return the quantity that stands after busts and corrections."""
    words: dict[str, list[Word]] = {}
    for told in executions:
        words.setdefault(told.refers_to or told.fill_id, []).append(
            Word(told.kind, told.quantity, told.price)
        )
    return sum((measure_effect(said).quantity for said in words.values()), Decimal(0))


class SeededBroker:
    """The broker of one schedule, and the witness of what was really sent."""

    name = "PAPER"

    def __init__(self, rng: Random, rates: Rates, abilities: Abilities) -> None:
        self.rng, self.rates, self.abilities = rng, rates, abilities
        self.orders: dict[str, Held] = {}
        self.taken: Counter[str] = Counter()
        self.late: list[OrderTicket] = []
        self.told: dict[str, AllocationInstruction] = {}
        self.telling_count = 0
        self.is_off = False
        self.today = date(2026, 1, 1)
        # Orders of which the market made something that no books could foresee.
        self.odd: set[str] = set()
        self.violations: list[str] = []
        self.point: Callable[[str], None] = lambda _name: None
        self.witness: Callable[[OrderTicket], str] = lambda _ticket: ""
        self._number = 0

    def _draw(self, share: float) -> bool:
        return not self.is_off and self.rng.random() < share

    def _listen(self, what: str) -> None:
        self.point(f"before {what}")
        if self._draw(self.rates.silent):
            raise BrokerUnavailable("no answer")

    # --- What we ask of it ------------------------------------------------------------------

    def submit(self, ticket: OrderTicket) -> BrokerOrder:
        """Take an order, or lose it, or take it and lose the answer."""
        self._listen("submit")
        wrong = self.witness(ticket)
        if wrong:
            self.violations.append(f"{ticket.client_order_id}: {wrong}")
        if self._draw(self.rates.request_lost):
            raise BrokerUnavailable("the request is lost")
        if self._draw(self.rates.taken_late):
            self.late.append(ticket)
            raise BrokerUnavailable("timed out, and taken later")
        self._take(ticket)
        self.point("after submit")
        if self._draw(self.rates.answer_lost):
            raise BrokerUnavailable("the answer is lost")
        return self._tell(ticket.client_order_id)

    def get_orders(self, client_order_ids: list[str]) -> dict[str, BrokerOrder]:
        """Return what it likes to tell of these orders."""
        self._listen("look")
        answer = {name: self._tell(name) for name in client_order_ids if name in self.orders}
        if self.late and self.rng.random() < 0.6:
            # What was called unknown is taken right after.
            self._take(self.late.pop())
        return answer

    def cancel(self, client_order_id: str) -> None:
        """Stop working an order; a part of it may be on its way already."""
        self._listen("cancel")
        held = self.orders.get(client_order_id)
        if held is not None and held.status is BrokerStatus.WORKING:
            held.status, held.was_cancelled = BrokerStatus.CANCELLED, True

    def list_orders(self, since: object) -> list[BrokerOrder]:
        """Return every order."""
        self._listen("list")
        return [self._tell(name) for name in self.orders]

    def allocate(self, instruction: AllocationInstruction) -> None:
        """Note whose the shares of a block are; an older word does not replace a newer one."""
        self._listen("allocate")
        before = self.told.get(instruction.block_id)
        if before is None or before.number <= instruction.number:
            self.told[instruction.block_id] = instruction
        self.telling_count += 1
        self.point("after allocate")

    def list_positions(self, account_numbers: object) -> list[object]:
        """Return nothing: positions are compared by the simulator itself."""
        return []

    # --- What it does by itself ---------------------------------------------------------------

    def _take(self, ticket: OrderTicket) -> None:
        name = ticket.client_order_id
        if name in self.orders and self.abilities.has_unique_ids:
            return
        if ticket.market_date < self.today:
            return  # An order that is good for a day is not taken on the next.
        self.taken[name] += 1
        self.orders.setdefault(name, Held(ticket))

    def tick(self) -> None:
        """Let a moment pass at the market."""
        while self.late:
            self._take(self.late.pop())
        for held in self.orders.values():
            if self.is_off:
                self._finish(held)
            elif self.rng.random() < 0.6:
                self._move(held)

    def _finish(self, held: Held) -> None:
        if held.status is BrokerStatus.WORKING:
            if held.left > 0:
                self._fill(held, held.left)
            held.status = BrokerStatus.FILLED

    def _move(self, held: Held) -> None:
        if held.status is BrokerStatus.WORKING:
            if not held.executions and self._draw(self.rates.reject):
                held.status = BrokerStatus.REJECTED
                return
            part = held.left
            if self.rng.random() < 0.6:
                share = Decimal(self.rng.randint(1, 9)) / 10
                part = (part * share / held.ticket.share_step).quantize(
                    Decimal(1), ROUND_DOWN
                ) * held.ticket.share_step
            if self._draw(self.rates.overfill):
                part = held.left + held.ticket.share_step
                self.odd.add(held.ticket.client_order_id)
            if part > 0:
                self._fill(held, part)
            if held.left <= 0:
                held.status = BrokerStatus.FILLED
        elif held.was_cancelled and held.left > 0 and self._draw(self.rates.late_fill):
            self.odd.add(held.ticket.client_order_id)
            self._fill(held, min(held.left, held.ticket.share_step))
        if held.executions and self._draw(self.rates.bust):
            self._bust(held)
        elif held.executions and self._draw(self.rates.correction):
            self._correct(held)

    def _fill(self, held: Held, quantity: Decimal) -> None:
        day = held.ticket.market_date
        held.executions.append(Execution(self._name("F"), quantity, self._price(held), day))

    def _price(self, held: Held) -> Decimal:
        """Return a price near the market, no worse than the limit."""
        ticket = held.ticket
        price = (ticket.market_price * Decimal(self.rng.randint(9950, 10002)) / 10000).quantize(
            CENT, ROUND_DOWN
        )
        if ticket.side == "SELL":
            price = max(price, ticket.limit_price or price)
        else:
            price = min(price, ticket.limit_price or price)
        return max(price, CENT)

    def _find_whole(self, held: Held) -> Execution | None:
        """Return a fill of which nothing else was said yet."""
        answered = {told.refers_to for told in held.executions}
        plain = [
            told
            for told in held.executions
            if told.kind is ExecutionKind.FILL and told.fill_id not in answered
        ]
        return self.rng.choice(plain) if plain else None

    def _bust(self, held: Held) -> None:
        fill = self._find_whole(held)
        if fill is None:
            return
        self.odd.add(held.ticket.client_order_id)
        held.executions.append(
            Execution(
                self._name("B"),
                fill.quantity,
                fill.price,
                self.today,
                ExecutionKind.BUST,
                fill.fill_id,
            )
        )

    def _correct(self, held: Held) -> None:
        fill = self._find_whole(held)
        if fill is None:
            return
        self.odd.add(held.ticket.client_order_id)
        held.executions.append(
            Execution(
                self._name("C"),
                fill.quantity,
                max(fill.price - CENT * self.rng.randint(1, 40), CENT),
                self.today,
                ExecutionKind.CORRECTION,
                fill.fill_id,
            )
        )

    def _name(self, letter: str) -> str:
        self._number += 1
        return f"{letter}{self._number}"

    def _choose_lost(self, executions: list[Execution]) -> Execution:
        """Return what is left out: most like a fill whose bust is told already."""
        answered = {told.refers_to for told in executions if told.refers_to}
        early = [told for told in executions if told.fill_id in answered]
        return self.rng.choice(early if early and self.rng.random() < 0.7 else executions)

    # --- What it says ---------------------------------------------------------------------------

    def _tell(self, name: str) -> BrokerOrder:
        held = self.orders[name]
        executions = list(held.executions)
        if executions and self._draw(self.rates.report_lost):
            # The cumulative figure overtakes the report; or an answer overtakes its fill.
            executions.remove(self._choose_lost(executions))
        if executions and self._draw(self.rates.duplicate):
            executions.append(self.rng.choice(executions))
        said = BrokerOrder(
            client_order_id=name,
            status=held.status,
            filled_quantity=held.filled,
            executions=tuple(executions),
            broker_order_id=f"B-{name}"[:80],
            symbol=held.ticket.symbol,
            side=held.ticket.side,
            quantity=held.ticket.quantity,
        )
        if held.snapshots and self._draw(self.rates.stale):
            return self.rng.choice(held.snapshots)
        held.snapshots = [*held.snapshots[-4:], said]
        return said
