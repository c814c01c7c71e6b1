"""On the paper exchange's market, spreading a large order costs less and risks more, as it should.

Prices move at random between slices, the same moves for every strategy; seeded, so it repeats.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from statistics import fmean, pvariance

from portfolios.domain.kinds import Side
from rebalancer.brokers.paper.market import Quote, fade_pressure, measure_part_price
from rebalancer.domain.kinds import SliceStrategy
from rebalancer.domain.slicing import Market, SlicePlan, Spreading, choose_strategy, plan_slices

D = Decimal
PRICE, VOLUME, VOLATILITY, SPREAD = D(50), D(1_000_000), D("0.02"), D(5)
QUANTITY = VOLUME / 5
START = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
SESSION = timedelta(hours=6, minutes=30)
INTERVALS, DAYS = 26, 120


def cut(strategy: SliceStrategy, risk_aversion: float = 1e-5) -> Sequence[SlicePlan]:
    choice = choose_strategy(
        quantity=QUANTITY,
        wanted=Spreading(strategy, D("0.01"), D(1), risk_aversion),
        market=Market(PRICE, SPREAD, VOLUME, VOLATILITY),
        elapsed=0,
    )
    return plan_slices(
        quantity=QUANTITY,
        share_step=D(1),
        strategy=choice.strategy,
        start=START,
        end=START + SESSION,
        terms=choice.terms,
    )


def trade(plans: Sequence[SlicePlan], path: Sequence[Decimal]) -> float:
    """Return what buying along a schedule cost on a day, bps against the price at its start."""
    pressure, last, paid = D(0), 0, D(0)
    for plan in plans:
        tick = int((plan.due_at - START) / SESSION * INTERVALS + 0.5)
        pressure = fade_pressure(pressure, tick - last)
        quote = Quote(Side.BUY, path[tick], SPREAD, VOLUME, VOLATILITY)
        paid += plan.quantity * measure_part_price(
            quote=quote, pressure=pressure, quantity=plan.quantity
        )
        pressure, last = pressure + plan.quantity, tick
    return float((paid / QUANTITY / PRICE - 1) * 10_000)


def draw_days(seed: int) -> list[list[Decimal]]:
    """Return price paths of many days; each comes with its mirror, so that drift cancels out."""
    dice, days = Random(seed), []
    for _ in range(DAYS // 2):
        moves = [dice.gauss(0, float(VOLATILITY) / INTERVALS**0.5) for _ in range(INTERVALS)]
        for sign in (1, -1):
            path = [PRICE]
            for move in moves:
                path.append(path[-1] + PRICE * D(repr(sign * move)))
            days.append(path)
    return days


def test_spreading_a_fifth_of_a_days_volume_costs_less_and_risks_more():
    days = draw_days(2026)
    costs = {strategy: [trade(cut(strategy), path) for path in days] for strategy in SliceStrategy}
    mean = {strategy: fmean(values) for strategy, values in costs.items()}
    risk = {strategy: pvariance(values) for strategy, values in costs.items()}
    at_once, schedule = SliceStrategy.AT_ONCE, SliceStrategy.SCHEDULE
    # 5 bps of spread and 200 sqrt(0.2) = 89 bps of impact, without any doubt.
    assert abs(mean[at_once] - 94.4) < 0.2
    assert risk[at_once] < 1e-6
    for strategy in (SliceStrategy.TWAP, SliceStrategy.VWAP, schedule):
        assert mean[strategy] < mean[at_once] - 10
    # The schedule by risk trades early: it pays more impact than the even one, and risks less.
    assert risk[at_once] < risk[schedule] < risk[SliceStrategy.TWAP]
    assert mean[schedule] > mean[SliceStrategy.TWAP]


def test_the_more_one_fears_the_more_is_traded_early():
    days = draw_days(7)
    risks, costs = [], []
    for risk_aversion in (0.0, 1e-5, 1e-4):
        values = [trade(cut(SliceStrategy.SCHEDULE, risk_aversion), path) for path in days]
        risks.append(pvariance(values))
        costs.append(fmean(values))
    assert risks == sorted(risks, reverse=True)
    assert costs == sorted(costs)
