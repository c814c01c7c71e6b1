"""The checkpoints that left the database: one growing file for each firm, in a folder that the
database's owner should not be able to write to, and the public keys to check them with.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from django.conf import settings

from accounts.domain.checkpoints import Note, UnreadableNote, read_note, split_notes

SUFFIX = ".checkpoints"
KEYS_FILE = "public-keys"
_TAIL_BYTES = 4096
_KEY_LINE = re.compile(r"[0-9a-f]{64}")


class FolderUnreadable(Exception):
    """The folder of checkpoints, or a file in it, cannot be read; the text says which and why."""


def get_folder() -> Path:
    """Return the folder that checkpoints are written to."""
    return Path(settings.JOURNAL_CHECKPOINT_DIR)


def get_path(firm_public_id: UUID) -> Path:
    """Return the file of a firm's checkpoints."""
    return get_folder() / f"{firm_public_id}{SUFFIX}"


def list_notes(firm_public_id: UUID) -> list[Note]:
    """Return a firm's checkpoints outside the database, in the order in which they were written.

    :raises FolderUnreadable: when there is something that cannot be read as a checkpoint.
    """
    return read_notes(get_path(firm_public_id))


def read_notes(path: Path, *, is_whole: bool = False) -> list[Note]:
    """Return the checkpoints in a file; none when there is no such file.

    In our own files a last one cut short by a crash is passed over; a file that somebody kept
    `is_whole`, and need not have the empty line behind its last checkpoint.

    :raises FolderUnreadable: when there is something that cannot be read as a checkpoint.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise FolderUnreadable(f"{path.name} cannot be read: {error}") from error
    notes = []
    if is_whole:
        text = f"{text.rstrip()}\n\n"
    for number, block in enumerate(split_notes(text), start=1):
        try:
            notes.append(read_note(block))
        except UnreadableNote as error:
            raise FolderUnreadable(f"{path.name}: block {number}: {error}") from error
    return notes


def find_newest_text(firm_public_id: UUID) -> str | None:
    """Return the text of a firm's newest checkpoint outside, or None; reads the file's end only.

    :raises FolderUnreadable: when the file cannot be read.
    """
    path = get_path(firm_public_id)
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            tail = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FolderUnreadable(f"{path.name} cannot be read: {error}") from error
    # Whole blocks are counted from the end: body, signature, and what follows the last empty line.
    blocks = tail.decode("utf-8", "replace").split("\n\n")
    if size <= _TAIL_BYTES:
        notes = split_notes("\n\n".join(blocks))
        return notes[-1] if notes else None
    whole = blocks[:-1] if blocks[-2].startswith("\N{EM DASH} ") else blocks[:-2]
    return f"{whole[-2]}\n\n{whole[-1]}\n"


def list_public_keys() -> list[bytes]:
    """Return the public keys, 32 bytes each, that checkpoints in the folder were signed with.

    :raises FolderUnreadable: when the file of keys cannot be read.
    """
    return read_public_keys(get_folder() / KEYS_FILE)


def read_public_keys(path: Path) -> list[bytes]:
    """Return the keys in a file with one key of 64 hex digits a line; none when there is no file.

    :raises FolderUnreadable: when a line is no key.
    """
    try:
        lines = path.read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise FolderUnreadable(f"{path.name} cannot be read: {error}") from error
    if not all(_KEY_LINE.fullmatch(line) for line in lines):
        raise FolderUnreadable(f"{path.name}: a line is not a public key of 64 hex digits")
    return [bytes.fromhex(line) for line in lines]


def list_strangers(known: Sequence[UUID]) -> list[str]:
    """Return the names of checkpoint files that are of none of these firms."""
    names = {f"{public_id}{SUFFIX}" for public_id in known}
    return sorted(path.name for path in get_folder().glob(f"*{SUFFIX}") if path.name not in names)
