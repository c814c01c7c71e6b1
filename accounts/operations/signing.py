"""The key that signs checkpoints, which is never in the database, and the files they go to.

Files grow by whole checkpoints and are forced to disk; nothing in them is ever rewritten, except
that one cut short by a crash is taken off before the next is added.
"""

import contextlib
import fcntl
import os
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from django.conf import settings

from accounts.domain.checkpoints import get_public_key, split_notes
from accounts.queries import checkpoint_files


class NoSigningKey(Exception):
    """Checkpoints cannot be signed; the text says what to do."""


def load_signing_key() -> Ed25519PrivateKey:
    """Return the installation's signing key; a demo makes its own, readable by its owner alone.

    :raises NoSigningKey: when there is none that can be used.
    """
    path = Path(settings.JOURNAL_KEY_FILE) if settings.JOURNAL_KEY_FILE else None
    if path is None:
        raise NoSigningKey(
            "No checkpoint can be signed: EVENKEEL_JOURNAL_KEY_FILE names no key. "
            "Make one with: openssl genpkey -algorithm ed25519"
        )
    if settings.DEMO and not path.exists():
        _make_key(path)
    try:
        mode = path.stat().st_mode
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise NoSigningKey(f"The journal's key cannot be read from {path}: {error}") from error
    if mode & 0o077:
        raise NoSigningKey(f"Others may read the journal's key: chmod 600 {path}")
    if not isinstance(key, Ed25519PrivateKey):
        raise NoSigningKey(f"The journal's key in {path} is not an Ed25519 key.")
    return key


def _make_key(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    # Another process may have been first; then its key is the one.
    with contextlib.suppress(FileExistsError):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(pem)


def publish_key(key: Ed25519PrivateKey) -> None:
    """Add the key's public half to the keys beside the checkpoints, unless it is there."""
    public_key = get_public_key(key)
    if public_key not in checkpoint_files.list_public_keys():
        _append(checkpoint_files.get_folder() / checkpoint_files.KEYS_FILE, f"{public_key.hex()}\n")


def append_note(firm_public_id: UUID, text: str) -> None:
    """Write a checkpoint behind those that are outside, unless it is there already.

    :raises OSError: when it cannot be written; nothing that was there is harmed.
    """
    _append(checkpoint_files.get_path(firm_public_id), f"{text}\n", whole_notes=True)


def _append(path: Path, text: str, *, whole_notes: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if whole_notes:
            file.seek(0)
            there = file.read().decode()
            notes = split_notes(there)
            if f"{text}" in (f"{note}\n" for note in notes):
                return
            file.truncate(len("".join(f"{note}\n" for note in notes).encode()))
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # a new file is only there when its folder is on disk too
    finally:
        os.close(folder)
