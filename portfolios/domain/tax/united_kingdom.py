"""The United Kingdom: same-day purchases, then the next 30 days', then one pool at average cost.

TCGA 1992 s. 104, 105, 106A. The ledger is one person's: spouses have pools and exempt amounts of
their own and are matched apart. Sheltered accounts (ISA, pension) stand outside all of it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum

from portfolios.domain.money import ZERO, round_money, split_by_ratio
from portfolios.domain.tax.events import (
    Acquisition,
    BasisPiece,
    LotBasis,
    Realised,
    Sale,
    TaxView,
    index_ledger,
)
from portfolios.domain.tax.rates import UK_EXEMPT_AMOUNTS
from portfolios.domain.tax.regime import OpenLot, Rates, Segment, Windows, YearTax

WINDOW = timedelta(days=30)


class MatchRule(StrEnum):
    """Which purchases a disposal is set against, in the order of the law."""

    SAME_DAY = "SAME_DAY"
    NEXT_30_DAYS = "NEXT_30_DAYS"
    POOL = "POOL"


@dataclass(frozen=True, slots=True)
class Disposal:
    """Part of a day's sales of one group under one rule; `proceeds` and `cost` to the cent."""

    group: str
    day: date
    rule: MatchRule
    quantity: Decimal
    proceeds: Decimal
    cost: Decimal

    @property
    def gain(self) -> Decimal:
        """Return the gain, negative for a loss."""
        return self.proceeds - self.cost


@dataclass(slots=True)
class _Stock:
    """A quantity at one total cost: a day's purchases, or the pool."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO

    def add(self, quantity: Decimal, cost: Decimal) -> None:
        self.quantity += quantity
        self.cost += cost

    def take(self, quantity: Decimal) -> Decimal:
        """Remove shares; return their part of the cost, to the cent."""
        cost = round_money(self.cost * quantity / self.quantity)
        self.add(-quantity, -cost)
        return cost


@dataclass(slots=True)
class _DaySales:
    """One day's sales of a group, a single disposal in law; `left` waits for the next rule."""

    quantity: Decimal = ZERO
    proceeds: Decimal = ZERO
    left: Decimal = ZERO


def match_disposals(
    acquisitions: Iterable[Acquisition], sales: Iterable[Sale]
) -> tuple[tuple[Disposal, ...], dict[str, tuple[Decimal, Decimal]]]:
    """Return each disposal by rule, and what is left in each group's pool (shares, cost).

    :raises LedgerFault: when purchases and sales contradict each other.
    """
    lots, ordered = index_ledger(acquisitions, sales)
    bought: dict[str, dict[date, _Stock]] = defaultdict(lambda: defaultdict(_Stock))
    sold: dict[str, dict[date, _DaySales]] = defaultdict(lambda: defaultdict(_DaySales))
    for lot in lots.values():
        if not lot.is_sheltered:
            bought[lot.group][lot.day].add(lot.quantity, lot.cost)
    for sale in ordered:
        if not sale.is_sheltered:
            day_sales = sold[sale.group][sale.day]
            day_sales.quantity += sale.quantity
            day_sales.left += sale.quantity
            day_sales.proceeds += sale.proceeds
    disposals: list[Disposal] = []
    pools: dict[str, tuple[Decimal, Decimal]] = {}
    for group in sorted(bought):
        found, pool = _match_group(bought[group], sold[group])
        disposals += _to_disposals(group, found, sold[group])
        pools[group] = (pool.quantity, pool.cost)
    return tuple(disposals), pools


_Match = tuple[date, MatchRule, Decimal, Decimal]


def _match_group(
    bought: dict[date, _Stock], sold: dict[date, _DaySales]
) -> tuple[list[_Match], _Stock]:
    """Return (day, rule, shares, cost) of each match, and the pool that is left."""
    days_sold, days_bought = sorted(sold), sorted(bought)
    matches: list[_Match] = []
    # A day's purchases serve that day's sales before any earlier ones (s. 105 before s. 106A).
    for day in days_sold:
        if day in bought:
            matches += _take(day, sold[day], bought[day], MatchRule.SAME_DAY)
    for day in days_sold:
        for later in days_bought:
            if day < later <= day + WINDOW:
                matches += _take(day, sold[day], bought[later], MatchRule.NEXT_30_DAYS)
    pool = _Stock()
    for day in sorted({*days_sold, *days_bought}):
        if day in bought:
            pool.add(bought[day].quantity, bought[day].cost)
        if day in sold:
            matches += _take(day, sold[day], pool, MatchRule.POOL)
    return matches, pool


def _take(day: date, day_sales: _DaySales, stock: _Stock, rule: MatchRule) -> list[_Match]:
    quantity = min(day_sales.left, stock.quantity)
    if quantity == 0:
        return []
    day_sales.left -= quantity
    return [(day, rule, quantity, stock.take(quantity))]


def _to_disposals(
    group: str, matches: Iterable[_Match], sold: dict[date, _DaySales]
) -> list[Disposal]:
    by_day: dict[date, list[_Match]] = defaultdict(list)
    for match in matches:
        by_day[match[0]].append(match)
    disposals = []
    for day, same_day in sorted(by_day.items()):
        proceeds = split_by_ratio(sold[day].proceeds, [quantity for _, _, quantity, _ in same_day])
        for (_day, rule, quantity, cost), part in zip(same_day, proceeds, strict=True):
            disposals.append(Disposal(group, day, rule, quantity, part, cost))
    return disposals


@dataclass(frozen=True, slots=True)
class UnitedKingdom:
    """Capital gains of an individual: no terms, an exempt amount, losses carried on.

    A gain counts as short-term throughout, so that `Rates.short` is the one rate.
    """

    exempt_amount: Decimal = UK_EXEMPT_AMOUNTS[-1].amount
    code: str = "UK"
    name: str = "United Kingdom"
    is_ordered: bool = True
    loss_cap: Decimal = ZERO
    wash_days_before: int = 0
    wash_days_after: int = WINDOW.days

    def tax_year(self, day: date) -> tuple[date, date]:
        """Return the days from 6 April to 5 April."""
        start = day.year if day >= date(day.year, 4, 6) else day.year - 1
        return date(start, 4, 6), date(start + 1, 4, 5)

    def is_long_term(self, *, acquired_date: date, sold_date: date) -> bool:
        """Return False: the law knows no terms."""
        return False

    def long_term_date(self, acquired_date: date) -> date | None:
        """Return None: the law knows no terms."""
        return None

    def match(self, acquisitions: Iterable[Acquisition], sales: Iterable[Sale]) -> TaxView:
        """Return the ledger as the law matches it; open lots carry their part of the pool's cost.

        :raises LedgerFault: when purchases and sales contradict each other.
        """
        lots, ordered = index_ledger(acquisitions, sales)
        disposals, pools = match_disposals(lots.values(), ordered)
        return TaxView(
            realised=_to_realised(ordered, disposals), lots=_share_pools(lots, ordered, pools)
        )

    def list_segments(self, *, lots: Sequence[OpenLot], day: date) -> tuple[Segment, ...]:
        """Return the lots, oldest first, all at their average cost.

        Shares bought today are priced like the rest; the law would set them against today's sales
        first, as `match` does.
        """
        if not lots:
            return ()
        quantity = sum((lot.quantity for lot in lots), ZERO)
        unit_cost = sum((lot.cost for lot in lots), ZERO) / quantity
        ordered = sorted(lots, key=lambda lot: (lot.holding_start, lot.lot_id))
        return tuple(
            Segment(lot.lot_id, lot.quantity, unit_cost, is_long_term=False) for lot in ordered
        )

    def find_windows(
        self, acquisitions: Iterable[Acquisition], sales: Iterable[Sale], day: date
    ) -> Windows:
        """Return the groups where a purchase would take the place of the pool in a recent loss.

        No loss is denied by what was bought before, so nothing is ever at risk.

        :raises LedgerFault: when purchases and sales contradict each other.
        """
        disposals, _pools = match_disposals(
            [lot for lot in acquisitions if lot.day <= day],
            [sale for sale in sales if sale.day <= day],
        )
        blocked: dict[str, date] = {}
        for disposal in disposals:
            until = disposal.day + WINDOW
            if disposal.rule is MatchRule.POOL and disposal.gain < 0 and until >= day:
                blocked[disposal.group] = max(until, blocked.get(disposal.group, until))
        return Windows(buy_blocked=blocked, at_risk={})

    def settle_year(
        self,
        *,
        short: Decimal,
        long: Decimal,
        carry_short: Decimal,
        carry_long: Decimal,
        rates: Rates,
    ) -> YearTax:
        """Return the tax of a year; losses carried in are used down to the exempt amount only.

        What is carried on is in `carry_short`.

        :raises ValueError: when a carried loss is negative.
        """
        if min(carry_short, carry_long) < 0:
            raise ValueError("losses carried in are amounts of zero or more")
        net, carry = short + long, carry_short + carry_long
        exempt = min(max(net, ZERO), self.exempt_amount)
        above = max(net, ZERO) - exempt
        used = min(carry, above)
        return YearTax(
            taxable_short=above - used,
            taxable_long=ZERO,
            deduction=exempt,
            carry_short=carry - used + max(-net, ZERO),
            carry_long=ZERO,
            tax=rates.short * (above - used),
        )

    def tax_value(self, *, short: Decimal, long: Decimal, rates: Rates) -> Decimal:
        """Return the year's tax less what losses carried on are worth today."""
        net = short + long
        if net < 0:
            return rates.carried * net
        return rates.short * max(net - self.exempt_amount, ZERO)

    def marginal_rates(self, rates: Rates) -> tuple[tuple[Decimal, Decimal], ...]:
        """Return the rates above, within and below the exempt amount."""
        return tuple(
            dict.fromkeys(
                [(rates.short, rates.short), (ZERO, ZERO), (rates.carried, rates.carried)]
            )
        )


def _to_realised(sales: Sequence[Sale], disposals: Iterable[Disposal]) -> tuple[Realised, ...]:
    """Share the cost of each day's disposal among the day's sales, by shares."""
    costs: dict[tuple[str, date], Decimal] = defaultdict(lambda: ZERO)
    for disposal in disposals:
        costs[disposal.group, disposal.day] += disposal.cost
    by_day: dict[tuple[str, date], list[Sale]] = defaultdict(list)
    for sale in sales:
        if not sale.is_sheltered:
            by_day[sale.group, sale.day].append(sale)
    realised = []
    for key, same_day in by_day.items():
        parts = split_by_ratio(costs[key], [sale.quantity for sale in same_day])
        for sale, cost in zip(same_day, parts, strict=True):
            realised.append(
                Realised(
                    sale_id=sale.sale_id,
                    lot_id=sale.lot_id,
                    day=sale.day,
                    gain=sale.proceeds - cost,
                    disallowed=ZERO,
                    is_long_term=False,
                    lost=ZERO,
                )
            )
    return tuple(sorted(realised, key=lambda row: (row.day, row.sale_id, row.lot_id)))


def _share_pools(
    lots: dict[int, Acquisition], sales: Iterable[Sale], pools: dict[str, tuple[Decimal, Decimal]]
) -> dict[int, LotBasis]:
    """Give every open lot its part of its pool; a sheltered lot keeps its own cost."""
    left = {lot_id: _Stock(lot.quantity, lot.cost) for lot_id, lot in lots.items()}
    for sale in sales:
        left[sale.lot_id].add(-sale.quantity, -sale.cost)
    open_ids = [lot_id for lot_id in sorted(lots) if left[lot_id].quantity]
    basis = {lot_id: left[lot_id].cost for lot_id in open_ids}
    pooled: dict[str, list[int]] = defaultdict(list)
    for lot_id in open_ids:
        if not lots[lot_id].is_sheltered:
            pooled[lots[lot_id].group].append(lot_id)
    for group, ids in pooled.items():
        costs = split_by_ratio(pools[group][1], [left[lot_id].quantity for lot_id in ids])
        basis.update(zip(ids, costs, strict=True))
    return {
        lot_id: LotBasis(
            lot_id=lot_id,
            pieces=(
                BasisPiece(
                    quantity=left[lot_id].quantity,
                    cost=basis[lot_id],
                    holding_start=lots[lot_id].day,
                    adjustment=basis[lot_id] - left[lot_id].cost,
                ),
            ),
        )
        for lot_id in open_ids
    }
