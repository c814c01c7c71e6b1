"""Hands a sized plan over to exact numbers: from share units and indices to the domain's gate."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

import numpy as np

from portfolios.domain.kinds import Side
from portfolios.domain.lots import Lot
from rebalancer.domain.kinds import TradeReason
from rebalancer.domain.plan import (
    AccountTerms,
    CapAmount,
    Plan,
    SecurityTerms,
    WantedTrade,
    build_plan,
)
from rebalancer.domain.policy import CapTerms
from rebalancer.engine.book import EXCLUDED, NO_BUY, NO_SELL, WASHED, Book
from rebalancer.engine.caps import find_capped
from rebalancer.engine.columns import CENTS, EPOCH, SHARE_UNITS, Floats, from_units
from rebalancer.engine.sizing import SizedPlan
from rebalancer.engine.targets import Targets


def describe_account(
    book: Book, targets: Targets, account: int, *, may_wash: bool = False
) -> AccountTerms:
    """Return what one account starts from and must keep to, in exact numbers."""
    lots, lot_security = {}, {}
    for lot in range(book.lot_offsets[account], book.lot_offsets[account + 1]):
        lot_id = int(book.lot_ids[lot])
        lots[lot_id] = Lot(
            lot_id=lot_id,
            quantity=from_units(book.lot_units[lot], SHARE_UNITS),
            cost=from_units(book.lot_cost_cents[lot], CENTS),
            acquired_date=EPOCH + timedelta(days=int(book.lot_day[lot])),
        )
        lot_security[lot_id] = book.securities[book.lot_security[lot]].security_id
    household = book.tax_terms(account)
    locks = book.locks_of(account)
    policy = book.policies[book.policy_index[account]]
    return AccountTerms(
        cash=from_units(book.cash_cents[account], CENTS),
        required_cash=from_units(round(targets.required_cash[account] * CENTS), CENTS),
        min_trade_amount=policy.min_trade_amount,
        is_taxable=bool(book.is_taxable[account]),
        short_term_rate=household.short_term_rate,
        long_term_rate=household.long_term_rate,
        lots=lots,
        lot_security=lot_security,
        never_buy=frozenset(
            row.security_id
            for index, row in enumerate(book.securities)
            if locks.get(index, 0) & (NO_BUY | EXCLUDED | WASHED) or not row.is_buyable
        ),
        never_sell=frozenset(
            book.securities[index].security_id for index, code in locks.items() if code & NO_SELL
        ),
        commission_fixed=policy.commission_fixed,
        commission_bps=policy.commission_bps,
        turnover_max=(
            None
            if policy.turnover_max is None
            else policy.turnover_max * measure_value(book, account)
        ),
        # Where a household is managed together its caps are on all of it: `verify_together`.
        caps=() if household.is_together else describe_caps(book, [account]),
        washed_lots=frozenset(
            int(book.lot_ids[lot])
            for lot in range(book.lot_offsets[account], book.lot_offsets[account + 1])
            if book.washes.at_risk[lot]
        ),
        may_wash=may_wash,
    )


def measure_value(book: Book, account: int) -> Decimal:
    """Return what an account is worth, exactly."""
    value = from_units(book.cash_cents[account], CENTS)
    for security in map(int, np.flatnonzero(book.held_units[account])):
        price = book.securities[security].price or Decimal(0)
        value += from_units(book.held_units[account, security], SHARE_UNITS) * price
    return value


def describe_caps(book: Book, accounts: Sequence[int]) -> tuple[CapAmount, ...]:
    """Return the caps of the first account's policy as they bind on these accounts together."""
    policy = book.policies[book.policy_index[accounts[0]]]
    value = sum((measure_value(book, account) for account in accounts), Decimal(0))
    return tuple(_describe_cap(book, accounts, cap, value) for cap in policy.caps)


def _describe_cap(book: Book, accounts: Sequence[int], cap: CapTerms, value: Decimal) -> CapAmount:
    securities = find_capped(book, cap)
    held = sum(
        (
            from_units(book.held_units[account, security], SHARE_UNITS)
            * (book.securities[security].price or Decimal(0))
            for account in accounts
            for security in securities
        ),
        Decimal(0),
    )
    return CapAmount(
        label=cap.name,
        securities=frozenset(book.securities[security].security_id for security in securities),
        held=held,
        max_amount=cap.max_weight * value,
    )


def finish_plan(
    book: Book, terms: AccountTerms, sized: SizedPlan, reasons: Mapping[int, TradeReason]
) -> Plan:
    """Return the exact plan of a sized one; `reasons` by security index.

    :raises PlanRefused: when it does not pass the gate.
    """
    wanted = []
    for trade in sized.trades:
        row = book.securities[trade.security]
        if row.price is None:
            raise ValueError(f"a trade in {row.symbol}, which has no price")
        wanted.append(
            WantedTrade(
                security=SecurityTerms(
                    row.security_id, row.symbol, row.price, row.half_spread_bps, row.share_step
                ),
                side=Side.BUY if trade.units > 0 else Side.SELL,
                quantity=from_units(abs(trade.units), SHARE_UNITS),
                reason=reasons[trade.security],
                picks=tuple(
                    (pick.lot_id, from_units(pick.units, SHARE_UNITS)) for pick in trade.lots
                ),
            )
        )
    return build_plan(terms=terms, wanted=wanted, trade_date=book.price_date)


def measure_values_after(book: Book, account: int, plan: Plan) -> Floats:
    """Return what an account holds of each security after a plan, in money."""
    shares = book.held_units[account] / SHARE_UNITS
    for trade in plan.trades:
        index = book.index_of_security[trade.security.security_id]
        shares[index] += float(trade.quantity) * (1 if trade.side is Side.BUY else -1)
    values: Floats = np.where(shares > 0, shares * book.prices, 0.0)
    return values
