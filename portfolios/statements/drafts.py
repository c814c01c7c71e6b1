"""A statement being put together: collects rows, then judges each account as a whole."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from portfolios.domain.money import ZERO, round_money, round_price
from portfolios.domain.statements import (
    TOTAL_TOLERANCE,
    RefusedRow,
    Statement,
    StatementAccount,
    StatementHolding,
    StatementLot,
    StatementTransaction,
    find_holding_fault,
    find_lots_fault,
    find_trade_fault,
)
from portfolios.statements.cells import CellRefused, clean_text
from portfolios.statements.text import StatementUnreadable

# Sweep and money market funds that brokers use as the account's cash.
MONEY_FUNDS = frozenset(
    {"SPAXX", "SPRXX", "FDRXX", "FZFXX", "FDLXX", "FZDXX", "FCASH", "CORE"}  # Fidelity
    | {"VMFXX", "VMMXX", "VMRXX", "VUSXX"}  # Vanguard
    | {"SWVXX", "SNVXX", "SNOXX", "SNSXX", "SNAXX", "SWGXX", "SCOXX", "SUTXX"}  # Schwab
)


_LINES_SHOWN = 5


@dataclass(slots=True)
class AccountDraft:
    """One account's rows so far; `cash` stays None until the file states some.

    `printed_totals` are sums of the same rows and must agree with them; `printed_balances` may
    cover other things too (loans, what is not vested, another day), so a difference is only noted.
    Both with the line of the file, in US dollars.
    """

    number: str
    name: str | None
    line: int
    cash: Decimal | None = None
    holdings: list[StatementHolding] = field(default_factory=list)
    printed_totals: list[tuple[int, Decimal]] = field(default_factory=list)
    printed_balances: list[tuple[int, Decimal]] = field(default_factory=list)

    def add_cash(self, amount: Decimal) -> None:
        """Add an amount of US dollars.

        :raises CellRefused: for a loan, which no account here may have.
        """
        if amount < 0:
            raise CellRefused(f"cash {amount} is negative: margin loans are not held here")
        self.cash = (self.cash or ZERO) + round_money(amount)


@dataclass(slots=True)
class StatementDraft:
    """All accounts and transactions of a file so far, and what was refused."""

    broker: str
    as_of: date | None = None
    accounts: dict[str, AccountDraft] = field(default_factory=dict)
    transactions: list[StatementTransaction] = field(default_factory=list)
    refused: list[RefusedRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def open_account(self, *, number: str, name: str | None, line: int) -> AccountDraft:
        """Return the draft of an account, new or already begun.

        :raises StatementUnreadable: when two accounts of different names share the number.
        """
        draft = self.accounts.setdefault(number, AccountDraft(number, name, line))
        if draft.name != name:
            raise StatementUnreadable(
                f"line {line}: account {number} is called {name!r} here "
                f"but {draft.name!r} on line {draft.line}"
            )
        return draft

    def date_from(self, day: date, line: int) -> None:
        """Take the statement's date; of several the oldest counts, and a note names the other."""
        if self.as_of is not None and day != self.as_of:
            self.notes.append(f"line {line}: dated {day}, but another part {self.as_of}")
            day = min(day, self.as_of)
        self.as_of = day

    def refuse(self, *, line: int, culprit: str, reason: str) -> None:
        """Keep a row out, with what is at fault and why."""
        self.refused.append(RefusedRow(line, clean_text(culprit, 60) or "row", reason))

    def finish(self, content_sha256: str) -> Statement:
        """Return the statement: duplicates out, totals compared with those that the file prints."""
        accounts = tuple(self._finish_account(draft) for draft in self.accounts.values())
        return Statement(
            broker=self.broker,
            as_of=self.as_of,
            accounts=accounts,
            transactions=tuple(self.transactions),
            refused_rows=tuple(sorted(self.refused, key=lambda row: (row.line, row.culprit))),
            notes=tuple(self.notes),
            content_sha256=content_sha256,
        )

    def _finish_account(self, draft: AccountDraft) -> StatementAccount:
        holdings = self._drop_duplicates(draft)
        if draft.cash is None:
            self.notes.append(f"account {draft.number}: the file states no cash; 0 is assumed")
        cash = round_money(draft.cash or ZERO)
        total = cash + sum((holding.market_value for holding in holdings), ZERO)
        # Each printed value is rounded on its own, so the printed total may be some cents away.
        tolerance = TOTAL_TOLERANCE * (len(holdings) + 1)
        for line, printed in draft.printed_totals:
            if abs(printed - total) > tolerance:
                self.refuse(
                    line=line,
                    culprit=f"total of account {draft.number}",
                    reason=f"the file prints {printed}, but the rows read add up to {total}",
                )
        for line, printed in draft.printed_balances:
            if abs(printed - total) > tolerance:
                self.notes.append(
                    f"line {line}: the file prints a balance of {printed} for account "
                    f"{draft.number}, but its positions and cash add up to {total}; these are taken"
                )
        return StatementAccount(draft.number, draft.name, cash, holdings, total)

    def _drop_duplicates(self, draft: AccountDraft) -> tuple[StatementHolding, ...]:
        """Refuse every row of a symbol that comes twice: none of them is the whole holding."""
        by_symbol: dict[str, list[StatementHolding]] = defaultdict(list)
        for holding in draft.holdings:
            by_symbol[holding.symbol].append(holding)
        for symbol, twins in by_symbol.items():
            if len(twins) == 1:
                continue
            lines = ", ".join(str(twin.line) for twin in twins[:_LINES_SHOWN])
            more = ", ..." if len(twins) > _LINES_SHOWN else ""
            reason = f"{symbol} is listed twice in account {draft.number}: lines {lines}{more}"
            for twin in twins:
                self.refuse(line=twin.line, culprit=symbol, reason=reason)
        return tuple(h for h in draft.holdings if len(by_symbol[h.symbol]) == 1)


def is_money_fund(symbol: str) -> bool:
    """Return whether a symbol stands for cash; Fidelity marks the core position by two stars."""
    return symbol.endswith("**") or symbol in MONEY_FUNDS


def build_holding(
    *,
    symbol: str,
    description: str,
    quantity: Decimal,
    price: Decimal,
    market_value: Decimal,
    cost_basis: Decimal | None,
    line: int,
    lots: tuple[StatementLot, ...] = (),
) -> StatementHolding:
    """Return a holding that meets every rule; money to the cent, price to six places.

    :raises CellRefused: naming the figures that cannot be.
    """
    fault = find_holding_fault(quantity=quantity, price=price, market_value=market_value)
    if fault is None and round_price(price) <= 0:
        fault = f"price {price} is zero when rounded to six places"
    if fault is None and cost_basis is not None and cost_basis < 0:
        fault = f"cost basis {cost_basis} is negative"
    if fault is None:
        fault = find_lots_fault(lots=lots, quantity=quantity, cost_basis=cost_basis)
    if fault is not None:
        raise CellRefused(fault)
    return StatementHolding(
        symbol=symbol,
        description=clean_text(description),
        quantity=quantity,
        price=round_price(price),
        market_value=round_money(market_value),
        cost_basis=None if cost_basis is None else round_money(cost_basis),
        lots=lots,
        line=line,
    )


def build_transaction(
    *,
    day: date,
    kind: str,
    symbol: str,
    quantity: Decimal | None,
    price: Decimal | None,
    commission: Decimal | None,
    net: Decimal,
    account_number: str,
    line: int,
) -> StatementTransaction:
    """Return a transaction; signs of quantity and commission are dropped, `kind` says the way.

    :raises CellRefused: when quantity, price, commission and net contradict each other.
    """
    # Brokers fill the columns of a plain dividend with zeros: that is no quantity, and no price.
    quantity = abs(quantity) if quantity else None
    price = price if price and quantity else None
    commission = None if commission is None else abs(commission)
    fault = find_trade_fault(
        kind=kind, quantity=quantity, price=price, commission=commission, net=net
    )
    if fault is not None:
        raise CellRefused(fault)
    return StatementTransaction(
        date=day,
        kind=kind,
        symbol=symbol,
        quantity=quantity,
        price=None if price is None else round_price(price),
        commission=None if commission is None else round_money(commission),
        net=round_money(net),
        account_number=account_number,
        line=line,
    )
