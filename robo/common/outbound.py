"""Posts to an address on the internet that somebody typed: to a checked address, and no further.

The name is resolved once, every address it leads to is checked, and the connection goes to the very
address that was checked, so that a name which changes its mind in between changes nothing. TLS is
verified against the name. Redirects are not followed, and little is read of the answer.
"""

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 10.0
ANSWER_BYTES_MAX = 16 * 1024

Resolve = Callable[[str, int], list[str]]


class OutboundFailed(Exception):
    """Nothing came back; the text is short and holds nothing that the other side sent."""


@dataclass(frozen=True, slots=True)
class Route:
    """How to get there: which addresses a name has, and which of them may be called."""

    check_address: Callable[[str], None]
    resolve: Resolve
    tls: ssl.SSLContext | None = None


def resolve_host(host: str, port: int) -> list[str]:
    """Return the addresses of a host, as the system's resolver knows them.

    :raises OutboundFailed: when it knows none.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise OutboundFailed("the host has no address") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def post(
    *, host: str, port: int, path: str, body: bytes, headers: Mapping[str, str], route: Route
) -> int:
    """Send a body by HTTPS; return the status of the answer.

    :raises OutboundFailed: when no answer came in time, or none that is HTTP.
    :raises ValueError: as `route.check_address` does; then nothing was sent.
    """
    addresses = route.resolve(host, port)
    if not addresses:
        raise OutboundFailed("the host has no address")
    for address in addresses:
        route.check_address(address)
    connection = _PinnedConnection(host, port, addresses[0], route.tls)
    # Each read has its own time-out; who sends one byte after the other is stopped by this one.
    end = threading.Timer(TOTAL_SECONDS, connection.cut)
    end.start()
    try:
        connection.request("POST", path, body=body, headers=dict(headers))
        answer = connection.getresponse()
        answer.read(ANSWER_BYTES_MAX)
        return answer.status
    except TimeoutError:
        raise OutboundFailed("no answer in time") from None
    except ssl.SSLError:
        raise OutboundFailed("TLS failed: the certificate does not fit") from None
    except (OSError, http.client.HTTPException, ValueError):
        raise OutboundFailed("the connection failed") from None
    finally:
        end.cancel()
        connection.close()


class _PinnedConnection(http.client.HTTPSConnection):
    """Connects to one address, and asks it to prove that it is the host."""

    def __init__(self, host: str, port: int, address: str, tls: ssl.SSLContext | None) -> None:
        self._tls = tls or ssl.create_default_context()
        super().__init__(host, port, timeout=CONNECT_SECONDS, context=self._tls)
        self._address = address
        # Kept apart: once an answer has begun, http.client may let go of its own.
        self._open: ssl.SSLSocket | None = None

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), timeout=CONNECT_SECONDS)
        try:
            plain.settimeout(CONNECT_SECONDS)
            self.sock = self._open = self._tls.wrap_socket(
                plain, server_hostname=self.host, do_handshake_on_connect=False
            )
            self._open.do_handshake()
        except BaseException:
            plain.close()
            raise

    def cut(self) -> None:
        """End the connection from another thread; whoever waits for it is told at once."""
        if self._open is not None:
            with contextlib.suppress(OSError):
                # Not TLS's own farewell, which would wait for the other side.
                socket.socket.shutdown(self._open, socket.SHUT_RDWR)
