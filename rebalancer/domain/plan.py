"""A proposed plan in exact numbers, and the gate that it must pass before anything is stored.

The engine decides in floats; here its share quantities become money to the cent, gains by lot, tax
and cost, and every promise is checked again in Decimal, independently of how the plan was found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from portfolios.domain.kinds import Side
from portfolios.domain.lots import Lot, is_long_term, use_lots
from portfolios.domain.money import BPS, CENT, ZERO, round_money
from rebalancer.domain.execution import measure_amount, measure_fill_price
from rebalancer.domain.kinds import TradeReason


class PlanRefused(Exception):
    """A plan breaks a promise; the text names the account's promise and the culprit."""


@dataclass(frozen=True, slots=True)
class SecurityTerms:
    """What a trade needs to know of its security."""

    security_id: int
    symbol: str
    price: Decimal
    half_spread_bps: Decimal
    share_step: Decimal


@dataclass(frozen=True, slots=True)
class AccountTerms:
    """What an account starts from, and what it must keep to."""

    cash: Decimal
    required_cash: Decimal
    min_trade_amount: Decimal
    is_taxable: bool
    short_term_rate: Decimal
    long_term_rate: Decimal
    lots: Mapping[int, Lot]
    lot_security: Mapping[int, int]
    never_buy: frozenset[int]
    never_sell: frozenset[int]
    commission_fixed: Decimal = ZERO
    commission_bps: Decimal = ZERO
    turnover_max: Decimal | None = None  # money, buys and sells together
    caps: tuple["CapAmount", ...] = ()
    # Lots whose loss tax law would deny today. Sold all the same only where cash is short.
    washed_lots: frozenset[int] = frozenset()
    may_wash: bool = False


@dataclass(frozen=True, slots=True)
class CapAmount:
    """No more than this money in some securities, of which the account holds `held` already."""

    label: str
    securities: frozenset[int]
    held: Decimal
    max_amount: Decimal


@dataclass(frozen=True, slots=True)
class WantedTrade:
    """What the engine wants: a quantity, and for a sale the lots in order."""

    security: SecurityTerms
    side: Side
    quantity: Decimal
    reason: TradeReason
    picks: tuple[tuple[int, Decimal], ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedLot:
    """One lot's part in a sale."""

    lot_id: int
    quantity: Decimal
    cost: Decimal
    gain: Decimal
    tax: Decimal
    is_long_term: bool


@dataclass(frozen=True, slots=True)
class PlannedTrade:
    """A trade in exact money: cash moved, what the spread costs, gains and tax by lot."""

    security: SecurityTerms
    side: Side
    quantity: Decimal
    fill_price: Decimal
    amount: Decimal
    commission: Decimal
    cost: Decimal  # half spread and commission
    reason: TradeReason
    lots: tuple[PlannedLot, ...]

    @property
    def cash_moved(self) -> Decimal:
        """Return what the trade adds to cash (negative: takes), commission included."""
        signed = self.amount if self.side is Side.SELL else -self.amount
        return signed - self.commission

    def gain(self, *, long_term: bool) -> Decimal:
        """Return the realised gain of one term."""
        return sum((lot.gain for lot in self.lots if lot.is_long_term is long_term), ZERO)

    @property
    def tax(self) -> Decimal:
        """Return the tax that the sale causes (negative: saves) at the household's rates."""
        return sum((lot.tax for lot in self.lots), ZERO)


@dataclass(frozen=True, slots=True)
class Plan:
    """All trades of one account, sells first, and the cash they leave."""

    trades: tuple[PlannedTrade, ...]
    cash_after: Decimal


def build_plan(*, terms: AccountTerms, wanted: Sequence[WantedTrade], trade_date: date) -> Plan:
    """Return the exact plan of what the engine wants.

    :raises PlanRefused: when it breaks any promise of `verify_plan`.
    """
    trades = []
    for want in sorted(wanted, key=lambda w: (w.side is Side.BUY, w.security.symbol)):
        fill_price = measure_fill_price(
            side=want.side,
            price=want.security.price,
            half_spread_bps=want.security.half_spread_bps,
        )
        amount = measure_amount(quantity=want.quantity, fill_price=fill_price)
        at_market = round_money(want.quantity * want.security.price)
        commission = round_money(terms.commission_fixed + amount * terms.commission_bps * BPS)
        trades.append(
            PlannedTrade(
                security=want.security,
                side=want.side,
                quantity=want.quantity,
                fill_price=fill_price,
                amount=amount,
                commission=commission,
                cost=abs(amount - at_market) + commission,
                reason=want.reason,
                lots=_plan_lots(terms, want, amount, trade_date),
            )
        )
    cash_after = terms.cash + sum((trade.cash_moved for trade in trades), ZERO)
    plan = Plan(trades=tuple(trades), cash_after=cash_after)
    verify_plan(terms=terms, plan=plan)
    return plan


def _plan_lots(
    terms: AccountTerms, want: WantedTrade, amount: Decimal, trade_date: date
) -> tuple[PlannedLot, ...]:
    if want.side is Side.BUY:
        return ()
    for lot_id, _quantity in want.picks:
        if terms.lot_security.get(lot_id) != want.security.security_id:
            raise PlanRefused(f"lot {lot_id} is not one of {want.security.symbol}")
    uses = use_lots(
        picks=[(terms.lots[lot_id], quantity) for lot_id, quantity in want.picks],
        proceeds=amount,
        sold_date=trade_date,
    )
    planned = []
    for use in uses:
        long_term = is_long_term(
            acquired_date=terms.lots[use.lot_id].acquired_date, sold_date=trade_date
        )
        rate = terms.long_term_rate if long_term else terms.short_term_rate
        tax = round_money(use.gain * rate) if terms.is_taxable else ZERO
        planned.append(PlannedLot(use.lot_id, use.quantity, use.cost, use.gain, tax, long_term))
    return tuple(planned)


def verify_plan(*, terms: AccountTerms, plan: Plan) -> None:
    """Accept a plan that keeps every promise.

    Checked: one side per security; whole share steps or the whole holding; the smallest trade, or
    the whole holding; lots that exist, add up and are not oversold; wishes; caps and turnover; no
    loss that tax law would deny, unless cash is short; cash never falls below zero, nor below what
    is required when anything was bought.

    :raises PlanRefused: naming the promise and the culprit.
    """
    symbols = [trade.security.symbol for trade in plan.trades]
    if len(set(symbols)) != len(symbols):
        raise PlanRefused(f"more than one trade in a security: {sorted(symbols)}")
    for trade in plan.trades:
        _verify_trade(terms, trade)
    bought = any(trade.side is Side.BUY for trade in plan.trades)
    # An account that is overdrawn already may stand still, or sell.
    if plan.cash_after < 0 and (bought or plan.cash_after < terms.cash):
        raise PlanRefused(f"cash would fall to {plan.cash_after}")
    if bought and plan.cash_after < terms.required_cash:
        raise PlanRefused(
            f"buys would leave {plan.cash_after} of the {terms.required_cash} required in cash"
        )
    _verify_limits(terms, plan)


def _verify_limits(terms: AccountTerms, plan: Plan) -> None:
    turnover = sum((round_money(t.quantity * t.security.price) for t in plan.trades), ZERO)
    # Every amount is rounded to the cent; the limit is not.
    rounding = CENT * len(plan.trades)
    if terms.turnover_max is not None and turnover > terms.turnover_max + rounding:
        raise PlanRefused(f"trades of {turnover}, more than the {terms.turnover_max} allowed")
    _verify_caps(terms.caps, plan.trades)
    if terms.may_wash or not terms.is_taxable:
        return
    for trade in plan.trades:
        for lot in trade.lots:
            if lot.gain < 0 and lot.lot_id in terms.washed_lots:
                raise PlanRefused(
                    f"{trade.security.symbol}: the loss of lot {lot.lot_id} would be denied"
                )


def _verify_caps(caps: Sequence[CapAmount], trades: Sequence[PlannedTrade]) -> None:
    """Accept trades that bring nothing above its cap that was not above it before."""
    for cap in caps:
        moves = [
            round_money(t.quantity * t.security.price) * (1 if t.side is Side.BUY else -1)
            for t in trades
            if t.security.security_id in cap.securities
        ]
        moved = sum(moves, ZERO)
        if moved > 0 and cap.held + moved > cap.max_amount + CENT * len(moves):
            raise PlanRefused(
                f"{cap.label} would hold {cap.held + moved}, more than {cap.max_amount}"
            )


def verify_together(
    *,
    plans: Sequence[tuple[AccountTerms, Plan]],
    groups: Mapping[int, str],
    gains_left: Decimal | None,
    caps: Sequence[CapAmount] = (),
) -> None:
    """Accept the plans of one household that keep what its accounts promise together.

    `groups` names the group of substantially identical securities by security id; `gains_left` is
    the net gain that the year may still realise, `caps` are those on all accounts together.

    :raises PlanRefused: when one plan buys what another sells at a loss, or the gains are too many.
    """
    _verify_caps(caps, [trade for _terms, plan in plans for trade in plan.trades])
    lost = {
        groups[trade.security.security_id]: trade.security.symbol
        for terms, plan in plans
        if terms.is_taxable and not terms.may_wash
        for trade in plan.trades
        if any(lot.gain < 0 for lot in trade.lots)
    }
    for _terms, plan in plans:
        for trade in plan.trades:
            group = groups[trade.security.security_id]
            if trade.side is Side.BUY and group in lost:
                raise PlanRefused(
                    f"buying {trade.security.symbol} would wash the loss on {lost[group]}"
                )
    gain = sum(
        (
            lot.gain
            for terms, plan in plans
            if terms.is_taxable
            for trade in plan.trades
            for lot in trade.lots
        ),
        ZERO,
    )
    rounding = CENT * sum(len(plan.trades) for _terms, plan in plans)
    if gains_left is not None and gain > max(gains_left, ZERO) + rounding:
        raise PlanRefused(f"net gains of {gain}, more than the {gains_left} left this year")


def _verify_trade(terms: AccountTerms, trade: PlannedTrade) -> None:
    security, symbol = trade.security.security_id, trade.security.symbol
    if not trade.quantity.is_finite() or trade.quantity <= 0:
        raise PlanRefused(f"{symbol}: a quantity of {trade.quantity}")
    held = sum(
        (
            lot.quantity
            for lot_id, lot in terms.lots.items()
            if terms.lot_security[lot_id] == security
        ),
        ZERO,
    )
    is_exit = trade.side is Side.SELL and trade.quantity == held
    if trade.quantity % trade.security.share_step and not is_exit:
        raise PlanRefused(
            f"{symbol}: {trade.quantity} is not a multiple of {trade.security.share_step}"
        )
    at_market = round_money(trade.quantity * trade.security.price)
    if max(trade.amount, at_market) < terms.min_trade_amount and not is_exit:
        raise PlanRefused(f"{symbol}: {trade.amount} is below {terms.min_trade_amount}")
    if trade.side is Side.BUY:
        if security in terms.never_buy:
            raise PlanRefused(f"{symbol} may not be bought")
    else:
        _verify_sale(terms, trade, held)


def _verify_sale(terms: AccountTerms, trade: PlannedTrade, held: Decimal) -> None:
    symbol = trade.security.symbol
    if trade.security.security_id in terms.never_sell:
        raise PlanRefused(f"{symbol} may not be sold")
    if trade.quantity > held:
        raise PlanRefused(f"{symbol}: selling {trade.quantity} of {held}")
    picked = sum((lot.quantity for lot in trade.lots), ZERO)
    if picked != trade.quantity or len({lot.lot_id for lot in trade.lots}) != len(trade.lots):
        raise PlanRefused(f"{symbol}: lots of {picked} for a sale of {trade.quantity}")
    for lot in trade.lots:
        if lot.quantity > terms.lots[lot.lot_id].quantity:
            raise PlanRefused(f"{symbol}: lot {lot.lot_id} is oversold")
    if sum((lot.cost + lot.gain for lot in trade.lots), ZERO) != trade.amount:
        raise PlanRefused(f"{symbol}: lots do not add up to {trade.amount}")
