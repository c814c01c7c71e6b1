"""Firms, their households, who looks after them, and the accounts that households own."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.utils.text import slugify

from accounts import models
from accounts.domain.roles import PriceSourceKind, Role, TaxStatus
from accounts.domain.taxes import TAX_FIELDS, find_tax_fault
from accounts.operations.audit import record_audit_entry
from robo.common import market_calendar
from robo.common.errors import Conflict, Refused

# ".invalid" is reserved: no mail can ever reach the engine, and nobody can own its address.
SERVICE_EMAIL = "engine@{slug}.invalid"


class NameTaken(Conflict):
    """Another row already goes by this name."""


class FactsRefused(Refused):
    """Something about a firm, household or account is missing or cannot be."""


class AdvisorRefused(Refused):
    """This person cannot look after this household."""


@transaction.atomic
def create_firm(
    *,
    name: str,
    currency: str = "USD",
    exchange: str = "XNYS",
    price_source: PriceSourceKind = PriceSourceKind.FILES,
) -> models.Firm:
    """Create a firm with the service user that stands for its engine.

    :raises NameTaken: when a firm of that name exists.
    :raises FactsRefused: when the name is empty, or currency or exchange are unknown.
    """
    name = _check_text("firm's name", name)
    if len(currency) != 3 or not currency.isalpha() or not currency.isupper():
        raise FactsRefused(f"{currency!r} is not a currency code such as USD.")
    try:
        market_calendar.list_sessions(exchange)
    except market_calendar.UnknownExchange as error:
        raise FactsRefused(f"No market calendar is known for {exchange!r}.") from error
    if models.Firm.objects.filter(name__iexact=name).exists():
        raise NameTaken(f"A firm called {name} already exists.")
    firm = models.Firm.objects.create(
        name=name, currency=currency, exchange=exchange, price_source=price_source
    )
    engine = models.User(firm=firm, email=_service_email(firm), name="Evenkeel", role=Role.SERVICE)
    engine.set_unusable_password()
    engine.save()
    record_audit_entry(
        firm_id=firm.pk,
        actor_id=engine.pk,
        action="accounts.firm.created",
        object_id=str(firm.public_id),
        summary=f"{name} was created",
    )
    return firm


@transaction.atomic
def create_household(
    *,
    firm_id: int,
    name: str,
    actor_id: int,
    short_term_rate: Decimal = Decimal("0.35"),
    long_term_rate: Decimal = Decimal("0.15"),
) -> models.Household:
    """Create a household; tax rates are fractions.

    :raises FactsRefused: when the name is empty or a rate is no fraction.
    :raises NameTaken: when the firm has a household of that name.
    """
    household = models.Household(
        firm_id=firm_id,
        name=_check_text("household's name", name),
        short_term_rate=short_term_rate,
        long_term_rate=long_term_rate,
    )
    _check_taxes({"short_term_rate": short_term_rate, "long_term_rate": long_term_rate})
    try:
        with transaction.atomic():
            household.save()
    except IntegrityError as error:
        raise NameTaken(f"There is already a household called {household.name}.") from error
    _record(household, actor_id, "created", f"The household {household.name} was set up")
    return household


@transaction.atomic
def set_tax_terms(*, household_id: int, values: Mapping[str, object], actor_id: int) -> None:
    """Set what a household's tax return says; what is not among `values` stays.

    Rates and shares are fractions, amounts are money in the firm's currency.

    :raises FactsRefused: naming the value that cannot be.
    """
    _check_taxes(values)
    household = _lock_household(household_id)
    before = _write_taxes(household)
    for name, value in values.items():
        setattr(household, name, value)
    household.save(update_fields=list(values))
    household.refresh_from_db()
    after = _write_taxes(household)
    changed = {name: [before[name], after[name]] for name in after if before[name] != after[name]}
    if not changed:
        return
    _record(
        household,
        actor_id,
        "tax_terms_set",
        f"Taxes set: {_percent(household.short_term_rate)} on gains of a year or less, "
        f"{_percent(household.long_term_rate)} on longer ones; "
        f"changed: {', '.join(changed).replace('_', ' ')}",
        {"changed": changed},
    )


@transaction.atomic
def assign_advisor(
    *, household_id: int, advisor_id: int, actor_id: int, is_lead: bool = False
) -> None:
    """Let an advisor look after a household; a new lead takes the place of the old one.

    :raises AdvisorRefused: when the person is no active advisor of the same firm.
    """
    household = _lock_household(household_id)
    advisor = models.User.objects.get(pk=advisor_id)
    if advisor.firm_id != household.firm_id or advisor.role != Role.ADVISOR:
        raise AdvisorRefused(f"{advisor.name} is not an advisor of this firm.")
    if not advisor.is_active:
        raise AdvisorRefused(f"{advisor.name} can no longer sign in.")
    if is_lead:
        others = household.assignments.exclude(advisor_id=advisor_id)
        others.filter(is_lead=True).update(is_lead=False)
    household.assignments.update_or_create(advisor_id=advisor_id, defaults={"is_lead": is_lead})
    words = "leads the advice for" if is_lead else "helps to advise"
    _record(household, actor_id, "advisor_assigned", f"{advisor.name} {words} {household.name}")


@transaction.atomic
def release_advisor(*, household_id: int, advisor_id: int, actor_id: int) -> None:
    """End an advisor's work for a household, and with it their sight of it.

    :raises AdvisorRefused: when they do not look after it.
    """
    household = _lock_household(household_id)
    advisor = models.User.objects.get(pk=advisor_id)
    deleted_count, _ = household.assignments.filter(advisor_id=advisor_id).delete()
    if not deleted_count:
        raise AdvisorRefused(f"{advisor.name} does not look after {household.name}.")
    summary = f"{advisor.name} no longer advises {household.name}"
    _record(household, actor_id, "advisor_released", summary)


@transaction.atomic
def open_account(
    *,
    household_id: int,
    name: str,
    number: str,
    custodian: str,
    tax_status: TaxStatus,
    is_discretionary: bool,
    opened_date: date,
    actor_id: int,
) -> models.Account:
    """Enter an account at a custodian; its books are opened by portfolios in the same transaction.

    :raises FactsRefused: when a name, the number or the tax status is missing or unknown.
    :raises NameTaken: when the firm knows the number at that custodian already.
    """
    household = _lock_household(household_id)
    if tax_status not in list(TaxStatus):
        raise FactsRefused(f"{tax_status!r} is not a tax status.")
    account = models.Account(
        firm_id=household.firm_id,
        household=household,
        name=_check_text("account's name", name),
        number=_check_text("account number", number, length_max=40),
        custodian=_check_text("custodian", custodian, length_max=60),
        tax_status=tax_status,
        is_discretionary=is_discretionary,
        opened_date=opened_date,
    )
    try:
        with transaction.atomic():
            account.save()
    except IntegrityError as error:
        raise NameTaken(f"{account.custodian} {account.number} is already on record.") from error
    record_audit_entry(
        firm_id=account.firm_id,
        actor_id=actor_id,
        household_id=household.pk,
        action="accounts.account.opened",
        object_id=str(account.public_id),
        summary=f"The account {account.name} at {account.custodian} was opened",
        detail={"number": account.number, "tax_status": str(account.tax_status)},
    )
    return account


def _service_email(firm: models.Firm) -> str:
    email = SERVICE_EMAIL.format(slug=slugify(firm.name)[:60])
    if slugify(firm.name) and not models.User.objects.filter(email=email).exists():
        return email
    # Names that differ in punctuation only share a slug; the firm's own id tells them apart.
    return SERVICE_EMAIL.format(slug=f"firm-{firm.public_id.hex[:12]}")


def _lock_household(household_id: int) -> models.Household:
    # Without its key: the audit entry refers to the household, and must not wait for ourselves.
    return models.Household.objects.select_for_update(no_key=True).get(pk=household_id)


def _check_text(what: str, text: str, *, length_max: int = 120) -> str:
    text = text.strip()
    if not text:
        raise FactsRefused(f"The {what} is missing.")
    if len(text) > length_max:
        raise FactsRefused(f"The {what} {text[:20]}… is longer than {length_max} characters.")
    if not text.isprintable():
        raise FactsRefused(f"The {what} holds characters that cannot be shown.")
    return text


def _check_taxes(values: Mapping[str, object]) -> None:
    unknown = sorted(set(values) - set(TAX_FIELDS))
    if unknown:
        raise FactsRefused(f"A household's taxes have no {', '.join(unknown)}.")
    for name, value in values.items():
        fault = find_tax_fault(name, value)
        if fault:
            raise FactsRefused(fault)


def _write_taxes(household: models.Household) -> dict[str, str | None]:
    values = {name: getattr(household, name) for name in TAX_FIELDS}
    return {name: None if value is None else str(value) for name, value in values.items()}


def _percent(rate: Decimal) -> str:
    return f"{(rate * 100).normalize():f}%"


def _record(
    household: models.Household,
    actor_id: int,
    event: str,
    summary: str,
    detail: Mapping[str, object] | None = None,
) -> None:
    record_audit_entry(
        firm_id=household.firm_id,
        actor_id=actor_id,
        household_id=household.pk,
        action=f"accounts.household.{event}",
        object_id=str(household.public_id),
        summary=summary,
        detail=detail,
    )
