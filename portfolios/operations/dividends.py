"""Dividends: paid to whoever held the security before its ex-date, and reinvested where wished."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db import transaction

from accounts.operations.audit import record_audit_entry
from accounts.queries import people
from portfolios import models
from portfolios.domain import ledger
from portfolios.domain.kinds import EntryKind, Pocket, Side
from portfolios.domain.lots import OpeningLot
from portfolios.domain.money import floor_to_step, round_money
from portfolios.operations.entries import BookEvent, list_closed_dates, lock_books, write_events
from portfolios.queries.breaks import list_frozen
from portfolios.queries.dividends import list_holders, list_reinvesting
from portfolios.queries.prices import find_price
from portfolios.queries.taxes import list_recent_losers
from robo.common.errors import Refused


@dataclass(frozen=True, slots=True)
class _Payment:
    """One dividend of one security, as it is booked."""

    security: models.Security
    source: str
    pay_date: date
    amount_per_share: Decimal
    currency: str


@transaction.atomic
def book_dividend(
    *,
    security_id: int,
    ex_date: date,
    amount_per_share: Decimal,
    currency: str,
    pay_date: date | None = None,
) -> int:
    """Book a cash dividend to whoever held the security before `ex_date`; return how many accounts.

    Safe to repeat: an account is paid once for a security and ex-date. It is booked under
    `pay_date`, without one under the ex-date, in a closed period under the first day after it.
    """
    security = models.Security.objects.select_related("firm").get(pk=security_id)
    payment = _Payment(
        security=security,
        source=f"dividend:{security_id}:{ex_date.isoformat()}",
        pay_date=pay_date or ex_date,
        amount_per_share=amount_per_share,
        currency=currency,
    )
    # Locked first, read then: what is held on a past day still changes while fills are booked late.
    lock_books(sorted(list_holders(security_id, ex_date)))
    holders = list_holders(security_id, ex_date)
    paid = set(
        models.JournalEntry.objects.filter(
            account_id__in=holders, source__startswith=f"{payment.source}:"
        ).values_list("account_id", flat=True)
    )
    amounts = {
        account_id: round_money(quantity * amount_per_share)
        for account_id, quantity in holders.items()
        if account_id not in paid
    }
    amounts = {account_id: amount for account_id, amount in amounts.items() if amount > 0}
    closed = list_closed_dates(sorted(amounts))
    days = {
        account_id: max(payment.pay_date, _day_after(closed.get(account_id)))
        for account_id in amounts
    }
    events = [_build_dividend(payment, key, amounts[key], days[key]) for key in sorted(amounts)]
    write_events([*events, *_reinvest(payment, amounts, days)])
    return len(events)


def _day_after(day: date | None) -> date:
    return date.fromordinal(day.toordinal() + 1) if day else date.min


def _build_dividend(
    payment: _Payment, account_id: int, amount: Decimal, entry_date: date
) -> BookEvent:
    return BookEvent(
        account_id=account_id,
        kind=EntryKind.DIVIDEND,
        entry_date=entry_date,
        source=f"{payment.source}:{account_id}",
        memo=f"{payment.security.symbol} pays {payment.amount_per_share.normalize():f} a share",
        transfers=(
            ledger.transfer_for_cash(
                pocket=Pocket.INCOME, amount=amount, currency=payment.currency
            ),
        ),
    )


def _reinvest(
    payment: _Payment, amounts: Mapping[int, Decimal], days: Mapping[int, date]
) -> list[BookEvent]:
    """Return the purchases of accounts that reinvest.

    Cash stays cash where the security does not trade or has no fresh price, where it buys less
    than one share step, and where the household sold the same thing at a loss in the last 30 days:
    the purchase would wash that loss.
    """
    security = payment.security
    wishing = list_reinvesting(security.pk, sorted(amounts))
    found = find_price(security.pk, payment.pay_date)
    if not wishing or not security.is_active or found is None:
        return []
    price_date, price = found
    if (payment.pay_date - price_date).days > security.firm.price_age_days_max:
        return []
    kept_out = {key for key, frozen in list_frozen(wishing) if frozen in (security.pk, None)}
    kept_out |= list_recent_losers(wishing, security.pk, payment.pay_date)
    events = []
    for account_id in wishing:
        quantity = floor_to_step(amounts[account_id] / price, security.share_step)
        cost = round_money(quantity * price)
        if account_id in kept_out or quantity <= 0 or cost <= 0:
            continue
        events.append(
            BookEvent(
                account_id=account_id,
                kind=EntryKind.REINVEST,
                entry_date=days[account_id],
                source=f"reinvest:{payment.source.removeprefix('dividend:')}:{account_id}",
                memo=f"Dividend of {security.symbol} reinvested at {price.normalize():f}",
                transfers=ledger.transfers_for_trade(
                    side=Side.BUY,
                    security_id=security.pk,
                    quantity=quantity,
                    amount=cost,
                    currency=payment.currency,
                ),
                opened_lots=(OpeningLot(security.pk, quantity, cost, days[account_id]),),
            )
        )
    return events


@transaction.atomic
def choose_reinvestment(
    *, account_id: int, security_id: int | None, reinvests: bool | None, actor_id: int
) -> None:
    """Say whether an account's dividends are reinvested: of one security, or of all others.

    With `reinvests` None the choice is withdrawn.

    :raises Refused: when the security is not one of the account's firm.
    """
    account = people.get_account(account_id)
    security = models.Security.objects.filter(pk=security_id).first() if security_id else None
    if security_id and (security is None or security.firm_id != account.firm_id):
        raise Refused("This security is not on your list.")
    lock_books([account_id])
    choices = models.ReinvestmentChoice.objects.filter(account_id=account_id, security=security)
    if reinvests is None:
        choices.delete()
    elif not choices.update(reinvests=reinvests):
        models.ReinvestmentChoice.objects.create(
            account_id=account_id, security=security, reinvests=reinvests
        )
    words = {True: "are reinvested", False: "stay in cash", None: "follow the general choice"}
    record_audit_entry(
        firm_id=account.firm_id,
        actor_id=actor_id,
        household_id=account.household_id,
        action="portfolios.reinvestment.chosen",
        object_id=str(account.public_id),
        summary=f"Dividends of {security.symbol if security else 'all securities'} "
        f"{words[reinvests]}: {account.name}",
        detail={"security": security_id, "reinvests": reinvests},
    )
