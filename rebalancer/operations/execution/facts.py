"""What a sender must know of the market, of the trading day, and of the cash that is free."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

from accounts.queries import people
from portfolios.domain.kinds import Side
from portfolios.domain.money import CENT
from portfolios.queries import books as book_queries
from portfolios.queries import market
from rebalancer import models
from rebalancer.domain.lifecycle import OPEN_ORDER, OrderStatus
from rebalancer.domain.limits import Limits
from rebalancer.operations import gate
from rebalancer.queries.costs import MeasuredCost, get_measured_costs
from robo.common.market_calendar import UnknownExchange, get_session_hours

if TYPE_CHECKING:
    from accounts.models import Firm
    from portfolios.models import Security


@dataclass(frozen=True, slots=True)
class Session:
    """A firm's trading day as it stands when something is sent."""

    session_date: date
    # When it opens and closes; None in a simulated market, and where nobody knows.
    hours: tuple[datetime, datetime] | None
    # Why nothing may be sent now; empty when it may.
    wait: str
    limits: Limits


@dataclass(frozen=True, slots=True)
class TradingDay:
    """A session with the market that orders set out from."""

    session: Session
    prices: dict[int, Decimal]
    # When what is traded today settles.
    pays_date: date
    # Spread and impact as measured, where the firm goes by that.
    costs: dict[int, MeasuredCost]

    def get_half_spread_bps(self, security: "Security") -> Decimal:
        """Return the half spread to reckon with: the measured one, else the firm's own."""
        found = self.costs.get(security.pk)
        return found.half_spread_bps if found else security.half_spread_bps


def load_sessions(firm_ids: Collection[int], now: datetime) -> dict[int, Session]:
    """Return the session of each of these firms."""
    limits = gate.get_limits(firm_ids)
    found = {}
    for firm_id in sorted(firm_ids):
        firm = people.get_firm(firm_id)
        today = gate.find_session(firm, limits[firm_id], now)
        found[firm_id] = Session(
            session_date=today.session_date,
            # A firm that may not trade now may be on an exchange that nobody knows.
            hours=None if today.wait else _find_hours(firm, today.session_date),
            wait=today.wait,
            limits=limits[firm_id],
        )
    return found


def load_days(sessions: Mapping[int, Session], now: datetime) -> dict[int, TradingDay]:
    """Return the market of each firm whose session is open."""
    days = {}
    for firm_id, session in sessions.items():
        if session.wait:
            continue
        firm = people.get_firm(firm_id)
        market_date = book_queries.get_market_date(firm, now)
        latest = market.get_latest_prices(
            firm_id=firm_id, price_date=market_date, age_days_max=firm.price_age_days_max
        )
        prices = {security_id: price for security_id, (_day, price) in latest.items()}
        pays_date = gate.find_payment_date(
            exchange=firm.exchange, trade_date=session.session_date, limits=session.limits
        )
        costs = get_measured_costs(firm_id=firm_id, limits=session.limits)
        days[firm_id] = TradingDay(session, prices, pays_date, costs)
    return days


def _find_hours(firm: "Firm", session_date: date) -> tuple[datetime, datetime] | None:
    """Return when a session begins and ends; None in a simulated market, which has no hours."""
    if firm.simulated_date is not None:
        return None
    return get_session_hours(firm.exchange, session_date)


def is_over(firm: "Firm", session_date: date, now: datetime) -> bool:
    """Return whether a trading day has ended: its bell has rung, or the simulated date moved on."""
    if firm.simulated_date is not None:
        return firm.simulated_date > session_date
    try:
        hours = _find_hours(firm, session_date)
    except UnknownExchange:
        return session_date < now.date()
    return hours is None or hours[1] <= now


def load_free_cash(
    orders: Sequence[models.Order], days: Mapping[int, TradingDay]
) -> dict[int, Decimal]:
    """Return what each account may spend: settled cash, less what must stay and open buys take."""
    account_ids = sorted({order.account_id for order in orders})
    by_date: dict[date, set[int]] = defaultdict(set)
    for order in orders:
        by_date[days[order.firm_id].pays_date].add(order.account_id)
    free: dict[int, Decimal] = {}
    for day, ids in by_date.items():
        free |= gate.measure_settled_cash(account_ids=sorted(ids), on_date=day)
    for account_id, required in models.Proposal.objects.filter(
        pk__in={order.proposal_id for order in orders}
    ).values_list("account_id", "required_cash"):
        free[account_id] -= required
    for account_id, amount in measure_open_buys(account_ids).items():
        free[account_id] -= amount
    return free


def measure_open_buys(account_ids: Sequence[int]) -> dict[int, Decimal]:
    """Return the cash that buys on their way will still take, by account.

    A block's fills are booked when it closes: until then the whole order is reserved.
    """
    reserved: dict[int, Decimal] = defaultdict(Decimal)
    for order in models.Order.objects.filter(
        account_id__in=account_ids, side=Side.BUY, status__in=OPEN_ORDER - {OrderStatus.NEW}
    ).select_related("trade", "block"):
        price = order.block.reserve_price if order.block else order.trade.fill_price
        reserved[order.account_id] += order.quantity * price
    return {
        account_id: amount.quantize(CENT, ROUND_CEILING) for account_id, amount in reserved.items()
    }
