"""Ways in which an owner of the tables can tamper with a sealed journal, and what it was before.

Each takes a source of chance and the journal as sealed, and returns the first and last number of
the entries among which the fault must be named.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection

from accounts import models
from accounts.domain import journal
from accounts.domain.merkle import Frontier

TABLES = ("accounts_auditentry", "accounts_journallink", "accounts_journalcheckpoint")


@dataclass
class Sealed:
    """The journal as it was sealed: one dict of columns per entry and link, by number."""

    firm: models.Firm
    entries: list[dict]
    links: list[dict]
    sizes: list[int]

    @property
    def count(self) -> int:
        return len(self.links)

    @property
    def covered(self) -> int:
        """The entries that a checkpoint outside covers; the rest is the exposure window."""
        return self.sizes[-1]


def read(sql, *params):
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def run(sql, *params):
    with connection.cursor() as cursor:
        cursor.execute(sql, params or None)
        return cursor.rowcount


def set_triggers(state):
    for table in TABLES:
        run(f"ALTER TABLE {table} {state} TRIGGER USER")


def flip_text(rng, text):
    """Return the text with one bit of one letter turned, still a text."""
    at = rng.randrange(len(text))
    turned = chr(ord(text[at]) ^ 1)
    return text[:at] + turned + text[at + 1 :]


def flip(rng, value):
    """Return a column's value, as text for SQL, with something small about it changed."""
    if value is None:
        return str(rng.randrange(1, 1000))
    if isinstance(value, int):
        return str(value ^ (1 << rng.randrange(12)))
    if isinstance(value, str):
        return flip_text(rng, value) if value else "x"
    return (value + timedelta(microseconds=1 << rng.randrange(17))).isoformat()


ENTRY_COLUMNS = (
    "id", "firm_id", "recorded_at", "actor_id", "role", "acting_for_id", "action", "household_id",
    "object_id", "request_id", "summary", "detail", "salt", "body", "xid",
)  # fmt: skip


def flip_entry(rng, sealed):
    number = rng.randint(1, sealed.count)
    column = rng.choice(ENTRY_COLUMNS)
    row = sealed.entries[number - 1]
    value = row[column]
    value = int(value) if column == "xid" else value
    changed = flip(rng, value)
    while column == "id" and int(changed) in {entry["id"] for entry in sealed.entries}:
        changed = str(row["id"] + 100_000 + rng.randrange(100))
    run(
        f"UPDATE accounts_auditentry SET {column} = CAST(%s AS {_type_of(column)}) WHERE id = %s",
        changed,
        row["id"],
    )
    return number, number


def _type_of(column):
    if column == "recorded_at":
        return "timestamptz"
    if column == "xid":
        return "xid8"
    return (
        "bigint"
        if column == "id"
        or column.endswith("_id")
        and column
        not in (
            "object_id",
            "request_id",
        )
        else "text"
    )


def flip_link(rng, sealed):
    number = rng.randint(1, sealed.count)
    link = sealed.links[number - 1]
    column = rng.choice(("entry_id", "firm_id", "seq", "prev_hash", "entry_hash"))
    if column.endswith("hash"):
        changed = flip_text(rng, link[column])
    else:
        changed = link[column] ^ (1 << rng.randrange(20, 40))
    run(
        f"UPDATE accounts_journallink SET {column} = %s WHERE entry_id = %s",
        changed,
        link["entry_id"],
    )
    return number, number


def delete(rng, sealed):
    number = rng.randint(1, sealed.count)
    entry_id = sealed.links[number - 1]["entry_id"]
    tables = rng.choice((("entry",), ("link",), ("entry", "link")))
    if "entry" in tables:
        run("DELETE FROM accounts_auditentry WHERE id = %s", entry_id)
    if "link" in tables:
        run("DELETE FROM accounts_journallink WHERE entry_id = %s", entry_id)
        if rng.random() < 0.5:  # and close the gap
            _shift(number, -1)
            run("UPDATE accounts_journalhead SET size = size - 1")
    return number, number


def _shift(first, by):
    run("UPDATE accounts_journallink SET seq = seq + 1000000 WHERE seq >= %s", first)
    run("UPDATE accounts_journallink SET seq = seq + %s WHERE seq >= 1000000", by - 1_000_000)


def insert(rng, sealed):
    number = rng.randint(1, sealed.count)
    run("ALTER TABLE accounts_journallink DROP CONSTRAINT link_never_forks")
    body = _copy_entry(sealed.entries[rng.randrange(sealed.count)], 900_000)
    prev = sealed.links[number - 1]["prev_hash"]
    digest = journal.hash_entry(number, bytes.fromhex(prev), body).hex()
    _shift(number, 1)
    run(
        "INSERT INTO accounts_journallink (entry_id, firm_id, seq, prev_hash, entry_hash)"
        " VALUES (900000, %s, %s, %s, %s)",
        sealed.firm.pk,
        number,
        prev,
        digest,
    )
    if rng.random() < 0.5:  # and mend the link of the one that follows
        run("UPDATE accounts_journallink SET prev_hash = %s WHERE seq = %s", digest, number + 1)
    run("UPDATE accounts_journalhead SET size = size + 1")
    return number, number


def _copy_entry(entry, new_id):
    """Put in an entry that says what another says, with a text that is right for it."""
    fields = journal.read_body(entry["body"])
    lines = [journal.BODY_HEADER, *(f"{k} {v}" for k, v in {**fields, "number": new_id}.items())]
    body = "\n".join(lines) + "\n"
    columns = ", ".join(column for column in ENTRY_COLUMNS if column not in ("id", "body"))
    run(
        f"INSERT INTO accounts_auditentry (id, body, {columns}) SELECT %s, %s, {columns}"
        " FROM accounts_auditentry WHERE id = %s",
        new_id,
        body,
        entry["id"],
    )
    return body


def swap(rng, sealed):
    low, high = sorted(rng.sample(range(1, sealed.count + 1), 2))
    one, two = sealed.links[low - 1]["entry_id"], sealed.links[high - 1]["entry_id"]
    if rng.random() < 0.5:
        for entry_id, other in ((one, -1), (two, one), (-1, two)):
            run(
                "UPDATE accounts_journallink SET entry_id = %s WHERE entry_id = %s", other, entry_id
            )
    else:
        columns = [column for column in ENTRY_COLUMNS if column != "id"]
        sets = ", ".join(f"{column} = b.{column}" for column in columns)
        run(
            f"UPDATE accounts_auditentry a SET {sets} FROM accounts_auditentry b"
            " WHERE (a.id, b.id) IN ((%s, %s), (%s, %s))",
            one, two, two, one,
        )  # fmt: skip
    return low, low


def renumber(rng, sealed):
    low, high = sorted(rng.sample(range(1, sealed.count + 1), 2))
    for number, other in ((low, 2_000_000), (high, low), (2_000_000, high)):
        run("UPDATE accounts_journallink SET seq = %s WHERE seq = %s", other, number)
    return low, low


def recompute_one(rng, sealed):
    number = rng.randint(1, sealed.count)
    link = sealed.links[number - 1]
    body = _edit_words(sealed.entries[number - 1])
    digest = journal.hash_entry(number, bytes.fromhex(link["prev_hash"]), body).hex()
    run("UPDATE accounts_journallink SET entry_hash = %s WHERE seq = %s", digest, number)
    return number, number


def _edit_words(entry):
    """Change what an entry says, and its text along with it."""
    words = entry["summary"] + "!"
    hidden = journal.compose_hidden(entry["salt"], words, entry["detail"])
    body = entry["body"][: -journal.HIDDEN_LENGTH] + hidden
    run(
        "UPDATE accounts_auditentry SET summary = %s, body = %s WHERE id = %s",
        words, body, entry["id"],
    )  # fmt: skip
    return body


def cut_tail(rng, sealed):
    first = rng.randint(2, sealed.covered)
    _rebuild(sealed, [entry["body"] for entry in sealed.entries[: first - 1]])
    return first, first


def rewrite_tail(rng, sealed):
    first = rng.randint(1, sealed.covered)
    bodies = [entry["body"] for entry in sealed.entries]
    bodies[first - 1] = _edit_words(sealed.entries[first - 1])
    _rebuild(sealed, bodies)
    return first, first


def _rebuild(sealed, bodies):
    """Chain these texts anew, with everything that is in the database beside them."""
    last = journal.make_genesis(journal.make_origin(sealed.firm.public_id))
    frontier = Frontier()
    keep = [link["entry_id"] for link in sealed.links[: len(bodies)]]
    run("DELETE FROM accounts_journallink")
    run("DELETE FROM accounts_auditentry WHERE NOT id = ANY(%s)", keep)
    run("DELETE FROM accounts_journalcheckpoint WHERE size > %s", len(bodies))
    rows = []
    for seq, body in enumerate(bodies, start=1):
        digest = journal.hash_entry(seq, last, body)
        rows.append((keep[seq - 1], sealed.firm.pk, seq, last.hex(), digest.hex()))
        frontier.extend([digest])
        last = digest
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO accounts_journallink (entry_id, firm_id, seq, prev_hash, entry_hash)"
            " VALUES (%s, %s, %s, %s, %s)",
            rows,
        )
    run(
        "UPDATE accounts_journalhead SET size = %s, last_hash = %s, frontier = %s",
        len(bodies), last.hex(), frontier.write(),
    )  # fmt: skip


def edit_head(rng, sealed):
    column = rng.choice(("size", "last_hash", "frontier"))
    head = models.JournalHead.objects.get(firm=sealed.firm)
    value = getattr(head, column)
    changed = value ^ (1 << rng.randrange(6)) if column == "size" else flip_text(rng, value)
    run(f"UPDATE accounts_journalhead SET {column} = %s", changed)
    return (1, 1000) if column == "size" else (sealed.count, sealed.count)


def edit_checkpoint(rng, sealed):
    rows = list(models.JournalCheckpoint.objects.filter(firm=sealed.firm).values())
    row = rng.choice(rows)
    column = rng.choice(
        ("digest", "firm_id", "size", "root", "checkpoint_at", "key_id", "note", "")
    )
    if not column:
        run("DELETE FROM accounts_journalcheckpoint WHERE digest = %s", row["digest"])
    else:
        kinds = {"firm_id": "bigint", "size": "bigint", "checkpoint_at": "timestamptz"}
        kind = kinds.get(column, "text")
        run(
            f"UPDATE accounts_journalcheckpoint SET {column} = CAST(%s AS {kind})"
            " WHERE digest = %s",
            flip(rng, row[column]),
            row["digest"],
        )
    return row["size"], row["size"]


def drop_trigger(rng, sealed):
    table = rng.choice(("accounts_auditentry", "accounts_journallink"))
    run(f"DROP TRIGGER append_only_rows ON {table}")
    number = rng.randint(1, sealed.count)
    entry_id = sealed.links[number - 1]["entry_id"]
    if table == "accounts_auditentry":
        run("UPDATE accounts_auditentry SET summary = summary || '.' WHERE id = %s", entry_id)
    else:
        run(
            "UPDATE accounts_journallink SET entry_hash = reverse(entry_hash) WHERE entry_id = %s",
            entry_id,
        )
    return number, number


def erase_words(rng, sealed):
    number = rng.randint(1, sealed.count)
    run(
        "UPDATE accounts_auditentry SET summary = '', detail = '{}', salt = '' WHERE id = %s",
        sealed.links[number - 1]["entry_id"],
    )
    return number, number


KINDS: dict[str, Callable] = {
    function.__name__: function
    for function in (
        flip_entry, flip_link, delete, insert, swap, renumber, recompute_one, cut_tail,
        rewrite_tail, edit_head, edit_checkpoint, drop_trigger, erase_words,
    )
}  # fmt: skip
