"""From drift to trades, one account at a time: how much of what, and which lots.

Four steps, each its own function: what every asset class should be worth, what every security
should be worth, whole numbers of share steps, and cash to the cent. The household optimum will
replace `solve_account` behind the same signature; everything around it stays.
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum
from math import ceil

import numpy as np

from portfolios.domain.kinds import Side
from portfolios.domain.lots import is_long_term
from portfolios.domain.money import CENT
from rebalancer.domain.execution import measure_amount, measure_fill_price
from rebalancer.domain.kinds import BandLevel, Destination, TradeReason
from rebalancer.engine.book import (
    CENTS,
    EPOCH,
    EXCLUDED,
    NO_BUY,
    NO_SELL,
    SHARE_UNITS,
    Book,
    Floats,
    Ints,
    from_units,
)
from rebalancer.engine.drift import Drift, Rows
from rebalancer.engine.spread import spread
from rebalancer.engine.targets import Targets

# Among securities of a class, those outside the model are the first to be sold: their pull towards
# staying is this small a share of the class.
LEGACY_SLOPE = 1e-6

# So much of one security is never bought at once: its 1e-8 shares must fit in 64 bits, twice over.
UNITS_MAX = 2**61


class Move(StrEnum):
    """How far one account's trades go."""

    TO_TARGET = "TO_TARGET"
    TO_EDGE = "TO_EDGE"
    FLOW_ONLY = "FLOW_ONLY"  # spend or raise cash, trade nothing else


@dataclass(frozen=True, slots=True)
class LotPick:
    """So many shares of one lot, in 1e-8 shares."""

    lot_id: int
    units: int


@dataclass(frozen=True, slots=True)
class SizedTrade:
    """A trade in exact share units (negative: a sale), with its lots and its reason."""

    security: int  # index into the Book's securities
    units: int
    reason: TradeReason
    lots: tuple[LotPick, ...] = ()


@dataclass(frozen=True, slots=True)
class SizedPlan:
    """All trades of one account; `short_by` is cash that could not be raised."""

    account: int
    trades: tuple[SizedTrade, ...]
    short_by: Decimal
    notes: tuple[str, ...]


def choose_move(book: Book, drift: Drift, account: int, *, is_flow: bool) -> Move:
    """Return how far an account's trades should go by its policy and what is breached."""
    policy = book.policies[book.policy_index[account]]
    only_cash = not drift.rows_of(policy.band_level).breached[account, :-1].any()
    if is_flow and only_cash:
        return Move.FLOW_ONLY
    return Move.TO_TARGET if policy.destination is Destination.TARGET else Move.TO_EDGE


def solve_account(
    book: Book, targets: Targets, drift: Drift, account: int, move: Move
) -> SizedPlan:
    """Return the trades that bring one account where its policy wants it.

    The account must not be among `targets.blocked`.
    """
    desk = _Desk(book, targets, drift, account)
    wanted = desk.want_securities(desk.want_rows(move))
    desk.size(wanted, move)
    desk.settle_cash(wanted)
    return desk.plan()


class _Desk:
    """The working state of one account's solve: bounds, exact share units and exact cash."""

    def __init__(self, book: Book, targets: Targets, drift: Drift, account: int) -> None:
        self.book, self.targets, self.account = book, targets, account
        self.policy = book.policies[book.policy_index[account]]
        self.level = self.policy.band_level
        self.rows: Rows = drift.rows_of(self.level)
        self.value = float(book.values[account])
        self.held_units = book.held_units[account]
        self.held = book.held_values[account]
        self.wanted_by_model = targets.weights[account] * self.value
        self.prices = book.prices
        locks = book.locks_of(account)
        codes = np.array([locks.get(i, 0) for i in range(len(book.securities))])
        buyable = np.array([row.is_buyable for row in book.securities])
        self.may_buy = (codes & (NO_BUY | EXCLUDED) == 0) & buyable & (book.price_units > 0)
        self.may_sell = codes & NO_SELL == 0
        self.must_leave = (codes & EXCLUDED > 0) & self.may_sell
        # Less than a cent cannot be paid, whatever the policy says.
        self.least = max(self.policy.min_trade_amount, CENT)
        self.required = Decimal(str(round(targets.required_cash[account] * CENTS))) / CENTS
        self.units = np.zeros(len(book.securities), np.int64)
        self.short_by = Decimal(0)

    # --- What each row (asset class or security, cash last) should be worth --------------------

    def want_rows(self, move: Move) -> Floats:
        a, value = self.account, self.value
        current = self.rows.weights[a] * value
        target: Floats = self.rows.targets[a] * value
        low, high = self.rows.low[a] * value, self.rows.high[a] * value
        if move is Move.TO_TARGET:
            return target
        if move is Move.TO_EDGE:
            # What has no target never gains, and once it is over its band it leaves altogether.
            stays = np.where(self.rows.breached[a], 0.0, current)
            has_target = np.append(target[:-1] > 0, True)
            high = np.where(has_target, high, stays)
            wanted = np.clip(current, low, high)
            missing = value - wanted.sum()
            room = (high - wanted) if missing > 0 else (wanted - low)
            still_inside = ~self.rows.breached[a]
            slope = np.where(still_inside, room, 0.0)
            wanted = spread(total=value, center=wanted, slope=slope, low=low, high=high)
            # Rows inside their bands had too little room: those at the edge go further in.
            return spread(total=value, center=wanted, slope=target, low=low, high=high)
        return self._want_flow(current, target)

    def _want_flow(self, current: Floats, target: Floats) -> Floats:
        cash = target[-1]
        rest, wanted = current[:-1], target[:-1]
        total = self.value - cash
        buying = total > rest.sum()
        spent = spread(
            total=total,
            center=wanted,
            slope=wanted if buying else wanted + LEGACY_SLOPE * self.value,
            low=rest if buying else np.zeros_like(rest),
            high=np.full_like(rest, total) if buying else rest,
        )
        return np.append(spent, cash)

    # --- What each security should be worth ------------------------------------------------------

    def want_securities(self, wanted_rows: Floats) -> Floats:
        if self.level is BandLevel.SECURITY:
            wanted = wanted_rows[:-1].copy()
        else:
            wanted = self.held.copy()
            for row in range(len(self.book.class_names)):
                members = np.flatnonzero(self.book.class_index == row)
                wanted[members] = self._want_within_class(members, float(wanted_rows[row]))
        low = np.where(self.may_sell, 0.0, self.held)
        high = np.where(self.may_buy, np.inf, self.held)
        return np.clip(np.where(self.must_leave, 0.0, wanted), low, high)

    def _want_within_class(self, members: Ints, total: float) -> Floats:
        held, model = self.held[members], self.wanted_by_model[members]
        leaving = self.must_leave[members]
        staying = np.where(leaving, 0.0, held)
        slope = model
        if total >= staying.sum():
            low = staying
            high = np.where(self.may_buy[members], total, staying)
        else:
            low = np.where(self.may_sell[members], 0.0, staying)
            high = staying
            # Without targets of their own, securities give way by the weight they have.
            slope = (model if model.any() else staying) + LEGACY_SLOPE * total
        slope = np.where(leaving, 0.0, slope)
        center = np.where(leaving, 0.0, model)
        return spread(total=total, center=center, slope=slope, low=low, high=np.maximum(low, high))

    # --- Whole steps ---------------------------------------------------------------------------

    def size(self, wanted: Floats, move: Move) -> None:
        """Turn wanted values into share units: sales to the nearest step, buys down to one.

        Whoever goes to the edge of a broken band goes a step too far rather than one too short.
        """
        difference = wanted - self.held
        for security in map(int, np.flatnonzero(difference)):
            amount = float(difference[security])
            step = int(self.book.step_units[security])
            held = int(self.held_units[security])
            shares = abs(amount) / float(self.prices[security]) * SHARE_UNITS
            if wanted[security] <= 1e-9 and held > 0:
                self.units[security] = -held
                continue
            steps = min(shares, UNITS_MAX) / step
            is_short_of_edge = (
                move is Move.TO_EDGE and self.rows.breached[self.account, self._row_of(security)]
            )
            if amount < 0:
                units = (ceil(steps) if is_short_of_edge else round(steps)) * step
                units = -self._sale_units(security, units, float(wanted[security]))
            else:
                units = (ceil(steps) if is_short_of_edge else int(steps)) * step
            worth = abs(units) / SHARE_UNITS * float(self.prices[security])
            if worth >= float(self.least) or -units == held:
                self.units[security] = units

    def _row_of(self, security: int) -> int:
        """Return the row, at the policy's level, that a security belongs to."""
        is_by_class = self.level is BandLevel.ASSET_CLASS
        return int(self.book.class_index[security]) if is_by_class else security

    def _sale_units(self, security: int, units: int, wanted: float) -> int:
        """Bound a sale by what is held; crumbs below one step go along, unless they are wanted."""
        held = int(self.held_units[security])
        left = held - units
        are_crumbs = left < int(self.book.step_units[security])
        worth = left / SHARE_UNITS * float(self.prices[security])
        return held if units > 0 and are_crumbs and worth > 2 * wanted else min(units, held)

    # --- Cash to the cent ----------------------------------------------------------------------

    def amount(self, security: int, units: int) -> Decimal:
        """Return the exact cash that a trade brings (a sale) or takes (a buy, negative)."""
        if units == 0:
            return Decimal(0)
        side = Side.BUY if units > 0 else Side.SELL
        amount = measure_amount(
            quantity=from_units(abs(units), SHARE_UNITS),
            fill_price=self._fill_price(security, side),
        )
        return -amount if units > 0 else amount

    def _fill_price(self, security: int, side: Side) -> Decimal:
        row = self.book.securities[security]
        assert row.price is not None  # noqa: S101 - blocked accounts never come here
        return measure_fill_price(side=side, price=row.price, half_spread_bps=row.half_spread_bps)

    def cash_after(self) -> Decimal:
        """Return the exact cash left when every trade is done."""
        cash = from_units(self.book.cash_cents[self.account], CENTS)
        return cash + sum(
            (self.amount(i, int(self.units[i])) for i in map(int, np.flatnonzero(self.units))),
            Decimal(0),
        )

    def settle_cash(self, wanted: Floats) -> None:
        """Make the cash fit: cut buys, then sell more, until what is required is there."""
        self._cut_buys(wanted)
        self._sell_more(wanted)
        self.short_by = max(self.required - self.cash_after(), Decimal(0))
        self._spend_left_over(wanted)

    def _excess(self, wanted: Floats) -> Floats:
        """Return by how much each security stands above what is wanted, trades included."""
        traded: Floats = self.units / SHARE_UNITS * np.nan_to_num(self.prices)
        excess: Floats = self.held + traded - wanted
        return excess

    def _steps_worth(self, security: int, money: Decimal, side: Side, rounding: str) -> int:
        """Return the units of whole steps worth `money`; rounded up they bring at least that."""
        # Unrounded: a step may be worth less than a cent.
        step = from_units(self.book.step_units[security], SHARE_UNITS)
        one = self._fill_price(security, side) * step
        if one <= 0:
            return 0
        steps = (money / one).to_integral_value(rounding)
        return int(steps) * int(self.book.step_units[security])

    def _cut_buys(self, wanted: Floats) -> None:
        buys = np.flatnonzero(self.units > 0)
        for security in buys[np.argsort(-self._excess(wanted)[buys], kind="stable")]:
            missing = self.required - self.cash_after()
            if missing <= 0:
                return
            affordable = -self.amount(security, int(self.units[security])) - missing
            left = self._steps_worth(security, max(affordable, Decimal(0)), Side.BUY, ROUND_FLOOR)
            too_small = abs(self.amount(security, left)) < self.least
            self.units[security] = 0 if too_small else left

    def _sell_more(self, wanted: Floats) -> None:
        missing = self.required - self.cash_after()
        if missing <= 0:
            return
        sellable = np.flatnonzero(self.may_sell & (self.held_units > 0) & (self.units <= 0))
        for security in sellable[np.argsort(-self._excess(wanted)[sellable], kind="stable")]:
            missing = self.required - self.cash_after()
            if missing <= 0:
                return
            brings = self.amount(security, int(self.units[security])) + missing
            enough = max(brings, self.least)
            units = self._steps_worth(security, enough, Side.SELL, ROUND_CEILING)
            self.units[security] = -self._sale_units(security, units, float(wanted[security]))

    def _spend_left_over(self, wanted: Floats) -> None:
        """Round buys up, largest gap first, while the cash above its target pays for the step."""
        goal = max(
            self.required,
            Decimal(str(round(self.targets.cash[self.account] * self.value, 2))),
        )
        gaps = -self._excess(wanted)
        steps = self.book.step_units / SHARE_UNITS * np.nan_to_num(self.prices)
        open_gaps = np.flatnonzero((self.units > 0) & self.may_buy & (gaps > steps / 2))
        for security in open_gaps[np.argsort(-gaps[open_gaps], kind="stable")]:
            units, step = int(self.units[security]), int(self.book.step_units[security])
            # A step alone may be worth less than a cent; what it adds to the whole is exact.
            price = self.amount(security, units) - self.amount(security, units + step)
            if self.cash_after() - price >= max(self.required, goal - price / 2):
                self.units[security] += step

    # --- The answer ----------------------------------------------------------------------------

    def plan(self) -> SizedPlan:
        trades = []
        for security in np.flatnonzero(self.units):
            units = int(self.units[security])
            lots = pick_lots(self.book, self.account, int(security), -units) if units < 0 else ()
            trades.append(SizedTrade(int(security), units, self._reason(int(security)), lots))
        return SizedPlan(
            account=self.account,
            trades=tuple(trades),
            short_by=self.short_by,
            notes=self.targets.notes.get(self.account, ()),
        )

    def _reason(self, security: int) -> TradeReason:
        row = self._row_of(security)
        a, rows = self.account, self.rows
        is_over = rows.weights[a, row] > rows.high[a, row]
        is_under = rows.weights[a, row] < rows.low[a, row]
        if self.units[security] < 0:
            if self.must_leave[security]:
                return TradeReason.EXCLUDED
            if self.wanted_by_model[security] <= 0:
                return TradeReason.NOT_IN_MODEL
            wants_cash = rows.weights[a, -1] < rows.low[a, -1] and not is_over
            return TradeReason.RAISE_CASH if wants_cash else TradeReason.OVERWEIGHT
        if (self.account, security) in self.targets.substituted:
            return TradeReason.SUBSTITUTE
        has_cash = rows.weights[a, -1] > rows.high[a, -1] and not is_under
        return TradeReason.INVEST_CASH if has_cash else TradeReason.UNDERWEIGHT


def pick_lots(book: Book, account: int, security: int, units: int) -> tuple[LotPick, ...]:
    """Return the lots that a sale of `units` (1e-8 shares) takes, least tax per share first.

    Losses come first, the short-term ones before the long-term ones because they save more; then
    gains by the tax they cause. Without taxes, oldest first. Ties: older, then lower id.
    """
    span = np.arange(book.lot_offsets[account], book.lot_offsets[account + 1])
    span = span[book.lot_security[span] == security]
    unit_cost = (book.lot_cost_cents[span] / CENTS) / (book.lot_units[span] / SHARE_UNITS)
    gain = book.prices[security] * (1 - book.half_spread[security]) - unit_cost
    is_long = [
        is_long_term(acquired_date=EPOCH + timedelta(days=int(day)), sold_date=book.price_date)
        for day in book.lot_day[span]
    ]
    rate = np.where(is_long, book.long_rate[account], book.short_rate[account])
    tax = gain * rate if book.is_taxable[account] else np.zeros_like(gain)
    order = np.lexsort((book.lot_ids[span], book.lot_day[span], tax))
    picks, left = [], units
    for lot in span[order]:
        take = min(left, int(book.lot_units[lot]))
        picks.append(LotPick(int(book.lot_ids[lot]), take))
        left -= take
        if left == 0:
            break
    return tuple(picks)
