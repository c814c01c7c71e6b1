"""What leaves the database, signed: when, past which crashes; and the command that compares."""

import os
import stat

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from accounts import models
from accounts.operations import audit, sealing, signing
from accounts.operations.sealing import seal_journal
from accounts.operations.signing import NoSigningKey, load_signing_key
from accounts.queries import checkpoint_files
from accounts.queries.proofs import prove_journal
from tests import people
from tests.accounts.journal_world import make_sealed_firm, use_own_key, write_entries

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def own_key(settings, tmp_path):
    return use_own_key(settings, tmp_path)


def test_a_checkpoint_is_due_after_so_many_entries_or_so_much_time(settings):
    settings.JOURNAL_CHECKPOINT_ENTRIES = 10
    firm = people.make_firm()
    assert seal_journal(firm_id=firm.pk).checkpoint_size == 1  # the first at once
    write_entries(firm, 9)
    assert seal_journal(firm_id=firm.pk).checkpoint_size is None
    write_entries(firm, 1)
    assert seal_journal(firm_id=firm.pk).checkpoint_size == 11
    settings.JOURNAL_CHECKPOINT_SECONDS = 0
    assert seal_journal(firm_id=firm.pk).checkpoint_size is None  # nothing new
    write_entries(firm, 1)
    assert seal_journal(firm_id=firm.pk).checkpoint_size == 12


def test_a_crash_before_the_file_is_written_is_made_good(settings, monkeypatch):
    settings.JOURNAL_CHECKPOINT_ENTRIES = 1
    firm = people.make_firm()

    def crash(*_):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(sealing, "append_note", crash)
        assert seal_journal(firm_id=firm.pk).checkpoint_size is None
    assert checkpoint_files.list_notes(firm.public_id) == []
    assert models.JournalCheckpoint.objects.filter(firm=firm).count() == 1
    assert prove_journal(firm).fault is None
    seal_journal(firm_id=firm.pk)
    assert [note.checkpoint.size for note in checkpoint_files.list_notes(firm.public_id)] == [1]
    assert prove_journal(firm).fault is None


def test_a_checkpoint_cut_short_by_a_crash_is_taken_off_before_the_next(settings):
    firm = make_sealed_firm(settings, batches=(2, 2))
    path = checkpoint_files.get_path(firm.public_id)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:150])
    write_entries(firm, 1)
    seal_journal(firm_id=firm.pk)
    assert path.read_bytes().startswith(whole)
    sizes = [note.checkpoint.size for note in checkpoint_files.list_notes(firm.public_id)]
    assert sizes == [4, 6, 7]
    assert prove_journal(firm).fault is None


def test_the_newest_is_found_at_the_end_of_a_long_file(settings):
    firm = make_sealed_firm(settings, batches=(1,) * 25)
    path = checkpoint_files.get_path(firm.public_id)
    assert path.stat().st_size > checkpoint_files._TAIL_BYTES
    newest = checkpoint_files.list_notes(firm.public_id)[-1].text
    assert checkpoint_files.find_newest_text(firm.public_id) == newest
    with path.open("ab") as file:
        file.write(newest.encode()[:100])
    assert checkpoint_files.find_newest_text(firm.public_id) == newest
    with path.open("ab") as file:
        file.write(newest.encode()[100:-3])
    assert checkpoint_files.find_newest_text(firm.public_id) == newest


def test_only_a_demo_makes_its_own_key_and_nobody_else_may_read_it(settings, tmp_path):
    path = tmp_path / "new" / "key.pem"
    settings.JOURNAL_KEY_FILE = str(path)
    with pytest.raises(NoSigningKey, match="cannot be read"):
        load_signing_key()
    settings.DEMO = True
    first = load_signing_key().private_bytes_raw()
    assert load_signing_key().private_bytes_raw() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    with pytest.raises(NoSigningKey, match="chmod 600"):
        load_signing_key()
    path.chmod(0o600)
    path.write_text("no key")
    with pytest.raises(NoSigningKey, match="cannot be read"):
        load_signing_key()


def test_without_a_key_nothing_is_signed_and_that_is_an_alarm(settings, caplog):
    settings.JOURNAL_KEY_FILE = ""
    firm = people.make_firm()
    assert seal_journal(firm_id=firm.pk) == sealing.Sealed(1, None)
    assert "EVENKEEL_JOURNAL_KEY_FILE" in caplog.text
    assert prove_journal(firm).fault is None  # young enough
    settings.JOURNAL_CHECKPOINT_SECONDS = settings.JOURNAL_BACKLOG_SECONDS_MAX = -1
    fault = prove_journal(firm).fault
    assert (fault.kind, fault.number) == ("uncovered", 1)


def test_a_key_can_be_replaced(settings, tmp_path):
    firm = make_sealed_firm(settings, batches=(2,))
    use_own_key(settings, tmp_path, name="second.pem")
    write_entries(firm, 1)
    seal_journal(firm_id=firm.pk)
    assert len(checkpoint_files.list_public_keys()) == 2
    proof = prove_journal(firm)
    assert (proof.fault, proof.checkpoint_count) == (None, 2)


def test_what_waits_too_long_is_an_alarm(settings):
    firm = people.make_firm()
    settings.JOURNAL_BACKLOG_SECONDS_MAX = 3600
    assert prove_journal(firm).fault is None
    settings.JOURNAL_BACKLOG_SECONDS_MAX = -1
    assert prove_journal(firm).fault.kind == "unsealed"
    seal_journal(firm_id=firm.pk)
    settings.JOURNAL_CHECKPOINT_SECONDS = 3600
    assert prove_journal(firm).fault is None


def test_missing_triggers_are_a_fault_of_their_own(settings):
    firm = make_sealed_firm(settings, batches=(1,))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_journallink DISABLE TRIGGER append_only_table")
        fault = prove_journal(firm).fault
        transaction.set_rollback(True)
    assert fault.kind == "unguarded"
    assert "accounts_journallink" in fault.sentence


def test_an_entry_put_in_with_an_old_date_is_found(settings, monkeypatch):
    firm = make_sealed_firm(settings, batches=(2, 2))
    write_dated(monkeypatch, firm, "2020-01-01")
    seal_journal(firm_id=firm.pk)
    fault = prove_journal(firm).fault
    assert (fault.kind, fault.number) == ("back-dated", 7)


def write_dated(monkeypatch, firm, day, **facts):
    """Write an entry as if the database's clock showed another day."""
    with monkeypatch.context() as patch:
        dated = audit._INSERT.replace("statement_timestamp()", f"'{day}'::timestamptz")
        patch.setattr(audit, "_INSERT", dated)
        write_entries(firm, 1, **facts)


def test_an_entry_of_a_transaction_long_past_is_never_sealed_and_found(settings):
    firm = make_sealed_firm(settings, batches=(2,))
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_auditentry SELECT (jsonb_populate_record(a, jsonb_build_object("
            "'id', a.id + 700))).* FROM accounts_auditentry a WHERE a.firm_id = %s LIMIT 1",
            [firm.pk],
        )
    assert seal_journal(firm_id=firm.pk).entry_count == 0
    settings.JOURNAL_BACKLOG_SECONDS_MAX = -1
    assert prove_journal(firm).fault.kind == "unsealed"


# --- The command ----------------------------------------------------------------------------------


def test_verify_says_what_is_proven_and_exits_1_at_the_first_fault(settings, capsys):
    firm = make_sealed_firm(settings, name="Proven")
    write_entries(firm, 1)
    call_command("verify_journal", firm="Proven")
    out = capsys.readouterr().out
    assert "Proven: 17 entries are as they were sealed; 3 signed checkpoints outside agree" in out
    assert "exposed: 0 since then, and 1 not sealed yet" in out
    (checkpoint_files.get_folder() / "unknown.checkpoints").touch()
    call_command("verify_journal", "--seal")
    told = capsys.readouterr()
    assert "18 entries" in told.out
    assert "unknown.checkpoints is of a firm that this database does not know" in told.err
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_auditentry DISABLE TRIGGER USER")
        cursor.execute("UPDATE accounts_auditentry SET summary = 'x' WHERE object_id = 'thing-3'")
        cursor.execute("ALTER TABLE accounts_auditentry ENABLE TRIGGER USER")
    with pytest.raises(CommandError, match="entry 6 is altered: summary differs") as caught:
        call_command("verify_journal")
    assert caught.value.returncode == 1


def test_verify_holds_the_journal_against_a_checkpoint_that_somebody_kept(
    settings, tmp_path, capsys
):
    firm = make_sealed_firm(settings)
    kept = tmp_path / "kept.txt"
    kept.write_text(checkpoint_files.list_notes(firm.public_id)[1].text)
    keys = tmp_path / "keys.txt"
    keys.write_text(checkpoint_files.list_public_keys()[0].hex() + "\n")
    # The folder outside is lost: with what was kept it is proven all the same.
    settings.JOURNAL_CHECKPOINT_DIR = tmp_path / "elsewhere"
    with pytest.raises(CommandError, match="not signed by a known key"):
        call_command("verify_journal", checkpoint=kept)
    call_command("verify_journal", checkpoint=kept, public_keys=keys)
    assert "1 signed checkpoints outside agree" in capsys.readouterr().out
    kept.write_text("nonsense")
    with pytest.raises(CommandError, match="no checkpoint in"):
        call_command("verify_journal", checkpoint=kept, public_keys=keys)
    with pytest.raises(CommandError, match="there is no file"):
        call_command("verify_journal", checkpoint=tmp_path / "none")
    with pytest.raises(CommandError, match="there is no firm"):
        call_command("verify_journal", firm="Nobody")


def test_a_folder_that_cannot_be_read_is_a_fault_and_no_crash(settings):
    firm = make_sealed_firm(settings, batches=(1,))
    checkpoint_files.get_path(firm.public_id).write_bytes(b"a\n\nb\n\nc\n\n")
    assert "block 1" in prove_journal(firm).fault.sentence
    checkpoint_files.get_path(firm.public_id).write_bytes(b"\xff\xfe")
    assert "cannot be read" in prove_journal(firm).fault.sentence
    (checkpoint_files.get_folder() / checkpoint_files.KEYS_FILE).write_text("xyz\n")
    assert prove_journal(firm).fault is not None


def test_append_writes_nothing_twice(settings):
    firm = make_sealed_firm(settings, batches=(1, 1))
    path = checkpoint_files.get_path(firm.public_id)
    before = path.read_bytes()
    for note in checkpoint_files.list_notes(firm.public_id):
        signing.append_note(firm.public_id, note.text)
    assert path.read_bytes() == before
    assert os.listdir(path.parent).count(checkpoint_files.KEYS_FILE) == 1
