"""What was sent before there were blocks is a block of one afterwards, and the proof holds."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from portfolios.models import CashBalance
from portfolios.queries.books import check_books
from rebalancer import models
from rebalancer.operations import orders
from rebalancer.queries.proof import check_orders
from tests.rebalancer.test_faults import approved_world, drain
from tests.rebalancer.world import NOW

pytestmark = pytest.mark.django_db(transaction=True)
BEFORE = [("rebalancer", "0008_execution")]


def migrate(target=None):
    """Migrate there, or to the newest."""
    executor = MigrationExecutor(connection)
    target = target or executor.loader.graph.leaf_nodes("rebalancer")
    executor.migrate(target)
    return executor.loader.project_state(target).apps


def forget_blocks():
    """Leave of today's rows what the release before had too; return its fills, to be made again."""
    fills = list(
        models.Fill.objects.order_by("id").values_list(
            "id", "order_id", "quantity", "price", "fill_date"
        )
    )
    with connection.cursor() as cursor:
        for table in ("order", "block", "slice", "execution", "fill"):
            cursor.execute(f"ALTER TABLE rebalancer_{table} DISABLE TRIGGER USER")
        cursor.execute("ALTER TABLE portfolios_journalentry DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE portfolios_journalentry e SET source = 'fill:PAPER:' || f.id"
            " FROM rebalancer_fill f WHERE f.entry_id = e.id"
        )
        cursor.execute("UPDATE rebalancer_order SET block_id = NULL")
        for table in ("fill", "execution", "slice", "block"):
            cursor.execute(f"DELETE FROM rebalancer_{table}")
        cursor.execute("ALTER TABLE portfolios_journalentry ENABLE TRIGGER USER")
        for table in ("order", "block", "slice", "execution", "fill"):
            cursor.execute(f"ALTER TABLE rebalancer_{table} ENABLE TRIGGER USER")
    return fills


def test_what_was_sent_before_becomes_blocks_of_one():
    world = approved_world()
    drain(NOW)
    filled = dict(models.Order.objects.values_list("client_order_id", "filled_amount"))
    cash = dict(CashBalance.objects.values_list("account", "amount"))
    fills = forget_blocks()
    try:
        apps = migrate(BEFORE)
        Fill = apps.get_model("rebalancer", "Fill")
        Fill.objects.bulk_create(
            Fill(
                id=pk,
                order_id=order_id,
                broker="PAPER",
                broker_fill_id=str(pk),
                quantity=quantity,
                price=price,
                fill_date=fill_date,
            )
            for pk, order_id, quantity, price, fill_date in fills
        )
    finally:
        migrate()
    assert models.Block.objects.count() == models.Slice.objects.count() == len(filled)
    assert models.Execution.objects.count() == models.Fill.objects.count()
    assert dict(models.Order.objects.values_list("client_order_id", "filled_amount")) == filled
    assert check_books(world.firm.pk) == []
    assert check_orders(world.firm.pk) == []
    # Life goes on: nothing of it is shared out, or told to the broker, a second time.
    orders.poll_broker(now=NOW)
    orders.submit_orders(now=NOW)
    assert dict(CashBalance.objects.values_list("account", "amount")) == cash
    assert check_orders(world.firm.pk) == []
