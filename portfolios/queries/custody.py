"""What accounts hold and how it came, as a custodian would see it; a fixed number of queries."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

from portfolios import models
from portfolios.domain.kinds import ActionKind, ActionStatus
from portfolios.domain.money import CENT


@dataclass(frozen=True, slots=True)
class Books:
    """What accounts hold: of one security each, and without one, cash."""

    quantities: Mapping[tuple[int, int | None], Decimal]
    versions: Mapping[int, int]
    symbols: Mapping[int, str]
    last_entry_ids: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Movement:
    """What one entry brought into an account (below zero: took out); no symbol: cash."""

    account_id: int
    source: str
    symbol: str
    quantity: Decimal


def load_holdings(account_ids: Sequence[int]) -> Books:
    """Return what these accounts hold in one statement each, their versions read first.

    Whoever changes books moves the version too: equal versions before and after mean that what
    was read in between is of one moment.
    """
    balances = models.CashBalance.objects.filter(account_id__in=account_ids)
    quantities: dict[tuple[int, int | None], Decimal] = {}
    versions: dict[int, int] = {}
    for account_id, amount, version in balances.values_list(
        "account_id", "amount", "books_version"
    ):
        quantities[account_id, None], versions[account_id] = amount, version
    symbols: dict[int, str] = {}
    for account_id, security_id, symbol, quantity in models.Holding.objects.filter(
        account_id__in=account_ids, quantity__gt=0
    ).values_list("account_id", "security_id", "security__symbol", "quantity"):
        quantities[account_id, security_id], symbols[security_id] = quantity, symbol
    with connection.cursor() as cursor:
        cursor.execute(_LAST_ENTRIES, [list(account_ids)])
        last = dict(cursor.fetchall())
    return Books(quantities, versions, symbols, last)


def get_versions(account_ids: Sequence[int]) -> dict[int, int]:
    """Return how often the books of these accounts have changed."""
    return dict(
        models.CashBalance.objects.filter(account_id__in=account_ids).values_list(
            "account_id", "books_version"
        )
    )


def list_movements(
    *, firm_id: int, after: Mapping[int, int], kinds: Collection[str]
) -> tuple[list[Movement], dict[int, int]]:
    """Return what entries of some kinds moved since an entry of each account, and the last entries.

    A reversal counts as of the kind of what it takes back. Both come from one statement: no entry
    is passed over that was written meanwhile.
    """
    ids = list(after)
    with connection.cursor() as cursor:
        cursor.execute(_MOVEMENTS, [ids, [after[key] for key in ids], firm_id])
        rows = cursor.fetchall()
    moves: list[Movement] = []
    last: dict[int, int] = {}
    for entry_id, account_id, source, kind, symbol, quantity in rows:
        last[account_id] = max(entry_id, last.get(account_id, 0))
        if kind in kinds and quantity:
            amount = quantity if symbol else quantity.quantize(CENT)
            moves.append(Movement(account_id, source, symbol or "", amount))
    return moves, last


def list_moved_accounts(after: Mapping[int, int]) -> set[int]:
    """Return the accounts with an entry after the one that is named for each."""
    ids = list(after)
    with connection.cursor() as cursor:
        cursor.execute(_ANY_AFTER, [ids, [after[key] for key in ids]])
        return {account_id for (account_id,) in cursor.fetchall()}


def map_symbols(firm_id: int) -> dict[str, int]:
    """Return the firm's securities by symbol, those under which they were known before included."""
    former = models.CorporateAction.objects.filter(
        firm_id=firm_id, kind=ActionKind.SYMBOL_CHANGE, status=ActionStatus.APPLIED
    ).order_by("effective_date", "id")
    found = dict(former.values_list("old_symbol", "security_id"))
    now = models.Security.objects.filter(firm_id=firm_id).values_list("symbol", "pk")
    return {**found, **dict(now)}


_LAST_ENTRIES = """
    SELECT account_id, max(id) FROM portfolios_journalentry
    WHERE account_id = ANY(%s) GROUP BY 1"""

_MOVEMENTS = """
    SELECT e.id, e.account_id, e.source, coalesce(r.kind, e.kind), s.symbol,
        sum((t.target_pocket IN ('CASH', 'SECURITIES'))::int * t.quantity
            - (t.source_pocket IN ('CASH', 'SECURITIES'))::int * t.quantity)
    FROM unnest(%s::bigint[], %s::bigint[]) AS c(account_id, entry_id)
    JOIN portfolios_journalentry e ON e.account_id = c.account_id AND e.id > c.entry_id
    JOIN accounts_account a ON a.id = e.account_id AND a.firm_id = %s
    LEFT JOIN portfolios_transfer t ON t.entry_id = e.id
    LEFT JOIN portfolios_security s ON s.id = t.security_id
    LEFT JOIN portfolios_journalentry r ON r.id = e.reverses_id
    GROUP BY e.id, e.account_id, e.source, r.kind, e.kind, s.symbol ORDER BY e.id, s.symbol"""

_ANY_AFTER = """
    SELECT DISTINCT e.account_id
    FROM unnest(%s::bigint[], %s::bigint[]) AS c(account_id, entry_id)
    JOIN portfolios_journalentry e ON e.account_id = c.account_id AND e.id > c.entry_id"""
