"""Interactive Brokers' Flex query (XML): SUMMARY rows are the holdings, LOT rows their lots."""

import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from xml.sax import SAXException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl, InputSource, Locator

import defusedxml.sax
from defusedxml.common import DefusedXmlException

from portfolios.domain.money import round_money
from portfolios.domain.statements import StatementLot
from portfolios.statements.cells import (
    CellRefused,
    clean_text,
    read_date,
    read_decimal,
    read_symbol,
    require_decimal,
)
from portfolios.statements.drafts import StatementDraft, build_holding, build_transaction
from portfolios.statements.tables import ROWS_MAX
from portfolios.statements.text import StatementUnreadable

NAME = "ibkr"
TITLE = "Interactive Brokers Flex query (XML root FlexQueryResponse)"
ROOT = "FlexQueryResponse"
CURRENCY = "USD"

_CASH_KINDS = {
    "dividends": "dividend",
    "payment in lieu of dividends": "dividend",
    "withholding tax": "tax",
    "broker interest received": "interest",
    "broker interest paid": "interest",
    "bond interest received": "interest",
    "bond interest paid": "interest",
    "other fees": "fee",
    "commission adjustments": "fee",
}
_CATEGORIES = frozenset({"", "STK", "ETF", "FUND"})


@dataclass(frozen=True, slots=True)
class _Element:
    """One XML element: its name, its attributes, and the line of the file where it starts."""

    line: int
    name: str
    attributes: Mapping[str, str]

    def text(self, name: str) -> str:
        return self.attributes.get(name, "").strip()

    def number(self, name: str) -> Decimal:
        return require_decimal(self.text(name), name)


class _Collector(ContentHandler):
    """Keeps the elements in file order: everything in a Flex file stands in attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[_Element] = []
        self.place: Locator | None = None

    def setDocumentLocator(self, locator: Locator) -> None:
        self.place = locator

    def startElement(self, name: str, attrs: AttributesImpl) -> None:
        line = (self.place.getLineNumber() if self.place else None) or 0
        if len(self.elements) >= ROWS_MAX:
            raise StatementUnreadable(f"line {line}: more than {ROWS_MAX:,} XML elements")
        if not self.elements and name != ROOT:
            raise StatementUnreadable(f"the XML root is {clean_text(name, 60)!r}; known is {TITLE}")
        self.elements.append(_Element(line, name, dict(attrs.items())))


def read(text: str) -> StatementDraft:
    """Return the accounts and transactions of all FlexStatements in the file.

    :raises StatementUnreadable: for broken XML, entities, a foreign root, or no statement at all.
    """
    draft = StatementDraft(NAME)
    rows: dict[str, list[_Element]] = defaultdict(list)
    statement: _Element | None = None
    names: dict[str, str] = {}
    for element in _parse(text):
        if element.name == "FlexStatement":
            statement = element
            _open_statement(draft, element)
        elif element.name == "AccountInformation":
            names[element.text("accountId")] = element.text("name")
        elif statement is not None:
            rows[element.text("accountId") or statement.text("accountId")].append(element)
    if statement is None:
        raise StatementUnreadable("the Flex file holds no FlexStatement")
    for number in (*rows, *names):
        if number and number not in draft.accounts:
            draft.open_account(number=number, name=None, line=statement.line)
    for number, account in draft.accounts.items():
        account.name = clean_text(names.get(number, "")) or None
        elements = rows.get(number, [])
        _read_cash(draft, number, [e for e in elements if e.name == "CashReportCurrency"])
        _read_positions(draft, number, [e for e in elements if e.name == "OpenPosition"])
        _read_transactions(draft, number, elements)
    return draft


def _parse(text: str) -> Sequence[_Element]:
    collector = _Collector()
    parser = defusedxml.sax.make_parser()
    parser.forbid_dtd = True
    parser.setContentHandler(collector)
    source = InputSource()
    # A character stream: the text is decoded already, whatever encoding its declaration names.
    source.setCharacterStream(io.StringIO(text, newline=""))
    try:
        parser.parse(source)
    except DefusedXmlException as error:
        reason = f"the XML declares a document type or entities ({type(error).__name__})"
        raise StatementUnreadable(f"{reason}; such files are not read") from None
    except SAXException as error:
        line = getattr(error, "getLineNumber", lambda: "?")()
        raise StatementUnreadable(f"line {line} is not valid XML: {error.getMessage()}") from None
    return collector.elements


def _open_statement(draft: StatementDraft, element: _Element) -> None:
    number = clean_text(element.text("accountId"), 40)
    if not number:
        raise StatementUnreadable(f"line {element.line}: a FlexStatement without accountId")
    draft.open_account(number=number, name=None, line=element.line)
    try:
        draft.date_from(read_date(element.text("toDate"), "toDate"), element.line)
    except CellRefused as refusal:
        draft.notes.append(f"line {element.line}: {refusal}")


def _read_cash(draft: StatementDraft, number: str, elements: Sequence[_Element]) -> None:
    """Add the dollars; the summary in base currency counts only where no currency is listed."""
    currencies = [e for e in elements if e.text("currency") != "BASE_SUMMARY"]
    for element in currencies or elements:
        currency = element.text("currency")
        try:
            amount = element.number("endingCash")
            if currency not in {CURRENCY, "BASE_SUMMARY"} and amount != 0:
                raise CellRefused(f"cash of {amount} is in {currency}; only {CURRENCY} is read")
            if currency in {CURRENCY, "BASE_SUMMARY"}:
                draft.accounts[number].add_cash(amount)
        except CellRefused as refusal:
            culprit = f"cash {currency} of {number}"
            draft.refuse(line=element.line, culprit=culprit, reason=str(refusal))


def _read_positions(draft: StatementDraft, number: str, elements: Sequence[_Element]) -> None:
    lots: dict[str, list[_Element]] = defaultdict(list)
    summaries: list[_Element] = []
    for element in elements:
        if element.text("levelOfDetail").upper() == "LOT":
            lots[element.text("symbol")].append(element)
        else:
            summaries.append(element)
    for element in summaries:
        symbol = element.text("symbol")
        try:
            _read_position(draft, number, element, lots.get(symbol, []))
        except CellRefused as refusal:
            draft.refuse(line=element.line, culprit=symbol, reason=str(refusal))
    for symbol in sorted(lots.keys() - {element.text("symbol") for element in summaries}):
        reason = "a lot without its SUMMARY row: tick Summary beside Lot in the Flex query"
        draft.refuse(line=lots[symbol][0].line, culprit=symbol, reason=reason)


def _read_position(
    draft: StatementDraft, number: str, element: _Element, lots: Sequence[_Element]
) -> None:
    symbol = read_symbol(element.text("symbol"))
    _check_kind(element)
    if element.text("side").casefold() == "short":
        raise CellRefused(f"side is Short (position {element.text('position')})")
    draft.accounts[number].holdings.append(
        build_holding(
            symbol=symbol,
            description=element.text("description"),
            quantity=element.number("position"),
            price=element.number("markPrice"),
            market_value=element.number("positionValue"),
            cost_basis=read_decimal(element.text("costBasisMoney"), "costBasisMoney"),
            line=element.line,
            lots=tuple(sorted((_read_lot(lot) for lot in lots), key=lambda lot: lot.acquired_date)),
        )
    )


def _check_kind(element: _Element) -> None:
    """Refuse what is not a fund or share in dollars, counted one for one."""
    currency = element.text("currency") or CURRENCY
    if currency != CURRENCY:
        raise CellRefused(f"currency is {currency}; only {CURRENCY} is read")
    category = element.text("assetCategory")
    if category not in _CATEGORIES:
        raise CellRefused(f"assetCategory {category} is neither share nor fund")
    multiplier = read_decimal(element.text("multiplier"), "multiplier")
    if multiplier not in {None, Decimal(1)}:
        raise CellRefused(f"multiplier is {multiplier}, not 1")


def _read_lot(element: _Element) -> StatementLot:
    try:
        return StatementLot(
            acquired_date=read_date(element.text("openDateTime"), "openDateTime"),
            quantity=element.number("position"),
            cost=round_money(element.number("costBasisMoney")),
        )
    except CellRefused as refusal:
        raise CellRefused(f"lot on line {element.line}: {refusal}") from None


def _read_transactions(draft: StatementDraft, number: str, elements: Sequence[_Element]) -> None:
    details = {e.text("levelOfDetail").upper() for e in elements if e.name == "CashTransaction"}
    for element in elements:
        level = element.text("levelOfDetail").upper()
        try:
            if element.name == "Trade" and level in {"", "EXECUTION"}:
                _read_trade(draft, number, element)
            elif element.name == "CashTransaction" and not (
                level == "SUMMARY" and len(details) > 1
            ):
                _read_cash_transaction(draft, number, element)
        except CellRefused as refusal:
            culprit = element.text("symbol") or element.name
            draft.refuse(line=element.line, culprit=culprit, reason=str(refusal))


def _read_trade(draft: StatementDraft, number: str, element: _Element) -> None:
    _check_kind(element)
    side = element.text("buySell").casefold()
    if side not in {"buy", "sell"}:
        raise CellRefused(f"buySell {element.text('buySell')!r} is neither BUY nor SELL")
    draft.transactions.append(
        build_transaction(
            day=read_date(element.text("tradeDate") or element.text("dateTime"), "tradeDate"),
            kind=side,
            symbol=read_symbol(element.text("symbol")),
            quantity=element.number("quantity"),
            price=element.number("tradePrice"),
            commission=read_decimal(element.text("ibCommission"), "ibCommission"),
            net=element.number("netCash"),
            account_number=number,
            line=element.line,
        )
    )


def _read_cash_transaction(draft: StatementDraft, number: str, element: _Element) -> None:
    currency = element.text("currency") or CURRENCY
    if currency != CURRENCY:
        raise CellRefused(f"currency is {currency}; only {CURRENCY} is read")
    net = element.number("amount")
    word = element.text("type").casefold()
    kind = _CASH_KINDS.get(word, "other")
    if word in {"deposits/withdrawals", "deposits & withdrawals"}:
        kind = "deposit" if net >= 0 else "withdrawal"
    symbol = element.text("symbol")
    draft.transactions.append(
        build_transaction(
            day=read_date(element.text("dateTime") or element.text("reportDate"), "dateTime"),
            kind=kind,
            symbol=read_symbol(symbol) if symbol else "",
            quantity=None,
            price=None,
            commission=None,
            net=net,
            account_number=number,
            line=element.line,
        )
    )
