"""OFX investment statements (1.x and 2.x): positions, cash and transactions of each account.

An own strict reader instead of a library: `ofxparse` takes `1,234` for 1.234 and NaN for a number,
ignores short positions and dates, and needs time square to the file's length. It serves as the
second opinion in the tests.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice

from portfolios.domain.money import ZERO
from portfolios.domain.statements import values_agree
from portfolios.statements.cells import (
    CellRefused,
    clean_text,
    read_date,
    read_decimal,
    read_symbol,
    require_decimal,
)
from portfolios.statements.drafts import (
    AccountDraft,
    StatementDraft,
    build_holding,
    build_transaction,
    is_money_fund,
)
from portfolios.statements.ofx_elements import Element, read_elements
from portfolios.statements.text import StatementUnreadable

NAME = "ofx"
TITLE = "OFX investment statement (OFXHEADER, <INVSTMTRS>)"
CURRENCY = "USD"

_POSITIONS = ("POSSTOCK", "POSMF", "POSDEBT", "POSOTHER", "POSOPT")
_PER_CENT = Decimal(100)
_NAMES_SHOWN = 5
_TRADES = {
    **{f"BUY{what}": "buy" for what in ("STOCK", "MF", "DEBT", "OTHER")},
    **{f"SELL{what}": "sell" for what in ("STOCK", "MF", "DEBT", "OTHER")},
    "REINVEST": "reinvestment",
    "INVEXPENSE": "fee",
    "MARGININTEREST": "interest",
    "RETOFCAP": "other",
    "SPLIT": "other",
    "JRNLFUND": "other",
    "JRNLSEC": "other",
    "BUYOPT": "other",
    "SELLOPT": "other",
    "CLOSUREOPT": "other",
}
_INCOME = {"INTEREST": "interest", "MISC": "other"}


@dataclass(slots=True)
class _Names:
    """What SECLIST calls a security: the first title, and each ticker's own in file order."""

    title: str = ""
    tickers: dict[str, str] = field(default_factory=dict)

    @property
    def are_many(self) -> bool:
        """Return whether the identifier alone does not say which ticker is meant."""
        return len(self.tickers) > 1

    def __str__(self) -> str:
        return _join(self.tickers)


def read(text: str) -> StatementDraft:
    """Return every investment account of the file.

    :raises StatementUnreadable: for broken OFX, no investment statement, or a foreign currency.
    """
    root = read_elements(text)
    statements = list(root.all("INVSTMTRS"))
    if not statements:
        raise StatementUnreadable("the OFX file holds no investment statement (<INVSTMTRS>)")
    draft = StatementDraft(NAME)
    securities = _read_securities(root)
    for statement in statements:
        account = _open_account(draft, statement)
        _read_positions(draft, account, list(statement.all(*_POSITIONS)), securities)
        _read_transactions(draft, account, statement, securities)
        _read_balances(draft, account, statement)
    return draft


def _open_account(draft: StatementDraft, statement: Element) -> AccountDraft:
    currency = statement.own("CURDEF").upper()
    if currency != CURRENCY:
        found = clean_text(currency, 10) or "missing"
        raise StatementUnreadable(
            f"line {statement.line}: CURDEF is {found}; only {CURRENCY} statements are read"
        )
    owners = (child for child in statement.children if child.name == "INVACCTFROM")
    number = clean_text(next((owner.own("ACCTID") for owner in owners), ""), 40)
    if not number:
        raise StatementUnreadable(f"line {statement.line}: a statement without ACCTID")
    try:
        draft.date_from(read_date(_day(statement.own("DTASOF")), "DTASOF"), statement.line)
    except CellRefused as refusal:
        draft.notes.append(f"line {statement.line}: {refusal}")
    return draft.open_account(number=number, name=None, line=statement.line)


def _read_securities(root: Element) -> Mapping[str, _Names]:
    securities: dict[str, _Names] = {}
    for element in root.all("SECINFO"):
        # A security without identifier names nothing: no position can mean it.
        if not (identifier := element.value("UNIQUEID")):
            continue
        title = element.value("SECNAME")
        names = securities.setdefault(identifier, _Names(title))
        if ticker := element.value("TICKER").strip().upper():
            names.tickers.setdefault(ticker, title)
    return securities


def _read_positions(
    draft: StatementDraft,
    account: AccountDraft,
    positions: list[Element],
    securities: Mapping[str, _Names],
) -> None:
    """Read positions; where one identifier has several tickers and as many positions, pair them."""
    units: dict[str, list[str]] = defaultdict(list)
    for element in positions:
        units[element.value("UNIQUEID")].append(clean_text(element.value("UNITS"), 40))
    paired = {}
    for identifier, amounts in units.items():
        names = securities.get(identifier, _Names())
        if not names.are_many or len(names.tickers) != len(amounts):
            continue
        paired[identifier] = iter(names.tickers.items())
        pairs = [f"{amount} as {name}" for amount, name in zip(amounts, names.tickers, strict=True)]
        draft.notes.append(
            f"account {account.number}: {identifier} stands for {names}; its positions are taken "
            f"in the order listed: {_join(pairs)}"
        )
    named = []
    for element in positions:
        identifier = element.value("UNIQUEID")
        names = securities.get(identifier, _Names())
        if identifier in paired:
            ticker, title = next(paired[identifier])
            names = _Names(title, {ticker: title})
        named.append((element, names))
    # Pairs follow the file; an account's holdings stand by kind, stocks first.
    for element, names in sorted(named, key=lambda entry: _POSITIONS.index(entry[0].name)):
        _read_position(draft, account, element, names)


def _read_position(
    draft: StatementDraft, account: AccountDraft, element: Element, names: _Names
) -> None:
    culprit = identifier = element.value("UNIQUEID") or element.name
    try:
        if names.are_many:
            reason = f"SECLIST gives {identifier} the tickers {names}: which one is unknown"
            raise CellRefused(reason)
        # Where SECLIST knows no ticker, the identifier itself is the symbol.
        listed = next(iter(names.tickers.items()), (element.value("UNIQUEID"), names.title))
        symbol, title = read_symbol(listed[0]), listed[1]
        culprit = symbol
        if element.name == "POSOPT":
            raise CellRefused("options are not held here")
        units = _number(element, "UNITS")
        value = _number(element, "MKTVAL")
        if element.value("POSTYPE").upper() == "SHORT":
            raise CellRefused(f"POSTYPE is SHORT ({units} units)")
        if units == ZERO and value == ZERO:
            draft.notes.append(f"line {element.line}: {symbol} has no shares left; skipped")
            return
        price = _unit_price(draft, element, symbol, units, value)
        holding = build_holding(
            symbol=symbol,
            description=title,
            quantity=units,
            price=price,
            market_value=value,
            cost_basis=None,
            line=element.line,
        )
        if is_money_fund(symbol):
            account.add_cash(value)
        else:
            account.holdings.append(holding)
    except CellRefused as refusal:
        draft.refuse(line=element.line, culprit=culprit, reason=str(refusal))


def _unit_price(
    draft: StatementDraft, element: Element, symbol: str, units: Decimal, value: Decimal
) -> Decimal:
    """Return dollars per unit: OFX prices bonds in per cent of their face value."""
    price = _number(element, "UNITPRICE")
    per_unit = price / _PER_CENT
    if element.name != "POSDEBT" or not values_agree(units * per_unit, value):
        return price
    draft.notes.append(f"line {element.line}: {symbol} is priced at {price} % of its face value")
    return per_unit


def _read_balances(draft: StatementDraft, account: AccountDraft, statement: Element) -> None:
    for balance in statement.all("INVBAL"):
        try:
            account.add_cash(_number(balance, "AVAILCASH"))
            for borrowed in ("MARGINBALANCE", "SHORTBALANCE"):
                if _optional(balance, borrowed):
                    raise CellRefused(f"{borrowed} is not zero: borrowed money is not kept here")
        except CellRefused as refusal:
            draft.refuse(line=balance.line, culprit="INVBAL", reason=str(refusal))
    printed = [
        (listed, "VALUE")
        for listed in statement.all("BAL")
        if listed.value("NAME").casefold().replace(" ", "") in {"accountvalue", "totalvalue"}
    ]
    printed += [(total, "TOTAL") for total in statement.all("INV401KBAL")]
    for element, name in printed:
        try:
            account.printed_balances.append((element.line, _number(element, name)))
        except CellRefused as refusal:
            draft.refuse(line=element.line, culprit=name, reason=str(refusal))


def _read_transactions(
    draft: StatementDraft,
    account: AccountDraft,
    statement: Element,
    securities: Mapping[str, _Names],
) -> None:
    ambiguous: dict[str, _Names] = {}
    for transactions in statement.all("INVTRANLIST"):
        for element in transactions.children:
            if not element.children or (kind := _kind(element)) is None:
                continue
            identifier = element.value("UNIQUEID")
            names = securities.get(identifier, _Names())
            if names.are_many:
                ambiguous[identifier] = names
            symbol = identifier if names.are_many else next(iter(names.tickers), identifier)
            _read_transaction(draft, account, element, kind, symbol)
    for identifier, names in ambiguous.items():
        draft.notes.append(
            f"account {account.number}: transactions of {identifier} keep it as their symbol, "
            f"for it stands for {names}"
        )


def _read_transaction(
    draft: StatementDraft, account: AccountDraft, element: Element, kind: str, listed: str
) -> None:
    culprit = element.value("UNIQUEID") or element.name
    try:
        symbol = read_symbol(listed) if element.find("SECID") else ""
        is_bank = element.name == "INVBANKTRAN"
        # A transfer of shares moves no cash and prints no total.
        is_move = kind in {"transfer_in", "transfer_out"} or element.name in {"SPLIT", "JRNLSEC"}
        net = ZERO if is_move else _number(element, "TRNAMT" if is_bank else "TOTAL")
        commission = _optional(element, "COMMISSION")
        fees = _optional(element, "FEES")
        draft.transactions.append(
            build_transaction(
                day=read_date(_day(element.value("DTPOSTED" if is_bank else "DTTRADE")), "date"),
                kind=_bank_kind(net) if is_bank else kind,
                symbol=symbol,
                quantity=_optional(element, "UNITS"),
                price=_optional(element, "UNITPRICE"),
                commission=None
                if commission is None and fees is None
                else (commission or ZERO) + (fees or ZERO),
                net=net,
                account_number=account.number,
                line=element.line,
            )
        )
    except CellRefused as refusal:
        draft.refuse(line=element.line, culprit=culprit, reason=str(refusal))


def _kind(element: Element) -> str | None:
    if element.name == "INCOME":
        return _INCOME.get(element.value("INCOMETYPE").upper(), "dividend")
    if element.name == "TRANSFER":
        return "transfer_out" if element.value("TFERACTION").upper() == "OUT" else "transfer_in"
    if element.name == "INVBANKTRAN":
        return "other"
    return _TRADES.get(element.name)


def _bank_kind(net: Decimal) -> str:
    return "deposit" if net >= 0 else "withdrawal"


def _join(words: Collection[str]) -> str:
    """Return words joined by "and", the first few of them: hostile files list thousands."""
    shown = list(islice(words, _NAMES_SHOWN))
    if len(words) > _NAMES_SHOWN:
        shown.append(f"{len(words) - _NAMES_SHOWN:,} more")
    return " and ".join(shown)


def _number(element: Element, name: str) -> Decimal:
    return require_decimal(element.value(name), name)


def _optional(element: Element, name: str) -> Decimal | None:
    return read_decimal(element.value(name), name)


def _day(stamp: str) -> str:
    """Return the calendar day of an OFX time stamp as the broker wrote it, in the broker's zone."""
    return stamp.strip()[:8]
