"""Reads of the controls: which limits hold, what was used of them, which switches are on."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from portfolios.queries import books, settlement
from rebalancer import models
from rebalancer.domain.kinds import AUTOMATIC
from rebalancer.domain.limits import (
    DEFAULTS,
    FIELD_NAMES,
    Limits,
    LimitStatus,
    Use,
    find_wait,
)
from robo.common.market_calendar import (
    UnknownExchange,
    get_last_known_session,
    get_local_date,
    get_session_hours,
    list_sessions_after,
)

if TYPE_CHECKING:
    from accounts.models import Firm

CALENDAR_ALARM = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Day:
    """A firm's trading day: which it is, its limits, and why nothing goes now, if so."""

    session_date: date
    limits: Limits
    wait: str


def find_session(firm: "Firm", limits: Limits, now: datetime) -> Day:
    """Return a firm's trading day at `now`, and why nothing may be sent, if so.

    A simulated firm lives on its own date, open at any hour. Otherwise the exchange's own hours
    count; a day, or an exchange, that no calendar knows is closed.
    """
    if firm.simulated_date is not None:
        return Day(firm.simulated_date, limits, "")
    try:
        today = get_local_date(firm.exchange, now)
        hours = get_session_hours(firm.exchange, today)
    except UnknownExchange as error:
        return Day(now.date(), limits, f"{str(error).capitalize()}.")
    return Day(
        today, limits, find_wait(now=now, hours=hours, limits=limits, exchange=firm.exchange)
    )


def get_limits(firm_ids: Collection[int]) -> dict[int, Limits]:
    """Return the limits in force of each of these firms; the defaults where none were set."""
    found = dict.fromkeys(firm_ids, DEFAULTS)
    for row in models.LimitSet.objects.filter(
        firm_id__in=list(firm_ids), status=LimitStatus.IN_FORCE
    ):
        found[row.firm_id] = read_limits(row)
    return found


def read_limits(row: models.LimitSet) -> Limits:
    """Return a stored revision as the rules take it."""
    return Limits(**{name: getattr(row, name) for name in FIELD_NAMES})


def find_payment_date(*, exchange: str, trade_date: date, limits: Limits) -> date:
    """Return when a trade of that day settles: what settles by then may pay for a buy."""
    sessions = list_sessions_after(exchange, trade_date, limits.settlement_days)
    return sessions[-1] if sessions else trade_date


def measure_settled_cash(*, account_ids: Sequence[int], on_date: date) -> dict[int, Decimal]:
    """Return the cash of each account that is really there on a day.

    That is its cash less the proceeds of sales that settle later. Ask for the day on which the
    money is needed: today for a withdrawal, the settlement date (`find_payment_date`) for a buy.
    """
    unsettled = settlement.measure_unsettled_proceeds(account_ids=account_ids, on_date=on_date)
    return {
        account_id: cash - unsettled.get(account_id, Decimal(0))
        for account_id, (cash, _version) in books.get_cash(account_ids).items()
    }


def list_cooling(*, firm_id: int, session_date: date) -> set[int]:
    """Return the firm's accounts that were rebalanced of themselves too lately for another time."""
    limits = get_limits([firm_id])[firm_id]
    if not limits.cool_down_days:
        return set()
    rows = models.EnteredOrder.objects.filter(
        firm_id=firm_id,
        session_date__gt=session_date - timedelta(days=limits.cool_down_days),
        session_date__lte=session_date,
        order__proposal__origin_check__cause__in=AUTOMATIC,
    )
    return set(rows.values_list("account_id", flat=True))


def get_use(*, firm_id: int, session_date: date) -> Use:
    """Return what the firm as a whole has entered on a day."""
    row = models.LimitUse.objects.filter(
        firm_id=firm_id, account__isnull=True, session_date=session_date
    ).first()
    return Use() if row is None else Use(row.amount, row.order_count, row.realised_gain)


def describe_limits(firm: "Firm", now: datetime) -> dict[str, object]:
    """Return a firm's limits in force by name, their revision, and what was entered today."""
    row = models.LimitSet.objects.filter(firm=firm, status=LimitStatus.IN_FORCE).first()
    limits = DEFAULTS if row is None else read_limits(row)
    use = get_use(firm_id=firm.pk, session_date=find_session(firm, limits, now).session_date)
    return {
        **{name: getattr(limits, name) for name in FIELD_NAMES},
        "revision": 0 if row is None else row.revision,
        "amount_today": use.amount,
        "orders_today": use.order_count,
    }


@dataclass(frozen=True, slots=True)
class CalendarAlarm:
    """The market calendar ends soon: from then on every day counts as closed."""

    exchange: str
    last_session: date


def find_calendar_alarm(*, exchange: str, today: date) -> CalendarAlarm | None:
    """Return the alarm that is due 60 days before the calendar of an exchange ends, or None."""
    last = get_last_known_session(exchange)
    return CalendarAlarm(exchange, last) if last - today < CALENDAR_ALARM else None
