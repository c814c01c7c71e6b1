"""Money that an account must have ready by a date: announced, and later settled."""

from datetime import date
from decimal import Decimal

from django.db import transaction

from accounts import models
from accounts.operations.audit import record_audit_entry
from robo.common.errors import Conflict, Refused
from robo.common.fields import NUMBER_LIMIT

CENT = Decimal("0.01")
PURPOSE_LENGTH_MAX = 120


class CashNeedRefused(Refused):
    """The need has no amount that can be paid, or no purpose."""


class CashNeedAlreadySettled(Conflict):
    """The money was paid out, or the need withdrawn, before."""


@transaction.atomic
def add_cash_need(
    *, account_id: int, amount: Decimal, due_date: date, purpose: str, actor_id: int
) -> models.CashNeed:
    """Announce that an account must have so much money, in its currency, ready by a date.

    :raises CashNeedRefused: when the amount is not above zero to the cent, the purpose is missing,
        or the account is closed.
    """
    purpose = purpose.strip()
    if not amount.is_finite() or not 0 < amount < NUMBER_LIMIT or amount % CENT:
        raise CashNeedRefused(f"{amount} is not an amount of money above zero.")
    if not purpose or len(purpose) > PURPOSE_LENGTH_MAX or not purpose.isprintable():
        raise CashNeedRefused("Say in a few words what the money is for.")
    account = models.Account.objects.select_for_update(no_key=True).get(pk=account_id)
    if not account.is_open:
        raise CashNeedRefused(f"The account {account.name} is closed.")
    need = models.CashNeed.objects.create(
        account=account, amount=amount, due_date=due_date, purpose=purpose
    )
    summary = f"{need.amount:,.2f} to be ready by {due_date.isoformat()}: {purpose}"
    _record(need, account, actor_id, "added", summary)
    return need


@transaction.atomic
def settle_cash_need(*, cash_need_id: int, actor_id: int) -> models.CashNeed:
    """Mark a cash need as met, so that no more money is kept back for it.

    :raises CashNeedAlreadySettled: when that was done before.
    """
    need = (
        models.CashNeed.objects.select_for_update(no_key=True, of=("self",))
        .select_related("account")
        .get(pk=cash_need_id)
    )
    if need.is_settled:
        raise CashNeedAlreadySettled(f"“{need.purpose}” has been settled already.")
    need.is_settled = True
    need.save(update_fields=["is_settled"])
    _record(need, need.account, actor_id, "settled", f"{need.amount:,.2f} settled: {need.purpose}")
    return need


def _record(
    need: models.CashNeed, account: models.Account, actor_id: int, event: str, summary: str
) -> None:
    record_audit_entry(
        firm_id=account.firm_id,
        actor_id=actor_id,
        household_id=account.household_id,
        action=f"accounts.cash_need.{event}",
        object_id=str(need.pk),
        summary=f"{account.name}: {summary}",
        detail={"amount": f"{need.amount:.2f}", "due_date": need.due_date.isoformat()},
    )
