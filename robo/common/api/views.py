"""The base of every endpoint: who may come in, how much, how a body is read, how a no is said."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

from django.conf import settings
from django.utils.module_loading import import_string
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.authentication import SessionAuthentication as PlainSessionAuthentication
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from robo.common.api import budgets
from robo.common.api.budgets import Budget
from robo.common.api.errors import NON_FIELD, ConflictError, translate
from robo.common.api.idempotency import run_once
from robo.common.api.parsers import BODY_BYTES_MAX, BoundedJSONParser
from robo.common.api.schema import ApiSchema
from robo.common.api.serializers import LIMIT_MAX, InputSerializer, NoQuery, PageQuery

__all__ = ["BODY_BYTES_MAX", "ApiView", "BoundedJSONParser", "ListView", "SessionAuthentication"]

SAFE_METHODS = ("GET", "HEAD")
WRITES = ("post", "put", "patch", "delete")


class SessionAuthentication(PlainSessionAuthentication):
    """Signed in as on the pages, CSRF token included; nobody signed in is a 401, not a 403."""

    def authenticate_header(self, request: Request) -> str:
        """Return the scheme that a 401 names."""
        return "Session"


class LimitPagination(LimitOffsetPagination):
    """Lists by `limit` and `offset`."""

    default_limit = 50
    max_limit = LIMIT_MAX
    template = None


class ApiView(APIView):
    """An endpoint. Who asks, how often, and the query string are settled before any method runs.

    What a service token may do is listed by method in `token_scopes`; what is not listed there, no
    token does. `needs_key`: unsafe methods ask for an Idempotency-Key. `is_one_transaction`: all
    that an unsafe method writes may stand or fall together with its kept answer. `items_max`: of a
    body that is a list.
    """

    permission_classes = [IsAuthenticated]
    parser_classes = [BoundedJSONParser]
    metadata_class = None
    schema = ApiSchema()
    query_class: ClassVar[type[InputSerializer]] = NoQuery
    token_scopes: ClassVar[Mapping[str, str]] = {}
    write_budget: ClassVar[Budget] = budgets.WRITES
    items_max: ClassVar[int | None] = None
    needs_key: ClassVar[bool] = False
    is_one_transaction: ClassVar[bool] = True
    query: dict[str, Any]

    @property
    def credential(self) -> str:
        """Whose call this is: `user:` or `token:` with the row's number."""
        auth: Any = self.request.auth
        return f"user:{self.request.user.pk}" if auth is None else f"token:{auth.pk}"

    def get_authenticators(self) -> list[BaseAuthentication]:
        """Return the ways in; named in settings, for this package knows no app."""
        return [import_string(name)() for name in settings.API_DOORS]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check who asks, then the query string; an unsafe call runs once per key."""
        super().initial(request, *args, **kwargs)
        is_safe = request.method in SAFE_METHODS
        self.query = self.read(self.query_class if is_safe else NoQuery, self._read_query(request))
        name = (request.method or "").lower()
        if name in WRITES and hasattr(self, name):
            # The dispatcher looks the method up on this very object, made for this request alone.
            setattr(self, name, partial(self._run_once, getattr(self, name)))

    def check_permissions(self, request: Request) -> None:
        """Accept who is signed in, and a token whose scopes name this method."""
        auth: Any = request.auth
        if auth is not None:
            self._check_scope(request, auth)
        super().check_permissions(request)

    def _check_scope(self, request: Request, auth: Any) -> None:
        scope = self.token_scopes.get("GET" if request.method == "HEAD" else request.method or "")
        if scope is None or scope not in auth.scopes:
            needed = f"It needs the scope {scope}." if scope else "No scope opens it."
            raise exceptions.PermissionDenied(
                f"This token may not do that. {needed}", code="out_of_scope"
            )

    def check_throttles(self, request: Request) -> None:
        """Count the call against the caller's and the firm's budget.

        :raises Throttled: with the seconds to wait.
        """
        budget = budgets.READS if request.method in SAFE_METHODS else self.write_budget
        user: Any = request.user
        wait = budgets.spend(budget, credential=self.credential, firm_id=user.firm_id)
        if wait:
            raise exceptions.Throttled(wait=wait)

    def check_access(self, request: Request, **kwargs: Any) -> None:
        """Accept who may still see what the address names; for views that name something.

        :raises Http404: for everybody else.
        """

    def handle_exception(self, exc: Exception) -> Response:
        """Answer a refusal in the standardized shape, with the facts that a conflict brings."""
        error = translate(exc)
        response = super().handle_exception(error)
        if isinstance(error, ConflictError) and error.facts:
            response.data |= error.facts
        return response

    @staticmethod
    def read(serializer_class: type[Serializer[Any]], data: Any, **options: Any) -> Any:
        """Return what was sent, validated.

        :raises ValidationError: naming every fault.
        """
        serializer = serializer_class(data=data, **options)
        serializer.is_valid(raise_exception=True)
        return serializer.validated_data

    def _run_once(
        self, handler: Callable[..., Response], request: Request, *args: Any, **kwargs: Any
    ) -> Any:
        return run_once(self, request, handler, **kwargs)

    @staticmethod
    def _read_query(request: Request) -> dict[str, Any]:
        """Return the query string; of a parameter that comes twice, programs read either one."""
        twice = [name for name, values in request.query_params.lists() if len(values) > 1]
        if twice:
            detail = f"The parameter {ascii(twice[0][:60])} comes twice."
            raise exceptions.ValidationError({NON_FIELD: [detail]}, code="repeated_parameter")
        return request.query_params.dict()


class ListView(ApiView):
    """An endpoint that answers a list, page by page."""

    pagination_class = LimitPagination
    query_class = PageQuery

    def answer_page(
        self, rows: Any, serializer_class: type[Serializer[Any]], **context: Any
    ) -> Response:
        """Return the asked part of ordered rows."""
        paginator = self.pagination_class()
        page: Any = paginator.paginate_queryset(rows, self.request, view=self)
        serializer = serializer_class(page, many=True, context=context)
        return paginator.get_paginated_response(serializer.data)


@extend_schema(exclude=True)
class NothingHere(ApiView):
    """Answers an address that does not exist in the words of the API."""

    def check_permissions(self, request: Request) -> None:
        """Accept everybody who is somebody: there is nothing for which a scope could be missing."""
        APIView.check_permissions(self, request)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check who asks, then say that there is nothing, whatever the method."""
        super().initial(request, *args, **kwargs)
        raise exceptions.NotFound

    def get(self, request: Request) -> Response:
        """Never reached: `initial` has answered."""
        raise exceptions.NotFound
