"""Sealing: committed entries are numbered and chained, and signed checkpoints leave the database.

One sealer at a time works on a firm, under the lock of its `JournalHead`, the counter that numbers
entries. It takes what transactions left behind that are older than any still open, so that no
entry is passed over, in whatever order transactions commit.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from accounts import models
from accounts.domain.checkpoints import Checkpoint, read_note, sign_checkpoint
from accounts.domain.journal import hash_entry, make_genesis, make_origin
from accounts.domain.merkle import Frontier
from accounts.operations.installation import end_look_only, stop_when_restored
from accounts.operations.signing import NoSigningKey, append_note, load_signing_key, publish_key
from accounts.queries import checkpoint_files, installation
from robo.common import clock

logger = logging.getLogger(__name__)

ENTRIES_AT_ONCE = 5000
_HORIZON = """
    SELECT pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint
    FROM pg_current_snapshot() AS s
"""
# A number above every one given out yet is of another server: the entry came with a restored copy.
_READY = """
    SELECT e.id, e.body, e.xid::text::bigint FROM accounts_auditentry e
    WHERE e.firm_id = %(firm)s AND e.xid >= %(floor)s::text::xid8
        AND (e.xid < %(xmin)s::text::xid8 OR e.xid >= %(xmax)s::text::xid8)
        AND NOT EXISTS (SELECT 1 FROM accounts_journallink l WHERE l.entry_id = e.id)
    ORDER BY e.xid, e.id LIMIT %(limit)s
"""
_LINK = """
    INSERT INTO accounts_journallink (entry_id, firm_id, seq, prev_hash, entry_hash)
    SELECT entry_id, %s, seq, prev_hash, entry_hash
    FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[])
        AS t (entry_id, seq, prev_hash, entry_hash)
"""


class ChainBroken(Exception):
    """The chain does not stand where its counter says; nothing is sealed on top of that."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What one call did: entries sealed, and the size of a checkpoint if one was due."""

    entry_count: int
    checkpoint_size: int | None


def seal_journal(*, firm_id: int) -> Sealed:
    """Seal what waits in a firm's journal, and sign a checkpoint when one is due.

    Not inside a transaction: entries of one that is still open, its own included, must wait.

    :raises ChainBroken: when the chain was changed behind our back.
    """
    firm = models.Firm.objects.get(pk=firm_id)
    total = 0
    while True:
        count = _seal_batch(firm)
        total += count
        if count < ENTRIES_AT_ONCE:
            break
    return Sealed(total, _checkpoint(firm))


@transaction.atomic(durable=True)
def _seal_batch(firm: models.Firm) -> int:
    head = _lock_head(firm)
    if head is None:
        return 0  # another sealer is at work
    _check_end(firm, head)
    with connection.cursor() as cursor:
        cursor.execute(_HORIZON)
        xmin, xmax = cursor.fetchone()
        floor = head.horizon if head.horizon <= xmin else 0
        cursor.execute(
            _READY,
            {
                "firm": firm.pk,
                "floor": floor,
                "xmin": xmin,
                "xmax": xmax,
                "limit": ENTRIES_AT_ONCE,
            },
        )
        entries = cursor.fetchall()
        if entries:
            _write_links(cursor, head, entries)
    # Of the last transaction in a full batch some entries may be left for the next.
    head.horizon = xmin if len(entries) < ENTRIES_AT_ONCE else entries[-1][2]
    head.save()
    return len(entries)


def _lock_head(firm: models.Firm) -> models.JournalHead | None:
    """Return the firm's head, locked; None when somebody else holds it."""
    genesis = make_genesis(make_origin(firm.public_id)).hex()
    models.JournalHead.objects.bulk_create(
        [models.JournalHead(firm=firm, last_hash=genesis)], ignore_conflicts=True
    )
    return models.JournalHead.objects.select_for_update(skip_locked=True).filter(firm=firm).first()


def _check_end(firm: models.Firm, head: models.JournalHead) -> None:
    last = models.JournalLink.objects.filter(firm=firm).order_by("-seq").first()
    stands = (0, make_genesis(make_origin(firm.public_id)).hex())
    if last is not None:
        stands = (last.seq, last.entry_hash)
    if stands != (head.size, head.last_hash):
        raise ChainBroken(
            f"{firm.name}: the journal's counter says {head.size}, its last entry is {stands[0]}; "
            "nothing more is sealed. Run verify_journal."
        )


def _write_links(
    cursor: Any, head: models.JournalHead, entries: list[tuple[int, str, int]]
) -> None:
    frontier = Frontier.read(head.size, head.frontier)
    prev = bytes.fromhex(head.last_hash)
    ids, seqs, prevs, hashes, digests = [], [], [], [], []
    for seq, (entry_id, body, _xid) in enumerate(entries, start=head.size + 1):
        digest = hash_entry(seq, prev, body)
        digests.append(digest)
        ids.append(entry_id)
        seqs.append(seq)
        prevs.append(prev.hex())
        hashes.append(digest.hex())
        prev = digest
    frontier.extend(digests)
    cursor.execute(_LINK, [head.firm_id, ids, seqs, prevs, hashes])
    head.size, head.last_hash, head.frontier = frontier.size, prev.hex(), frontier.write()


# --- Checkpoints ----------------------------------------------------------------------------------


def _checkpoint(firm: models.Firm) -> int | None:
    """Sign and put outside what is due; return its size.

    The row is committed before the file is written, so that the file is never ahead of a database
    that lost nothing: only a restored one is behind its own checkpoints.
    """
    try:
        key = load_signing_key()
        publish_key(key)
        _bring_outside(firm, restarts_only=True)
        if stop_when_restored(firm_id=firm.pk) and not _is_released(firm):
            return None
        _bring_outside(firm)
        row = _make_checkpoint(firm, key)
        _bring_outside(firm)
    except (NoSigningKey, OSError, checkpoint_files.FolderUnreadable) as problem:
        logger.error(
            "journal of firm %s: no checkpoint has left the database: %s", firm.pk, problem
        )
        return None
    return row.size if row else None


def _bring_outside(firm: models.Firm, *, restarts_only: bool = False) -> None:
    """Write the newest checkpoint of the table outside, where a crash may have kept it inside.

    After a restore only the one that starts anew may go out; all others are there already.
    """
    newest = _get_newest(firm)
    if newest is None or newest.note == checkpoint_files.find_newest_text(firm.public_id):
        return
    if restarts_only and read_note(newest.note).checkpoint.kept_size is None:
        return
    append_note(firm.public_id, newest.note)


def _is_released(firm: models.Firm) -> bool:
    stop = installation.find_look_only(firm.pk)
    return stop is not None and stop.released_by_id is not None


def _get_newest(firm: models.Firm) -> models.JournalCheckpoint | None:
    return models.JournalCheckpoint.objects.filter(firm=firm).order_by("-checkpoint_at").first()


@transaction.atomic(durable=True)
def _make_checkpoint(firm: models.Firm, key: Any) -> models.JournalCheckpoint | None:
    head = models.JournalHead.objects.select_for_update(skip_locked=True).filter(firm=firm).first()
    if head is None:
        return None
    now = clock.database_now().astimezone(UTC)
    newest = _get_newest(firm)
    kept_size = end_look_only(firm_id=firm.pk)
    if kept_size is None and not _is_due(head, newest, now):
        return None
    note = sign_checkpoint(
        Checkpoint(
            origin=make_origin(firm.public_id),
            size=head.size,
            root=Frontier.read(head.size, head.frontier).measure_root(),
            time=now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            kept_size=kept_size,
        ),
        key,
    )
    return models.JournalCheckpoint.objects.create(
        digest=note.digest,
        firm=firm,
        size=head.size,
        root=note.checkpoint.root.hex(),
        checkpoint_at=now,
        key_id=note.key_id,
        note=note.text,
    )


def _is_due(
    head: models.JournalHead, newest: models.JournalCheckpoint | None, now: datetime
) -> bool:
    if head.size == (newest.size if newest else 0):
        return False
    if newest is None or head.size - newest.size >= settings.JOURNAL_CHECKPOINT_ENTRIES:
        return True
    return now - newest.checkpoint_at >= timedelta(seconds=settings.JOURNAL_CHECKPOINT_SECONDS)
