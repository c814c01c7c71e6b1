"""What was booked from given sources, line by line: for those who follow a trade to its lots."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Q

from portfolios import models
from robo.common.templatetags import figures


@dataclass(frozen=True, slots=True)
class BookedEntry:
    """One journal entry of an account's books: its transfers, lots and disposals as sentences."""

    entry_id: int
    source: str
    kind: str
    memo: str
    entry_date: date
    recorded_at: datetime
    reverses_id: int | None
    lines: tuple[str, ...]


def list_booked(sources: Sequence[str]) -> list[BookedEntry]:
    """Return the entries of these sources, and those that took them back, oldest first."""
    entries = (
        models.JournalEntry.objects.filter(Q(source__in=sources) | Q(reverses__source__in=sources))
        .prefetch_related("transfers__security", "lots__security", "disposals__lot__security")
        .order_by("id")
    )
    return [
        BookedEntry(
            entry_id=entry.pk,
            source=entry.source,
            kind=entry.kind,
            memo=entry.memo,
            entry_date=entry.entry_date,
            recorded_at=entry.recorded_at,
            reverses_id=entry.reverses_id,
            lines=tuple(_describe(entry)),
        )
        for entry in entries
    ]


def _describe(entry: models.JournalEntry) -> list[str]:
    lines = [
        f"{_amount(transfer)} from {transfer.source_pocket.lower()} "
        f"to {transfer.target_pocket.lower()}"
        for transfer in entry.transfers.all()
    ]
    lines += [
        f"opened lot {lot.pk}: {figures.quantity(lot.opened_quantity)} {lot.security.symbol} "
        f"for {figures.money(lot.opened_cost)}"
        for lot in entry.lots.all()
    ]
    lines += [
        f"sold {figures.quantity(disposal.quantity)} {disposal.lot.security.symbol} of lot "
        f"{disposal.lot_id} of {disposal.lot.acquired_date}: proceeds "
        f"{figures.money(disposal.proceeds)}, cost {figures.money(disposal.cost)}"
        for disposal in entry.disposals.all()
    ]
    return lines


def _amount(transfer: models.Transfer) -> str:
    if transfer.security is None:
        return f"{transfer.currency} {figures.money(transfer.quantity)}"
    return f"{figures.quantity(transfer.quantity)} {transfer.security.symbol}"
