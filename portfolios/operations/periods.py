"""Closing the books through a day: what comes later is booked later."""

from datetime import date

from django.db import transaction
from django.db.models import Max

from accounts.operations.audit import record_audit_entry
from accounts.queries import people
from portfolios import models
from portfolios.operations.entries import list_closed_dates, lock_books
from robo.common.errors import Refused


@transaction.atomic
def close_books(
    *,
    firm_id: int,
    account_id: int | None,
    through_date: date,
    market_date: date,
    actor_id: int,
) -> None:
    """Close the books of an account, or of the whole firm, through a day for good.

    :raises Refused: when that day has not ended, or they are closed that far already.
    """
    if through_date > market_date:
        raise Refused(f"{through_date} has not ended: the market day is {market_date}.")
    # Whoever books into these accounts holds this lock: nothing slips in behind the closing.
    lock_books([account_id] if account_id else people.list_account_ids(firm_id))
    last = _find_last(firm_id, account_id)
    if last is not None and through_date <= last:
        raise Refused(f"These books are closed through {last} already.")
    models.ClosedPeriod.objects.create(
        firm_id=firm_id, account_id=account_id, closed_through=through_date, closed_by_id=actor_id
    )
    account = people.get_account(account_id) if account_id else None
    record_audit_entry(
        firm_id=firm_id,
        actor_id=actor_id,
        household_id=account.household_id if account else None,
        action="portfolios.books.closed",
        object_id=str(account.public_id) if account else str(firm_id),
        summary=f"Closed the books through {through_date}"
        + (f": {account.name}" if account else ""),
        detail={"through": through_date.isoformat()},
    )


def _find_last(firm_id: int, account_id: int | None) -> date | None:
    if account_id is not None:
        return list_closed_dates([account_id]).get(account_id)
    last: date | None = models.ClosedPeriod.objects.filter(
        firm_id=firm_id, account__isnull=True
    ).aggregate(last=Max("closed_through"))["last"]
    return last
