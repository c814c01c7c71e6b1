"""Vanguard's download: a table of holdings without cost, then a table of transactions."""

from collections.abc import Sequence

from portfolios.domain.money import ZERO
from portfolios.statements.cells import (
    CellRefused,
    clean_text,
    read_date,
    read_decimal,
    read_symbol,
    require_decimal,
)
from portfolios.statements.drafts import StatementDraft, build_transaction
from portfolios.statements.position_rows import read_position
from portfolios.statements.tables import Header, Row, find_header

NAME = "vanguard"
TITLE = (
    "Vanguard download (Account Number, Investment Name, Symbol, Shares, Share Price, Total Value)"
)
COLUMNS = {
    "account": ("account number",),
    "description": ("investment name",),
    "symbol": ("symbol",),
    "quantity": ("shares",),
    "price": ("share price",),
    "value": ("total value",),
}
REQUIRED = {"account", "symbol", "quantity", "price", "value"}
TRANSACTION_COLUMNS = {
    "account": ("account number",),
    "date": ("trade date",),
    "type": ("transaction type",),
    "symbol": ("symbol",),
    "quantity": ("shares",),
    "price": ("share price",),
    "commission": ("commissions and fees", "commission fees"),
    "net": ("net amount",),
}
TRANSACTION_REQUIRED = {"account", "date", "type", "symbol", "quantity", "price", "net"}

# By how Vanguard's word begins; longer words first where one begins like another.
_KINDS = (
    ("buy", "buy"),
    ("sell", "sell"),
    ("dividend", "dividend"),
    ("capital gain", "dividend"),
    ("reinvestment", "reinvestment"),
    ("sweep", "sweep"),
    ("interest", "interest"),
    ("fee", "fee"),
    ("contribution", "deposit"),
    ("funds received", "deposit"),
    ("distribution", "withdrawal"),
    ("withdrawal", "withdrawal"),
    ("transfer (incoming)", "transfer_in"),
    ("transfer (outgoing)", "transfer_out"),
)


def read(rows: Sequence[Row]) -> StatementDraft:
    """Return the accounts of the first table and the transactions of the second."""
    draft = StatementDraft(NAME)
    positions: Header | None = None
    transactions: Header | None = None
    for row in rows:
        if found := find_header(row, COLUMNS, REQUIRED):
            positions, transactions = found, None
        elif found := find_header(row, TRANSACTION_COLUMNS, TRANSACTION_REQUIRED):
            positions, transactions = None, found
        elif row.is_remark:
            continue
        elif positions is not None:
            _read_position(draft, positions, row)
        elif transactions is not None:
            _read_transaction(draft, transactions, row)
    return draft


def _read_position(draft: StatementDraft, header: Header, row: Row) -> None:
    number = clean_text(header.cell(row, "account"), 40)
    label = header.cell(row, "symbol")
    if number.casefold() == "total":
        return
    if not number:
        draft.refuse(line=row.line, culprit=label or "row", reason="account number is missing")
        return
    account = draft.open_account(number=number, name=None, line=row.line)
    read_position(draft, account, header, row, culprit=label or number)


def _read_transaction(draft: StatementDraft, header: Header, row: Row) -> None:
    label = header.cell(row, "symbol")
    try:
        header.check_width(row)
        word = header.cell(row, "type").casefold()
        kind = next((kind for start, kind in _KINDS if word.startswith(start)), "other")
        number = clean_text(header.cell(row, "account"), 40)
        if not number:
            raise CellRefused("account number is missing")
        draft.transactions.append(
            build_transaction(
                day=read_date(header.cell(row, "date"), "trade date"),
                kind=kind,
                symbol=read_symbol(label) if label or kind in {"buy", "sell"} else "",
                quantity=read_decimal(header.cell(row, "quantity"), "shares"),
                price=read_decimal(header.cell(row, "price"), "share price"),
                commission=read_decimal(header.cell(row, "commission"), "commission") or ZERO,
                net=require_decimal(header.cell(row, "net"), "net amount"),
                account_number=number,
                line=row.line,
            )
        )
    except CellRefused as refusal:
        draft.refuse(line=row.line, culprit=label or "transaction", reason=str(refusal))
