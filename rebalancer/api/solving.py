"""The endpoint of the engine without any books."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.domain.scopes import Scope
from rebalancer.engine import solve_case
from rebalancer.engine.case.rows import CaseRefused, parse_json
from rebalancer.engine.case.schema import describe_answers, describe_case
from robo.common.api.budgets import SOLVES
from robo.common.api.errors import NON_FIELD
from robo.common.api.parsers import BoundedJSONParser, read_bounded
from robo.common.api.views import ApiView

# What the documentation page offers to try.
CASE_SHOWN: Mapping[str, Any] = {
    "as_of": "2026-11-20",
    "accounts": [
        {
            "id": "joint",
            "tax_status": "TAXABLE",
            "cash": "1500.00",
            "lots": [
                {
                    "symbol": "STOCK",
                    "quantity": "300",
                    "unit_cost": "80.00",
                    "acquired_date": "2021-03-04",
                },
                {
                    "symbol": "BOND",
                    "quantity": "150",
                    "unit_cost": "101.00",
                    "acquired_date": "2024-05-06",
                },
            ],
        }
    ],
    "prices": {"STOCK": "120.00", "BOND": "95.00"},
    "securities": [
        {"symbol": "STOCK", "asset_class": "Equity", "half_spread_bps": "1"},
        {"symbol": "BOND", "asset_class": "Bonds", "half_spread_bps": "2"},
    ],
    "targets": {"cash": "0.02", "securities": {"STOCK": "0.58", "BOND": "0.40"}},
    "tax": {"short_term_rate": "0.35", "long_term_rate": "0.15"},
}


class CaseParser(BoundedJSONParser):
    """Reads JSON of a sane size as exact decimals, not as floats."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Return the parsed body.

        :raises BodyTooLargeError: beyond `BODY_BYTES_MAX`.
        :raises ParseError: when it is no JSON, nests without end, or names a key twice.
        """
        body = read_bounded(stream)
        try:
            return parse_json(body)
        except CaseRefused as error:
            raise exceptions.ParseError(str(error)) from None


class Solve(ApiView):
    """The engine without any books."""

    write_budget = SOLVES
    token_scopes = {"POST": Scope.SOLVE}
    parser_classes = [CaseParser]

    @extend_schema(
        operation_id="solve",
        request={"application/json": describe_case()},
        responses={(200, "application/json"): describe_answers()},
        examples=[OpenApiExample("a household", value=CASE_SHOWN, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Solve one household that is sent along: the best trades, with reasons and certificate.

        Nothing is read from the books, and nothing is kept. `docs/cases.md` explains every field.
        """
        case: Any = request.data
        try:
            return Response(solve_case(case))
        except CaseRefused as error:
            faults: dict[str, list[str]] = {}
            for fault in error.errors:
                faults.setdefault(fault.path or NON_FIELD, []).append(fault.message)
            raise exceptions.ValidationError(faults) from None
