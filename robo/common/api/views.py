"""The base of every endpoint: who may come in, how a body is read, how a no is said, paging."""

from io import BytesIO
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import exceptions
from rest_framework.authentication import SessionAuthentication as PlainSessionAuthentication
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.parsers import JSONParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from robo.common.api.errors import BodyTooLargeError, ConflictError, translate
from robo.common.api.schema import ApiSchema
from robo.common.api.serializers import LIMIT_MAX, InputSerializer, NoQuery, PageQuery

BODY_BYTES_MAX = 2 * 1024 * 1024


class SessionAuthentication(PlainSessionAuthentication):
    """Signed in as on the pages, CSRF token included; nobody signed in is a 401, not a 403."""

    def authenticate_header(self, request: Request) -> str:
        """Return the scheme that a 401 names."""
        return "Session"


class BoundedJSONParser(JSONParser):
    """Reads JSON of a sane size and depth."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Return the parsed body.

        :raises BodyTooLargeError: beyond `BODY_BYTES_MAX`.
        :raises ParseError: when it is no JSON, holds NaN or Infinity, or nests without end.
        """
        body = stream.read(BODY_BYTES_MAX + 1)
        if len(body) > BODY_BYTES_MAX:
            raise BodyTooLargeError
        try:
            return super().parse(BytesIO(body), media_type, parser_context)
        except RecursionError:
            raise exceptions.ParseError("The JSON nests too deeply.") from None


class LimitPagination(LimitOffsetPagination):
    """Lists by `limit` and `offset`."""

    default_limit = 50
    max_limit = LIMIT_MAX
    template = None


class ApiView(APIView):
    """An endpoint. Its query string is read, and refused, before any method runs."""

    authentication_classes = [SessionAuthentication]
    permission_classes = [IsAuthenticated]
    parser_classes = [BoundedJSONParser]
    metadata_class = None
    schema = ApiSchema()
    query_class: ClassVar[type[InputSerializer]] = NoQuery
    query: dict[str, Any]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check who asks, then the query string."""
        super().initial(request, *args, **kwargs)
        query_class = self.query_class if request.method in ("GET", "HEAD") else NoQuery
        self.query = self.read(query_class, request.query_params.dict())

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

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check who asks, then say that there is nothing, whatever the method."""
        super().initial(request, *args, **kwargs)
        raise exceptions.NotFound

    def get(self, request: Request) -> Response:
        """Never reached: `initial` has answered."""
        raise exceptions.NotFound
