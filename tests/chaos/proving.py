"""What must hold when everything has come to rest: doubled 0, lost 0, stuck 0, and all agree."""

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db.models import Q

from accounts.operations.sealing import seal_journal
from accounts.queries.proofs import prove_journal
from portfolios.models import Break, Holding
from portfolios.queries.books import check_books
from rebalancer import models
from rebalancer.brokers.paper import PaperBroker
from rebalancer.domain.lifecycle import OPEN_ORDER
from rebalancer.queries.proof import check_orders

UNDER_WAY = ("APPROVED", "EXECUTING")


def count_open(firm_id: int) -> int:
    """Return how many proposals, orders, slices and untold blocks have not come to rest."""
    from django.db.models import F

    return (
        models.Proposal.objects.filter(firm_id=firm_id, status__in=UNDER_WAY).count()
        + models.Order.objects.filter(
            firm_id=firm_id, status__in=OPEN_ORDER, proposal__status__in=UNDER_WAY
        ).count()
        + models.Slice.objects.filter(block__firm_id=firm_id, status__in=OPEN_ORDER).count()
        + models.Block.objects.filter(firm_id=firm_id)
        .filter(
            Q(status__in=OPEN_ORDER)
            | Q(allocation_sent__lt=F("allocation_number"))
            | ~Q(filled_quantity=F("shared_quantity"))
        )
        .count()
    )


def count_taken(stage: Any) -> int:
    """Return how many orders the broker ever took."""
    with closing(sqlite3.connect(stage.broker_path)) as record:
        return int(record.execute("SELECT count(*) FROM exchange_order").fetchone()[0])


def prove(stage: Any, acknowledged: dict[str, int]) -> tuple[dict[str, int], list[str]]:
    """Return figures, and a sentence for each thing that does not hold.

    `acknowledged`: proposals whose approval was answered with a yes, and who had asked.
    """
    firm_id = stage.firm.pk
    with closing(sqlite3.connect(stage.broker_path)) as record:
        taken = dict(record.execute("SELECT client_order_id, taken_count FROM exchange_order"))
    slices = {
        row.client_order_id: row
        for row in models.Slice.objects.filter(block__firm_id=firm_id).order_by("pk")
    }
    doubled = [name for name, count in taken.items() if count > 1]
    unknown_to_us = [name for name in taken if name not in slices]
    unknown_to_broker = [
        name for name, row in slices.items() if row.submitted_at and name not in taken
    ]
    decided = dict(
        models.Decision.objects.filter(proposal__firm_id=firm_id, is_approved=True).values_list(
            "proposal__public_id", "decided_by_id"
        )
    )
    decisions = {str(public_id): user_id for public_id, user_id in decided.items()}
    lost_yes = [key for key, user_id in acknowledged.items() if decisions.get(key) != user_id]
    stuck = count_open(firm_id)
    figures = {
        "approvals acknowledged": len(acknowledged),
        "orders": models.Order.objects.filter(firm_id=firm_id, proposal__status__in=DONE).count(),
        "slices at the broker": len(taken),
        "doubled": len(doubled),
        "lost": len(unknown_to_us) + len(unknown_to_broker) + len(lost_yes),
        "stuck": stuck,
    }
    found = [f"taken twice: {name}" for name in doubled]
    found += [f"the broker has an order that is not ours: {name}" for name in unknown_to_us]
    found += [f"sent, and the broker does not know it: {name}" for name in unknown_to_broker]
    found += [f"approval acknowledged and lost: {key}" for key in lost_yes]
    found += [f"{stuck} things are stuck"] if stuck else []
    found += [f"{f.title}: {f.detail}" for f in (*check_books(firm_id), *check_orders(firm_id))]
    found += _compare_positions(stage) + _prove_journal(stage)
    breaks = Break.objects.filter(account__firm_id=firm_id)
    found += [f"a break: {row.note}" for row in breaks]
    return figures, found


DONE = ("COMPLETED", "COMPLETED_ADJUSTED")


def _compare_positions(stage: Any) -> list[str]:
    """Return what accounts hold otherwise here than at the broker, cash included."""
    from portfolios.models import CashBalance

    firm = stage.firm
    broker = PaperBroker(Path(stage.broker_path), seed=7)
    numbers = [str(account.public_id) for account in firm.world.accounts]
    theirs = {
        (row.account_number, row.symbol): row.quantity for row in broker.list_positions(numbers)
    }
    ours: dict[tuple[str, str], Decimal] = {
        (str(public_id), symbol): quantity
        for public_id, symbol, quantity in Holding.objects.filter(
            account__firm_id=firm.pk
        ).values_list("account__public_id", "security__symbol", "quantity")
    }
    for public_id, amount in CashBalance.objects.filter(account__firm_id=firm.pk).values_list(
        "account__public_id", "amount"
    ):
        ours[str(public_id), ""] = amount
    return [
        f"{key}: {ours.get(key, 0)} here, {theirs.get(key, 0)} at the broker"
        for key in sorted({*ours, *theirs})
        if ours.get(key, 0) != theirs.get(key, 0)
    ]


def _prove_journal(stage: Any) -> list[str]:
    firm = stage.firm.world.firm
    seal_journal(firm_id=firm.pk)
    proof = prove_journal(firm)
    if proof.fault is not None:
        return [f"the journal: {proof.fault.sentence}"]
    return [f"{proof.waiting_count} entries wait to be sealed"] if proof.waiting_count else []
