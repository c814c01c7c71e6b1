"""Corporate actions: recorded by one person, confirmed by another, booked when their day comes.

A wrong one would change what every client holds, so nobody brings one about alone.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from accounts.domain.permissions import Permission, role_holds
from accounts.operations.audit import record_audit_entry
from accounts.queries import people
from portfolios import models
from portfolios.domain import ledger
from portfolios.domain.corporate_actions import SPLITS, expect_price, scale_quantity
from portfolios.domain.kinds import ActionKind, ActionStatus, EntryKind, Side
from portfolios.domain.lots import Lot, use_lots
from portfolios.domain.money import ZERO, round_money, round_price
from portfolios.domain.symbols import is_symbol
from portfolios.operations.dividends import book_dividend
from portfolios.operations.entries import (
    BookEvent,
    BooksDisagree,
    list_closed_dates,
    lock_books,
    write_events,
)
from portfolios.operations.splits import SplitTerms, book_split
from portfolios.queries.corporate_actions import (
    describe_action,
    describe_in_words,
    list_due_actions,
    load_actions,
)
from robo.common.errors import Conflict, NotAllowed, Refused

logger = logging.getLogger(__name__)

RATIO_MAX = 1_000_000
CASH_MAX = Decimal(1_000_000)
SOURCE_LENGTH_MAX = 120
# What is put on record later than this after its day is more likely a slip of the year.
PAST_DAYS_MAX, FUTURE_DAYS_MAX = 366, 732


class ActionRefused(Refused):
    """What was said of a corporate action does not hold; the text names the culprit."""


@dataclass(frozen=True, slots=True)
class ActionDetails:
    """What a company announced; `effective_date` of a dividend is the ex-date."""

    security_id: int
    kind: ActionKind
    effective_date: date
    pay_date: date | None = None
    new_shares: int | None = None
    old_shares: int | None = None
    new_symbol: str = ""
    cash_per_share: Decimal | None = None
    source: str = ""


# --- On record -----------------------------------------------------------------------------------


@transaction.atomic
def record_action(
    *, firm_id: int, details: ActionDetails, market_date: date, actor_id: int
) -> models.CorporateAction:
    """Put a corporate action on record; nothing is booked until somebody else has confirmed it.

    :raises ActionRefused: naming what is wrong with it.
    :raises Conflict: when the same is on record already, or a later split is booked.
    """
    security = (
        models.Security.objects.select_for_update(no_key=True)
        .filter(pk=details.security_id, firm_id=firm_id)
        .first()
    )
    if security is None:
        raise ActionRefused("This security is not on your list.")
    _check_dates(details, market_date)
    _TERMS[details.kind](details, security)
    _check_order(details, security)
    try:
        with transaction.atomic():
            row = models.CorporateAction.objects.create(
                firm_id=firm_id,
                security=security,
                kind=details.kind,
                effective_date=details.effective_date,
                pay_date=details.pay_date or details.effective_date,
                new_shares=details.new_shares,
                old_shares=details.old_shares,
                old_symbol=security.symbol,
                new_symbol=details.new_symbol,
                cash_per_share=details.cash_per_share,
                source=details.source.strip()[:SOURCE_LENGTH_MAX],
                recorded_by_id=actor_id,
            )
    except IntegrityError as error:
        raise Conflict(
            f"{security.symbol} has an action of this kind on {details.effective_date} already."
        ) from error
    row.refresh_from_db()
    _audit(row, actor_id, "recorded")
    return row


@transaction.atomic
def confirm_action(*, action_id: int, actor_id: int) -> None:
    """Confirm, as the second person, what somebody recorded: it is booked when its day comes.

    :raises NotAllowed: for whoever recorded it, and those who may not.
    :raises Conflict: when it was confirmed or withdrawn meanwhile.
    """
    row = (
        models.CorporateAction.objects.select_for_update(of=["self"])
        .select_related("security")
        .get(pk=action_id)
    )
    user = people.get_user(actor_id)
    if user.firm_id != row.firm_id or not role_holds(user.role, Permission.CONFIRM_ACTIONS):
        raise NotAllowed("Only a supervisor or an admin may confirm a corporate action.")
    if row.recorded_by_id == actor_id:
        raise NotAllowed("You recorded this action, so somebody else must confirm it.")
    if row.status != ActionStatus.RECORDED:
        raise Conflict(f"This action is {row.status.lower()} already.")
    row.status, row.confirmed_by_id = ActionStatus.ANNOUNCED, actor_id
    row.confirmed_at = Now()
    row.save(update_fields=["status", "confirmed_by", "confirmed_at"])
    _audit(row, actor_id, "confirmed")


@transaction.atomic
def withdraw_action(*, action_id: int, actor_id: int) -> None:
    """Take back an announcement that was wrong, before it is applied.

    :raises Conflict: when it was applied or withdrawn meanwhile.
    """
    row = models.CorporateAction.objects.select_for_update().get(pk=action_id)
    if row.status not in (ActionStatus.RECORDED, ActionStatus.ANNOUNCED):
        raise Conflict(f"This action is {row.status.lower()} already.")
    row.status = ActionStatus.WITHDRAWN
    row.save(update_fields=["status"])
    _audit(row, actor_id, "withdrawn")


def _check_dates(details: ActionDetails, market_date: date) -> None:
    first = market_date - timedelta(days=PAST_DAYS_MAX)
    last = market_date + timedelta(days=FUTURE_DAYS_MAX)
    pay_date = details.pay_date or details.effective_date
    for day in (details.effective_date, pay_date):
        if not first <= day <= last:
            raise ActionRefused(f"{day} is not between {first} and {last}: is the year right?")
    if pay_date < details.effective_date:
        raise ActionRefused(f"It cannot pay on {pay_date}, before {details.effective_date}.")


def _check_ratio(details: ActionDetails, _security: models.Security) -> None:
    new, old = details.new_shares, details.old_shares
    if not new or not old or not (0 < new <= RATIO_MAX and 0 < old <= RATIO_MAX):
        raise ActionRefused("A split needs two whole numbers: new shares for old shares.")
    if details.kind is ActionKind.SPLIT and new <= old:
        raise ActionRefused(f"{new} for {old} gives no more shares: is it a reverse split?")
    if details.kind is ActionKind.REVERSE_SPLIT and new >= old:
        raise ActionRefused(f"{new} for {old} gives no fewer shares: is it a split?")
    _check_silent(details, "cash_per_share", "new_symbol")


def _check_symbol(details: ActionDetails, security: models.Security) -> None:
    if not is_symbol(details.new_symbol) or details.new_symbol == security.symbol:
        raise ActionRefused(f"{details.new_symbol!r} cannot be the new symbol.")
    _check_free(details.new_symbol, security)
    _check_silent(details, "cash_per_share", "new_shares", "old_shares")


def _check_free(symbol: str, security: models.Security) -> None:
    if models.Security.objects.filter(firm_id=security.firm_id, symbol=symbol).exists():
        raise ActionRefused(f"{symbol} is the symbol of another of your securities.")


def _check_cash(details: ActionDetails, _security: models.Security) -> None:
    cash = details.cash_per_share
    if cash is None or not cash.is_finite() or not 0 < cash <= CASH_MAX:
        raise ActionRefused("Say how much cash a share is paid, above zero.")
    if cash != round_price(cash):
        raise ActionRefused(f"{cash} has more than six decimal places.")
    _check_silent(details, "new_symbol", "new_shares", "old_shares")


def _check_end(details: ActionDetails, _security: models.Security) -> None:
    _check_silent(details, "cash_per_share", "new_symbol", "new_shares", "old_shares")


def _check_silent(details: ActionDetails, *fields: str) -> None:
    for field in fields:
        if getattr(details, field):
            words = details.kind.replace("_", " ").lower()
            raise ActionRefused(f"A {words} has no {field.replace('_', ' ')}.")


_TERMS: dict[ActionKind, Callable[[ActionDetails, models.Security], None]] = {
    ActionKind.SPLIT: _check_ratio,
    ActionKind.REVERSE_SPLIT: _check_ratio,
    ActionKind.SYMBOL_CHANGE: _check_symbol,
    ActionKind.CASH_DIVIDEND: _check_cash,
    ActionKind.CASH_MERGER: _check_cash,
    ActionKind.DELISTING: _check_end,
}


def _check_order(details: ActionDetails, security: models.Security) -> None:
    """Splits are booked in order of their days: shares are counted in the units of the last."""
    later = models.CorporateAction.objects.filter(
        security=security,
        kind__in=SPLITS,
        status=ActionStatus.APPLIED,
        effective_date__gte=details.effective_date,
    )
    if details.kind in SPLITS and later.exists():
        raise Conflict(f"A later split of {security.symbol} is booked already.")


# --- In the books --------------------------------------------------------------------------------


def apply_actions(*, firm_id: int, on_date: date) -> int:
    """Book every confirmed action whose day has come; return how many were. Safe to repeat.

    Each is one transaction. One that cannot be booked is left for people, and holds up no other.
    """
    applied = 0
    for action_id in list_due_actions(firm_id, on_date).values_list("id", flat=True):
        try:
            applied += _apply(action_id, on_date)
        except (Refused, BooksDisagree):
            logger.exception("corporate action %s waits for a person", action_id)
    return applied


@transaction.atomic
def _apply(action_id: int, on_date: date) -> bool:
    row = (
        models.CorporateAction.objects.select_for_update(of=["self"])
        .select_related("security", "firm")
        .get(pk=action_id)
    )
    if row.status != ActionStatus.ANNOUNCED:
        return False
    count = _APPLYING[ActionKind(row.kind)](row, on_date)
    row.status, row.applied_at = ActionStatus.APPLIED, Now()
    row.save(update_fields=["status", "applied_at"])
    _audit(row, people.get_service_user(row.firm_id).pk, "applied", count)
    return True


def _apply_split(row: models.CorporateAction, on_date: date) -> int:
    terms = SplitTerms(
        source=f"action:{row.public_id}",
        action=describe_action(row),
        words=_sentence(row),
        currency=row.firm.currency,
        share_step=row.security.share_step,
        price=_find_price_after(row, on_date),
    )
    count = book_split(terms, _choose_days(row, _lock_holders(row)))
    if row.security.daily_volume is not None:
        ratio = terms.action.ratio
        row.security.daily_volume = scale_quantity(row.security.daily_volume, ratio)
        row.security.save(update_fields=["daily_volume"])
    return count


def _find_price_after(row: models.CorporateAction, on_date: date) -> Decimal | None:
    """Return the newest price in shares of after the split, for what is paid in lieu of a fraction.

    The price nearest to the split itself counts: its own day's, else the last before it.
    """
    prices = models.Price.objects.filter(security=row.security, price_date__lte=on_date)
    found = (
        prices.filter(price_date__gte=row.effective_date).order_by("price_date").first()
        or prices.filter(price_date__lt=row.effective_date).order_by("-price_date").first()
    )
    if found is None:
        return None
    actions = load_actions(security_ids=[row.security_id])[row.security_id]
    return expect_price(
        found.price,
        actions,
        price_date=found.price_date,
        until=max(found.price_date, row.effective_date),
    )


def _apply_symbol(row: models.CorporateAction, _on_date: date) -> int:
    _check_free(row.new_symbol, row.security)
    row.security.symbol = row.new_symbol
    row.security.save(update_fields=["symbol"])
    return 0


def _apply_dividend(row: models.CorporateAction, _on_date: date) -> int:
    return book_dividend(
        security_id=row.security_id,
        ex_date=row.effective_date,
        amount_per_share=row.cash_per_share or ZERO,
        currency=row.firm.currency,
        pay_date=row.pay_date,
    )


def _apply_merger(row: models.CorporateAction, _on_date: date) -> int:
    days = _choose_days(row, _lock_holders(row))
    lots: dict[int, list[Lot]] = {account_id: [] for account_id in days}
    for lot in models.Lot.objects.filter(
        account_id__in=days, security_id=row.security_id, quantity__gt=0
    ).order_by("id"):
        lots[lot.account_id].append(Lot(lot.pk, lot.quantity, lot.cost, lot.acquired_date))
    write_events(
        [_buy_out(row, account_id, held, days[account_id]) for account_id, held in lots.items()]
    )
    _apply_end(row, _on_date)
    return len(lots)


def _buy_out(
    row: models.CorporateAction, account_id: int, lots: Sequence[Lot], entry_date: date
) -> BookEvent:
    quantity = sum((lot.quantity for lot in lots), ZERO)
    proceeds = round_money(quantity * (row.cash_per_share or ZERO))
    return BookEvent(
        account_id=account_id,
        kind=EntryKind.MERGER,
        entry_date=entry_date,
        source=f"action:{row.public_id}:{account_id}",
        memo=_sentence(row),
        transfers=ledger.transfers_for_trade(
            side=Side.SELL,
            security_id=row.security_id,
            quantity=quantity,
            amount=proceeds,
            currency=row.firm.currency,
        ),
        lot_uses=use_lots(
            picks=[(lot, lot.quantity) for lot in lots], proceeds=proceeds, sold_date=entry_date
        ),
    )


def _apply_end(row: models.CorporateAction, _on_date: date) -> int:
    row.security.is_active = False
    row.security.save(update_fields=["is_active"])
    return 0


_APPLYING: dict[ActionKind, Callable[[models.CorporateAction, date], int]] = {
    ActionKind.SPLIT: _apply_split,
    ActionKind.REVERSE_SPLIT: _apply_split,
    ActionKind.SYMBOL_CHANGE: _apply_symbol,
    ActionKind.CASH_DIVIDEND: _apply_dividend,
    ActionKind.CASH_MERGER: _apply_merger,
    ActionKind.DELISTING: _apply_end,
}


def _lock_holders(row: models.CorporateAction) -> list[int]:
    """Lock the books of everybody who holds the security, and return those who still do."""
    holders = models.Holding.objects.filter(security_id=row.security_id, quantity__gt=0).order_by(
        "account_id"
    )
    lock_books(list(holders.values_list("account_id", flat=True)))
    return list(holders.values_list("account_id", flat=True))


def _choose_days(row: models.CorporateAction, account_ids: Sequence[int]) -> dict[int, date]:
    """Return the day to book it under by account: its own, or the first after a closed period."""
    closed = list_closed_dates(account_ids)
    return {
        key: max(row.effective_date, closed[key] + timedelta(days=1))
        if key in closed
        else row.effective_date
        for key in account_ids
    }


def _sentence(row: models.CorporateAction) -> str:
    return describe_in_words(row)[:200]


def _audit(
    row: models.CorporateAction, actor_id: int, event: str, account_count: int | None = None
) -> None:
    record_audit_entry(
        firm_id=row.firm_id,
        actor_id=actor_id,
        action=f"portfolios.action.{event}",
        object_id=str(row.public_id),
        summary=f"{event.title()}: {describe_in_words(row)}",
        detail={
            "kind": row.kind,
            "effective": row.effective_date.isoformat(),
            "pays": row.pay_date.isoformat(),
            "accounts": account_count,
            "source": row.source,
        },
    )
