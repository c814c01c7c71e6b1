"""Signed checkpoints of a journal, as text in the form of C2SP's tlog-checkpoint and signed-note:
origin, size, root, time, perhaps a restart; an empty line; a signature by Ed25519.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_SIGNATURE_MARK = "\N{EM DASH} "
_ED25519 = b"\x01"
_KEY_ID_BYTES = 4
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_LINES = re.compile(
    r"(?P<origin>[^\s+]+)\n(?P<size>0|[1-9]\d*)\n(?P<root>[A-Za-z0-9+/]{43}=)\n"
    r"time (?P<time>[^\n]+)\n(?:restored-from (?P<kept>0|[1-9]\d*)\n)?"
)


class UnreadableNote(ValueError):
    """Text that is no checkpoint."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """So many entries of that journal had that root at that time (UTC, ISO 8601).

    `kept_size` is set in the first checkpoint after a restore from backup: what earlier ones say
    of more entries than that is void, for those entries were lost.
    """

    origin: str
    size: int
    root: bytes
    time: str
    kept_size: int | None = None

    def write(self) -> str:
        """Return the text that is signed."""
        kept = "" if self.kept_size is None else f"restored-from {self.kept_size}\n"
        root = base64.b64encode(self.root).decode()
        return f"{self.origin}\n{self.size}\n{root}\ntime {self.time}\n{kept}"


@dataclass(frozen=True, slots=True)
class Note:
    """A checkpoint with its signature, and the text of both."""

    checkpoint: Checkpoint
    key_id: str
    signature: bytes
    text: str

    @property
    def digest(self) -> str:
        """Return the hash of the whole text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def measure_key_id(origin: str, public_key: bytes) -> str:
    """Return what names a key in a note's signature, in hex; it depends on the origin too."""
    return hashlib.sha256(origin.encode() + b"\n" + _ED25519 + public_key).hexdigest()[
        : 2 * _KEY_ID_BYTES
    ]


def get_public_key(key: Ed25519PrivateKey) -> bytes:
    """Return the 32 bytes of the key that anyone may have."""
    return key.public_key().public_bytes_raw()


def sign_checkpoint(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> Note:
    """Return the checkpoint as a signed note."""
    body = checkpoint.write()
    key_id = measure_key_id(checkpoint.origin, get_public_key(key))
    signature = key.sign(body.encode())
    packed = base64.b64encode(bytes.fromhex(key_id) + signature).decode()
    text = f"{body}\n{_SIGNATURE_MARK}{checkpoint.origin} {packed}\n"
    return Note(checkpoint, key_id, signature, text)


def read_note(text: str) -> Note:
    """Return the note in that text, its signature not yet checked.

    :raises UnreadableNote: when it is not exactly one.
    """
    body, _gap, last = text.partition("\n\n")
    body += "\n"
    fields = _LINES.fullmatch(body)
    mark, name, packed = last[:2], *(last[2:].removesuffix("\n").partition(" ")[::2])
    if fields is None or not _TIME.fullmatch(fields["time"]) or mark != _SIGNATURE_MARK:
        raise UnreadableNote("this is not a checkpoint")
    try:
        signature = base64.b64decode(packed, validate=True)
        root = base64.b64decode(fields["root"], validate=True)
    except binascii.Error as error:
        raise UnreadableNote("a checkpoint's base64 cannot be read") from error
    kept = None if fields["kept"] is None else int(fields["kept"])
    checkpoint = Checkpoint(fields["origin"], int(fields["size"]), root, fields["time"], kept)
    note = Note(checkpoint, signature[:_KEY_ID_BYTES].hex(), signature[_KEY_ID_BYTES:], text)
    # Written again it must be the same: one checkpoint has one text.
    again = base64.b64encode(signature).decode()
    if name != checkpoint.origin or text != f"{body}\n{_SIGNATURE_MARK}{name} {again}\n":
        raise UnreadableNote("a checkpoint is not written as checkpoints are")
    return note


def is_signed(note: Note, public_keys: Iterable[bytes]) -> bool:
    """Return whether one of these keys signed the note."""
    for public_key in public_keys:
        if measure_key_id(note.checkpoint.origin, public_key) != note.key_id:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(
                note.signature, note.checkpoint.write().encode()
            )
        except InvalidSignature:
            continue
        return True
    return False


def split_notes(text: str) -> list[str]:
    """Return the texts of the notes in a file of them; each is followed by an empty line.

    A last one that was cut short, by a crash while it was written, is left out.
    """
    blocks = text.split("\n\n")
    return [f"{blocks[i]}\n\n{blocks[i + 1]}\n" for i in range(0, len(blocks) - 2, 2)]


def drop_void(notes: Iterable[Note]) -> tuple[list[Note], Mapping[int, int]]:
    """Return the notes that still hold, and how many entries each restore lost, by its size."""
    held: list[Note] = []
    lost: dict[int, int] = {}
    for note in notes:
        kept = note.checkpoint.kept_size
        if kept is not None:
            newest = max((other.checkpoint.size for other in held), default=0)
            lost[note.checkpoint.size] = max(0, newest - kept)
            held = [other for other in held if other.checkpoint.size <= kept]
        held.append(note)
    return held, lost
