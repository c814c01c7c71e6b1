"""Orders that may go become blocks: whose, how much, cut into slices, before anything trades."""

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Exists, OuterRef

from portfolios.domain.kinds import Side
from portfolios.domain.money import ZERO
from portfolios.operations.entries import lock_books
from rebalancer import models
from rebalancer.brokers.port import BrokerUnavailable
from rebalancer.domain.blocks import hash_statement
from rebalancer.domain.execution import measure_expected_cost_bps, round_to_tick
from rebalancer.domain.lifecycle import (
    OPEN_ORDER,
    OrderEvent,
    OrderStatus,
    ProposalStatus,
    advance_order,
)
from rebalancer.domain.stops import say_waiting
from rebalancer.operations import gate
from rebalancer.operations.connections import get_broker_kind
from rebalancer.operations.execution.admission import (
    Door,
    drop_lapsed,
    find_reserve,
    fit_to_broker,
    fit_to_cash,
    keep_allowed,
    pass_gate,
)
from rebalancer.operations.execution.brokers import reach_broker
from rebalancer.operations.execution.cutting import cut_block, find_waiting_buys
from rebalancer.operations.execution.facts import Session, TradingDay, load_days, load_sessions
from rebalancer.operations.trail import audit_blocks, audit_orders
from robo.common.builds import this_build

logger = logging.getLogger(__name__)

BATCH_PROPOSALS = 500
ONE = Decimal(1)
SAVED = ["status", "block", "quantity", "reason", "closed_at"]


def form_blocks(*, now: datetime) -> int:
    """Make blocks of every order that may go now; return how many.

    Sells go first, buys once the sells of their proposal are closed. What may go later (market
    closed, halted, stopped) stays as it is; what may never go is cancelled, and with it the rest
    of its account's run.
    """
    count = 0
    for side in (Side.SELL, Side.BUY):
        after: int | None = 0
        while after is not None:
            formed, after = _form_batch(side=side, after=after, now=now)
            count += formed
    return count


@transaction.atomic(durable=True)
def _form_batch(*, side: Side, after: int, now: datetime) -> tuple[int, int | None]:
    """Form the blocks of some proposals; return how many, and the last proposal looked at."""
    orders, last = _claim_orders(side, after)
    if not orders:
        return 0, last
    sessions = load_sessions({order.firm_id for order in orders}, now)
    days = load_days(sessions, now)
    # Another worker may be sending other buys of the same account, or a client taking cash out.
    lock_books(sorted({order.account_id for order in orders}))
    # From here on nobody stops the firm, or connects it to another broker, before we commit.
    gate.hold_switches(firm_ids=sessions)
    doors = _open_doors(days)
    _say_what_waits(orders, sessions, doors)
    closed: list[models.Order] = []
    going = [order for order in orders if order.firm_id in doors]
    going = drop_lapsed(going, days, closed, now)
    going = keep_allowed(going, closed, now)
    ceilings: dict[int, Decimal] = {}
    if side is Side.BUY:
        going, ceilings = fit_to_cash(going, days, closed, now)
    # After the cash, which may leave a part of a share.
    going = fit_to_broker(going, doors, closed, now)
    going = pass_gate(going, days, doors, closed, now)
    blocks = _write_blocks(going, days, doors, ceilings, now)
    models.Order.objects.bulk_update([*going, *closed], SAVED)
    audit_orders(closed)
    return len(blocks), last


def _open_doors(firm_ids: Collection[int]) -> dict[int, Door]:
    """Return the brokers of these firms; of a broker that cannot be reached the orders wait."""
    doors = {}
    for firm_id in sorted(firm_ids):
        kind = get_broker_kind(firm_id)
        try:
            doors[firm_id] = Door(kind, reach_broker(kind, firm_id).abilities)
        except BrokerUnavailable:
            logger.exception("%s of firm %s cannot be reached", kind, firm_id)
    return doors


def _say_what_waits(
    orders: Sequence[models.Order], sessions: Mapping[int, Session], doors: Mapping[int, Door]
) -> None:
    """Write into orders why they have to wait; what is free to go has no such reason any more."""
    waiting = []
    for order in orders:
        order.reason = ""
        if order.firm_id not in doors:
            words = sessions[order.firm_id].wait or "The broker cannot be reached."
            order.reason = say_waiting(words)
            waiting.append(order)
    models.Order.objects.bulk_update(waiting, ["reason"])


def _claim_orders(side: Side, after: int) -> tuple[list[models.Order], int | None]:
    """Lock the next proposals whose orders of a side are due, and these orders.

    Return the orders, and the last proposal; None when there was none.
    """
    mine = models.Order.objects.filter(proposal_id=OuterRef("pk"), side=side)
    proposals = models.Proposal.objects.select_for_update(skip_locked=True).filter(
        this_build(),
        Exists(mine.filter(status=OrderStatus.NEW)),
        status=ProposalStatus.EXECUTING,
        pk__gt=after,
    )
    if side is Side.BUY:
        sells = models.Order.objects.filter(proposal_id=OuterRef("pk"), side=Side.SELL)
        proposals = proposals.exclude(Exists(sells.filter(status__in=OPEN_ORDER)))
    ids = list(proposals.order_by("pk").values_list("pk", flat=True)[:BATCH_PROPOSALS])
    orders = list(
        models.Order.objects.select_for_update(of=["self"])
        .select_related("security", "trade", "proposal__policy", "proposal__decision")
        .filter(proposal_id__in=ids, side=side, status=OrderStatus.NEW)
        .order_by("pk")
    )
    return orders, ids[-1] if ids else None


def _write_blocks(
    orders: Sequence[models.Order],
    days: Mapping[int, TradingDay],
    doors: Mapping[int, Door],
    ceilings: Mapping[int, Decimal],
    now: datetime,
) -> list[models.Block]:
    """Write blocks with statements and slices, and put their orders into them."""
    if not orders:
        return []
    groups: dict[tuple[int, int, str, int], list[models.Order]] = defaultdict(list)
    for order in sorted(orders, key=lambda row: row.client_order_id):
        alone = 0 if doors[order.firm_id].abilities.has_blocks else order.pk
        groups[order.firm_id, order.security_id, order.side, alone].append(order)
    blocks = [
        (_build_block(members, doors[members[0].firm_id], days[members[0].firm_id]), members)
        for _key, members in sorted(groups.items())
    ]
    for block, members in blocks:
        if doors[block.firm_id].abilities.has_limit_orders:
            _set_limit(block, [ceilings.get(o.pk) for o in members], days[block.firm_id])
    waited_for = find_waiting_buys(orders, days)
    slices = [
        row
        for block, members in blocks
        for row in cut_block(
            block,
            days[block.firm_id],
            now,
            share_step=doors[block.firm_id].get_share_step(block.security),
            makes_room=any(order.proposal_id in waited_for for order in members),
        )
    ]
    models.Block.objects.bulk_create(block for block, _members in blocks)
    models.Slice.objects.bulk_create(slices)
    for block, members in blocks:
        for order in members:
            order.status = advance_order(order.status, OrderEvent.CLAIM)
            order.block = block
    made = [block for block, _members in blocks]
    _audit_blocks(made)
    return made


def _build_block(members: Sequence[models.Order], door: Door, day: TradingDay) -> models.Block:
    first = members[0]
    security, side = first.security, Side(first.side)
    quantity = sum((order.quantity for order in members), ZERO)
    block = models.Block(
        firm_id=first.firm_id,
        broker=door.kind,
        takes_allocations=door.abilities.has_blocks,
        security=security,
        side=side,
        quantity=quantity,
        status=advance_order(OrderStatus.NEW, OrderEvent.CLAIM),
        session_date=day.session.session_date,
        statement=[[order.client_order_id, f"{order.quantity:f}"] for order in members],
        arrival_price=day.prices[security.pk],
        expected_cost_bps=measure_expected_cost_bps(
            quantity=quantity,
            half_spread_bps=day.get_half_spread_bps(security),
            daily_volume=security.daily_volume,
            yearly_volatility=security.volatility,
            coefficient=day.costs[security.pk].coefficient if security.pk in day.costs else ONE,
        ),
        reserve_price=find_reserve(first, day),
    )
    block.statement_hash = hash_statement(
        block_public_id=str(block.public_id),
        security_id=security.pk,
        side=side,
        statement=block.statement,
    )
    return block


def _set_limit(block: models.Block, ceilings: Sequence[Decimal | None], day: TradingDay) -> None:
    """Give a block its worst price: the collar, and for buys no more than everybody can pay."""
    limit = gate.build_collar(
        side=Side(block.side), price=block.arrival_price, limits=day.session.limits
    )
    if block.side == Side.BUY:
        payable = min(ceiling for ceiling in ceilings if ceiling is not None)
        limit = min(limit, round_to_tick(payable, up=False))
        # What was set aside suffices for this much, whatever the roundings on the way.
        limit = block.reserve_price = max(limit, block.reserve_price)
    block.limit_price = limit


def _audit_blocks(blocks: Sequence[models.Block]) -> None:
    """Record who takes part in each block before any of it trades."""
    audit_blocks(
        [
            (
                block,
                f"{block.side.title()} {block.quantity.normalize():f} {block.security.symbol} "
                f"for {len(block.statement)} accounts as one",
                {
                    "broker": block.broker,
                    "strategy": block.strategy,
                    "plan_note": block.plan_note,
                    "expected_cost_bps": str(block.expected_cost_bps),
                },
            )
            for block in blocks
        ],
        event="formed",
    )
