"""Counting orders as they are entered, under lock, against the limits of an account and a firm.

An account's orders of one proposal are one run. They are checked and counted together when the
first of them goes, the buys that wait for their sales included: a run passes whole or not at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db.models import Q

from portfolios.domain.kinds import Side
from portfolios.domain.money import ZERO
from rebalancer import models
from rebalancer.domain.kinds import AUTOMATIC
from rebalancer.domain.lifecycle import OrderStatus
from rebalancer.domain.limits import (
    Breach,
    Limits,
    OrderFacts,
    RefusalCode,
    Use,
    check_account_use,
    check_firm_use,
    check_order,
    is_cooling_down,
    is_repeated,
)
from rebalancer.queries.controls import Day

# Ended so, and with nothing filled, an order left the market as it was: another is no double.
CAME_TO_NOTHING = (OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED)


@dataclass(frozen=True, slots=True)
class _Run:
    """What the rules must know of one proposal and its account."""

    proposal_id: int
    firm_id: int
    account_id: int
    account_name: str
    value: Decimal
    is_automatic: bool
    # Its orders that are not closed or sent yet, and of these the ones not counted today.
    orders: tuple[OrderFacts, ...]
    fresh: tuple[OrderFacts, ...]
    gain: Decimal  # that the fresh ones realise


def enter_runs(
    *, going: Sequence[OrderFacts], days: Mapping[int, Day], now: datetime
) -> dict[int, Breach]:
    """Count the runs of these orders; return the breach of each run that passes a limit.

    The keys are proposal ids. Runs are taken in the order given, so nobody's waits behind one that
    is refused.
    """
    runs = _load_runs(going, days)
    breaches = {
        run.proposal_id: breach
        for run in runs
        if (breach := _find_bad_order(run, days[run.firm_id].limits))
    }
    runs = [run for run in runs if run.fresh and run.proposal_id not in breaches]
    for find in (_find_doubles, _find_cooling):
        breaches |= find(runs, days, now)
        runs = [run for run in runs if run.proposal_id not in breaches]
    return breaches | _count(runs, days, now) if runs else breaches


# --- What is known -------------------------------------------------------------------------------


def _load_runs(going: Sequence[OrderFacts], days: Mapping[int, Day]) -> list[_Run]:
    sent = {order.order_id: order for order in going}
    proposal_ids = list(dict.fromkeys(order.proposal_id for order in going))
    entered = set(
        models.EnteredOrder.objects.filter(
            order__proposal_id__in=proposal_ids,
            session_date__in={day.session_date for day in days.values()},
        ).values_list("order_id", "session_date")
    )
    planned: dict[int, list[tuple[OrderFacts, Decimal]]] = {key: [] for key in proposal_ids}
    for row in (
        models.Order.objects.filter(proposal_id__in=proposal_ids)
        .filter(Q(status=OrderStatus.NEW) | Q(pk__in=list(sent)))
        .select_related("trade", "security")
        .order_by("pk")
    ):
        facts = sent.get(row.pk) or _describe(row)
        gain = row.trade.short_term_gain + row.trade.long_term_gain
        planned[row.proposal_id].append((facts, gain if facts.side is Side.SELL else ZERO))
    proposals = models.Proposal.objects.filter(pk__in=proposal_ids).select_related(
        "account", "origin_check"
    )
    runs = {}
    for proposal in proposals:
        session_date = days[proposal.firm_id].session_date
        rows = planned[proposal.pk]
        fresh = [row for row in rows if (row[0].order_id, session_date) not in entered]
        runs[proposal.pk] = _Run(
            proposal_id=proposal.pk,
            firm_id=proposal.firm_id,
            account_id=proposal.account_id,
            account_name=proposal.account.name,
            value=proposal.value,
            is_automatic=proposal.origin_check.cause in AUTOMATIC,
            orders=tuple(facts for facts, _gain in rows),
            fresh=tuple(facts for facts, _gain in fresh),
            gain=sum((gain for _facts, gain in fresh), ZERO),
        )
    return [runs[key] for key in proposal_ids]


def _describe(row: models.Order) -> OrderFacts:
    """Return an order of a run that is not sent yet, at the price that it was planned with."""
    return OrderFacts(
        order_id=row.pk,
        firm_id=row.firm_id,
        account_id=row.account_id,
        proposal_id=row.proposal_id,
        security_id=row.security_id,
        symbol=row.security.symbol,
        side=Side(row.side),
        quantity=row.quantity,
        price=row.trade.price,
        half_spread_bps=row.security.half_spread_bps,
        daily_volume=row.security.daily_volume,
        broker="",
    )


# --- The rules that need rows --------------------------------------------------------------------


def _find_bad_order(run: _Run, limits: Limits) -> Breach | None:
    for order in run.orders:
        breach = check_order(limits=limits, order=order)
        if breach is not None:
            return breach
    return None


def _find_doubles(
    runs: Sequence[_Run], days: Mapping[int, Day], now: datetime
) -> dict[int, Breach]:
    """Find orders like one that was entered shortly before."""
    minutes = max((days[run.firm_id].limits.duplicate_minutes for run in runs), default=0)
    if not minutes:
        return {}
    earlier: dict[tuple[object, ...], datetime] = {}
    for row in (
        models.EnteredOrder.objects.filter(
            account_id__in={run.account_id for run in runs},
            session_date__in={days[run.firm_id].session_date for run in runs},
            entered_at__gt=now - timedelta(minutes=minutes),
        )
        .exclude(order__status__in=CAME_TO_NOTHING, order__filled_quantity=0)
        .order_by("entered_at")
    ):
        key = (row.account_id, row.security_id, row.side, row.quantity, row.session_date)
        earlier[key] = row.entered_at
    found = {}
    for run in runs:
        day = days[run.firm_id]
        for order in run.fresh:
            before = earlier.get(
                (
                    order.account_id,
                    order.security_id,
                    order.side,
                    order.quantity,
                    day.session_date,
                )
            )
            if before and is_repeated(limits=day.limits, earlier=before, now=now):
                found[run.proposal_id] = Breach(
                    RefusalCode.DUPLICATE,
                    f"{order.side} {order.quantity.normalize():f} {order.symbol} was entered for "
                    f"{run.account_name} less than {day.limits.duplicate_minutes} minutes ago.",
                    order.order_id,
                )
                break
    return found


def _find_cooling(
    runs: Sequence[_Run], days: Mapping[int, Day], _now: datetime
) -> dict[int, Breach]:
    """Find automatic rebalances that come too soon after the account's last one."""
    asked = [
        run for run in runs if run.is_automatic and days[run.firm_id].limits.cool_down_days > 0
    ]
    if not asked:
        return {}
    since = min(
        days[run.firm_id].session_date - timedelta(days=days[run.firm_id].limits.cool_down_days)
        for run in asked
    )
    found = {}
    entries = list(
        models.EnteredOrder.objects.filter(
            account_id__in={run.account_id for run in asked},
            session_date__gt=since,
            order__proposal__origin_check__cause__in=AUTOMATIC,
        )
        .values_list("account_id", "order__proposal_id", "session_date")
        .distinct()
    )
    for run in asked:
        day = days[run.firm_id]
        for account_id, proposal_id, earlier_date in entries:
            if (
                account_id == run.account_id
                and proposal_id != run.proposal_id
                and is_cooling_down(
                    limits=day.limits, earlier_date=earlier_date, session_date=day.session_date
                )
            ):
                found[run.proposal_id] = Breach(
                    RefusalCode.COOL_DOWN,
                    f"{run.account_name} was rebalanced on {earlier_date}; "
                    f"{day.limits.cool_down_days} days must lie between two.",
                )
                break
    return found


# --- Counting ------------------------------------------------------------------------------------


def _count(runs: Sequence[_Run], days: Mapping[int, Day], now: datetime) -> dict[int, Breach]:
    """Count each run on its account and its firm, unless a limit would be passed."""
    firms = _lock_counters({(run.firm_id, None, days[run.firm_id].session_date) for run in runs})
    accounts = _lock_counters(
        {(run.firm_id, run.account_id, days[run.firm_id].session_date) for run in runs}
    )
    breaches: dict[int, Breach] = {}
    entered: list[models.EnteredOrder] = []
    for run in runs:
        day = days[run.firm_id]
        added = Use(sum((order.amount for order in run.fresh), ZERO), len(run.fresh), run.gain)
        of_firm, of_account = firms[run.firm_id, None], accounts[run.firm_id, run.account_id]
        breach = check_account_use(
            limits=day.limits,
            use=_read(of_account).add(added),
            value=run.value,
            name=run.account_name,
        ) or check_firm_use(limits=day.limits, use=_read(of_firm).add(added))
        if breach is not None:
            breaches[run.proposal_id] = breach
            continue
        for counter in (of_firm, of_account):
            total = _read(counter).add(added)
            counter.amount, counter.order_count = total.amount, total.order_count
            counter.realised_gain = total.realised_gain
        entered += [_build_entry(order, day.session_date, now) for order in run.fresh]
    models.LimitUse.objects.bulk_update(
        [*firms.values(), *accounts.values()], ["amount", "order_count", "realised_gain"]
    )
    models.EnteredOrder.objects.bulk_create(entered)
    return breaches


def _lock_counters(
    keys: set[tuple[int, int | None, date]],
) -> dict[tuple[int, int | None], models.LimitUse]:
    """Return the counters of a day, each locked until the transaction ends, made where missing."""
    # Everybody takes them in this order, so that nobody waits in a circle.
    ordered = sorted(keys, key=lambda key: (key[0], key[1] or 0))
    models.LimitUse.objects.bulk_create(
        [
            models.LimitUse(firm_id=firm_id, account_id=account_id, session_date=session_date)
            for firm_id, account_id, session_date in ordered
        ],
        ignore_conflicts=True,
    )
    rows = models.LimitUse.objects.select_for_update().filter(
        firm_id__in={firm_id for firm_id, _account_id, _date in keys},
        session_date__in={session_date for _firm_id, _account_id, session_date in keys},
    )
    is_of_accounts = ordered[0][1] is not None
    if is_of_accounts:
        rows = rows.filter(account_id__in={account_id for _firm_id, account_id, _date in keys})
    else:
        rows = rows.filter(account__isnull=True)
    return {
        (row.firm_id, row.account_id): row
        for row in rows.order_by("firm_id", "account_id")
        if (row.firm_id, row.account_id, row.session_date) in keys
    }


def _read(counter: models.LimitUse) -> Use:
    return Use(counter.amount, counter.order_count, counter.realised_gain)


def _build_entry(order: OrderFacts, session_date: date, now: datetime) -> models.EnteredOrder:
    return models.EnteredOrder(
        order_id=order.order_id,
        firm_id=order.firm_id,
        account_id=order.account_id,
        security_id=order.security_id,
        side=order.side,
        quantity=order.quantity,
        amount=order.amount,
        session_date=session_date,
        entered_at=now,
    )
