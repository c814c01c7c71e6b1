"""One account's books as double entries with lots at cost, in no program's own language yet.

Each lot is held at a cost per share to ten places. What a lot's booked cost, kept to the cent,
differs from that goes to a rounding account, in figures: nothing is left for the reader to infer.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal, localcontext

from portfolios.domain.kinds import EntryKind, Pocket
from portfolios.domain.money import CENT, ZERO

UNIT_COST_STEP = Decimal("1e-10")
# The other side of what comes from or goes to outside the account, by pocket.
COUNTER = {
    Pocket.OPENING: "Equity:Opening",
    Pocket.EXTERNAL: "Equity:External",
    Pocket.ADJUSTMENT: "Equity:Adjustments",
    Pocket.INCOME: "Income:{}:Dividends",
    Pocket.FEES: "Expenses:{}:Fees",
}
GAINS = {False: "Income:{}:Gains:Short", True: "Income:{}:Gains:Long"}
ROUNDING = "Income:{}:Rounding"
CASH, SECURITIES = "Assets:{}:Cash", "Assets:{}:Securities"


@dataclass(frozen=True, slots=True)
class LotMove:
    """Shares and booked cost added to a lot by an entry (taken, where negative)."""

    lot_id: int
    security_id: int
    acquired_date: date
    quantity: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Entry:
    """A journal entry as it was booked; `cash` is (pocket on the other side, amount received)."""

    entry_id: int
    kind: EntryKind
    entry_date: date
    memo: str
    cash: tuple[tuple[Pocket, Decimal], ...]
    share_pockets: frozenset[Pocket]
    lot_moves: tuple[LotMove, ...]
    gains: tuple[tuple[bool, Decimal], ...]  # (is long-term, gain)


@dataclass(frozen=True, slots=True)
class AccountBooks:
    """An account's entries in the order in which they were booked, and what it holds now."""

    account_id: int
    name: str
    currency: str
    entries: tuple[Entry, ...]
    cash: Decimal
    holdings: Mapping[int, Decimal]


@dataclass(frozen=True, slots=True)
class Held:
    """A lot as the reader holds it: its name, cost per share, and day."""

    label: str
    unit_cost: Decimal
    acquired_date: date


@dataclass(frozen=True, slots=True)
class Posting:
    """So much of a commodity on an account; shares come with the lot they are held in."""

    account: str
    quantity: Decimal
    commodity: str
    lot: Held | None = None


@dataclass(slots=True)
class _LotState:
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    version: int = 0
    held: Held | None = None


@dataclass
class _Lots:
    """What the reader holds of every lot of an account so far."""

    codes: Mapping[int, str]
    account: str
    states: dict[int, _LotState] = field(default_factory=dict)

    def move(self, move: LotMove) -> tuple[list[Posting], Decimal]:
        """Return the postings of a change to a lot, and their weight at cost."""
        state = self.states.setdefault(move.lot_id, _LotState())
        code = self.codes[move.security_id]
        left, cost = state.quantity + move.quantity, state.cost + move.cost
        held = state.held
        is_close = held is not None and abs(move.quantity * held.unit_cost - move.cost) <= CENT
        if held is None or not is_close or not left or not move.quantity:
            postings = self._hold_anew(move, state, left, cost)
        else:
            postings = [Posting(self.account, move.quantity, code, held)]
        state.quantity, state.cost = left, cost
        weight = sum((p.quantity * p.lot.unit_cost for p in postings if p.lot), ZERO)
        return postings, weight

    def _hold_anew(
        self, move: LotMove, state: _LotState, left: Decimal, cost: Decimal
    ) -> list[Posting]:
        """Return the postings that give a lot up and take what is left in at its cost today."""
        code = self.codes[move.security_id]
        postings = []
        if state.held is not None and state.quantity:
            postings.append(Posting(self.account, -state.quantity, code, state.held))
        state.held = None
        if left:
            unit_cost = (cost / left).quantize(UNIT_COST_STEP)
            label = f"lot-{move.lot_id}-{state.version}"
            state.held = Held(label, unit_cost, move.acquired_date)
            state.version += 1
            postings.append(Posting(self.account, left, code, state.held))
        return postings


class Writer(ABC):
    """Turns books into lines of text; one for each program's language."""

    def __init__(self, *, title: str, currency: str, symbols: Mapping[int, str]) -> None:
        """Take the firm's name and currency, and its securities' symbols by id."""
        self.title, self.currency = title, currency
        self.symbols = symbols
        self.codes = self.name_commodities(symbols)
        self.declared: set[str] = set()

    def write(self, books: Iterable[AccountBooks], *, first_date: date) -> Iterator[str]:
        """Yield the lines of a whole file; `first_date` is before or on that of any entry."""
        yield from self.write_head(first_date)
        for account in books:
            # Shares have eight places and unit costs ten: the default of 28 digits is too few.
            with localcontext() as context:
                context.prec = 60
                lines = list(self._write_account(account, first_date))
            yield from lines

    def _write_account(self, books: AccountBooks, first_date: date) -> Iterator[str]:
        name = f"A{books.account_id}"
        securities = SECURITIES.format(name)
        lots = _Lots(self.codes, securities)
        transactions: list[tuple[date, Entry, list[Posting]]] = []
        day = first_date
        for entry in books.entries:
            # In the order of booking: what is booked late stands under the day it was booked on.
            day = max(day, entry.entry_date)
            transactions.append((day, entry, self._post(entry, name, lots)))
        accounts = {CASH.format(name), securities}
        accounts |= {p.account for _d, _e, postings in transactions for p in postings}
        labels = {p.lot.label for _d, _e, postings in transactions for p in postings if p.lot}
        fresh = sorted(accounts - self.declared)
        self.declared |= accounts
        yield from self.write_accounts(fresh, first_date, books.name, securities, sorted(labels))
        for booked_date, entry, postings in transactions:
            yield from self.write_transaction(booked_date, entry, postings)
        balances = [(CASH.format(name), books.cash, self.currency)]
        balances += [
            (securities, quantity, self.codes[security_id])
            for security_id, quantity in sorted(books.holdings.items())
        ]
        yield from self.write_balances(day + timedelta(days=1), balances)

    def _post(self, entry: Entry, name: str, lots: _Lots) -> list[Posting]:
        postings: list[Posting] = []
        weight = ZERO
        for move in _sum_by_lot(entry.lot_moves):
            made, at_cost = lots.move(move)
            postings += made
            weight += at_cost
        cost = sum((move.cost for move in entry.lot_moves), ZERO)
        amounts: dict[str, Decimal] = {}

        def add(account: str, amount: Decimal) -> None:
            account = account.format(name)
            amounts[account] = amounts.get(account, ZERO) + amount

        for pocket, amount in entry.cash:
            add(CASH, amount)
            if pocket in COUNTER:
                add(COUNTER[pocket], -amount)
        for pocket in entry.share_pockets:
            if pocket in COUNTER:
                add(COUNTER[pocket], -cost)
        for is_long_term, gain in entry.gains:
            add(GAINS[is_long_term], -gain)
        add(ROUNDING, cost - weight)
        postings += [
            Posting(account, amount, self.currency) for account, amount in amounts.items() if amount
        ]
        return postings

    @abstractmethod
    def name_commodities(self, symbols: Mapping[int, str]) -> dict[int, str]:
        """Return what each security is called in this language, by id; no two alike."""

    @abstractmethod
    def write_head(self, first_date: date) -> Iterator[str]:
        """Yield what stands before everything else."""

    @abstractmethod
    def write_accounts(
        self,
        accounts: Sequence[str],
        first_date: date,
        note: str,
        securities: str,
        labels: Sequence[str],
    ) -> Iterator[str]:
        """Yield the declarations of accounts; `labels` are the lots held on `securities`."""

    @abstractmethod
    def write_transaction(
        self, booked_date: date, entry: Entry, postings: Sequence[Posting]
    ) -> Iterator[str]:
        """Yield one balanced transaction."""

    @abstractmethod
    def write_balances(
        self, day: date, balances: Sequence[tuple[str, Decimal, str]]
    ) -> Iterator[str]:
        """Yield the assertions of what accounts hold at the start of a day."""


def _sum_by_lot(moves: Sequence[LotMove]) -> list[LotMove]:
    """Return one move per lot: within a transaction a reader takes each lot as it was before."""
    totals: dict[int, LotMove] = {}
    for move in moves:
        if move.lot_id in totals:
            before = totals[move.lot_id]
            move = replace(
                move, quantity=before.quantity + move.quantity, cost=before.cost + move.cost
            )
        totals[move.lot_id] = move
    return [move for move in totals.values() if move.quantity or move.cost]


def write_number(number: Decimal) -> str:
    """Return a number in plain digits, without needless zeros behind the point."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
