"""Reads of disclosures, consents and mandates: what is in force, what a household still owes."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db.models import QuerySet

from accounts import models
from accounts.domain.disclosures import DEFAULT_TEXTS, DisclosureKind
from accounts.domain.roles import PriceSourceKind
from accounts.domain.text_diff import DiffLine, compare_texts
from robo.common.market_calendar import get_local_date


@dataclass(frozen=True, slots=True)
class FirmDay:
    """A firm, and the day it is there."""

    firm_id: int
    today: date
    is_practice: bool  # a simulated market: only what was published is asked for


@dataclass(frozen=True, slots=True)
class MandateFacts:
    """The mandate of an account that has not been ended."""

    starts_on: date
    ends_on: date | None
    trade_amount_max: Decimal | None
    turnover_share_max: Decimal | None
    asset_classes: tuple[str, ...]
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class DocumentLine:
    """One text as a household sees it."""

    disclosure: models.Disclosure
    consent: models.Consent | None
    is_in_force: bool
    before: models.Disclosure | None  # the version that it replaces

    @property
    def diff(self) -> Sequence[DiffLine]:
        """Return what is different from the version before; empty for the first of its kind."""
        return compare_texts(self.before.text, self.disclosure.text) if self.before else ()


def get_firm_day(firm: models.Firm, now: datetime) -> date:
    """Return the day it is at a firm, by which texts and mandates take effect and end."""
    return firm.simulated_date or get_local_date(firm.exchange, now)


def describe_firm_day(firm: models.Firm, today: date) -> FirmDay:
    """Return what decides which documents a firm's clients must have agreed to."""
    return FirmDay(firm.pk, today, firm.price_source == PriceSourceKind.SIMULATED)


def list_published(firm_ids: Sequence[int]) -> list[models.Disclosure]:
    """Return every text published by these firms, the newest of each kind first."""
    return list(
        models.Disclosure.objects.filter(firm_id__in=firm_ids, published_at__isnull=False).order_by(
            "firm_id", "kind", "-version"
        )
    )


def pick_in_force(
    published: Sequence[models.Disclosure], today: date
) -> dict[str, models.Disclosure]:
    """Return, of one firm's published texts, the one of each kind that counts on a day."""
    in_force: dict[str, models.Disclosure] = {}
    for row in published:
        if row.effective_date is not None and row.effective_date <= today:
            in_force.setdefault(row.kind, row)
    return in_force


def list_replaced(firm_id: int, today: date) -> set[int]:
    """Return the ids of a firm's texts in whose place a later version counts."""
    published = list_published([firm_id])
    in_force = {row.pk for row in pick_in_force(published, today).values()}
    past = (row for row in published if row.effective_date and row.effective_date <= today)
    return {row.pk for row in past} - in_force


def list_consent_gaps(households: Mapping[int, FirmDay]) -> dict[int, list[str]]:
    """Return, by household, what it has not agreed to, in sentences; three queries at most."""
    published: dict[int, list[models.Disclosure]] = defaultdict(list)
    for row in list_published(sorted({day.firm_id for day in households.values()})):
        published[row.firm_id].append(row)
    given = {
        (household_id, disclosure_id, text_hash)
        for household_id, disclosure_id, text_hash in models.Consent.objects.filter(
            household_id__in=households
        ).values_list("household_id", "disclosure_id", "text_hash")
    }
    gaps: dict[int, list[str]] = {}
    for household_id, day in households.items():
        in_force = pick_in_force(published[day.firm_id], day.today)
        missing = [
            f"The household has not agreed to “{row.title}”."
            for row in in_force.values()
            if (household_id, row.pk, row.text_hash) not in given
        ]
        if not day.is_practice:
            missing += [
                f"The firm has published no text of the kind {kind}."
                for kind in DisclosureKind
                if kind not in in_force
            ]
        gaps[household_id] = missing
    return gaps


def list_documents(household: models.Household, today: date) -> list[DocumentLine]:
    """Return the texts in force and those announced, with the household's consent to each.

    What waits for consent comes first.
    """
    published = list_published([household.firm_id])
    in_force = {row.pk for row in pick_in_force(published, today).values()}
    consents = {
        row.disclosure_id: row
        for row in models.Consent.objects.filter(household=household)
        .select_related("client")
        .order_by("-pk")
    }
    lines = [
        DocumentLine(
            row,
            consents.get(row.pk),
            row.pk in in_force,
            # The newest come first: what follows is older.
            next((old for old in published[place:] if old.kind == row.kind and old != row), None),
        )
        for place, row in enumerate(published)
        if row.pk in in_force or (row.effective_date is not None and row.effective_date > today)
    ]
    return sorted(lines, key=lambda line: line.consent is not None)


def list_disclosures(firm_id: int) -> QuerySet[models.Disclosure]:
    """Return every version of a firm's texts, by kind, newest first."""
    return (
        models.Disclosure.objects.filter(firm_id=firm_id)
        .select_related("author", "published_by")
        .order_by("kind", "-version")
    )


def list_account_terms(account_ids: Sequence[int]) -> dict[int, models.Account]:
    """Return accounts, with their firms, by id: whose they are, and whether a mandate is needed."""
    return models.Account.objects.select_related("firm").in_bulk(sorted(set(account_ids)))


def list_mandate_facts(account_ids: Sequence[int]) -> dict[int, MandateFacts]:
    """Return the mandates, not ended, of these accounts."""
    rows = models.Mandate.objects.filter(account_id__in=account_ids, ended_at__isnull=True)
    return {
        row.account_id: MandateFacts(
            row.starts_on,
            row.ends_on,
            row.trade_amount_max,
            row.turnover_share_max,
            tuple(row.asset_classes),
            row.recorded_at,
        )
        for row in rows
    }


def list_mandates(account_ids: Sequence[int]) -> list[models.Mandate]:
    """Return every mandate of these accounts, the newest first."""
    return list(
        models.Mandate.objects.filter(account_id__in=account_ids)
        .select_related("account", "recorded_by", "ended_by")
        .order_by("account_id", "-pk")
    )


def find_mandates_in_force(account_ids: Sequence[int]) -> dict[int, models.Mandate]:
    """Return, by account, the mandate that nobody has ended."""
    return {row.account_id: row for row in list_mandates(account_ids) if row.ended_at is None}


def list_client_ids(household_ids: Sequence[int]) -> dict[int, list[int]]:
    """Return the active clients of each of these households."""
    found: dict[int, list[int]] = defaultdict(list)
    for household_id, person_id in (
        models.User.objects.filter(household_id__in=household_ids, is_active=True)
        .order_by("pk")
        .values_list("household_id", "pk")
    ):
        if household_id is not None:
            found[household_id].append(person_id)
    return found


def count_documents_to_accept(household: models.Household, today: date) -> int:
    """Return how many texts in force the household has still to agree to."""
    lines = list_documents(household, today)
    return sum(line.is_in_force and line.consent is None for line in lines)


def find_version_before(row: models.Disclosure) -> models.Disclosure | None:
    """Return the newest version that was published before this one of the same kind, or None."""
    return (
        models.Disclosure.objects.filter(
            firm_id=row.firm_id,
            kind=row.kind,
            version__lt=row.version,
            published_at__isnull=False,
        )
        .order_by("-version")
        .first()
    )


def list_unpublished_kinds(firm_id: int) -> list[tuple[DisclosureKind, str]]:
    """Return the kinds of text of which the firm has published none, with their usual title."""
    published = set(
        models.Disclosure.objects.filter(firm_id=firm_id, published_at__isnull=False).values_list(
            "kind", flat=True
        )
    )
    return [(kind, text.title) for kind, text in DEFAULT_TEXTS.items() if kind not in published]
