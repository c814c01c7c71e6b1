"""Endpoints of people: who is signed in, households and accounts."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import serializers
from accounts.access import (
    get_account_for,
    get_household_for,
    get_signed_in_user,
    visible_accounts,
    visible_households,
)
from accounts.queries import people
from accounts.queries.risk import get_latest_profile
from robo.common.api.views import ApiView, ListView


class Me(ApiView):
    """Who is signed in."""

    @extend_schema(operation_id="get_me", responses=serializers.MeSerializer)
    def get(self, request: Request) -> Response:
        """Answer who is signed in, with firm and household."""
        return Response(serializers.MeSerializer(get_signed_in_user(request)).data)


class Households(ListView):
    """The households that one may see."""

    @extend_schema(
        operation_id="list_households", responses=serializers.HouseholdSerializer(many=True)
    )
    def get(self, request: Request) -> Response:
        """List households by name: a client's own, an advisor's book, an admin's whole firm."""
        rows = people.count_accounts_and_members(visible_households(get_signed_in_user(request)))
        return self.answer_page(rows.order_by("name", "pk"), serializers.HouseholdSerializer)


class HouseholdDetail(ApiView):
    """One household."""

    @extend_schema(operation_id="get_household", responses=serializers.HouseholdDetailSerializer)
    def get(self, request: Request, public_id: UUID) -> Response:
        """Answer a household with its taxes, accounts, members, advisors and risk score."""
        household = get_household_for(get_signed_in_user(request), public_id)
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

    @extend_schema(operation_id="get_account", responses=serializers.AccountDetailSerializer)
    def get(self, request: Request, public_id: UUID) -> Response:
        """Answer an account with its cash needs."""
        account = get_account_for(get_signed_in_user(request), public_id)
        needs = account.cash_needs.filter(is_settled=False).order_by("due_date", "pk")
        shown = serializers.AccountSerializer(account).data
        shown["cash_needs"] = serializers.CashNeedSerializer(needs, many=True).data
        return Response(shown)
