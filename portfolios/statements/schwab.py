"""Schwab's positions download: for each account a title, a table, and a total that must agree."""

import re
from collections.abc import Sequence

from portfolios.statements.cells import CellRefused, clean_text, read_date, read_decimal
from portfolios.statements.drafts import AccountDraft, StatementDraft
from portfolios.statements.position_rows import read_position
from portfolios.statements.tables import Header, Row, find_header
from portfolios.statements.text import StatementUnreadable

NAME = "schwab"
TITLE = "Schwab positions (Symbol, Qty (Quantity), Price, Mkt Val (Market Value))"
COLUMNS = {
    "symbol": ("symbol",),
    "description": ("description", "name"),
    "quantity": ("qty (quantity)", "quantity", "qty"),
    "price": ("price",),
    "value": ("mkt val (market value)", "market value", "mkt val"),
    "cost": ("cost basis",),
}
REQUIRED = {"symbol", "quantity", "price", "value"}

_TITLE = re.compile(r"positions for (?:account )?(?P<account>.+?) as of (?P<rest>.+)", re.I)
_ACCOUNT = re.compile(r"(?P<name>.*?)\s*(?P<number>[.Xx*-]*[0-9][0-9-]*)")
_DATE = re.compile(r"[0-9]{4}/[0-9]{2}/[0-9]{2}|[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}")


def read(rows: Sequence[Row]) -> StatementDraft:
    """Return the accounts of all sections, each begun by a title that names its account.

    :raises StatementUnreadable: for a table under no title, or a title over no known table.
    """
    draft = StatementDraft(NAME)
    header: Header | None = None
    account: AccountDraft | None = None
    for row in rows:
        found = find_header(row, COLUMNS, REQUIRED)
        if found is not None:
            # A second header without a title between would put one account's rows under another.
            if account is None or header is not None:
                raise StatementUnreadable(
                    f"line {row.line}: a table of positions without a title naming its account"
                )
            header = found
        elif len(row.cells) == 1 and _is_title(row, header):
            account, header = _read_title(draft, row), None
        elif account is None or len(row.cells) == 1 and (header is None or row.is_remark):
            continue
        elif header is None:
            raise StatementUnreadable(
                f"line {row.line}: under the title of account {account.number} stands no header "
                f"that is known, but {clean_text(', '.join(row.cells))!r}"
            )
        else:
            _read_row(draft, account, header, row)
    return draft


def _is_title(row: Row, header: Header | None) -> bool:
    # In a download of all accounts, each table stands under a line such as "Roth IRA ...002".
    text = clean_text(row.cells[0])
    stands_apart = header is None or row.is_remark
    return bool(_TITLE.match(text) or (stands_apart and _ACCOUNT.fullmatch(text)))


def _read_title(draft: StatementDraft, row: Row) -> AccountDraft | None:
    text = clean_text(row.cells[0])
    title = _TITLE.match(text)
    if title is not None:
        day = _DATE.search(title["rest"])
        try:
            draft.date_from(read_date(day[0] if day else title["rest"], "date"), row.line)
        except CellRefused as refusal:
            draft.notes.append(f"line {row.line}: {refusal}")
        text = title["account"]
    account = _ACCOUNT.fullmatch(text)
    if account is None:
        return None
    name = clean_text(account["name"]) or None
    return draft.open_account(number=account["number"], name=name, line=row.line)


def _read_row(draft: StatementDraft, account: AccountDraft, header: Header, row: Row) -> None:
    label = header.cell(row, "symbol")
    if label.casefold() not in {"account total", "positions total", "total"}:
        read_position(draft, account, header, row, culprit=label or row.cells[0])
        return
    try:
        header.check_width(row)
        printed = read_decimal(header.cell(row, "value"), "account total")
        if printed is not None:
            account.printed_totals.append((row.line, printed))
    except CellRefused as refusal:
        draft.refuse(line=row.line, culprit=label, reason=str(refusal))
