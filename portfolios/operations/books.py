"""The events that people cause in an account's books: openings, deposits and withdrawals."""

import uuid
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from django.db import transaction

from accounts.domain.roles import TaxStatus
from accounts.operations import people
from accounts.operations.audit import record_audit_entry
from accounts.queries import people as people_queries
from portfolios import models
from portfolios.domain import ledger
from portfolios.domain.kinds import EntryKind, Pocket
from portfolios.domain.lots import OpeningLot
from portfolios.domain.money import CENT, ZERO
from portfolios.operations.entries import BookEvent, lock_books, write_events
from portfolios.operations.entries import BooksDisagree as BooksDisagree
from portfolios.operations.fills import FillToBook as FillToBook
from portfolios.operations.fills import book_fills as book_fills
from robo.common.errors import Conflict, Refused


class NotEnoughCash(Refused):
    """The account does not hold the cash that was asked for."""


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

    `reserved` is cash that must stay: orders under way will take it, or it has not settled yet.

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
        bound = f", {reserved:,.2f} of it under way or not settled yet" if reserved else ""
        raise NotEnoughCash(
            f"The account holds {balance.amount:,.2f} in cash{bound}, less than {amount:,.2f}."
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
