"""Hands a sized plan over to exact numbers: from share units and indices to the domain's gate."""

from datetime import timedelta
from decimal import Decimal

import numpy as np

from portfolios.domain.kinds import Side
from portfolios.domain.lots import Lot
from rebalancer.domain.plan import AccountTerms, Plan, SecurityTerms, WantedTrade, build_plan
from rebalancer.engine.book import (
    CENTS,
    EPOCH,
    EXCLUDED,
    NO_BUY,
    NO_SELL,
    SHARE_UNITS,
    Book,
    Floats,
    from_units,
)
from rebalancer.engine.solve import SizedPlan
from rebalancer.engine.targets import Targets


def describe_account(book: Book, targets: Targets, account: int) -> AccountTerms:
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
    locks = book.locks_of(account)
    policy = book.policies[book.policy_index[account]]
    return AccountTerms(
        cash=from_units(book.cash_cents[account], CENTS),
        required_cash=from_units(round(targets.required_cash[account] * CENTS), CENTS),
        min_trade_amount=policy.min_trade_amount,
        is_taxable=bool(book.is_taxable[account]),
        short_term_rate=Decimal(str(book.short_rate[account])),
        long_term_rate=Decimal(str(book.long_rate[account])),
        lots=lots,
        lot_security=lot_security,
        never_buy=frozenset(
            row.security_id
            for index, row in enumerate(book.securities)
            if locks.get(index, 0) & (NO_BUY | EXCLUDED) or not row.is_buyable
        ),
        never_sell=frozenset(
            book.securities[index].security_id for index, code in locks.items() if code & NO_SELL
        ),
    )


def finish_plan(book: Book, targets: Targets, sized: SizedPlan) -> Plan:
    """Return the exact plan of a sized one.

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
                reason=trade.reason,
                picks=tuple(
                    (pick.lot_id, from_units(pick.units, SHARE_UNITS)) for pick in trade.lots
                ),
            )
        )
    terms = describe_account(book, targets, sized.account)
    return build_plan(terms=terms, wanted=wanted, trade_date=book.price_date)


def measure_after(book: Book, account: int, plan: Plan) -> tuple[Floats, float]:
    """Return the weights by security, and of cash, that a plan leaves an account with."""
    shares = book.held_units[account] / SHARE_UNITS
    for trade in plan.trades:
        index = book.index_of_security[trade.security.security_id]
        shares[index] += float(trade.quantity) * (1 if trade.side is Side.BUY else -1)
    values = np.where(shares > 0, shares * book.prices, 0.0)
    total = values.sum() + float(plan.cash_after)
    return values / total, float(plan.cash_after) / total
