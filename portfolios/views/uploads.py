"""Holds an uploaded file between its preview and the word to import it.

The bytes wait in the cache under their own hash and their uploader, for half an hour: no file is
written, and nobody else can confirm them.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from django.core.cache import cache
from django.core.files.uploadedfile import UploadedFile

HOLD_SECONDS = 30 * 60


@dataclass(frozen=True, slots=True)
class HeldUpload:
    """An uploaded file that waits for its confirmation."""

    sha256: str
    file_name: str
    content: bytes


def hold_upload(*, kind: str, user_id: int, file: "UploadedFile[Any]") -> str:
    """Keep a file for its confirmation; return its hash, by which it is found again."""
    content = file.read()
    sha256 = hashlib.sha256(content).hexdigest()
    name = (file.name or "upload")[:200]
    cache.set(_key(kind, user_id, sha256), (name, content), timeout=HOLD_SECONDS)
    return sha256


def find_upload(*, kind: str, user_id: int, sha256: str) -> HeldUpload | None:
    """Return a file that this user uploaded, or None when it is no longer held."""
    held = cache.get(_key(kind, user_id, sha256))
    return HeldUpload(sha256, *held) if held else None


def drop_upload(*, kind: str, user_id: int, sha256: str) -> None:
    """Forget a file that was imported."""
    cache.delete(_key(kind, user_id, sha256))


def _key(kind: str, user_id: int, sha256: str) -> str:
    return f"upload:{kind}:{user_id}:{sha256}"
