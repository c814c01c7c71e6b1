"""How a firm's journal stands, at a glance, and where single entries stand in it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection

from accounts import models
from accounts.domain import journal
from accounts.queries import installation
from accounts.queries.journal import BODY_COLUMNS

_STATUS = """
    SELECT coalesce((SELECT size FROM accounts_journalhead WHERE firm_id = %(firm)s), 0),
        (SELECT count(*) FROM accounts_auditentry e WHERE e.firm_id = %(firm)s
            AND e.xid >= coalesce(
                (SELECT horizon FROM accounts_journalhead WHERE firm_id = %(firm)s), '0')
            AND NOT EXISTS (SELECT 1 FROM accounts_journallink l WHERE l.entry_id = e.id))
"""
_PLACES = """
    SELECT e.id, l.seq, l.prev_hash, l.entry_hash, e.body, {plain},
        e.salt, e.summary, e.detail,
        (SELECT b.entry_hash FROM accounts_journallink b
         WHERE b.firm_id = l.firm_id AND b.seq = l.seq - 1),
        (SELECT n.prev_hash FROM accounts_journallink n
         WHERE n.firm_id = l.firm_id AND n.seq = l.seq + 1),
        (SELECT min(c.size) FROM accounts_journalcheckpoint c
         WHERE c.firm_id = l.firm_id AND c.size >= l.seq)
    FROM accounts_auditentry e LEFT JOIN accounts_journallink l ON l.entry_id = e.id
    WHERE e.firm_id = %s AND e.id = ANY(%s)
""".replace("{plain}", journal.compose_sql(BODY_COLUMNS))


@dataclass(frozen=True, slots=True)
class JournalStatus:
    """What is sealed, what waits, what has left the database, and what somebody must look at."""

    sealed_count: int
    waiting_count: int
    newest: models.JournalCheckpoint | None
    alarms: Sequence[str]

    @property
    def exposed_count(self) -> int:
        """Return how many sealed entries no checkpoint covers yet."""
        return self.sealed_count - (self.newest.size if self.newest else 0)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands in the chain; `is_whole` where text, columns and neighbours agree."""

    seq: int | None
    entry_hash: str
    is_whole: bool
    checkpoint_size: int | None


NOWHERE = Place(None, "", is_whole=True, checkpoint_size=None)


def load_status(firm: models.Firm, now: datetime) -> JournalStatus:
    """Return how a firm's journal stands; this looks, it does not prove (`verify_journal` does)."""
    with connection.cursor() as cursor:
        cursor.execute(_STATUS, {"firm": firm.pk})
        sealed_count, waiting_count = cursor.fetchone()
    checkpoints = models.JournalCheckpoint.objects.filter(firm=firm)
    newest = checkpoints.order_by("-checkpoint_at").first()
    status = JournalStatus(sealed_count, waiting_count, newest, ())
    alarms = list(_find_alarms(firm, status, now))
    return JournalStatus(sealed_count, waiting_count, newest, alarms)


def _find_alarms(firm: models.Firm, status: JournalStatus, now: datetime) -> Iterable[str]:
    if not settings.JOURNAL_KEY_FILE:
        yield "No key is set, so no checkpoint is signed: see EVENKEEL_JOURNAL_KEY_FILE."
    restore = installation.find_restore(firm)
    if restore:
        yield restore
    limit = 2 * settings.JOURNAL_CHECKPOINT_SECONDS + settings.JOURNAL_BACKLOG_SECONDS_MAX
    oldest = _find_oldest_exposed(firm, status)
    if oldest is not None and (now - oldest).total_seconds() > limit:
        yield (
            f"{status.exposed_count} entries wait for a checkpoint, the oldest since "
            f"{oldest:%Y-%m-%d %H:%M} UTC: is the worker running?"
        )


def _find_oldest_exposed(firm: models.Firm, status: JournalStatus) -> datetime | None:
    covered = status.newest.size if status.newest else 0
    link = (
        models.JournalLink.objects.select_related("entry")
        .filter(firm=firm, seq=covered + 1)
        .first()
    )
    return link.entry.recorded_at if link else None


def find_places(firm: models.Firm, entry_ids: Sequence[int]) -> dict[int, Place]:
    """Return where each of a firm's entries stands in its chain, in one query."""
    with connection.cursor() as cursor:
        cursor.execute(_PLACES, [firm.pk, list(entry_ids)])
        rows = cursor.fetchall()
    genesis = journal.make_genesis(journal.make_origin(firm.public_id)).hex()
    return {row[0]: _judge(row[1:], genesis) for row in rows}


def _judge(row: Sequence[object], genesis: str) -> Place:
    seq, prev_hash, entry_hash, body, plain, salt, summary, detail, before, after, covered = row
    hidden = journal.compose_hidden(str(salt), str(summary), str(detail))
    says_the_same = body == f"{plain}{hidden}" if salt else str(body).startswith(str(plain))
    if seq is None:
        return Place(None, "", is_whole=says_the_same, checkpoint_size=None)
    prev = before if seq != 1 else genesis
    is_chained = prev_hash == prev and after in (None, entry_hash)
    digest = journal.hash_entry(int(str(seq)), bytes.fromhex(str(prev_hash)), str(body)).hex()
    return Place(
        int(str(seq)),
        str(entry_hash),
        is_whole=says_the_same and is_chained and digest == entry_hash,
        checkpoint_size=None if covered is None else int(str(covered)),
    )
