"""What households' books mean for their taxes: gains of the year, washed losses, recent trades.

Booked numbers stand as they are, except where tax law sees them otherwise: where a loss met a
purchase of the same thing within thirty days, or shares are pooled. Only there the whole ledger of
that household and group is matched, so that a shard of thousands of accounts stays a few queries.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from portfolios.domain.corporate_actions import multiply_splits, scale_quantity
from portfolios.domain.kinds import Side
from portfolios.domain.money import ZERO
from portfolios.domain.tax import get_regime
from portfolios.domain.tax.events import Acquisition, LedgerFault, Sale
from portfolios.queries.corporate_actions import load_splits

logger = logging.getLogger(__name__)

# Both sides of a window of 30 days, and the day itself.
RECENT_DAYS = 61

# A sale that was taken back never was: neither it nor the row that reverses it counts. Nor does a
# lot that is empty although nothing of it stands as sold: its purchase was taken back.

# Where booked numbers are not what the law sees: a loss with a purchase near it, or a pool. The
# window is that of every law we know.
_ADJUSTED = """
    SELECT DISTINCT a.household_id, coalesce(nullif(s.identical_group, ''), s.symbol)
    FROM portfolios_disposal d
    JOIN portfolios_lot l ON l.id = d.lot_id
    JOIN portfolios_security s ON s.id = l.security_id
    JOIN accounts_account a ON a.id = l.account_id
    JOIN accounts_household h ON h.id = a.household_id
    WHERE a.household_id = ANY(%(households)s) AND a.tax_status = 'TAXABLE'
      AND d.reverses_id IS NULL AND NOT EXISTS (
               SELECT 1 FROM portfolios_disposal u WHERE u.reverses_id = d.id)
      AND (h.tax_regime = ANY(%(pooling)s)
           OR (d.proceeds < d.cost AND EXISTS (
               SELECT 1 FROM portfolios_lot r
               JOIN portfolios_security rs ON rs.id = r.security_id
               JOIN accounts_account ra ON ra.id = r.account_id
               WHERE ra.household_id = a.household_id AND r.id <> l.id
                 AND (r.quantity > 0 OR EXISTS (
                     SELECT 1 FROM portfolios_disposal rd
                     WHERE rd.lot_id = r.id AND rd.reverses_id IS NULL AND NOT EXISTS (
                         SELECT 1 FROM portfolios_disposal u WHERE u.reverses_id = rd.id)))
                 AND r.acquired_date BETWEEN d.disposed_date - 30 AND d.disposed_date + 30
                 AND coalesce(nullif(rs.identical_group, ''), rs.symbol)
                     = coalesce(nullif(s.identical_group, ''), s.symbol))))"""

_LEDGER_LOTS = """
    SELECT a.household_id, coalesce(nullif(s.identical_group, ''), s.symbol), l.id, l.account_id,
           l.acquired_date, l.opened_quantity, l.opened_cost, a.tax_status <> 'TAXABLE',
           l.security_id, l.quantity, l.cost,
           EXISTS (SELECT 1 FROM portfolios_lotadjustment j WHERE j.lot_id = l.id)
    FROM unnest(%(households)s::bigint[], %(groups)s::text[]) AS wanted (household_id, name)
    JOIN accounts_account a ON a.household_id = wanted.household_id
    JOIN portfolios_lot l ON l.account_id = a.id
    JOIN portfolios_security s
      ON s.id = l.security_id
     AND coalesce(nullif(s.identical_group, ''), s.symbol) = wanted.name"""

_LEDGER_SALES = """
    SELECT a.household_id, coalesce(nullif(s.identical_group, ''), s.symbol), d.id, l.id,
           d.disposed_date, d.quantity, d.proceeds, d.cost
    FROM unnest(%(households)s::bigint[], %(groups)s::text[]) AS wanted (household_id, name)
    JOIN accounts_account a ON a.household_id = wanted.household_id
    JOIN portfolios_lot l ON l.account_id = a.id
    JOIN portfolios_security s
      ON s.id = l.security_id
     AND coalesce(nullif(s.identical_group, ''), s.symbol) = wanted.name
    JOIN portfolios_disposal d ON d.lot_id = l.id
    WHERE d.reverses_id IS NULL AND NOT EXISTS (
              SELECT 1 FROM portfolios_disposal u WHERE u.reverses_id = d.id)"""

# Gains and losses of one day apart: a loss opens a window even where a gain covers it.
_SALES = """
    SELECT a.household_id, coalesce(nullif(s.identical_group, ''), s.symbol), l.security_id,
           d.disposed_date, d.is_long_term, sum(d.proceeds - d.cost)
    FROM portfolios_disposal d
    JOIN portfolios_lot l ON l.id = d.lot_id
    JOIN portfolios_security s ON s.id = l.security_id
    JOIN accounts_account a ON a.id = l.account_id
    WHERE a.household_id = ANY(%(households)s) AND a.tax_status = 'TAXABLE'
      AND d.reverses_id IS NULL AND NOT EXISTS (
               SELECT 1 FROM portfolios_disposal u WHERE u.reverses_id = d.id)
      AND d.disposed_date BETWEEN %(since)s AND %(until)s
    GROUP BY 1, 2, 3, 4, 5, d.proceeds < d.cost"""

_PURCHASES = """
    SELECT DISTINCT a.household_id, l.account_id, l.security_id, l.acquired_date,
           a.tax_status = 'TAXABLE'
    FROM portfolios_lot l
    JOIN accounts_account a ON a.id = l.account_id
    WHERE a.household_id = ANY(%(households)s) AND l.acquired_date >= %(since)s
      AND (l.quantity = 0 OR l.account_id <> ALL(%(accounts)s))
      AND (l.quantity > 0 OR EXISTS (
          SELECT 1 FROM portfolios_disposal d
          WHERE d.lot_id = l.id AND d.reverses_id IS NULL AND NOT EXISTS (
              SELECT 1 FROM portfolios_disposal u WHERE u.reverses_id = d.id)))"""

_Pair = tuple[int, str]


@dataclass(frozen=True, slots=True)
class RecentTrade:
    """A purchase whose shares are in no lot of these accounts, or a sale that was taxed."""

    household_id: int
    account_id: int | None  # of a purchase
    security_id: int
    side: Side
    trade_date: date
    is_taxable: bool
    gain: Decimal = ZERO


@dataclass(frozen=True)
class TaxStanding:
    """Households as their tax returns see them on a day.

    `year_gains` is (short-term, long-term) by household, denied losses left out; `basis` is (cost,
    start of the holding period) of the open lots that tax law sees otherwise than the books.
    """

    year_gains: dict[int, tuple[Decimal, Decimal]] = field(default_factory=dict)
    basis: dict[int, tuple[Decimal, date]] = field(default_factory=dict)
    recent_trades: tuple[RecentTrade, ...] = ()


@dataclass(frozen=True, slots=True)
class _Gain:
    """A realised gain as the law counts it."""

    household_id: int
    security_id: int
    day: date
    is_long_term: bool
    gain: Decimal


def load_tax_standing(
    *, regimes: Mapping[int, str], account_ids: Sequence[int], day: date
) -> TaxStanding:
    """Return how households (id -> code of their tax law) stand on a day.

    `account_ids` are the accounts whose open lots the caller knows anyway. The number of queries
    does not grow with households or accounts.
    """
    if not regimes:
        return TaxStanding()
    years = {code: get_regime(code).tax_year(day) for code in set(regimes.values())}
    since = day - timedelta(days=RECENT_DAYS)
    adjusted = _find_adjusted(regimes)
    basis, gains = _match_ledgers(adjusted, regimes)
    gains += _list_booked_gains(
        household_ids=list(regimes),
        since=min(since, *(first for first, _last in years.values())),
        until=max(last for _first, last in years.values()),
        without=adjusted,
    )
    totals: dict[tuple[int, bool], Decimal] = defaultdict(lambda: ZERO)
    for row in gains:
        first, last = years[regimes[row.household_id]]
        if first <= row.day <= last:
            totals[row.household_id, row.is_long_term] += row.gain
    sales = [
        RecentTrade(
            household_id=row.household_id,
            account_id=None,
            security_id=row.security_id,
            side=Side.SELL,
            trade_date=row.day,
            is_taxable=True,
            gain=row.gain,
        )
        for row in gains
        if row.day >= since
    ]
    return TaxStanding(
        year_gains={key: (totals[key, False], totals[key, True]) for key in regimes},
        basis=basis,
        recent_trades=(*sales, *_list_purchases(list(regimes), account_ids, since)),
    )


_LOSERS = """
    SELECT DISTINCT mine.id
    FROM accounts_account mine
    JOIN accounts_account a ON a.household_id = mine.household_id AND a.tax_status = 'TAXABLE'
    JOIN portfolios_lot l ON l.account_id = a.id
    JOIN portfolios_security s ON s.id = l.security_id
    JOIN portfolios_security bought ON bought.id = %(security)s
     AND coalesce(nullif(bought.identical_group, ''), bought.symbol)
         = coalesce(nullif(s.identical_group, ''), s.symbol)
    JOIN portfolios_disposal d ON d.lot_id = l.id
    WHERE mine.id = ANY(%(accounts)s) AND d.proceeds < d.cost AND d.reverses_id IS NULL
      AND d.disposed_date BETWEEN %(day)s::date - 30 AND %(day)s
      AND NOT EXISTS (SELECT 1 FROM portfolios_disposal u WHERE u.reverses_id = d.id)"""


def list_recent_losers(account_ids: Sequence[int], security_id: int, day: date) -> set[int]:
    """Return the accounts whose household sold the same thing at a loss in the 30 days to `day`.

    A purchase in one of them on that day would deny the loss.
    """
    keys = {"accounts": list(account_ids), "security": security_id, "day": day}
    return {account_id for (account_id,) in _fetch(_LOSERS, keys)}


def _find_adjusted(regimes: Mapping[int, str]) -> set[_Pair]:
    pooling = sorted({code for code in regimes.values() if get_regime(code).is_ordered})
    return set(_fetch(_ADJUSTED, {"households": list(regimes), "pooling": pooling}))


def _match_ledgers(
    pairs: Iterable[_Pair], regimes: Mapping[int, str]
) -> tuple[dict[int, tuple[Decimal, date]], list[_Gain]]:
    """Match the ledgers of these households and groups by their law: open lots' basis, gains."""
    wanted = sorted(pairs)
    if not wanted:
        return {}, []
    lots, sales, security_of = _read_ledgers(wanted)
    basis: dict[int, tuple[Decimal, date]] = {}
    gains: list[_Gain] = []
    for pair in wanted:
        home, group = pair
        try:
            view = get_regime(regimes[home]).match(lots[pair].values(), sales[pair])
        except LedgerFault as fault:
            # Books that contradict themselves must not stop everybody else's; `check_books` tells.
            logger.error("household %s, %s: booked costs stand: %s", home, group, fault)
            gains += _read_booked(home, sales[pair], security_of, regimes[home])
            continue
        for lot_id, left in view.lots.items():
            cost = sum((piece.cost for piece in left.pieces), ZERO)
            basis[lot_id] = (cost, max(piece.holding_start for piece in left.pieces))
        gains += [
            _Gain(home, security_of[row.lot_id], row.day, row.is_long_term, row.gain)
            for row in view.realised
        ]
    return basis, gains


def _read_ledgers(
    wanted: Sequence[_Pair],
) -> tuple[dict[_Pair, dict[int, Acquisition]], dict[_Pair, list[Sale]], dict[int, int]]:
    """Return the lots and sales of households and groups, and the security of each lot.

    All shares are counted in today's units. A lot that splits or corrections changed began with
    what is left of it and what was sold of it.
    """
    keys = {"households": [pair[0] for pair in wanted], "groups": [pair[1] for pair in wanted]}
    rows = _fetch(_LEDGER_LOTS, keys)
    security_of = {row[2]: row[8] for row in rows}
    splits = load_splits(sorted(set(security_of.values())))
    lots: dict[_Pair, dict[int, Acquisition]] = defaultdict(dict)
    changed: set[int] = set()
    for home, group, lot_id, account_id, *facts in rows:
        day, quantity, cost, is_sheltered, security_id, left, cost_left, is_adjusted = facts
        if is_adjusted or security_id in splits:
            changed.add(lot_id)
            quantity, cost = left, cost_left
        lots[home, group][lot_id] = Acquisition(
            lot_id, account_id, group, day, quantity, cost, is_sheltered
        )
    sales: dict[_Pair, list[Sale]] = defaultdict(list)
    for home, group, sale_id, lot_id, sold, quantity, proceeds, cost in _fetch(_LEDGER_SALES, keys):
        lot = lots[home, group][lot_id]
        factor = multiply_splits(splits.get(security_of[lot_id], ()), after=sold)
        sale = Sale(
            sale_id=sale_id,
            lot_id=lot_id,
            account_id=lot.account_id,
            group=group,
            day=sold,
            quantity=scale_quantity(quantity, factor),
            proceeds=proceeds,
            cost=cost,
            acquired_day=lot.day,
            is_sheltered=lot.is_sheltered,
        )
        sales[home, group].append(sale)
        if lot_id in changed:
            lots[home, group][lot_id] = replace(
                lot, quantity=lot.quantity + sale.quantity, cost=lot.cost + cost
            )
    for group_lots in lots.values():
        # What is empty, and of which nothing stands as sold, was taken back.
        for lot_id in [lot_id for lot_id, lot in group_lots.items() if not lot.quantity]:
            del group_lots[lot_id]
    return lots, sales, security_of


def _read_booked(
    household_id: int, sales: Iterable[Sale], security_of: Mapping[int, int], code: str
) -> list[_Gain]:
    law = get_regime(code)
    return [
        _Gain(
            household_id,
            security_of[sale.lot_id],
            sale.day,
            law.is_long_term(acquired_date=sale.acquired_day, sold_date=sale.day),
            sale.proceeds - sale.cost,
        )
        for sale in sales
        if not sale.is_sheltered
    ]


def _list_booked_gains(
    *, household_ids: Sequence[int], since: date, until: date, without: set[_Pair]
) -> list[_Gain]:
    rows = _fetch(_SALES, {"households": household_ids, "since": since, "until": until})
    return [
        _Gain(home, security_id, day, is_long_term, gain)
        for home, group, security_id, day, is_long_term, gain in rows
        if (home, group) not in without
    ]


def _list_purchases(
    household_ids: Sequence[int], account_ids: Sequence[int], since: date
) -> list[RecentTrade]:
    keys = {"households": household_ids, "accounts": list(account_ids), "since": since}
    return [
        RecentTrade(home, account_id, security_id, Side.BUY, bought, is_taxable)
        for home, account_id, security_id, bought, is_taxable in _fetch(_PURCHASES, keys)
    ]


def _fetch(sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
