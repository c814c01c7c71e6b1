"""What accounts were worth on every market day, and what happened in them.

Rebuilt from the ledger and the prices; nothing is stored per day. Holdings of a past day are the
transfers up to it, so that a correction in the books shows in the history at once. Shown numbers
only; nothing here is booked.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from portfolios import models
from portfolios.domain.corporate_actions import SPLITS, Action, multiply_splits
from portfolios.domain.kinds import EntryKind
from portfolios.queries.corporate_actions import load_actions

# Net shares and cash that came in or went out, by day; and what crossed the account's border. The
# shares that splits made are left out: all shares and prices are put in those of the last day.
_MOVES = """
    SELECT e.account_id, e.entry_date, t.security_id,
           sum(CASE WHEN t.target_pocket IN ('CASH', 'SECURITIES') THEN t.quantity
                    WHEN t.source_pocket IN ('CASH', 'SECURITIES') THEN -t.quantity
                    ELSE 0 END)::float8 AS moved,
           sum(CASE WHEN t.source_pocket IN ('EXTERNAL', 'OPENING', 'ADJUSTMENT') THEN t.quantity
                    WHEN t.target_pocket IN ('EXTERNAL', 'OPENING', 'ADJUSTMENT') THEN -t.quantity
                    ELSE 0 END)::float8 AS brought
    FROM portfolios_transfer t JOIN portfolios_journalentry e ON e.id = t.entry_id
    WHERE e.account_id = ANY(%s) AND e.entry_date <= %s
      AND 'ACTIONS' NOT IN (t.source_pocket, t.target_pocket)
    GROUP BY 1, 2, 3 ORDER BY 2
"""
_PRICES = """
    SELECT price_date, security_id, price::float8 FROM portfolios_price
    WHERE security_id = ANY(%s) AND price_date BETWEEN %s AND %s ORDER BY 1
"""
# Prices a little older than the first day carry over into it.
_CARRY_DAYS = 10


@dataclass(frozen=True, slots=True)
class ValueHistory:
    """Values by market day, and the net money brought in up to each."""

    dates: tuple[date, ...] = ()
    values: tuple[float, ...] = ()
    invested: tuple[float, ...] = ()

    @property
    def change(self) -> float | None:
        """Return the growth since the first day that money in and out does not explain."""
        if len(self.values) < 2:
            return None
        return self.values[-1] - self.values[0] - (self.invested[-1] - self.invested[0])


@dataclass(frozen=True, slots=True)
class _Move:
    account_id: int
    day: date
    security_id: int | None  # None: cash
    moved: float
    brought: float


def load_value_history(*, account_ids: Sequence[int], since: date, until: date) -> ValueHistory:
    """Return what these accounts were worth together on each priced day, in three queries.

    The history begins when the last of them was taken on, or on `since`, whichever is later.
    """
    moves = [_Move(*row) for row in _read(_MOVES, [list(account_ids), until])]
    if not moves:
        return ValueHistory()
    first_days: dict[int, date] = {}
    for move in moves:
        first_days.setdefault(move.account_id, move.day)
    start = max(since, max(first_days.values()))
    securities = sorted({move.security_id for move in moves if move.security_id is not None})
    splits = load_actions(security_ids=securities, kinds=SPLITS)
    quotes = [
        (day, key, price / _factor(splits, key, day, until))
        for day, key, price in _read(
            _PRICES, [securities, start - timedelta(days=_CARRY_DAYS), until]
        )
    ]
    days = sorted({day for day, _security, _price in quotes if day >= start})
    if not days:
        return ValueHistory()
    prices = _fill_prices(quotes, days)
    cash, brought = np.zeros(len(days)), np.zeros(len(days))
    shares: dict[int, NDArray[np.float64]] = defaultdict(lambda: np.zeros(len(days)))
    for move in moves:
        # What came before the first day, or between two, counts from the next day on.
        at = bisect_left(days, move.day)
        if move.security_id is None:
            cash[at:] += move.moved
            brought[at:] += move.brought
        elif move.security_id in prices:
            factor = _factor(splits, move.security_id, move.day, until)
            shares[move.security_id][at:] += move.moved * factor
            if at < len(days):
                brought[at:] += move.brought * factor * prices[move.security_id][at]
    values = cash + sum(held * prices[security_id] for security_id, held in shares.items())
    return ValueHistory(tuple(days), tuple(values.tolist()), tuple(brought.tolist()))


def _factor(
    splits: Mapping[int, Sequence[Action]], security_id: int, day: date, until: date
) -> float:
    """Return how many shares one share of a day has become by another."""
    known = splits.get(security_id)
    return float(multiply_splits(known, after=day, until=until)) if known else 1.0


def _fill_prices(
    quotes: Sequence[tuple[Any, ...]], days: Sequence[date]
) -> dict[int, NDArray[np.float64]]:
    """Return prices by security on each of `days`, the newest one carried over gaps.

    Before its first price a security counts for nothing rather than for a guess.
    """
    prices: dict[int, NDArray[np.float64]] = defaultdict(lambda: np.zeros(len(days)))
    for day, security_id, price in quotes:
        # Quotes come in order of day, so that a later one overwrites the tail of an earlier.
        prices[security_id][bisect_left(days, day) :] = price
    return prices


def _read(sql: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())


def list_entries_but(
    account_ids: Sequence[int], kinds: Sequence[EntryKind], *, limit: int
) -> list[models.JournalEntry]:
    """Return the newest journal entries of other kinds than these, with their transfers."""
    return list(
        models.JournalEntry.objects.filter(account_id__in=account_ids)
        .exclude(kind__in=kinds)
        .select_related("account")
        .prefetch_related("transfers__security")
        .order_by("-id")[:limit]
    )


def list_class_prices(
    *, firm_id: int, since: date, until: date
) -> list[tuple[date, str, int, float]]:
    """Return (day, asset class, security id, price) of a firm's active securities, in order.

    All are prices of a share as it is on the day `until`.
    """
    rows = (
        models.Price.objects.filter(
            security__firm_id=firm_id,
            security__is_active=True,
            price_date__gte=since,
            price_date__lte=until,
        )
        .order_by("price_date", "security__asset_class__rank", "security__symbol")
        .values_list("price_date", "security__asset_class__name", "security_id", "price")
    )
    splits = load_actions(firm_id=firm_id, kinds=SPLITS)
    return [
        (day, name, key, float(price) / _factor(splits, key, day, until))
        for day, name, key, price in rows
    ]
