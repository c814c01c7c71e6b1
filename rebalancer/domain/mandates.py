"""Whether a client's standing order covers a proposal, or their own yes does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class MandateTerms:
    """The limits of a mandate; None and an empty list: no limit."""

    starts_on: date
    ends_on: date | None
    trade_amount_max: Decimal | None
    turnover_share_max: Decimal | None
    asset_classes: Sequence[str]
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class PlannedTrade:
    """One trade, as a mandate looks at it."""

    symbol: str
    amount: Decimal
    asset_class: str


@dataclass(frozen=True, slots=True)
class Planned:
    """A proposal, as a mandate looks at it."""

    created_at: datetime
    value: Decimal
    turnover_amount: Decimal
    trades: Sequence[PlannedTrade]


def list_mandate_gaps(mandate: MandateTerms | None, planned: Planned, *, today: date) -> list[str]:
    """Return, in sentences, why the mandate does not cover the proposal; empty when it does."""
    if mandate is None:
        return ["No mandate of the client is on record."]
    gaps = []
    if mandate.recorded_at > planned.created_at:
        gaps.append("The mandate was put on record after these trades were proposed.")
    if today < mandate.starts_on:
        gaps.append(f"The mandate starts on {mandate.starts_on:%d %B %Y}.")
    if mandate.ends_on is not None and today > mandate.ends_on:
        gaps.append(f"The mandate ended on {mandate.ends_on:%d %B %Y}.")
    for trade in planned.trades:
        if mandate.trade_amount_max is not None and trade.amount > mandate.trade_amount_max:
            gaps.append(
                f"{trade.symbol}: {trade.amount:,.2f} is more than the mandate allows in one "
                f"trade, {mandate.trade_amount_max:,.2f}."
            )
        if mandate.asset_classes and trade.asset_class not in mandate.asset_classes:
            gaps.append(f"{trade.symbol} is of a kind that the mandate does not cover.")
    share_max = mandate.turnover_share_max
    if share_max is not None and planned.turnover_amount > share_max * planned.value:
        gaps.append(f"The trades move more than the {share_max:.1%} of the account allowed.")
    return gaps


def list_answer_gaps(answer: tuple[bool, str] | None, content_hash: str) -> list[str]:
    """Return why a client's answer (yes, and the hash seen) does not allow the trades."""
    if answer is None:
        return ["The client has not said yes to these trades."]
    is_yes, seen_hash = answer
    if seen_hash != content_hash:
        return ["The client said yes to other trades than these."]
    return [] if is_yes else ["The client said no."]
