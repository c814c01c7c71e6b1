"""A block is cut into slices: how, by the firm's limits, and when each of them is due."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from portfolios.domain.kinds import Side
from portfolios.domain.money import ZERO
from rebalancer import models
from rebalancer.domain.blocks import make_slice_id
from rebalancer.domain.execution import measure_daily_volatility
from rebalancer.domain.kinds import SliceStrategy
from rebalancer.domain.lifecycle import OrderStatus
from rebalancer.domain.limits import Limits
from rebalancer.domain.slicing import (
    Choice,
    Market,
    Spreading,
    choose_strategy,
    plan_slices,
)
from rebalancer.operations.execution.facts import TradingDay

MILLIONTH = 1e-6
NOTE_LENGTH_MAX = 200
# A simulated market has one price a day and no hours: a day of the usual length, all due at once.
SIMULATED_SESSION = timedelta(hours=6, minutes=30)


def find_waiting_buys(orders: Sequence[models.Order], days: Mapping[int, TradingDay]) -> set[int]:
    """Return the proposals whose buys wait for these sales, where a firm spreads its blocks."""
    asked = {
        order.proposal_id
        for order in orders
        if order.side == Side.SELL
        and days[order.firm_id].session.limits.slice_strategy != SliceStrategy.AT_ONCE
    }
    if not asked:
        return set()
    waiting = models.Order.objects.filter(
        proposal_id__in=asked, side=Side.BUY, status=OrderStatus.NEW
    )
    return set(waiting.values_list("proposal_id", flat=True))


def cut_block(
    block: models.Block,
    day: TradingDay,
    now: datetime,
    *,
    share_step: Decimal,
    makes_room: bool,
) -> list[models.Slice]:
    """Return the slices of a block that is about to be stored, and write into it how it was cut.

    `share_step` is the smallest part of a share that its broker trades.
    One that `makes_room` ends halfway through what is left of the day: buys wait for it, which
    want their time as well.
    """
    hours, limits = day.session.hours, day.session.limits
    elapsed, until, end = 0.0, 1.0, now + SIMULATED_SESSION
    if hours is not None:
        opens, closes = hours
        # Nothing is sent in the last minutes of a session, so nothing is due there either.
        end = max(closes - timedelta(minutes=limits.close_minutes), now)
        end = now + (end - now) / 2 if makes_room else end
        elapsed = (now - opens) / (closes - opens)
        until = (end - opens) / (closes - opens)
    choice = _choose(block, day, limits, elapsed, until)
    plans = plan_slices(
        quantity=block.quantity,
        share_step=share_step,
        strategy=choice.strategy,
        start=now,
        end=end,
        terms=choice.terms,
    )
    rest, note = block.quantity - sum((plan.quantity for plan in plans), ZERO), choice.note
    if choice.strategy is not SliceStrategy.AT_ONCE and len(plans) == 1 and not rest:
        choice = Choice(SliceStrategy.AT_ONCE, "")
        note = "Whole: too little of the session is left to spread it."
    block.strategy = choice.strategy
    block.plan_note = f"{note}{_say_rest(rest, limits)}"[:NOTE_LENGTH_MAX]
    return [
        models.Slice(
            block=block,
            number=number,
            client_order_id=make_slice_id(str(block.public_id), number),
            quantity=plan.quantity,
            limit_price=block.limit_price,
            due_at=plan.due_at if hours is not None else now,
        )
        for number, plan in enumerate(plans, start=1)
    ]


def _choose(
    block: models.Block, day: TradingDay, limits: Limits, elapsed: float, until: float
) -> Choice:
    security = block.security
    if not 0 <= elapsed < until <= 1:
        return Choice(SliceStrategy.AT_ONCE, "Whole: the session is all but over.")
    return choose_strategy(
        quantity=block.quantity,
        wanted=Spreading(
            strategy=SliceStrategy(limits.slice_strategy),
            share_min=limits.slice_share_min,
            participation_max=limits.participation_max,
            risk_aversion=float(limits.risk_aversion) * MILLIONTH,
        ),
        market=Market(
            price=block.arrival_price,
            half_spread_bps=day.get_half_spread_bps(security),
            daily_volume=security.daily_volume,
            daily_volatility=measure_daily_volatility(security.volatility),
        ),
        elapsed=elapsed,
        until=until,
    )


def _say_rest(rest: Decimal, limits: Limits) -> str:
    if not rest:
        return ""
    share = f"{(limits.participation_max * 100).normalize():f} %"
    return f" {rest.normalize():f} are left out today: more than {share} of the market."
