"""Whom a notice goes to: the clients and the staff that something concerns."""

from django.db.models import Q

from accounts import models
from accounts.domain.roles import Role


def list_people_of_stop(*, firm_id: int | None, account_id: int | None) -> list[int]:
    """Return who is told of a stop: the account's household and advisors, the firm, or all firms.

    The engine's own user is told nothing.
    """
    people = models.User.objects.filter(is_active=True).exclude(role=Role.SERVICE)
    if firm_id is not None:
        people = people.filter(firm_id=firm_id)
    if account_id is not None:
        household = models.Account.objects.filter(pk=account_id).values("household_id")
        people = people.filter(
            Q(household_id__in=household)
            | Q(assignments__household_id__in=household)
            | Q(role=Role.SUPERVISOR)
        )
    return sorted(set(people.values_list("pk", flat=True)))


def list_firm_clients(firm_id: int) -> list[int]:
    """Return the firm's active clients."""
    return list(
        models.User.objects.filter(firm_id=firm_id, role=Role.CLIENT, is_active=True)
        .order_by("pk")
        .values_list("pk", flat=True)
    )
