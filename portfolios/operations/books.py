"""Every event of the books: openings, deposits, withdrawals, dividends and fills."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db import transaction

from accounts.domain.roles import TaxStatus
from accounts.operations import people
from accounts.operations.audit import record_audit_entry
from accounts.queries import people as people_queries
from portfolios import models
from portfolios.domain import ledger
from portfolios.domain.kinds import EntryKind, Pocket, Side
from portfolios.domain.lots import Lot, LotUse, NotEnoughShares, OpeningLot, use_lots
from portfolios.domain.money import CENT, ZERO
from portfolios.operations.entries import BookEvent, lock_books, write_events
from robo.common.errors import Conflict, Refused


class NotEnoughCash(Refused):
    """The account does not hold the cash that was asked for."""


class BooksDisagree(Exception):
    """A fill does not fit the books it should change; nothing of it was booked."""


@dataclass(frozen=True, slots=True)
class FillToBook:
    """An execution as the books need it; `picks` are (lot id, quantity) of a sale, in order."""

    source: str
    account_id: int
    security_id: int
    side: Side
    quantity: Decimal
    amount: Decimal
    fill_date: date
    picks: tuple[tuple[int, Decimal], ...] = ()
    memo: str = ""


@transaction.atomic
def open_account(
    *,
    household_id: int,
    name: str,
    number: str,
    custodian: str,
    tax_status: TaxStatus,
    is_discretionary: bool,
    opened_date: date,
    actor_id: int,
) -> int:
    """Open a client account with empty books; return its id."""
    account = people.open_account(
        household_id=household_id,
        name=name,
        number=number,
        custodian=custodian,
        tax_status=tax_status,
        is_discretionary=is_discretionary,
        opened_date=opened_date,
        actor_id=actor_id,
    )
    models.CashBalance.objects.create(account_id=account.pk)
    return account.pk


@transaction.atomic
def book_opening(
    *,
    account_id: int,
    entry_date: date,
    source: str,
    cash: Decimal,
    lots: Sequence[OpeningLot],
    actor_id: int,
    memo: str = "",
) -> models.JournalEntry:
    """Book what an account already held when it was taken on; the same `source` books once.

    :raises Conflict: when the account's books are not empty.
    """
    balance = lock_books([account_id])[account_id]
    booked = models.JournalEntry.objects.filter(source=source).first()
    if booked is not None:
        return booked
    if balance.books_version:
        raise Conflict("This account's books are already open.")
    currency = _currency_of(account_id)
    moves = [
        ledger.Transfer(
            Pocket.OPENING,
            Pocket.SECURITIES,
            lot.quantity,
            ledger.Unit(security_id=lot.security_id),
        )
        for lot in lots
    ]
    if cash:
        moves.append(
            ledger.transfer_for_cash(pocket=Pocket.OPENING, amount=cash, currency=currency)
        )
    event = BookEvent(
        account_id=account_id,
        kind=EntryKind.OPENING,
        entry_date=entry_date,
        source=source,
        memo=memo,
        transfers=tuple(moves),
        opened_lots=tuple(lots),
    )
    [entry] = write_events([event])
    _audit_cash(entry, actor_id, "portfolios.account.opened", f"Took on {len(lots)} lots")
    return entry


def deposit_cash(
    *, account_id: int, amount: Decimal, entry_date: date, token: uuid.UUID, actor_id: int
) -> models.JournalEntry:
    """Book money that came from the client; the same `token` books once.

    :raises Refused: when the amount is not a positive number of cents.
    """
    return _move_cash(
        account_id=account_id,
        amount=amount,
        kind=EntryKind.DEPOSIT,
        entry_date=entry_date,
        token=token,
        actor_id=actor_id,
    )


def withdraw_cash(
    *,
    account_id: int,
    amount: Decimal,
    entry_date: date,
    token: uuid.UUID,
    actor_id: int,
    reserved: Decimal = ZERO,
) -> models.JournalEntry:
    """Book money that went to the client; the same `token` books once.

    `reserved` is cash that orders under way will take, which must stay.

    :raises NotEnoughCash: naming what is there.
    :raises Refused: when the amount is not a positive number of cents.
    """
    return _move_cash(
        account_id=account_id,
        amount=amount,
        kind=EntryKind.WITHDRAWAL,
        entry_date=entry_date,
        token=token,
        actor_id=actor_id,
        reserved=reserved,
    )


@transaction.atomic
def _move_cash(
    *,
    account_id: int,
    amount: Decimal,
    kind: EntryKind,
    entry_date: date,
    token: uuid.UUID,
    actor_id: int,
    reserved: Decimal = ZERO,
) -> models.JournalEntry:
    if not amount.is_finite() or amount <= 0 or amount != amount.quantize(CENT):
        raise Refused(f"{amount} is not a positive amount in cents.")
    balance = lock_books([account_id])[account_id]
    source = f"{kind.lower()}:{token}"
    booked = models.JournalEntry.objects.filter(source=source).first()
    if booked is not None:
        if booked.account_id != account_id or booked.transfers.get().quantity != amount:
            raise Conflict("This form was already used to move other money. Open the page again.")
        return booked
    if kind is EntryKind.WITHDRAWAL and amount > balance.amount - reserved:
        under_way = f", {reserved:,.2f} of it for orders under way" if reserved else ""
        raise NotEnoughCash(
            f"The account holds {balance.amount:,.2f} in cash{under_way}, less than {amount:,.2f}."
        )
    signed = amount if kind is EntryKind.DEPOSIT else -amount
    event = BookEvent(
        account_id=account_id,
        kind=kind,
        entry_date=entry_date,
        source=source,
        memo="",
        transfers=(
            ledger.transfer_for_cash(
                pocket=Pocket.EXTERNAL, amount=signed, currency=_currency_of(account_id)
            ),
        ),
    )
    [entry] = write_events([event])
    _audit_cash(
        entry, actor_id, f"portfolios.cash.{kind.lower()}", f"{kind.title()} of {amount:,.2f}"
    )
    return entry


@transaction.atomic
def book_dividend(
    *, security_id: int, ex_date: date, amount_per_share: Decimal, currency: str
) -> int:
    """Book a cash dividend to everyone who holds the security; return how many accounts got one.

    Paid on what is held as it is booked, under the ex-date; safe to repeat.
    """
    holders = list(
        models.Holding.objects.filter(security_id=security_id, quantity__gt=0)
        .order_by("account_id")
        .values_list("account_id", flat=True)
    )
    lock_books(holders)
    source = f"dividend:{security_id}:{ex_date.isoformat()}"
    paid = set(
        models.JournalEntry.objects.filter(
            account_id__in=holders, source__startswith=f"{source}:"
        ).values_list("account_id", flat=True)
    )
    symbol = models.Security.objects.values_list("symbol", flat=True).get(pk=security_id)
    events = []
    for holding in models.Holding.objects.filter(security_id=security_id, account_id__in=holders):
        amount = (holding.quantity * amount_per_share).quantize(CENT)
        if amount <= 0 or holding.account_id in paid:
            continue
        events.append(
            BookEvent(
                account_id=holding.account_id,
                kind=EntryKind.DIVIDEND,
                entry_date=ex_date,
                source=f"{source}:{holding.account_id}",
                memo=f"{symbol} pays {amount_per_share} a share",
                transfers=(
                    ledger.transfer_for_cash(
                        pocket=Pocket.INCOME, amount=amount, currency=currency
                    ),
                ),
            )
        )
    write_events(events)
    return len(events)


def book_fills(*, fills: Sequence[FillToBook], currency: str) -> None:
    """Book executions: transfers, lots, disposals and running totals, in a fixed number of queries.

    Must run in the transaction that records the fills: neither exists without the other.

    :raises BooksDisagree: when a sale asks for shares that its lots do not hold, or a buy for cash
        that is not there.
    """
    balances = lock_books(sorted({fill.account_id for fill in fills}))
    lot_ids = {lot_id for fill in fills for lot_id, _quantity in fill.picks}
    rows = models.Lot.objects.filter(pk__in=lot_ids)
    left = {row.pk: Lot(row.pk, row.quantity, row.cost, row.acquired_date) for row in rows}
    owners = {row.pk: (row.account_id, row.security_id) for row in rows}
    cash = {account_id: balance.amount for account_id, balance in balances.items()}
    events = []
    for fill in fills:
        uses: tuple[LotUse, ...] = ()
        opened: tuple[OpeningLot, ...] = ()
        if fill.side is Side.SELL:
            if any(owners.get(pk) != (fill.account_id, fill.security_id) for pk, _q in fill.picks):
                raise BooksDisagree(f"{fill.source}: a lot is not this account's and security's")
            uses = _use_picks(fill, left)
            cash[fill.account_id] += fill.amount
        else:
            cash[fill.account_id] -= fill.amount
            opened = (OpeningLot(fill.security_id, fill.quantity, fill.amount, fill.fill_date),)
        if cash[fill.account_id] < 0:
            raise BooksDisagree(f"{fill.source} would overdraw account {fill.account_id}")
        events.append(
            BookEvent(
                account_id=fill.account_id,
                kind=EntryKind(fill.side),
                entry_date=fill.fill_date,
                source=fill.source,
                memo=fill.memo,
                transfers=ledger.transfers_for_trade(
                    side=fill.side,
                    security_id=fill.security_id,
                    quantity=fill.quantity,
                    amount=fill.amount,
                    currency=currency,
                ),
                opened_lots=opened,
                lot_uses=uses,
            )
        )
    write_events(events)


def _use_picks(fill: FillToBook, left: dict[int, Lot]) -> tuple[LotUse, ...]:
    if sum((quantity for _lot, quantity in fill.picks), ZERO) != fill.quantity:
        raise BooksDisagree(f"{fill.source}: the lots named do not add up to {fill.quantity}")
    try:
        uses = use_lots(
            picks=[(left[lot_id], quantity) for lot_id, quantity in fill.picks],
            proceeds=fill.amount,
            sold_date=fill.fill_date,
        )
    except (KeyError, NotEnoughShares) as error:
        raise BooksDisagree(f"{fill.source}: {error}") from error
    for use in uses:
        lot = left[use.lot_id]
        left[use.lot_id] = Lot(
            lot.lot_id, lot.quantity - use.quantity, lot.cost - use.cost, lot.acquired_date
        )
    return uses


def _currency_of(account_id: int) -> str:
    return people_queries.get_account(account_id).firm.currency


def _audit_cash(entry: models.JournalEntry, actor_id: int, action: str, summary: str) -> None:
    account = people_queries.get_account(entry.account_id)
    record_audit_entry(
        firm_id=account.firm_id,
        actor_id=actor_id,
        household_id=account.household_id,
        action=action,
        object_id=str(account.public_id),
        summary=f"{summary}: {account.name}",
        detail={"entry": entry.pk},
    )
