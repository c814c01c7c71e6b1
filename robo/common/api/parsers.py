"""How a body is read: JSON of a sane size and depth, in which no key comes twice."""

import json
from typing import Any

from rest_framework import exceptions
from rest_framework.parsers import JSONParser

from robo.common.api.errors import BodyTooLargeError

BODY_BYTES_MAX = 2 * 1024 * 1024
KEY_LENGTH_SHOWN = 60


def read_bounded(stream: Any) -> bytes:
    """Return all bytes of a stream.

    :raises BodyTooLargeError: beyond `BODY_BYTES_MAX`.
    """
    body: bytes = stream.read(BODY_BYTES_MAX + 1)
    if len(body) > BODY_BYTES_MAX:
        raise BodyTooLargeError
    return body


class BoundedJSONParser(JSONParser):
    """Reads JSON as RFC 8259 has it, and refuses what two programs might read differently."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Return the parsed body.

        :raises BodyTooLargeError: beyond `BODY_BYTES_MAX`.
        :raises ParseError: when it is no JSON in UTF-8, holds NaN or Infinity, names a key twice,
            or nests without end.
        """
        body = read_bounded(stream)
        try:
            return json.loads(
                body.decode(), object_pairs_hook=_read_object, parse_constant=_refuse_constant
            )
        except RecursionError:
            raise exceptions.ParseError("The JSON nests too deeply.") from None
        except ValueError as error:
            raise exceptions.ParseError(f"This is no JSON: {error}") from None


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise ValueError(f"the key {ascii(twice[:KEY_LENGTH_SHOWN])} comes twice")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")
