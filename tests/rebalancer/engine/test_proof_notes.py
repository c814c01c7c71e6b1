"""Every trade's note adds up, and every trade not made has a reason that the rows bear out."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from accounts.domain.roles import TaxStatus
from portfolios.domain.kinds import Side
from rebalancer.domain.kinds import BandLevel, Destination, DriftMeasure, Mode
from rebalancer.domain.plan import PlannedTrade
from rebalancer.engine.answer import NoTradeNote
from rebalancer.engine.answering import solve_household
from rebalancer.engine.book import EXCLUDED, NO_BUY, NO_SELL, AccountRow
from tests.rebalancer.engine.proof_households import TODAY, Drawn, draw

NO_BUY_MODES = {Mode.SELL_ONLY, Mode.RAISE_CASH, Mode.HARVEST_ONLY, Mode.SPEND_CASH}
NO_SELL_MODES = {Mode.BUY_ONLY, Mode.HARVEST_ONLY, Mode.SPEND_CASH}
WILLING_AT = 0.05


def index_accounts(drawn: Drawn) -> list[AccountRow]:
    return sorted(drawn.accounts, key=lambda row: row.account_id)


def index_securities(drawn: Drawn) -> list[int]:
    return [row.security_id for row in sorted(drawn.securities, key=lambda row: row.symbol)]


def simplify(drawn: Drawn) -> Drawn:
    """Return the household whose targets are its models' own: nothing moves them."""
    return replace(
        drawn,
        mode=Mode.FULL,
        securities=tuple(replace(row, is_buyable=True) for row in drawn.securities),
        locks=(),
        recent_trades=(),
        household=replace(drawn.household, is_together=False),
        accounts=tuple(
            replace(row, need_amount=Decimal(0), is_frozen=False) for row in drawn.accounts
        ),
        policies=tuple(
            replace(
                row,
                band_level=BandLevel.SECURITY,
                destination=Destination.TARGET,
                drift_measure=DriftMeasure.WEIGHT,
                harvests_losses=False,
                cash_floor_amount=Decimal(0),
            )
            for row in drawn.policies
        ),
    )


def price_drift(drawn: Drawn, row: AccountRow, security_id: int, amount: float) -> float:
    """Return what holding `amount` of a security instead of its target costs, in money."""
    value = float(drawn.value_of(row.account_id))
    weight = float(dict(drawn.model_of(row).weights).get(security_id, 0))
    penalty = float(drawn.policy_of(row).willingness) / WILLING_AT
    return penalty / (2 * value) * (amount - weight * value) ** 2


@pytest.mark.parametrize("seed", range(0, 120, 2))
def test_the_drift_that_a_trade_removes_is_what_the_rows_say(seed):
    drawn = simplify(draw(seed))
    answer = solve_household(drawn.build(), 0, mode=drawn.mode)
    accounts, securities = index_accounts(drawn), index_securities(drawn)
    for (account, index), note in answer.trades.items():
        row, security_id = accounts[account], securities[index]
        price = float(drawn.price(security_id))
        held = price * sum(
            float(lot.quantity)
            for lot in drawn.lots_of(row.account_id)
            if lot.security_id == security_id
        )
        [trade] = [t for t in answer.plans[account].trades if t.security.security_id == security_id]
        moved = float(trade.quantity) * price * (1 if trade.side is Side.BUY else -1)
        before = price_drift(drawn, row, security_id, held)
        after = price_drift(drawn, row, security_id, held + moved)
        assert note.drift_removed == pytest.approx(before - after, rel=1e-6, abs=1e-4)


def list_tax(drawn: Drawn, row: AccountRow, trade: PlannedTrade) -> Decimal:
    """Return the tax of a sale, lot by lot at the household's rates, each to the cent."""
    terms, tax = drawn.household, Decimal(0)
    if row.tax_status is not TaxStatus.TAXABLE:
        return tax
    for part in trade.lots:
        rate = terms.long_term_rate if part.is_long_term else terms.short_term_rate
        tax += (part.gain * rate).quantize(Decimal("0.01"))
    return tax


@pytest.mark.parametrize("seed", range(0, 150, 2))
def test_a_note_carries_the_tax_and_cost_of_its_trade(seed):
    drawn = draw(seed)
    answer = solve_household(drawn.build(), 0, mode=drawn.mode)
    accounts, securities = index_accounts(drawn), index_securities(drawn)
    traded = {
        (account, trade.security.security_id): trade
        for account, plan in answer.plans.items()
        for trade in plan.trades
    }
    noted = {(account, securities[index]) for account, index in answer.trades}
    assert noted == set(traded)
    for (account, index), note in answer.trades.items():
        row, trade = accounts[account], traded[account, securities[index]]
        policy = drawn.policy_of(row)
        market = (trade.quantity * drawn.price(securities[index])).quantize(Decimal("0.01"))
        commission = (
            policy.commission_fixed + trade.amount * policy.commission_bps / 10_000
        ).quantize(Decimal("0.01"))
        assert note.cost == abs(trade.amount - market) + commission
        assert note.tax == list_tax(drawn, row, trade)
        assert note.rule
        days = {lot.lot_id: (TODAY - lot.acquired_date).days for lot in drawn.lots}
        for part in trade.lots:
            if drawn.household.regime == "US" and days[part.lot_id] not in {365, 366}:
                assert part.is_long_term is (days[part.lot_id] > 365)
        assert sum((part.gain + part.cost for part in trade.lots), Decimal(0)) == (
            trade.amount if trade.side is Side.SELL else 0
        )


def bought_lately(drawn: Drawn, security_id: int) -> bool:
    """Return whether the household bought what is identical within thirty days."""
    group = {row.security_id: row.identical_group or row.symbol for row in drawn.securities}
    since = TODAY - timedelta(days=30)
    return any(
        group[lot.security_id] == group[security_id] and lot.acquired_date >= since
        for lot in drawn.lots
    ) or any(
        group[row.security_id] == group[security_id]
        and row.side is Side.BUY
        and row.trade_date >= since
        for row in drawn.recent_trades
    )


def lost_lately(drawn: Drawn, security_id: int) -> bool:
    """Return whether the household sold what is identical at a loss within thirty days."""
    group = {row.security_id: row.identical_group or row.symbol for row in drawn.securities}
    return any(
        group[row.security_id] == group[security_id]
        and row.side is Side.SELL
        and row.is_taxable
        and row.gain < 0
        and row.trade_date >= TODAY - timedelta(days=30)
        for row in drawn.recent_trades
    )


def is_borne_out(drawn: Drawn, row: AccountRow, security_id: int, note: NoTradeNote) -> bool:
    """Return whether the rows say what a note's code says."""
    code, buys = drawn.codes_of(row.account_id).get(security_id, 0), note.amount > 0
    modes = {drawn.mode} if drawn.mode else set(Mode)
    return {
        "FROZEN": row.is_frozen,
        "NEVER_BUY": buys and bool(code & (NO_BUY | EXCLUDED)),
        "NEVER_SELL": not buys and bool(code & NO_SELL),
        "WASH": (lost_lately if buys else bought_lately)(drawn, security_id),
        "MODE": bool(modes & (NO_BUY_MODES if buys else NO_SELL_MODES)),
        "HOLD": drawn.policy_of(row).hold_for_long_term_days > 0,
        "TAX": not buys and row.tax_status is TaxStatus.TAXABLE and note.costs > 0,
        "INSIDE_NO_TRADE_ZONE": note.costs > note.saves,
    }.get(note.code, True)


@pytest.mark.parametrize("seed", range(0, 200, 2))
def test_the_reason_for_no_trade_is_borne_out_by_the_rows(seed):
    drawn = draw(seed)
    answer = solve_household(drawn.build(), 0, mode=drawn.mode)
    accounts, securities = index_accounts(drawn), index_securities(drawn)
    for (account, index), note in answer.untraded.items():
        row, security_id = accounts[account], securities[index]
        assert note.words
        assert is_borne_out(drawn, row, security_id, note), (row.account_id, security_id, note)
        bought = [
            trade.side is Side.BUY
            for trade in answer.plans[account].trades
            if trade.security.security_id == security_id
        ]
        assert (note.amount > 0) not in bought
