"""Statements from the journal that anybody can check: entries with their paths to a signed root."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from accounts import models
from accounts.domain import statement_proof
from accounts.domain.checkpoints import Note, drop_void, is_signed
from accounts.domain.journal import SALT_LENGTH
from accounts.domain.merkle import Tree
from accounts.queries import checkpoint_files
from robo.common.errors import Refused


def build_statement(
    *,
    firm: models.Firm,
    entry_id: int | None = None,
    household_id: int | None = None,
    from_date: date | None = None,
    to_date: date | None = None,
) -> dict[str, Any]:
    """Return one entry, or a household's entries (UTC dates, both ends belong), each with proof.

    Words are shown with their half of the salt; detail stays a hash.

    :raises Refused: when there is no such entry, or no signed checkpoint covers it yet.
    """
    note, key = _find_newest(firm)
    links = models.JournalLink.objects.select_related("entry").filter(firm=firm).order_by("seq")
    if entry_id is not None:
        links = links.filter(entry_id=entry_id)
    if household_id is not None:
        links = links.filter(entry__household_id=household_id)
    if from_date is not None:
        links = links.filter(entry__recorded_at__gte=datetime.combine(from_date, time(), UTC))
    if to_date is not None:
        after = datetime.combine(to_date + timedelta(days=1), time(), UTC)
        links = links.filter(entry__recorded_at__lt=after)
    chosen = list(links)
    if not chosen:
        raise Refused("No sealed entry of this firm is asked for.")
    if chosen[-1].seq > note.checkpoint.size:
        raise Refused(
            f"Entry {chosen[-1].seq} is newer than the newest checkpoint, which covers "
            f"{note.checkpoint.size}: ask again in some minutes."
        )
    tree = _load_tree(firm, note.checkpoint.size)
    if tree.measure_root() != note.checkpoint.root:
        raise Refused("The journal is not what was signed: run verify_journal.")
    return {
        "checkpoint": note.text,
        "public_key": key.hex(),
        "entries": [_write_entry(link, tree) for link in chosen],
    }


def get_verifier_source() -> str:
    """Return the program that checks a statement, to be handed out beside it."""
    return Path(statement_proof.__file__).read_text(encoding="utf-8")


def _write_entry(link: models.JournalLink, tree: Tree) -> dict[str, Any]:
    return {
        "seq": link.seq,
        "prev_hash": link.prev_hash,
        "body": link.entry.body,
        "summary": link.entry.summary,
        "salt": link.entry.salt[: SALT_LENGTH // 2],
        "path": [node.hex() for node in tree.prove_inclusion(link.seq - 1)],
    }


def _find_newest(firm: models.Firm) -> tuple[Note, bytes]:
    """Return the newest checkpoint that holds, with the public key that signed it."""
    try:
        held, _lost = drop_void(checkpoint_files.list_notes(firm.public_id))
        keys: Sequence[bytes] = checkpoint_files.list_public_keys()
    except checkpoint_files.FolderUnreadable as problem:
        raise Refused(str(problem)) from problem
    for note in sorted(held, key=lambda note: note.checkpoint.size, reverse=True):
        for key in keys:
            if is_signed(note, [key]):
                return note, key
    raise Refused("No signed checkpoint has left the database yet, so nothing can be proven.")


def _load_tree(firm: models.Firm, size: int) -> Tree:
    hashes = models.JournalLink.objects.filter(firm=firm, seq__lte=size).order_by("seq")
    return Tree([bytes.fromhex(each) for each in hashes.values_list("entry_hash", flat=True)])
