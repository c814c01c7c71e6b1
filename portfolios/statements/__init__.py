"""Brokers' statements: `read_statement` recognises the layout by its content and reads it."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from portfolios.domain.statements import Statement
from portfolios.statements import fidelity, ibkr_flex, ofx, schwab, vanguard
from portfolios.statements.cells import clean_text
from portfolios.statements.drafts import StatementDraft
from portfolios.statements.tables import Row, find_header, read_rows
from portfolios.statements.text import StatementUnreadable, decode

__all__ = ["StatementUnreadable", "read_statement"]

_DELIMITERS = (",", "\t", ";")
# A header below this row would be no header: brokers print a few title lines above it at most.
_HEADER_ROW_MAX = 50
_TITLES = (schwab.TITLE, fidelity.TITLE, vanguard.TITLE, ibkr_flex.TITLE, ofx.TITLE)
_OFX_START = re.compile(r"\s*(?:OFXHEADER\s*:|<\?OFX\b|<OFX>|<\?xml[^>]*\?>\s*<\?OFX\b)", re.I)


class _TableLayout(NamedTuple):
    """A broker's table: the names its header has, those it must have, and who reads it."""

    columns: Mapping[str, tuple[str, ...]]
    required: set[str]
    read: Callable[[Sequence[Row]], StatementDraft]


_TABLES = (
    _TableLayout(schwab.COLUMNS, schwab.REQUIRED, schwab.read),
    _TableLayout(fidelity.COLUMNS, fidelity.REQUIRED, fidelity.read),
    _TableLayout(vanguard.COLUMNS, vanguard.REQUIRED, vanguard.read),
)


def read_statement(content: bytes, file_name: str) -> Statement:
    """Return what a broker's export says; `file_name` serves only to name the file in refusals.

    Rows that look like holdings but cannot be believed are in `refused_rows`, not in the accounts.

    :raises StatementUnreadable: when the file as a whole cannot be read, with the culprit.
    """
    try:
        text, encoding = decode(content)
        draft = _read(text)
    except StatementUnreadable as error:
        raise StatementUnreadable(f"{_show_name(file_name)}: {error.reason}") from error
    if encoding == "cp1252":
        draft.notes.append("the file is not UTF-8; it was read as Windows-1252")
    return draft.finish(hashlib.sha256(content).hexdigest())


def _read(text: str) -> StatementDraft:
    if _OFX_START.match(text):
        return ofx.read(text)
    if text.lstrip().startswith("<"):
        return ibkr_flex.read(text)
    return _read_table(text)


def _read_table(text: str) -> StatementDraft:
    broken: StatementUnreadable | None = None
    widest: Row | None = None
    for delimiter in _DELIMITERS:
        try:
            rows = read_rows(text, delimiter)
        except StatementUnreadable as error:
            broken = broken or error
            continue
        for row in rows[:_HEADER_ROW_MAX]:
            for layout in _TABLES:
                if find_header(row, layout.columns, layout.required):
                    return layout.read(rows)
            if widest is None or len(row.cells) > len(widest.cells):
                widest = row
    if broken is not None:
        raise broken
    titles = "; ".join(_TITLES)
    raise StatementUnreadable(f"unknown layout: {_show_headers(widest)}; known are: {titles}")


def _show_headers(row: Row | None) -> str:
    if row is None:
        return "no rows"
    names = ", ".join(repr(clean_text(cell, 30)) for cell in row.cells[:20])
    return f"the headers found on line {row.line} are {names}"


def _show_name(file_name: str) -> str:
    return clean_text(re.split(r"[/\\]", file_name)[-1], 80) or "file"
