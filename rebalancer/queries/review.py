"""What an outside check must be able to name: the ids of a firm's rows, by their state."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from rebalancer import models

Named = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class PendingOf:
    """An account's proposal that waits, with what a decision on it must name."""

    proposal_id: int
    content_hash: str
    trade_ids: list[int]


def get_pending(account_id: int) -> PendingOf:
    """Return the account's proposal that waits for a decision.

    :raises Proposal.DoesNotExist: when none does.
    """
    proposal = models.Proposal.objects.get(account_id=account_id, status="PENDING")
    trades = proposal.trades.order_by("pk").values_list("pk", flat=True)
    return PendingOf(proposal.pk, proposal.content_hash, list(trades))


def list_waiting_orders(account_id: int) -> list[int]:
    """Return the ids of an account's orders that are in no block yet."""
    orders = models.Order.objects.filter(account_id=account_id, status="NEW", block=None)
    return list(orders.order_by("pk").values_list("pk", flat=True))


def list_proposals(firm_id: int) -> Named:
    """Return public ids of a firm's proposals by state."""
    return _group(
        models.Proposal.objects.filter(firm_id=firm_id).values_list("status", "public_id")
    )


def list_orders(firm_id: int) -> Named:
    """Return our ids of a firm's orders by state."""
    rows = models.Order.objects.filter(firm_id=firm_id)
    return _group(rows.values_list("status", "client_order_id"))


def list_blocks(firm_id: int) -> Named:
    """Return public ids of a firm's blocks by state."""
    rows = models.Block.objects.filter(firm_id=firm_id)
    return _group(rows.values_list("status", "public_id"))


def list_switches(firm_id: int) -> Named:
    """Return public ids of a firm's switches by what they stand at."""
    # Rows that nobody ever set are there to be locked.
    rows = models.Switch.objects.filter(firm_id=firm_id, set_at__isnull=False)
    return _group(
        (_name_switch(row.is_stopped, row.clear_asked_by_id), row.public_id) for row in rows
    )


def list_limit_sets(firm_id: int) -> Named:
    """Return public ids of a firm's sets of limits by state."""
    rows = models.LimitSet.objects.filter(firm_id=firm_id)
    return _group(rows.values_list("status", "public_id"))


def list_policies(firm_id: int) -> list[str]:
    """Return public ids of a firm's policies."""
    rows = models.Policy.objects.filter(firm_id=firm_id).order_by("pk")
    return [str(public_id) for public_id in rows.values_list("public_id", flat=True)]


def _name_switch(is_stopped: bool, asked_by_id: int | None) -> str:  # noqa: FBT001
    if not is_stopped:
        return "CLEARED"
    return "CLEAR_ASKED" if asked_by_id else "STOPPED"


def _group(rows: Iterable[tuple[str, UUID | str]]) -> Named:
    found: Named = defaultdict(list)
    for status, name in rows:
        found[str(status)].append(str(name))
    return {status: sorted(names) for status, names in sorted(found.items())}
