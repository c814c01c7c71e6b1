"""Corrections of the books: an entry is never changed, another takes it back."""

from collections import defaultdict
from datetime import date
from decimal import Decimal

from django.db.models import Sum

from accounts.operations.audit import record_audit_entry
from accounts.queries import people
from portfolios import models
from portfolios.domain import ledger
from portfolios.domain.corporate_actions import multiply_splits, scale_quantity
from portfolios.domain.kinds import EntryKind, Pocket
from portfolios.domain.lots import LotChange, LotUse, UndoneUse
from portfolios.domain.money import ZERO
from portfolios.operations.entries import BookEvent, BooksDisagree, lock_books, write_events
from portfolios.queries.corporate_actions import load_splits

# Corporate actions are corrected by another action, reversals and adjustments by booking anew.
REVERSIBLE = (
    EntryKind.DEPOSIT,
    EntryKind.WITHDRAWAL,
    EntryKind.BUY,
    EntryKind.SELL,
    EntryKind.DIVIDEND,
    EntryKind.REINVEST,
)


def reverse_entry(
    *, entry_id: int, source: str, entry_date: date, memo: str
) -> models.JournalEntry:
    """Take an entry back by another one, in the caller's transaction; the same `source` books once.

    Money and shares go the other way (shares in today's units, where a split came between), a
    purchase takes its lots back, and a sale gives them back what it took.

    :raises BooksDisagree: when the shares were sold on, cash would go below zero, the entry was
        reversed already or is of a kind that cannot be.
    """
    entry = models.JournalEntry.objects.get(pk=entry_id)
    balance = lock_books([entry.account_id])[entry.account_id]
    booked = models.JournalEntry.objects.filter(source=source).first()
    if booked is not None:
        if booked.reverses_id != entry_id:
            raise BooksDisagree(f"{source} is booked already, for something else")
        return booked
    _check_reversible(entry)
    changes, taken = _take_lots_back(entry)
    undone, regained, given = _give_lots_back(entry)
    shares = {key: taken[key] + given[key] for key in {*taken, *given}}
    transfers = ledger.reverse_transfers(_read_transfers(entry), shares)
    _check_cash(entry, balance, transfers)
    [reversal] = write_events(
        [
            BookEvent(
                account_id=entry.account_id,
                kind=EntryKind.REVERSAL,
                entry_date=entry_date,
                source=source,
                memo=memo[:200],
                transfers=transfers,
                lot_changes=(*changes, *regained),
                undone_uses=undone,
                reverses_id=entry.pk,
                # So that what settles later nets out: both legs or none are under way.
                settles_date=entry.settles_date,
            )
        ]
    )
    _audit(entry, reversal)
    return reversal


def _check_reversible(entry: models.JournalEntry) -> None:
    if entry.kind not in REVERSIBLE:
        raise BooksDisagree(f"entry {entry.pk} ({entry.kind}) cannot be reversed")
    if models.JournalEntry.objects.filter(reverses=entry).exists():
        raise BooksDisagree(f"entry {entry.pk} ({entry.source}) was reversed already")


def _take_lots_back(
    entry: models.JournalEntry,
) -> tuple[tuple[LotChange, ...], dict[int, Decimal]]:
    """Return how the lots that an entry opened vanish, and how many shares that is by security."""
    changes: list[LotChange] = []
    shares: dict[int, Decimal] = defaultdict(lambda: ZERO)
    lots = models.Lot.objects.filter(opened_by=entry).select_related("security").order_by("id")
    for lot in lots.annotate(sold=Sum("disposals__quantity")):
        if lot.sold:
            raise BooksDisagree(
                f"entry {entry.pk} ({entry.source}) cannot be reversed: "
                f"{lot.sold.normalize():f} of its {lot.security.symbol} were sold on"
            )
        if not lot.quantity or lot.cost != lot.opened_cost:
            raise BooksDisagree(
                f"entry {entry.pk} ({entry.source}) cannot be reversed: "
                f"its lot of {lot.security.symbol} was adjusted"
            )
        changes.append(LotChange(lot.pk, -lot.quantity, -lot.cost))
        shares[lot.security_id] += lot.quantity
    return tuple(changes), shares


def _give_lots_back(
    entry: models.JournalEntry,
) -> tuple[tuple[UndoneUse, ...], tuple[LotChange, ...], dict[int, Decimal]]:
    """Return what a sale took, what splits since made of it in addition, and shares by security."""
    rows = list(models.Disposal.objects.filter(entry=entry).select_related("lot").order_by("id"))
    splits = load_splits(sorted({row.lot.security_id for row in rows})) if rows else {}
    undone: list[UndoneUse] = []
    extra: list[LotChange] = []
    shares: dict[int, Decimal] = defaultdict(lambda: ZERO)
    for row in rows:
        security_id = row.lot.security_id
        factor = multiply_splits(splits.get(security_id, ()), after=entry.entry_date)
        now = scale_quantity(row.quantity, factor)
        use = LotUse(row.lot_id, row.quantity, row.cost, row.proceeds, row.is_long_term)
        undone.append(UndoneUse(row.pk, use, row.disposed_date))
        if now != row.quantity:
            extra.append(LotChange(row.lot_id, now - row.quantity, ZERO))
        shares[security_id] += now
    return tuple(undone), tuple(extra), shares


def _read_transfers(entry: models.JournalEntry) -> list[ledger.Transfer]:
    return [
        ledger.Transfer(
            Pocket(row.source_pocket),
            Pocket(row.target_pocket),
            row.quantity if row.security_id else row.quantity.quantize(Decimal("0.01")),
            ledger.Unit(row.currency, row.security_id),
        )
        for row in models.Transfer.objects.filter(entry=entry).order_by("id")
    ]


def _check_cash(
    entry: models.JournalEntry,
    balance: models.CashBalance,
    transfers: tuple[ledger.Transfer, ...],
) -> None:
    out = sum((move.quantity for move in transfers if move.source is Pocket.CASH), ZERO)
    if out > balance.amount:
        raise BooksDisagree(
            f"entry {entry.pk} ({entry.source}) cannot be reversed: "
            f"it brought {out:,.2f}, and {balance.amount:,.2f} is left in cash"
        )


def _audit(entry: models.JournalEntry, reversal: models.JournalEntry) -> None:
    account = people.get_account(entry.account_id)
    record_audit_entry(
        firm_id=account.firm_id,
        actor_id=people.get_service_user(account.firm_id).pk,
        household_id=account.household_id,
        action="portfolios.entry.reversed",
        object_id=str(account.public_id),
        summary=f"Took back an entry of {entry.entry_date}: {reversal.memo}",
        detail={"entry": reversal.pk, "reverses": entry.pk, "source": reversal.source},
    )
