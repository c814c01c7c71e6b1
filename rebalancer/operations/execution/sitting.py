"""One sitting of recording: what is at hand, what fits, and which executions are new."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from django.db.models import Q

from portfolios.domain.kinds import BreakKind
from portfolios.domain.money import round_price
from rebalancer import models
from rebalancer.brokers.port import BrokerOrder, Execution
from rebalancer.domain.executions import Word, find_flaw, is_absurd, measure_effect
from rebalancer.domain.kinds import BrokerKind, ExecutionKind
from rebalancer.operations.execution.incidents import (
    freeze_block,
    park_report,
    resolve_reports,
)
from robo.common.builds import OtherBuild, this_build

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Sitting:
    """What one transaction of recording has at hand, and what it will write."""

    broker: BrokerKind
    now: datetime
    slices: dict[str, models.Slice]
    blocks: dict[int, models.Block]
    # (firm, the broker's id) of what is on record: the row's key and its slice's.
    known: dict[tuple[int, str], tuple[int, int]]
    by_slice: dict[int, set[str]]
    fills: list[models.Execution] = field(default_factory=list)
    answers: list[tuple[models.Slice, Execution]] = field(default_factory=list)
    recorded: int = 0


def load_sitting(answers: Mapping[str, BrokerOrder], broker: BrokerKind, now: datetime) -> Sitting:
    """Lock the blocks and slices that answers are about, and load what is on record of them.

    :raises OtherBuild: when the database was migrated since the broker was asked.
    """
    mine = models.Slice.objects.filter(client_order_id__in=list(answers), block__broker=broker)
    found = list(
        models.Block.objects.select_for_update(of=["self"])
        .select_related("security")
        .annotate(is_of_this_build=this_build())
        .filter(pk__in=set(mine.values_list("block_id", flat=True)))
        .order_by("pk")
    )
    if not all(block.is_of_this_build for block in found):
        raise OtherBuild("The database is of another build: the broker is asked again.")
    blocks: dict[int, models.Block] = {block.pk: block for block in found}
    slices = {
        row.client_order_id: row
        for row in models.Slice.objects.select_for_update()
        .filter(client_order_id__in=list(answers), block_id__in=blocks)
        .order_by("pk")
    }
    for row in slices.values():
        row.block = blocks[row.block_id]
    told = {e.fill_id for name in slices for e in answers[name].executions}
    known: dict[tuple[int, str], tuple[int, int]] = {}
    by_slice: dict[int, set[str]] = defaultdict(set)
    firms = {block.firm_id for block in blocks.values()}
    for pk, firm_id, slice_id, execution_id in models.Execution.objects.filter(
        Q(slice__in=slices.values()) | Q(firm_id__in=firms, broker=broker, execution_id__in=told)
    ).values_list("pk", "firm_id", "slice_id", "execution_id"):
        known[firm_id, execution_id] = (pk, slice_id)
        by_slice[slice_id].add(execution_id)
    return Sitting(broker, now, slices, blocks, known, by_slice)


# --- What does not fit ---------------------------------------------------------------------------


def park(
    sitting: Sitting,
    row: models.Slice,
    report: BrokerOrder | Execution,
    key: str,
    reason: str,
    *,
    freezes: BreakKind | None = None,
) -> None:
    """Keep a report about a slice for a person, and freeze what it is about if need be."""
    is_new = park_report(
        broker=sitting.broker,
        firm_id=row.block.firm_id,
        client_order_id=row.client_order_id,
        key=f"{row.client_order_id}:{key}",
        reason=reason,
        report=report,
    )
    if is_new and freezes is not None:
        logger.error("slice %s: %s", row.client_order_id, reason)
        freeze_block(row.block, kind=freezes, note=reason)


def park_unknown(sitting: Sitting, answer: BrokerOrder) -> None:
    """Keep a report on an order that we never sent: it becomes nobody's."""
    logger.error("%s reports an order that is not ours: %s", sitting.broker, answer.client_order_id)
    park_report(
        broker=sitting.broker,
        firm_id=None,
        client_order_id=answer.client_order_id,
        key=f"unknown:{answer.client_order_id}:{answer.status}:{answer.filled_quantity}",
        reason="The broker reports an order that we did not send.",
        report=answer,
    )


def fits(sitting: Sitting, row: models.Slice, answer: BrokerOrder) -> bool:
    """Return whether an answer is about what we sent; another symbol or side is an incident."""
    symbol, side = row.block.security.symbol, row.block.side
    is_other = (answer.symbol and answer.symbol != symbol) or (answer.side and answer.side != side)
    is_number = answer.filled_quantity.is_finite() and answer.filled_quantity >= 0
    if not is_other and is_number:
        return True
    told = f"{answer.side or side} {answer.filled_quantity} {answer.symbol or symbol}"
    reason = f"We sent {side} {row.quantity.normalize():f} {symbol}; the broker says {told}."
    # Trading in that security waits until somebody has found out what the broker did.
    park(sitting, row, answer, f"other:{told}", reason, freezes=BreakKind.UNKNOWN)
    row.is_parked, row.reason = True, reason[:300]
    return False


def sort_executions(sitting: Sitting, row: models.Slice, answer: BrokerOrder) -> None:
    """Set aside what is new in an answer: fills, and answers to fills."""
    firm_id = row.block.firm_id
    for told in answer.executions:
        seen = sitting.known.get((firm_id, told.fill_id))
        if seen is not None:
            if seen[1] != row.pk:
                reason = f"Execution {told.fill_id} is on record for another order."
                park(sitting, row, told, f"elsewhere:{told.fill_id}", reason)
            continue
        flaw = find_flaw(Word(told.kind, told.quantity, told.price))
        if not flaw and not told.fill_id:
            flaw = "It has no id, so it could be booked twice."
        if flaw:
            # Whatever it means, the totals will not agree, so the slice stays open until settled.
            park(sitting, row, told, f"flaw:{told.fill_id}:{flaw}", flaw)
            continue
        sitting.known[firm_id, told.fill_id] = (0, row.pk)
        sitting.by_slice[row.pk].add(told.fill_id)
        if told.kind is ExecutionKind.FILL:
            sitting.fills.append(_build_execution(sitting, row, told, None))
            if is_absurd(told.price, row.block.arrival_price):
                reason = f"Filled at {told.price}, far from {row.block.arrival_price}."
                park(
                    sitting, row, told, f"absurd:{told.fill_id}", reason, freezes=BreakKind.UNKNOWN
                )
        else:
            sitting.answers.append((row, told))


def _build_execution(
    sitting: Sitting, row: models.Slice, told: Execution, refers_to_id: int | None
) -> models.Execution:
    return models.Execution(
        slice=row,
        firm_id=row.block.firm_id,
        broker=sitting.broker,
        execution_id=told.fill_id,
        kind=told.kind,
        refers_to_id=refers_to_id,
        quantity=told.quantity,
        price=round_price(told.price),
        execution_date=told.fill_date,
    )


# --- Executions ----------------------------------------------------------------------------------


def write_fills(sitting: Sitting) -> None:
    """Store new fills, and take up what was parked because it came before its fill."""
    models.Execution.objects.bulk_create(sitting.fills)
    sitting.recorded += len(sitting.fills)
    for fill in sitting.fills:
        sitting.known[fill.firm_id, fill.execution_id] = (fill.pk, fill.slice_id)
        _add(fill.slice, fill.quantity, fill.quantity * fill.price)
    if not sitting.fills:
        return
    names = {fill.slice.client_order_id for fill in sitting.fills}
    for parked in models.ParkedReport.objects.filter(
        broker=sitting.broker,
        client_order_id__in=names,
        resolved_at__isnull=True,
        report__refers_to__gt="",
    ).order_by("pk"):
        row = sitting.slices[parked.client_order_id]
        told = _read_execution(parked)
        if (row.block.firm_id, told.refers_to) in sitting.known:
            if (row.block.firm_id, told.fill_id) not in sitting.known:
                sitting.known[row.block.firm_id, told.fill_id] = (0, row.pk)
                sitting.answers.append((row, told))
            resolve_reports([parked.pk], now=sitting.now, resolution="Its fill arrived.")


def _read_execution(parked: models.ParkedReport) -> Execution:
    values = parked.report
    return Execution(
        fill_id=values["fill_id"],
        quantity=Decimal(values["quantity"]),
        price=Decimal(values["price"]),
        fill_date=date.fromisoformat(values["fill_date"]),
        kind=ExecutionKind(values["kind"]),
        refers_to=values["refers_to"],
    )


def write_answers(sitting: Sitting) -> None:
    """Store busts and corrections whose fill is on record; park the others until it is."""
    due: list[tuple[models.Slice, Execution, int]] = []
    for row, told in sitting.answers:
        firm_id = row.block.firm_id
        fill = sitting.known.get((firm_id, told.refers_to))
        if fill is None or fill[0] == 0 or fill[1] != row.pk:
            # It was not recorded, so that it can be when its turn comes.
            sitting.known.pop((firm_id, told.fill_id))
            sitting.by_slice[row.pk].discard(told.fill_id)
            reason = f"It arrived before its fill {told.refers_to}."
            park(sitting, row, told, f"early:{told.fill_id}", reason)
        else:
            due.append((row, told, fill[0]))
    if not due:
        return
    words = _load_words({fill_id for _row, _told, fill_id in due})
    new = []
    for row, told, fill_id in due:
        before = measure_effect(words[fill_id])
        said = [*words[fill_id], Word(told.kind, told.quantity, round_price(told.price))]
        try:
            after = measure_effect(said)
        except ValueError as error:
            sitting.by_slice[row.pk].discard(told.fill_id)
            reason = f"Of fill {told.refers_to}, {error}."
            park(sitting, row, told, f"too much:{told.fill_id}", reason, freezes=BreakKind.UNKNOWN)
            continue
        words[fill_id] = said
        _add(row, after.quantity - before.quantity, after.value - before.value)
        new.append(_build_execution(sitting, row, told, fill_id))
    models.Execution.objects.bulk_create(new)
    sitting.recorded += len(new)


def _load_words(fill_ids: Iterable[int]) -> dict[int, list[Word]]:
    """Return everything said of these fills so far, in order."""
    words: dict[int, list[Word]] = defaultdict(list)
    wanted = list(fill_ids)
    for pk, refers_to, kind, quantity, price in (
        models.Execution.objects.filter(Q(pk__in=wanted) | Q(refers_to__in=wanted))
        .order_by("pk")
        .values_list("pk", "refers_to_id", "kind", "quantity", "price")
    ):
        words[refers_to or pk].append(Word(ExecutionKind(kind), quantity, price))
    return words


def _add(row: models.Slice, quantity: Decimal, value: Decimal) -> None:
    row.filled_quantity += quantity
    row.block.filled_quantity += quantity
    row.block.filled_value += value
