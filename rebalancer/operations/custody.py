"""What the paper broker must be told to be a custodian: openings, cash, dividends, splits.

A real broker knows by itself what comes into an account and leaves it; this one knows trades only.
An account is taken on once, at a quiet moment, as our books have it; from then on every entry that
is not a trade is passed on, once. Trades, and what closes a difference, are never passed on: the
broker's word on those is its own.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q

from accounts.queries import people
from portfolios.domain.kinds import EntryKind
from portfolios.domain.money import ZERO
from portfolios.operations.entries import lock_books
from portfolios.queries.custody import Movement, list_movements, load_holdings
from rebalancer import models
from rebalancer.brokers.paper import CustodyTransfer, PaperBroker
from rebalancer.brokers.paper.client import PaperClient
from rebalancer.domain.kinds import BrokerKind
from rebalancer.domain.lifecycle import OPEN_ORDER
from rebalancer.operations.connections import get_broker_kind, get_paper_broker

CASH = ""
BATCH_ACCOUNTS = 500
BATCH_TRANSFERS = 2_000
# A reversal is of the kind of what it takes back.
TOLD = (
    EntryKind.OPENING,
    EntryKind.DEPOSIT,
    EntryKind.WITHDRAWAL,
    EntryKind.DIVIDEND,
    EntryKind.REINVEST,
    EntryKind.SPLIT,
    EntryKind.MERGER,
)

Paper = PaperBroker | PaperClient


def tell_paper_broker(*, firm_id: int) -> int:
    """Tell the paper broker what it does not know of a firm's accounts; return how much was new.

    Nothing is told to a real broker. Safe to repeat, also after a crash at any point.

    :raises BrokerUnavailable: when it does not answer; what was told remains told.
    """
    broker = get_paper_broker()
    if get_broker_kind(firm_id) is not BrokerKind.PAPER or not isinstance(broker, Paper):
        return 0
    _take_on_new(firm_id, broker)
    told = _tell_taken_on(firm_id, broker)
    return told + _tell_entries(firm_id, broker)


# --- Accounts that it does not know yet ----------------------------------------------------------


def _take_on_new(firm_id: int, broker: Paper) -> None:
    known = set(
        models.CustodyCursor.objects.filter(account__firm_id=firm_id).values_list(
            "account_id", flat=True
        )
    )
    numbers = {
        account_id: str(public_id)
        for account_id, (_number, public_id) in people.list_account_numbers(firm_id).items()
        if account_id not in known
    }
    ids = sorted(numbers)
    for start in range(0, len(ids), BATCH_ACCOUNTS):
        _take_on({key: numbers[key] for key in ids[start : start + BATCH_ACCOUNTS]}, broker)


def _take_on(numbers: dict[int, str], broker: Paper) -> None:
    """Write down what these accounts bring along: what our books hold and the broker does not."""
    before = load_holdings(sorted(numbers))
    theirs: dict[tuple[str, str], Decimal] = {
        (row.account_number, row.symbol): row.quantity
        for row in broker.list_positions(list(numbers.values()))
    }
    with transaction.atomic():
        locked = lock_books(sorted(numbers))
        busy = list_busy_accounts(sorted(numbers))
        # Nobody trades in them and nobody has since the broker was asked: both are of one moment.
        quiet = [
            account_id
            for account_id, balance in locked.items()
            if account_id not in busy and balance.books_version == before.versions.get(account_id)
        ]
        ours: dict[int, dict[str, Decimal]] = {key: {CASH: ZERO} for key in quiet}
        for (account_id, security_id), quantity in before.quantities.items():
            if account_id in ours:
                symbol = CASH if security_id is None else before.symbols[security_id]
                ours[account_id][symbol] = quantity
        for (number, symbol), quantity in theirs.items():
            for account_id in quiet:
                if numbers[account_id] == number:
                    ours[account_id][symbol] = ours[account_id].get(symbol, ZERO) - quantity
        models.CustodyCursor.objects.bulk_create(
            [
                models.CustodyCursor(
                    account_id=account_id,
                    taken_on=[[symbol, f"{value:f}"] for symbol, value in sorted(held.items())],
                    told_entry_id=before.last_entry_ids.get(account_id, 0),
                )
                for account_id, held in ours.items()
            ],
            ignore_conflicts=True,
        )


def list_busy_accounts(account_ids: Sequence[int]) -> set[int]:
    """Return the accounts with an order that is not settled between our books and the broker."""
    return set(
        models.Order.objects.filter(is_unsettled(), account_id__in=account_ids).values_list(
            "account_id", flat=True
        )
    )


def is_unsettled() -> Q:
    """Return the condition for orders that broker and books may not yet see alike."""
    not_level = models.Slice.objects.filter(
        block_id=OuterRef("block_id"), submitted_at__isnull=False, is_written_off=False
    ).exclude(broker_quantity=F("filled_quantity"))
    is_open = Q(status__in=OPEN_ORDER, block__isnull=False)
    is_shared = Q(
        block__filled_quantity=F("block__shared_quantity"),
        block__filled_value=F("block__shared_value"),
        block__allocation_sent=F("block__allocation_number"),
    )
    return is_open | Q(block__isnull=False) & (~is_shared | Q(Exists(not_level)))


def _tell_taken_on(firm_id: int, broker: Paper) -> int:
    rows = list(
        models.CustodyCursor.objects.select_related("account").filter(
            account__firm_id=firm_id, is_taken_on=False
        )
    )
    transfers = [
        CustodyTransfer(
            key=f"taken-on:{row.account.public_id}:{symbol}",
            account_number=str(row.account.public_id),
            symbol=symbol,
            quantity=Decimal(quantity),
        )
        for row in rows
        for symbol, quantity in row.taken_on
    ]
    told = _send(transfers, broker)
    for row in rows:
        row.is_taken_on = True
    models.CustodyCursor.objects.bulk_update(rows, ["is_taken_on"])
    return told


# --- What comes and goes afterwards --------------------------------------------------------------


def _tell_entries(firm_id: int, broker: Paper) -> int:
    cursors = {
        row.account_id: row
        for row in models.CustodyCursor.objects.select_related("account").filter(
            account__firm_id=firm_id, is_taken_on=True
        )
    }
    # An account's entries are written under its lock, so its own ids only ever grow.
    after = {account_id: row.told_entry_id for account_id, row in cursors.items()}
    movements, last = list_movements(firm_id=firm_id, after=after, kinds=TOLD)
    moved: dict[tuple[int, str, str], Decimal] = defaultdict(Decimal)
    for move in movements:
        moved[_sort(move)] += move.quantity
    told = _send(
        [
            CustodyTransfer(
                # By its source: a restored database gives the same number to another entry.
                key=f"entry:{cursors[account_id].account.public_id}:{source}:{symbol}",
                account_number=str(cursors[account_id].account.public_id),
                symbol=symbol,
                quantity=quantity,
            )
            for (account_id, source, symbol), quantity in moved.items()
            if quantity
        ],
        broker,
    )
    changed = [cursors[account_id] for account_id in last]
    for row in changed:
        row.told_entry_id = last[row.account_id]
    models.CustodyCursor.objects.bulk_update(changed, ["told_entry_id"])
    return told


def _sort(move: Movement) -> tuple[int, str, str]:
    return move.account_id, move.source, move.symbol


def _send(transfers: Iterable[CustodyTransfer], broker: Paper) -> int:
    wanted = list(transfers)
    return sum(
        broker.transfer_all(wanted[start : start + BATCH_TRANSFERS])
        for start in range(0, len(wanted), BATCH_TRANSFERS)
    )
