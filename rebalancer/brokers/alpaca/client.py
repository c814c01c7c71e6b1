"""Alpaca's client library with a time-out and without retries of its own.

The library waits for ever, and sends a request again after 429 and 504; whether an order may be
sent again is for operations to say, who look first.
"""

from collections.abc import Mapping
from typing import Any

from alpaca.common.exceptions import APIError, RetryException
from alpaca.trading.client import TradingClient
from pydantic import ValidationError
from requests.exceptions import RequestException

from rebalancer.brokers.port import BrokerUnavailable

# What says nothing about the order that was asked about.
_UNKNOWN_STATUSES = frozenset({401, 404, 407, 408, 425, 429})


class AlpacaRefusal(Exception):
    """Alpaca read the request and said no; `code` is its own, `status` the HTTP one."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class NotFound(AlpacaRefusal):
    """There is no such thing."""


class OneTryClient(TradingClient):
    """Sends each request once, and gives up on it after a while."""

    timeout_seconds = 15.0

    def _one_request(
        self, method: str, url: str, opts: dict[str, Any], retry: int
    ) -> dict[str, Any]:
        opts = opts | {"timeout": self.timeout_seconds}
        answer: dict[str, Any] = super()._one_request(method, url, opts, retry=0)
        return answer


class AlpacaWire:
    """Asks Alpaca and translates every failure: a refusal, or an outcome that is not known."""

    def __init__(self, *, key_id: str, secret_key: str, url: str, timeout_seconds: float) -> None:
        self._client = OneTryClient(key_id, secret_key, url_override=url.rstrip("/"))
        self._client.timeout_seconds = timeout_seconds

    def get(self, path: str, values: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON at a path. NotFound, BrokerUnavailable."""
        try:
            return self._ask("GET", path, dict(values or {}))
        except NotFound:
            raise
        except AlpacaRefusal as refusal:
            # A question that is refused says nothing about what was asked.
            raise BrokerUnavailable(f"Alpaca would not say: {refusal.message}") from refusal

    def post(self, path: str, values: Mapping[str, Any]) -> Any:
        """Send JSON and return the answer. AlpacaRefusal, BrokerUnavailable."""
        return self._ask("POST", path, dict(values))

    def delete(self, path: str) -> None:
        """Delete what is at a path. AlpacaRefusal, BrokerUnavailable."""
        self._ask("DELETE", path, {})

    def _ask(self, method: str, path: str, values: dict[str, Any]) -> Any:
        try:
            match method:
                case "GET":
                    return self._client.get(path, values)
                case "POST":
                    return self._client.post(path, values)
                case _:
                    return self._client.delete(path)
        except APIError as error:
            raise _translate(error) from error
        except RetryException as error:
            raise BrokerUnavailable("Alpaca asks to wait") from error
        except (RequestException, ValidationError, ValueError, TypeError) as error:
            # No connection, no time left, or an answer that is not what it should be.
            raise BrokerUnavailable(f"Alpaca did not answer properly: {error!r:.300}") from error


def _translate(error: APIError) -> Exception:
    status = error.status_code or 0
    code, message = _read_error(error)
    if status == 404 and code:
        return NotFound(status, code, message)
    if status >= 500 or status < 400 or status in _UNKNOWN_STATUSES or not code:
        return BrokerUnavailable(f"Alpaca answered {status}: {message:.200}")
    return AlpacaRefusal(status, code, message)


def _read_error(error: APIError) -> tuple[int, str]:
    """Return Alpaca's own code and message; 0 where it is not Alpaca who speaks."""
    try:
        return int(error.code), str(error.message)
    except (ValueError, KeyError, TypeError):
        return 0, str(error)
