"""Writes about people: what they refuse, what they leave in the journal, what PostgreSQL guards."""

import threading
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection, transaction

from accounts.domain.questionnaire import AnswersRefused
from accounts.domain.roles import Role, TaxCountry, TaxStatus, WishKind
from accounts.models import AuditEntry, Household, RiskProfile, User
from accounts.operations import people, risk, users
from accounts.operations.audit import AuditRecord, record_audit_entries, record_audit_entry
from accounts.operations.cash_needs import (
    CashNeedAlreadySettled,
    CashNeedRefused,
    add_cash_need,
    settle_cash_need,
)
from accounts.operations.wishes import (
    WishAlreadyEnded,
    WishAlreadyHeld,
    WishRefused,
    end_wish,
    record_wish,
)
from accounts.queries import people as queries
from accounts.queries.risk import get_latest_profile, list_flagged_profiles, list_latest_profiles
from tests.answers import CALM_ANSWERS, make_answers
from tests.people import PASSWORD, make_account, make_client, make_firm, make_household, make_user

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def list_actions(firm):
    return list(
        AuditEntry.objects.filter(firm=firm).order_by("pk").values_list("action", flat=True)
    )


# --- Firms and people ----------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_firm_comes_with_an_engine_that_cannot_sign_in():
    firm = make_firm("Keel & Sons")
    engine = queries.get_service_user(firm.pk)
    assert engine.email == "engine@keel-sons.invalid"
    assert not engine.has_usable_password()
    assert list_actions(firm) == ["accounts.firm.created"]
    # The same slug, but another firm: both must work.
    other = make_firm("Keel, Sons")
    assert queries.get_service_user(other.pk).email != engine.email
    assert queries.get_service_user(make_firm("帆").pk).email.endswith(".invalid")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"name": " "}, "firm's name is missing"),
        ({"name": "a\x00b"}, "cannot be shown"),
        ({"name": "n" * 121}, "longer than 120"),
        ({"name": "taken"}, "already exists"),
        ({"name": "New", "currency": "usd"}, "not a currency code"),
        ({"name": "New", "exchange": "MOON"}, "No market calendar is known for 'MOON'"),
    ],
)
def test_a_firm_that_cannot_be_is_refused(facts, words):
    make_firm("Taken")
    with pytest.raises((people.FactsRefused, people.NameTaken), match=words):
        people.create_firm(**facts)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("facts", "refusal", "words"),
    [
        ({"role": Role.SERVICE}, users.PersonRefused, "service role"),
        ({"role": "CAPTAIN"}, users.PersonRefused, "'CAPTAIN' is not a role"),
        ({"role": Role.CLIENT}, users.PersonRefused, "belongs to one household"),
        ({"household_id": "own"}, users.PersonRefused, "staff belong to none"),
        (
            {"role": Role.CLIENT, "household_id": "foreign"},
            users.PersonRefused,
            "not one of this firm",
        ),
        ({"email": "nobody"}, users.PersonRefused, "'nobody' is not an e-mail"),
        ({"email": f"{'a' * 60}@{'b' * 250}.com"}, users.PersonRefused, "too long|not an e-mail"),
        ({"email": "A\x00@example.com"}, users.PersonRefused, "not an e-mail"),
        ({"name": "  "}, users.PersonRefused, "needs a name"),
        ({"name": "a\x00b"}, users.PersonRefused, "needs a name"),
        ({"email": "TAKEN@example.com"}, users.AddressTaken, "taken@example.com is already"),
        ({"password": "short"}, users.PasswordRefused, "too short"),
        ({"password": "qwerty123456"}, users.PasswordRefused, "too common"),
        ({"password": "remarkable.person"}, users.PasswordRefused, "too similar"),
    ],
)
def test_a_person_who_cannot_be_is_refused_by_name(facts, refusal, words):
    firm = make_firm()
    make_user(firm, email="taken@example.com")
    if facts.get("household_id"):
        owner = firm if facts["household_id"] == "own" else make_firm()
        facts = {**facts, "household_id": make_household(owner).pk}
    everything = {
        "firm_id": firm.pk,
        "email": "remarkable.person@example.com",
        "name": "Somebody",
        "role": Role.ADVISOR,
        "actor_id": queries.get_service_user(firm.pk).pk,
        **facts,
    }
    before = AuditEntry.objects.count()
    with pytest.raises(refusal, match=words):
        users.create_user(**everything)
    assert not User.objects.filter(email="remarkable.person@example.com").exists()
    assert AuditEntry.objects.count() == before


@pytest.mark.django_db
def test_roles_change_between_advisor_and_admin_only():
    firm = make_firm()
    admin, advisor = make_user(firm, Role.ADMIN), make_user(firm, Role.ADVISOR)
    household = make_household(firm, advisor=advisor)
    client, engine = make_client(household), queries.get_service_user(firm.pk)
    for user, role in ((client, Role.ADMIN), (advisor, Role.CLIENT), (engine, Role.ADMIN)):
        with pytest.raises(users.RoleChangeRefused):
            users.change_role(user_id=user.pk, role=role, actor_id=admin.pk)
    with pytest.raises(users.RoleChangeRefused, match="Only the engine"):
        users.change_role(user_id=advisor.pk, role=Role.SERVICE, actor_id=admin.pk)
    with pytest.raises(users.NotSelf):
        users.change_role(user_id=admin.pk, role=Role.ADVISOR, actor_id=admin.pk)
    users.change_role(user_id=advisor.pk, role=Role.ADMIN, actor_id=admin.pk)
    entry = AuditEntry.objects.latest("pk")
    assert entry.action == "accounts.user.role_changed"
    assert entry.detail == {"before": "ADVISOR", "after": "ADMIN"}
    # An admin sees the whole firm; what was assigned to the advisor must not come back later.
    assert not household.assignments.exists()


@pytest.mark.django_db
def test_the_last_admin_stays_and_the_engine_is_untouchable():
    firm = make_firm()
    engine = queries.get_service_user(firm.pk)
    admin = make_user(firm, Role.ADMIN)
    with pytest.raises(users.LastAdmin):
        users.disable_user(user_id=admin.pk, actor_id=engine.pk)
    with pytest.raises(users.LastAdmin):
        users.change_role(user_id=admin.pk, role=Role.ADVISOR, actor_id=engine.pk)
    for operation in (users.disable_user, users.enable_user, users.withdraw_password):
        with pytest.raises(users.RoleChangeRefused):
            operation(user_id=engine.pk, actor_id=admin.pk)
        with pytest.raises(users.NotSelf):
            operation(user_id=admin.pk, actor_id=admin.pk)
    with pytest.raises(users.RoleChangeRefused):
        users.set_password(user_id=engine.pk, password=PASSWORD, actor_id=engine.pk)


@pytest.mark.django_db(transaction=True)
def test_two_admins_who_disable_each_other_leave_one():
    firm = make_firm()
    first, second = make_user(firm, Role.ADMIN), make_user(firm, Role.ADMIN)
    outcomes = []
    gate = threading.Barrier(2)

    def disable(user, actor):
        gate.wait()
        try:
            users.disable_user(user_id=user.pk, actor_id=actor.pk)
            outcomes.append("done")
        except users.LastAdmin:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [
        threading.Thread(target=disable, args=pair) for pair in ((first, second), (second, first))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["done", "refused"]
    assert User.objects.filter(firm=firm, role=Role.ADMIN, is_active=True).count() == 1


# --- Households and accounts ---------------------------------------------------------------------


@pytest.mark.django_db
def test_only_active_advisors_of_the_firm_look_after_a_household():
    firm = make_firm()
    admin, advisor = make_user(firm, Role.ADMIN), make_user(firm, Role.ADVISOR)
    household = make_household(firm)
    foreign = make_user(make_firm(), Role.ADVISOR)
    gone = make_user(firm, Role.ADVISOR)
    users.disable_user(user_id=gone.pk, actor_id=admin.pk)
    for person in (admin, foreign, gone):
        with pytest.raises(people.AdvisorRefused, match=person.name):
            people.assign_advisor(
                household_id=household.pk, advisor_id=person.pk, actor_id=admin.pk
            )
    with pytest.raises(people.AdvisorRefused):
        people.release_advisor(household_id=household.pk, advisor_id=advisor.pk, actor_id=admin.pk)
    for is_lead in (True, False, True):
        people.assign_advisor(
            household_id=household.pk, advisor_id=advisor.pk, is_lead=is_lead, actor_id=admin.pk
        )
    assert household.assignments.get().is_lead is True


@pytest.mark.django_db
@pytest.mark.parametrize("rate", ["-0.01", "1.01", "NaN", "Infinity"])
def test_a_tax_rate_is_a_fraction(rate):
    firm = make_firm()
    household = make_household(firm)
    with pytest.raises(people.FactsRefused, match="not between 0 and 1"):
        people.set_tax_terms(
            household_id=household.pk,
            values={"short_term_rate": Decimal("0.3"), "long_term_rate": Decimal(rate)},
            actor_id=queries.get_service_user(firm.pk).pk,
        )
    with pytest.raises(people.FactsRefused, match="not between 0 and 1"):
        people.create_household(
            firm_id=firm.pk,
            name="New",
            long_term_rate=Decimal(rate),
            actor_id=queries.get_service_user(firm.pk).pk,
        )


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"tax_regime": "ZZ"}, "No tax law is known for 'ZZ'"),
        ({"carried_short_loss": Decimal(-1)}, "short-term loss carried in -1 is not between 0"),
        ({"carried_long_loss": None}, "long-term loss carried in None"),
        ({"gains_budget": Decimal("1e12")}, "gains budget"),
        ({"loss_cap": Decimal("0.001")}, "more than two decimals"),
        ({"deferral_years": Decimal("100.5")}, "not between 0 and 100"),
        ({"realised_share": Decimal("NaN")}, "chance that a gain put off is taxed"),
        ({"is_together": "yes"}, "managed together"),
        ({"name": "Other"}, "taxes have no name"),
    ],
)
def test_taxes_that_cannot_be_are_refused_by_name(values, said):
    firm = make_firm()
    household = make_household(firm)
    with pytest.raises(people.FactsRefused, match=said):
        people.set_tax_terms(
            household_id=household.pk,
            values=values,
            actor_id=queries.get_service_user(firm.pk).pk,
        )


@pytest.mark.django_db
def test_taxes_are_set_one_by_one_and_only_changes_are_written_down():
    firm = make_firm()
    household = make_household(firm)
    household.refresh_from_db()
    actor_id = queries.get_service_user(firm.pk).pk
    values = {
        "tax_regime": TaxCountry.UK,
        "gains_budget": Decimal("12000"),
        "is_together": True,
        "carried_share": household.carried_share,
    }
    people.set_tax_terms(household_id=household.pk, values=values, actor_id=actor_id)
    household.refresh_from_db()
    assert (household.tax_regime, household.gains_budget) == ("UK", Decimal("12000.00"))
    assert household.is_together is True
    assert household.loss_cap is None
    entry = AuditEntry.objects.get(action="accounts.household.tax_terms_set")
    assert entry.detail["changed"] == {
        "tax_regime": ["US", "UK"],
        "gains_budget": [None, "12000.00"],
        "is_together": ["False", "True"],
    }
    people.set_tax_terms(household_id=household.pk, values=values, actor_id=actor_id)
    assert AuditEntry.objects.filter(action="accounts.household.tax_terms_set").count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "values",
    [
        {"carried_share": "1.1"},
        {"deduction_rate": "-0.1"},
        {"carried_short_loss": "-0.01"},
        {"gains_budget": "-1"},
        {"loss_cap": "-1"},
        {"deferral_years": "101"},
        {"tax_regime": "ZZ"},
    ],
)
def test_postgresql_itself_refuses_taxes_that_cannot_be(values):
    household = make_household(make_firm())
    with pytest.raises(DatabaseError), transaction.atomic():
        Household.objects.filter(pk=household.pk).update(**values)


@pytest.mark.django_db
def test_an_account_number_is_known_once_a_custodian():
    firm = make_firm()
    household = make_household(firm)
    account = make_account(household, number="77")
    assert account.firm == firm
    with pytest.raises(people.NameTaken, match="Custodian 77"):
        make_account(make_household(firm), number="77")
    assert make_account(household, number="77", custodian="Elsewhere").pk
    assert make_account(make_household(make_firm()), number="77").pk
    for facts in ({"name": ""}, {"number": " "}, {"number": "1" * 41}, {"tax_status": "OFFSHORE"}):
        with pytest.raises(people.FactsRefused):
            make_account(household, **facts)
    assert list(queries.list_account_ids(firm.pk)) == sorted(queries.list_account_ids(firm.pk))
    assert TaxStatus(account.tax_status) == TaxStatus.TAXABLE


# --- Wishes and cash needs -----------------------------------------------------------------------


@pytest.mark.django_db
def test_a_wish_is_held_once_ends_once_and_can_come_back():
    household = make_household(make_firm())
    actor_id = make_client(household).pk
    wish_facts = {"household_id": household.pk, "kind": WishKind.NEVER_SELL, "subject": "KEEL"}
    wish = record_wish(**wish_facts, actor_id=actor_id)
    with pytest.raises(WishAlreadyHeld, match="never sell KEEL"):
        record_wish(**wish_facts, actor_id=actor_id)
    end_wish(wish_id=wish.pk, actor_id=actor_id, now=NOW)
    with pytest.raises(WishAlreadyEnded):
        end_wish(wish_id=wish.pk, actor_id=actor_id, now=NOW)
    record_wish(**wish_facts, actor_id=actor_id, note="from my grandmother")
    for bad in ({"subject": " "}, {"subject": "x" * 41}, {"kind": "HOPE"}, {"note": "n" * 201}):
        with pytest.raises(WishRefused):
            record_wish(**(wish_facts | {"subject": "OTHER"} | bad), actor_id=actor_id)
    actions = AuditEntry.objects.filter(household=household).values_list("action", flat=True)
    assert list(actions).count("accounts.wish.recorded") == 2
    assert list(actions).count("accounts.wish.ended") == 1


@pytest.mark.django_db
def test_a_cash_need_is_money_above_zero_and_settled_once():
    account = make_account(make_household(make_firm()))
    actor_id = queries.get_service_user(account.firm_id).pk
    facts = {
        "account_id": account.pk,
        "due_date": date(2026, 6, 1),
        "purpose": "School",
        "actor_id": actor_id,
    }
    for amount in ("0", "-5", "NaN", "Infinity", "0.001", "1e13"):
        with pytest.raises(CashNeedRefused, match="not an amount"):
            add_cash_need(**facts, amount=Decimal(amount))
    for purpose in ("", "p" * 121, "a\x00b"):
        with pytest.raises(CashNeedRefused, match="few words"):
            add_cash_need(**(facts | {"purpose": purpose}), amount=Decimal("5"))
    need = add_cash_need(**facts, amount=Decimal("1250.50"))
    settle_cash_need(cash_need_id=need.pk, actor_id=actor_id)
    with pytest.raises(CashNeedAlreadySettled, match="School"):
        settle_cash_need(cash_need_id=need.pk, actor_id=actor_id)
    summary = AuditEntry.objects.filter(action="accounts.cash_need.added").get().summary
    assert "1,250.50 to be ready by 2026-06-01: School" in summary


# --- Risk profiles -------------------------------------------------------------------------------


@pytest.mark.django_db
def test_answers_become_versions_and_the_latest_counts():
    firm = make_firm()
    household, silent = make_household(firm), make_household(firm)
    actor_id = make_client(household).pk
    answers = {"household_id": household.pk, "actor_id": actor_id, "now": NOW}
    risk.answer_questionnaire(**answers, answers=CALM_ANSWERS)
    second = risk.answer_questionnaire(
        **answers, answers=make_answers(loss_limit="loss_10", fall_reaction="buy_more")
    )
    assert (second.version, second.score) == (2, min(second.willingness, second.capacity))
    assert get_latest_profile(household.pk) == second
    assert get_latest_profile(silent.pk) is None
    assert list_latest_profiles([household.pk, silent.pk]) == {household.pk: second}
    assert list_flagged_profiles([household.pk, silent.pk]) == [second]
    entry = AuditEntry.objects.latest("pk")
    assert entry.household == household
    assert entry.detail["contradictions"] == ["small_loss_buys_fall"]
    with pytest.raises(AnswersRefused):
        risk.answer_questionnaire(**answers, answers={})
    assert household.risk_profiles.count() == 2


@pytest.mark.django_db
def test_a_jump_within_90_days_is_flagged():
    household = make_household(make_firm())
    answers = {"household_id": household.pk, "actor_id": make_client(household).pk}
    first = risk.answer_questionnaire(**answers, now=NOW, answers=CALM_ANSWERS)
    daring = make_answers(
        priority="growth",
        loss_limit="loss_40",
        fall_reaction="hold",
        outcome_range="range_5",
        sure_or_chance="unlikely",
        experience="long_practice",
    )
    later = risk.answer_questionnaire(**answers, now=first.answered_at, answers=daring)
    assert [item["code"] for item in later.contradictions] == ["sudden_change"]


@pytest.mark.django_db
def test_nobody_answers_for_a_household_that_is_not_theirs():
    firm = make_firm()
    household = make_household(firm)
    strangers = (make_client(make_household(firm)), make_user(make_firm(), Role.ADVISOR))
    for stranger in strangers:
        with pytest.raises(risk.NotForThisHousehold):
            risk.answer_questionnaire(
                household_id=household.pk, answers=CALM_ANSWERS, actor_id=stranger.pk, now=NOW
            )
        with pytest.raises(risk.NotForThisHousehold):
            risk.ask_for_help(household_id=household.pk, codes=["priority"], actor_id=stranger.pk)
    assert not household.risk_profiles.exists()


@pytest.mark.django_db(transaction=True)
def test_answers_at_the_same_moment_become_versions_in_a_row():
    household = make_household(make_firm())
    actor_id = make_client(household).pk
    gate = threading.Barrier(4)
    faults = []

    def answer():
        gate.wait()
        try:
            risk.answer_questionnaire(
                household_id=household.pk, answers=CALM_ANSWERS, actor_id=actor_id, now=NOW
            )
        except Exception as fault:
            faults.append(fault)
        finally:
            connection.close()

    threads = [threading.Thread(target=answer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    versions = household.risk_profiles.order_by("version").values_list("version", flat=True)
    assert list(versions) == [1, 2, 3, 4]


# --- The journal ---------------------------------------------------------------------------------


@pytest.mark.django_db
def test_entries_are_cut_to_fit_and_written_in_order():
    firm = make_firm()
    actor_id = queries.get_service_user(firm.pk).pk
    record_audit_entries(
        [
            AuditRecord(firm.pk, actor_id, "test.thing.happened", f"{number}" * 99, "s" * 999)
            for number in range(3)
        ]
    )
    entries = AuditEntry.objects.filter(action="test.thing.happened").order_by("pk")
    assert [entry.object_id[0] for entry in entries] == ["0", "1", "2"]
    assert {len(entry.summary) for entry in entries} == {300}
    assert {len(entry.object_id) for entry in entries} == {60}


@pytest.mark.django_db(transaction=True)
def test_an_entry_without_a_transaction_is_refused():
    firm = make_firm()
    with pytest.raises(transaction.TransactionManagementError):
        record_audit_entry(
            firm_id=firm.pk,
            actor_id=queries.get_service_user(firm.pk).pk,
            action="test.thing.happened",
            object_id="1",
            summary="Something",
        )
    assert not AuditEntry.objects.filter(action="test.thing.happened").exists()


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_leaves_no_entry(monkeypatch):
    firm = make_firm()
    actor_id = queries.get_service_user(firm.pk).pk
    before = AuditEntry.objects.count()

    def broken(*args, **kwargs):
        raise DatabaseError("the journal cannot be written")

    monkeypatch.setattr(people, "record_audit_entry", broken)
    with pytest.raises(DatabaseError):
        people.create_household(firm_id=firm.pk, name="Lost", actor_id=actor_id)
    assert queries.find_household(firm_id=firm.pk, name="lost") is None
    assert AuditEntry.objects.count() == before


@pytest.mark.django_db
@pytest.mark.parametrize("table", ["accounts_auditentry", "accounts_riskprofile"])
@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {} CASCADE"]
)
def test_postgresql_itself_refuses_to_change_the_record(table, statement):
    household = make_household(make_firm())
    risk.answer_questionnaire(
        household_id=household.pk,
        answers=CALM_ANSWERS,
        actor_id=make_client(household).pk,
        now=NOW,
    )
    with connection.cursor() as cursor:
        # Checks that wait for the end of the transaction would keep TRUNCATE from even starting.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            cursor.execute(statement.format(table))
    assert RiskProfile.objects.count() == 1


@pytest.mark.django_db
def test_the_rules_of_people_hold_in_the_database_too():
    household = make_household(make_firm())
    client = make_client(household)
    client.household = None
    with pytest.raises(ValidationError):
        client.full_clean()
    with pytest.raises(DatabaseError, match="user_household_for_clients_only"):
        client.save()
