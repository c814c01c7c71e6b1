"""Splits in the books: lots multiplied at unchanged cost, fractions of a share step paid in cash.

Shares are multiplied that were booked under a day before the split. What is booked under a later
day is in new shares already; a fill of before the split that arrives after it follows it at once.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from django.db.models import Q, QuerySet, Sum

from portfolios import models
from portfolios.domain import ledger
from portfolios.domain.corporate_actions import Action, scale_quantity, split_lots
from portfolios.domain.kinds import BreakKind, EntryKind, Pocket, Side
from portfolios.domain.lots import (
    Lot,
    LotChange,
    LotUse,
    NotEnoughShares,
    take_from_lots,
    use_lots,
)
from portfolios.domain.money import ZERO, floor_to_step, round_money
from portfolios.operations.breaks import open_break
from portfolios.operations.entries import BookEvent, write_events


@dataclass(frozen=True, slots=True)
class SplitTerms:
    """A split as it is booked; without a price no fraction is paid out."""

    source: str
    action: Action
    words: str
    currency: str
    share_step: Decimal
    price: Decimal | None


def book_split(terms: SplitTerms, entry_dates: Mapping[int, date]) -> int:
    """Book a split to accounts (id -> day to book it under); return how many it changed.

    The caller holds the locks of their books. An account whose lots do not bear the split is left
    as it is, with a break that says so.
    """
    lots, counted = _read_lots(terms.action, list(entry_dates))
    events = []
    for account_id, entry_date in entry_dates.items():
        if not counted[account_id]:
            continue
        try:
            events.append(
                _build_event(terms, account_id, entry_date, lots[account_id], counted[account_id])
            )
        except NotEnoughShares as error:
            held = sum((lot.quantity for lot in lots[account_id].values()), ZERO)
            open_break(
                account_id=account_id,
                security_id=terms.action.security_id,
                kind=BreakKind.POSITION,
                source=f"{terms.source}:{account_id}",
                ours=held,
                theirs=scale_quantity(held, terms.action.ratio),
                note=f"{terms.words}, but the lots do not bear it: {error}",
            )
    write_events(events)
    return len(events)


def _read_lots(
    action: Action, account_ids: Sequence[int]
) -> tuple[dict[int, dict[int, Lot]], dict[int, dict[int, Decimal]]]:
    """Return by account its open lots, and how many shares of each are still in old units."""
    mine = {"lot__account_id__in": account_ids, "lot__security_id": action.security_id}
    sold = _sum_by_lot(
        models.Disposal.objects.filter(disposed_date__gte=action.effective_date, **mine)
    )
    adjusted = _sum_by_lot(
        models.LotAdjustment.objects.filter(
            entry__kind=EntryKind.ADJUSTMENT,
            entry__entry_date__gte=action.effective_date,
            **mine,
        )
    )
    lots: dict[int, dict[int, Lot]] = defaultdict(dict)
    counted: dict[int, dict[int, Decimal]] = defaultdict(dict)
    rows = models.Lot.objects.filter(
        Q(quantity__gt=0) | Q(pk__in=[*sold, *adjusted]),
        account_id__in=account_ids,
        security_id=action.security_id,
    )
    for row in rows.select_related("opened_by").order_by("id"):
        old = row.quantity + sold.get(row.pk, ZERO) - adjusted.get(row.pk, ZERO)
        if row.opened_by.entry_date < action.effective_date and old > 0:
            counted[row.account_id][row.pk] = old
        elif not row.quantity:
            continue
        lots[row.account_id][row.pk] = Lot(row.pk, row.quantity, row.cost, row.acquired_date)
    return lots, counted


def _sum_by_lot(
    rows: "QuerySet[models.Disposal] | QuerySet[models.LotAdjustment]",
) -> dict[int, Decimal]:
    totals = rows.values("lot_id").annotate(total=Sum("quantity"))
    return dict(totals.order_by("lot_id").values_list("lot_id", "total"))


def _build_event(
    terms: SplitTerms,
    account_id: int,
    entry_date: date,
    lots: Mapping[int, Lot],
    counted: Mapping[int, Decimal],
) -> BookEvent:
    changes = split_lots([lots[key] for key in counted], counted, terms.action.ratio)
    after = dict(lots)
    for change in changes:
        lot = after[change.lot_id]
        after[change.lot_id] = replace(
            lot, quantity=lot.quantity + change.quantity, cost=lot.cost + change.cost
        )
    made = sum((change.quantity for change in changes), ZERO)
    unit = ledger.Unit(security_id=terms.action.security_id)
    moves: list[ledger.Transfer] = []
    if made > 0:
        moves.append(ledger.Transfer(Pocket.ACTIONS, Pocket.SECURITIES, made, unit))
    elif made < 0:
        moves.append(ledger.Transfer(Pocket.SECURITIES, Pocket.ACTIONS, -made, unit))
    uses = _pay_fraction(terms, list(after.values()), entry_date)
    if uses:
        moves += ledger.transfers_for_trade(
            side=Side.SELL,
            security_id=terms.action.security_id,
            quantity=sum((use.quantity for use in uses), ZERO),
            amount=sum((use.proceeds for use in uses), ZERO),
            currency=terms.currency,
        )
    return BookEvent(
        account_id=account_id,
        kind=EntryKind.SPLIT,
        entry_date=entry_date,
        source=f"{terms.source}:{account_id}",
        memo=terms.words + (", the fraction paid in cash" if uses else ""),
        transfers=tuple(moves),
        lot_changes=changes,
        lot_uses=uses,
    )


def _pay_fraction(terms: SplitTerms, lots: Sequence[Lot], sold_date: date) -> tuple[LotUse, ...]:
    """Return the sale of what is more than whole share steps, the oldest lots first."""
    total = sum((lot.quantity for lot in lots), ZERO)
    fraction = total - floor_to_step(total, terms.share_step)
    if terms.price is None or not fraction:
        return ()
    return use_lots(
        picks=take_from_lots(lots, fraction),
        proceeds=round_money(fraction * terms.price),
        sold_date=sold_date,
    )


def build_late_split(
    *,
    source: str,
    account_id: int,
    security_id: int,
    splits: Sequence[Action],
    fill_date: date,
    changes: Sequence[LotChange],
) -> BookEvent:
    """Return the event that puts a fill of before some splits, booked after them, in new shares."""
    made = sum((change.quantity for change in changes), ZERO)
    pockets = (Pocket.ACTIONS, Pocket.SECURITIES)
    source_pocket, target_pocket = pockets if made > 0 else pockets[::-1]
    return BookEvent(
        account_id=account_id,
        kind=EntryKind.SPLIT,
        entry_date=max(
            split.effective_date for split in splits if split.effective_date > fill_date
        ),
        source=f"split:{source}",
        memo=f"A fill of {fill_date}, in the shares of after the split",
        transfers=(
            ledger.Transfer(
                source_pocket, target_pocket, abs(made), ledger.Unit(security_id=security_id)
            ),
        ),
        lot_changes=tuple(changes),
    )
