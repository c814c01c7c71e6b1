"""Sealing: numbered without gaps whatever the order of commits; and what leaves, signed."""

import threading

import pytest
from django.db import IntegrityError, connection, connections, transaction

from accounts import models, tasks
from accounts.domain.journal import hash_entry, read_body
from accounts.operations import sealing
from accounts.operations.audit import AuditRecord, record_audit_entries
from accounts.operations.sealing import ChainBroken, seal_journal
from accounts.queries.proofs import prove_journal
from robo.common.tracing import traced
from tests import people
from tests.accounts.journal_world import make_sealed_firm, use_own_key, write_entries

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def own_key(settings, tmp_path):
    return use_own_key(settings, tmp_path)


def list_seqs(firm):
    links = models.JournalLink.objects.filter(firm=firm).order_by("seq")
    return list(links.values_list("seq", flat=True))


def test_what_was_written_is_sealed_and_proven(settings):
    firm = make_sealed_firm(settings)
    proof = prove_journal(firm)
    assert proof.fault is None
    assert proof.entry_count == models.AuditEntry.objects.filter(firm=firm).count() == 17
    assert (proof.checkpoint_count, proof.exposed_count, proof.waiting_count) == (3, 0, 0)
    assert list_seqs(firm) == list(range(1, 18))
    assert seal_journal(firm_id=firm.pk) == sealing.Sealed(0, None)


def test_an_entry_says_who_when_and_in_whose_stead():
    firm = people.make_firm()
    client = people.make_client(people.make_household(firm))
    with traced("request\n1", acting_for_id=client.pk):
        write_entries(firm, 1, household=client.household, actor=people.make_user(firm))
    entry = models.AuditEntry.objects.latest("pk")
    said = read_body(entry.body)
    assert said["number"] == str(entry.pk)
    assert said["request"] == entry.request_id == "request 1"
    assert said["acting-for"] == str(client.pk) == str(entry.acting_for_id)
    assert said["role"] == entry.role == "ADVISOR"
    assert said["at"] == entry.recorded_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert said["transaction"] == str(entry.xid)
    for words in (entry.summary, "Zoë", "note"):
        assert words not in entry.body
    assert entry.detail["note"] == 'a\tb\n"c" \\ é'


def test_entries_keep_the_order_in_which_they_were_given_and_roll_back_with_their_change():
    firm = people.make_firm()
    engine_id = firm.users.get().pk
    records = [
        AuditRecord(firm.pk, engine_id, "test.order.kept", str(n), str(n)) for n in range(99)
    ]
    with transaction.atomic():
        record_audit_entries(records)
    entries = models.AuditEntry.objects.filter(action="test.order.kept").order_by("pk")
    assert [int(entry.object_id) for entry in entries] == list(range(99))
    with transaction.atomic():
        record_audit_entries(records)
        transaction.set_rollback(True)
    assert entries.count() == 99
    seal_journal(firm_id=firm.pk)
    # The numbers that the rollback took are a gap among ids, and none in the chain.
    write_entries(firm, 1)
    seal_journal(firm_id=firm.pk)
    assert list_seqs(firm) == list(range(1, 102))
    assert prove_journal(firm).fault is None


def test_an_entry_of_a_transaction_that_commits_late_is_not_passed_over():
    firm = people.make_firm()
    seal_journal(firm_id=firm.pk)
    begun, may_commit = threading.Event(), threading.Event()

    def write_slowly():
        with transaction.atomic():
            write_one(firm, "slow")
            begun.set()
            may_commit.wait(20)
        connections.close_all()

    slow = threading.Thread(target=write_slowly)
    slow.start()
    assert begun.wait(20)
    write_entries(firm, 3)  # higher numbers, committed first
    before = list_seqs(firm)
    seal_journal(firm_id=firm.pk)
    assert list_seqs(firm) == before  # they wait for the older transaction
    may_commit.set()
    slow.join()
    seal_journal(firm_id=firm.pk)
    assert len(list_seqs(firm)) == len(before) + 4
    assert prove_journal(firm).fault is None


def write_one(firm, object_id):
    record_audit_entries(
        [AuditRecord(firm.pk, firm.users.get(role="SERVICE").pk, "test.one", object_id, "One")]
    )


def test_many_sealers_and_writers_make_one_chain(settings):
    settings.JOURNAL_CHECKPOINT_ENTRIES = 3
    firm = people.make_firm()
    faults = []

    def work(number):
        try:
            for turn in range(12):
                if number % 2:
                    write_entries(firm, 1)
                else:
                    seal_journal(firm_id=firm.pk)
                del turn
        except Exception as error:
            faults.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    seal_journal(firm_id=firm.pk)
    assert list_seqs(firm) == list(range(1, 38))
    proof = prove_journal(firm)
    assert proof.fault is None
    assert proof.checkpoint_count >= 2


def test_more_than_a_batch_is_sealed_at_once(monkeypatch):
    monkeypatch.setattr(sealing, "ENTRIES_AT_ONCE", 4)
    firm = people.make_firm()
    engine_id = firm.users.get().pk
    with transaction.atomic():  # more in one transaction than in one batch
        record_audit_entries([AuditRecord(firm.pk, engine_id, "a.b", "1", "x") for _ in range(10)])
    write_entries(firm, 3)
    assert seal_journal(firm_id=firm.pk).entry_count == 14
    assert prove_journal(firm).fault is None


def test_entries_that_came_with_a_copy_of_another_server_are_sealed():
    firm = make_firm_with_foreign_entry()
    seal_journal(firm_id=firm.pk)
    write_entries(firm, 2)
    seal_journal(firm_id=firm.pk)
    proof = prove_journal(firm)
    assert proof.fault is None
    assert (proof.entry_count, proof.waiting_count) == (4, 0)


def make_firm_with_foreign_entry():
    """Return a firm whose second entry bears a transaction number beyond this server's."""
    firm = people.make_firm()
    seal_journal(firm_id=firm.pk)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint + 1000000")
        far = cursor.fetchone()[0]
        cursor.execute("SELECT * FROM accounts_auditentry WHERE firm_id = %s", [firm.pk])
        names = [column.name for column in cursor.description]
        row = dict(zip(names, cursor.fetchone(), strict=True))
        old = f"\nnumber {row['id']}\n", f"\ntransaction {row['xid']}\n"
        row["body"] = row["body"].replace(old[0], f"\nnumber {row['id'] + 500}\n")
        row["body"] = row["body"].replace(old[1], f"\ntransaction {far}\n")
        row |= {"id": row["id"] + 500, "xid": str(far)}
        marks = ", ".join("%s::text::xid8" if name == "xid" else "%s" for name in names)
        cursor.execute(f"INSERT INTO accounts_auditentry VALUES ({marks})", list(row.values()))
        # The counter was copied too, with where it stood.
        cursor.execute("UPDATE accounts_journalhead SET horizon = %s::text::xid8", [str(far)])
    return firm


def test_nothing_is_sealed_on_top_of_a_broken_chain(caplog):
    firm = people.make_firm()
    seal_journal(firm_id=firm.pk)
    write_entries(firm, 1)
    models.JournalHead.objects.filter(firm=firm).update(last_hash="0" * 64)
    with pytest.raises(ChainBroken, match="Run verify_journal"):
        seal_journal(firm_id=firm.pk)
    other = people.make_firm()
    tasks.seal_journals()
    assert list_seqs(firm) == [1]
    assert list_seqs(other) == [1]
    assert "counter says" in caplog.text


def test_the_database_refuses_to_change_links_and_checkpoints_and_to_fork(settings):
    firm = make_sealed_firm(settings, batches=(2,))
    for table in ("accounts_journallink", "accounts_journalcheckpoint", "accounts_auditentry"):
        for statement in (
            "UPDATE {} SET firm_id = firm_id",
            "DELETE FROM {}",
            "TRUNCATE {} CASCADE",
        ):
            with (
                connection.cursor() as cursor,
                pytest.raises(IntegrityError, match=f"append-only: .* on {table} is refused"),
            ):
                cursor.execute(statement.format(table))
    link = models.JournalLink.objects.filter(firm=firm).latest("seq")
    write_entries(firm, 1)
    entry = models.AuditEntry.objects.filter(firm=firm).latest("pk")
    digest = hash_entry(link.seq + 1, bytes.fromhex(link.prev_hash), entry.body).hex()
    with pytest.raises(IntegrityError, match="link_never_forks"):
        models.JournalLink.objects.create(
            entry=entry,
            firm=firm,
            seq=link.seq + 1,
            prev_hash=link.prev_hash,
            entry_hash=digest,
        )
