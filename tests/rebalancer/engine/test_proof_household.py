"""Properties of the whole engine on random households with every limit on at once.

`EVENKEEL_PROOFS=10000` proves as many; by default some hundreds, which take seconds.
"""

import os
import random
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest

from accounts.domain.roles import TaxStatus
from portfolios.domain.kinds import Side
from rebalancer.domain.kinds import Destination, DriftMeasure, Mode
from rebalancer.domain.plan import PlanRefused
from rebalancer.engine.answer import Answer
from rebalancer.engine.answering import solve_household
from rebalancer.engine.book import EXCLUDED, LotRow
from tests.rebalancer.engine.proof_checks import list_faults
from tests.rebalancer.engine.proof_households import TODAY, Drawn, draw

PROOFS = int(os.environ.get("EVENKEEL_PROOFS", "200"))
D = Decimal


def solve(drawn: Drawn) -> Answer:
    return solve_household(drawn.build(), 0, mode=drawn.mode)


def list_trades(drawn: Drawn, answer: Answer) -> dict[tuple[int, str], Decimal]:
    """Return signed quantities by account id and symbol."""
    ids = sorted(row.account_id for row in drawn.accounts)
    return {
        (ids[index], trade.security.symbol): trade.quantity * (1 if trade.side is Side.BUY else -1)
        for index, plan in answer.plans.items()
        for trade in plan.trades
    }


def test_every_household_gets_a_plan_that_keeps_every_promise_or_a_named_conflict():
    """A wish that cannot be met is named; nothing else fails, and no promise is broken."""
    figures: Counter[str] = Counter()
    faults = []
    for seed in range(PROOFS):
        drawn = draw(seed)
        try:
            answer = solve(drawn)
        except PlanRefused as error:
            faults.append(f"{seed}: refused: {error}")
            continue
        figures["conflicts" if answer.conflict else "plans"] += 1
        figures["trades"] += sum(len(plan.trades) for plan in answer.plans.values())
        faults += [f"{seed}: {fault}" for fault in list_faults(drawn, answer)]
    assert not faults, "\n".join(faults[:40])
    assert figures["plans"] + figures["conflicts"] == PROOFS
    assert figures["plans"] > PROOFS / 2, figures
    assert figures["trades"] > PROOFS, figures


@pytest.mark.parametrize("seed", range(0, 60, 2))
def test_the_order_of_rows_changes_nothing(seed):
    drawn = draw(seed)
    dice = random.Random(seed)
    shuffled = replace(
        drawn,
        **{
            name: tuple(dice.sample(getattr(drawn, name), len(getattr(drawn, name))))
            for name in ("securities", "models", "policies", "lots", "locks", "recent_trades")
        },
        accounts=tuple(dice.sample(drawn.accounts, len(drawn.accounts))),
    )
    first, second = solve(drawn), solve(shuffled)
    assert list_trades(drawn, first) == list_trades(drawn, second)
    assert first.certificate == second.certificate
    assert first.conflict == second.conflict


def scale(drawn: Drawn, factor: int) -> Drawn:
    """Return the same household with `factor` times as much of everything that is money."""
    return replace(
        drawn,
        securities=tuple(
            replace(
                row,
                share_step=row.share_step * factor,
                daily_volume=None if row.daily_volume is None else row.daily_volume * factor,
            )
            for row in drawn.securities
        ),
        policies=tuple(
            replace(
                row,
                min_trade_amount=row.min_trade_amount * factor,
                cash_floor_amount=row.cash_floor_amount * factor,
                ticket_price=row.ticket_price * factor,
                commission_fixed=row.commission_fixed * factor,
                harvest_benefit_min=row.harvest_benefit_min * factor,
            )
            for row in drawn.policies
        ),
        household=replace(
            drawn.household,
            loss_cap=D(3000) * factor,
            **{
                name: getattr(drawn.household, name) * factor
                for name in (
                    "year_short_gain",
                    "year_long_gain",
                    "carried_short_loss",
                    "carried_long_loss",
                )
            },
        ),
        accounts=tuple(
            replace(row, cash=row.cash * factor, need_amount=row.need_amount * factor)
            for row in drawn.accounts
        ),
        lots=tuple(
            replace(row, quantity=row.quantity * factor, cost=row.cost * factor)
            for row in drawn.lots
        ),
    )


@pytest.mark.parametrize("seed", range(1, 60, 3))
def test_twice_the_money_trades_twice_as_much(seed):
    """Steps grow along, so that the scaled household is the same one in another unit."""
    drawn = draw(seed)
    drawn = replace(
        drawn,
        household=replace(drawn.household, loss_cap=D(3000), gains_budget=None),
        policies=tuple(
            replace(row, turnover_max=None, transition_years=0) for row in drawn.policies
        ),
    )
    one, two = solve(drawn), solve(scale(drawn, 2))
    single, double = one.certificate.plan.total, two.certificate.plan.total
    assert double == pytest.approx(2 * single, rel=1e-3, abs=1e-3 * one.certificate.value + 1)
    assert two.certificate.nothing.total == pytest.approx(2 * one.certificate.nothing.total)


def execute(drawn: Drawn, answer: Answer) -> Drawn:
    """Return the household after its plans were filled as promised, the next look at once."""
    ids = sorted(row.account_id for row in drawn.accounts)
    plans = {ids[index]: plan for index, plan in answer.plans.items()}
    sold = {lot.lot_id: lot for p in plans.values() for t in p.trades for lot in t.lots}
    lots = [
        replace(
            row,
            quantity=row.quantity - sold[row.lot_id].quantity,
            cost=row.cost - sold[row.lot_id].cost,
        )
        if row.lot_id in sold
        else row
        for row in drawn.lots
    ]
    bought = [
        LotRow(
            account,
            10_000 + number,
            trade.security.security_id,
            trade.quantity,
            trade.amount,
            TODAY,
        )
        for account, plan in plans.items()
        for number, trade in enumerate(plan.trades, start=account * 100)
        if trade.side is Side.BUY
    ]
    return replace(
        drawn,
        lots=tuple(row for row in [*lots, *bought] if row.quantity > 0),
        accounts=tuple(
            replace(row, cash=plans[row.account_id].cash_after) if row.account_id in plans else row
            for row in drawn.accounts
        ),
    )


def simplify(drawn: Drawn, mode: Mode | None, **terms: object) -> Drawn:
    """Return the household without limits that a plan of its own changes: untaxed, to target."""
    plain = {
        "destination": Destination.TARGET,
        "drift_measure": DriftMeasure.WEIGHT,
        "turnover_max": None,
        "caps": (),
        "harvests_losses": False,
        **terms,
    }
    return replace(
        drawn,
        # Impact rewards trading in two halves, and one huge step hides better plans from a search.
        securities=tuple(
            replace(row, daily_volume=None, share_step=min(row.share_step, D(1)))
            for row in drawn.securities
        ),
        policies=tuple(replace(row, **plain) for row in drawn.policies),
        accounts=tuple(
            replace(row, is_frozen=False, need_amount=D(0), tax_status=TaxStatus.TAX_FREE)
            for row in drawn.accounts
        ),
        locks=tuple(row for row in drawn.locks if row.code != EXCLUDED),
        household=replace(drawn.household, is_together=False, gains_budget=None),
        recent_trades=(),
        mode=mode,
    )


@pytest.mark.parametrize("seed", range(2, 80, 3))
def test_a_second_look_at_the_same_prices_trades_nothing(seed):
    drawn = simplify(draw(seed), Mode.FULL)
    after = execute(drawn, solve(drawn))
    answer = solve(after)
    left = sum(
        float(t.quantity * drawn.price(t.security.security_id))
        for plan in answer.plans.values()
        for t in plan.trades
    )
    # What is left is the rounding of the first look: never more than its steps.
    steps = sum(float(row.share_step * drawn.price(row.security_id)) for row in drawn.securities)
    most = 2 * steps * len(drawn.accounts) + 1e-3 * answer.certificate.value
    assert left <= most, list_trades(after, answer)
    assert answer.certificate.gain <= 1e-3 * answer.certificate.value + steps


@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_looser_limits_never_cost_more(seed):
    """A plan under a limit is also a plan without it: costs fall, and so does the bound."""
    drawn = simplify(draw(seed), Mode.FULL)
    tight = replace(
        drawn, policies=tuple(replace(row, turnover_max=D("0.03")) for row in drawn.policies)
    )
    loose = replace(
        drawn, policies=tuple(replace(row, turnover_max=D("0.30")) for row in drawn.policies)
    )
    first, second, third = solve(tight), solve(loose), solve(drawn)
    slack = 2e-5 * first.certificate.value + 1
    assert second.certificate.plan.total <= first.certificate.plan.total + slack
    assert third.certificate.plan.total <= second.certificate.plan.total + slack


@pytest.mark.parametrize("seed", range(1, 60, 3))
def test_dearer_trading_never_trades_for_less(seed):
    """With commission on top no plan costs less than the best one without."""
    drawn = simplify(draw(seed), Mode.FULL, commission_bps=D(0), commission_fixed=D(0))
    dear = replace(
        drawn, policies=tuple(replace(row, commission_bps=D(25)) for row in drawn.policies)
    )
    cheap_answer, dear_answer = solve(drawn), solve(dear)
    slack = 2e-5 * cheap_answer.certificate.value + 1
    assert dear_answer.certificate.plan.total >= cheap_answer.certificate.plan.total - slack
