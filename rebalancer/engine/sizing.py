"""From a solution in money to exact shares: units and lots of every trade, and cash to the cent."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Protocol

import numpy as np

from portfolios.domain.kinds import Side
from portfolios.domain.money import CENT
from portfolios.domain.tax.lot_methods import LotMethod
from rebalancer.domain.execution import measure_amount, measure_fill_price
from rebalancer.domain.policy import PolicyTerms
from rebalancer.engine.book import Book
from rebalancer.engine.columns import CENTS, SHARE_UNITS, Bools, Floats, Ints, from_units
from rebalancer.engine.formulate import Formulation
from rebalancer.engine.lot_order import order_by_method
from rebalancer.engine.targets import Targets


@dataclass(frozen=True, slots=True)
class LotPick:
    """So many shares of one lot, in 1e-8 shares."""

    lot_id: int
    units: int


@dataclass(frozen=True, slots=True)
class SizedTrade:
    """A trade in exact share units (negative: a sale), with its lots in order."""

    position: int  # index into the Formulation's positions
    security: int  # index into the Book's securities
    units: int
    lots: tuple[LotPick, ...] = ()


@dataclass(frozen=True, slots=True)
class SizedPlan:
    """All trades of one account; `short_by` is cash that could not be raised."""

    account: int  # index into the Book's accounts
    trades: tuple[SizedTrade, ...]
    short_by: Decimal


class Sizable(Protocol):
    """Whole steps by position, as every solver returns them."""

    @property
    def steps(self) -> Ints:
        """Return the steps traded; 0 where the whole holding is sold."""

    @property
    def is_exit(self) -> Bools:
        """Return where the whole holding is sold."""

    @property
    def sold(self) -> Floats:
        """Return the money sold of each segment."""


def size_account(
    book: Book,
    targets: Targets,
    formulation: Formulation,
    outcome: Sizable,
    row: int,
    *,
    order: Floats,
) -> SizedPlan:
    """Return the exact shares of one Problem account's trades, lots in ascending `order`.

    Cents that rounding costs are taken from the buys, a step at a time; where cash is short of what
    is required and more may be sold, sales are rounded up.
    """
    account = int(formulation.accounts[row])
    desk = _Desk(book, targets, formulation, account)
    problem = formulation.problem
    for position in range(problem.position_offsets[row], problem.position_offsets[row + 1]):
        security = int(problem.security[position])
        held = int(book.held_units[account, security])
        if formulation.forced[position]:
            sellable = desk.sellable(position)
            desk.units[position] = -desk.part_of(position, sellable, held)
        elif outcome.is_exit[position]:
            desk.units[position] = -held
        else:
            steps = int(outcome.steps[position])
            desk.units[position] = steps * int(book.step_units[security])
    desk.settle_cents()
    trades = [
        SizedTrade(
            position,
            desk.security(position),
            units,
            pick_lots(book, formulation, order, position, -units, sold=outcome.sold),
        )
        for position, units in desk.units.items()
        if units
    ]
    short_by = max(desk.required - desk.cash_after(), Decimal(0))
    return SizedPlan(account, tuple(trades), short_by)


class _Desk:
    """The exact state of one account's trades while the cents are settled."""

    def __init__(
        self, book: Book, targets: Targets, formulation: Formulation, account: int
    ) -> None:
        self.book, self.formulation, self.account = book, formulation, account
        self.policy: PolicyTerms = book.policies[book.policy_index[account]]
        self.least = max(self.policy.min_trade_amount, CENT)
        self.required = Decimal(str(round(targets.required_cash[account] * CENTS))) / CENTS
        self.units: dict[int, int] = {}

    def security(self, position: int) -> int:
        return int(self.formulation.problem.security[position])

    def _segments(self, position: int) -> Ints:
        offsets = self.formulation.problem.segment_offsets
        return np.arange(offsets[position], offsets[position + 1])

    def sellable(self, position: int) -> int:
        """Return how many share units may be sold."""
        lots = self.formulation.problem.lot[self._segments(position)]
        return int(self.book.lot_units[lots].sum())

    def part_of(self, position: int, sellable: int, held: int) -> int:
        """Return what of an exclusion goes: all, or else whole steps above the smallest trade."""
        if sellable == held:
            return held
        units = sellable - sellable % int(self.book.step_units[self.security(position)])
        worth = from_units(units, SHARE_UNITS) * self._price(position)
        return units if worth >= self.least else 0

    def amount(self, position: int, units: int) -> Decimal:
        """Return the exact cash that a trade brings (a sale) or takes (a buy, negative)."""
        if units == 0:
            return Decimal(0)
        row = self.book.securities[self.security(position)]
        assert row.price is not None  # noqa: S101 - blocked accounts never come here
        side = Side.BUY if units > 0 else Side.SELL
        amount = measure_amount(
            quantity=from_units(abs(units), SHARE_UNITS),
            fill_price=measure_fill_price(
                side=side, price=row.price, half_spread_bps=row.half_spread_bps
            ),
        )
        commission = self.policy.measure_commission(amount)
        return -(amount + commission) if units > 0 else amount - commission

    def cash_after(self) -> Decimal:
        """Return the exact cash left when every trade is done."""
        cash = from_units(self.book.cash_cents[self.account], CENTS)
        return cash + sum((self.amount(p, units) for p, units in self.units.items()), Decimal(0))

    def settle_cents(self) -> None:
        """Cut buys, largest first, then round sales up, until what is required is there.

        Only cents are raised so: where more is missing, the solver found that no sale may bring it.
        """
        by_size = sorted(self.units, key=lambda p: (self.amount(p, self.units[p]), p))
        for position in by_size:
            missing = self.required - self.cash_after()
            if missing <= 0:
                return
            if self.units[position] > 0:
                self._cut_buy(position, missing)
        for position in sorted(self.units, key=lambda p: self.units[p]):
            missing = self.required - self.cash_after()
            if missing <= 0 or missing > CENT * 2 * len(self.units):
                return
            if self.units[position] <= 0:
                self._sell_more(position, missing)

    def _cut_buy(self, position: int, missing: Decimal) -> None:
        step = int(self.book.step_units[self.security(position)])
        units = self.units[position]
        paid = -self.amount(position, units)
        left = max(paid - missing, Decimal(0)) / paid * units if paid else Decimal(0)
        steps = int((left / step).to_integral_value(ROUND_FLOOR))
        while steps > 0 and paid + self.amount(position, steps * step) < missing:
            steps -= 1
        worth = from_units(steps * step, SHARE_UNITS) * self._price(position)
        self.units[position] = steps * step if worth >= self.least else 0

    def _sell_more(self, position: int, missing: Decimal) -> None:
        step = int(self.book.step_units[self.security(position)])
        sellable, sold = self.sellable(position), -self.units[position]
        price = self._price(position)
        if sold >= sellable or price <= 0:
            return
        wanted = max(self.amount(position, -sold) + missing, self.least)
        shares = wanted / (price * (1 - self._cost_share(position)))
        steps = int((shares * SHARE_UNITS / step).to_integral_value(ROUND_CEILING)) + 1
        units = min(steps * step, sellable)
        is_whole_holding = units == int(self.book.held_units[self.account, self.security(position)])
        if not is_whole_holding:
            units -= units % step
        if units > sold:
            self.units[position] = -units

    def _price(self, position: int) -> Decimal:
        return self.book.securities[self.security(position)].price or Decimal(0)

    def _cost_share(self, position: int) -> Decimal:
        bps = self.book.securities[self.security(position)].half_spread_bps
        return min((bps + self.policy.commission_bps) / 10_000, Decimal("0.5"))


def pick_lots(
    book: Book,
    formulation: Formulation,
    order: Floats,
    position: int,
    units: int,
    *,
    sold: Floats | None = None,
) -> tuple[LotPick, ...]:
    """Return the lots that a sale takes: by the policy's method, else in ascending `order`.

    Where limits made the solver pass over part of a lot, `sold` (money by segment) says how much of
    each it takes; what rounding adds comes from the first lots in order.
    """
    problem = formulation.problem
    segments = np.arange(problem.segment_offsets[position], problem.segment_offsets[position + 1])
    lots = problem.lot[segments]
    account = formulation.accounts[formulation.account[position]]
    method = book.policies[book.policy_index[account]].lot_method
    ranked = order_by_method(book, lots, order[segments], method)
    room = book.lot_units[lots]
    taken = np.zeros_like(room)
    if sold is not None and method is LotMethod.LEAST_TAX and units < int(room.sum()):
        price = float(book.prices[problem.security[position]])
        taken = np.minimum((sold[segments] / price * SHARE_UNITS).astype(np.int64), room)
        taken[np.cumsum(taken[ranked])[np.argsort(ranked)] > units] = 0
    left = units - int(taken.sum())
    for place in ranked:
        more = min(left, int(room[place] - taken[place]))
        taken[place] += more
        left -= more
    return tuple(
        LotPick(int(book.lot_ids[lots[place]]), int(taken[place]))
        for place in ranked
        if taken[place] > 0
    )
