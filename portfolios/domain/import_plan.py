"""What taking a statement into the books would do: per account, per holding, and every refusal.

Pure: a statement and what is on record in, a plan out. A plan with a refused row is not carried out
at all; books that already hold something else are never silently changed.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from accounts.domain.roles import TaxStatus
from portfolios.domain.money import QUANTITY_STEP, ZERO, round_money
from portfolios.domain.statements import (
    RefusedRow,
    Statement,
    StatementAccount,
    StatementHolding,
)
from portfolios.domain.symbols import is_symbol

AMOUNT_LIMIT = Decimal("1e12")
NUMBER_LENGTH_MAX = 40


class AccountState(StrEnum):
    """What importing would do to an account."""

    NEW = "NEW"  # the account is opened, then its books
    OPENING = "OPENING"  # the account is known, its books are empty
    UNCHANGED = "UNCHANGED"  # the books already say what the statement says


class HoldingState(StrEnum):
    """What importing would do to a holding."""

    NEW = "NEW"
    UNCHANGED = "UNCHANGED"


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """An account on record and what its books hold; `holdings` are quantities by symbol."""

    account_id: int
    household_id: int
    number: str
    name: str
    custodian: str
    is_open: bool
    is_booked: bool
    cash: Decimal
    holdings: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class PlannedLot:
    """A lot that would be opened; money in the account's currency."""

    acquired_date: date
    quantity: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True)
class PlannedHolding:
    """A holding of the statement; `note` says what had to be assumed about it."""

    symbol: str
    description: str
    quantity: Decimal
    market_value: Decimal
    state: HoldingState
    is_new_security: bool
    lots: tuple[PlannedLot, ...]
    note: str
    line: int


@dataclass(frozen=True, slots=True)
class PlannedAccount:
    """An account of the statement; without `account_id` it would be opened."""

    number: str
    name: str
    state: AccountState
    account_id: int | None
    tax_status: TaxStatus | None
    cash: Decimal
    holdings: tuple[PlannedHolding, ...]

    @property
    def total(self) -> Decimal:
        """Return cash plus market value, as the statement has them."""
        return sum((holding.market_value for holding in self.holdings), self.cash)


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """Everything that taking a statement into the books would do."""

    content_sha256: str
    broker: str
    as_of: date
    accounts: tuple[PlannedAccount, ...]
    refused: tuple[RefusedRow, ...]
    notes: tuple[str, ...]
    imported_before: bool = False

    @property
    def changes_anything(self) -> bool:
        """Return whether carrying it out would open books."""
        return any(account.state is not AccountState.UNCHANGED for account in self.accounts)

    @property
    def new_securities(self) -> dict[str, str]:
        """Return names by symbol of the securities that would be taken on."""
        return {
            holding.symbol: holding.description or holding.symbol
            for account in self.accounts
            for holding in account.holdings
            if holding.is_new_security
        }

    @property
    def fingerprint(self) -> str:
        """Return a hash of all it would do: what was shown is what is carried out."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ImportTerms:
    """On what terms a statement is taken on; `market_date` is the firm's newest day."""

    market_date: date
    household_id: int | None
    create_missing: bool
    # For accounts that are new; None guesses from each account's name.
    tax_status: TaxStatus | None = None


def guess_tax_status(name: str) -> TaxStatus:
    """Return the tax status that an account's name suggests; taxable when it suggests none."""
    words = "".join(letter if letter.isalnum() else " " for letter in name.upper())
    if "ROTH" in words:
        return TaxStatus.TAX_FREE
    compact = words.replace(" ", "")
    if any(mark in compact for mark in ("401K", "403B", "457B", "PENSION", "ROLLOVER")):
        return TaxStatus.TAX_DEFERRED
    if {"IRA", "SEP", "SIMPLE", "401"} & set(words.split()):
        return TaxStatus.TAX_DEFERRED
    return TaxStatus.TAXABLE


def plan_statement(
    *,
    statement: Statement,
    terms: ImportTerms,
    known: Sequence[KnownAccount],
    hidden_numbers: frozenset[str],
    symbols: frozenset[str],
) -> ImportPlan:
    """Return what importing the statement would do.

    `symbols` are the firm's securities; `hidden_numbers` belong to accounts of the firm that the
    person who asks does not look after.
    """
    as_of = statement.as_of or terms.market_date
    planner = _Planner(terms, as_of, statement.broker, symbols)
    planner.refused += statement.refused_rows
    if as_of > terms.market_date:
        planner.refuse(1, as_of.isoformat(), f"is after the market day {terms.market_date}")
    times = Counter(account.number for account in statement.accounts)
    accounts = []
    for account in statement.accounts:
        line = account.holdings[0].line if account.holdings else 1
        if times[account.number] > 1:
            planner.refuse(line, account.number, "stands in the file more than once")
        elif account.number in hidden_numbers:
            planner.refuse(line, account.number, "is not an account that you look after")
        else:
            found = [row for row in known if row.number == account.number]
            accounts.append(planner.plan_account(account, found, line))
    notes = list(statement.notes)
    if statement.as_of is None:
        notes.append(f"The file states no date; {as_of} is taken.")
    return ImportPlan(
        content_sha256=statement.content_sha256,
        broker=statement.broker,
        as_of=as_of,
        accounts=tuple(account for account in accounts if account is not None),
        refused=tuple(sorted(planner.refused, key=lambda row: row.line)),
        notes=tuple(notes + planner.notes),
    )


class _Planner:
    """Plans account by account and collects what is refused on the way."""

    def __init__(
        self, terms: ImportTerms, as_of: date, broker: str, symbols: frozenset[str]
    ) -> None:
        self.terms = terms
        self.as_of = as_of
        self.broker = broker
        self.symbols = symbols
        self.refused: list[RefusedRow] = []
        self.notes: list[str] = []

    def refuse(self, line: int, culprit: str, reason: str) -> None:
        self.refused.append(RefusedRow(line=line, culprit=culprit, reason=reason))

    def plan_account(
        self, account: StatementAccount, found: Sequence[KnownAccount], line: int
    ) -> PlannedAccount | None:
        fault = self._find_account_fault(account, found)
        if fault:
            self.refuse(line, account.number, fault)
            return None
        record = self._choose(found)
        holdings = [
            planned
            for holding in account.holdings
            if (planned := self._plan_holding(holding, record)) is not None
        ]
        if record is not None and record.is_booked:
            self._compare(account, holdings, record, line)
        return PlannedAccount(
            number=account.number,
            name=record.name if record else self._name_new(account),
            state=_state(record, account),
            account_id=record.account_id if record else None,
            tax_status=None if record else self._tax_status(account),
            cash=round_money(account.cash),
            holdings=tuple(holdings),
        )

    def _find_account_fault(
        self, account: StatementAccount, found: Sequence[KnownAccount]
    ) -> str | None:
        if not 0 < len(account.number) <= NUMBER_LENGTH_MAX:
            return f"is not an account number of 1 to {NUMBER_LENGTH_MAX} characters"
        if not ZERO <= account.cash < AMOUNT_LIMIT:
            return f"has {account.cash} in cash; borrowed money is not kept here"
        if not found:
            if self.terms.household_id is not None and self.terms.create_missing:
                return None
            return "is not on record; name a household and allow new accounts to open it"
        record = self._choose(found)
        if record is None:
            return "is the number of several accounts on record"
        if not record.is_open:
            return "is closed"
        if self.terms.household_id not in (None, record.household_id):
            return "belongs to another household"
        return None

    def _choose(self, found: Sequence[KnownAccount]) -> KnownAccount | None:
        """Return the account meant; the same number can stand at two custodians."""
        if len(found) > 1:
            found = [row for row in found if row.custodian.casefold() == self.broker.casefold()]
        return found[0] if len(found) == 1 else None

    def _name_new(self, account: StatementAccount) -> str:
        return (account.name or f"{self.broker} {account.number}").strip()[:120]

    def _tax_status(self, account: StatementAccount) -> TaxStatus:
        if self.terms.tax_status is not None:
            return self.terms.tax_status
        name = self._name_new(account)
        status = guess_tax_status(name)
        words = status.lower().replace("_", "-")
        self.notes.append(f"Account {account.number}: taken as {words}, from its name “{name}”.")
        return status

    def _plan_holding(
        self, holding: StatementHolding, record: KnownAccount | None
    ) -> PlannedHolding | None:
        symbol = holding.symbol if holding.symbol in self.symbols else holding.symbol.upper()
        fault = self._find_holding_fault(holding, symbol)
        if fault:
            self.refuse(holding.line, holding.symbol, fault)
            return None
        is_booked = record is not None and record.is_booked
        lots, note = self._plan_lots(holding)
        return PlannedHolding(
            symbol=symbol,
            description=holding.description,
            quantity=holding.quantity.quantize(QUANTITY_STEP),
            market_value=round_money(holding.market_value),
            state=HoldingState.UNCHANGED if is_booked else HoldingState.NEW,
            is_new_security=symbol not in self.symbols,
            lots=() if is_booked else lots,
            note="" if is_booked else note,
            line=holding.line,
        )

    def _find_holding_fault(self, holding: StatementHolding, symbol: str) -> str | None:
        if symbol not in self.symbols:
            if not self.terms.create_missing:
                return "is not one of the firm's securities; add it, or allow new ones"
            if not is_symbol(symbol):
                return "cannot be a symbol"
        if not ZERO < holding.quantity < AMOUNT_LIMIT:
            return f"quantity {holding.quantity} cannot be held"
        costs = [lot.cost for lot in holding.lots] + [holding.cost_basis or ZERO]
        if any(not ZERO <= cost < AMOUNT_LIMIT for cost in costs):
            return "its cost cannot be a cost"
        late = [lot.acquired_date for lot in holding.lots if lot.acquired_date > self.as_of]
        if late:
            return f"a lot was bought on {late[0]}, after the statement's date {self.as_of}"
        return None

    def _plan_lots(self, holding: StatementHolding) -> tuple[tuple[PlannedLot, ...], str]:
        if holding.lots:
            lots = tuple(
                PlannedLot(
                    lot.acquired_date, lot.quantity.quantize(QUANTITY_STEP), round_money(lot.cost)
                )
                for lot in holding.lots
            )
            return lots, ""
        note = f"holding period unknown, counted from {self.as_of}"
        cost = holding.cost_basis
        if cost is None:
            cost = holding.market_value
            note = f"no cost basis given, market value taken; {note}"
        lot = PlannedLot(self.as_of, holding.quantity.quantize(QUANTITY_STEP), round_money(cost))
        return (lot,), note

    def _compare(
        self,
        account: StatementAccount,
        holdings: Sequence[PlannedHolding],
        record: KnownAccount,
        line: int,
    ) -> None:
        """Refuse whatever the books and the statement say differently."""
        stated = {holding.symbol: holding for holding in holdings}
        for symbol, holding in stated.items():
            held = record.holdings.get(symbol, ZERO)
            if held != holding.quantity:
                self.refuse(
                    holding.line,
                    symbol,
                    f"books hold {_plain(held)}, statement says {_plain(holding.quantity)}",
                )
        named = {row.symbol for row in account.holdings} | {
            row.symbol.upper() for row in account.holdings
        }
        for symbol, held in sorted(record.holdings.items()):
            if held and symbol not in named:
                self.refuse(line, symbol, f"books hold {_plain(held)}, statement says none")
        cash = round_money(account.cash)
        if cash != record.cash:
            reason = f"books hold {record.cash} in cash, statement says {cash}"
            self.refuse(line, account.number, reason)


def _state(record: KnownAccount | None, account: StatementAccount) -> AccountState:
    if record is None:
        return AccountState.NEW
    is_empty = not account.holdings and not account.cash
    return AccountState.UNCHANGED if record.is_booked or is_empty else AccountState.OPENING


def _plain(quantity: Decimal) -> str:
    return f"{quantity.normalize():f}"
