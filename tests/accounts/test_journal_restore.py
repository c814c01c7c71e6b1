"""After a restore from backup a firm only looks, until two people let it go on."""

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from accounts import models
from accounts.domain.roles import Role
from accounts.operations import installation as operations
from accounts.operations import sealing
from accounts.operations.sealing import seal_journal
from accounts.queries import checkpoint_files
from accounts.queries.installation import find_look_only, is_look_only
from accounts.queries.proofs import prove_journal
from robo.common import clock
from robo.common.errors import Conflict, NotAllowed, Refused
from tests import people
from tests.accounts.journal_world import make_sealed_firm, use_own_key, write_entries

pytestmark = pytest.mark.django_db(transaction=True)
TABLES = (
    "accounts_auditentry",
    "accounts_journallink",
    "accounts_journalcheckpoint",
    "accounts_journalhead",
)


@pytest.fixture(autouse=True)
def own_key(settings, tmp_path):
    return use_own_key(settings, tmp_path)


class Backup:
    """A copy of the journal's tables, to be put in place of what they are later."""

    def __enter__(self):
        with connection.cursor() as cursor:
            for table in TABLES:
                cursor.execute(f"CREATE TABLE copy_{table} AS SELECT * FROM {table}")
        return self

    def restore(self):
        """Put the copy in place, as its owner can; what came later is gone."""
        with transaction.atomic(), connection.cursor() as cursor:
            for table in TABLES:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            for table in reversed(TABLES):
                cursor.execute(f"DELETE FROM {table}")
            for table in TABLES:
                cursor.execute(f"INSERT INTO {table} SELECT * FROM copy_{table}")
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")

    def __exit__(self, *_):
        with connection.cursor() as cursor:
            for table in TABLES:
                cursor.execute(f"DROP TABLE copy_{table}")


@pytest.fixture
def restored(settings):
    """Return a firm whose database is two checkpoints older than what is outside."""
    firm = make_sealed_firm(settings, batches=(3, 3))
    with Backup() as backup:
        write_entries(firm, 4)
        seal_journal(firm_id=firm.pk)
        write_entries(firm, 4)
        seal_journal(firm_id=firm.pk)
        assert not is_look_only()
        assert find_look_only(firm.pk) is None
        backup.restore()
    return firm


def compare(firm):
    """Note a comparison with the broker, as `reconcile` does when it has come to its end."""
    operations.note_reconciled(firm_id=firm.pk, started_at=clock.database_now())


def make_two(firm, first=Role.SUPERVISOR, second=Role.OPERATOR):
    return people.make_user(firm, first), people.make_user(firm, second)


def test_a_restored_firm_only_looks_from_the_first_question_on(restored):
    other = people.make_firm()
    assert is_look_only()
    assert is_look_only(restored.pk)
    assert not is_look_only(other.pk)
    fault = prove_journal(restored).fault
    assert (fault.kind, fault.number, fault.until) == ("cut", 9, 16)
    assert "restored from a backup" in fault.sentence
    seal_journal(firm_id=restored.pk)
    stop = find_look_only(restored.pk)
    assert "restored from a backup" in stop.reason
    # Sealing goes on, and leaves its trace; no checkpoint is signed on top of lost history.
    assert models.AuditEntry.objects.filter(action="accounts.look_only.set").count() == 1
    write_entries(restored, 1)
    assert seal_journal(firm_id=restored.pk).checkpoint_size is None
    assert models.AuditEntry.objects.filter(action="accounts.look_only.set").count() == 1
    assert len(checkpoint_files.list_notes(restored.public_id)) == 4


def test_two_people_release_it_and_the_journal_starts_anew(restored, capsys):
    supervisor, operator = make_two(restored)
    seal_journal(firm_id=restored.pk)
    with pytest.raises(Conflict, match="Somebody must first"):
        operations.release_look_only(firm_id=restored.pk, user_id=operator.pk)
    with pytest.raises(Refused, match="compared with the broker"):
        operations.ask_release(firm_id=restored.pk, user_id=supervisor.pk, note="  ")
    with pytest.raises(Refused, match="reconcile first"):
        operations.ask_release(firm_id=restored.pk, user_id=supervisor.pk, note="All 40 agree")
    compare(restored)
    operations.ask_release(firm_id=restored.pk, user_id=supervisor.pk, note="All 40 agree")
    with pytest.raises(NotAllowed, match="somebody else"):
        operations.release_look_only(firm_id=restored.pk, user_id=supervisor.pk)
    operations.release_look_only(firm_id=restored.pk, user_id=operator.pk)
    assert is_look_only(restored.pk)  # until the checkpoint that starts anew is outside
    seal_journal(firm_id=restored.pk)
    assert not is_look_only(restored.pk)
    assert find_look_only(restored.pk) is None
    proof = prove_journal(restored)
    assert proof.fault is None
    assert proof.lost_count == 8
    for _ in range(2):
        write_entries(restored, 2)
        seal_journal(firm_id=restored.pk)
    assert prove_journal(restored).fault is None
    call_command("verify_journal")
    assert "up to 8 were lost in restores that are on record" in capsys.readouterr().out
    actions = models.AuditEntry.objects.filter(action__startswith="accounts.look_only.")
    assert list(actions.order_by("pk").values_list("action", "actor_id")) == [
        ("accounts.look_only.set", restored.users.get(role="SERVICE").pk),
        ("accounts.look_only.release_asked", supervisor.pk),
        ("accounts.look_only.released", operator.pk),
    ]


def test_a_crash_at_the_new_start_leaves_it_look_only_until_it_is_outside(restored, monkeypatch):
    supervisor, operator = make_two(restored)
    seal_journal(firm_id=restored.pk)
    compare(restored)
    operations.ask_release(firm_id=restored.pk, user_id=supervisor.pk, note="agrees")
    operations.release_look_only(firm_id=restored.pk, user_id=operator.pk)

    def crash(*_):
        raise OSError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(sealing, "append_note", crash)
        seal_journal(firm_id=restored.pk)
    assert is_look_only(restored.pk)
    seal_journal(firm_id=restored.pk)
    assert not is_look_only(restored.pk)
    assert prove_journal(restored).fault is None


def test_a_second_restore_stops_it_again(settings, restored):
    supervisor, operator = make_two(restored)
    seal_journal(firm_id=restored.pk)
    compare(restored)
    operations.ask_release(firm_id=restored.pk, user_id=supervisor.pk, note="agrees")
    operations.release_look_only(firm_id=restored.pk, user_id=operator.pk)
    seal_journal(firm_id=restored.pk)
    with Backup() as backup:
        write_entries(restored, 2)
        seal_journal(firm_id=restored.pk)
        backup.restore()
    assert is_look_only(restored.pk)
    seal_journal(firm_id=restored.pk)
    stop = find_look_only(restored.pk)
    assert stop.asked_by is None
    assert stop.released_by is None
    # The comparison of the first time says nothing about this one.
    with pytest.raises(Refused, match="reconcile first"):
        operations.ask_release(firm_id=restored.pk, user_id=supervisor.pk, note="agrees")


@pytest.mark.parametrize(
    ("first", "second", "word"),
    [
        (Role.OPERATOR, Role.OPERATOR, "supervisor or an administrator"),
        (Role.SUPERVISOR, Role.ADVISOR, "Only a supervisor"),
    ],
)
def test_not_just_any_two_release_it(restored, first, second, word):
    one, two = make_two(restored, first, second)
    seal_journal(firm_id=restored.pk)
    compare(restored)
    operations.ask_release(firm_id=restored.pk, user_id=one.pk, note="agrees")
    with pytest.raises(NotAllowed, match=word):
        operations.release_look_only(firm_id=restored.pk, user_id=two.pk)
    stranger = people.make_user(people.make_firm(), Role.SUPERVISOR)
    with pytest.raises(NotAllowed):
        operations.release_look_only(firm_id=restored.pk, user_id=stranger.pk)
    assert is_look_only(restored.pk)


def test_nothing_is_released_that_is_not_stopped(settings):
    firm = make_sealed_firm(settings, batches=(1,))
    supervisor, operator = make_two(firm)
    with pytest.raises(Refused, match="Nothing is stopped"):
        operations.ask_release(firm_id=firm.pk, user_id=supervisor.pk, note="x")
    with pytest.raises(Refused, match="Nothing is stopped"):
        operations.release_look_only(firm_id=firm.pk, user_id=operator.pk)


def test_a_folder_that_is_gone_or_unreadable_stops_it_too(settings, tmp_path):
    firm = make_sealed_firm(settings, batches=(1, 1))
    outside = settings.JOURNAL_CHECKPOINT_DIR
    settings.JOURNAL_CHECKPOINT_DIR = tmp_path / "not mounted"
    assert is_look_only(firm.pk)
    settings.JOURNAL_CHECKPOINT_DIR = outside
    assert not is_look_only(firm.pk)
    path = checkpoint_files.get_path(firm.public_id)
    path.rename(path.with_suffix(".away"))
    path.mkdir()
    assert is_look_only(firm.pk)


def test_a_new_installation_is_free(settings):
    assert not is_look_only()
    firm = people.make_firm()
    assert not is_look_only(firm.pk)
