"""A thin FIX 4.4 session: log on, keep count, fill gaps, log out. One conversation at a time.

What the other side asks us to send again is never sent again but gap-filled: an order that is
repeated after a break is a new risk, not a service. What we missed ourselves we ask for, and take
in the order of its numbers.
"""

import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from rebalancer.brokers.fix.message import Framer, Garbled, Message, Pair, encode, write_time
from rebalancer.brokers.fix.store import FixStore, Report
from rebalancer.brokers.port import BrokerUnavailable
from robo.common import clock

logger = logging.getLogger(__name__)

_RECEIVE_BYTES = 65536


@dataclass(frozen=True, slots=True)
class FixConnection:
    """Where the other side is, and who we are to it."""

    host: str
    port: int
    sender: str
    target: str
    username: str = ""
    password: str = ""
    has_tls: bool = True
    heartbeat_seconds: int = 30
    timeout_seconds: float = 10.0


class Session:
    """One conversation over one connection, between `log_on` and `log_out`."""

    def __init__(
        self,
        connection: FixConnection,
        store: FixStore,
        read_report: Callable[[Message], Report | None],
    ) -> None:
        self._connection, self._store, self._read_report = connection, store, read_report
        self._framer = Framer()
        self._socket: socket.socket | None = None
        # Where the gap begins that we asked about, and where it ends; 0: there is none.
        self._asked_from = self._gap_end = 0
        self._heard_at = self._spoke_at = time.monotonic()

    # --- Beginning and end ----------------------------------------------------------------------

    def log_on(self) -> None:
        """Connect, log on, and catch up with what was missed. BrokerUnavailable."""
        where = self._connection
        try:
            plain = socket.create_connection((where.host, where.port), where.timeout_seconds)
            self._socket = plain
            if where.has_tls:
                context = ssl.create_default_context()
                self._socket = context.wrap_socket(plain, server_hostname=where.host)
        except (OSError, ValueError) as error:
            self.close()
            raise BrokerUnavailable(f"no connection to {where.host}:{where.port}") from error
        body = [(98, "0"), (108, str(where.heartbeat_seconds))]
        if where.username:
            body += [(553, where.username), (554, where.password)]
        self.send("A", body)
        self.wait_for(lambda message: message.kind == "A")
        self.synchronise()

    def synchronise(self) -> None:
        """Wait until everything that the other side sent before now has been taken in."""
        is_done = False
        while not is_done:
            name = f"T{self._store.get_numbers()[1]}"
            self.send("1", [(112, name)])

            def is_answer(message: Message, name: str = name) -> bool:
                return message.kind == "0" and message.get(112) == name

            # An answer that reveals a gap is filled over with it: then ask again behind the gap.
            message = self.wait_for(lambda m: is_answer(m) or self._closes_gap())
            is_done = is_answer(message)

    def _closes_gap(self) -> bool:
        if not self._gap_end or self._store.get_numbers()[0] <= self._gap_end:
            return False
        self._gap_end = 0
        return True

    def log_out(self) -> None:
        """Say goodbye and hang up; that nobody answers does not matter."""
        with suppress(BrokerUnavailable):
            self.send("5", [])
            self.wait_for(lambda message: message.kind == "5", timeout_seconds=2.0)
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None

    # --- Out ------------------------------------------------------------------------------------

    def send(self, kind: str, body: Iterable[Pair], *, is_possible_resend: bool = False) -> int:
        """Send a message under the next number and return it. BrokerUnavailable."""
        number = self._store.take_number()
        extra = [(97, "Y")] if is_possible_resend else []
        self._transmit(kind, number, body, extra)
        return number

    def _transmit(self, kind: str, number: int, body: Iterable[Pair], extra: list[Pair]) -> None:
        if self._socket is None:
            raise BrokerUnavailable("the FIX session is closed")
        header = [
            (35, kind),
            (49, self._connection.sender),
            (56, self._connection.target),
            (34, str(number)),
            *extra,
            (52, write_time(clock.now())),
        ]
        try:
            self._socket.sendall(encode(header, body))
        except OSError as error:
            raise self._lose(f"sending failed: {error}") from error
        self._spoke_at = time.monotonic()

    def _lose(self, reason: str) -> BrokerUnavailable:
        self.close()
        return BrokerUnavailable(f"the FIX session was lost: {reason}")

    # --- In -------------------------------------------------------------------------------------

    def wait_for(
        self, is_wanted: Callable[[Message], bool], *, timeout_seconds: float | None = None
    ) -> Message:
        """Take in messages, in order, up to the wanted one. BrokerUnavailable: it never came."""
        deadline = time.monotonic() + (timeout_seconds or self._connection.timeout_seconds)
        while True:
            message = self._framer.take()
            if message is None:
                self._receive(deadline)
                continue
            try:
                is_taken = self._take(message)
            except Garbled:
                continue
            if is_taken and is_wanted(message):
                return message
            if is_taken and message.kind == "8":
                # Catching up with many reports is progress, not silence.
                deadline = max(deadline, time.monotonic() + self._connection.timeout_seconds)
            if is_taken and message.kind == "5":
                raise self._lose(f"the other side logged out: {message.get(58) or 'no reason'}")

    def _receive(self, deadline: float) -> None:
        if self._socket is None:
            raise BrokerUnavailable("the FIX session is closed")
        left = deadline - time.monotonic()
        if left <= 0:
            raise self._lose("no answer in time")
        self._socket.settimeout(min(left, 1.0))
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except TimeoutError:
            self._keep_alive()
            return
        except OSError as error:
            raise self._lose(f"receiving failed: {error}") from error
        if not data:
            raise self._lose("the other side hung up")
        self._heard_at = time.monotonic()
        self._framer.add(data)

    def _keep_alive(self) -> None:
        """Say that we are there, and ask whether they are, when it has been quiet for long."""
        now, interval = time.monotonic(), self._connection.heartbeat_seconds
        if now - self._heard_at > 2 * interval:
            raise self._lose("no heartbeat")
        if now - self._heard_at > interval:
            self.send("1", [(112, "ARE-YOU-THERE")])
        elif now - self._spoke_at > interval:
            self.send("0", [])

    def _take(self, message: Message) -> bool:
        """Count a message and act on it; return whether it was new and in its turn."""
        number, kind = message.number, message.kind
        if (message.get(49), message.get(56)) != (self._connection.target, self._connection.sender):
            raise self._lose("a message of somebody else, or for somebody else")
        next_in, _next_out = self._store.get_numbers()
        if kind == "4" and message.get(123) != "Y":
            self._reset_to(message, next_in)
            return False
        if number > next_in:
            return self._take_early(message, next_in)
        if number < next_in:
            if message.is_again:
                return False
            self.send("5", [(58, f"MsgSeqNum too low, expecting {next_in}")])
            raise self._lose(f"message {number} came where {next_in} was due: numbers must be set")
        if kind == "4":
            self._store.count_in(max(_read_number(message, 36), next_in + 1))
        elif kind == "8":
            self._store.count_in(next_in + 1, self._read(message))
        else:
            self._store.count_in(next_in + 1)
            self._answer(message)
        return True

    def _read(self, message: Message) -> Report | None:
        try:
            return self._read_report(message)
        except (ValueError, ArithmeticError) as error:
            # Refused aloud; the broker's cumulative quantity will show what is missing.
            logger.exception("FIX report %s cannot be read", message.number)
            text = str(error).encode("ascii", "replace").decode()[:200] or "unreadable"
            self.send("3", [(45, str(message.number)), (372, "8"), (373, "5"), (58, text)])
            return None

    def _take_early(self, message: Message, next_in: int) -> bool:
        """Ask for what is missing; what came early will come again in its turn."""
        # Not to be waited for: the other side may be waiting for this before it answers us.
        self._answer(message)
        self._gap_end = max(self._gap_end, message.number)
        if self._asked_from != next_in:
            self._asked_from = next_in
            self.send("2", [(7, str(next_in)), (16, "0")])
        # The answer to our own log-on has to be seen although it reveals a gap.
        return message.kind in ("A", "5")

    def _reset_to(self, message: Message, next_in: int) -> None:
        number = _read_number(message, 36)
        if number < next_in:
            self.send("3", [(45, str(message.number)), (58, "NewSeqNo too low"), (373, "5")])
        else:
            self._store.count_in(number)

    def _answer(self, message: Message) -> None:
        if message.kind == "1":
            self.send("0", [(112, message.get(112))])
        elif message.kind == "2":
            self._fill_gap(message)

    def _fill_gap(self, message: Message) -> None:
        """Answer a request to send again: nothing of ours is to be taken again."""
        begin, end = _read_number(message, 7), _read_number(message, 16)
        next_out = self._store.get_numbers()[1]
        if begin >= next_out:
            return
        upto = next_out if end == 0 or end >= next_out else end + 1
        extra = [(43, "Y"), (122, write_time(clock.now()))]
        self._transmit("4", begin, [(123, "Y"), (36, str(upto))], extra)


def _read_number(message: Message, tag: int) -> int:
    try:
        return int(message.get(tag))
    except ValueError as error:
        raise Garbled(f"field {tag} is no number") from error
