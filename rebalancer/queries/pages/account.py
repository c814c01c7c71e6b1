"""What an account's page shows: holdings against target, lots, and what a deposit would do."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from django.db.models import QuerySet

from portfolios.domain.lots import is_long_term
from portfolios.domain.money import ZERO, round_money
from portfolios.queries import books, market, securities
from rebalancer import models
from rebalancer.domain.kinds import CheckStatus
from rebalancer.domain.plan import Plan
from rebalancer.engine.answering import answer_households
from rebalancer.engine.columns import CENTS, from_units
from rebalancer.engine.drift import measure_drift
from rebalancer.engine.outcome import Case
from rebalancer.engine.route import choose_mode
from rebalancer.queries.pages import words
from rebalancer.queries.pages.standing import (
    BandRow,
    Standing,
    Standings,
    load_standings,
    measure_standings,
)
from robo.common.templatetags import figures

if TYPE_CHECKING:
    from accounts.models import Account

NOTHING_PLANNED = "Nothing would be traded: the account stays inside its bands."


@dataclass(frozen=True, slots=True)
class LotLine:
    """One open lot, valued today."""

    acquired_date: date
    quantity: Decimal
    cost: Decimal
    value: Decimal | None
    gain: Decimal | None
    is_long_term: bool


@dataclass(frozen=True, slots=True)
class HoldingLine:
    """One security of the account, valued today; weights as fractions."""

    symbol: str
    name: str
    class_name: str
    quantity: Decimal
    price: Decimal | None
    price_date: date | None
    value: Decimal | None
    cost: Decimal
    weight: float
    target: float
    lots: tuple[LotLine, ...]

    @property
    def gain(self) -> Decimal | None:
        """Return the unrealised gain, None without a price."""
        return None if self.value is None else self.value - self.cost


@dataclass(frozen=True)
class AccountPage:
    """Everything but activity, proposals and checks."""

    standing: Standing
    standings: Standings
    holdings: tuple[HoldingLine, ...]
    cash: Decimal
    cash_weight: float
    cash_target: float
    gain: Decimal
    policy: models.Policy | None

    @property
    def cash_text(self) -> str:
        """Return how much of the account is cash, beside its target."""
        weight, target = figures.percent(self.cash_weight), self.cash_target
        return f"{weight} of the account, target {figures.percent(target)}"

    @property
    def state(self) -> words.State:
        """Return where the account stands, in words."""
        worst = self.standing.worst
        return words.describe_state(
            blocked=self.standing.blocked,
            is_breached=self.standing.is_breached,
            worst_label=worst.label if worst else "",
            distance=worst.weight - worst.target if worst else 0.0,
        )


@dataclass(frozen=True, slots=True)
class PreviewTrade:
    """A trade that would follow, roughly."""

    side: str
    symbol: str
    quantity: Decimal
    amount: Decimal


@dataclass(frozen=True)
class Preview:
    """What would follow from money coming or going; nothing is stored."""

    value_after: Decimal
    cash_after: Decimal
    rows: tuple[BandRow, ...]
    trades: tuple[PreviewTrade, ...]
    note: str


def load_account_page(*, account: "Account", price_date: date) -> AccountPage:
    """Return what the page of an account shows, in a fixed number of queries."""
    standings = load_standings(
        firm_id=account.firm_id, account_ids=[account.pk], price_date=price_date
    )
    standing = standings.by_account[account.pk]
    holdings = _list_holdings(account, standing, price_date)
    cash = standing.cash
    cash_row = next((row for row in standing.rows if row.label == "Cash"), None)
    assignment = (
        models.PolicyAssignment.objects.filter(account=account).select_related("policy").first()
    )
    return AccountPage(
        standing=standing,
        standings=standings,
        holdings=holdings,
        cash=cash,
        cash_weight=float(cash) / standing.value if standing.value > 0 else 0.0,
        cash_target=cash_row.target if cash_row else 0.0,
        gain=sum((line.gain or ZERO for line in holdings), ZERO),
        policy=assignment.policy if assignment else None,
    )


def _list_holdings(
    account: "Account", standing: Standing, price_date: date
) -> tuple[HoldingLine, ...]:
    lots: dict[int, list[books.OpenLot]] = defaultdict(list)
    for lot in books.list_open_lots([account.pk]):
        lots[lot.security_id].append(lot)
    prices = market.get_latest_prices(
        firm_id=account.firm_id,
        price_date=price_date,
        age_days_max=account.firm.price_age_days_max,
    )
    wanted = set(lots) | set(standing.target_by_security)
    lines = []
    listed = securities.list_securities(account.firm_id, only_active=False)
    for security in listed.filter(pk__in=wanted):
        priced = prices.get(security.pk)
        mine = tuple(
            _value_lot(lot, priced[1] if priced else None, price_date) for lot in lots[security.pk]
        )
        quantity = sum((lot.quantity for lot in mine), ZERO)
        value = round_money(quantity * priced[1]) if priced else None
        lines.append(
            HoldingLine(
                symbol=security.symbol,
                name=security.name,
                class_name=security.asset_class.name,
                quantity=quantity,
                price=priced[1] if priced else None,
                price_date=priced[0] if priced else None,
                value=value,
                cost=sum((lot.cost for lot in mine), ZERO),
                weight=float(value) / standing.value if value and standing.value > 0 else 0.0,
                target=standing.target_by_security.get(security.pk, 0.0),
                lots=mine,
            )
        )
    return tuple(lines)


def _value_lot(lot: books.OpenLot, price: Decimal | None, price_date: date) -> LotLine:
    value = None if price is None else round_money(lot.quantity * price)
    return LotLine(
        acquired_date=lot.acquired_date,
        quantity=lot.quantity,
        cost=lot.cost,
        value=value,
        gain=None if value is None else value - lot.cost,
        is_long_term=is_long_term(acquired_date=lot.acquired_date, sold_date=price_date),
    )


def preview_cash_move(*, account: "Account", amount: Decimal, price_date: date) -> Preview | None:
    """Return what would follow if `amount` came (below zero: went), by the engine itself.

    None when the account holds less cash than would go.
    """
    book = load_standings(
        firm_id=account.firm_id, account_ids=[account.pk], price_date=price_date
    ).book
    at = int(np.flatnonzero(book.account_ids == account.pk)[0])
    cash_cents = book.cash_cents.copy()
    cash_cents[at] += int(amount * CENTS)
    if cash_cents[at] < 0:
        return None
    after = replace(book, cash_cents=cash_cents)
    standings = measure_standings(after)
    standing = standings.by_account[account.pk]
    trades: Sequence[PreviewTrade] = ()
    note = NOTHING_PLANNED
    if standing.blocked:
        note = f"We could not say what would follow: the account {standing.blocked}."
    else:
        drift = measure_drift(after, standings.targets, is_flow=True)
        if drift.is_breached[at]:
            mode = choose_mode(after, drift, at, is_flow=True)
            [answer] = answer_households(Case(after, standings.targets, drift), {at: mode}).values()
            trades = _describe_trades(answer.plans[at])
            note = "" if trades else "No trade above the smallest amount would help."
    return Preview(
        value_after=round_money(Decimal(str(standing.value))),
        cash_after=from_units(cash_cents[at], CENTS),
        rows=standing.rows,
        trades=tuple(trades),
        note=note,
    )


def _describe_trades(plan: Plan) -> list[PreviewTrade]:
    return [
        PreviewTrade(
            side=trade.side,
            symbol=trade.security.symbol,
            quantity=trade.quantity,
            amount=round_money(trade.quantity * trade.security.price),
        )
        for trade in plan.trades
    ]


def list_checks(account_id: int, limit: int = 12) -> list[Mapping[str, Any]]:
    """Return an account's newest checks in words."""
    rows = models.Check.objects.filter(account_id=account_id).select_related("firm")
    return [
        {
            "price_date": row.price_date,
            "cause": words.LOOK_LABELS[row.cause],
            "status": row.status,
            "reason": words.explain_look(
                reason=row.reason,
                certificate=row.certificate if row.status == CheckStatus.NO_TRADE else {},
                tracking_error=row.tracking_error,
                currency=row.firm.currency,
            ),
            "drift_max": row.drift_max,
            "is_breached": row.is_breached,
        }
        for row in rows.order_by("-id")[:limit]
    ]


def list_proposals(
    *, proposals: QuerySet[models.Proposal], account_id: int, limit: int = 10
) -> list[Mapping[str, Any]]:
    """Return an account's newest proposals, of those that the reader may see."""
    rows = proposals.filter(account_id=account_id).select_related("origin_check").order_by("-id")
    return [
        {
            "public_id": row.public_id,
            "price_date": row.price_date,
            "cause": words.CAUSE_LABELS[row.origin_check.cause],
            "turnover_amount": row.turnover_amount,
            "status": row.status,
        }
        for row in rows[:limit]
    ]
