"""Holds an uploaded file between its preview and the word to import it.

The bytes wait in the cache under their own hash and their uploader, for half an hour: no file is
written, and nobody else can confirm them. They are encrypted, for whoever looks into the cache has
no business with a client's statement.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
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
    head = json.dumps(name).encode()
    sealed = _get_box().encrypt(len(head).to_bytes(4) + head + content)
    cache.set(_key(kind, user_id, sha256), sealed.decode(), timeout=HOLD_SECONDS)
    return sha256


def find_upload(*, kind: str, user_id: int, sha256: str) -> HeldUpload | None:
    """Return a file that this user uploaded, or None when it is no longer held."""
    held = cache.get(_key(kind, user_id, sha256))
    if not held:
        return None
    try:
        opened = _get_box().decrypt(held)
    except InvalidToken:
        return None  # held under another SECRET_KEY: as good as gone
    end = 4 + int.from_bytes(opened[:4])
    return HeldUpload(sha256, json.loads(opened[4:end]), opened[end:])


def drop_upload(*, kind: str, user_id: int, sha256: str) -> None:
    """Forget a file that was imported."""
    cache.delete(_key(kind, user_id, sha256))


def _get_box() -> Fernet:
    key = hashlib.sha256(b"held upload\n" + settings.SECRET_KEY.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))


def _key(kind: str, user_id: int, sha256: str) -> str:
    return f"upload:{kind}:{user_id}:{sha256}"
