"""How the API says no: every refusal of an operation becomes one standardized error body."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http.multipartparser import MultiPartParserError
from rest_framework import exceptions, status

from robo.common.errors import Conflict, NotAllowed, Refused
from robo.common.unavailable import is_out_of_reach

NON_FIELD = "non_field_errors"


class ConflictError(exceptions.APIException):
    """409: the request was fine, but things have moved on; `facts` go beside the errors."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"

    def __init__(
        self, detail: str, code: str | None = None, facts: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail, code)
        self.facts = dict(facts or {})


class BodyTooLargeError(exceptions.APIException):
    """413: the body is larger than any request of this API needs to be."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"
    default_detail = "The body is too large."


class UnavailableError(exceptions.APIException):
    """503: something that we cannot do without is out of reach."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "unavailable"
    default_detail = "Try again in a moment."
    wait = 5


def translate(error: Exception) -> Exception:
    """Return what the API raises in place of an operation's refusal; others stay as they are."""
    if isinstance(error, Conflict):
        return ConflictError(str(error))
    if isinstance(error, NotAllowed):
        return exceptions.PermissionDenied(str(error), code="not_allowed")
    if isinstance(error, Refused):
        return exceptions.ValidationError({NON_FIELD: [str(error)]}, code="refused")
    # The CSRF check reads a form body before any parser of ours refuses its content type.
    if isinstance(error, (BadRequest, SuspiciousOperation, MultiPartParserError)):
        return exceptions.ParseError("The request could not be read.")
    if is_out_of_reach(error):
        return UnavailableError()
    if isinstance(error, exceptions.ValidationError):
        error.detail = _name_rows(error.detail)
    return error


def _name_rows(detail: Any) -> Any:
    """Return errors with the row numbers of a list as text, or row 0 would be taken for no name."""
    if isinstance(detail, dict):
        return {str(key): _name_rows(value) for key, value in detail.items()}
    return detail
