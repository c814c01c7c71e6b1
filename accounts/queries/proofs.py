"""The proof of a journal: every entry against its text, every text against its place in the chain,
the chain against every signed checkpoint outside the database. It ends at the first fault.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from django.conf import settings
from django.db import connection, transaction

from accounts import models
from accounts.domain.checkpoints import Note, UnreadableNote, drop_void, is_signed, read_note
from accounts.domain.journal import make_origin
from accounts.queries import checkpoint_files
from accounts.queries.chain_walk import JournalFault, Walk, walk_chain

APPEND_ONLY = ("accounts_auditentry", "accounts_journallink", "accounts_journalcheckpoint")
_GUARDS = """
    SELECT t.name FROM unnest(%s::text[]) AS t (name)
    WHERE (SELECT count(*) FROM pg_trigger g WHERE g.tgrelid = t.name::regclass
           AND g.tgname IN ('append_only_rows', 'append_only_table') AND g.tgenabled IN ('O', 'A'))
          <> 2
"""
_WAITING = """
    SELECT count(*), min(e.id), count(*) FILTER (
        WHERE e.recorded_at < statement_timestamp() - make_interval(secs => %s))
    FROM accounts_auditentry e
    WHERE e.firm_id = %s
        AND NOT EXISTS (SELECT 1 FROM accounts_journallink l WHERE l.entry_id = e.id)
"""
_EXPOSED_FOR = """
    SELECT extract(epoch FROM statement_timestamp() - e.recorded_at)::bigint
    FROM accounts_journallink l JOIN accounts_auditentry e ON e.id = l.entry_id
    WHERE l.firm_id = %s AND l.seq = %s
"""


@dataclass(frozen=True, slots=True)
class JournalProof:
    """What was proven of one firm's journal, or the first thing that is wrong with it."""

    firm_name: str
    entry_count: int
    checkpoint_count: int
    newest: Note | None
    waiting_count: int
    lost_count: int
    fault: JournalFault | None

    @property
    def exposed_count(self) -> int:
        """Return how many entries no checkpoint outside covers yet: these could be rewritten."""
        return self.entry_count - (self.newest.checkpoint.size if self.newest else 0)


@dataclass(slots=True)
class _Evidence:
    """What lies outside the database."""

    notes: list[Note] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    lost_count: int = 0
    fault: JournalFault | None = None


def prove_journal(
    firm: models.Firm, *, more_notes: Sequence[Note] = (), more_keys: Sequence[bytes] = ()
) -> JournalProof:
    """Prove a firm's journal, against the checkpoints outside and those that somebody brings.

    `more_notes` may be of other firms, and are then left aside; `more_keys` are public keys to
    believe besides those in the folder.
    """
    # What is outside is read first: the database can then only be further, never behind.
    evidence = _read_outside(firm, more_notes, more_keys)
    with _one_snapshot():
        walk = walk_chain(firm, evidence.notes)
        waiting_count, waiting_fault = _find_waiting(firm)
        fault = (
            walk.fault
            or evidence.fault
            or _find_table_fault(firm, evidence)
            or _find_guard_fault()
            or waiting_fault
            or _find_exposure_fault(firm, walk, evidence.notes)
        )
    newest = max(evidence.notes, key=lambda note: note.checkpoint.size, default=None)
    return JournalProof(
        firm_name=firm.name,
        entry_count=walk.size,
        checkpoint_count=len(evidence.notes),
        newest=newest,
        waiting_count=waiting_count,
        lost_count=evidence.lost_count,
        fault=fault,
    )


@contextmanager
def _one_snapshot() -> Iterator[None]:
    """See the database as it is at one moment; inside a transaction it is as that sees it."""
    outermost = not connection.in_atomic_block
    with transaction.atomic() if outermost else nullcontext():
        if outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


# --- What is outside ------------------------------------------------------------------------------


def _read_outside(
    firm: models.Firm, more_notes: Sequence[Note], more_keys: Sequence[bytes]
) -> _Evidence:
    origin = make_origin(firm.public_id)
    brought = [note for note in more_notes if note.checkpoint.origin == origin]
    try:
        notes = checkpoint_files.list_notes(firm.public_id)
        keys = [*checkpoint_files.list_public_keys(), *more_keys]
    except checkpoint_files.FolderUnreadable as problem:
        return _Evidence(fault=JournalFault(0, 0, "checkpoint", str(problem)))
    for note in [*notes, *brought]:
        size = note.checkpoint.size
        if note.checkpoint.origin != origin or not is_signed(note, keys):
            sentence = f"the checkpoint of {size} entries outside is not signed by a known key"
            return _Evidence(fault=JournalFault(size, size, "checkpoint", sentence))
    held, lost = drop_void(notes)
    # A note that somebody brings counts, unless a restore on record has made it void.
    void = {note.digest for note in notes} - {note.digest for note in held}
    held += [note for note in brought if note.digest not in void and note not in held]
    held.sort(key=lambda note: note.checkpoint.size)
    return _Evidence(held, keys, sum(lost.values()))


# --- What is inside beside the chain --------------------------------------------------------------


def _find_table_fault(firm: models.Firm, evidence: _Evidence) -> JournalFault | None:
    """Return how the table of checkpoints differs from what is outside, or from itself."""
    rows = {
        row.digest: row
        for row in models.JournalCheckpoint.objects.select_related("firm").filter(firm=firm)
    }
    outside = {note.digest: note for note in checkpoint_files.list_notes(firm.public_id)}
    for note in evidence.notes:
        if note.digest in outside and note.digest not in rows:
            return _say(note.checkpoint.size, "is outside but not as such in the table")
    for row in sorted(rows.values(), key=lambda row: row.size):
        if not _is_row_whole(row, evidence.keys):
            known = outside.get(row.digest)
            size = known.checkpoint.size if known else row.size
            return _say(size, "was altered in the table, or was never signed by us")
    return None


def _say(size: int, what: str) -> JournalFault:
    return JournalFault(size, size, "checkpoint", f"the checkpoint of {size} entries {what}")


def _is_row_whole(row: models.JournalCheckpoint, keys: Sequence[bytes]) -> bool:
    try:
        note = read_note(row.note)
    except UnreadableNote:
        return False
    said = note.checkpoint
    return (
        row.digest == note.digest
        and row.size == said.size
        and row.root == said.root.hex()
        and row.checkpoint_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ") == said.time
        and row.key_id == note.key_id
        and said.origin == make_origin(row.firm.public_id)
        and is_signed(note, keys)
    )


def _find_guard_fault() -> JournalFault | None:
    with connection.cursor() as cursor:
        cursor.execute(_GUARDS, [list(APPEND_ONLY)])
        tables = [name for (name,) in cursor.fetchall()]
    if not tables:
        return None
    return JournalFault(
        0, 0, "unguarded", f"the triggers that refuse changes are off on {', '.join(tables)}"
    )


def _find_waiting(firm: models.Firm) -> tuple[int, JournalFault | None]:
    limit = settings.JOURNAL_BACKLOG_SECONDS_MAX
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, [limit, firm.pk])
        count, first_id, late_count = cursor.fetchone()
    if not late_count:
        return count, None
    sentence = (
        f"{late_count} entries, from id {first_id} on, have waited more than {limit} seconds to be "
        "sealed: is the worker running? Or somebody put them in from behind"
    )
    return count, JournalFault(0, 0, "unsealed", sentence)


def _find_exposure_fault(
    firm: models.Firm, walk: Walk, notes: Sequence[Note]
) -> JournalFault | None:
    """Return that entries have waited too long for a checkpoint that covers them."""
    covered = max((note.checkpoint.size for note in notes), default=0)
    limit = 2 * settings.JOURNAL_CHECKPOINT_SECONDS + settings.JOURNAL_BACKLOG_SECONDS_MAX
    with connection.cursor() as cursor:
        cursor.execute(_EXPOSED_FOR, [firm.pk, covered + 1])
        row = cursor.fetchone()
    if row is None or row[0] <= limit:
        return None
    sentence = (
        f"no checkpoint outside covers entries {covered + 1} to {walk.size}, the first of them for "
        f"{row[0]} seconds: is a key set (EVENKEEL_JOURNAL_KEY_FILE), and the worker running?"
    )
    return JournalFault(covered + 1, walk.size, "uncovered", sentence)
