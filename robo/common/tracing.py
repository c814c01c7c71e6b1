"""Which request is at work, and in whose stead: known to the journal and the log without being
handed from function to function. Set at the edge; empty where nobody set it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

REQUEST_ID_LENGTH_MAX = 64

_request_id: ContextVar[str] = ContextVar("request_id", default="")
_acting_for: ContextVar[int | None] = ContextVar("acting_for", default=None)


def get_request_id() -> str:
    """Return the id of the request that is being answered, or an empty text."""
    return _request_id.get()


def get_acting_for() -> int | None:
    """Return the id of the user through whose eyes a supporter works, or None."""
    return _acting_for.get()


@contextmanager
def traced(request_id: str, *, acting_for_id: int | None = None) -> Iterator[None]:
    """Work under a request's id, and perhaps in somebody's stead, until the block ends."""
    tokens = _request_id.set(request_id[:REQUEST_ID_LENGTH_MAX]), _acting_for.set(acting_for_id)
    try:
        yield
    finally:
        _request_id.reset(tokens[0])
        _acting_for.reset(tokens[1])
