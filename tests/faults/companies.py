"""What companies do to their shares: from a person's word to the books, and what must come of it.

The market follows the company, whether or not two people here have put it on record in time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from portfolios.domain.kinds import ActionKind, ActionStatus, EntryKind, Pocket
from portfolios.models import CorporateAction, Transfer
from portfolios.operations import corporate_actions
from portfolios.operations.corporate_actions import ActionDetails

if TYPE_CHECKING:
    from tests.faults.schedule import Schedule

KINDS = (
    (ActionKind.SPLIT, {"new_shares": 2, "old_shares": 1}),
    (ActionKind.SPLIT, {"new_shares": 3, "old_shares": 1}),
    (ActionKind.REVERSE_SPLIT, {"new_shares": 1, "old_shares": 2}),
    (ActionKind.CASH_DIVIDEND, {"cash_per_share": Decimal("0.37")}),
)


def find_next_session(day: date) -> date:
    """Return the weekday after a day."""
    return day + timedelta(days=1 if day.weekday() < 4 else 7 - day.weekday())


# --- Steps ---------------------------------------------------------------------------------------


def announce_action(schedule: Schedule) -> None:
    """Record what a company does on the next session; mostly a second person confirms at once."""
    firm, rng = schedule.firm, schedule.rng
    kind, terms = rng.choice(KINDS)
    ids = sorted(firm.world.security_ids.values())
    traded = sorted({held.ticket.symbol for held in schedule.broker.orders.values()})
    if traded and rng.random() < 0.7:
        ids = [firm.world.security_ids[rng.choice(traded)]]
    row = corporate_actions.record_action(
        firm_id=firm.pk,
        details=ActionDetails(
            security_id=rng.choice(ids),
            kind=kind,
            effective_date=find_next_session(firm.today),
            **terms,
        ),
        market_date=firm.today,
        actor_id=firm.world.admin.pk,
    )
    if rng.random() < 0.8:
        corporate_actions.confirm_action(action_id=row.pk, actor_id=firm.supervisors[0].pk)


def confirm_actions(schedule: Schedule) -> None:
    """Confirm what waits for a second person."""
    for row in CorporateAction.objects.filter(
        firm_id=schedule.firm.pk, status=ActionStatus.RECORDED
    ).order_by("pk"):
        corporate_actions.confirm_action(action_id=row.pk, actor_id=schedule.firm.supervisors[0].pk)


def apply_actions(schedule: Schedule) -> None:
    """Book what is due."""
    schedule.figures["actions"] += corporate_actions.apply_actions(
        firm_id=schedule.firm.pk, on_date=schedule.firm.today
    )


# --- What must come of it ------------------------------------------------------------------------


def list_splits(firm_id: int) -> Mapping[int, list[tuple[date, Fraction]]]:
    """Return by security when its shares were split, and into how many."""
    splits: dict[int, list[tuple[date, Fraction]]] = {}
    for row in CorporateAction.objects.filter(firm_id=firm_id, new_shares__isnull=False):
        ratio = Fraction(row.new_shares or 1, row.old_shares or 1)
        splits.setdefault(row.security_id, []).append((row.effective_date, ratio))
    return splits


def scale(
    splits: Mapping[int, list[tuple[date, Fraction]]], security_id: int, after: date, until: date
) -> Fraction:
    """Return how many shares one share of one day has become by another."""
    factor = Fraction(1)
    for day, ratio in splits.get(security_id, ()):
        if after < day <= until:
            factor *= ratio
    return factor


def count_fractions(
    splits: Mapping[int, list[tuple[date, Fraction]]], security_id: int, until: date
) -> Fraction:
    """Return of how many share steps of a security parts may have been paid out, as of today.

    Each reverse split pays out less than one; splits after it would have multiplied that.
    """
    ratios = [ratio for day, ratio in splits.get(security_id, ()) if day <= until]
    steps = Fraction(sum(ratio < 1 for ratio in ratios))
    for ratio in ratios:
        steps *= max(ratio, Fraction(1))
    return steps


def sum_cash(firm_id: int) -> Mapping[int, Decimal]:
    """Return by account the cash that companies paid, as booked."""
    paid: dict[int, Decimal] = {}
    for account_id, pocket, amount in Transfer.objects.filter(
        entry__account__firm_id=firm_id,
        entry__kind__in=[EntryKind.SPLIT, EntryKind.DIVIDEND, EntryKind.REINVEST],
        security__isnull=True,
    ).values_list("entry__account_id", "target_pocket", "quantity"):
        sign = 1 if pocket == Pocket.CASH else -1
        paid[account_id] = paid.get(account_id, Decimal(0)) + sign * amount
    return paid


def find_between(security_ids: list[int], since: date, until: date) -> str:
    """Return what a company did after one day and up to another, or an empty text."""
    row = CorporateAction.objects.filter(
        security__in=security_ids, effective_date__gt=since, effective_date__lte=until
    ).first()
    return str(row) if row else ""
