"""What one proposal's page shows: before and after, trades with lots, orders, what moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Prefetch

from portfolios.domain.kinds import Side
from portfolios.domain.money import ZERO
from portfolios.queries import market
from rebalancer import models
from rebalancer.domain.lifecycle import OPEN_ORDER, ProposalStatus
from rebalancer.queries.pages import words
from rebalancer.queries.pages.orders import OrderLine, describe_orders
from robo.common.templatetags import figures

LIVE = (ProposalStatus.APPROVED, ProposalStatus.EXECUTING)


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One asset class before and after, as fractions."""

    label: str
    target: Decimal
    low: Decimal
    high: Decimal
    before: Decimal
    after: Decimal
    is_breached: bool

    @property
    def is_breached_after(self) -> bool:
        """Return whether the class would still be outside its band."""
        return not self.low <= self.after <= self.high

    @property
    def distance_before(self) -> Decimal:
        """Return how far from target the class is."""
        return self.before - self.target

    @property
    def distance_after(self) -> Decimal:
        """Return how far from target the class would be."""
        return self.after - self.target


@dataclass(frozen=True, slots=True)
class Moved:
    """A price that is not what it was when the proposal was made."""

    symbol: str
    then: Decimal
    now: Decimal | None
    change: Decimal | None
    is_too_far: bool


@dataclass(frozen=True, slots=True)
class Link:
    """Another proposal of the same account."""

    public_id: UUID
    status: str
    price_date: date


@dataclass(frozen=True, slots=True)
class TermRow:
    """One part of what plans cost, in money; None where a plan is not possible."""

    label: str
    plan: Decimal
    nothing: Decimal
    buy_only: Decimal | None
    naive: Decimal | None

    @property
    def is_something(self) -> bool:
        """Return whether any of the plans has such a cost."""
        return any((self.plan, self.nothing, self.buy_only, self.naive))


@dataclass(frozen=True, slots=True)
class Proof:
    """What the plan and simpler ones cost in all, and what no plan can cost less than."""

    rows: tuple[TermRow, ...]  # the last is the total
    total: TermRow
    gain: Decimal
    bound: Decimal | None
    gap: Decimal | None
    gap_share: Decimal | None  # of the value


@dataclass(frozen=True, slots=True)
class Untraded:
    """A trade that going straight to target would make, and why the plan does not."""

    symbol: str
    side: str
    amount: Decimal
    saves: Decimal
    costs: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class Sibling:
    """The proposal of another account that was solved together with this one."""

    public_id: UUID
    account_name: str
    status: str


@dataclass(frozen=True)
class ProposalPage:
    """Everything but the proposal itself."""

    classes: tuple[ClassRow, ...]
    sells: tuple[models.Trade, ...]
    buys: tuple[models.Trade, ...]
    cause: str
    moved: tuple[Moved, ...]
    earlier: Link | None
    later: Link | None
    chart: Mapping[str, Any]
    before_text: str
    turnover_text: str
    tax_label: str
    tax_text: str
    gain_text: str
    proof: Proof | None
    road: str
    asked: str
    untraded: tuple[Untraded, ...]
    siblings: tuple[Sibling, ...]

    @property
    def trade_count(self) -> int:
        """Return how many trades there are."""
        return len(self.sells) + len(self.buys)


@dataclass(frozen=True)
class Progress:
    """How far the orders of a proposal have come."""

    status: str
    is_live: bool
    orders: tuple[models.Order, ...]
    lines: tuple[OrderLine, ...]
    closed_count: int
    filled_share: float


def read_classes(rows: Sequence[Mapping[str, Any]]) -> tuple[ClassRow, ...]:
    """Return a proposal's stored classes as numbers."""
    return tuple(
        ClassRow(
            label=row["label"],
            target=Decimal(row["target"]),
            low=Decimal(row["low"]),
            high=Decimal(row["high"]),
            before=Decimal(row["before"]),
            after=Decimal(row["after"]),
            is_breached=bool(row["is_breached"]),
        )
        for row in rows
    )


def load_proposal_page(proposal: models.Proposal, *, price_date: date) -> ProposalPage:
    """Return what the page of a proposal shows, in a fixed number of queries."""
    trades = tuple(
        models.Trade.objects.filter(proposal=proposal)
        .select_related("security__asset_class")
        .prefetch_related(
            Prefetch("trade_lots", models.TradeLot.objects.select_related("lot").order_by("rank"))
        )
        .order_by("security__asset_class__rank", "security__symbol")
    )
    classes = read_classes(proposal.classes)
    later = getattr(proposal, "superseded_by", None)
    return ProposalPage(
        classes=classes,
        sells=tuple(trade for trade in trades if trade.side == Side.SELL),
        buys=tuple(trade for trade in trades if trade.side == Side.BUY),
        cause=words.explain_cause(proposal.origin_check.cause),
        moved=_find_moved(proposal, trades, price_date),
        earlier=_link(proposal.supersedes),
        later=_link(later),
        **_describe_figures(proposal),
        proof=read_proof(proposal.certificate),
        road=words.explain_path(path=proposal.path, reason=proposal.path_reason),
        asked=words.explain_wanted(proposal.wanted, currency=proposal.firm.currency),
        untraded=read_untraded(proposal.untraded),
        siblings=_list_siblings(proposal),
        chart={
            "rows": [
                {
                    "label": row.label,
                    "current": row.before,
                    "after": row.after,
                    "target": row.target,
                    "low": row.low,
                    "high": row.high,
                    "breached": row.is_breached,
                }
                for row in classes
            ]
        },
    )


def read_proof(certificate: Mapping[str, Any]) -> Proof | None:
    """Return a stored certificate as numbers, or None for a proposal that has none."""
    if not certificate:
        return None

    def read(row: Mapping[str, Any] | None, name: str) -> Decimal | None:
        return None if row is None else Decimal(row[name])

    def compare(name: str, label: str) -> TermRow:
        return TermRow(
            label=label,
            plan=Decimal(certificate["plan"][name]),
            nothing=Decimal(certificate["nothing"][name]),
            buy_only=read(certificate["buy_only"], name),
            naive=read(certificate["naive"], name),
        )

    parts = [compare(name, label) for name, label in words.TERM_LABELS.items()]
    total = compare("total", "In all")
    bound, gap, gap_bps = (
        None if certificate[name] is None else Decimal(certificate[name])
        for name in ("bound", "gap", "gap_bps")
    )
    return Proof(
        rows=(*(row for row in parts if row.is_something), total),
        total=total,
        gain=Decimal(certificate["gain"]),
        bound=bound,
        gap=gap,
        gap_share=None if gap_bps is None else gap_bps / 10_000,
    )


def read_untraded(rows: Sequence[Mapping[str, str]]) -> tuple[Untraded, ...]:
    """Return what a proposal leaves alone, the largest first."""
    untraded = [
        Untraded(
            symbol=row["symbol"],
            side=Side.BUY if Decimal(row["amount"]) > 0 else Side.SELL,
            amount=abs(Decimal(row["amount"])),
            saves=Decimal(row["saves"]),
            costs=Decimal(row["costs"]),
            reason=row["words"],
        )
        for row in rows
    ]
    return tuple(sorted(untraded, key=lambda row: (-row.amount, row.symbol)))


def _list_siblings(proposal: models.Proposal) -> tuple[Sibling, ...]:
    """Return the proposals of the household's other accounts that were solved with this one."""
    rows = (
        models.Proposal.objects.filter(
            firm_id=proposal.firm_id,
            account__household_id=proposal.account.household_id,
            household_plan=proposal.household_plan,
        )
        .exclude(pk=proposal.pk)
        .order_by("account__name", "pk")
    )
    facts = rows.values_list("public_id", "account__name", "status")
    return tuple(Sibling(*row) for row in facts)


def _describe_figures(proposal: models.Proposal) -> dict[str, str]:
    """Return the words beside the headline figures."""

    share = proposal.turnover_amount / proposal.value if proposal.value else None
    if proposal.account.tax_status != "TAXABLE":
        tax_label, gain_text = "Tax", "sales in this account are not taxed"
    else:
        tax_label = "Estimated tax" if proposal.tax_amount >= 0 else "Estimated tax saved"
        gain_text = (
            f"{figures.signed_money(proposal.short_term_gain)} short-term, "
            f"{figures.signed_money(proposal.long_term_gain)} long-term"
            if proposal.short_term_gain or proposal.long_term_gain
            else "no gain is realised"
        )
    return {
        "before_text": f"{figures.percent(proposal.drift_before, 2)} before",
        "turnover_text": f"{figures.percent(share)} of the account, bought and sold",
        "tax_label": tax_label,
        "tax_text": figures.money(abs(proposal.tax_amount)),
        "gain_text": gain_text,
    }


def _link(proposal: models.Proposal | None) -> Link | None:
    if proposal is None:
        return None
    return Link(proposal.public_id, proposal.status, proposal.price_date)


def _find_moved(
    proposal: models.Proposal, trades: Sequence[models.Trade], price_date: date
) -> tuple[Moved, ...]:
    """Return how the prices of the trades moved since; a decided proposal no longer moves."""
    if proposal.status != ProposalStatus.PENDING:
        return ()
    prices = market.get_latest_prices(
        firm_id=proposal.firm_id,
        price_date=price_date,
        age_days_max=proposal.firm.price_age_days_max,
    )
    moved = []
    for trade in trades:
        now = prices.get(trade.security_id)
        if now is None:
            moved.append(Moved(trade.security.symbol, trade.price, None, None, is_too_far=True))
        elif now[1] != trade.price:
            change = now[1] / trade.price - 1
            is_too_far = abs(change) > proposal.policy.price_tolerance
            moved.append(Moved(trade.security.symbol, trade.price, now[1], change, is_too_far))
    return tuple(sorted(moved, key=lambda item: (not item.is_too_far, item.symbol)))


def load_progress(proposal: models.Proposal, *, is_client: bool) -> Progress:
    """Return a proposal's orders with their fills, sells first, in two queries."""
    orders = tuple(
        models.Order.objects.filter(proposal=proposal)
        .select_related("security", "trade", "block__security")
        .prefetch_related(Prefetch("fills", models.Fill.objects.order_by("id")))
        .order_by("-side", "security__symbol")
    )
    lines = tuple(describe_orders(orders, is_client=is_client))
    wanted = sum((order.quantity * order.trade.price for order in orders), ZERO)
    filled = sum(
        (
            (line.order.filled_quantity or line.provisional_quantity) * line.order.trade.price
            for line in lines
        ),
        ZERO,
    )
    closed_count = sum(order.status not in OPEN_ORDER for order in orders)
    is_done = bool(orders) and closed_count == len(orders)
    return Progress(
        status=proposal.status,
        is_live=proposal.status in LIVE,
        orders=orders,
        lines=lines,
        closed_count=closed_count,
        filled_share=1.0 if is_done else float(filled / wanted) if wanted else 0.0,
    )
