"""Slices that are due go to their broker, each under one id whatever happens.

A sender marks a slice SUBMITTING with a lease before it calls, and renews the lease right before
the call: only if it still holds it, so that what was released meanwhile is never sent by a slow
sender. (A bound on the batch would not do: a process may stand still for longer than any lease.)
A call lasts at most `CALL_SECONDS_MAX`, half a lease, so nobody releases what is being sent.
Leases count by the database's clock, which all workers share.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from portfolios.domain.kinds import Side
from portfolios.queries.halts import get_halt_reasons
from rebalancer import models
from rebalancer.brokers.port import Broker, BrokerOrder, OrderTicket
from rebalancer.domain.execution import measure_daily_volatility
from rebalancer.domain.kinds import BrokerKind
from rebalancer.domain.lifecycle import OPEN_ORDER, OrderEvent, OrderStatus, advance_slice
from rebalancer.operations import gate
from rebalancer.operations.consents import find_missing
from rebalancer.operations.execution.brokers import name_account, reach_broker
from rebalancer.operations.execution.dissolving import dissolve_blocks
from rebalancer.operations.execution.facts import Session, load_sessions
from rebalancer.operations.execution.reports import record_answers
from rebalancer.operations.execution.sessions import end_blocks
from robo.common.builds import this_build

logger = logging.getLogger(__name__)

CALL_SECONDS_MAX = 30
LEASE = timedelta(seconds=2 * CALL_SECONDS_MAX)
BATCH_SLICES = 50
PARTED = "Not all of its accounts may trade any more: what was traded until then is shared out."


@dataclass(frozen=True, slots=True)
class Sending:
    """A claimed slice, and what to send of it."""

    slice_id: int
    attempt: int
    kind: BrokerKind
    firm_id: int
    ticket: OrderTicket


@dataclass(frozen=True, slots=True)
class _Claim:
    going: list[Sending]
    # Blocks of which only some accounts may trade any more: taken apart where nothing was sent
    # yet, ended where something was.
    apart: list[int]
    ended: list[int]
    last: int | None


def send_slices(*, now: datetime) -> int:
    """Send every slice that is due and may go; return how many the broker answered."""
    answered = 0
    after: int | None = 0
    brokers: dict[tuple[BrokerKind, int], Broker | None] = {}
    while after is not None:
        claim = _claim(after=after, now=now)
        after = claim.last
        if claim.apart:
            dissolve_blocks(claim.apart, now=now)
        if claim.ended:
            end_blocks(claim.ended, now=now, reason=PARTED)
        for kind, answers in _send_batch(claim.going, brokers).items():
            record_answers(answers, broker=kind, now=now)
            answered += len(answers)
    return answered


def _send_batch(
    items: Sequence[Sending], brokers: dict[tuple[BrokerKind, int], Broker | None]
) -> dict[BrokerKind, dict[str, BrokerOrder]]:
    """Call the broker for each slice; one that does not answer is not asked again in this pass."""
    answers: dict[BrokerKind, dict[str, BrokerOrder]] = defaultdict(dict)
    for item in items:
        key = item.kind, item.firm_id
        if key not in brokers:
            brokers[key] = _reach(*key)
        broker = brokers[key]
        if broker is None:
            _give_back(item)
        elif _renew_lease(item):
            try:
                answers[item.kind][item.ticket.client_order_id] = broker.submit(item.ticket)
            except Exception:  # a broken adapter is as silent as its broker: others go on
                # The outcome is unknown: it stays SUBMITTING until the broker was asked.
                logger.exception("slice %s: no answer", item.ticket.client_order_id)
                brokers[key] = None
    return answers


def _reach(kind: BrokerKind, firm_id: int) -> Broker | None:
    try:
        return reach_broker(kind, firm_id)
    except Exception:  # a broken adapter is as silent as its broker: others go on
        logger.exception("%s of firm %s cannot be reached", kind, firm_id)
        return None


@transaction.atomic(durable=True)
def _renew_lease(item: Sending) -> bool:
    """Return whether the slice is still ours, and nothing was stopped since it was claimed."""
    row = models.Slice.objects.select_related("block").get(pk=item.slice_id)
    switches = gate.hold_switches(firm_ids=[item.firm_id])
    account_ids = models.Order.objects.filter(block_id=row.block_id).values_list(
        "account_id", flat=True
    )
    if row.block.stop_reason or _is_stopped(switches, row.block, account_ids):
        _release(item)
        return False
    mine = models.Slice.objects.filter(
        this_build(),
        pk=item.slice_id,
        attempt_count=item.attempt,
        status=OrderStatus.SUBMITTING,
        lease_until__gt=Now(),
    )
    return bool(mine.update(lease_until=Now() + LEASE))


@transaction.atomic(durable=True)
def _give_back(item: Sending) -> None:
    """Release a slice that was claimed and not sent."""
    _release(item)


def _release(item: Sending) -> None:
    models.Slice.objects.filter(
        pk=item.slice_id, attempt_count=item.attempt, status=OrderStatus.SUBMITTING
    ).update(
        status=advance_slice(OrderStatus.SUBMITTING, OrderEvent.RELEASE),
        attempt_count=F("attempt_count") - 1,
        lease_until=None,
    )


@transaction.atomic(durable=True)
def _claim(*, after: int, now: datetime) -> _Claim:
    """Mark a batch of slices as being sent; return them, and the last slice looked at."""
    rows = list(
        models.Slice.objects.select_for_update(skip_locked=True, of=["self"])
        .select_related("block__security")
        .filter(
            this_build(),
            status=OrderStatus.NEW,
            due_at__lte=now,
            block__status__in=OPEN_ORDER,
            block__stop_reason="",
            pk__gt=after,
        )
        .order_by("pk")[:BATCH_SLICES]
    )
    if not rows:
        return _Claim([], [], [], None)
    sessions = load_sessions({row.block.firm_id for row in rows}, now)
    halts = get_halt_reasons(security_ids={row.block.security_id for row in rows}, now=now)
    open_now = [
        row
        for row in rows
        if not sessions[row.block.firm_id].wait
        and row.block.session_date == sessions[row.block.firm_id].session_date
        and row.block.security_id not in halts
    ]
    free, apart, ended = _drop_stopped(_take_turns(open_now, sessions), now)
    going = _take_rate(free, now)
    for row in going:
        row.status = advance_slice(row.status, OrderEvent.CLAIM)
        row.attempt_count += 1
    models.Slice.objects.bulk_update(going, ["status", "attempt_count"])
    models.Slice.objects.filter(pk__in=[row.pk for row in going]).update(lease_until=Now() + LEASE)
    accounts = _name_accounts(going)
    return _Claim([_build_sending(row, accounts) for row in going], apart, ended, rows[-1].pk)


def _take_turns(
    rows: Sequence[models.Slice], sessions: Mapping[int, Session]
) -> list[models.Slice]:
    """Return one slice of each block: after a halt, what is overdue does not go all at once.

    In a simulated market no time passes between slices, so all of them go.
    """
    seen: set[int] = set()
    going = []
    for row in rows:
        if sessions[row.block.firm_id].hours is None or row.block_id not in seen:
            going.append(row)
        seen.add(row.block_id)
    return going


def _drop_stopped(
    rows: Sequence[models.Slice], now: datetime
) -> tuple[list[models.Slice], list[int], list[int]]:
    """Return the slices whose accounts may all trade, and the blocks where only some may.

    First those of which nothing was sent, then those of which something was: there the statement
    binds, so that the block has to end for all. Where no account may trade, a block waits.
    """
    if not rows:
        return [], [], []
    switches = gate.hold_switches(firm_ids={row.block.firm_id for row in rows})
    members = _list_members(rows)
    unwished = _find_unwished(rows, now)
    going, parted = [], []
    for row in rows:
        stopped = sum(
            order_id in unwished or _is_stopped(switches, row.block, [account_id])
            for order_id, account_id in members[row.block_id]
        )
        if not stopped:
            going.append(row)
        elif stopped < len(members[row.block_id]):
            parted.append(row.block_id)
    begun = set(
        models.Slice.objects.filter(block_id__in=parted, attempt_count__gt=0).values_list(
            "block_id", flat=True
        )
    )
    return going, sorted(set(parted) - begun), sorted(begun)


def _list_members(rows: Sequence[models.Slice]) -> Mapping[int, list[tuple[int, int]]]:
    """Return the orders of each slice's block, with their accounts."""
    members: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for block_id, order_id, account_id in models.Order.objects.filter(
        block_id__in={row.block_id for row in rows}
    ).values_list("block_id", "id", "account_id"):
        members[block_id].append((order_id, account_id))
    return members


def _find_unwished(rows: Sequence[models.Slice], now: datetime) -> set[int]:
    """Return the orders that their clients' word no longer covers, of blocks formed a while ago.

    It was asked for when a block was formed: a first slice that goes at once needs no more.
    """
    older = {row.block_id for row in rows if row.number > 1 or row.due_at < now - LEASE}
    if not older:
        return set()
    orders = dict(models.Order.objects.filter(block_id__in=older).values_list("pk", "proposal_id"))
    proposals = models.Proposal.objects.filter(pk__in=set(orders.values())).only(
        "account", "content_hash", "created_at", "value", "turnover_amount"
    )
    missing = find_missing(list(proposals), now=now)
    return {order_id for order_id, proposal_id in orders.items() if missing[proposal_id]}


def _is_stopped(switches: gate.Switches, block: models.Block, account_ids: Iterable[int]) -> bool:
    """Return whether a switch stops any of these accounts from trading a block."""
    return any(
        switches.find_stop(block.firm_id, account_id, block.security_id, block.broker)
        for account_id in account_ids
    )


def _take_rate(rows: Sequence[models.Slice], now: datetime) -> list[models.Slice]:
    """Return as many slices of each firm as may still go in this minute."""
    by_firm: dict[int, list[models.Slice]] = defaultdict(list)
    for row in rows:
        by_firm[row.block.firm_id].append(row)
    return [
        row
        for firm_id, wanted in sorted(by_firm.items())
        for row in wanted[: gate.take_rate(firm_id=firm_id, now=now, wanted=len(wanted))]
    ]


def _name_accounts(rows: Sequence[models.Slice]) -> Mapping[int, str]:
    """Return the broker's number of each block that is one account's."""
    found: dict[int, list[str]] = defaultdict(list)
    for block_id, broker, number, public_id in models.Order.objects.filter(
        block_id__in={row.block_id for row in rows}
    ).values_list("block_id", "block__broker", "account__number", "account__public_id"):
        found[block_id].append(name_account(broker, number, public_id))
    return {block_id: numbers[0] for block_id, numbers in found.items() if len(numbers) == 1}


def _build_sending(row: models.Slice, accounts: Mapping[int, str]) -> Sending:
    block, security = row.block, row.block.security
    return Sending(
        slice_id=row.pk,
        attempt=row.attempt_count,
        kind=BrokerKind(block.broker),
        firm_id=block.firm_id,
        ticket=OrderTicket(
            client_order_id=row.client_order_id,
            symbol=security.symbol,
            side=Side(block.side),
            quantity=row.quantity,
            share_step=security.share_step,
            market_price=block.arrival_price,
            half_spread_bps=security.half_spread_bps,
            market_date=block.session_date,
            account_number=accounts.get(block.pk, ""),
            limit_price=row.limit_price,
            daily_volume=security.daily_volume,
            daily_volatility=measure_daily_volatility(security.volatility),
        ),
    )
