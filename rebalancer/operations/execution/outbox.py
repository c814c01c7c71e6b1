"""Brokers that take blocks are told whose the shares are, until they have heard it."""

import logging
from datetime import datetime

from django.db import transaction
from django.db.models import F

from portfolios.domain.kinds import Side
from rebalancer import models
from rebalancer.brokers.port import (
    AllocationInstruction,
    AllocationRefused,
    AllocationShare,
)
from rebalancer.domain.kinds import BrokerKind
from rebalancer.operations.execution.brokers import name_account, reach_broker
from rebalancer.operations.execution.incidents import park_report

logger = logging.getLogger(__name__)

BATCH_BLOCKS = 200


def tell_brokers(*, now: datetime) -> int:
    """Send every sharing out that its broker has not heard of; return how many it took.

    A broker that is silent is not asked again in this pass. What one refuses is shown to people,
    and holds up no other.
    """
    told, after = 0, 0
    silent: set[tuple[str, int]] = set()
    while True:
        blocks = list(
            models.Block.objects.select_related("security")
            .filter(allocation_sent__lt=F("allocation_number"), pk__gt=after)
            .order_by("pk")[:BATCH_BLOCKS]
        )
        if not blocks:
            return told
        after = blocks[-1].pk
        for block in blocks:
            key = block.broker, block.firm_id
            if key in silent:
                continue
            instruction = _build_instruction(block)
            try:
                reach_broker(BrokerKind(block.broker), block.firm_id).allocate(instruction)
            except AllocationRefused as refusal:
                _park_refused(block, instruction, str(refusal))
            except Exception:  # a broken adapter is as silent as its broker: others go on
                logger.exception("block %s: the broker was not told whose it is", block.public_id)
                silent.add(key)
            else:
                told += _mark_told(block.pk, instruction.number)


@transaction.atomic(durable=True)
def _park_refused(block: models.Block, instruction: AllocationInstruction, words: str) -> None:
    """Show people what a broker would not take; it is told again, in case they settle it there."""
    park_report(
        broker=BrokerKind(block.broker),
        firm_id=block.firm_id,
        client_order_id="",
        key=f"allocation:{block.public_id}:{instruction.number}",
        reason=f"The broker will not share out what was traded for many accounts: {words}",
        report=instruction,
    )


def _build_instruction(block: models.Block) -> AllocationInstruction:
    """Return whose the shares of a block are now; the broker takes a later number for an earlier.

    Read after the number: what is told may be newer than its number says, never older.
    """
    rows = (
        models.Order.objects.filter(block=block, filled_quantity__gt=0)
        .order_by("client_order_id")
        .values_list("account__number", "account__public_id", "filled_quantity", "filled_amount")
    )
    return AllocationInstruction(
        block_id=str(block.public_id),
        number=block.allocation_number,
        symbol=block.security.symbol,
        side=Side(block.side),
        client_order_ids=tuple(
            models.Slice.objects.filter(block=block)
            .order_by("number")
            .values_list("client_order_id", flat=True)
        ),
        shares=tuple(
            AllocationShare(name_account(block.broker, number, public_id), quantity, amount)
            for number, public_id, quantity, amount in rows
        ),
    )


@transaction.atomic(durable=True)
def _mark_told(block_id: int, number: int) -> int:
    return models.Block.objects.filter(pk=block_id, allocation_sent__lt=number).update(
        allocation_sent=number
    )
