"""A broker that speaks FIX 4.4. Each call is a conversation: log on, catch up, ask, log out.

FIX allows one session at a time, so a lock keeps other processes out meanwhile. Reports that came
while nobody was there are asked for again by their numbers, and stay in a file of our own.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime

from rebalancer.brokers.fix import translate
from rebalancer.brokers.fix.message import Message
from rebalancer.brokers.fix.session import FixConnection, Session
from rebalancer.brokers.fix.store import FixStore
from rebalancer.brokers.port import (
    Abilities,
    AllocationInstruction,
    AllocationRefused,
    BrokerOrder,
    BrokerPosition,
    BrokerStatus,
    BrokerUnavailable,
    OrderTicket,
    reject_ticket,
)
from robo.common import clock

WAIT_SECONDS = 20.0
_REJECTS = ("3", "j")
DEFAULT_ABILITIES = Abilities(
    has_unique_ids=False, has_fractions=False, has_limit_orders=True, has_blocks=True
)


class FixBroker:
    """One FIX session, remembered at `path`."""

    name = "FIX"

    def __init__(
        self,
        connection: FixConnection,
        store: FixStore,
        *,
        abilities: Abilities = DEFAULT_ABILITIES,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._connection, self._store, self.abilities = connection, store, abilities
        self._wait_seconds = wait_seconds
        self._session: Session | None = None

    @contextmanager
    def conversation(self) -> Iterator[Session]:
        """Hold the session; calls made inside share it. BrokerUnavailable."""
        if self._session is not None:
            yield self._session
            return
        with self._store.hold(timeout_seconds=self._wait_seconds):
            session = Session(
                self._connection,
                self._store,
                lambda message: translate.read_report(message, self._store),
            )
            try:
                session.log_on()
                self._session = session
                yield session
                session.log_out()
            finally:
                self._session = None
                session.close()

    # --- Orders -----------------------------------------------------------------------------

    def submit(self, ticket: OrderTicket) -> BrokerOrder:
        """Send an order, or say what is known of it. BrokerUnavailable: the outcome is unknown."""
        refusal = self._refuse(ticket)
        if refusal:
            return reject_ticket(ticket, refusal)
        with self.conversation() as session:
            is_first = self._store.add_sent(ticket)
            if not is_first:
                known = self._look_up(session, ticket.client_order_id)
                if known is not None:
                    return known
            # Sent before, and the broker does not know it: the flag tells it to look once more.
            body = translate.write_order(ticket, clock.now())
            number = session.send("D", body, is_possible_resend=not is_first)
            return self._read_answer(session, ticket, number)

    def _refuse(self, ticket: OrderTicket) -> str:
        whole = ticket.quantity == ticket.quantity.to_integral_value()
        if not whole and not self.abilities.has_fractions:
            return "this broker takes whole shares only"
        texts = (ticket.client_order_id, ticket.symbol, ticket.account_number or "-")
        if not all(text.isascii() and text.isprintable() and text for text in texts):
            return "the order has characters that cannot be sent"
        return ""

    def _read_answer(self, session: Session, ticket: OrderTicket, number: int) -> BrokerOrder:
        client_order_id = ticket.client_order_id
        answer = session.wait_for(
            lambda message: _is_about(message, client_order_id) or _rejects(message, number)
        )
        if answer.kind in _REJECTS:
            return reject_ticket(ticket, answer.get(58) or "the message was refused")
        if translate.is_duplicate(answer):
            known = self._look_up(session, client_order_id)
            if known is None:
                raise BrokerUnavailable("the broker says it has the order and does not find it")
            return known
        return self._store.get_orders([client_order_id])[client_order_id]

    def _look_up(self, session: Session, client_order_id: str) -> BrokerOrder | None:
        """Return what the broker knows of an order; None: nothing."""
        known = self._store.get_orders([client_order_id]).get(client_order_id)
        sent = self._store.get_sent(client_order_id)
        if known is not None or sent is None:
            return known
        number = session.send("H", translate.write_status_request(sent))
        answer = session.wait_for(
            lambda message: _is_about(message, client_order_id) or _rejects(message, number)
        )
        if answer.kind in _REJECTS:
            raise BrokerUnavailable(f"the broker does not answer questions: {answer.get(58)}")
        return self._store.get_orders([client_order_id]).get(client_order_id)

    def get_orders(self, client_order_ids: Sequence[str]) -> Mapping[str, BrokerOrder]:
        """Return what the broker knows of these orders. BrokerUnavailable."""
        with self.conversation() as session:
            session.synchronise()
            found = self._store.get_orders(client_order_ids)
            missing = [item for item in client_order_ids if item not in found]
            if any(self._store.get_sent(item) is None for item in missing):
                # Our own memory is younger than these orders: have the whole list.
                self._ask_for_all(session)
                return self._store.get_orders(client_order_ids)
            for client_order_id in missing:
                known = self._look_up(session, client_order_id)
                if known is not None:
                    found[client_order_id] = known
            return found

    def cancel(self, client_order_id: str) -> None:
        """Ask to stop working an order. BrokerUnavailable."""
        with self.conversation() as session:
            order = self._look_up(session, client_order_id)
            if order is None or order.status is not BrokerStatus.WORKING or order.side is None:
                return
            count = self._store.take_number("cancels")
            cancel_id = f"C{count}-{client_order_id}"[:64]
            body = translate.write_cancel(order, order.side, cancel_id, clock.now())
            number = session.send("F", body)
            session.wait_for(
                lambda message: (
                    (message.kind in ("8", "9") and message.get(11) == cancel_id)
                    or _rejects(message, number)
                )
            )

    def list_orders(self, since: datetime) -> Sequence[BrokerOrder]:
        """Return every order that is open or was touched since. BrokerUnavailable."""
        with self.conversation() as session:
            self._ask_for_all(session)
            return self._store.list_touched(since)

    def _ask_for_all(self, session: Session) -> None:
        request_id = f"M{self._store.get_numbers()[1]}"
        number = session.send("AF", [(584, request_id), (585, "7")])
        answer = session.wait_for(
            lambda message: (
                (message.get(584) == request_id and message.get(912) == "Y")
                or _rejects(message, number)
            )
        )
        if answer.kind in _REJECTS:
            raise BrokerUnavailable(f"the broker does not list orders: {answer.get(58)}")

    # --- Accounts -----------------------------------------------------------------------------

    def allocate(self, instruction: AllocationInstruction) -> None:
        """Tell whose a block's shares are. AllocationRefused; BrokerUnavailable: no answer."""
        with self.conversation() as session:
            trade_date = self._get_trade_date(instruction)
            body = translate.write_allocation(instruction, trade_date, clock.now())
            name = f"{instruction.block_id}-{instruction.number}"
            number = session.send("J", body)
            answer = session.wait_for(
                lambda message: (
                    (message.kind == "P" and message.get(70) == name and message.get(87) != "3")
                    or _rejects(message, number)
                )
            )
            if answer.kind in _REJECTS or answer.get(87) not in ("0", "4"):
                raise AllocationRefused(f"allocation {name} was refused: {answer.get(58)}")

    def _get_trade_date(self, instruction: AllocationInstruction) -> date:
        orders = self._store.get_orders(instruction.client_order_ids).values()
        days = [execution.fill_date for order in orders for execution in order.executions]
        return max(days) if days else clock.now().astimezone(translate.MARKET_ZONE).date()

    def list_positions(self, account_numbers: Sequence[str]) -> Sequence[BrokerPosition]:
        """Return what accounts hold, cash included. BrokerUnavailable."""
        found: list[BrokerPosition] = []
        with self.conversation() as session:
            for account_number in account_numbers:
                found += self._list_positions_of(session, account_number)
        return found

    def _list_positions_of(self, session: Session, account_number: str) -> list[BrokerPosition]:
        request_id = f"P{self._store.get_numbers()[1]}"
        body = translate.write_position_request(request_id, account_number, clock.now())
        number = session.send("AN", body)
        answer = session.wait_for(
            lambda message: (
                (message.kind == "AO" and message.get(710) == request_id)
                or _rejects(message, number)
            )
        )
        if answer.kind in _REJECTS or answer.get(728) not in ("0", "2"):
            raise BrokerUnavailable(f"positions of {account_number} were refused")
        positions = []
        for _ in range(_count_reports(answer)):
            report = session.wait_for(
                lambda message: message.kind == "AP" and message.get(710) == request_id
            )
            try:
                symbol, quantity = translate.read_position(report)
            except ValueError as error:
                raise BrokerUnavailable(f"a position of {account_number}: {error}") from error
            positions.append(BrokerPosition(account_number, symbol, quantity))
        return positions


def _count_reports(answer: Message) -> int:
    count = answer.get(727) or "0"
    if not count.isdigit():
        raise BrokerUnavailable("the broker does not say how many positions there are")
    return int(count)


def _is_about(message: Message, client_order_id: str) -> bool:
    return message.kind == "8" and translate.get_order_id(message) == client_order_id


def _rejects(message: Message, number: int) -> bool:
    return message.kind in _REJECTS and message.get(45) == str(number)
