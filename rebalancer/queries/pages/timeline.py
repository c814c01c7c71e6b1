"""What happened in some accounts, newest first, in words that a client understands."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import QuerySet

from portfolios.domain.kinds import EntryKind, Pocket
from portfolios.queries import books, history
from rebalancer import models
from rebalancer.domain.lifecycle import ProposalStatus
from rebalancer.queries.pages import words
from robo.common.templatetags import figures

if TYPE_CHECKING:
    from portfolios.models import JournalEntry

SHARES_TOLD = 4
ENTRY_TITLES = {
    EntryKind.OPENING: "Account taken on",
    EntryKind.DEPOSIT: "Deposit",
    EntryKind.WITHDRAWAL: "Withdrawal",
    EntryKind.BUY: "Bought",
    EntryKind.SELL: "Sold",
    EntryKind.DIVIDEND: "Dividend",
    EntryKind.REINVEST: "Dividend reinvested:",
    EntryKind.SPLIT: "Split",
    EntryKind.MERGER: "Bought out",
    EntryKind.REVERSAL: "Taken back",
    EntryKind.ADJUSTMENT: "Corrected with the custodian",
}
# Buys and sales are told as one rebalance, not one by one.
_TOLD_ELSEWHERE = (EntryKind.BUY, EntryKind.SELL)
_DONE = (ProposalStatus.COMPLETED, ProposalStatus.COMPLETED_ADJUSTED)
_NOT_CARRIED_OUT = (
    ProposalStatus.REJECTED,
    ProposalStatus.EXPIRED,
    ProposalStatus.SUPERSEDED,
)


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened."""

    day: date
    title: str
    text: str
    account_name: str
    proposal_public_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class ActivityLine:
    """One journal entry in words: what moved, and by how much cash changed."""

    day: date
    title: str
    text: str
    cash: Decimal | None
    memo: str


def describe_entry(entry: "JournalEntry", currency: str) -> ActivityLine:
    """Return a journal entry (with its transfers and their securities) as a line."""
    cash = Decimal(0)
    moved: dict[str, Decimal] = defaultdict(Decimal)
    for move in entry.transfers.all():
        sign = 1 if move.target_pocket in (Pocket.CASH, Pocket.SECURITIES) else -1
        if move.security is None:
            cash += sign * move.quantity
        else:
            moved[move.security.symbol] += move.quantity
    shares = [f"{figures.quantity(count)} {symbol}" for symbol, count in moved.items()]
    if len(shares) > SHARES_TOLD:
        shares = [*shares[:SHARES_TOLD], f"{len(shares) - SHARES_TOLD} more"]
    title = ENTRY_TITLES[EntryKind(entry.kind)]
    what = ", ".join(shares)
    if not what and entry.kind != EntryKind.DIVIDEND:
        what = figures.money(abs(cash), currency)
    return ActivityLine(
        day=entry.entry_date, title=title, text=what, cash=cash or None, memo=entry.memo
    )


def list_happenings(
    *,
    proposals: QuerySet[models.Proposal],
    account_names: dict[int, str],
    currency: str,
    limit: int,
    is_client: bool,
) -> list[Happening]:
    """Return the newest events of these accounts: rebalances with their reasons, and money moved.

    `proposals` are those that the reader may see. Three queries.
    """
    happenings = [
        _tell_proposal(proposal, account_names[proposal.account_id], currency, is_client=is_client)
        for proposal in proposals.filter(account_id__in=account_names)
        .exclude(status__in=_NOT_CARRIED_OUT)
        .select_related("origin_check")
        .order_by("-id")[:limit]
    ]
    entries = history.list_entries_but(sorted(account_names), _TOLD_ELSEWHERE, limit=limit)
    happenings += [_tell_entry(entry, currency) for entry in entries]
    happenings.sort(key=lambda happening: happening.day, reverse=True)
    return happenings[:limit]


def _tell_proposal(
    proposal: models.Proposal, account_name: str, currency: str, *, is_client: bool
) -> Happening:
    cause = words.explain_cause(proposal.origin_check.cause)
    text = f"{cause} {_tell_effect(proposal, currency)}"
    status_words = words.CLIENT_STATUS_WORDS if is_client else words.STAFF_STATUS_WORDS
    if is_client and proposal.status == ProposalStatus.PENDING:
        # The trades may still change: what they would move is not the client's news yet.
        text = f"{cause} We have worked out trades; nothing happens before your advisor agrees."
    return Happening(
        day=proposal.price_date,
        title=f"Rebalance, {status_words[proposal.status]}",
        text=text,
        account_name=account_name,
        proposal_public_id=proposal.public_id,
    )


def _tell_effect(proposal: models.Proposal, currency: str) -> str:
    if proposal.status in _DONE:
        verb = "was"
    else:
        verb = "would be" if proposal.status == ProposalStatus.PENDING else "is being"
    moved = figures.money(proposal.turnover_amount, currency)
    text = (
        f"{moved} {verb} moved, which takes the distance from target from "
        f"{figures.percent(proposal.drift_before)} to {figures.percent(proposal.drift_after)}."
    )
    if proposal.tax_amount > 0:
        text += f" Estimated tax: {figures.money(proposal.tax_amount, currency)}."
    elif proposal.tax_amount < 0:
        text += f" Estimated tax saved: {figures.money(-proposal.tax_amount, currency)}."
    return text


def _tell_entry(entry: "JournalEntry", currency: str) -> Happening:
    line = describe_entry(entry, currency)
    text = line.text
    if entry.kind == EntryKind.DIVIDEND:
        text = f"{figures.money(line.cash, currency)}. {line.memo}"
    elif entry.kind == EntryKind.OPENING:
        text = f"We began with {line.text}." if line.text else "We began with an empty account."
    return Happening(
        day=line.day,
        title=line.title,
        text=text,
        account_name=entry.account.name,
    )


def list_activity(*, account_id: int, currency: str, limit: int) -> Sequence[ActivityLine]:
    """Return an account's newest journal entries in words."""
    return [describe_entry(entry, currency) for entry in books.list_entries([account_id], limit)]
