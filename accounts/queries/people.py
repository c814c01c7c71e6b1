"""Reads of firms, users, households and accounts for operations and commands."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from accounts import models
from accounts.domain.roles import Role


def get_firm(firm_id: int) -> models.Firm:
    """Return a firm.

    :raises Firm.DoesNotExist: when there is none.
    """
    return models.Firm.objects.get(pk=firm_id)


def find_firm(name: str) -> models.Firm | None:
    """Return the firm of that name, whatever its case, or None."""
    return models.Firm.objects.filter(name__iexact=name.strip()).order_by("pk").first()


def list_firms() -> Sequence[models.Firm]:
    """Return every firm, oldest first."""
    return list(models.Firm.objects.order_by("pk"))


def get_service_user(firm_id: int) -> models.User:
    """Return the user that stands for the firm's engine.

    :raises User.DoesNotExist: when the firm has none.
    """
    return models.User.objects.get(firm_id=firm_id, role=Role.SERVICE)


def get_user(user_id: int) -> models.User:
    """Return a user with firm and household.

    :raises User.DoesNotExist: when there is none.
    """
    return models.User.objects.select_related("firm", "household").get(pk=user_id)


def find_user(email: str) -> models.User | None:
    """Return the user with that e-mail address, whatever its case, or None."""
    return (
        models.User.objects.select_related("firm", "household")
        .filter(email=email.strip().lower())
        .first()
    )


def find_household(*, firm_id: int, name: str) -> models.Household | None:
    """Return the firm's household of that name, whatever its case, or None."""
    households = models.Household.objects.filter(firm_id=firm_id, name__iexact=name.strip())
    return households.order_by("pk").first()


def find_household_id(*, firm_id: int, public_id: UUID) -> int | None:
    """Return the id of the firm's household with this public id, or None."""
    households = models.Household.objects.filter(firm_id=firm_id, public_id=public_id)
    return households.values_list("pk", flat=True).first()


def get_household(household_id: int) -> models.Household:
    """Return a household with its firm.

    :raises Household.DoesNotExist: when there is none.
    """
    return models.Household.objects.select_related("firm").get(pk=household_id)


def get_account(account_id: int) -> models.Account:
    """Return an account with firm and household.

    :raises Account.DoesNotExist: when there is none.
    """
    return models.Account.objects.select_related("firm", "household").get(pk=account_id)


def find_account(*, firm_id: int, custodian: str, number: str) -> models.Account | None:
    """Return the account that the custodian knows under this number, or None."""
    return (
        models.Account.objects.select_related("firm", "household")
        .filter(firm_id=firm_id, custodian=custodian, number=number)
        .first()
    )


def list_account_ids(firm_id: int) -> list[int]:
    """Return the ids of a firm's accounts, open and closed, in order."""
    accounts = models.Account.objects.filter(firm_id=firm_id)
    return list(accounts.order_by("pk").values_list("pk", flat=True))


def list_account_numbers(firm_id: int) -> dict[int, tuple[str, UUID]]:
    """Return the custodian's number and the public id of each of the firm's accounts."""
    rows = models.Account.objects.filter(firm_id=firm_id).order_by("pk")
    return {
        pk: (number, public_id)
        for pk, number, public_id in rows.values_list("pk", "number", "public_id")
    }


def list_lead_advisors(household_ids: Sequence[int]) -> dict[int, models.User]:
    """Return the leading advisor of each household that has one."""
    leads = models.AdvisorAssignment.objects.filter(household_id__in=household_ids, is_lead=True)
    return {lead.household_id: lead.advisor for lead in leads.select_related("advisor")}


def list_first_of_each_role(roles: Sequence[Role]) -> list[models.User]:
    """Return, for each role in turn, the active person who joined first, if any."""
    people = models.User.objects.filter(role__in=roles, is_active=True)
    first = {user.role: user for user in people.order_by("role", "-pk")}
    return [first[role] for role in roles if role in first]


def list_staff(firm_id: int, roles: Sequence[Role]) -> list[models.User]:
    """Return a firm's active people of these roles, by name."""
    staff = models.User.objects.filter(firm_id=firm_id, role__in=roles, is_active=True)
    return list(staff.order_by("name", "pk"))


def list_assignments(household_id: int) -> list[models.AdvisorAssignment]:
    """Return who looks after a household, the lead first."""
    assignments = models.AdvisorAssignment.objects.filter(household_id=household_id)
    return list(assignments.select_related("advisor").order_by("-is_lead", "advisor__name"))


def list_members(household_id: int) -> list[models.User]:
    """Return the clients of a household, by name."""
    return list(models.User.objects.filter(household_id=household_id).order_by("name"))


def list_accounts(household_id: int) -> list[models.Account]:
    """Return a household's accounts, open ones first, by name."""
    accounts = models.Account.objects.filter(household_id=household_id)
    return list(accounts.order_by("-is_open", "name"))


def count_accounts_and_members(households: QuerySet[models.Household]) -> QuerySet[Any]:
    """Return the households with `account_count` (open ones) and `member_count`."""
    return households.annotate(
        account_count=Count("accounts", filter=Q(accounts__is_open=True), distinct=True),
        member_count=Count("members", distinct=True),
    )
