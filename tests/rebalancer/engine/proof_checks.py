"""What an answer must keep to, recomputed in Decimal from the rows that the Book was built from.

Nothing of the engine is used but the answer itself: what is checked is what it promises.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

from accounts.domain.roles import TaxStatus
from portfolios.domain.kinds import Side
from rebalancer.domain.kinds import CapKind, Mode
from rebalancer.domain.plan import Plan, PlannedTrade
from rebalancer.engine.answer import Answer
from rebalancer.engine.book import EXCLUDED, NO_BUY, NO_SELL, AccountRow
from tests.rebalancer.engine import oracle_wash
from tests.rebalancer.engine.oracle_wash import LossSale, Purchase
from tests.rebalancer.engine.proof_households import CENT, TODAY, Drawn

ZERO = Decimal(0)
MONEY = Decimal("1e-6")  # of value: what the certificate may be off
SHORT = "Cash is short"
NEED = re.compile(r"This wish cannot be met: account (?P<account>\d+) needs [\d,.]+ in cash\.")
NO_SALES = {Mode.BUY_ONLY, Mode.HARVEST_ONLY}


def list_faults(drawn: Drawn, answer: Answer) -> list[str]:
    """Return every promise that an answer breaks, in words; none is the proof."""
    faults = []
    rows = sorted(drawn.accounts, key=lambda row: row.account_id)
    plans = {rows[index].account_id: plan for index, plan in answer.plans.items()}
    notes = {rows[index].account_id: " ".join(answer.notes[index]) for index in answer.plans}
    for row in rows:
        if row.account_id not in plans:
            continue
        faults += [
            f"account {row.account_id}: {fault}"
            for fault in _list_account_faults(drawn, row, plans[row.account_id])
        ]
        if any(t.side is Side.BUY for t in plans[row.account_id].trades) and row.is_frozen:
            faults.append(f"account {row.account_id} is frozen, and buys")
    faults += _list_mode_faults(drawn, plans)
    faults += _list_cap_faults(drawn, plans)
    faults += _list_gain_faults(drawn, plans, notes)
    faults += list_washes(drawn, plans, notes)
    faults += list_conflict_faults(drawn, answer)
    return faults + list_certificate_faults(drawn, answer)


def list_conflict_faults(drawn: Drawn, answer: Answer) -> list[str]:
    """Return where cash is missing without a name, or a need is named that could be met."""
    rows, faults = sorted(drawn.accounts, key=lambda row: row.account_id), []
    # A mode in which nothing is sold is reason enough; the notes say what is missing.
    is_modes_doing = drawn.mode in NO_SALES | {Mode.SPEND_CASH}
    if any(answer.short_by.values()) and not answer.conflict and not is_modes_doing:
        faults.append(f"cash is short by {dict(answer.short_by)}, and no conflict is named")
    named = NEED.fullmatch(answer.conflict)
    if named is None or drawn.mode in NO_SALES:
        return faults
    row = next(row for row in rows if str(row.account_id) == named["account"])
    if row.is_frozen:
        return faults
    codes, policy = drawn.codes_of(row.account_id), drawn.policy_of(row)
    raised = row.cash + sum(
        (
            lot.quantity * drawn.price(lot.security_id)
            for lot in drawn.lots_of(row.account_id)
            if not codes.get(lot.security_id, 0) & NO_SELL
        ),
        ZERO,
    )
    required = row.need_amount + policy.cash_floor_amount
    # Costs, steps and smallest trades may keep the last tenth from being raised.
    if raised * Decimal("0.9") > required + policy.min_trade_amount + 10_000:
        faults.append(f"{answer.conflict} But {raised} could be raised")
    return faults


def measure_fill(price: Decimal, bps: Decimal, side: Side) -> Decimal:
    """Return the price a share trades at, half the spread against us, to six places."""
    sign = 1 if side is Side.BUY else -1
    fill = price * (1 + sign * bps / 10_000)
    return fill.quantize(Decimal("0.000001"), rounding=ROUND_HALF_EVEN)


def _list_account_faults(drawn: Drawn, row: AccountRow, plan: Plan) -> list[str]:
    policy, faults, cash = drawn.policy_of(row), [], row.cash
    symbols = [trade.security.symbol for trade in plan.trades]
    if len(symbols) != len(set(symbols)):
        faults.append(f"two trades in one security: {symbols}")
    for trade in plan.trades:
        faults += _list_trade_faults(drawn, row, trade)
        security = drawn.security(trade.security.security_id)
        fill = measure_fill(drawn.price(security.security_id), security.half_spread_bps, trade.side)
        amount = (trade.quantity * fill).quantize(CENT)
        commission = (policy.commission_fixed + amount * policy.commission_bps / 10_000).quantize(
            CENT
        )
        cash += (amount if trade.side is Side.SELL else -amount) - commission
    required = row.need_amount + policy.cash_floor_amount
    if cash != plan.cash_after:
        faults.append(f"cash is {cash}, the plan says {plan.cash_after}")
    if cash < 0:
        faults.append(f"cash overdrawn: {cash}")
    if cash < required and any(t.side is Side.BUY for t in plan.trades):
        faults.append(f"bought, with {cash} of {required} in cash")
    turnover = sum((t.quantity * drawn.price(t.security.security_id) for t in plan.trades), ZERO)
    if policy.turnover_max is not None:
        most = policy.turnover_max * drawn.value_of(row.account_id)
        if turnover > most + CENT * len(plan.trades):
            faults.append(f"turnover {turnover} of at most {most}")
    return faults


def _list_trade_faults(drawn: Drawn, row: AccountRow, trade: PlannedTrade) -> list[str]:
    security = drawn.security(trade.security.security_id)
    symbol, code = security.symbol, drawn.codes_of(row.account_id).get(security.security_id, 0)
    lots = {
        lot.lot_id: lot
        for lot in drawn.lots_of(row.account_id)
        if lot.security_id == security.security_id
    }
    held, faults = sum((lot.quantity for lot in lots.values()), ZERO), []
    is_exit = trade.side is Side.SELL and trade.quantity == held
    worth = (trade.quantity * drawn.price(security.security_id)).quantize(CENT)
    if trade.quantity <= 0:
        faults.append(f"{symbol}: a quantity of {trade.quantity}")
    if trade.quantity % security.share_step and not is_exit and not code & EXCLUDED:
        faults.append(f"{symbol}: {trade.quantity} in steps of {security.share_step}")
    least = drawn.policy_of(row).min_trade_amount
    if max(worth, trade.amount) < least and not is_exit:
        faults.append(f"{symbol}: {worth} is below the smallest trade")
    if trade.side is Side.BUY:
        if code & (NO_BUY | EXCLUDED) or not security.is_buyable:
            faults.append(f"{symbol} may not be bought")
        return faults
    if code & NO_SELL:
        faults.append(f"{symbol} may not be sold")
    if sum((part.quantity for part in trade.lots), ZERO) != trade.quantity:
        faults.append(f"{symbol}: the lots are not the sale")
    for part in trade.lots:
        if part.lot_id not in lots or part.quantity > lots[part.lot_id].quantity:
            faults.append(f"{symbol}: lot {part.lot_id} oversold or not there")
    return faults


def _list_mode_faults(drawn: Drawn, plans: dict[int, Plan]) -> list[str]:
    sides = {trade.side for plan in plans.values() for trade in plan.trades}
    never = (
        {
            Mode.BUY_ONLY: Side.SELL,
            Mode.SELL_ONLY: Side.BUY,
            Mode.RAISE_CASH: Side.BUY,
        }.get(drawn.mode)
        if drawn.mode
        else None
    )
    faults = [f"{never} in mode {drawn.mode}"] if never in sides else []
    if drawn.mode is Mode.HARVEST_ONLY:
        faults += [
            f"{trade.security.symbol}: lot {lot.lot_id} harvested at a gain of {lot.gain}"
            for plan in plans.values()
            for trade in plan.trades
            for lot in trade.lots
            if lot.gain > 0
        ]
    if drawn.mode is Mode.SPEND_CASH:
        faults += [
            f"account {account} buys and sells to spend cash"
            for account, plan in plans.items()
            if len({trade.side for trade in plan.trades}) > 1
        ]
    return faults


def list_capped(drawn: Drawn, kind: CapKind, name: str) -> set[int]:
    """Return the ids of the securities that a cap counts."""
    field = {
        CapKind.ASSET_CLASS: "class_name",
        CapKind.SECTOR: "sector",
        CapKind.ISSUER: "issuer",
        CapKind.SECURITY: "symbol",
    }[kind]
    return {row.security_id for row in drawn.securities if getattr(row, field) == name}


def _list_cap_faults(drawn: Drawn, plans: dict[int, Plan]) -> list[str]:
    """Return what buys took beyond a cap: by account, or of all accounts that are one."""
    everybody = [row.account_id for row in drawn.accounts]
    faults = []
    for row in drawn.accounts:
        scope = everybody if drawn.household.is_together else [row.account_id]
        policy = drawn.policy_of(drawn.accounts[0] if drawn.household.is_together else row)
        for cap in policy.caps:
            members = list_capped(drawn, cap.kind, cap.name)
            held = sum(
                (
                    lot.quantity * drawn.price(lot.security_id)
                    for account in scope
                    for lot in drawn.lots_of(account)
                    if lot.security_id in members
                ),
                ZERO,
            )
            moved = sum(
                (
                    trade.quantity
                    * drawn.price(trade.security.security_id)
                    * (1 if trade.side is Side.BUY else -1)
                    for account in scope
                    if account in plans
                    for trade in plans[account].trades
                    if trade.security.security_id in members
                ),
                ZERO,
            )
            most = cap.max_weight * sum((drawn.value_of(account) for account in scope), ZERO)
            if moved > CENT and held + moved > most + CENT:
                faults.append(f"{cap.name} at {held + moved} of at most {most}")
    return faults


def _list_gain_faults(drawn: Drawn, plans: dict[int, Plan], notes: dict[int, str]) -> list[str]:
    terms = drawn.household
    if terms.gains_budget is None:
        return []
    left = max(terms.gains_budget - terms.year_short_gain - terms.year_long_gain, ZERO)
    gain = sum((lot.gain for _row, _trade, lot in _list_taxed(drawn, plans)), ZERO)
    if gain > left + 1 and not any(SHORT in note for note in notes.values()):
        return [f"net gains of {gain}, of which {left} may be"]
    return []


def _list_taxed(drawn: Drawn, plans: dict[int, Plan]) -> Iterable:
    for row in drawn.accounts:
        if row.account_id in plans and row.tax_status is TaxStatus.TAXABLE:
            for trade in plans[row.account_id].trades:
                for lot in trade.lots:
                    yield row, trade, lot


def list_washes(drawn: Drawn, plans: dict[int, Plan], notes: dict[int, str]) -> list[str]:
    """Return the losses, of today or of the window, that the household's plans of today wash."""
    group = oracle_wash.group_of(drawn.securities)
    by_id = {lot.lot_id: lot for lot in drawn.lots}
    gone: dict[int, Decimal] = defaultdict(Decimal)
    for plan in plans.values():
        for trade in plan.trades:
            for part in trade.lots:
                gone[part.lot_id] += part.quantity
    today = [
        Purchase(
            group[trade.security.security_id],
            TODAY,
            (account, trade.security.security_id, date.max),
            trade.quantity,
        )
        for account, plan in plans.items()
        for trade in plan.trades
        if trade.side is Side.BUY
    ]
    before = [
        Purchase(
            group[lot.security_id],
            lot.acquired_date,
            (lot.account_id, lot.security_id, lot.acquired_date),
            lot.quantity - gone[lot.lot_id],
        )
        for lot in drawn.lots
    ] + [
        Purchase(
            group[row.security_id],
            row.trade_date,
            (0, row.security_id, row.trade_date),
            oracle_wash.UNKNOWN,
        )
        for row in drawn.recent_trades
        if row.side is Side.BUY
    ]
    is_british = drawn.household.regime == "UK"
    losses = [
        LossSale(
            group[trade.security.security_id],
            TODAY,
            (row.account_id, trade.security.security_id, by_id[lot.lot_id].acquired_date),
            lot.quantity,
            f"lot {lot.lot_id} of {trade.security.symbol} (loss {-lot.gain})",
        )
        for row, trade, lot in _list_taxed(drawn, plans)
        if lot.gain < 0 and SHORT not in notes[row.account_id]
    ]
    past = [
        LossSale(
            group[row.security_id],
            row.trade_date,
            None,
            oracle_wash.UNKNOWN,
            f"the loss of {row.trade_date} on {group[row.security_id]}",
        )
        for row in drawn.recent_trades
        if row.side is Side.SELL and row.is_taxable and row.gain < 0
    ]
    washed = oracle_wash.list_washed(losses, [*before, *today], is_british=is_british)
    return washed + oracle_wash.list_washed(past, today, is_british=is_british)


def list_certificate_faults(drawn: Drawn, answer: Answer) -> list[str]:
    """Return where the certificate contradicts itself."""
    certificate, faults = answer.certificate, []
    slack = float(MONEY) * max(certificate.value, 1.0)
    plan = certificate.plan.total
    if certificate.bound is not None and certificate.bound > plan + slack:
        faults.append(f"the bound {certificate.bound} is above the plan's {plan}")
    if is_idle_allowed(drawn, answer) and plan > certificate.nothing.total + slack + 1:
        faults.append(f"doing nothing costs {certificate.nothing.total}, the plan {plan}")
    return faults


def is_idle_allowed(drawn: Drawn, answer: Answer) -> bool:
    """Return whether doing nothing would break no promise: no cash missing, nothing excluded."""
    rows = sorted(drawn.accounts, key=lambda row: row.account_id)
    for index in answer.plans:
        row = rows[index]
        policy = drawn.policy_of(row)
        if row.cash < row.need_amount + policy.cash_floor_amount or policy.caps:
            return False
        held = {lot.security_id for lot in drawn.lots_of(row.account_id)}
        codes = drawn.codes_of(row.account_id)
        if any(code & EXCLUDED and security in held for security, code in codes.items()):
            return False
    return True
