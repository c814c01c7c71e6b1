"""Checks a journal statement on any machine: python3 this_file STATEMENT.json [--key HEX]

It needs nothing but Python's own library, and is handed out beside every statement. It says
whether each entry stands in the firm's journal under a signed checkpoint, or which does not.
"""

import base64
import hashlib
import json
import sys
from typing import Any

_P = 2**255 - 19
_D = -121665 * pow(121666, _P - 2, _P) % _P
_SQRT_M1 = pow(2, (_P - 1) // 4, _P)
_ORDER = 2**252 + 27742317777372353535851937790883648493
_Point = tuple[int, int, int, int]


class Unproven(Exception):
    """The statement does not prove what it says."""


# --- Ed25519, RFC 8032: checking only, so that no secret is ever handled here ---------------------


def _add(p: _Point, q: _Point) -> _Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % _P, (p[1] + p[0]) * (q[1] + q[0]) % _P
    c, d = 2 * p[3] * q[3] * _D % _P, 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _multiply(scalar: int, point: _Point) -> _Point:
    result: _Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _decompress(data: bytes) -> _Point:
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _SQRT_M1 % _P
    if y >= _P or (x * x - square) % _P or (x == 0 and sign):
        raise Unproven("a point of the signature is not on the curve")
    x = _P - x if x & 1 != sign else x
    return (x, y, 1, x * y % _P)


_BASE = _decompress(bytes.fromhex("58" + "66" * 31))


def is_signature(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether this is the Ed25519 signature of the message by that key."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    scalar = int.from_bytes(signature[32:], "little")
    if scalar >= _ORDER:
        return False
    try:
        key, point = _decompress(public_key), _decompress(signature[:32])
    except Unproven:
        return False
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    left = _multiply(scalar, _BASE)
    right = _add(point, _multiply(int.from_bytes(digest, "little") % _ORDER, key))
    same_x = (left[0] * right[2] - right[0] * left[2]) % _P == 0
    return same_x and (left[1] * right[2] - right[1] * left[2]) % _P == 0


# --- The journal ----------------------------------------------------------------------------------


def _hash_entry(seq: int, prev_hash: bytes, body: bytes) -> bytes:
    fields = (seq.to_bytes(8, "big"), prev_hash, body)
    data = b"".join(len(part).to_bytes(4, "big") + part for part in fields)
    return hashlib.sha256(b"\x00" + data).digest()


def _climb(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """Return the root that a path of RFC 6962 leads to from a leaf (index from 0)."""
    if not 0 <= index < size:
        raise Unproven("an entry's number is beyond the checkpoint")
    at, last, node = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise Unproven("a path is too long")
        if at & 1 or at == last:
            node = hashlib.sha256(b"\x01" + sibling + node).digest()
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\x01" + node + sibling).digest()
        at, last = at >> 1, last >> 1
    if last:
        raise Unproven("a path is too short")
    return node


def check_statement(statement: dict[str, Any], trusted_key: str = "") -> tuple[str, int, str]:
    """Return origin, size and time of the signed checkpoint that every entry was found under.

    :raises Unproven: when anything does not hold; the text names the entry.
    """
    key = bytes.fromhex(statement["public_key"])
    if trusted_key and trusted_key.lower() != statement["public_key"]:
        raise Unproven("the statement is signed with another key than the one you trust")
    body, _gap, last = statement["checkpoint"].partition("\n\n")
    origin, size_text, root_text, time = (body.split("\n") + [""] * 4)[:4]
    packed = base64.b64decode(last.split(" ")[2])
    key_id = hashlib.sha256(origin.encode() + b"\n\x01" + key).digest()[:4]
    if packed[:4] != key_id or not is_signature(key, f"{body}\n".encode(), packed[4:]):
        raise Unproven("the checkpoint is not signed with that key")
    size, root = int(size_text), base64.b64decode(root_text)
    for entry in statement["entries"]:
        try:
            _check_entry(entry, size, root)
        except Unproven as problem:
            raise Unproven(f"entry {entry['seq']}: {problem}") from None
    return origin, size, time.removeprefix("time ")


def _check_entry(entry: dict[str, Any], size: int, root: bytes) -> None:
    leaf = _hash_entry(entry["seq"], bytes.fromhex(entry["prev_hash"]), entry["body"].encode())
    path = [bytes.fromhex(node) for node in entry["path"]]
    if _climb(leaf, entry["seq"] - 1, size, path) != root:
        raise Unproven("its text is not what stands in the journal")
    words = b"\x02" + entry["salt"].encode() + entry["summary"].encode()
    said = f"\nsummary {hashlib.sha256(words).hexdigest()}\n"
    if (entry["salt"] or entry["summary"]) and said not in entry["body"]:
        raise Unproven("its words are not what stands in the journal")


def main(arguments: list[str]) -> int:
    """Check the statement named on the command line; return the exit code."""
    if len(arguments) not in (1, 3) or (len(arguments) == 3 and arguments[1] != "--key"):
        sys.stderr.write(f"{__doc__}\n")
        return 2
    try:
        with open(arguments[0], encoding="utf-8") as file:
            statement = json.load(file)
        origin, size, time = check_statement(statement, *arguments[2:])
    except (Unproven, OSError, ValueError, KeyError, IndexError, TypeError) as problem:
        sys.stderr.write(f"NOT PROVEN: {problem}\n")
        return 1
    count = len(statement["entries"])
    sys.stdout.write(
        f"PROVEN: {count} entries stand in {origin}, under the checkpoint of {size} entries signed "
        f"at {time} with key {statement['public_key']}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
