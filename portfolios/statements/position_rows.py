"""Read one row of a position table, the same way for every broker whose export is a table."""

from portfolios.domain.money import ZERO
from portfolios.statements.cells import CellRefused, read_decimal, read_symbol, require_decimal
from portfolios.statements.drafts import (
    AccountDraft,
    StatementDraft,
    build_holding,
    is_money_fund,
)
from portfolios.statements.tables import Header, Row

CASH_LABELS = frozenset({"cash & cash investments", "cash and cash investments", "cash"})


def read_position(
    draft: StatementDraft, account: AccountDraft, header: Header, row: Row, *, culprit: str
) -> None:
    """Add one row to the account as cash or holding; a row at fault is refused with the reason.

    The header must map symbol, description, quantity, price, value and, if any, cost.
    """
    try:
        header.check_width(row)
        label = header.cell(row, "symbol")
        if label.casefold() in CASH_LABELS or is_money_fund(label.upper()):
            _read_cash(account, header, row)
        else:
            _read_holding(draft, account, header, row)
    except CellRefused as refusal:
        draft.refuse(line=row.line, culprit=culprit, reason=str(refusal))


def _read_cash(account: AccountDraft, header: Header, row: Row) -> None:
    value = require_decimal(header.cell(row, "value"), "market value")
    quantity = read_decimal(header.cell(row, "quantity"), "quantity")
    price = read_decimal(header.cell(row, "price"), "price")
    if quantity is not None and price is not None and value >= 0:
        build_holding(
            symbol="cash",
            description="",
            quantity=quantity,
            price=price,
            market_value=value,
            cost_basis=None,
            line=row.line,
        )
    account.add_cash(value)


def _read_holding(draft: StatementDraft, account: AccountDraft, header: Header, row: Row) -> None:
    symbol = read_symbol(header.cell(row, "symbol"))
    quantity = require_decimal(header.cell(row, "quantity"), "quantity")
    value = require_decimal(header.cell(row, "value"), "market value")
    if quantity == ZERO and value == ZERO:
        draft.notes.append(f"line {row.line}: {symbol} has no shares left; skipped")
        return
    account.holdings.append(
        build_holding(
            symbol=symbol,
            description=header.cell(row, "description"),
            quantity=quantity,
            price=require_decimal(header.cell(row, "price"), "price"),
            market_value=value,
            cost_basis=read_decimal(header.cell(row, "cost"), "cost basis"),
            line=row.line,
        )
    )
