"""The end of a schedule: faults stop, and everything must come to rest where the broker says."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from django.db.models import F, Q

from accounts.operations.sealing import seal_journal
from accounts.queries.proofs import prove_journal
from portfolios.domain.kinds import EntryKind
from portfolios.models import Break, CashBalance, Halt, Holding, JournalEntry, Security
from portfolios.operations import halts, rebuilding
from rebalancer import models
from rebalancer.brokers.port import BrokerStatus
from rebalancer.domain.lifecycle import OPEN_ORDER, OrderStatus, ProposalStatus
from rebalancer.operations import orders
from rebalancer.operations.execution import completing
from tests.faults import actions, companies

if TYPE_CHECKING:
    from tests.faults.broker import Held
    from tests.faults.schedule import Schedule

ROUNDS = 6
ZERO = Decimal(0)
ENDS = {
    BrokerStatus.REJECTED: (OrderStatus.REJECTED, OrderStatus.CANCELLED),
    BrokerStatus.CANCELLED: (OrderStatus.CANCELLED,),
    BrokerStatus.EXPIRED: (OrderStatus.EXPIRED,),
    # Of what was filled some was taken back.
    BrokerStatus.FILLED: (OrderStatus.CANCELLED,),
}


def converge(schedule: Schedule) -> None:
    """Let everything come to rest, and compare it with what the broker knows.

    :raises AssertionError: naming what did not come to rest, or came to rest elsewhere.
    """
    _settle_people(schedule)
    for number in range(ROUNDS):
        if number == ROUNDS // 2:
            # What could not go today never goes: the day ends.
            actions.next_day(schedule)
        _work(schedule)
        if number >= ROUNDS // 2 and not _list_open(schedule):
            break
    found = _list_open(schedule)
    found += _compare_slices(schedule) + _compare_told(schedule) + _compare_accounts(schedule)
    found += _prove(schedule)
    if found:
        raise AssertionError("; ".join(found)[:2000])
    schedule.look()


def _settle_people(schedule: Schedule) -> None:
    """People clear what they stopped."""
    actions.clear(schedule)
    companies.confirm_actions(schedule)
    for row in Halt.objects.filter(security__firm_id=schedule.firm.pk, lifted_at__isnull=True):
        halts.lift_halt(
            security_id=row.security_id,
            user_id=schedule.firm.supervisors[0].pk,
            now=schedule.now,
        )


def _work(schedule: Schedule) -> None:
    now = schedule.now = schedule.now + actions.MINUTE
    actions.leases_pass(schedule)
    companies.apply_actions(schedule)
    orders.resolve_unknown_orders(now=now)
    while models.Slice.objects.filter(
        block__firm_id=schedule.firm.pk, is_parked=True, status=OrderStatus.SUBMITTING
    ).exists():
        actions.settle(schedule)
    orders.submit_orders(now=now)
    schedule.broker.tick()
    orders.poll_broker(now=now)
    orders.review_orders(now=now)
    orders.end_sessions(now=now)


def _list_open(schedule: Schedule) -> list[str]:
    """Return what has not come to rest."""
    firm_id = schedule.firm.pk
    found = [
        f"order {row.client_order_id} stays {row.status}: {row.reason}"
        for row in models.Order.objects.filter(firm_id=firm_id, status__in=OPEN_ORDER)
    ]
    found += [
        f"slice {row.client_order_id} stays {row.status}: {row.reason}"
        for row in models.Slice.objects.filter(block__firm_id=firm_id, status__in=OPEN_ORDER)
    ]
    untold = Q(allocation_sent__lt=F("allocation_number"))
    unshared = ~Q(filled_quantity=F("shared_quantity"), filled_value=F("shared_value"))
    found += [
        f"block {row.public_id} stays {row.status}, {row.allocation_sent} told"
        for row in models.Block.objects.filter(firm_id=firm_id).filter(
            untold | unshared | Q(status__in=OPEN_ORDER)
        )
    ]
    return found + [
        f"proposal {row.public_id} stays {row.status}"
        for row in models.Proposal.objects.filter(
            firm_id=firm_id, status__in=[ProposalStatus.APPROVED, ProposalStatus.EXECUTING]
        )
    ]


def _compare_slices(schedule: Schedule) -> list[str]:
    """Return slices that ended otherwise than the broker says."""
    found = []
    known = schedule.broker.orders
    for row in models.Slice.objects.filter(block__firm_id=schedule.firm.pk).order_by("pk"):
        held = known.get(row.client_order_id)
        if held is None:
            if row.filled_quantity or row.status not in (
                OrderStatus.CANCELLED,
                OrderStatus.EXPIRED,
            ):
                found.append(f"slice {row.client_order_id} is {row.status}, and was never taken")
            continue
        if row.filled_quantity != held.filled:
            found.append(
                f"slice {row.client_order_id}: {row.filled_quantity} filled, broker {held.filled}"
            )
        if row.status not in _expect(held):
            found.append(f"slice {row.client_order_id} is {row.status}, broker {held.status}")
    return found


def _expect(held: Held) -> tuple[OrderStatus, ...]:
    if held.left <= 0:
        return (OrderStatus.FILLED,)
    return ENDS[held.status]


def _compare_told(schedule: Schedule) -> list[str]:
    """Return blocks whose broker was told something else than it filled."""
    filled: dict[str, Decimal] = defaultdict(Decimal)
    for row in models.Slice.objects.filter(block__firm_id=schedule.firm.pk).select_related("block"):
        held = schedule.broker.orders.get(row.client_order_id)
        filled[str(row.block.public_id)] += held.filled if held else ZERO
    found = []
    for block in models.Block.objects.filter(firm_id=schedule.firm.pk, takes_allocations=True):
        said = schedule.broker.told.get(str(block.public_id))
        told = sum((share.quantity for share in said.shares), ZERO) if said else ZERO
        if told != min(filled[str(block.public_id)], block.quantity):
            found.append(f"block {block.public_id}: told of {told}")
    return found


def _compare_accounts(schedule: Schedule) -> list[str]:
    """Return accounts whose books are not what came in, went out and was traded."""
    firm = schedule.firm
    broken = set(
        Break.objects.filter(account__firm_id=firm.pk).values_list("account_id", flat=True)
    )
    cash = dict(firm.opening_cash)
    splits, today = companies.list_splits(firm.pk), firm.today
    shares: dict[tuple[int, int], Fraction] = defaultdict(Fraction)
    for (account_id, security_id), quantity in firm.opening_shares.items():
        since = companies.scale(splits, security_id, date.min, today)
        shares[account_id, security_id] += Fraction(quantity) * since
    for account_id, amount in companies.sum_cash(firm.pk).items():
        cash[account_id] += amount
    for account_id, kind, amount in JournalEntry.objects.filter(
        account__firm_id=firm.pk, kind__in=[EntryKind.DEPOSIT, EntryKind.WITHDRAWAL]
    ).values_list("account_id", "kind", "transfers__quantity"):
        cash[account_id] += amount if kind == EntryKind.DEPOSIT else -amount
    for row in models.Order.objects.filter(firm_id=firm.pk, block__isnull=False).select_related(
        "block"
    ):
        sign = 1 if row.side == "BUY" else -1
        cash[row.account_id] -= sign * row.filled_amount
        since = companies.scale(splits, row.security_id, row.block.session_date, today)
        shares[row.account_id, row.security_id] += sign * Fraction(row.filled_quantity) * since
    found = []
    for balance in CashBalance.objects.filter(account__firm_id=firm.pk):
        if balance.account_id not in broken and balance.amount != cash[balance.account_id]:
            found.append(f"account {balance.account_id} has {balance.amount} in cash")
    held = {
        (account_id, security_id): quantity
        for account_id, security_id, quantity in Holding.objects.filter(
            account__firm_id=firm.pk
        ).values_list("account_id", "security_id", "quantity")
    }
    steps = dict(Security.objects.filter(firm_id=firm.pk).values_list("pk", "share_step"))
    for key in {*held, *shares}:
        paid_out = companies.count_fractions(splits, key[1], today) * Fraction(steps[key[1]])
        lacking = shares[key] - Fraction(held.get(key, ZERO))
        if key[0] not in broken and not 0 <= lacking <= paid_out:
            found.append(f"account, security {key}: {held.get(key, ZERO)}, not {shares[key]}")
    return found


def _prove(schedule: Schedule) -> list[str]:
    """Return what cannot be made anew from entries and fills, or proven of the journal."""
    firm = schedule.firm.world.firm
    found = []
    if rebuilding.rebuild_totals(firm_id=firm.pk):
        found.append("totals made anew differ")
    if completing.rebuild_orders(firm_id=firm.pk):
        found.append("orders made anew differ")
    unowned = Break.objects.filter(account__firm_id=firm.pk, owner__isnull=True).count()
    if unowned:
        found.append(f"{unowned} breaks are nobody's")
    seal_journal(firm_id=firm.pk)
    proof = prove_journal(firm)
    if proof.fault is not None or proof.waiting_count:
        found.append(f"the journal: {proof.fault}, {proof.waiting_count} wait")
    return found
