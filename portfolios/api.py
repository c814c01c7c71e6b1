"""Endpoints of facts: prices and model portfolios, for those who may read them."""

from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import check_permission, get_signed_in_user, has_permission
from accounts.domain.permissions import Permission
from accounts.domain.scopes import Scope
from portfolios import serializers
from portfolios.access import get_model_for
from portfolios.domain.kinds import ModelStatus
from portfolios.domain.pricing import Quote
from portfolios.domain.symbols import is_symbol
from portfolios.operations.prices import record_prices
from portfolios.queries import models as model_queries
from portfolios.queries import prices as price_queries
from robo.common import clock
from robo.common.api.views import ApiView, ListView
from robo.common.errors import NotAllowed

if TYPE_CHECKING:
    from accounts.models import User


def _get_reader(request: Request, *permissions: Permission) -> "User":
    """Return who asks and may read or write; for everybody else these lists do not exist."""
    user = get_signed_in_user(request)
    check_permission(user, *permissions)
    return user


def _name_caller(request: Request) -> str:
    """Return what a record says of who sent it: the token's name, or the person's address."""
    token: Any = request.auth
    return str(token.name if token is not None else get_signed_in_user(request).email)


class Prices(ListView):
    """The firm's prices: the latest of each security, and more of them."""

    needs_key = True
    items_max = serializers.QUOTES_MAX
    token_scopes = {"GET": Scope.READ_PRICES, "POST": Scope.WRITE_PRICES}

    @extend_schema(
        operation_id="list_latest_prices", responses=serializers.LatestPriceSerializer(many=True)
    )
    def get(self, request: Request) -> Response:
        """List active securities with their latest price, oldest price first."""
        rows = price_queries.list_latest_prices(
            _get_reader(request, Permission.READ_PRICES).firm_id
        )
        return self.answer_page(rows, serializers.LatestPriceSerializer)

    @extend_schema(
        operation_id="record_prices",
        request=serializers.QuoteSerializer(many=True),
        responses={200: serializers.PriceReportSerializer},
    )
    def post(self, request: Request) -> Response:
        """Record quotes, for admins: each is judged by itself, and a report tells of each.

        Repeating a call changes nothing: what is on record counts as unchanged. A quote that is no
        price, jumps too far or contradicts the record is kept apart, never used, and reported.
        """
        user = _get_reader(request, Permission.READ_PRICES, Permission.WRITE_PRICES)
        if not has_permission(user, Permission.WRITE_PRICES):
            raise NotAllowed("Only an admin may record prices.")
        quotes = self.read(
            serializers.QuoteSerializer,
            request.data,
            many=True,
            allow_empty=False,
            max_length=serializers.QUOTES_MAX,
        )
        report = record_prices(
            firm_id=user.firm_id,
            quotes=[Quote(row["symbol"], row["price_date"], row["price"]) for row in quotes],
            source=f"API, {_name_caller(request)}",
            now=clock.now(),
            actor_id=user.pk,
        )
        return Response(serializers.PriceReportSerializer(report).data)

    def check_access(self, request: Request, **kwargs: Any) -> None:
        """Accept who may still record prices."""
        check_permission(get_signed_in_user(request), Permission.WRITE_PRICES)


class PriceHistory(ListView):
    """The prices of one security."""

    token_scopes = {"GET": Scope.READ_PRICES}

    query_class = serializers.HistoryQuery

    @extend_schema(
        operation_id="list_price_history",
        parameters=[
            OpenApiParameter(
                "symbol",
                {"type": "string", "minLength": 1, "maxLength": serializers.LETTERS_MAX},
                OpenApiParameter.PATH,
            )
        ],
        responses=serializers.DayPriceSerializer(many=True),
    )
    def get(self, request: Request, symbol: str) -> Response:
        """List a security's closing prices by day, oldest first."""
        firm_id = _get_reader(request, Permission.READ_PRICES).firm_id
        found = price_queries.get_security_ids(firm_id, {symbol}) if is_symbol(symbol) else {}
        if symbol not in found:
            raise Http404
        since = self.query.get("since_date", date.min)
        until = self.query.get("until_date", date.max)
        rows = [
            {"price_date": day, "price": price}
            for day, price in price_queries.list_price_history(found[symbol], since=since)
            if day <= until
        ]
        return self.answer_page(rows, serializers.DayPriceSerializer)


class Models(ListView):
    """The firm's model portfolios."""

    token_scopes = {"GET": Scope.READ_MODELS}

    @extend_schema(operation_id="list_models", responses=serializers.ModelSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List model portfolios by name."""
        rows = model_queries.list_models(_get_reader(request, Permission.READ_MODELS).firm_id)
        return self.answer_page(rows, serializers.ModelSerializer)


class ModelDetail(ApiView):
    """One model portfolio."""

    token_scopes = {"GET": Scope.READ_MODELS}

    @extend_schema(operation_id="get_model", responses=serializers.ModelDetailSerializer)
    def get(self, request: Request, public_id: UUID) -> Response:
        """Answer a model portfolio with the weights in force and its versions."""
        model = get_model_for(get_signed_in_user(request), public_id)
        versions = model_queries.list_versions(model.pk)
        in_force = next((v for v in versions if v.status == ModelStatus.PUBLISHED), None)
        facts = {
            "public_id": model.public_id,
            "name": model.name,
            "description": model.description,
            "follower_count": model_queries.count_followers(model.pk),
            "versions": versions,
            "published": in_force
            and {
                "number": in_force.number,
                "cash_weight": in_force.cash_weight,
                "weights": model_queries.list_targets(in_force),
            },
        }
        return Response(serializers.ModelDetailSerializer(facts).data)
