"""How views become OpenAPI: query serializers, the one error body, ways in, keys, named enums."""

from typing import Any

from drf_spectacular.authentication import SessionScheme
from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerFieldExtension,
)
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction, OpenApiParameter

from robo.common.api.serializers import Code, ErrorSerializer, NoQuery

ERRORS_OF_ALL = ("400", "401", "403", "404", "405", "406", "409", "429", "500", "503")
ERRORS_OF_WRITES = ("413", "415", "422")
KEY_HELP = (
    "A new random value for each thing to be done. A repeat with the same value is answered as the "
    "first call was, with a header `Idempotent-Replayed`; with other content it is refused (422)."
)
KEY_SCHEMA = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"}
RETRY_AFTER = OpenApiParameter(
    name="Retry-After",
    type={"type": "integer", "minimum": 0, "maximum": 86_400},
    location=OpenApiParameter.HEADER,
    response=[429, 503],
    description="seconds to wait",
)


class ApiSchema(AutoSchema):
    """Describes a view of ours; what it can answer besides success is the same everywhere."""

    def get_override_parameters(self) -> list[Any]:
        """Return the query string's serializer, and the key of an unsafe call, as parameters."""
        if self.method != "GET":
            needs_key = getattr(self.view, "needs_key", False)
            return [RETRY_AFTER, _describe_key(is_required=needs_key)]
        query_class = getattr(self.view, "query_class", NoQuery)
        return [RETRY_AFTER] if query_class is NoQuery else [RETRY_AFTER, query_class]

    def get_tags(self) -> list[str]:
        """Return the first noun of the address, as in /api/v1/proposals/."""
        return [self.path.split("/")[3]]

    def _get_request_body(self, direction: Direction = "request") -> Any:
        body = super()._get_request_body(direction)  # type: ignore[no-untyped-call]
        items_max = getattr(self.view, "items_max", None)
        for media in (body or {}).get("content", {}).values():
            if media["schema"].get("type") == "array" and items_max is not None:
                media["schema"] |= {"minItems": 1, "maxItems": items_max}
        return body

    def _get_response_bodies(self, direction: Direction = "response") -> Any:
        bodies = super()._get_response_bodies(direction)
        codes = ERRORS_OF_ALL if self.method == "GET" else ERRORS_OF_ALL + ERRORS_OF_WRITES
        for code in codes:
            if code not in bodies:
                bodies[code] = self._get_response_for_code(  # type: ignore[no-untyped-call]
                    ErrorSerializer, code
                )
        return dict(sorted(bodies.items()))


def _describe_key(*, is_required: bool) -> OpenApiParameter:
    return OpenApiParameter(
        name="Idempotency-Key",
        type=KEY_SCHEMA,
        location=OpenApiParameter.HEADER,
        required=is_required,
        description=KEY_HELP,
    )


class ApiTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Names a service token as what it is: a bearer token."""

    target_class = "accounts.api.TokenAuthentication"
    name = "tokenAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return how a program sends its token."""
        return {"type": "http", "scheme": "bearer", "description": "A service token: evk_…"}


class ApiSessionScheme(SessionScheme):  # type: ignore[no-untyped-call]
    """Names our own session authentication as what it is: the session cookie."""

    target_class = "robo.common.api.views.SessionAuthentication"
    priority = 0


class CodeExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """Gives every enum one component of its own, wherever its codes appear."""

    target_class = Code

    def get_name(self) -> str:
        """Return the name of the enum."""
        return str(self.target.codes.__name__)

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """Return the enum as a schema, explained by its docstring."""
        codes = self.target.codes
        return {
            "type": "string",
            "enum": [code.value for code in codes],
            "description": (codes.__doc__ or "").strip(),
        }
