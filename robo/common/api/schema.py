"""How views become OpenAPI: query serializers, the one error body, session sign-in, named enums."""

from typing import Any

from drf_spectacular.authentication import SessionScheme
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction

from robo.common.api.serializers import Code, ErrorSerializer, NoQuery

ERRORS_OF_ALL = ("400", "401", "404", "405", "406", "500")
ERRORS_OF_WRITES = ("403", "409", "413", "415")


class ApiSchema(AutoSchema):
    """Describes a view of ours; what it can answer besides success is the same everywhere."""

    def get_override_parameters(self) -> list[Any]:
        """Return the query string's serializer as parameters."""
        query_class = getattr(self.view, "query_class", NoQuery)
        return [query_class] if self.method == "GET" and query_class is not NoQuery else []

    def get_tags(self) -> list[str]:
        """Return the first noun of the address, as in /api/v1/proposals/."""
        return [self.path.split("/")[3]]

    def _get_response_bodies(self, direction: Direction = "response") -> Any:
        bodies = super()._get_response_bodies(direction)
        codes = ERRORS_OF_ALL if self.method == "GET" else ERRORS_OF_ALL + ERRORS_OF_WRITES
        for code in codes:
            if code not in bodies:
                bodies[code] = self._get_response_for_code(  # type: ignore[no-untyped-call]
                    ErrorSerializer, code
                )
        return dict(sorted(bodies.items()))


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
