"""What may happen in a step: people who decide, workers that look, a market that moves."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from django.db.models.functions import Now

from portfolios.operations import books, halts
from rebalancer import models
from rebalancer.domain.kinds import BrokerKind
from rebalancer.domain.lifecycle import OPEN_ORDER, OrderStatus, ProposalStatus
from rebalancer.domain.limits import SwitchScope
from rebalancer.domain.plan import PlanRefused
from rebalancer.domain.reconciliation import SliceAnswer
from rebalancer.operations import approvals, cash, controls, limits
from rebalancer.operations.execution import deciding
from rebalancer.operations.execution.deciding import is_over_unrecorded
from robo.common.errors import Conflict, NotAllowed, Refused
from tests.faults import checks, companies
from tests.faults.companies import announce_action, apply_actions, confirm_actions
from tests.faults.firm import prepare_proposal
from tests.faults.workers import (
    allocate_blocks,
    begin_executions,
    close_sessions,
    complete_proposals,
    expire_proposals,
    form_blocks,
    poll_broker,
    poll_slices,
    resolve_unknown,
    review_brokers,
    seal,
    send_slices,
    submit_orders,
    tell_brokers,
)
from tests.rebalancer import world
from tests.rebalancer.world import SECURITIES

if TYPE_CHECKING:
    from tests.faults.schedule import Schedule

MINUTE = timedelta(minutes=1)

# --- People --------------------------------------------------------------------------------------


def propose(schedule: Schedule) -> None:
    """Prepare a proposal, by the engine's hand or as a person's edit."""
    firm, rng = schedule.firm, schedule.rng
    maker = firm.world.advisor
    if rng.random() < 0.8:
        maker = checks.get_service_user(firm.pk)
    for account in firm.world.accounts:
        if rng.random() < 0.3:
            continue
        # A random plan may break a promise of plans, which is not what this is about.
        with contextlib.suppress(PlanRefused):
            is_made = prepare_proposal(firm, account, rng, maker_id=maker.pk, now=schedule.now)
            schedule.figures["proposals"] += is_made


def open_page(schedule: Schedule) -> None:
    """Look at what waits, as a tab that may be old when somebody clicks in it."""
    rows = _list_pending(schedule)
    schedule.seen = [(row.pk, row.content_hash) for row in rows]


def approve(schedule: Schedule) -> None:
    """Approve what waits, or what an old tab shows; now and then twice."""
    firm, rng = schedule.firm, schedule.rng
    shown = [(row.pk, row.content_hash) for row in _list_pending(schedule)]
    if schedule.seen and rng.random() < 0.3:
        shown = schedule.seen
    for proposal_id, content_hash in shown:
        people = [firm.world.advisor, firm.world.colleague, firm.supervisors[0]]
        user = rng.choice(people)
        for _click in range(rng.choice((1, 1, 2))):
            _approve_once(schedule, proposal_id, content_hash, user.pk)


def _approve_once(schedule: Schedule, proposal_id: int, content_hash: str, user_id: int) -> None:
    before = checks.read_facts(proposal_id)
    try:
        approvals.approve_proposal(
            proposal_id=proposal_id,
            user_id=user_id,
            content_hash=content_hash,
            note="",
            now=schedule.now,
        )
    except (Refused, Conflict, NotAllowed):
        schedule.figures["approvals refused"] += 1
        return
    schedule.figures["approvals"] += 1
    wrong = checks.judge_approval(before, user_id, content_hash, schedule.now)
    if wrong:
        schedule.broker.violations.append(wrong)


def approve_late(schedule: Schedule) -> None:
    """Approve after facts have moved under what is shown."""
    propose(schedule)
    open_page(schedule)
    schedule.rng.choice((bring_cash, bring_cash, next_day, publish_model))(schedule)
    approve(schedule)


def reject(schedule: Schedule) -> None:
    """Reject something that waits."""
    rows = _list_pending(schedule)
    if rows:
        row = schedule.rng.choice(rows)
        approvals.reject_proposal(
            proposal_id=row.pk,
            user_id=schedule.firm.world.colleague.pk,
            content_hash=row.content_hash,
            note="Not now.",
            now=schedule.now,
        )


def cancel_order(schedule: Schedule) -> None:
    """Cancel an order that is open."""
    rows = list(
        models.Order.objects.filter(firm_id=schedule.firm.pk, status__in=OPEN_ORDER).order_by("pk")
    )
    if rows:
        user = schedule.rng.choice([schedule.firm.world.advisor, *schedule.firm.supervisors])
        deciding.cancel_order(
            order_id=schedule.rng.choice(rows).pk,
            user_id=user.pk,
            reason="The client asked.",
            now=schedule.now,
        )


def settle(schedule: Schedule) -> None:
    """Say of a slice that waits for a person what became of it, once the time-out is over."""
    parked = models.Slice.objects.filter(block__firm_id=schedule.firm.pk, is_parked=True)
    # What is over and not yet told of in full is never given up: the market tells all in the end.
    row = next((row for row in parked.order_by("pk") if not is_over_unrecorded(row)), None)
    if row is None:
        return
    schedule.broker.tick()
    deciding.settle_parked_slice(
        slice_id=row.pk,
        answer=SliceAnswer.TAKEN
        if row.client_order_id in schedule.broker.orders
        else SliceAnswer.SEND,
        user_id=schedule.firm.operator.pk,
        reason="Their desk said so.",
        now=schedule.now,
    )


def bring_cash(schedule: Schedule) -> None:
    """A client brings money; the form may be sent twice."""
    _move(schedule, 1)


def take_cash(schedule: Schedule) -> None:
    """A client takes money, as much as all there seems to be."""
    _move(schedule, -1)


def _move(schedule: Schedule, sign: int) -> None:
    firm, rng = schedule.firm, schedule.rng
    account = rng.choice(firm.world.accounts)
    amount = Decimal(rng.choice(("10.01", "250.00", "999.99", "4000.00")))
    terms = {
        "account_id": account.pk,
        "amount": amount,
        "entry_date": firm.today,
        "token": checks.draw_token(rng),
        "actor_id": firm.world.advisor.pk,
    }
    move = books.deposit_cash if sign > 0 else cash.withdraw_cash
    for _click in range(rng.choice((1, 2))):
        move(**terms)


def stop(schedule: Schedule) -> None:
    """Throw a switch."""
    firm, rng = schedule.firm, schedule.rng
    scope = rng.choice(
        (
            SwitchScope.FIRM,
            SwitchScope.FIRM,
            SwitchScope.ACCOUNT,
            SwitchScope.SECURITY,
            SwitchScope.BROKER,
        )
    )
    target: dict[str, object] = {}
    if scope is SwitchScope.ACCOUNT:
        target["account_id"] = rng.choice(firm.world.accounts).pk
    elif scope is SwitchScope.SECURITY:
        target["security_id"] = rng.choice(sorted(firm.world.security_ids.values()))
    elif scope is SwitchScope.BROKER:
        target["broker"] = BrokerKind.PAPER
    controls.set_switch(
        scope=scope, user_id=firm.supervisors[0].pk, reason="Something is odd.", **target
    )


def clear(schedule: Schedule) -> None:
    """Two people let go on what is stopped."""
    for row in models.Switch.objects.filter(firm_id=schedule.firm.pk, is_stopped=True).order_by(
        "pk"
    ):
        if row.clear_asked_by_id is None:
            controls.ask_to_clear(
                switch_id=row.pk, user_id=schedule.firm.supervisors[0].pk, reason="It is fine."
            )
        controls.clear_switch(switch_id=row.pk, user_id=schedule.firm.supervisors[1].pk)


def halt(schedule: Schedule) -> None:
    """Halt a security, or lift its halt."""
    firm = schedule.firm
    security_id = schedule.rng.choice(sorted(firm.world.security_ids.values()))
    terms = {"security_id": security_id, "user_id": firm.supervisors[0].pk, "now": schedule.now}
    try:
        halts.set_halt(reason="The exchange halted it.", **terms)
    except Conflict:
        halts.lift_halt(**terms)


def change_limits(schedule: Schedule) -> None:
    """Two people put other limits in force, tight or wide."""
    firm, rng = schedule.firm, schedule.rng
    values = {
        "account_orders_max": rng.choice((1, 3, 500)),
        "rate_per_minute": rng.choice((1, 2, 5000)),
        "duplicate_minutes": rng.choice((0, 30)),
    }
    row = limits.propose_limits(
        firm_id=firm.pk, user_id=firm.world.admin.pk, values=values, reason="Tried out."
    )
    limits.approve_limits(limit_set_id=row.pk, user_id=firm.supervisors[0].pk)


def publish_model(schedule: Schedule) -> None:
    """Publish another version of the model: what was made for the last one is stale."""
    firm, rng = schedule.firm, schedule.rng
    share = rng.randint(20, 50)
    world.publish(
        firm.world.firm,
        firm.world.model_id,
        firm.world.security_ids,
        {"USTM": f"0.{share}", "BOND": f"0.{90 - share}"},
        author=firm.world.admin,
        publisher=firm.world.other_admin,
    )


# --- The market and time -------------------------------------------------------------------------


def market_moves(schedule: Schedule) -> None:
    """Let the broker's market work on what it has."""
    schedule.broker.tick()


def leases_pass(schedule: Schedule) -> None:
    """Let whoever died be noticed."""
    models.Slice.objects.filter(
        block__firm_id=schedule.firm.pk, status=OrderStatus.SUBMITTING
    ).update(lease_until=Now() - timedelta(seconds=1))


def recover(schedule: Schedule) -> None:
    """Do what the sweep does for what a dead worker left: ask first, then send again."""
    leases_pass(schedule)
    resolve_unknown(schedule)
    submit_orders(schedule)


def next_day(schedule: Schedule) -> None:
    """Go on to the next session, with prices that have moved a little or a lot."""
    firm, rng = schedule.firm, schedule.rng
    day = companies.find_next_session(firm.today)
    splits, quotes = companies.list_splits(firm.pk), {}
    for symbol, (_class, price, _step) in SECURITIES.items():
        moved = rng.choice((0, 0, 0, rng.randint(-9, 9), rng.randint(-60, 60)))
        factor = companies.scale(splits, firm.world.security_ids[symbol], date.min, day)
        scaled = Decimal(price) * factor.denominator / factor.numerator
        quotes[symbol] = str((scaled * (1000 + moved) / 1000).quantize(Decimal("0.01")))
    firm.world.set_prices(day, **quotes)
    schedule.broker.today = day


def split_overnight(schedule: Schedule) -> None:
    """Let a company act on what was traded, between today and the next session."""
    announce_action(schedule)
    confirm_actions(schedule)
    next_day(schedule)
    if schedule.rng.random() < 0.7:
        apply_actions(schedule)


def _list_pending(schedule: Schedule) -> list[models.Proposal]:
    return list(
        models.Proposal.objects.filter(
            firm_id=schedule.firm.pk, status=ProposalStatus.PENDING
        ).order_by("pk")
    )


USUAL: dict[Callable[[Schedule], None], float] = {
    propose: 7,
    open_page: 0.5,
    approve: 8,
    approve_late: 1,
    reject: 0.3,
    cancel_order: 1,
    settle: 0.7,
    bring_cash: 0.4,
    take_cash: 0.6,
    stop: 0.4,
    clear: 1.5,
    halt: 0.3,
    change_limits: 0.2,
    publish_model: 0.15,
    begin_executions: 1,
    form_blocks: 2,
    send_slices: 3,
    poll_slices: 2,
    allocate_blocks: 2,
    resolve_unknown: 1,
    review_brokers: 1.5,
    close_sessions: 1,
    complete_proposals: 0.7,
    tell_brokers: 0.7,
    submit_orders: 5,
    poll_broker: 5,
    expire_proposals: 0.2,
    seal: 0.3,
    market_moves: 8,
    leases_pass: 0.7,
    recover: 2,
    next_day: 0.8,
    announce_action: 0.6,
    split_overnight: 0.8,
    confirm_actions: 0.4,
    apply_actions: 1,
}
# So that there is something to go wrong in every schedule.
OPENING = (propose, approve, submit_orders)
# What another worker or person may do between two effects of a step. Time does not pass meanwhile:
# a call to a broker lasts half a lease at most.
MEDDLERS = frozenset(
    {
        propose,
        approve,
        reject,
        cancel_order,
        bring_cash,
        take_cash,
        stop,
        clear,
        begin_executions,
        form_blocks,
        send_slices,
        poll_slices,
        allocate_blocks,
        resolve_unknown,
        review_brokers,
        complete_proposals,
        tell_brokers,
        market_moves,
        seal,
        announce_action,
        confirm_actions,
        apply_actions,
    }
)
