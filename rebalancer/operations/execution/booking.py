"""The shares of a block in the books: one entry for each order, reversed and made anew if wrong."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db import transaction
from django.db.models import Sum

from portfolios.domain.kinds import BreakKind, Side
from portfolios.domain.money import ZERO, round_price
from portfolios.operations import books
from portfolios.operations.corrections import reverse_entry
from portfolios.queries.breaks import sum_adjusted
from rebalancer import models
from rebalancer.domain.blocks import Share, name_fill, share_surplus, take_lots
from rebalancer.operations.execution.incidents import freeze_order, name_break

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """What an order is to stand at, and the fill that stands now, if any."""

    order: models.Order
    share: Share
    standing: models.Fill | None


def book_changes(
    block: models.Block, changes: Sequence[Change], *, number: int, fill_date: date
) -> None:
    """Write the fills of a sharing out, and book them; what the books refuse becomes a break."""
    first = [change for change in changes if change.standing is None]
    fills = _book_new(block, first, number, fill_date)
    for change in changes:
        if change.standing is not None:
            fills += _book_again(block, change, change.standing, number, fill_date)
    # In the order of booking: a reversal before what takes its place.
    models.Fill.objects.bulk_create(fills)


def _book_new(
    block: models.Block, changes: Sequence[Change], number: int, fill_date: date
) -> list[models.Fill]:
    """Book shares for the first time, together; one that the books refuse holds up no other."""
    wanted = [change for change in changes if change.share.quantity]
    if not wanted:
        return []
    try:
        with transaction.atomic():
            entries = books.book_fills(
                fills=[_describe(block, change, number, fill_date) for change in wanted],
                currency=block.firm.currency,
            )
    except books.BooksDisagree as error:
        if len(wanted) > 1:
            half = len(wanted) // 2
            return [
                fill
                for part in (wanted[:half], wanted[half:])
                for fill in _book_new(block, part, number, fill_date)
            ]
        [change] = wanted
        _open_break(change, str(error), kind=BreakKind.UNKNOWN)
        return [_build_fill(block, change, number, fill_date, None)]
    return [
        _build_fill(block, change, number, fill_date, entry.pk)
        for change, entry in zip(wanted, entries, strict=True)
    ]


def _book_again(
    block: models.Block, change: Change, standing: models.Fill, number: int, fill_date: date
) -> list[models.Fill]:
    """Take back what stands and book what it should be, both or neither."""
    reversal_id: int | None = None
    entry_id: int | None = None
    try:
        if standing.entry_id is None:
            raise books.BooksDisagree("an earlier report of this order is not in the books yet")
        with transaction.atomic():
            reversal_id = reverse_entry(
                entry_id=standing.entry_id,
                source=name_fill(change.order.client_order_id, number, is_reversal=True),
                entry_date=standing.fill_date,
                memo=f"The broker corrected its report on {block.security.symbol}",
            ).pk
            if change.share.quantity:
                [entry] = books.book_fills(
                    fills=[_describe(block, change, number, fill_date)],
                    currency=block.firm.currency,
                )
                entry_id = entry.pk
    except books.BooksDisagree as error:
        reversal_id = entry_id = None
        _open_break(change, str(error), kind=BreakKind.BUST)
    back = models.Fill(
        order=change.order,
        number=number,
        reverses=standing,
        entry_id=reversal_id,
        quantity=-standing.quantity,
        amount=-standing.amount,
        price=standing.price,
        fill_date=standing.fill_date,
    )
    if not change.share.quantity:
        return [back]
    return [back, _build_fill(block, change, number, fill_date, entry_id)]


def _open_break(change: Change, words: str, *, kind: BreakKind) -> None:
    """Say what our books lack by the broker's word, in shares and in cash."""
    logger.error("order %s cannot be booked: %s", change.order.client_order_id, words)
    missing = _measure_missing(
        change.order, shares=change.share.quantity, amount=change.share.amount
    )
    freeze_order(
        change.order,
        kind=kind,
        note=f"The broker's report cannot be booked: {words}",
        missing={name: value for name, value in missing.items() if value or name == "shares"},
    )


def _measure_missing(
    order: models.Order, *, shares: Decimal, amount: Decimal
) -> dict[str, Decimal]:
    """Return what the books lack of what an order came to, less what was adjusted for it so far.

    Counted from what is booked rather than from the last report, which may not be in the books.
    """
    booked = models.Fill.objects.filter(order=order, entry__isnull=False).aggregate(
        shares=Sum("quantity", default=ZERO), amount=Sum("amount", default=ZERO)
    )
    sign = 1 if order.side == Side.BUY else -1
    lacking = {
        "shares": sign * (shares - booked["shares"]),
        "cash": -sign * (amount - booked["amount"]),
    }
    added = sum_adjusted([name_break(order, name) for name in lacking])
    return {name: value - added[name_break(order, name)] for name, value in lacking.items()}


def _describe(
    block: models.Block, change: Change, number: int, fill_date: date
) -> books.FillToBook:
    order, share = change.order, change.share
    picks: tuple[tuple[int, Decimal], ...] = ()
    if order.side == Side.SELL:
        lots = [(row.lot_id, row.quantity) for row in order.trade.trade_lots.all()]
        picks = take_lots(lots, share.quantity)
    verb = "Bought" if order.side == Side.BUY else "Sold"
    price = round_price(block.filled_value / block.filled_quantity)
    return books.FillToBook(
        source=name_fill(order.client_order_id, number),
        account_id=order.account_id,
        security_id=order.security_id,
        side=Side(order.side),
        quantity=share.quantity,
        amount=share.amount,
        fill_date=fill_date,
        picks=picks,
        memo=f"{verb} {block.security.symbol} at {price.normalize():f}",
    )


def _build_fill(
    block: models.Block, change: Change, number: int, fill_date: date, entry_id: int | None
) -> models.Fill:
    return models.Fill(
        order=change.order,
        number=number,
        entry_id=entry_id,
        quantity=change.share.quantity,
        amount=change.share.amount,
        price=round_price(block.filled_value / block.filled_quantity),
        fill_date=fill_date,
    )


def freeze_surplus(block: models.Block, orders: Sequence[models.Order]) -> None:
    """Open breaks where the broker filled more than everybody ordered, or no longer did.

    Nobody's books take more than was approved: the surplus is a difference with the broker, in the
    accounts that it would fall to, and a person settles it, once.
    """
    parts = share_surplus(
        ordered=[order.quantity for order in orders],
        share_step=block.security.share_step,
        filled=block.filled_quantity,
    )
    if not any(parts) and block.allocation_number < 2:  # as nearly always
        return
    added = sum_adjusted([name_break(order, "shares") for order in orders])
    for order, surplus in zip(orders, parts, strict=True):
        if not surplus and not added[name_break(order, "shares")]:
            continue
        missing = _measure_missing(
            order, shares=order.filled_quantity + surplus, amount=order.filled_amount
        )["shares"]
        if missing:
            freeze_order(
                order,
                kind=BreakKind.OVERFILL,
                note=(
                    f"The broker filled {block.filled_quantity.normalize():f} of "
                    f"{block.quantity.normalize():f} that were ordered."
                ),
                missing={"shares": missing},
            )
