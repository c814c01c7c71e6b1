"""The last gate before the market; everything here runs inside the sender's own transaction.

It asks of every order whether it may go now, may go later, or must not go at all, and counts what
it lets through. Locks come after the sender's own (orders, then books): switches, the firm's
counters, the accounts'. `now` is the database's clock, read at the edge (`clock.database_now`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import connection, transaction

from accounts.queries import people
from portfolios.domain.kinds import Side
from portfolios.queries.breaks import list_frozen
from portfolios.queries.halts import get_halt_reasons, list_unused
from rebalancer import models
from rebalancer.domain.limits import (
    PASSING,
    Breach,
    OrderFacts,
    Refusal,
    RefusalCode,
    build_collar,
)
from rebalancer.domain.stops import say_halted
from rebalancer.operations.entering import enter_runs
from rebalancer.operations.switches import Switches, hold_switches
from rebalancer.queries.controls import (
    Day,
    find_payment_date,
    find_session,
    get_limits,
    measure_settled_cash,
)

__all__ = [
    "OrderFacts",
    "Refusal",
    "Switches",
    "build_collar",
    "check_orders",
    "find_payment_date",
    "find_session",
    "get_limits",
    "hold_switches",
    "measure_settled_cash",
    "take_rate",
]


def check_orders(*, orders: Sequence[OrderFacts], now: datetime) -> dict[int, Refusal]:
    """Return the orders that may not go, by id; those absent may, and are counted as entered.

    Call it inside the transaction that claims the orders, which must be locked and NEW. An
    account's orders of one proposal are one run: where a refusal is final, close every order of
    that proposal that is still NEW, those that were not asked about included.

    :raises TransactionManagementError: outside a transaction.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("Orders are checked where they are claimed.")
    if not orders:
        return {}
    firm_ids = {order.firm_id for order in orders}
    switches = hold_switches(firm_ids=firm_ids)
    days = _load_days(firm_ids, now)
    refusals = _find_waits(orders, switches, days, now)
    going = [order for order in orders if order.order_id not in refusals]
    breaches = _find_unusable(going)
    going = [order for order in going if order.proposal_id not in breaches]
    if going:
        breaches |= enter_runs(going=going, days=days, now=now)
    return refusals | _refuse_runs(orders, breaches)


def take_rate(*, firm_id: int, now: datetime, wanted: int) -> int:
    """Return how many of the `wanted` instructions may go in this minute, and count them.

    The firm's counter stays locked until the transaction ends. A clock that runs backwards opens
    no new minute.
    """
    limits = get_limits([firm_id])[firm_id]
    minute = now.replace(second=0, microsecond=0)
    models.RateUse.objects.bulk_create(
        [models.RateUse(firm_id=firm_id, minute=minute)], ignore_conflicts=True
    )
    use = models.RateUse.objects.select_for_update().get(firm_id=firm_id)
    if minute > use.minute:
        use.minute, use.used = minute, 0
    granted = max(0, min(wanted, limits.rate_per_minute - use.used))
    use.used += granted
    use.save(update_fields=["minute", "used"])
    return granted


def _load_days(firm_ids: set[int], now: datetime) -> dict[int, Day]:
    limits = get_limits(firm_ids)
    return {
        firm.pk: find_session(firm, limits[firm.pk], now)
        for firm in people.list_firms()
        if firm.pk in firm_ids
    }


def _find_waits(
    orders: Sequence[OrderFacts], switches: Switches, days: Mapping[int, Day], now: datetime
) -> dict[int, Refusal]:
    """Find what may go later: once a switch is cleared, the market open, or a halt over."""
    halts = get_halt_reasons(security_ids={order.security_id for order in orders}, now=now)
    found = {}
    for order in orders:
        stop = switches.find_stop(order.firm_id, order.account_id, order.security_id, order.broker)
        halt = halts.get(order.security_id)
        wait = days[order.firm_id].wait
        if stop:
            found[order.order_id] = _refuse(RefusalCode.STOPPED, stop)
        elif wait:
            found[order.order_id] = _refuse(RefusalCode.CLOSED, wait)
        elif halt is not None:
            found[order.order_id] = _refuse(RefusalCode.HALTED, say_halted(order.symbol, halt))
    return found


def _find_unusable(orders: Sequence[OrderFacts]) -> dict[int, Breach]:
    """Find runs that trade what they must not.

    That is to buy what the firm no longer uses (selling it is how one gets rid of it), or to trade
    what is frozen because our books and the broker's disagree about it.
    """
    unused = list_unused({order.security_id for order in orders if order.side is Side.BUY})
    frozen = list_frozen(sorted({order.account_id for order in orders}))
    found = {}
    for order in orders:
        is_buy = order.side is Side.BUY
        if is_buy and order.security_id in unused:
            code, words = RefusalCode.NOT_IN_USE, "is no longer in use, so it is not bought."
        elif (order.account_id, order.security_id) in frozen:
            code, words = RefusalCode.FROZEN, "is frozen in this account: see its open break."
        elif is_buy and (order.account_id, None) in frozen:
            code, words = RefusalCode.FROZEN, "cannot be bought: the account's cash is in doubt."
        else:
            continue
        found[order.proposal_id] = Breach(code, f"{order.symbol} {words}", order.order_id)
    return found


def _refuse_runs(
    orders: Sequence[OrderFacts], breaches: Mapping[int, Breach]
) -> dict[int, Refusal]:
    """Refuse every order of a run in which one passes a limit."""
    found = {}
    for order in orders:
        breach = breaches.get(order.proposal_id)
        if breach is None:
            continue
        if breach.order_id in (None, order.order_id):
            found[order.order_id] = _refuse(breach.code, breach.sentence)
        else:
            found[order.order_id] = _refuse(
                RefusalCode.RUN, f"Held back with the rest of its plan: {breach.sentence}"
            )
    return found


def _refuse(code: RefusalCode, sentence: str) -> Refusal:
    return Refusal(code, sentence, is_final=code not in PASSING)
