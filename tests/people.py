"""Builders for tests: firms, people, households and accounts, made by the product's own operations.

Every builder gives sensible values and takes the ones that a test is about.
"""

from datetime import date
from itertools import count
from typing import Any

from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from django.test import Client

from accounts.domain.disclosures import DisclosureKind
from accounts.domain.roles import Role, TaxStatus
from accounts.models import Account, Disclosure, Firm, Household, Mandate, User
from accounts.operations import consents, people, users
from accounts.queries import people as queries
from robo.common import clock

PASSWORD = "level-keel-and-trim"  # long enough for the validators, and in no list of common ones
_numbers = count(1)


def make_firm(name: str = "", **facts: Any) -> Firm:
    """Return a new firm with its service user."""
    return people.create_firm(name=name or f"Firm {next(_numbers)}", **facts)


def make_user(firm: Firm, role: Role = Role.ADVISOR, **facts: Any) -> User:
    """Return a new person of the firm, signed up with `PASSWORD`; clients need a household."""
    number = next(_numbers)
    facts = {
        "email": f"{role.lower()}{number}@example.com",
        "name": f"{role.title()} {number}",
        "password": PASSWORD,
        "actor_id": queries.get_service_user(firm.pk).pk,
        **facts,
    }
    return users.create_user(firm_id=firm.pk, role=role, **facts)


def make_household(firm: Firm, name: str = "", *, advisor: User | None = None) -> Household:
    """Return a new household, led by `advisor` if given."""
    actor_id = queries.get_service_user(firm.pk).pk
    household = people.create_household(
        firm_id=firm.pk, name=name or f"Household {next(_numbers)}", actor_id=actor_id
    )
    if advisor is not None:
        people.assign_advisor(
            household_id=household.pk, advisor_id=advisor.pk, is_lead=True, actor_id=actor_id
        )
    return household


def make_client(household: Household, **facts: Any) -> User:
    """Return a new client of the household."""
    return make_user(household.firm, Role.CLIENT, household_id=household.pk, **facts)


def make_account(household: Household, **facts: Any) -> Account:
    """Return a new account of the household, without books (those are portfolios' to open)."""
    number = next(_numbers)
    facts = {
        "name": f"Account {number}",
        "number": f"{number:08d}",
        "custodian": "Custodian",
        "tax_status": TaxStatus.TAXABLE,
        "is_discretionary": False,
        "opened_date": date(2020, 1, 2),
        "actor_id": queries.get_service_user(household.firm_id).pk,
        **facts,
    }
    return people.open_account(household_id=household.pk, **facts)


def give_mandate(account: Account, **terms: Any) -> Mandate:
    """Put a client's mandate without limits on record, from long ago until it is ended."""
    return consents.record_mandate(
        account_id=account.pk,
        details=consents.MandateDetails(
            **{
                "text": "Trade for me.",
                "signed_by": "Client",
                "signed_on": date(2000, 1, 3),
                "starts_on": date(2000, 1, 3),
                **terms,
            }
        ),
        user_id=_find_admin(account.firm),
    )


def publish_text(
    firm: Firm,
    kind: DisclosureKind = DisclosureKind.FEES,
    *,
    today: date,
    effective: date | None = None,
    **words: str,
) -> Disclosure:
    """Let one admin write a text for clients and another publish it."""
    author, publisher = make_user(firm, Role.ADMIN), make_user(firm, Role.ADMIN)
    row = consents.draft_disclosure(
        firm_id=firm.pk,
        kind=kind,
        user_id=author.pk,
        **{"title": "What it costs", "text": "Nothing is free.", **words},
    )
    return consents.publish_disclosure(
        disclosure_id=row.pk,
        effective_date=effective or today,
        today=today,
        user_id=publisher.pk,
    )


def agree(client: User, *texts: Disclosure) -> None:
    """Let a client agree to texts."""
    consents.give_consents(
        household_id=client.household_id or 0,
        user_id=client.pk,
        agreed=[(row.pk, row.text_hash) for row in texts],
    )


def _find_admin(firm: Firm) -> int:
    admin = User.objects.filter(firm=firm, role=Role.ADMIN, is_active=True).first()
    return (admin or make_user(firm, Role.ADMIN)).pk


def enter(client: Client, user: User) -> None:
    """Sign somebody in as if they had given their password this moment."""
    client.force_login(user, backend="accounts.access.PeopleBackend")
    session = client.session
    session[AUTHENTICATION_METHODS_SESSION_KEY] = [
        {"method": "password", "at": clock.now().timestamp()}
    ]
    session[f"{AUTHENTICATION_METHODS_SESSION_KEY}_user"] = str(user.pk)
    session.save()
