"""A walk along a firm's chain, entry by entry, to the first that is not as it was sealed, and what
can be said about it: altered, missing, inserted, swapped, renumbered, rewritten or cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from accounts import models
from accounts.domain import journal
from accounts.domain.checkpoints import Note
from accounts.domain.merkle import Frontier
from accounts.queries.journal import BODY_COLUMNS

ROWS_AT_ONCE = 5000
NEIGHBOURS = 100
# A database's clock may be set; an entry may be so much older than the checkpoint before it.
CLOCK_TOLERANCE = timedelta(hours=1)
_PLAIN = journal.compose_sql(BODY_COLUMNS)
# PostgreSQL compares the columns with the text, on a processor of its own; hashes are ours.
_LINKS = f"""
    SELECT l.seq, l.prev_hash, l.entry_hash, l.entry_id, e.body,
        e.body = {_PLAIN} || right(e.body, {journal.HIDDEN_LENGTH}), e.salt, e.summary, e.detail
    FROM accounts_journallink l LEFT JOIN accounts_auditentry e ON e.id = l.entry_id
    WHERE l.firm_id = %s AND l.seq BETWEEN %s AND %s ORDER BY l.seq, l.entry_id
"""  # noqa: S608
_SEQ_MAX = 2**63 - 1
_AT = "\nat "
_AT_OFFSET = len(_AT)
_AT_LENGTH = len("2026-01-01T00:00:00.000000Z")

# seq, prev_hash, entry_hash, entry_id, body, whether it says what the columns say, salt, summary,
# detail
Row = tuple[int, str, str, int, str | None, bool | None, str, str, str]


@dataclass(frozen=True, slots=True)
class JournalFault:
    """The first thing wrong: entry `number` (to `until`, where only a range can be named).

    A number of 0 means that no one entry is to blame.
    """

    number: int
    until: int
    kind: str
    sentence: str


class Walk:
    """How far a walk came: entries proven, the last hash, the tree, and the first fault."""

    def __init__(self, firm: models.Firm, notes: Sequence[Note]) -> None:
        """Stand before a firm's first entry, with the checkpoints that hold, smallest first."""
        self.firm = firm
        self.size = 0
        self.last = journal.make_genesis(journal.make_origin(firm.public_id))
        self.last_hex = self.last.hex()
        self.frontier = Frontier()
        self.fault: JournalFault | None = None
        self.erased: list[tuple[int, dict[str, str]]] = []
        self.erasures: list[dict[str, str]] = []
        self._ahead = [note for note in notes if note.checkpoint.size > 0][::-1]
        self._passed_size = 0
        self._not_before = ""
        self._set_bounds(None)

    def take(self, rows: Sequence[Row]) -> JournalFault | None:
        """Take the next entries, or return what is wrong with the first that cannot be taken."""
        digests: list[bytes] = []
        for row in rows:
            fault = self._take_one(row)
            if fault:
                return fault
            digests.append(self.last)
            if self.size == self._stop_size:
                self.frontier.extend(digests)
                digests = []
                fault = self._compare()
                if fault:
                    return fault
        self.frontier.extend(digests)
        return None

    def _take_one(self, row: Row) -> JournalFault | None:
        seq, prev_hash, entry_hash, _id, body, is_plain, salt, summary, detail = row
        if seq != self.size + 1 or prev_hash != self.last_hex or body is None:
            return _explain_place(self, row)
        digest = journal.hash_entry(seq, self.last, body)
        if digest.hex() != entry_hash:
            return _explain_hash(self, row, digest)
        if not salt:
            if not is_plain or summary or detail != journal.ERASED_DETAIL:
                return _name_columns(row)
            self.erased.append((seq, journal.read_body(body)))
        elif not is_plain or not body.endswith(journal.compose_hidden(salt, summary, detail)):
            return _name_columns(row)
        at = body.find(_AT) + _AT_OFFSET
        if not self._not_before <= body[at : at + _AT_LENGTH] <= self._not_after:
            return _say(seq, "back-dated", f"{body[at : at + _AT_LENGTH]} does not fit its place")
        if journal.ERASURE_ACTION in body:
            self.erasures.append(journal.read_body(body))
        self.size, self.last, self.last_hex = seq, digest, entry_hash
        return None

    def finish(self) -> JournalFault | None:
        """Return what is wrong with the end of the chain, or with what was erased."""
        if self._ahead:
            size = self._ahead[0].checkpoint.size
            return JournalFault(
                self.size + 1,
                size,
                "cut",
                f"entries {self.size + 1} to {size} are gone: truncated, or restored from a "
                f"backup, after checkpoint of {size} entries was signed",
            )
        return _find_head_fault(self) or self._find_unexplained_erasure()

    def _compare(self) -> JournalFault | None:
        """Compare the tree with every checkpoint of this size."""
        root = self.frontier.measure_root()
        while self._ahead and self._ahead[-1].checkpoint.size == self.size:
            note = self._ahead.pop()
            if note.checkpoint.root != root:
                first = self._passed_size + 1
                return JournalFault(
                    first,
                    self.size,
                    "rewritten",
                    f"entries {first} to {self.size} are not those that were signed at "
                    f"{note.checkpoint.time}: rewritten after checkpoint of {self._passed_size}",
                )
            self._set_bounds(note)
        self._passed_size = self.size
        return None

    def _set_bounds(self, passed: Note | None) -> None:
        """Say between which times the entries up to the next checkpoint must have been written."""
        if passed is not None:
            self._not_before = _shift(passed, -CLOCK_TOLERANCE)
        self._not_after = _shift(self._ahead[-1], CLOCK_TOLERANCE) if self._ahead else "9"
        self._stop_size = self._ahead[-1].checkpoint.size if self._ahead else 0

    def _find_unexplained_erasure(self) -> JournalFault | None:
        for seq, entry in self.erased:
            if not any(_covers(erasure, entry) for erasure in self.erasures):
                return _say(seq, "altered", "its words are gone, and no erasure is on record")
        return None


def walk_chain(firm: models.Firm, notes: Sequence[Note]) -> Walk:
    """Walk a firm's chain against checkpoints that hold, smallest first, to its first fault."""
    walk = Walk(firm, notes)
    with connection.chunked_cursor() as cursor:
        cursor.execute(_LINKS, [firm.pk, 0, _SEQ_MAX])
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            walk.fault = walk.take(rows)
            if walk.fault:
                return walk
    walk.fault = walk.finish()
    return walk


def _covers(erasure: dict[str, str], entry: dict[str, str]) -> bool:
    """Return whether an erasure on record is of this entry's household, and of later times."""
    return erasure["household"] == entry["household"] and entry["at"] < erasure["object"]


def _shift(note: Note, by: timedelta) -> str:
    moment = datetime.fromisoformat(note.checkpoint.time) + by
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _say(number: int, kind: str, what: str) -> JournalFault:
    return JournalFault(number, number, kind, f"entry {number} is {kind}: {what}")


# --- What exactly is wrong ------------------------------------------------------------------------


def _find_head_fault(walk: Walk) -> JournalFault | None:
    head = models.JournalHead.objects.filter(firm=walk.firm).first()
    said = (head.size, head.last_hash, head.frontier) if head else (0, walk.last.hex(), "")
    if said == (walk.size, walk.last.hex(), walk.frontier.write()):
        return None
    if said[0] > walk.size:
        first = walk.size + 1
        sentence = f"entries {first} to {said[0]} are gone: the counter says so"
        return JournalFault(first, said[0], "cut", sentence)
    if said[0] < walk.size:
        first = said[0] + 1
        sentence = (
            f"entries {first} to {walk.size} were put in past the counter, which is {said[0]}"
        )
        return JournalFault(first, walk.size, "inserted", sentence)
    sentence = f"the counter knows another hash than that of entry {walk.size}, which is the last"
    return JournalFault(walk.size, walk.size + 1, "rewritten", sentence)


def _explain_place(walk: Walk, row: Row) -> JournalFault:
    """Say what is wrong with an entry that is not there, or does not follow the one before it."""
    seq, prev_hash, entry_hash, _id, body = row[:5]
    number = walk.size + 1
    if seq < number:
        return _say(seq, "inserted", "its number is given twice")
    if seq > number:
        if body and journal.hash_entry(number, walk.last, body).hex() == entry_hash:
            return _say(number, "renumbered", f"it stands as {seq}")
        return _say(number, "missing", f"after it comes {seq}")
    if body is None:
        return _say(number, "missing", "its row is gone, only its link is left")
    if journal.hash_entry(number, walk.last, body).hex() == entry_hash:
        return _say(number, "altered", "its link's prev_hash is not that of the entry before")
    sealed_as = _find_sealed_number(row)
    if sealed_as is None:
        return _say(number, "altered", "neither its text nor its link are as they were sealed")
    if sealed_as == number:
        if number == 1:
            return _say(1, "rewritten", "it is not chained to where this firm's journal begins")
        return _say(number - 1, "rewritten", f"entry {number} was sealed upon another one")
    if sealed_as < number:
        return _say(sealed_as, "inserted", f"what was sealed as {sealed_as} stands as {number}")
    return _say(number, "missing", f"what was sealed as {sealed_as} stands in its place")


def _find_sealed_number(row: Row) -> int | None:
    """Return the number under which a row's text, link and hash fit together, if any nearby."""
    seq, prev_hash, entry_hash, _id, body = row[:5]
    try:
        prev = bytes.fromhex(prev_hash)
    except ValueError:
        return None
    for distance in range(NEIGHBOURS):
        for number in {seq - distance, seq + distance}:
            if number > 0 and journal.hash_entry(number, prev, body or "").hex() == entry_hash:
                return number
    return None


def _explain_hash(walk: Walk, row: Row, digest: bytes) -> JournalFault:
    """Say why an entry that follows the one before it does not have the hash it was sealed with."""
    seq, entry_id, body = row[0], row[3], row[4]
    is_whole = bool(row[5]) and str(body).endswith(journal.compose_hidden(*row[6:]))
    with connection.cursor() as cursor:
        cursor.execute(
            _LINKS, [walk.firm.pk, max(0, seq - NEIGHBOURS), min(_SEQ_MAX, seq + NEIGHBOURS)]
        )
        others: list[Row] = [other for other in cursor.fetchall() if other[0] != seq]
    if any(other[0] == seq + 1 and other[1] == digest.hex() for other in others):
        return _say(seq, "altered", "its link's entry_hash is not the one it was sealed with")
    for other in others if is_whole else ():
        if _fits(other, body or "", other[2]):
            return _say(seq, "swapped", f"it shows what was sealed as {other[0]}")
        if _fits(other, body or "", row[2]):
            if other[0] < seq:
                what = f"what was sealed as {other[0]} stands as {seq}"
                return _say(other[0], "inserted", what)
            return _say(seq, "missing", f"what was sealed as {other[0]} stands in its place")
    if is_whole:
        return _say(seq, "altered", f"the entry with id {entry_id} is not the one that was sealed")
    return _name_columns(row)


def _fits(link: Row, body: str, entry_hash: str) -> bool:
    """Return whether a text with this hash would stand where `link` stands."""
    try:
        prev = bytes.fromhex(link[1])
    except ValueError:
        return False
    return journal.hash_entry(link[0], prev, body).hex() == entry_hash


def _name_columns(row: Row) -> JournalFault:
    """Say which columns of an entry do not say what its text says."""
    seq, entry_id, body, salt, summary, detail = row[0], row[3], row[4], *row[6:]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_PLAIN} FROM accounts_auditentry e WHERE e.id = %s",  # noqa: S608
            [entry_id],
        )
        plain = cursor.fetchone()[0]
    try:
        sealed = journal.read_body(body or "")
        shown = journal.read_body(f"{plain}{journal.compose_hidden(salt, summary, detail)}")
    except ValueError:
        return _say(seq, "altered", "its body is no longer the text of an entry")
    names = [label for label in sealed if sealed[label] != shown[label]]
    if set(journal.HIDDEN_LINES) <= set(names):
        names = [*names, "or salt"]
    return _say(seq, "altered", f"{', '.join(names)} differs from the text that was sealed")
