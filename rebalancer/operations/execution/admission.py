"""Which orders may go now, and how much of them: the last look before they become blocks."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING

from django.db.models import F

from portfolios.domain.kinds import Side
from portfolios.domain.money import QUANTITY_STEP, ZERO, floor_to_step
from portfolios.queries.corporate_actions import SAID, load_actions
from rebalancer import models
from rebalancer.brokers.port import Abilities
from rebalancer.domain.execution import measure_fill_price, round_to_tick
from rebalancer.domain.kinds import BrokerKind
from rebalancer.domain.lifecycle import OrderEvent, OrderStatus
from rebalancer.domain.limits import OrderFacts, RefusalCode
from rebalancer.domain.stops import say_waiting
from rebalancer.operations import gate
from rebalancer.operations.consents import find_missing
from rebalancer.operations.execution.completing import close_orders
from rebalancer.operations.execution.facts import TradingDay, load_free_cash

if TYPE_CHECKING:
    from portfolios.models import Security

# A long weekend, and the settlement of what the sales bring, lie within.
RUN_AGE_MAX = timedelta(days=5)


@dataclass(frozen=True, slots=True)
class Door:
    """The broker of a firm: which, and what it can do."""

    kind: BrokerKind
    abilities: Abilities

    def get_share_step(self, security: "Security") -> Decimal:
        """Return the smallest part of a security that the broker trades."""
        step: Decimal = security.share_step
        return step if self.abilities.has_fractions else max(step, Decimal(1))


def drop_lapsed(
    orders: Sequence[models.Order],
    days: Mapping[int, TradingDay],
    closed: list[models.Order],
    now: datetime,
) -> list[models.Order]:
    """Cancel what waits of plans that are no longer what was approved."""
    security_ids = sorted({order.security_id for order in orders})
    actions = load_actions(security_ids=security_ids, statuses=SAID)
    lotless = _find_lotless(orders)
    lapsed: dict[int, str] = {}
    for order in orders:
        acted = [
            action
            for action in actions.get(order.security_id, ())
            if order.proposal.price_date
            < action.effective_date
            <= days[order.firm_id].session.session_date
        ]
        is_other = bool(acted) or order.trade_id in lotless
        words = _find_lapse(order, days[order.firm_id], now, is_other=is_other)
        if words:
            lapsed.setdefault(order.proposal_id, words)
    return _cancel_runs(orders, lapsed, closed, now)


def keep_allowed(
    orders: Sequence[models.Order], closed: list[models.Order], now: datetime
) -> list[models.Order]:
    """Return the orders that the client's word covers at this moment; the others wait, and say why.

    A mandate may have ended, or a text been replaced, between two orders of the same proposal.
    Those that wait longer than their approval holds are cancelled.
    """
    proposals = {order.proposal_id: order.proposal for order in orders}
    missing = find_missing(list(proposals.values()), now=now)
    late = {
        row.pk: f"Not sent in time: {' '.join(missing[row.pk])}"[:300]
        for row in proposals.values()
        if missing[row.pk] and now >= row.expires_at
    }
    orders = _cancel_runs(orders, late, closed, now)
    waiting = [order for order in orders if missing[order.proposal_id]]
    for order in waiting:
        order.reason = say_waiting(" ".join(missing[order.proposal_id]))
    models.Order.objects.bulk_update(waiting, ["reason"])
    return [order for order in orders if not missing[order.proposal_id]]


def _find_lotless(orders: Sequence[models.Order]) -> set[int]:
    """Return the sales whose lots hold less than was approved: an adjustment came between."""
    sales = [order.trade_id for order in orders if order.side == Side.SELL]
    if not sales:
        return set()
    picked = models.TradeLot.objects.filter(trade__in=sales, lot__quantity__lt=F("quantity"))
    return set(picked.values_list("trade_id", flat=True))


def _find_lapse(order: models.Order, day: TradingDay, now: datetime, *, is_other: bool) -> str:
    price, symbol = day.prices.get(order.security_id), order.security.symbol
    proposal = order.proposal
    held = max(timedelta(hours=proposal.policy.approval_hours_max), RUN_AGE_MAX)
    if now - proposal.decision.decided_at > held:
        return f"The approval is more than {held.days} days old."
    if price is None:
        return f"There was no usable price of {symbol} when it was to be sent."
    if is_other:
        return f"The shares of {symbol} are no longer what they were when this was approved."
    moved = price / order.trade.price - 1
    if abs(moved) > proposal.policy.price_tolerance:
        return f"{symbol} moved {moved:+.1%} since this was planned."
    return ""


def _cancel_runs(
    orders: Sequence[models.Order],
    reasons: Mapping[int, str],
    closed: list[models.Order],
    now: datetime,
    also: Sequence[models.Order] = (),
) -> list[models.Order]:
    """Cancel whatever waits of these proposals, whose rows are locked.

    Return the orders of the others; `also` are orders at hand that stay as they are otherwise.
    """
    if not reasons:
        return list(orders)
    known = [*orders, *also]
    rest = (
        models.Order.objects.select_for_update(of=["self"])
        .select_related("security")
        .filter(proposal_id__in=reasons, status=OrderStatus.NEW)
        .exclude(pk__in=[order.pk for order in known])
        .order_by("pk")
    )
    for order in [*(row for row in known if row.proposal_id in reasons), *rest]:
        close_orders([order], OrderEvent.CANCEL, now, reasons[order.proposal_id])
        closed.append(order)
    return [order for order in orders if order.proposal_id not in reasons]


def fit_to_broker(
    orders: Sequence[models.Order],
    doors: Mapping[int, Door],
    closed: list[models.Order],
    now: datetime,
) -> list[models.Order]:
    """Cut orders to whole shares where the broker trades no others."""
    going = []
    for order in orders:
        whole = order.quantity.to_integral_value(ROUND_FLOOR)
        if doors[order.firm_id].abilities.has_fractions or whole == order.quantity:
            going.append(order)
        elif whole:
            order.reason = (
                f"Cut from {order.quantity.normalize():f} to {whole:f}: "
                "the broker trades whole shares only."
            )
            order.quantity = whole.quantize(QUANTITY_STEP)
            going.append(order)
        else:
            words = "Less than a share, and the broker trades whole shares only."
            close_orders([order], OrderEvent.CANCEL, now, words)
            closed.append(order)
    return going


def fit_to_cash(
    orders: Sequence[models.Order],
    days: Mapping[int, TradingDay],
    closed: list[models.Order],
    now: datetime,
) -> tuple[list[models.Order], dict[int, Decimal]]:
    """Cut buys to the cash that is there; what is left of nothing is cancelled.

    Return what is left, and the most that a share of each order may cost: an account's cash is
    spread evenly over its buys, so that whatever their prices up to there, none is overdrawn.
    """
    if not orders:
        return [], {}
    cash, going = load_free_cash(orders, days), []
    wanted: dict[int, Decimal] = defaultdict(Decimal)
    for order in orders:
        price = find_reserve(order, days[order.firm_id])
        left = max(cash[order.account_id] - wanted[order.account_id], ZERO)
        quantity = order.quantity
        if quantity * price > left:
            quantity = floor_to_step(left / price, order.security.share_step)
        if quantity <= 0:
            words = "The sales brought too little cash to buy any."
            close_orders([order], OrderEvent.CANCEL, now, words)
            closed.append(order)
            continue
        if quantity < order.quantity:
            order.reason = (
                f"Cut from {order.quantity.normalize():f} to {quantity.normalize():f}: "
                "there is less cash than was planned."
            )
            order.quantity = quantity
        wanted[order.account_id] += quantity * price
        going.append(order)
    ceilings = {
        order.pk: find_reserve(order, days[order.firm_id])
        * (cash[order.account_id] / wanted[order.account_id])
        for order in going
    }
    return going, ceilings


def find_reserve(order: models.Order, day: TradingDay) -> Decimal:
    """Return what must at least be set aside for a share; in ticks, as a limit has to be."""
    price = measure_fill_price(
        side=Side(order.side),
        price=day.prices[order.security_id],
        half_spread_bps=day.get_half_spread_bps(order.security),
    )
    return round_to_tick(price, up=True)


def pass_gate(
    orders: Sequence[models.Order],
    days: Mapping[int, TradingDay],
    doors: Mapping[int, Door],
    closed: list[models.Order],
    now: datetime,
) -> list[models.Order]:
    """Ask the gate; what it refuses for good is cancelled with all that waits of its proposal."""
    refusals = gate.check_orders(
        orders=[
            _describe(order, days[order.firm_id], doors[order.firm_id].kind) for order in orders
        ],
        now=now,
    )
    final: dict[int, str] = {}
    for order in orders:
        refusal = refusals.get(order.pk)
        if refusal is None or not refusal.is_final:
            continue
        # The sentence of the culprit, rather than "held back with the rest".
        if refusal.code is not RefusalCode.RUN or order.proposal_id not in final:
            final[order.proposal_id] = refusal.sentence
    going = [order for order in orders if order.pk not in refusals]
    waiting = [order for order in orders if order.pk in refusals]
    going = _cancel_runs(going, final, closed, now, also=waiting)
    for order in waiting:
        if order.proposal_id not in final:
            order.reason = say_waiting(refusals[order.pk].sentence)
    # Nothing else of them: what was cut for today's cash is cut anew when they go.
    models.Order.objects.bulk_update(
        [order for order in waiting if order.proposal_id not in final], ["reason"]
    )
    return going


def _describe(order: models.Order, day: TradingDay, kind: BrokerKind) -> OrderFacts:
    return OrderFacts(
        order_id=order.pk,
        firm_id=order.firm_id,
        account_id=order.account_id,
        proposal_id=order.proposal_id,
        security_id=order.security_id,
        symbol=order.security.symbol,
        side=Side(order.side),
        quantity=order.quantity,
        price=day.prices[order.security_id],
        half_spread_bps=order.security.half_spread_bps,
        daily_volume=order.security.daily_volume,
        broker=kind,
    )
