"""What planning trades must know of people: accounts and their tax facts, wishes, cash needs."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal

from django.db.models import Q, Sum

from accounts import models
from accounts.domain.roles import TaxStatus
from accounts.domain.suitability import ProfileFacts, find_profile_gap


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """One open account, and how its gains are taxed."""

    account_id: int
    household_id: int
    tax_status: TaxStatus


@dataclass(frozen=True, slots=True)
class TaxFacts:
    """One household's tax return as the firm keeps it; None: what the law or the rates say."""

    household_id: int
    short_term_rate: Decimal
    long_term_rate: Decimal
    tax_regime: str
    deduction_rate: Decimal | None
    carried_share: Decimal
    carried_short_loss: Decimal
    carried_long_loss: Decimal
    loss_cap: Decimal | None
    gains_budget: Decimal | None
    discount_rate: Decimal
    deferral_years: Decimal
    realised_share: Decimal
    is_together: bool


@dataclass(frozen=True, slots=True)
class WishFacts:
    """One wish in force."""

    household_id: int
    kind: str
    subject: str


def list_account_facts(
    account_ids: Sequence[int], *, is_whole_household: bool = False
) -> list[AccountFacts]:
    """Return the open accounts among these, by id.

    With `is_whole_household`, also the other open accounts of households managed as one.
    """
    wanted = Q(pk__in=account_ids)
    if is_whole_household:
        homes = models.Account.objects.filter(pk__in=account_ids, household__is_together=True)
        wanted |= Q(household_id__in=homes.values("household_id"))
    return [
        AccountFacts(account_id, household_id, TaxStatus(status))
        for account_id, household_id, status in models.Account.objects.filter(wanted, is_open=True)
        .order_by("pk")
        .values_list("pk", "household_id", "tax_status")
    ]


def list_tax_facts(household_ids: Sequence[int]) -> list[TaxFacts]:
    """Return the tax returns of these households."""
    names = [column.name for column in fields(TaxFacts) if column.name != "household_id"]
    return [
        TaxFacts(*row)
        for row in models.Household.objects.filter(pk__in=household_ids)
        .order_by("pk")
        .values_list("pk", *names)
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


def list_profile_gaps(
    account_ids: Sequence[int], *, today: date, months_max: int, is_needed: bool
) -> dict[int, str]:
    """Return, by account, why its household's risk profile lets nothing be proposed; two queries.

    `is_needed`: an account whose household has none is among them.
    """
    homes = dict(
        models.Account.objects.filter(pk__in=account_ids).values_list("pk", "household_id")
    )
    newest = (
        models.RiskProfile.objects.filter(household_id__in=set(homes.values()))
        .order_by("household_id", "-version")
        .distinct("household_id")
        .values_list("household_id", "answered_at", "contradictions", "review__id")
    )
    profiles = {
        household_id: ProfileFacts(answered_at.date(), contradictions, review_id is not None)
        for household_id, answered_at, contradictions, review_id in newest
    }
    gaps = {
        account_id: find_profile_gap(
            profiles.get(household_id), today=today, months_max=months_max, is_needed=is_needed
        )
        for account_id, household_id in homes.items()
    }
    return {account_id: gap for account_id, gap in gaps.items() if gap}


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
