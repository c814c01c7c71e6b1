"""The answer while the database is away, restarting or may only be read: 503, and no trace of it.

A connection that broke at its COMMIT leaves open whether it took effect, so the words do not
promise that nothing was done.
"""

import sys

from django.db import InterfaceError, InternalError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.views.defaults import server_error

READ_ONLY = "25006"
RETRY_SECONDS = 5
_IN_JSON = {
    "type": "server_error",
    "errors": [{"code": "unavailable", "detail": "Try again in a moment.", "attr": None}],
}


def is_out_of_reach(error: BaseException | None) -> bool:
    """Return whether the database could not be asked, or may not be written to at present."""
    if isinstance(error, InternalError):
        return getattr(error.__cause__, "sqlstate", None) == READ_ONLY
    return isinstance(error, (OperationalError, InterfaceError))


def answer_failure(request: HttpRequest) -> HttpResponse:
    """Answer an unexpected failure: 503 where the database is out of reach, else 500."""
    if not is_out_of_reach(sys.exc_info()[1]):
        return server_error(request)
    answer: HttpResponse
    if request.path.startswith("/api/"):
        answer = JsonResponse(_IN_JSON, status=503)
    else:
        # Without the request: what its page would show is in the database.
        answer = HttpResponse(render_to_string("503.html"), status=503)
    answer["Retry-After"] = str(RETRY_SECONDS)
    return answer
