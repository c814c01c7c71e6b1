"""What goes into the cache and comes out of it: JSON, which carries out nothing when it is read."""

import json
from typing import Any


class JsonSerializer:
    """Turns a value into bytes for Redis and back; whole numbers stay such, so they can count."""

    def dumps(self, value: Any) -> bytes | int:
        """Return what Redis keeps.

        :raises TypeError: for a value that is no JSON.
        """
        return value if type(value) is int else json.dumps(value).encode()

    def loads(self, data: bytes) -> Any:
        """Return the value that was kept."""
        return json.loads(data)
