"""Cancelling an order over the API: by a supervisor, with a reason, once."""

import pytest

from rebalancer import models
from rebalancer.domain.lifecycle import OrderStatus
from rebalancer.operations import orders
from tests.api.cast import post, read_errors, sign_in
from tests.rebalancer.world import NOW

pytestmark = pytest.mark.django_db(transaction=True)


def cancel(client, order, reason="The client called.", **options):
    return post(client, f"orders/{order.public_id}/cancel/", {"reason": reason}, **options)


def test_a_supervisor_cancels_an_order_and_nobody_else(cast, other):
    order = cast.make_order()
    for name, status in (
        ("client", 403),
        ("advisor", 403),
        ("unassigned", 404),
        ("other_client", 404),
        ("admin", 404),
    ):
        assert cancel(sign_in(cast.people[name]), order).status_code == status, name
    assert cancel(sign_in(other.get_writer("supervisor")), order).status_code == 404
    person = cast.get_writer("supervisor")
    supervisor = sign_in(person)
    for reason in ("", " ", "x" * 301):
        refused = cancel(supervisor, order, reason)
        assert refused.status_code == 400
        assert read_errors(refused)[0][1] == "reason"
    order.refresh_from_db()
    assert order.status == OrderStatus.NEW

    key = {"Idempotency-Key": "once"}
    done, replayed = (cancel(supervisor, order, headers=key) for _ in range(2))
    assert done.status_code == 200, done.content
    assert done.json()["status"] == "CANCELLED"
    assert done.json()["reason"] == f"Cancelled by {person.name}: The client called."
    assert replayed.content == done.content
    again = cancel(supervisor, order)
    assert again.status_code == 409
    assert "cancelled already" in again.json()["errors"][0]["detail"]


def test_an_order_under_way_is_asked_of_the_broker(cast):
    cast.make_order()
    orders.submit_orders(now=NOW)
    order = models.Order.objects.filter(block__isnull=False).order_by("pk").first()
    if order.status not in (OrderStatus.SUBMITTED, OrderStatus.PARTIALLY_FILLED):
        pytest.fail(f"the paper broker has it as {order.status}")
    response = cancel(sign_in(cast.get_writer("supervisor")), order)
    assert response.status_code == 200, response.content
    order.block.refresh_from_db()
    assert "The client called." in order.block.stop_reason
