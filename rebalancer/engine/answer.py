"""What the engine answers for one household: plans, the certificate, and the reasons.

Plain values; amounts are money. Positions are named by (account, security), indices of the Book.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from rebalancer.domain.kinds import Mode, Path, TradeReason
from rebalancer.domain.plan import Plan


@dataclass(frozen=True, slots=True)
class Terms:
    """The objective, term by term, in money: what a state or a plan costs."""

    drift: float = 0.0
    cash_drag: float = 0.0
    tax: float = 0.0  # negative: losses save it
    spread: float = 0.0
    commission: float = 0.0
    tickets: float = 0.0
    impact: float = 0.0
    location: float = 0.0

    @property
    def total(self) -> float:
        """Return the objective."""
        return self.drift + self.cash_drag + self.location + self.of_trading

    @property
    def of_trading(self) -> float:
        """Return what the trades themselves cost, tax included."""
        return self.tax + self.spread + self.commission + self.tickets + self.impact


@dataclass(frozen=True, slots=True)
class Certificate:
    """How good a plan is: against doing nothing, simpler plans, and what no plan can beat.

    `bound` is a lower bound on the objective of every admissible plan; None where none is known.
    An alternative that is not admissible is None.
    """

    plan: Terms
    nothing: Terms
    buy_only: Terms | None
    naive: Terms | None  # straight to target, cheapest lots
    bound: float | None
    value: float
    hurdle: float

    @property
    def gain(self) -> float:
        """Return by how much the plan is better than doing nothing."""
        return self.nothing.total - self.plan.total

    @property
    def gap(self) -> float | None:
        """Return how far above the bound the plan is, in money; never negative."""
        return None if self.bound is None else max(self.plan.total - self.bound, 0.0)


@dataclass(frozen=True, slots=True)
class TradeNote:
    """Why one trade is made: what it removes and costs, what stopped it, what comes second."""

    drift_removed: float  # the drift cost that would come back without this trade alone
    tax: Decimal
    cost: Decimal
    rule: str  # what limited it, in words; empty: nothing but its own price
    next_best: str  # the best other quantity, and how much dearer, in words


@dataclass(frozen=True, slots=True)
class NoTradeNote:
    """Why a trade that a naive rebalancer would make is not made."""

    code: str  # INSIDE_NO_TRADE_ZONE, TAX, MINIMUM, NEVER_BUY, NEVER_SELL, WASH, CASH, FROZEN, ...
    amount: float  # what the naive plan would trade; negative: sell
    saves: float  # drift cost that the naive trade would remove
    costs: float  # tax, spread and the rest that it would cost
    words: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The best plans for the accounts of one household, with the proof and the reasons."""

    mode: Mode
    path: Path
    path_reason: str
    plans: Mapping[int, Plan]  # by account; an account without trades has an empty plan
    short_by: Mapping[int, Decimal]  # cash that could not be raised, by account
    certificate: Certificate
    trades: Mapping[tuple[int, int], TradeNote]
    untraded: Mapping[tuple[int, int], NoTradeNote]
    notes: Mapping[int, tuple[str, ...]]  # what limited an account's plan, in sentences
    blocked: Mapping[int, str]  # accounts that cannot be looked at, and why
    conflict: str  # the smallest set of wishes that cannot all be met, in a sentence; or empty

    def find_problem(self, account: int, *, is_cash_short: bool) -> str:
        """Return why an account's plan would not be proposed, or an empty string.

        Letting go of what is excluded, or raising cash, is worth it whatever it costs.
        """
        plan, certificate = self.plans[account], self.certificate
        if not plan.trades:
            return self.conflict or "no trade would gain more than it costs"
        must_trade = is_cash_short or any(
            trade.reason is TradeReason.EXCLUDED for trade in plan.trades
        )
        if self.is_worth_it or must_trade:
            return ""
        return (
            f"the best plan gains {certificate.gain:,.2f}, "
            f"not more than the hurdle of {certificate.hurdle:,.2f}"
        )

    @property
    def is_worth_it(self) -> bool:
        """Return whether there are trades, and they gain more than the hurdle."""
        has_trades = any(plan.trades for plan in self.plans.values())
        return has_trades and self.certificate.gain > self.certificate.hurdle
