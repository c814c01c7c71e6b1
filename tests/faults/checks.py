"""What must hold at any moment: the product's own proofs, and what only a witness can know."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING
from unittest.mock import patch

import psycopg
from django.db import connection

from accounts.models import User
from accounts.queries import people
from portfolios.models import Break, Halt
from portfolios.queries import books
from portfolios.queries.books import Fault, get_cash
from portfolios.queries.market import get_latest_prices, get_published_versions
from rebalancer import models
from rebalancer.brokers.port import OrderTicket
from rebalancer.domain.lifecycle import OrderStatus
from rebalancer.domain.limits import SwitchScope
from rebalancer.operations.execution.sending import LEASE
from rebalancer.queries import proof
from tests.faults import companies

if TYPE_CHECKING:
    from tests.faults.schedule import Schedule

# What the product's proofs do not ask, because in the product nobody could tell.
_QUERIES = {
    "cash that open buys need was spent": """
        SELECT c.account_id, c.amount, sum(o.quantity * b.reserve_price)
        FROM portfolios_cashbalance c
        JOIN rebalancer_order o ON o.account_id = c.account_id
        JOIN rebalancer_block b ON b.id = o.block_id
        WHERE o.firm_id = %(firm)s AND o.side = 'BUY'
          AND o.status IN ('SUBMITTING', 'SUBMITTED', 'PARTIALLY_FILLED')
          -- What the broker took back may leave any account short.
          AND NOT EXISTS (SELECT 1 FROM portfolios_journalentry e
                          WHERE e.account_id = c.account_id AND e.kind = 'REVERSAL')
          AND NOT EXISTS (SELECT 1 FROM portfolios_break k WHERE k.account_id = c.account_id)
        GROUP BY c.account_id, c.amount
        HAVING sum(o.quantity * b.reserve_price) > c.amount + 0.02 * count(*)""",
    "an order in a block was never counted as entered": """
        SELECT o.client_order_id FROM rebalancer_order o
        JOIN rebalancer_block b ON b.id = o.block_id
        LEFT JOIN rebalancer_enteredorder n
               ON n.order_id = o.id AND n.session_date = b.session_date
        WHERE o.firm_id = %(firm)s AND n.id IS NULL""",
    "the day's counters are not what was entered": """
        SELECT u.account_id, u.order_count, count(n.id) FROM rebalancer_limituse u
        LEFT JOIN rebalancer_enteredorder n
               ON n.firm_id = u.firm_id AND n.session_date = u.session_date
                  AND (u.account_id IS NULL OR n.account_id = u.account_id)
        WHERE u.firm_id = %(firm)s
        GROUP BY u.id HAVING u.order_count <> count(n.id)""",
    "a decision left no trace": """
        SELECT d.proposal_id FROM rebalancer_decision d
        JOIN rebalancer_proposal p ON p.id = d.proposal_id
        WHERE p.firm_id = %(firm)s AND NOT EXISTS (
            SELECT 1 FROM accounts_auditentry e
            WHERE e.firm_id = p.firm_id AND e.object_id = p.public_id::text
              AND e.action = CASE WHEN d.is_approved THEN 'rebalancer.proposal.approved'
                                  ELSE 'rebalancer.proposal.rejected' END)""",
    "a trace of a decision that is not there": """
        SELECT e.object_id, count(*) FROM accounts_auditentry e
        WHERE e.firm_id = %(firm)s
          AND e.action IN ('rebalancer.proposal.approved', 'rebalancer.proposal.rejected')
        GROUP BY e.object_id
        HAVING count(*) <> (SELECT count(*) FROM rebalancer_decision d
                            JOIN rebalancer_proposal p ON p.id = d.proposal_id
                            WHERE p.public_id::text = e.object_id)""",
    "money moved and left no trace": """
        SELECT x.kind, x.entries, x.traces FROM (
            SELECT k.kind,
                   (SELECT count(*) FROM portfolios_journalentry e
                    JOIN accounts_account a ON a.id = e.account_id
                    WHERE a.firm_id = %(firm)s AND e.kind = upper(k.kind)) AS entries,
                   (SELECT count(*) FROM accounts_auditentry t
                    WHERE t.firm_id = %(firm)s
                      AND t.action = 'portfolios.cash.' || k.kind) AS traces
            FROM (VALUES ('deposit'), ('withdrawal')) AS k (kind)) x
        WHERE x.entries <> x.traces""",
    "one block, several prices": """
        SELECT o.block_id, count(DISTINCT f.price) FROM rebalancer_fill f
        JOIN rebalancer_order o ON o.id = f.order_id
        WHERE o.firm_id = %(firm)s AND f.reverses_id IS NULL
        GROUP BY o.block_id, f.number HAVING count(DISTINCT f.price) > 1""",
}


def _run_prepared(queries: dict[str, str], firm_id: int) -> Iterator[Fault]:
    """Run the product's proofs as statements that are planned once, not for every look."""
    with psycopg.Cursor(connection.connection) as cursor:
        for title, sql in queries.items():
            cursor.execute(sql, {"firm": firm_id}, prepare=True)
            for _row_id, detail in cursor.fetchall():
                yield Fault(title, detail)


def find_faults(schedule: Schedule) -> list[str]:
    """Return whatever does not hold now."""
    firm_id = schedule.firm.pk
    with (
        patch.object(books, "run_fault_queries", _run_prepared),
        patch.object(proof, "run_fault_queries", _run_prepared),
    ):
        faults = books.check_books(firm_id) + proof.check_orders(firm_id)
    found = [f"{fault.title}: {fault.detail}" for fault in faults]
    with psycopg.Cursor(connection.connection) as cursor:
        for title, sql in _QUERIES.items():
            cursor.execute(sql, {"firm": firm_id}, prepare=True)
            found += [f"{title}: {row}" for row in cursor.fetchall()]
    found += schedule.broker.violations
    found += [
        f"{name} was taken {count} times"
        for name, count in schedule.broker.taken.items()
        if count > 1
    ]
    return found + _find_causeless_breaks(schedule) + _find_closed_early(schedule)


def _find_closed_early(schedule: Schedule) -> list[str]:
    """Return slices that were closed while the broker counted more than was on record.

    What it takes back or adds later is told of a slice that was closed before.
    """
    rows = models.Slice.objects.filter(
        block__firm_id=schedule.firm.pk, closed_at__isnull=False
    ).exclude(pk__in=schedule.closed)
    found = []
    for row in rows:
        schedule.closed.add(row.pk)
        is_odd = row.client_order_id in schedule.broker.odd
        if row.broker_quantity != row.filled_quantity and not is_odd:
            found.append(
                f"slice {row.client_order_id} was closed with {row.filled_quantity} filled, "
                f"while the broker counted {row.broker_quantity}"
            )
    return found


def _find_causeless_breaks(schedule: Schedule) -> list[str]:
    """Return breaks in accounts of whose trades the market took nothing back and added nothing."""
    rows = list(Break.objects.filter(account__firm_id=schedule.firm.pk).order_by("pk"))
    if not rows:
        return []
    odd = set(
        models.Order.objects.filter(
            block__slices__client_order_id__in=schedule.broker.odd
        ).values_list("account_id", flat=True)
    )
    # A reverse split pays out less than a share step, of shares that may have been sold already.
    odd |= companies.sum_cash(schedule.firm.pk).keys()
    return [f"a break for nothing: {row.note}" for row in rows if row.account_id not in odd]


# --- At the moment of sending --------------------------------------------------------------------


def witness_sending(schedule: Schedule, ticket: OrderTicket) -> str:
    """Return what is wrong with an order that is being sent right now, or an empty text."""
    if connection.in_atomic_block:
        return "sent inside of a transaction"
    row = (
        models.Slice.objects.select_related("block__security")
        .filter(client_order_id=ticket.client_order_id)
        .first()
    )
    if row is None:
        return "sent before it was on record"
    block = row.block
    told = (ticket.quantity, ticket.symbol, ticket.side, ticket.limit_price)
    if told != (row.quantity, block.security.symbol, block.side, row.limit_price):
        return f"sent as {told}, and on record as something else"
    if not row.attempt_count or (row.attempt_count == 1 and row.status != OrderStatus.SUBMITTING):
        return f"sent without a claim: {row.status}"
    if block.session_date != schedule.firm.today:
        return f"sent on another day than {block.session_date}"
    if Halt.objects.filter(security=block.security, lifted_at__isnull=True).exists():
        return f"sent while {block.security.symbol} is halted"
    for since in models.Order.objects.filter(block=block).values_list(
        "proposal__price_date", flat=True
    ):
        done = companies.find_between([block.security_id], since, block.session_date)
        if done:
            return f"sent in spite of {done}"
    return _find_stop(row)


def _find_stop(row: models.Slice) -> str:
    """Return which switch should have held a slice back: one set before its lease was renewed."""
    if row.lease_until is None:
        return ""
    block = row.block
    members = set(models.Order.objects.filter(block=block).values_list("account_id", flat=True))
    for switch in models.Switch.objects.filter(firm_id=block.firm_id, is_stopped=True):
        covers = {
            SwitchScope.FIRM: True,
            SwitchScope.BROKER: switch.broker == block.broker,
            SwitchScope.SECURITY: switch.security_id == block.security_id,
            SwitchScope.ACCOUNT: switch.account_id in members,
        }
        if covers[SwitchScope(switch.scope)] and switch.set_at < row.lease_until - LEASE:
            return f"sent after {switch.scope} was stopped"
    return ""


# --- At the moment of an approval ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Facts:
    """What an approval stands on, read before it."""

    proposal: models.Proposal
    cash: Decimal
    version_id: int | None
    prices: dict[int, Decimal]


def read_facts(proposal_id: int) -> Facts:
    """Return what holds now of all that a proposal was made from."""
    proposal = models.Proposal.objects.select_related("firm", "policy").get(pk=proposal_id)
    account_id = proposal.account_id
    day = proposal.firm.simulated_date
    assert day is not None
    latest = get_latest_prices(firm_id=proposal.firm_id, price_date=day, age_days_max=5)
    return Facts(
        proposal=proposal,
        cash=get_cash([account_id])[account_id][0],
        version_id=get_published_versions([account_id]).get(account_id),
        prices={security_id: price for security_id, (_day, price) in latest.items()},
    )


def judge_approval(before: Facts, user_id: int, content_hash: str, now: datetime) -> str:
    """Return why an approval that was accepted should not have been, or an empty text."""
    proposal = before.proposal
    if proposal.status != "PENDING":
        return f"approved while {proposal.status}"
    if proposal.content_hash != content_hash:
        return "approved something else than was seen"
    if proposal.proposed_by_id == user_id:
        return "approved by its own maker"
    if proposal.expires_at <= now:
        return "approved after it had expired"
    if before.cash != proposal.cash_before:
        return f"approved on {proposal.cash_before} of cash, with {before.cash} there"
    if before.version_id != proposal.model_version_id:
        return "approved for a model that is no longer in force"
    day = proposal.firm.simulated_date
    assert day is not None
    traded = [trade.security_id for trade in proposal.trades.all()]
    done = companies.find_between(traded, proposal.price_date, day)
    if done:
        return f"approved in spite of {done}"
    for trade in proposal.trades.all():
        moved = before.prices[trade.security_id] / trade.price - 1
        if abs(moved) > proposal.policy.price_tolerance:
            return f"approved although a price had moved {moved:+.1%}"
    return ""


# --- Small things --------------------------------------------------------------------------------


def get_service_user(firm_id: int) -> User:
    """Return the firm's engine, in whose name proposals are made."""
    return people.get_service_user(firm_id)


def draw_token(rng: Random) -> uuid.UUID:
    """Return the token of a form that was opened."""
    return uuid.UUID(int=rng.getrandbits(128), version=4)
