"""Households: the list for staff, and the page of one for its people and its advisors."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import (
    get_household_for,
    get_signed_in_user,
    require_permission,
    visible_accounts,
    visible_households,
)
from accounts.domain.permissions import Permission
from accounts.domain.roles import Role
from accounts.queries.people import list_lead_advisors
from accounts.queries.planning import list_cash_needs
from accounts.queries.risk import get_latest_profile
from portfolios.queries.wishes import list_wishes
from rebalancer.access import visible_proposals
from rebalancer.queries.pages import consents as consent_pages
from rebalancer.queries.pages import household as pages
from rebalancer.queries.pages import households as lists
from rebalancer.queries.pages.timeline import list_happenings
from rebalancer.views.answers import get_page, get_price_date, get_search
from robo.common import clock

if TYPE_CHECKING:
    from accounts.models import Account

PAGE_SIZE = 50
HAPPENINGS_MAX = 20


@require_permission(Permission.READ_BOOK)
@require_safe
def list_households(request: HttpRequest) -> HttpResponse:
    """Show the households that this person looks after."""
    user = get_signed_in_user(request)
    search = get_search(request)
    sort = (
        lists.HouseholdSort.VALUE
        if request.GET.get("sort") == lists.HouseholdSort.VALUE
        else lists.HouseholdSort.NAME
    )
    rows = lists.list_household_rows(households=visible_households(user), search=search, sort=sort)
    page = get_page(request, rows, PAGE_SIZE)
    price_date = get_price_date(user.firm, clock.now())
    context = {
        "page": page,
        "lines": lists.describe_households(
            list(page), visible_accounts(user), price_date=price_date, sort=sort
        ),
        "price_date": price_date,
        "search": search,
        "sort": sort,
    }
    return render(request, "rebalancer/households.html", context)


@require_permission(Permission.READ_HOLDINGS)
@require_safe
def show_household(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Show one household: to its own people in plain words, to staff with their tools."""
    user = get_signed_in_user(request)
    household = get_household_for(user, public_id)
    now = clock.now()
    price_date = get_price_date(household.firm, now)
    accounts = list(visible_accounts(user).filter(household=household, is_open=True).order_by("pk"))
    proposals = visible_proposals(user)
    page = pages.load_household_page(
        household=household, accounts=accounts, proposals=proposals, price_date=price_date
    )
    context = {
        "household": household,
        "currency": household.firm.currency,
        "is_client": user.role == Role.CLIENT,
        "price_date": price_date,
        "page": page,
        "to_do": consent_pages.load_to_do(household=household, page=page, now=now),
        "happenings": list_happenings(
            proposals=proposals,
            account_names={account.pk: account.name for account in accounts},
            currency=household.firm.currency,
            limit=HAPPENINGS_MAX,
            is_client=user.role == Role.CLIENT,
        ),
        "profile": get_latest_profile(household.pk),
        "wishes": [wish for wish in list_wishes(household) if wish.ended_at is None],
        "needs": _list_needs(accounts),
        "advisor": list_lead_advisors([household.pk]).get(household.pk),
    }
    return render(request, "rebalancer/household.html", context)


def _list_needs(accounts: "list[Account]") -> list[dict[str, object]]:
    public_ids = {account.pk: account.public_id for account in accounts}
    return [
        {"account_public_id": public_ids[account_id], "due_date": due_date, "amount": amount}
        for account_id, due_date, amount in list_cash_needs(sorted(public_ids))
    ]
