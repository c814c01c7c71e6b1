"""What planning trades must know of people: accounts and their tax facts, wishes, cash needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db.models import Sum

from accounts import models
from accounts.domain.roles import TaxStatus


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """One open account, and how its gains are taxed."""

    account_id: int
    household_id: int
    tax_status: TaxStatus
    short_term_rate: Decimal
    long_term_rate: Decimal


@dataclass(frozen=True, slots=True)
class WishFacts:
    """One wish in force."""

    household_id: int
    kind: str
    subject: str


def list_account_facts(account_ids: Sequence[int]) -> list[AccountFacts]:
    """Return the open accounts among these, by id."""
    return [
        AccountFacts(account_id, household_id, TaxStatus(status), short_rate, long_rate)
        for account_id, household_id, status, short_rate, long_rate in (
            models.Account.objects.filter(pk__in=account_ids, is_open=True)
            .order_by("pk")
            .values_list(
                "pk",
                "household_id",
                "tax_status",
                "household__short_term_rate",
                "household__long_term_rate",
            )
        )
    ]


def list_wishes(household_ids: Sequence[int]) -> list[WishFacts]:
    """Return the wishes in force of these households."""
    return [
        WishFacts(*row)
        for row in models.Wish.objects.filter(household_id__in=household_ids, ended_at__isnull=True)
        .order_by("pk")
        .values_list("household_id", "kind", "subject")
    ]


def list_cash_needs(account_ids: Sequence[int]) -> list[tuple[int, date, Decimal]]:
    """Return (account id, due date, amount) of cash needs not yet settled."""
    return list(
        models.CashNeed.objects.filter(account_id__in=account_ids, is_settled=False)
        .values("account_id", "due_date")
        .annotate(total=Sum("amount"))
        .order_by("account_id", "due_date")
        .values_list("account_id", "due_date", "total")
    )


@dataclass(frozen=True, slots=True)
class AccountName:
    """What an account is called, and whose it is."""

    household_id: int
    name: str


def get_account_names(account_ids: Sequence[int]) -> dict[int, AccountName]:
    """Return names and households by account id."""
    return {
        account_id: AccountName(household_id, f"{household} · {name}")
        for account_id, household_id, household, name in models.Account.objects.filter(
            pk__in=account_ids
        ).values_list("pk", "household_id", "household__name", "name")
    }
