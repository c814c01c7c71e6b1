"""Turn the bytes of an uploaded statement into text, or say why they are none."""

import codecs

CONTENT_BYTES_MAX = 25 * 1024 * 1024

_FOREIGN_FORMATS = (
    (b"PK\x03\x04", "a zip archive or Excel workbook"),
    (b"PK\x05\x06", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
)
# UTF-32 begins like UTF-16; it must be looked for first.
_UTF32_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_ALLOWED_CONTROLS = frozenset("\t\n\r\f")


class StatementUnreadable(Exception):
    """The file as a whole cannot be read; `reason` names what is at fault."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def decode(content: bytes) -> tuple[str, str]:
    """Return the text of `content` and the name of its encoding.

    :raises StatementUnreadable: when it is empty, above 25 MB, binary, or in no known encoding.
    """
    if len(content) > CONTENT_BYTES_MAX:
        size_mb = len(content) / 1024 / 1024
        raise StatementUnreadable(f"the file has {size_mb:.1f} MB; at most 25 MB are read")
    for magic, what in _FOREIGN_FORMATS:
        if content.startswith(magic):
            raise StatementUnreadable(f"the file is {what}; download the statement as CSV or OFX")
    text, encoding = _decode(content)
    if not text.strip():
        raise StatementUnreadable("the file is empty")
    _refuse_controls(text)
    return text, encoding


def _decode(content: bytes) -> tuple[str, str]:
    if content.startswith(_UTF32_MARKS):
        raise StatementUnreadable("the file is in UTF-32; save it as UTF-8")
    try:
        if content.startswith(_UTF16_MARKS):
            return content.decode("utf-16"), "utf-16"
        return content.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError as error:
        if content.startswith(_UTF16_MARKS) or content.startswith(codecs.BOM_UTF8):
            culprit = f"byte {error.start + 1} is not {error.encoding}"
            raise StatementUnreadable(f"wrong encoding: {culprit}, as the file claims") from None
    try:
        return content.decode("cp1252"), "cp1252"
    except UnicodeDecodeError as error:
        reason = f"wrong encoding: byte {error.start + 1} is neither UTF-8 nor Windows-1252"
        raise StatementUnreadable(reason) from None


def _refuse_controls(text: str) -> None:
    # str.isprintable would refuse too much; only C0 controls mark a file that is not text.
    found = {sign for sign in set(text) if sign < " " or sign == "\x7f"} - _ALLOWED_CONTROLS
    if not found:
        return
    place = min(text.index(sign) for sign in found)
    line = text.count("\n", 0, place) + 1
    raise StatementUnreadable(
        f"the file is binary: line {line} holds the control character {ord(text[place]):#04x}"
    )
