"""An unsafe call with an Idempotency-Key is carried out once; a repeat gets the same answer again.

A key belongs to one credential. With other content it is refused (422); while the first call runs,
a second is told to come back (409). Where the call is one transaction, the answer is kept in that
same transaction: either both are there after a crash, or neither. Not kept are answers that say
nothing was tried (401, 403, 404, 409, 429), or that we failed (5xx): the same key may try again.
"""

import hashlib
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from django.conf import settings
from django.db import transaction
from django.http import HttpResponse
from rest_framework import exceptions, status
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from robo.common.api.errors import BodyTooLargeError, ConflictError
from robo.common.api.parsers import BODY_BYTES_MAX

if TYPE_CHECKING:
    from robo.common.api.views import ApiView

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotent-Replayed"
KEY_PATTERN = r"[!-~]{1,128}"
RETRY_SECONDS = 1
_NOT_KEPT = frozenset({401, 403, 404, 405, 406, 409, 413, 415, 429})


class KeptAnswer(NamedTuple):
    """What was answered, and the hash of the request that it answered."""

    request_hash: str
    status: int
    body: str


class AnswerStore(Protocol):
    """Where answers are kept: the module that `settings.API_ANSWERS` names."""

    def hold_key(self, *, credential: str, key: str) -> AbstractContextManager[bool]:
        """Hold a key while the block runs; tell whether that was possible."""

    def find_answer(self, *, credential: str, key: str) -> KeptAnswer | None:
        """Return what was answered under this key."""

    def keep_answer(self, *, firm_id: int, credential: str, key: str, answer: KeptAnswer) -> None:
        """Keep what was answered."""


class KeyReusedError(exceptions.APIException):
    """422: the key came before, with something else."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "idempotency_key_reused"
    default_detail = "This Idempotency-Key was used for another request."


class InProgressError(ConflictError):
    """409: a call with this key is being carried out right now."""

    wait = RETRY_SECONDS

    def __init__(self) -> None:
        super().__init__("A request with this Idempotency-Key is running.", "in_progress")


def run_once(
    view: "ApiView", request: Request, handler: Callable[..., Response], **kwargs: Any
) -> Response | HttpResponse:
    """Carry out an unsafe call, or answer what it was answered before.

    :raises ValidationError: without a key where one is needed, or for one that is none.
    :raises KeyReusedError: when the key came with another request.
    :raises InProgressError: while another call with this key runs.
    """
    key = _read_key(request, is_required=view.needs_key)
    if key is None:
        return handler(request, **kwargs)
    store = cast(AnswerStore, import_module(settings.API_ANSWERS))
    user: Any = request.user
    whose = {"credential": view.credential, "key": key}
    request_hash = _hash_request(request)
    with store.hold_key(**whose) as is_held:
        if not is_held:
            raise InProgressError
        kept = store.find_answer(**whose)
        if kept is not None:
            if kept.request_hash != request_hash:
                raise KeyReusedError
            # What the caller may no longer see is not shown to them a second time either.
            view.check_access(request, **kwargs)
            return _replay(kept)
        with transaction.atomic() if view.is_one_transaction else nullcontext():
            response = _answer(view, request, handler, **kwargs)
            if response.status_code < 500 and response.status_code not in _NOT_KEPT:
                body = JSONRenderer().render(response.data).decode()
                answer = KeptAnswer(request_hash, response.status_code, body)
                store.keep_answer(firm_id=user.firm_id, **whose, answer=answer)
        return response


def _answer(
    view: "ApiView", request: Request, handler: Callable[..., Response], **kwargs: Any
) -> Response:
    """Return the answer, a refusal included; a failure of ours leaves nothing behind."""
    try:
        response = handler(request, **kwargs)
    except Exception as error:
        response = view.handle_exception(error)
        if response.status_code >= 500 and view.is_one_transaction:
            transaction.set_rollback(True)
    return response


def _replay(kept: KeptAnswer) -> HttpResponse:
    answer = HttpResponse(kept.body, content_type="application/json", status=kept.status)
    answer[REPLAYED_HEADER] = "true"
    return answer


def _read_key(request: Request, *, is_required: bool) -> str | None:
    key = request.headers.get(HEADER)
    if key is None:
        if is_required:
            detail = f"Send a header {HEADER} with a new random value, such as a UUID."
            raise exceptions.ValidationError({HEADER: [detail]}, code="required")
        return None
    if not re.fullmatch(KEY_PATTERN, key):
        detail = "A key has 1 to 128 letters, digits and signs of ASCII, without blanks."
        raise exceptions.ValidationError({HEADER: [detail]}, code="invalid")
    return key


def _hash_request(request: Request) -> str:
    """Return a hash of method, address and body; each with its length, so that none runs over.

    :raises BodyTooLargeError: beyond what any request needs.
    """
    if int(request.META.get("CONTENT_LENGTH") or 0) > BODY_BYTES_MAX:
        raise BodyTooLargeError
    digest = hashlib.sha256()
    for part in (request.method or "", request.get_full_path()):
        digest.update(f"{len(part)}:{part}".encode())
    digest.update(request._request.body)
    return digest.hexdigest()
