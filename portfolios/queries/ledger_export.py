"""Reads a firm's books for export, some hundred accounts at a time."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal

from django.db.models import Min

from accounts.queries import people, planning
from portfolios import models
from portfolios.domain.export.journal import AccountBooks, Entry, LotMove
from portfolios.domain.kinds import EntryKind, Pocket
from portfolios.domain.money import ZERO

ACCOUNTS_AT_ONCE = 200
_INSIDE = (Pocket.CASH, Pocket.SECURITIES)


def get_first_entry_date(firm_id: int) -> date | None:
    """Return the first day that anything is booked under at a firm."""
    first: date | None = models.JournalEntry.objects.filter(account__firm_id=firm_id).aggregate(
        first=Min("entry_date")
    )["first"]
    return first


def get_symbols(firm_id: int) -> dict[int, str]:
    """Return the symbols of a firm's securities by id."""
    return dict(models.Security.objects.filter(firm_id=firm_id).values_list("id", "symbol"))


def iter_account_books(firm_id: int) -> Iterator[AccountBooks]:
    """Yield the books of each of a firm's accounts that has any, in a few queries per batch."""
    currency = people.get_firm(firm_id).currency
    ids = people.list_account_ids(firm_id)
    for start in range(0, len(ids), ACCOUNTS_AT_ONCE):
        yield from _read_batch(ids[start : start + ACCOUNTS_AT_ONCE], currency)


def _read_batch(account_ids: Sequence[int], currency: str) -> Iterator[AccountBooks]:
    names = planning.get_account_names(account_ids)
    cash = dict(
        models.CashBalance.objects.filter(account_id__in=account_ids).values_list(
            "account_id", "amount"
        )
    )
    holdings: dict[int, dict[int, Decimal]] = defaultdict(dict)
    for account_id, security_id, quantity in models.Holding.objects.filter(
        account_id__in=account_ids
    ).values_list("account_id", "security_id", "quantity"):
        holdings[account_id][security_id] = quantity
    entries = _read_entries(account_ids)
    for account_id in account_ids:
        if account_id in cash:
            yield AccountBooks(
                account_id=account_id,
                name=names[account_id].name,
                currency=currency,
                entries=tuple(entries[account_id]),
                cash=cash[account_id],
                holdings=holdings[account_id],
            )


def _read_entries(account_ids: Sequence[int]) -> dict[int, list[Entry]]:
    moved: dict[int, list[tuple[Pocket, Decimal]]] = defaultdict(list)
    pockets: dict[int, set[Pocket]] = defaultdict(set)
    for entry_id, source, target, quantity, currency in (
        models.Transfer.objects.filter(entry__account_id__in=account_ids)
        .order_by("id")
        .values_list("entry_id", "source_pocket", "target_pocket", "quantity", "currency")
    ):
        comes_in = target in _INSIDE
        other = Pocket(source if comes_in else target)
        if currency:
            moved[entry_id].append((other, quantity if comes_in else -quantity))
        else:
            pockets[entry_id].add(other)
    lots, gains = _read_lots(account_ids)
    entries: dict[int, list[Entry]] = defaultdict(list)
    for row in models.JournalEntry.objects.filter(account_id__in=account_ids).order_by("id"):
        entries[row.account_id].append(
            Entry(
                entry_id=row.pk,
                kind=EntryKind(row.kind),
                entry_date=row.entry_date,
                memo=row.memo,
                cash=tuple(moved[row.pk]),
                share_pockets=frozenset(pockets[row.pk]),
                lot_moves=tuple(lots[row.pk]),
                gains=tuple(sorted(gains[row.pk].items())),
            )
        )
    return entries


def _read_lots(
    account_ids: Sequence[int],
) -> tuple[dict[int, list[LotMove]], dict[int, dict[bool, Decimal]]]:
    """Return by entry what it did to lots, in the order of its doing, and what that gained."""
    moves: dict[int, list[LotMove]] = defaultdict(list)
    gains: dict[int, dict[bool, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
    lots = {lot.pk: lot for lot in models.Lot.objects.filter(account_id__in=account_ids)}

    def add(entry_id: int, lot_id: int, quantity: Decimal, cost: Decimal) -> None:
        lot = lots[lot_id]
        moves[entry_id].append(LotMove(lot_id, lot.security_id, lot.acquired_date, quantity, cost))

    for lot in sorted(lots.values(), key=lambda lot: lot.pk):
        add(lot.opened_by_id, lot.pk, lot.opened_quantity, lot.opened_cost)
    for change in models.LotAdjustment.objects.filter(lot_id__in=lots).order_by("id"):
        add(change.entry_id, change.lot_id, change.quantity, change.cost)
    for row in models.Disposal.objects.filter(lot_id__in=lots).order_by("id"):
        add(row.entry_id, row.lot_id, -row.quantity, -row.cost)
        gains[row.entry_id][row.is_long_term] += row.proceeds - row.cost
    return moves, gains
