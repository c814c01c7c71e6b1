"""Recomputes the running totals of the books from what cannot be changed.

That is entries with their transfers, disposals and lot adjustments; reversals among them.
"""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from django.db import transaction

from accounts.queries import people as people_queries
from portfolios import models
from portfolios.domain.kinds import Pocket
from portfolios.domain.money import ZERO
from portfolios.operations.entries import lock_books


@transaction.atomic
def rebuild_totals(*, firm_id: int) -> int:
    """Recompute a firm's lots, holdings and cash from its entries; return how many changed."""
    accounts = people_queries.list_account_ids(firm_id)
    lock_books(accounts)
    changed = 0
    used: dict[int, tuple[Decimal, Decimal]] = defaultdict(lambda: (ZERO, ZERO))
    for lot_id, quantity, cost in models.Disposal.objects.filter(
        lot__account_id__in=accounts
    ).values_list("lot_id", "quantity", "cost"):
        used[lot_id] = (used[lot_id][0] + quantity, used[lot_id][1] + cost)
    for lot_id, quantity, cost in models.LotAdjustment.objects.filter(
        lot__account_id__in=accounts
    ).values_list("lot_id", "quantity", "cost"):
        used[lot_id] = (used[lot_id][0] - quantity, used[lot_id][1] - cost)
    shares: dict[tuple[int, int], Decimal] = defaultdict(Decimal)
    wrong_lots = []
    for lot in models.Lot.objects.filter(account_id__in=accounts):
        quantity = lot.opened_quantity - used[lot.pk][0]
        cost = lot.opened_cost - used[lot.pk][1]
        shares[lot.account_id, lot.security_id] += quantity
        if (quantity, cost) != (lot.quantity, lot.cost):
            lot.quantity, lot.cost = quantity, cost
            wrong_lots.append(lot)
    models.Lot.objects.bulk_update(wrong_lots, ["quantity", "cost"])
    changed += len(wrong_lots)
    wrong_holdings = []
    for holding in models.Holding.objects.filter(account_id__in=accounts):
        right = shares.pop((holding.account_id, holding.security_id), ZERO)
        if right != holding.quantity:
            holding.quantity = right
            wrong_holdings.append(holding)
    models.Holding.objects.bulk_update(wrong_holdings, ["quantity"])
    missing = models.Holding.objects.bulk_create(
        models.Holding(account_id=account_id, security_id=security_id, quantity=quantity)
        for (account_id, security_id), quantity in shares.items()
        if quantity
    )
    changed += len(wrong_holdings) + len(missing)
    return changed + _rebuild_cash(accounts)


def _rebuild_cash(account_ids: Sequence[int]) -> int:
    cash: dict[int, Decimal] = defaultdict(Decimal)
    for account_id, target, quantity in models.Transfer.objects.filter(
        entry__account_id__in=account_ids, security__isnull=True
    ).values_list("entry__account_id", "target_pocket", "quantity"):
        cash[account_id] += quantity if target == Pocket.CASH else -quantity
    versions: dict[int, int] = defaultdict(int)
    for account_id in models.JournalEntry.objects.filter(account_id__in=account_ids).values_list(
        "account_id", flat=True
    ):
        versions[account_id] += 1
    wrong = []
    for balance in models.CashBalance.objects.filter(account_id__in=account_ids):
        right = (cash[balance.account_id], versions[balance.account_id])
        if right != (balance.amount, balance.books_version):
            balance.amount, balance.books_version = right
            wrong.append(balance)
    models.CashBalance.objects.bulk_update(wrong, ["amount", "books_version"])
    return len(wrong)
