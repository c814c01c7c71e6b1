"""The journal as bytes: what an entry says, how it hides what may have to be forgotten, and how
entries are chained. An entry's body is text that a person can read; these bytes are what is hashed.

What names persons (summary and detail) is in the chain only as salted hashes: who erases words and
salt leaves a chain that still verifies, and from which nothing can be guessed.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from accounts.domain import merkle

BODY_HEADER = "evenkeel-entry/1"
ORIGIN = "evenkeel.journal"
ERASED_DETAIL = "{}"
ERASURE_ACTION = "accounts.journal.erased"
# Two independent halves, so that words can be shown to somebody without the means to guess detail.
SALT_LENGTH = 64
# The lines of a body in their order: label, and the column of an entry that it repeats.
BODY_LINES = (
    ("number", "id"),
    ("firm", "firm_id"),
    ("at", "recorded_at"),
    ("transaction", "xid"),
    ("actor", "actor_id"),
    ("role", "role"),
    ("acting-for", "acting_for_id"),
    ("household", "household_id"),
    ("action", "action"),
    ("object", "object_id"),
    ("request", "request_id"),
)
HIDDEN_LINES = ("summary", "detail")
HIDDEN_LENGTH = sum(len(label) + len(" \n") + 64 for label in HIDDEN_LINES)
_SUMMARY_TAG, _DETAIL_TAG = "\x02", "\x03"
_SEQ_LENGTH = (8).to_bytes(4, "big")
_HASH_LENGTH = (merkle.HASH_BYTES).to_bytes(4, "big")


def write_detail(detail: Mapping[str, Any]) -> str:
    """Return detail as the one text that stands for it: keys in order, no blanks, exact numbers.

    :raises TypeError: when it holds something that JSON does not know.
    :raises ValueError: when it holds NaN or an infinity.
    """
    return json.dumps(
        detail, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def make_one_line(text: str) -> str:
    """Return text without what would begin another line, or hide part of one on a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def hide_summary(salt: str, summary: str) -> str:
    """Return the salted hash, in hex, that stands for a summary in the chain."""
    return _hide(_SUMMARY_TAG, salt[: SALT_LENGTH // 2], summary)


def hide_detail(salt: str, detail: str) -> str:
    """Return the salted hash, in hex, that stands for detail (as text) in the chain."""
    return _hide(_DETAIL_TAG, salt[SALT_LENGTH // 2 :], detail)


def _hide(tag: str, half_salt: str, text: str) -> str:
    return hashlib.sha256(f"{tag}{half_salt}{text}".encode()).hexdigest()


def compose_hidden(salt: str, summary: str, detail: str) -> str:
    """Return the last two lines of a body."""
    return f"summary {hide_summary(salt, summary)}\ndetail {hide_detail(salt, detail)}\n"


def compose_sql(column: Mapping[str, str]) -> str:
    """Return the SQL that composes all lines of a body but the hidden ones.

    PostgreSQL alone knows an entry's number, time and transaction, so it writes these lines; the
    proof composes them again from the columns. `column` gives each column's own SQL text.
    """
    lines = " || E'\\n".join(f"{label} ' || {column[name]}" for label, name in BODY_LINES)
    return f"'{BODY_HEADER}' || E'\\n{lines} || E'\\n'"


def read_body(body: str) -> dict[str, str]:
    """Return the lines of a body by label.

    :raises ValueError: when it does not have exactly the lines of a body, in order.
    """
    first, *rest = body.split("\n")
    labels = [label for label, _column in BODY_LINES] + list(HIDDEN_LINES)
    pairs = [line.partition(" ")[::2] for line in rest[:-1]]
    if first != BODY_HEADER or rest[-1:] != [""] or [label for label, _ in pairs] != labels:
        raise ValueError("this is not the body of a journal entry")
    return dict(pairs)


def make_origin(firm_public_id: object) -> str:
    """Return the name of a firm's journal, which is in every checkpoint and in the first hash."""
    return f"{ORIGIN}/{firm_public_id}"


def make_genesis(origin: str) -> bytes:
    """Return what the first entry of a journal is chained to: no two journals begin alike."""
    return hashlib.sha256(f"{origin}\n".encode()).digest()


def compose_leaf(seq: int, prev_hash: bytes, body: str) -> bytes:
    """Return the bytes that are hashed for an entry: each field with its length before it.

    Without the lengths `12` and `3` would hash like `1` and `23`.
    """
    stored = body.encode()
    length = len(stored).to_bytes(4, "big")
    return _SEQ_LENGTH + seq.to_bytes(8, "big") + _HASH_LENGTH + prev_hash + length + stored


def hash_entry(seq: int, prev_hash: bytes, body: str) -> bytes:
    """Return the hash of entry `seq` (from 1) after the one before it; also its leaf hash."""
    return hashlib.sha256(merkle.LEAF_PREFIX + compose_leaf(seq, prev_hash, body)).digest()
