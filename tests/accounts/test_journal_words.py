"""What leaves the journal: statements that strangers can check, and words that are forgotten."""

import importlib
import json
import subprocess
import sys
from datetime import UTC, date, datetime

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection

from accounts import models
from accounts.domain.roles import Role
from accounts.operations import audit, consents, risk
from accounts.operations.erasure import erase_words
from accounts.operations.sealing import seal_journal
from accounts.queries.proofs import prove_journal
from accounts.queries.statements import build_statement
from rebalancer.operations.consents import answer_proposal
from robo.common.errors import NotAllowed, Refused
from tests import people
from tests.accounts.journal_world import make_sealed_firm, use_own_key, write_entries
from tests.answers import make_answers
from tests.rebalancer.world import DAY, NOW, make_world

pytestmark = pytest.mark.django_db(transaction=True)
TODAY = date(2026, 11, 23)


@pytest.fixture(autouse=True)
def own_key(settings, tmp_path):
    return use_own_key(settings, tmp_path)


# --- Statements -----------------------------------------------------------------------------------


def verify(folder, *arguments):
    """Run the verifier that came with a statement, without anything of ours in reach."""
    return subprocess.run(
        [sys.executable, "-I", "verify_statement.py", "statement.json", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={},
    )


def test_a_household_can_check_its_statement_without_us(settings, tmp_path, capsys):
    firm = make_sealed_firm(settings, name="Told")
    household = firm.households.get()
    folder = tmp_path / "statement"
    call_command("prove_journal", firm="Told", household=household.public_id, output=folder)
    statement = json.loads((folder / "statement.json").read_text())
    assert len(statement["entries"]) == 16
    assert all("note" not in entry for entry in statement["entries"])
    proven = verify(folder)
    assert proven.returncode == 0, proven.stderr
    assert "PROVEN: 16 entries stand in evenkeel.journal/" in proven.stdout
    assert statement["public_key"] in capsys.readouterr().out
    assert verify(folder, "--key", statement["public_key"]).returncode == 0
    assert "another key" in verify(folder, "--key", "00" * 32).stderr
    assert verify(folder, "--other").returncode == 2


def change(statement, path, value):
    changed = json.loads(json.dumps(statement))
    *way, last = path
    at = changed
    for step in way:
        at = at[step]
    at[last] = value(at[last])
    return changed


CHANGES = {
    "words": (("entries", 1, "summary"), lambda text: text + "!"),
    "words without salt": (("entries", 1, "salt"), lambda text: ""),
    "text": (("entries", 1, "body"), lambda text: text.replace("SERVICE", "ADVISOR")),
    "number": (("entries", 1, "seq"), lambda number: number + 1),
    "number beyond": (("entries", 1, "seq"), lambda number: 10_000),
    "chain": (("entries", 1, "prev_hash"), lambda text: "00" + text[2:]),
    "path": (("entries", 1, "path", 0), lambda text: "00" + text[2:]),
    "short path": (("entries", 1, "path"), lambda path: path[:-1]),
    "long path": (("entries", 1, "path"), lambda path: [*path, path[0]]),
    "size": (("checkpoint",), lambda text: text.replace("\n17\n", "\n18\n")),
    "key": (("public_key",), lambda text: "11" * 32),
    "nonsense": (("checkpoint",), lambda text: "nonsense"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_no_changed_statement_is_proven(settings, tmp_path, name):
    from accounts.domain.statement_proof import main

    firm = make_sealed_firm(settings)
    statement = build_statement(firm=firm, household_id=firm.households.get().pk)
    path = tmp_path / "statement.json"
    path.write_text(json.dumps(statement))
    assert main([str(path)]) == 0
    path.write_text(json.dumps(change(statement, *CHANGES[name])))
    assert main([str(path)]) == 1


def test_what_is_not_covered_yet_is_not_promised(settings):
    firm = make_sealed_firm(settings, batches=(2,))
    stranger = make_sealed_firm(settings, batches=(1,))
    settings.JOURNAL_CHECKPOINT_ENTRIES = 1000
    write_entries(firm, 1)
    newest = models.AuditEntry.objects.filter(firm=firm).latest("pk")
    with pytest.raises(Refused, match="No sealed entry"):
        build_statement(firm=firm, entry_id=newest.pk)
    seal_journal(firm_id=firm.pk)
    with pytest.raises(Refused, match="newer than the newest checkpoint"):
        build_statement(firm=firm, entry_id=newest.pk)
    with pytest.raises(Refused, match="No sealed entry"):
        build_statement(firm=firm, entry_id=models.AuditEntry.objects.filter(firm=stranger)[0].pk)
    with pytest.raises(CommandError, match="has no household"):
        call_command("prove_journal", firm=firm.name, household=stranger.households.get().public_id)
    with pytest.raises(CommandError, match="there is no firm"):
        call_command("prove_journal", firm="Nobody", entry=1)


def test_days_narrow_a_statement_down(settings):
    firm = make_sealed_firm(settings, batches=(2,))
    day = models.AuditEntry.objects.latest("pk").recorded_at.astimezone(UTC).date()
    assert len(build_statement(firm=firm, from_date=day, to_date=day)["entries"]) == 4
    with pytest.raises(Refused):
        build_statement(firm=firm, to_date=date(2020, 1, 1))


# --- Forgetting -----------------------------------------------------------------------------------


@pytest.fixture
def old_firm(settings, monkeypatch):
    """Return a firm with entries of 2015, 2018 and today."""
    firm = people.make_firm()
    household = people.make_household(firm)
    for day in ("2015-03-01", "2018-12-31"):
        with monkeypatch.context() as patch:
            dated = audit._INSERT.replace("statement_timestamp()", f"'{day}'::timestamptz")
            patch.setattr(audit, "_INSERT", dated)
            write_entries(firm, 2, household=household)
            write_entries(firm, 1)
    write_entries(firm, 2, household=household)
    settings.JOURNAL_CHECKPOINT_ENTRIES = 1
    seal_journal(firm_id=firm.pk)
    return firm


def test_old_words_are_forgotten_and_the_chain_still_verifies(old_firm):
    one, two = (people.make_user(old_firm, role) for role in (Role.ADMIN, Role.SUPERVISOR))
    household = old_firm.households.get()
    facts = {"household_id": household.pk, "user_id": one.pk, "second_user_id": two.pk}
    with pytest.raises(Refused, match="must still be kept"):
        erase_words(**facts, before_date=date(2019, 1, 2), today=TODAY)
    assert erase_words(**facts, before_date=date(2018, 1, 1), today=TODAY) == 2
    assert erase_words(**facts, before_date=date(2018, 1, 1), today=TODAY) == 0
    seal_journal(firm_id=old_firm.pk)
    assert prove_journal(old_firm).fault is None
    erased = models.AuditEntry.objects.filter(firm=old_firm, salt="")
    assert {(entry.summary, str(entry.detail)) for entry in erased} == {("", "{}")}
    assert {entry.recorded_at.year for entry in erased} == {2015}
    statement = build_statement(firm=old_firm, entry_id=erased[0].pk)
    assert statement["entries"][0]["summary"] == ""


NAME, EMAIL = "Zoe Quillfeather", "zoe@quillfeather.example"


def write_the_clients_word(monkeypatch):
    """Let a client sign, agree, answer and end a mandate in 2015; return the firm's world."""
    dated = audit._INSERT.replace("statement_timestamp()", "'2015-03-01'::timestamptz")
    with monkeypatch.context() as patch:
        patch.setattr(audit, "_INSERT", dated)
        world = make_world()
        client = people.make_client(world.household, name=NAME, email=EMAIL)
        people.agree(client, people.publish_text(world.firm, today=DAY))
        account = world.add_account("10000", is_discretionary=False, name=f"Account of {NAME}")
        people.give_mandate(account, signed_by=NAME, text=f"I, {NAME} ({EMAIL}), agree.")
        consents.end_mandate(account_id=account.pk, user_id=client.pk)
        risk.answer_questionnaire(
            household_id=world.household.pk,
            answers=make_answers(horizon_years="1", priority="growth"),
            actor_id=client.pk,
            now=NOW,
        )
        consents.review_profile(
            profile_id=world.household.risk_profiles.get().pk,
            note=f"{NAME} was asked at {EMAIL}",
            user_id=world.advisor.pk,
        )
        world.look()
        for proposal in account.proposals.all():
            answer_proposal(
                proposal_id=proposal.pk,
                user_id=client.pk,
                is_yes=False,
                content_hash=proposal.content_hash,
                note=f"Call me, {EMAIL}",
                now=NOW,
            )
    return world


def find_words(firm):
    """Return the actions of entries in which the client's name or address can be read."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT action FROM accounts_auditentry e WHERE firm_id = %s"
            " AND (e::text ILIKE %s OR e::text ILIKE %s)",
            [firm.pk, f"%{NAME.split()[1]}%", f"%{EMAIL}%"],
        )
        return sorted({action for (action,) in cursor.fetchall()})


def test_of_what_a_client_signed_and_said_no_name_stays_in_the_journal(settings, monkeypatch):
    world = write_the_clients_word(monkeypatch)
    firm = world.firm
    settings.JOURNAL_CHECKPOINT_ENTRIES = 1
    seal_journal(firm_id=firm.pk)
    before = find_words(firm)
    assert {
        "accounts.mandate.recorded",
        "accounts.mandate.ended",
        "accounts.risk_profile.reviewed",
        "rebalancer.proposal.answered_no",
    } <= set(before), "the test must have something to forget"
    erase_words(
        household_id=world.household.pk,
        before_date=date(2018, 1, 1),
        user_id=world.admin.pk,
        second_user_id=world.other_admin.pk,
        today=TODAY,
    )
    assert find_words(firm) == []
    call_command("verify_journal", firm=firm.name, seal=True)


def test_two_people_of_the_firm_must_agree(old_firm):
    one = people.make_user(old_firm, Role.ADMIN)
    others = [
        one,
        people.make_user(old_firm, Role.ADVISOR),
        people.make_user(people.make_firm(), Role.ADMIN),
    ]
    for other in others:
        with pytest.raises(NotAllowed, match="Two different"):
            erase_words(
                household_id=old_firm.households.get().pk,
                before_date=date(2018, 1, 1),
                user_id=one.pk,
                second_user_id=other.pk,
                today=TODAY,
            )
    assert not models.AuditEntry.objects.filter(salt="").exists()


def test_the_command_erases_or_says_why_not(old_firm, capsys):
    one, two = (people.make_user(old_firm, role) for role in (Role.ADMIN, Role.SUPERVISOR))
    facts = {
        "firm": old_firm.name,
        "household": old_firm.households.get().public_id,
        "before": date(2018, 1, 1),
        "by": one.email,
        "second": two.email,
    }
    call_command("erase_journal", **facts)
    assert "words of 2 entries" in capsys.readouterr().out
    for wrong in (
        {"before": date(2026, 1, 1)},
        {"by": "nobody@example.com"},
        {"firm": "Nobody"},
        {"household": old_firm.public_id},
    ):
        with pytest.raises(CommandError):
            call_command("erase_journal", **{**facts, **wrong})


@pytest.mark.parametrize(
    "change",
    [
        "summary = '', detail = '{}', salt = '', body = body || 'x'",
        "summary = 'other', detail = '{}', salt = ''",
        "summary = '', detail = '{}'",
        "salt = ''",
    ],
)
def test_the_database_lets_nothing_through_but_forgetting(old_firm, change):
    with connection.cursor() as cursor, pytest.raises(IntegrityError, match="append-only"):
        cursor.execute(f"UPDATE accounts_auditentry SET {change} WHERE recorded_at < '2016-01-01'")


def test_the_database_lets_nothing_young_be_forgotten(old_firm):
    with connection.cursor() as cursor, pytest.raises(IntegrityError, match="append-only"):
        cursor.execute("UPDATE accounts_auditentry SET summary = '', detail = '{}', salt = ''")


# --- Entries from before the journal was sealed ---------------------------------------------------


def test_entries_from_before_are_given_a_text(settings):
    rules = importlib.import_module("accounts.migrations.0005_journal_rules")
    firm = people.make_firm()
    write_entries(firm, 3)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_auditentry DROP CONSTRAINT audit_has_body")
        cursor.execute("ALTER TABLE accounts_auditentry DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE accounts_auditentry SET body = '', salt = '', role = '',"
            " detail = detail::jsonb::text"
        )
        rules.write_bodies(None, type("Editor", (), {"connection": connection}))
        cursor.execute("ALTER TABLE accounts_auditentry ENABLE TRIGGER USER")
        cursor.execute(
            "ALTER TABLE accounts_auditentry ADD CONSTRAINT audit_has_body"
            " CHECK (body <> '' AND length(salt) IN (0, 64))"
        )
    seal_journal(firm_id=firm.pk)
    assert prove_journal(firm).fault is None
    entry = models.AuditEntry.objects.filter(firm=firm).latest("pk")
    assert entry.role == "SERVICE"
    assert entry.detail["note"] == 'a\tb\n"c" \\ é'
    assert entry.recorded_at < datetime.now(UTC)
