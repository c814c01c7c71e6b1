"""The database only reads, a worker's clock is wrong: nothing leaves that is not on record."""

from datetime import timedelta

import pytest
import time_machine
from django.db import InternalError, connection

from accounts.models import AuditEntry
from rebalancer import models
from rebalancer.domain.lifecycle import OrderStatus
from rebalancer.operations import orders
from rebalancer.operations.execution import asking, sending
from robo.common import clock
from tests import people
from tests.rebalancer.test_execution import get_sale, prove, script
from tests.rebalancer.test_sending import form
from tests.rebalancer.world import NOW

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["script"]


def let_write(*, is_on: bool) -> None:
    """Let this connection's later transactions write, or only read as after a fail-over."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET default_transaction_read_only = {'off' if is_on else 'on'}")


def test_nothing_leaves_while_the_database_only_reads(script):
    world = form(80)
    let_write(is_on=False)
    try:
        with pytest.raises(InternalError, match="read-only"):
            sending.send_slices(now=NOW)
        with pytest.raises(InternalError, match="read-only"):
            orders.begin_executions(now=NOW)
    finally:
        let_write(is_on=True)
    assert script.tickets == []
    assert get_sale(world).status == OrderStatus.NEW
    assert sending.send_slices(now=NOW) == 1
    assert len(script.tickets) == 1
    prove(world)


@pytest.mark.two_clocks
@pytest.mark.parametrize("hours", [-2, 2])
def test_the_database_tells_the_time_whatever_a_worker_believes(script, hours):
    world = form(80)
    truth = clock.database_now()
    with time_machine.travel(truth + timedelta(hours=hours)):
        assert abs(clock.now() - truth) > timedelta(hours=1)
        assert abs(clock.database_now() - truth) < timedelta(minutes=1)
        [slow] = sending._claim(after=0, now=NOW).going
        lease = get_sale(world).lease_until
        assert timedelta(0) < lease - truth < timedelta(minutes=30)
        # Neither is the lease over for somebody two hours ahead, nor may it be taken twice.
        assert asking.resolve_unknown(now=NOW) == 0
        assert sending.send_slices(now=NOW) == 0
        assert len(sending._send_batch([slow], {})) == 1
        people.make_user(world.firm)
        newest = AuditEntry.objects.order_by("-pk").first()
        assert abs(newest.recorded_at - truth) < timedelta(minutes=1)
    assert len(script.tickets) == 1
    assert models.Slice.objects.exclude(status=OrderStatus.NEW).count() == 1
