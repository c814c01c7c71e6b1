"""Fidelity's positions download: one table, the account number on every row, remarks at the end."""

import re
from collections.abc import Sequence
from datetime import date

from portfolios.statements.cells import CellRefused, clean_text, read_date
from portfolios.statements.drafts import StatementDraft
from portfolios.statements.position_rows import read_position
from portfolios.statements.tables import Header, Row, find_header

NAME = "fidelity"
TITLE = "Fidelity positions (Account Number, Symbol, Quantity, Last Price, Current Value)"
COLUMNS = {
    "account": ("account number",),
    "account_name": ("account name",),
    "symbol": ("symbol",),
    "description": ("description",),
    "quantity": ("quantity",),
    "price": ("last price",),
    "value": ("current value",),
    "cost": ("cost basis total", "cost basis"),
}
REQUIRED = {"account", "symbol", "quantity", "price", "value"}

_DOWNLOADED = re.compile(r"date downloaded\s+(?:([a-z]{3})-([0-9]{1,2})-([0-9]{4})|(\S+))", re.I)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def read(rows: Sequence[Row]) -> StatementDraft:
    """Return the accounts of the table; rows before its header are remarks."""
    draft = StatementDraft(NAME)
    header: Header | None = None
    for row in rows:
        found = find_header(row, COLUMNS, REQUIRED)
        if found is not None:
            header = found
        elif row.is_remark or header is None:
            _read_remark(draft, row)
        else:
            _read_row(draft, header, row)
    return draft


def _read_row(draft: StatementDraft, header: Header, row: Row) -> None:
    number = clean_text(header.cell(row, "account"), 40)
    label = header.cell(row, "symbol")
    first = label.casefold() or header.cell(row, "description").casefold()
    if first.startswith("pending activity"):
        amount = header.cell(row, "value") or "no amount"
        draft.notes.append(f"line {row.line}: pending activity of {amount} is not counted")
        return
    if first in {"total", "account total", "grand total"} or number.casefold() == "total":
        return
    if not number:
        draft.refuse(line=row.line, culprit=label or "row", reason="account number is missing")
        return
    name = clean_text(header.cell(row, "account_name")) or None
    account = draft.open_account(number=number, name=name, line=row.line)
    read_position(draft, account, header, row, culprit=label or number)


def _read_remark(draft: StatementDraft, row: Row) -> None:
    found = _DOWNLOADED.search(row.cells[0])
    if found is None:
        return
    month, day, year, other = found.groups()
    try:
        if month is None:
            draft.date_from(read_date(other, "download date"), row.line)
        else:
            month_number = _MONTHS.index(month.casefold()) + 1
            draft.date_from(date(int(year), month_number, int(day)), row.line)
    except (CellRefused, ValueError):
        draft.notes.append(f"line {row.line}: the download date cannot be read")
