"""Endpoints of people: who is signed in, households and accounts; and how a program gets in."""

from typing import TYPE_CHECKING
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import serializers
from accounts.access import (
    check_permission,
    get_account_for,
    get_known_household_for,
    get_signed_in_user,
    known_households,
    visible_accounts,
)
from accounts.domain.permissions import Permission
from accounts.domain.scopes import Scope
from accounts.operations.tokens import TokenRefused, admit_bearer
from accounts.queries import people
from accounts.queries.risk import get_latest_profile
from robo.common import clock, tenancy
from robo.common.api import budgets
from robo.common.api.errors import UnavailableError
from robo.common.api.views import ApiView, ListView
from robo.common.logs import REASON
from robo.common.network import get_address

if TYPE_CHECKING:
    from accounts.models import ServiceToken, User

SCHEME = "bearer"


class TokenAuthentication(BaseAuthentication):
    """Lets a program in by `Authorization: Bearer evk_…`; it acts as its firm's engine."""

    def authenticate(self, request: Request) -> "tuple[User, ServiceToken] | None":
        """Return the engine of the token's firm, and the token; None without such a header.

        :raises AuthenticationFailed: alike for every token that does not let in.
        :raises Throttled: when too many came from this network that did not.
        :raises UnavailableError: for a wrong token while nobody can count them.
        """
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != SCHEME:
            return None
        address = get_address(request._request)
        try:
            user, token = admit_bearer(secret=secret.strip(), address=address, now=clock.now())
        except (TokenRefused, tenancy.FirmMixedUp) as refusal:
            wait = budgets.count_refusal(address)
            if wait is None:
                raise UnavailableError from None
            if wait:
                raise exceptions.Throttled(wait=wait) from None
            setattr(request._request, REASON, f"service token: {refusal}")
            raise exceptions.AuthenticationFailed("This token does not let you in.") from None
        return user, token

    def authenticate_header(self, request: Request) -> str:
        """Return the scheme that a 401 names."""
        return "Bearer"


class Me(ApiView):
    """Who is signed in."""

    token_scopes = {"GET": Scope.READ_BOOKS}

    @extend_schema(operation_id="get_me", responses=serializers.MeSerializer)
    def get(self, request: Request) -> Response:
        """Answer who is signed in, with firm and household."""
        return Response(serializers.MeSerializer(get_signed_in_user(request)).data)


class Households(ListView):
    """The households that one may see."""

    token_scopes = {"GET": Scope.READ_BOOKS}

    @extend_schema(
        operation_id="list_households", responses=serializers.HouseholdSerializer(many=True)
    )
    def get(self, request: Request) -> Response:
        """List households by name: a client's own, an advisor's book, the whole firm."""
        rows = people.count_accounts_and_members(known_households(get_signed_in_user(request)))
        return self.answer_page(rows.order_by("name", "pk"), serializers.HouseholdSerializer)


class HouseholdDetail(ApiView):
    """One household."""

    @extend_schema(operation_id="get_household", responses=serializers.HouseholdDetailSerializer)
    def get(self, request: Request, public_id: UUID) -> Response:
        """Answer a household with its taxes, accounts, members, advisors and risk score."""
        user = get_signed_in_user(request)
        check_permission(user, Permission.READ_PROFILE)
        household = get_known_household_for(user, public_id)
        accounts = people.list_accounts(household.pk)
        for account in accounts:
            account.household = household  # known already; each would be a query otherwise
        profile = get_latest_profile(household.pk)
        facts = {
            "public_id": household.public_id,
            "name": household.name,
            "short_term_rate": household.short_term_rate,
            "long_term_rate": household.long_term_rate,
            "taxes": household,
            "account_count": sum(account.is_open for account in accounts),
            "account_rows": accounts,
            "member_rows": people.list_members(household.pk),
            "advisor_rows": people.list_assignments(household.pk),
            "risk_score": profile.score if profile else None,
        }
        return Response(serializers.HouseholdDetailSerializer(facts).data)


class Accounts(ListView):
    """The accounts that one may see."""

    token_scopes = {"GET": Scope.READ_BOOKS}
    query_class = serializers.AccountQuery

    @extend_schema(operation_id="list_accounts", responses=serializers.AccountSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List accounts by household and name, open and closed."""
        rows = visible_accounts(get_signed_in_user(request))
        if "household" in self.query:
            rows = rows.filter(household__public_id=self.query["household"])
        return self.answer_page(
            rows.order_by("household__name", "name", "pk"), serializers.AccountSerializer
        )


class AccountDetail(ApiView):
    """One account."""

    token_scopes = {"GET": Scope.READ_BOOKS}

    @extend_schema(operation_id="get_account", responses=serializers.AccountDetailSerializer)
    def get(self, request: Request, public_id: UUID) -> Response:
        """Answer an account with its cash needs."""
        account = get_account_for(get_signed_in_user(request), public_id)
        needs = account.cash_needs.filter(is_settled=False).order_by("due_date", "pk")
        shown = serializers.AccountSerializer(account).data
        shown["cash_needs"] = serializers.CashNeedSerializer(needs, many=True).data
        return Response(shown)
