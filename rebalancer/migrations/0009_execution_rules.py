"""What was sent before there were blocks becomes blocks of one; then the rules of the new tables."""

import hashlib
import json
from collections import defaultdict
from decimal import Decimal

import robo.common.fields
from django.db import migrations, models
from django.db.models import Q

from robo.common.append_only import append_only
from robo.common.life_cycles import keep_columns, only_transitions
from robo.common.row_security import secure_tables

BATCH = 1000
ORDER_PAIRS = (
    ("NEW", "SUBMITTING"),
    ("NEW", "CANCELLED"),
    ("NEW", "EXPIRED"),
    ("SUBMITTING", "NEW"),
    ("SUBMITTING", "SUBMITTED"),
    ("SUBMITTING", "PARTIALLY_FILLED"),
    ("SUBMITTING", "FILLED"),
    ("SUBMITTING", "CANCELLED"),
    ("SUBMITTING", "REJECTED"),
    ("SUBMITTING", "EXPIRED"),
    ("SUBMITTED", "PARTIALLY_FILLED"),
    ("SUBMITTED", "FILLED"),
    ("SUBMITTED", "CANCELLED"),
    ("SUBMITTED", "REJECTED"),
    ("SUBMITTED", "EXPIRED"),
    ("PARTIALLY_FILLED", "FILLED"),
    ("PARTIALLY_FILLED", "CANCELLED"),
    ("PARTIALLY_FILLED", "EXPIRED"),
    # Only the broker's late word: a fill that came, or was taken back, after the end.
    ("CANCELLED", "FILLED"),
    ("EXPIRED", "FILLED"),
    ("REJECTED", "FILLED"),
    ("FILLED", "CANCELLED"),
)
SLICE_PAIRS = (
    *ORDER_PAIRS,
    ("NEW", "SUBMITTED"),
    ("NEW", "PARTIALLY_FILLED"),
    ("NEW", "FILLED"),
    ("NEW", "REJECTED"),
)
BLOCK_COLUMNS = (
    "public_id",
    "firm_id",
    "broker",
    "security_id",
    "side",
    "quantity",
    "session_date",
    "statement",
    "statement_hash",
    "arrival_price",
)
SLICE_COLUMNS = ("block_id", "number", "client_order_id", "quantity", "limit_price")


def make_blocks(apps, schema_editor):
    """Give every order that went out a block of its own, with its slice and executions."""
    Order = apps.get_model("rebalancer", "Order")
    sent = (
        Order.objects.filter(~Q(status="NEW"))
        .filter(Q(submitted_at__isnull=False) | Q(status="SUBMITTING"))
        .select_related("trade", "proposal")
        .prefetch_related("fills")
        .order_by("pk")
    )
    after = 0
    while orders := list(sent.filter(pk__gt=after)[:BATCH]):
        after = orders[-1].pk
        _make_batch(apps, orders)


def _make_batch(apps, orders):
    Block, Slice, Execution, Fill = (
        apps.get_model("rebalancer", name) for name in ("Block", "Slice", "Execution", "Fill")
    )
    blocks = Block.objects.bulk_create(_describe_block(Block, order) for order in orders)
    slices = Slice.objects.bulk_create(
        Slice(
            block=block,
            number=1,
            client_order_id=order.client_order_id,
            quantity=order.quantity,
            due_at=order.created_at,
            status=order.status,
            filled_quantity=order.filled_quantity,
            broker_quantity=order.filled_quantity,
            attempt_count=order.attempt_count,
            lease_until=order.lease_until,
            reason=order.reason,
            submitted_at=order.submitted_at,
            closed_at=order.closed_at,
        )
        for block, order in zip(blocks, orders, strict=True)
    )
    for block, order in zip(blocks, orders, strict=True):
        order.block = block
    apps.get_model("rebalancer", "Order").objects.bulk_update(orders, ["block"])
    fills = [
        (row, number, fill)
        for row, order in zip(slices, orders, strict=True)
        for number, fill in enumerate(sorted(order.fills.all(), key=lambda f: f.pk), start=1)
    ]
    Execution.objects.bulk_create(
        Execution(
            slice=row,
            firm_id=row.block.firm_id,
            broker=fill.broker,
            execution_id=fill.broker_fill_id,
            kind="FILL",
            quantity=fill.quantity,
            price=fill.price,
            execution_date=fill.fill_date,
            recorded_at=fill.recorded_at,
        )
        for row, _number, fill in fills
    )
    entries, cash = _find_entries(apps, [fill for _row, _number, fill in fills])
    for _row, number, fill in fills:
        fill.number = number
        fill.entry_id = entries.get(f"fill:{fill.broker}:{fill.broker_fill_id}")
        fill.amount = cash[fill.entry_id]
    Fill.objects.bulk_update([fill for _row, _number, fill in fills], ["number", "entry", "amount"])


def _describe_block(Block, order):
    block = Block(
        firm_id=order.firm_id,
        broker="PAPER",
        security_id=order.security_id,
        side=order.side,
        quantity=order.quantity,
        status=order.status,
        session_date=order.proposal.price_date,
        statement=[[order.client_order_id, f"{order.quantity:f}"]],
        arrival_price=order.trade.price,
        reserve_price=order.trade.fill_price,
        filled_quantity=order.filled_quantity,
        shared_quantity=order.filled_quantity,
        takes_allocations=False,
        allocation_number=len(order.fills.all()),
        allocation_sent=len(order.fills.all()),
        closed_at=order.closed_at,
    )
    value = sum((fill.quantity * fill.price for fill in order.fills.all()), Decimal(0))
    block.filled_value = block.shared_value = value
    text = [str(block.public_id), order.security_id, order.side, block.statement]
    block.statement_hash = hashlib.sha256(json.dumps(text).encode()).hexdigest()
    return block


def _find_entries(apps, fills):
    """Return the journal entries of fills by source, and the cash of each."""
    entries = dict(
        apps.get_model("portfolios", "JournalEntry")
        .objects.filter(source__in=[f"fill:{f.broker}:{f.broker_fill_id}" for f in fills])
        .values_list("source", "id")
    )
    cash = defaultdict(lambda: Decimal(0))
    for entry_id, quantity in (
        apps.get_model("portfolios", "Transfer")
        .objects.filter(entry_id__in=entries.values(), security__isnull=True)
        .values_list("entry_id", "quantity")
    ):
        cash[entry_id] += quantity.quantize(Decimal("0.01"))
    return entries, cash


def guard_fills(is_guarded):
    verb, other = ("ENABLE", "DISABLE") if is_guarded else ("DISABLE", "ENABLE")
    return migrations.RunSQL(
        # What was deferred is checked now: PostgreSQL alters no table with checks outstanding.
        f"SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE rebalancer_fill {verb} TRIGGER USER;",
        f"SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE rebalancer_fill {other} TRIGGER USER;",
    )


class Migration(migrations.Migration):
    dependencies = [("rebalancer", "0008_execution")]

    operations = [
        guard_fills(False),
        migrations.RunPython(make_blocks, migrations.RunPython.noop),
        guard_fills(True),
        migrations.RemoveConstraint(
            model_name='fill',
            name='fill_once',
        ),
        migrations.RemoveConstraint(
            model_name='fill',
            name='fill_positive',
        ),
        migrations.RemoveField(
            model_name='fill',
            name='broker',
        ),
        migrations.RemoveField(
            model_name='fill',
            name='broker_fill_id',
        ),
        migrations.RemoveField(
            model_name='order',
            name='attempt_count',
        ),
        migrations.RemoveField(
            model_name='order',
            name='lease_until',
        ),
        migrations.AlterField(
            model_name='fill',
            name='amount',
            field=models.DecimalField(decimal_places=2, max_digits=20),
        ),
        migrations.AlterField(
            model_name='fill',
            name='number',
            field=models.PositiveSmallIntegerField(help_text='which sharing out of the block'),
        ),
        migrations.AlterField(
            model_name='fill',
            name='price',
            field=robo.common.fields.PriceField(decimal_places=6, help_text="the block's average", max_digits=20),
        ),
        migrations.AlterField(
            model_name='fill',
            name='quantity',
            field=models.DecimalField(decimal_places=8, max_digits=28),
        ),
        migrations.AddConstraint(
            model_name='fill',
            constraint=models.UniqueConstraint(condition=models.Q(('reverses__isnull', True)), fields=('order', 'number'), name='fill_once'),
        ),
        migrations.AddConstraint(
            model_name='fill',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('reverses__isnull', True), ('quantity__gt', 0), ('quantity__lt', Decimal('1E+12')), ('amount__gte', 0), ('amount__lt', Decimal('1E+12'))), models.Q(('reverses__isnull', False), ('quantity__gt', Decimal('-1E+12')), ('quantity__lt', 0), ('amount__gt', Decimal('-1E+12')), ('amount__lte', 0)), _connector='OR'), name='fill_sign'),
        ),
        migrations.AddConstraint(
            model_name='fill',
            constraint=models.CheckConstraint(condition=models.Q(('price__gt', 0), ('price__lt', Decimal('1E+12'))), name='fill_price_positive'),
        ),
        append_only("rebalancer_execution"),
        only_transitions("rebalancer_order", ORDER_PAIRS),
        only_transitions("rebalancer_block", ORDER_PAIRS),
        only_transitions("rebalancer_slice", SLICE_PAIRS),
        keep_columns("rebalancer_block", BLOCK_COLUMNS),
        keep_columns("rebalancer_slice", SLICE_COLUMNS),
        # What a broker reports of an order that is not ours is nobody's yet.
        secure_tables("rebalancer", shared=("rebalancer_switch", "rebalancer_parkedreport")),
    ]
