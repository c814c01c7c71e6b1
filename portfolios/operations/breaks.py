"""Differences between our books and the broker's word: opened, owned, and closed by an entry."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db import transaction

from accounts.domain.doors import MailKind
from accounts.domain.roles import Role
from accounts.operations.audit import record_audit_entry
from accounts.operations.notices import announce
from accounts.queries import people
from portfolios import models
from portfolios.domain import ledger
from portfolios.domain.kinds import BreakKind, EntryKind, Pocket
from portfolios.domain.lots import Lot, LotChange, OpeningLot, take_from_lots
from portfolios.domain.money import CENT, QUANTITY_STEP, round_money
from portfolios.operations.entries import BookEvent, lock_books, write_events
from portfolios.queries.breaks import get_our_quantity
from robo.common.errors import Conflict, NotAllowed, Refused

# Who may settle a difference with an entry; an advisor may say that both agree again.
ADJUSTING_ROLES = (Role.SUPERVISOR,)
OWNING_ROLES = (Role.ADVISOR, Role.SUPERVISOR)


@dataclass(frozen=True, slots=True)
class Adjustment:
    """How a difference is settled: the day, and what shares that turned up have cost in all."""

    entry_date: date
    cost: Decimal | None = None
    acquired_date: date | None = None


@transaction.atomic
def open_break(
    *,
    account_id: int,
    security_id: int | None,
    kind: BreakKind,
    source: str,
    ours: Decimal,
    theirs: Decimal,
    note: str,
    owner_id: int | None = None,
) -> models.Break:
    """Put a difference on record; while it is open the security (or cash) does not trade.

    The same `source` is open at most once; seen again with other figures, it shows the latest.
    Without `owner_id` it goes to the account's lead advisor, else to a supervisor of the firm.
    """
    # Whoever trades in the account holds this lock: nothing slips in between.
    lock_books([account_id])
    row = models.Break.objects.filter(source=source, closed_at__isnull=True).first()
    if row is not None:
        if (row.our_quantity, row.their_quantity) != (ours, theirs):
            row.our_quantity, row.their_quantity = ours, theirs
            row.save(update_fields=["our_quantity", "their_quantity"])
            _audit(row, None, "seen", f"ours {_plain(ours)}, the broker's {_plain(theirs)}")
        return row
    row = models.Break.objects.create(
        account_id=account_id,
        security_id=security_id,
        kind=kind,
        source=source,
        our_quantity=ours,
        their_quantity=theirs,
        note=note[:300],
        owner_id=owner_id or _find_owner(account_id),
    )
    _audit(row, None, "opened", f"ours {_plain(ours)}, the broker's {_plain(theirs)}: {note}")
    if row.owner_id is not None:
        announce(
            person_ids=[row.owner_id], kind=MailKind.BREAK_OPENED, event=f"{row.pk}:{row.owner_id}"
        )
    return row


@transaction.atomic
def assign_break(*, break_id: int, owner_id: int, user_id: int) -> None:
    """Give a break to somebody of the firm's staff.

    :raises Conflict: when it is closed.
    :raises Refused: when the new owner is not active staff of the firm.
    """
    row = lock_open(break_id)
    owner = people.get_user(owner_id)
    if (
        owner.firm_id != row.account.firm_id
        or not owner.is_active
        or owner.role not in OWNING_ROLES
    ):
        raise Refused(f"{owner.name} cannot own a break: choose an advisor or supervisor.")
    row.owner_id = owner_id
    row.save(update_fields=["owner"])
    announce(person_ids=[owner_id], kind=MailKind.BREAK_OPENED, event=f"{row.pk}:{owner_id}")
    _audit(row, user_id, "assigned", f"to {owner.name}")


@transaction.atomic
def close_break(
    *,
    break_id: int,
    user_id: int,
    note: str,
    now: datetime,
    theirs: Decimal | None = None,
    adjustment: Adjustment | None = None,
) -> models.Break:
    """Close a break: both sides agree again, or an adjustment entry makes our books agree.

    `theirs` is what the broker says now, where that is no longer what it said when last looked at.

    :raises Refused: when the sides differ and no adjustment is given, the adjustment cannot be
        booked, or no reason is given.
    :raises Conflict: when it is closed already, or there is nothing left to adjust.
    :raises NotAllowed: when this person may not adjust books.
    """
    if not note.strip():
        raise Refused("Say how this difference was settled.")
    row = lock_open(break_id)
    theirs = row.their_quantity if theirs is None else theirs
    ours = get_our_quantity(row.account_id, row.security_id)
    entry = None
    if adjustment is not None:
        entry = _adjust(row, theirs - ours, adjustment, user_id)
    elif ours != theirs:
        raise Refused(
            f"Our books hold {_plain(ours)} and the broker {_plain(theirs)} of "
            f"{_name_unit(row)}: book an adjustment, or look at the broker's figure again."
        )
    row.closed_at, row.closed_by_id, row.closing_note = now, user_id, note[:300]
    row.their_quantity, row.closing_entry = theirs, entry
    row.save(
        update_fields=["closed_at", "closed_by", "closing_note", "their_quantity", "closing_entry"]
    )
    _audit(row, user_id, "closed", note)
    return row


def _adjust(
    row: models.Break, missing: Decimal, adjustment: Adjustment, user_id: int
) -> models.JournalEntry:
    """Book what our books lack (or hold too much, below zero) against the broker's."""
    if people.get_user(user_id).role not in ADJUSTING_ROLES:
        raise NotAllowed("Only a supervisor may adjust a client's books.")
    if not missing:
        raise Conflict("There is nothing left to adjust: both sides agree.")
    unit, step = _get_unit(row), CENT if row.security_id is None else QUANTITY_STEP
    if not missing.is_finite() or missing != missing.quantize(step):
        raise Refused(f"{missing} of {_name_unit(row)} cannot be booked.")
    opened: tuple[OpeningLot, ...] = ()
    changes: tuple[LotChange, ...] = ()
    inside = Pocket.CASH if row.security_id is None else Pocket.SECURITIES
    if missing > 0:
        move = ledger.Transfer(Pocket.ADJUSTMENT, inside, missing, unit)
        if row.security_id is not None:
            opened = (_open_lot(row.security_id, missing, adjustment),)
    else:
        _check_there(row, -missing)
        move = ledger.Transfer(inside, Pocket.ADJUSTMENT, -missing, unit)
        if row.security_id is not None:
            changes = _take_shares(row.account_id, row.security_id, -missing)
    [entry] = write_events(
        [
            BookEvent(
                account_id=row.account_id,
                kind=EntryKind.ADJUSTMENT,
                entry_date=adjustment.entry_date,
                source=f"break:{row.public_id}",
                memo=f"Adjusted to the broker's books: {_name_unit(row)}"[:200],
                transfers=(move,),
                opened_lots=opened,
                lot_changes=changes,
            )
        ]
    )
    return entry


def _open_lot(security_id: int, quantity: Decimal, adjustment: Adjustment) -> OpeningLot:
    cost = adjustment.cost
    if cost is None or not cost.is_finite() or cost < 0 or cost != round_money(cost):
        raise Refused("Say what the shares that turned up have cost in all, in cents.")
    acquired = adjustment.acquired_date or adjustment.entry_date
    if acquired > adjustment.entry_date:
        raise Refused(f"Shares cannot be acquired on {acquired}, after they were booked.")
    return OpeningLot(security_id, quantity, cost, acquired)


def _check_there(row: models.Break, quantity: Decimal) -> None:
    ours = get_our_quantity(row.account_id, row.security_id)
    if quantity > ours:
        raise Refused(
            f"The broker's figure is below zero and books cannot be: settle "
            f"{_plain(quantity - ours)} of {_name_unit(row)} with the broker first."
        )


def _take_shares(account_id: int, security_id: int, quantity: Decimal) -> tuple[LotChange, ...]:
    """Return how lots give up shares that the broker does not have, the oldest first."""
    lots = [
        Lot(lot.pk, lot.quantity, lot.cost, lot.acquired_date)
        for lot in models.Lot.objects.filter(
            account_id=account_id, security_id=security_id, quantity__gt=0
        )
    ]
    return tuple(
        LotChange(
            lot.lot_id,
            -taken,
            -lot.cost if taken == lot.quantity else -round_money(lot.cost * taken / lot.quantity),
        )
        for lot, taken in take_from_lots(lots, quantity)
    )


def _find_owner(account_id: int) -> int | None:
    account = people.get_account(account_id)
    lead = people.list_lead_advisors([account.household_id]).get(account.household_id)
    if lead is not None and lead.is_active:
        return lead.pk
    staff = people.list_staff(account.firm_id, ADJUSTING_ROLES)
    return staff[0].pk if staff else None


def lock_open(break_id: int) -> models.Break:
    """Return an open break, its account's books locked until the transaction ends.

    :raises Conflict: when it is closed.
    """
    account_id = models.Break.objects.values_list("account_id", flat=True).get(pk=break_id)
    lock_books([account_id])
    row = models.Break.objects.select_related("account__firm", "security").get(pk=break_id)
    if row.closed_at is not None:
        raise Conflict("This break is closed already.")
    return row


def _get_unit(row: models.Break) -> ledger.Unit:
    if row.security_id is not None:
        return ledger.Unit(security_id=row.security_id)
    return ledger.Unit(currency=row.account.firm.currency)


def _name_unit(row: models.Break) -> str:
    return row.security.symbol if row.security is not None else "cash"


def _plain(quantity: Decimal) -> str:
    return f"{quantity.normalize():,f}"


def _audit(row: models.Break, user_id: int | None, event: str, detail: str) -> None:
    account = people.get_account(row.account_id)
    actor_id = user_id or people.get_service_user(account.firm_id).pk
    record_audit_entry(
        firm_id=account.firm_id,
        actor_id=actor_id,
        household_id=account.household_id,
        action=f"portfolios.break.{event}",
        object_id=str(row.public_id),
        summary=f"Difference with the broker in {_name_unit(row)}, {account.name}: "
        f"{event}, {detail}",
        detail={
            "kind": row.kind,
            "ours": str(row.our_quantity),
            "theirs": str(row.their_quantity),
            "entry": row.closing_entry_id,
        },
    )
