"""Every read of corporate actions: what prices and holdings must know of, and lists for people."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date

from django.db.models import Q, QuerySet

from portfolios import models
from portfolios.domain.corporate_actions import SPLITS, Action
from portfolios.domain.kinds import ActionKind, ActionStatus
from robo.common.templatetags import figures

CONFIRMED = (ActionStatus.ANNOUNCED, ActionStatus.APPLIED)
# What one person has recorded moves no price and no share; but no plan is carried out upon it.
SAID = (ActionStatus.RECORDED, *CONFIRMED)


def load_actions(
    *,
    firm_id: int | None = None,
    security_ids: Sequence[int] | None = None,
    kinds: Sequence[ActionKind] = tuple(ActionKind),
    statuses: Sequence[ActionStatus] = CONFIRMED,
) -> dict[int, list[Action]]:
    """Return actions by security in order of day; of a firm, or of some securities, or both."""
    rows = models.CorporateAction.objects.filter(kind__in=kinds, status__in=statuses)
    if firm_id is not None:
        rows = rows.filter(firm_id=firm_id)
    if security_ids is not None:
        rows = rows.filter(security_id__in=security_ids)
    actions: dict[int, list[Action]] = defaultdict(list)
    for row in rows.order_by("effective_date", "id"):
        actions[row.security_id].append(describe_action(row))
    return actions


def load_splits(security_ids: Sequence[int]) -> dict[int, list[Action]]:
    """Return the splits that are in the books already, by security."""
    return load_actions(security_ids=security_ids, kinds=SPLITS, statuses=(ActionStatus.APPLIED,))


def describe_action(row: models.CorporateAction) -> Action:
    """Return an action's row as a plain value."""
    return Action(
        security_id=row.security_id,
        kind=ActionKind(row.kind),
        effective_date=row.effective_date,
        status=ActionStatus(row.status),
        new_shares=row.new_shares,
        old_shares=row.old_shares,
        cash_per_share=row.cash_per_share,
    )


def list_actions_since(
    security_ids: Sequence[int], since_date: date, until_date: date
) -> list[str]:
    """Return, in sentences, what took effect on these securities after one day up to another.

    A trade planned on `since_date` no longer holds on `until_date` if there is any.
    """
    return [
        describe_in_words(row)
        for row in models.CorporateAction.objects.filter(
            status__in=SAID,
            security_id__in=security_ids,
            effective_date__gt=since_date,
            effective_date__lte=until_date,
        ).order_by("effective_date", "id")
    ]


def describe_in_words(row: models.CorporateAction) -> str:
    """Return what an action does, as half a sentence for people."""
    day, symbol = figures.day(row.effective_date), row.old_symbol
    match ActionKind(row.kind):
        case ActionKind.SPLIT | ActionKind.REVERSE_SPLIT:
            return f"{symbol} splits {row.new_shares} for {row.old_shares} on {day}"
        case ActionKind.SYMBOL_CHANGE:
            return f"{symbol} is called {row.new_symbol} from {day}"
        case ActionKind.CASH_DIVIDEND:
            return f"{symbol} goes ex a dividend of {row.cash_per_share:f} a share on {day}"
        case ActionKind.CASH_MERGER:
            return f"{symbol} is bought out at {row.cash_per_share:f} a share on {day}"
        case ActionKind.DELISTING:
            return f"{symbol} is no longer listed from {day}"


def list_due_actions(firm_id: int, on_date: date) -> "QuerySet[models.CorporateAction]":
    """Return confirmed actions whose day has come, in the order in which they are applied."""
    return models.CorporateAction.objects.filter(
        Q(pay_date__lte=on_date, kind=ActionKind.CASH_DIVIDEND)
        | Q(effective_date__lte=on_date) & ~Q(kind=ActionKind.CASH_DIVIDEND),
        firm_id=firm_id,
        status=ActionStatus.ANNOUNCED,
    ).order_by("effective_date", "id")


def list_actions(firm_id: int) -> "QuerySet[models.CorporateAction]":
    """Return a firm's corporate actions, the latest day first, with their security and author."""
    return models.CorporateAction.objects.filter(firm_id=firm_id).select_related(
        "security", "recorded_by", "confirmed_by"
    )
