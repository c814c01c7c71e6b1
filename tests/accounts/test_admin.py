"""Django's admin: nothing of another firm is seen or reached, and what happened is fixed."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.urls import reverse

from accounts.admin import AuditedAdmin
from accounts.domain.roles import Role, WishKind
from accounts.models import AuditEntry, Household
from accounts.operations import risk
from accounts.operations.cash_needs import add_cash_need
from accounts.operations.wishes import record_wish
from accounts.queries.people import get_service_user
from portfolios.models import (
    AssetClass,
    ModelPortfolio,
    ModelVersion,
    ModelWeight,
    Price,
    RefusedPrice,
    RiskMapping,
    Security,
    Substitute,
)
from rebalancer.models import CycleRun, Policy
from robo.common.admin import FirmScopedAdmin, ReadOnlyAdmin, site
from tests.answers import CALM_ANSWERS
from tests.people import make_account, make_client, make_firm, make_household, make_user

pytestmark = pytest.mark.django_db


def make_furnished_firm(name):
    """Return a firm with at least one row of everything that needs no engine, and its admin."""
    firm = make_firm(name)
    engine = get_service_user(firm.pk)
    admin = make_user(firm, Role.ADMIN, name=f"{name} admin")
    household = make_household(
        firm, f"{name} household", advisor=make_user(firm, name=f"{name} advisor")
    )
    client = make_client(household, name=f"{name} client")
    account = make_account(household, name=f"{name} account")
    record_wish(household_id=household.pk, kind=WishKind.EXCLUDE, subject=name, actor_id=client.pk)
    add_cash_need(
        account_id=account.pk,
        amount=Decimal("5"),
        due_date=date(2026, 6, 1),
        purpose=name,
        actor_id=client.pk,
    )
    risk.answer_questionnaire(
        household_id=household.pk,
        answers=CALM_ANSWERS,
        actor_id=client.pk,
        now=datetime(2026, 3, 2, tzinfo=UTC),
    )
    asset_class = AssetClass.objects.create(firm=firm, code=name.lower(), name=f"{name} class")
    first, second = (
        Security.objects.create(
            firm=firm,
            symbol=f"{name[:8]}-{letter}",
            name=f"{name} {letter}",
            asset_class=asset_class,
        )
        for letter in "AB"
    )
    Substitute.objects.create(security=first, substitute=second)
    Price.objects.create(
        security=first, price_date=date(2026, 3, 2), price=Decimal("10"), source=name
    )
    RefusedPrice.objects.create(
        firm=firm, symbol=name, quoted="x", reason="JUMP", detail="", source=name
    )
    model = ModelPortfolio.objects.create(firm=firm, name=f"{name} model")
    version = ModelVersion.objects.create(model=model, number=1, status="DRAFT", author=admin)
    ModelWeight.objects.create(version=version, security=first, weight=Decimal("0.99"))
    RiskMapping.objects.create(firm=firm, score=5, model=model)
    Policy.objects.create(firm=firm, name=f"{name} policy", trigger="THRESHOLD")
    CycleRun.objects.create(firm=firm, label=f"{name} cycle", requested_by=engine)
    return admin


@pytest.fixture
def own(db):
    return make_furnished_firm("Ownfirm")


@pytest.fixture
def canary(db):
    return make_furnished_firm("Canary")


def registered():
    return [pytest.param(model, id=model._meta.label) for model in site._registry]


def sign_in_for(client, admin, model):
    """Sign in whoever of the firm sees this model: its admin, or its supervisor."""
    is_for_admins = Role.ADMIN in site._registry[model].roles
    client.force_login(admin if is_for_admins else make_user(admin.firm, Role.SUPERVISOR))


@pytest.mark.parametrize("model", registered())
def test_an_admin_sees_reference_data_and_a_supervisor_the_clients_records(own, client, model):
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    roles = site._registry[model].roles
    for role in (Role.ADMIN, Role.SUPERVISOR):
        client.force_login(make_user(own.firm, role))
        assert client.get(address).status_code == (200 if role in roles else 403), role


def test_no_record_of_a_client_is_for_admins():
    hidden = {"Holding", "Lot", "CashBalance", "JournalEntry", "Transfer", "Disposal", "Check"}
    hidden |= {"Proposal", "Trade", "TradeLot", "Decision", "Order", "Fill", "Wish", "CashNeed"}
    seen = {m.__name__ for m, admin in site._registry.items() if Role.ADMIN in admin.roles}
    assert not hidden & seen


@pytest.mark.parametrize("model", registered())
def test_no_list_shows_and_no_page_opens_a_row_of_another_firm(own, canary, client, model):
    sign_in_for(client, own, model)
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    listed = client.get(reverse(f"{name}_changelist"))
    assert listed.status_code == 200
    assert "Canary" not in listed.content.decode()
    searched = client.get(reverse(f"{name}_changelist"), {"q": "Canary", "o": "1"})
    assert searched.status_code == 200
    assert "Canary household" not in searched.content.decode()
    scope = site._registry[model].firm_path
    for row in model._default_manager.filter(**{scope: canary.firm_id})[:3]:
        for page in ("change", "delete", "history"):
            answer = client.get(reverse(f"{name}_{page}", args=[row.pk]))
            assert answer.status_code in (302, 403, 404), (page, answer.status_code)
        assert client.post(reverse(f"{name}_change", args=[row.pk]), {}).status_code in (302, 403)
        client.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"})
        assert model._default_manager.filter(pk=row.pk).exists()
    for row in model._default_manager.filter(**{scope: own.firm_id})[:1]:
        opened = client.get(reverse(f"{name}_change", args=[row.pk]))
        assert opened.status_code == 200
        assert "Canary" not in opened.content.decode()


@pytest.mark.parametrize("model", registered())
def test_every_model_is_scoped_and_filters_name_no_foreign_key(model):
    admin = site._registry[model]
    assert isinstance(admin, FirmScopedAdmin)
    assert isinstance(admin, ReadOnlyAdmin | AuditedAdmin)
    for name in admin.list_filter:
        assert not model._meta.get_field(name).is_relation, name


def test_every_table_that_refuses_changes_is_for_looking_only():
    names = {
        "AuditEntry", "RiskProfile", "Price", "JournalEntry", "Transfer", "Disposal", "Lot",
        "Holding", "CashBalance", "Check", "Proposal", "Trade", "Order", "Fill", "Decision",
        "Policy", "ModelVersion", "ModelWeight",
    }  # fmt: skip
    found = {m.__name__ for m, admin in site._registry.items() if isinstance(admin, ReadOnlyAdmin)}
    assert names <= found


@pytest.mark.parametrize(
    "name",
    ["portfolios_security", "portfolios_substitute", "portfolios_riskmapping"],
)
def test_choices_end_at_ones_own_firm(own, canary, client, name):
    client.force_login(own)
    page = client.get(reverse(f"admin:{name}_add")).content.decode()
    assert "Ownfirm" in page
    assert "Canary" not in page


def test_a_choice_of_another_firm_is_refused_even_when_forged(own, canary, client):
    client.force_login(own)
    mine, theirs = (Security.objects.filter(firm=firm).first() for firm in (own.firm, canary.firm))
    answer = client.post(
        reverse("admin:portfolios_substitute_add"),
        {"security": mine.pk, "substitute": theirs.pk, "rank": 1},
    )
    assert answer.status_code == 200
    assert "Select a valid choice" in answer.content.decode()
    forged_firm = client.post(
        reverse("admin:portfolios_assetclass_add"),
        {"code": "forged", "name": "Forged", "rank": 1, "firm": canary.firm_id},
    )
    assert forged_firm.status_code == 302
    assert AssetClass.objects.get(code="forged").firm == own.firm


def test_a_change_is_saved_with_its_audit_entry(own, client):
    client.force_login(own)
    row = AssetClass.objects.get(firm=own.firm)
    answer = client.post(
        reverse("admin:portfolios_assetclass_change", args=[row.pk]),
        {"code": row.code, "name": "Renamed", "rank": row.rank},
    )
    assert answer.status_code == 302
    entry = AuditEntry.objects.latest("pk")
    assert entry.action == "portfolios.assetclass.changed"
    assert entry.actor == own
    assert entry.firm == own.firm
    assert entry.detail == {"name": ["Ownfirm class", "Renamed"]}


def test_a_household_made_in_the_admin_is_the_firms_and_in_its_journal(own, client):
    client.force_login(own)
    facts = {
        "name": "Marsh",
        "short_term_rate": "0.3",
        "long_term_rate": "0.1",
        "tax_regime": "UK",
        "carried_share": "0.8",
        "carried_short_loss": "0",
        "carried_long_loss": "1200.50",
        "discount_rate": "0.05",
        "deferral_years": "10",
        "realised_share": "0",
    }
    assert client.post(reverse("admin:accounts_household_add"), facts).status_code == 302
    household = Household.objects.get(name="Marsh")
    assert household.firm == own.firm
    assert (household.tax_regime, str(household.carried_long_loss)) == ("UK", "1200.50")
    entry = AuditEntry.objects.get(household=household, action="accounts.household.added")
    assert entry.detail["carried_long_loss"][1] == "1200.50"
    again = client.post(reverse("admin:accounts_household_add"), facts)
    assert again.status_code == 200, "a name taken within the firm is an error beside the form"
    assert "already exists" in again.content.decode() or "violated" in again.content.decode()
    for fault in (
        {"long_term_rate": "1.5"},
        {"carried_share": "-0.1"},
        {"carried_short_loss": "-1"},
        {"gains_budget": "NaN"},
        {"deferral_years": "101"},
        {"tax_regime": "ZZ"},
    ):
        wrong = client.post(reverse("admin:accounts_household_add"), facts | {"name": "M"} | fault)
        assert wrong.status_code == 200, fault
        assert not Household.objects.filter(name="M").exists()


def test_deleting_ticked_rows_stays_within_the_firm_and_is_written_down(own, canary, client):
    client.force_login(own)
    rows = list(Substitute.objects.all())
    assert len(rows) == 2
    client.post(
        reverse("admin:portfolios_substitute_changelist"),
        {
            "action": "delete_selected",
            "_selected_action": [row.pk for row in rows],
            "post": "yes",
        },
    )
    (left,) = Substitute.objects.all()
    assert left.security.firm == canary.firm
    assert AuditEntry.objects.filter(action="portfolios.substitute.deleted").count() == 1


def test_households_and_securities_are_never_deleted(own, client):
    client.force_login(own)
    for model in (Household, Security):
        row = model.objects.filter(firm=own.firm).first()
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        answer = client.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"})
        assert answer.status_code == 403
        assert model.objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize("role", [Role.CLIENT, Role.ADVISOR, Role.MODEL_ADMIN, Role.OPERATOR])
def test_for_everybody_else_the_admin_does_not_exist(own, client, role):
    household = Household.objects.get(firm=own.firm)
    if role == Role.CLIENT:
        client.force_login(make_client(household))
    else:
        client.force_login(make_user(own.firm, role))
    for address in (
        reverse("admin:index"),
        reverse("admin:login"),
        reverse("admin:accounts_household_changelist"),
        reverse("admin:accounts_household_change", args=[household.pk]),
        reverse("admin:jsi18n"),
    ):
        assert client.get(address).status_code == 404, address


def test_signing_in_for_the_admin_happens_where_guessing_is_slowed_down(own, client):
    wanted = reverse("admin:accounts_household_changelist")
    answer = client.get(f"{reverse('admin:login')}?next={wanted}")
    assert answer["Location"].startswith(reverse("accounts:sign_in"))
    client.force_login(own)
    assert client.get(reverse("admin:password_change"))["Location"] == reverse("accounts:password")
    leaving = client.post(reverse("admin:logout"))
    # 307: the form goes on to the product's own way out, which writes the journal.
    assert (leaving.status_code, leaving["Location"]) == (307, reverse("accounts:sign_out"))
    assert client.post(leaving["Location"])["Location"] == reverse("accounts:sign_in")


def test_secrets_are_not_on_the_page_of_a_person(own, client):
    client.force_login(own)
    page = client.get(reverse("admin:accounts_user_change", args=[own.pk])).content.decode()
    assert own.password not in page
