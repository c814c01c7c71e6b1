"""Which purchases and loss sales of today would make a wash sale, for every household of a Book.

Stricter than the law, as prevention should be: any purchase of the group within the window puts a
loss at risk, whether or not an earlier loss has used it up already. (26 USC 1091, Reg. 1.1091-1.)
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from portfolios.domain.kinds import Side
from portfolios.domain.tax import get_regime
from rebalancer.engine.columns import Bools, Ints, to_day

if TYPE_CHECKING:
    from rebalancer.engine.book import Book


@dataclass(frozen=True)
class Washes:
    """What the wash-sale windows forbid today.

    `blocked_until` maps household and group to the last day on which no account of the household
    may buy the group; `at_risk` marks the lots whose loss, sold today, would be denied.
    """

    blocked_until: dict[int, dict[int, int]]
    at_risk: Bools  # [lots]


def find_washes(book: "Book") -> Washes:
    """Return the windows that are open at the Book's price date."""
    today = to_day(book.price_date)
    before = np.array([get_regime(row.regime).wash_days_before for row in book.households])
    after = np.array([get_regime(row.regime).wash_days_after for row in book.households])
    at_household = {row.household_id: index for index, row in enumerate(book.households)}

    blocked_until: dict[int, dict[int, int]] = {}
    recent_buys: dict[tuple[int, int], int] = {}
    for row in book.recent_trades:
        security = book.index_of_security.get(row.security_id)
        if security is None:
            continue
        household = at_household[row.household_id]
        group = int(book.group_index[security])
        day = to_day(row.trade_date)
        if row.side is Side.BUY:
            if today - day <= before[household]:
                recent_buys[household, group] = recent_buys.get((household, group), 0) + 1
        elif row.is_taxable and row.gain < 0 and today - day <= after[household]:
            until = day + int(after[household])
            blocked = blocked_until.setdefault(household, {})
            blocked[group] = max(until, blocked.get(group, until))
    return Washes(blocked_until, _find_at_risk(book, before, recent_buys))


def _find_at_risk(book: "Book", before: Ints, recent_buys: dict[tuple[int, int], int]) -> Bools:
    """Mark taxable lots of groups bought lately, other than by the lot's own purchase."""
    if not len(book.lot_ids) or not len(book.households):
        return np.zeros(len(book.lot_ids), np.bool_)
    household = book.household_index[book.lot_account]
    group_count = int(book.group_index.max()) + 1
    key = household * group_count + book.group_index[book.lot_security]
    window = before[household]
    is_recent = to_day(book.price_date) - book.lot_day <= window
    # Lots of one day, account and security are one purchase: Rev. Rul. 56-602.
    count = len(book.households) * group_count
    purchases = np.zeros(count, np.int64)
    recent = np.flatnonzero(is_recent)
    columns = np.column_stack(
        [key[recent], book.lot_account[recent], book.lot_security[recent], book.lot_day[recent]]
    )
    if len(recent):
        np.add.at(purchases, np.unique(columns, axis=0)[:, 0], 1)
    for (home, group), bought in recent_buys.items():
        purchases[home * group_count + group] += bought
    others = purchases[key] - is_recent
    return np.asarray(book.is_taxable[book.lot_account] & (others > 0), np.bool_)
