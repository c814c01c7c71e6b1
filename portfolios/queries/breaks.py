"""Every read of breaks: what is frozen, the work list, and what our books hold against them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from portfolios import models
from portfolios.domain.kinds import ActionKind, ActionStatus, AdjustmentStatus, Pocket
from portfolios.domain.money import ZERO


def list_frozen(account_ids: Sequence[int]) -> set[tuple[int, int | None]]:
    """Return (account, security) that must not trade; with no security, the account's cash.

    Frozen is what an open break is about, and what is held of a security that is no longer listed.
    A frozen cash balance means that the account buys nothing.
    """
    broken = models.Break.objects.filter(
        account_id__in=account_ids, closed_at__isnull=True
    ).values_list("account_id", "security_id")
    unlisted = models.Holding.objects.filter(
        account_id__in=account_ids,
        quantity__gt=0,
        security__actions__kind=ActionKind.DELISTING,
        security__actions__status=ActionStatus.APPLIED,
        security__is_active=False,
    ).values_list("account_id", "security_id")
    return set(broken.union(unlisted))


def list_open_breaks(account_ids: Sequence[int]) -> list[models.Break]:
    """Return the open breaks of these accounts, the oldest first."""
    return list(
        models.Break.objects.filter(account_id__in=account_ids, closed_at__isnull=True)
        .select_related("account__household", "security", "owner")
        .order_by("opened_at", "id")
    )


def find_asked_adjustment(break_id: int) -> models.BreakAdjustment | None:
    """Return the entry that waits for a second person to settle a break, or None."""
    return (
        models.BreakAdjustment.objects.filter(
            settles_id=break_id, status=AdjustmentStatus.WAITING, settles__closed_at__isnull=True
        )
        .select_related("asked_by")
        .first()
    )


def get_our_quantity(account_id: int, security_id: int | None) -> Decimal:
    """Return what our books hold now: shares, or without a security, cash."""
    ours: Decimal | None
    if security_id is None:
        balances = models.CashBalance.objects.filter(account_id=account_id)
        ours = balances.values_list("amount", flat=True).first()
    else:
        holdings = models.Holding.objects.filter(account_id=account_id, security_id=security_id)
        ours = holdings.values_list("quantity", flat=True).first()
    return ours if ours is not None else ZERO


def sum_adjusted(sources: Iterable[str]) -> Mapping[str, Decimal]:
    """Return by source what adjustments have added to our books so far; below zero: taken out."""
    added: dict[str, Decimal] = defaultdict(Decimal)
    moves = models.Transfer.objects.filter(entry__closed_break__source__in=list(sources))
    for source, pocket, quantity in moves.values_list(
        "entry__closed_break__source", "target_pocket", "quantity"
    ):
        added[source] += -quantity if pocket == Pocket.ADJUSTMENT else quantity
    return added
