"""The page on which a supervisor cancels an order, and who does not get there."""

import pytest
from django.urls import reverse

from rebalancer import models
from rebalancer.domain.lifecycle import OrderStatus
from tests.rebalancer.browsing import get, make_scene, post, text_of

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_supervisor_cancels_an_order_and_nobody_else():
    scene = make_scene()
    people = scene.people()
    scene.world.approve(scene.proposal)
    order = models.Order.objects.filter(proposal=scene.proposal).order_by("pk").first()
    address = reverse("rebalancer:cancel_order", args=[order.public_id])
    for name, person in people.items():
        is_let_in = name == "supervisor"
        answer = get(person, "cancel_order", order.public_id)
        assert answer.status_code == (200 if is_let_in else 404), name
        if not is_let_in:
            refused = post(person, "cancel_order", order.public_id, reason="Mine.")
            assert refused.status_code == 404, name
    supervisor = people["supervisor"]
    assert address in text_of(get(supervisor, "orders"))
    assert address not in text_of(get(scene.world.advisor, "orders"))

    answer = post(supervisor, "cancel_order", order.public_id, reason=" ")
    assert answer.status_code == 422
    assert "Say why" in text_of(answer)
    answer = post(supervisor, "cancel_order", order.public_id, reason="The client called.")
    assert answer.status_code == 302
    order.refresh_from_db()
    assert order.status == OrderStatus.CANCELLED
    assert order.reason == f"Cancelled by {supervisor.name}: The client called."

    answer = post(supervisor, "cancel_order", order.public_id, reason="Again.")
    assert answer.status_code == 409
    assert "cancelled already" in text_of(answer)
    assert address not in text_of(get(supervisor, "orders"))
