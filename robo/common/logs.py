"""Log lines as JSON, one a line: who, what and where by ids, in UTC, and nothing about a person.

An exception is told by its type and where it was raised, never by its text: PostgreSQL, for one,
repeats the values that it refuses. Signs that could forge a line or colour a terminal are escaped.
"""

import hashlib
import hmac
import json
import logging
import re
import time
import traceback
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.utils.functional import SimpleLazyObject

from robo.common.network import get_address
from robo.common.tracing import get_request_id, traced

logger = logging.getLogger(__name__)

REQUEST_ID_HEADER = "X-Request-ID"
REFUSED_METHODS = ("TRACE", "TRACK", "CONNECT")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
KNOWN_METHODS = (*SAFE_METHODS, "POST", "PUT", "PATCH", "DELETE", *REFUSED_METHODS)
FRAMES_MAX = 30
# Whoever gets through one of these is led on; whoever is shown it again was not let in.
SIGN_IN_VIEWS = ("accounts:sign_in", "mfa_authenticate", "mfa_reauthenticate")
# Why somebody was not let in, written on the request for its one log line; never shown to them.
REASON = "denied_because"
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")


class JsonFormatter(logging.Formatter):
    """Makes one JSON object of each record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of ASCII."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": self._tell(record),
        }
        if request_id := get_request_id():
            line["request_id"] = request_id
        line |= getattr(record, "facts", {})
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = _describe(record.exc_info[1])
        return json.dumps(line, default=str)

    @staticmethod
    def _tell(record: logging.LogRecord) -> str:
        # Celery's own record of a failed task would repeat the exception's text.
        data = getattr(record, "data", None)
        if isinstance(data, dict) and "exc" in data:
            return f"Task {data.get('name')}[{data.get('id')}] failed"
        return record.getMessage()


class RequestLogMiddleware:
    """Gives every request an id, and writes one line of what was changed, denied or went wrong.

    Stands first: it sees what every other one answers. Addresses are named by the view and the ids
    in them, for the rest of an address is whatever somebody typed.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, and tell."""
        request_id = _choose_request_id(request)
        started = time.monotonic()
        with traced(request_id):
            if request.method in REFUSED_METHODS:
                response: HttpResponse = HttpResponseNotAllowed(["GET", "HEAD", "POST"])
            else:
                response = self.get_response(request)
            response[REQUEST_ID_HEADER] = request_id
            _log(request, response, milliseconds=round((time.monotonic() - started) * 1000))
        return response


def _log(request: HttpRequest, response: HttpResponse, *, milliseconds: int) -> None:
    match = request.resolver_match
    view = match.view_name if match else ""
    message, level = "request", logging.INFO
    if _is_denied(request, response, view):
        message, level = "denied", logging.WARNING
    elif response.status_code >= 500:
        message, level = "failed", logging.ERROR
    elif request.method in SAFE_METHODS:
        level = logging.DEBUG
    if not logger.isEnabledFor(level):
        return
    user = _find_user(request)
    facts = {
        # A method of somebody's own making is no word of ours.
        "method": request.method if request.method in KNOWN_METHODS else "other",
        "view": view,
        "ids": _list_ids(match.kwargs if match else {}),
        "status": response.status_code,
        "milliseconds": milliseconds,
        "user": getattr(user, "pk", None),
        "firm": getattr(user, "firm_id", None),
        "network": _hide(get_address(request)),
    }
    if reason := getattr(request, REASON, ""):
        facts["reason"] = reason
    logger.log(level, message, extra={"facts": facts})


def _find_user(request: HttpRequest) -> Any:
    """Return who asked, if anybody wanted to know: nothing is read from a table for a log line."""
    user = request.__dict__.get("user")
    return getattr(request, "_cached_user", None) if isinstance(user, SimpleLazyObject) else user


def _is_denied(request: HttpRequest, response: HttpResponse, view: str) -> bool:
    status = response.status_code
    if status in (401, 403, 429) or request.method in REFUSED_METHODS:
        return True
    if status == 404:
        # An address that leads nowhere names nothing; a row that is not there or not theirs does.
        return bool(request.resolver_match and request.resolver_match.kwargs)
    return view in SIGN_IN_VIEWS and request.method == "POST" and status not in (302, 303)


def _list_ids(kwargs: dict[str, Any]) -> dict[str, str]:
    """Return the ids in an address; its other parts may be anything, a one-time link included."""
    return {
        name: str(value) for name, value in kwargs.items() if isinstance(value, (uuid.UUID, int))
    }


def _hide(address: str) -> str:
    """Return a short name for a network address, the same each time, that does not tell it."""
    key = settings.SECRET_KEY.encode()
    return hmac.new(key, address.encode(errors="replace"), hashlib.sha256).hexdigest()[:12]


def _choose_request_id(request: HttpRequest) -> str:
    """Return the id that our own proxy gave, or a new one: what others send means nothing."""
    given = request.headers.get(REQUEST_ID_HEADER, "") if settings.SECURE_PROXY_SSL_HEADER else ""
    return given if _REQUEST_ID.fullmatch(given) else str(uuid.uuid4())


def _describe(error: BaseException | None) -> list[str]:
    """Return the types of an exception and what it came from, each with where it was raised."""
    told: list[str] = []
    while error is not None and len(told) < FRAMES_MAX:
        told.append(f"{type(error).__module__}.{type(error).__qualname__}")
        frames = traceback.extract_tb(error.__traceback__)[-FRAMES_MAX:]
        told += [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return told
