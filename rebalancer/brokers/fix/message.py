"""FIX 4.4 messages: made, cut out of a stream of bytes, and checked. Encoding is simplefix's."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import simplefix

BEGIN = b"8=FIX.4.4\x01"
SOH: Final = b"\x01"
_BODY_BYTES_MAX = 1_000_000
_TRAILER_BYTES = 7  # 10=nnn and its end

Pair = tuple[int, str]


class Garbled(Exception):
    """The bytes are no message; FIX says to go on as if they had never come."""


class Message:
    """One message that was received; `get` reads a field, `groups` a repeating group."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = list(pairs)
        self._first: dict[int, str] = {}
        for tag, value in self.pairs:
            self._first.setdefault(tag, value)

    def get(self, tag: int, default: str = "") -> str:
        """Return the first value of a tag."""
        return self._first.get(tag, default)

    @property
    def kind(self) -> str:
        """Return the message type."""
        return self.get(35)

    @property
    def number(self) -> int:
        """Return the sequence number. Garbled: there is none."""
        try:
            return int(self.get(34))
        except ValueError as error:
            raise Garbled("no sequence number") from error

    @property
    def is_again(self) -> bool:
        """Say whether it may have been sent before."""
        return self.get(43) == "Y"

    def groups(self, first_tag: int) -> list["Message"]:
        """Return the parts that begin with `first_tag`, each up to the next one."""
        starts = [i for i, (tag, _value) in enumerate(self.pairs) if tag == first_tag]
        ends = [*starts[1:], len(self.pairs)]
        return [Message(self.pairs[start:end]) for start, end in zip(starts, ends, strict=False)]


def encode(header: Iterable[Pair], body: Iterable[Pair]) -> bytes:
    """Return a message as bytes, with length and checksum. ValueError: a field cannot be sent."""
    message = simplefix.FixMessage()
    message.append_pair(8, "FIX.4.4")
    for tag, value in (*header, *body):
        if "\x01" in value or not value or not value.isascii():
            raise ValueError(f"{value!r} cannot be the value of FIX field {tag}")
        message.append_pair(tag, value)
    return bytes(message.encode())


def write_time(instant: datetime) -> str:
    """Return an instant as FIX writes it, in UTC to the millisecond."""
    text = instant.astimezone(UTC).strftime("%Y%m%d-%H:%M:%S.%f")
    return text[:-3]


class Framer:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._buffer = b""

    def add(self, data: bytes) -> None:
        """Take in what was received."""
        self._buffer += data

    def take(self) -> Message | None:
        """Return the next whole message, or None; garbled bytes are passed over."""
        while True:
            start = self._buffer.find(BEGIN)
            if start < 0:
                # The beginning of a beginning may be all there is so far.
                self._buffer = self._buffer[-len(BEGIN) :]
                return None
            self._buffer = self._buffer[start:]
            try:
                end = _find_end(self._buffer)
                if end is None:
                    return None
                raw, self._buffer = self._buffer[:end], self._buffer[end:]
                return _parse(raw)
            except Garbled:
                if self._buffer.startswith(BEGIN):
                    self._buffer = self._buffer[len(BEGIN) :]


def _find_end(buffer: bytes) -> int | None:
    """Return where the first message ends; None: not yet there."""
    length_end = buffer.find(SOH, len(BEGIN))
    if length_end < 0:
        if len(buffer) > len(BEGIN) + 16:
            raise Garbled("no length")
        return None
    field = buffer[len(BEGIN) : length_end]
    if not field.startswith(b"9=") or not field[2:].isdigit():
        raise Garbled("no length")
    length = int(field[2:])
    if length > _BODY_BYTES_MAX:
        raise Garbled("too long")
    end = length_end + 1 + length + _TRAILER_BYTES
    if len(buffer) < end:
        return None
    trailer = buffer[end - _TRAILER_BYTES : end]
    if not trailer.startswith(b"10=") or not trailer.endswith(SOH):
        raise Garbled("no checksum where the length says")
    if trailer[3:6] != b"%03d" % (sum(buffer[: end - _TRAILER_BYTES]) % 256):
        raise Garbled("wrong checksum")
    return end


def _parse(raw: bytes) -> Message:
    parser = simplefix.FixParser()
    parser.append_buffer(raw)
    message = parser.get_message()
    if message is None:
        raise Garbled("no fields")
    try:
        return Message([(int(tag), value.decode("ascii")) for tag, value in message.pairs])
    except ValueError as error:
        raise Garbled("a field is not text") from error
