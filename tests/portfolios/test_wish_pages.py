"""The page of wishes."""

import pytest
from django.urls import reverse

from accounts.domain.roles import WishKind
from accounts.models import Wish
from tests.people import make_client
from tests.portfolios.world import sign_in

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("who", ["client", "advisor"])
def test_wishes_are_recorded_and_ended(client, world, who):
    sign_in(client, getattr(world, who))
    url = reverse("portfolios:wishes", args=[world.household.public_id])
    assert client.post(url, {"kind": "NEVER_SELL", "about": "symbol:VTI"}).status_code == 302
    assert client.post(url, {"kind": "EXCLUDE", "about": "theme:fossil-fuels"}).status_code == 302
    assert {(wish.kind, wish.subject) for wish in Wish.objects.all()} == {
        (WishKind.NEVER_SELL, "VTI"),
        (WishKind.EXCLUDE, "fossil-fuels"),
    }
    again = client.post(url, {"kind": "NEVER_SELL", "about": "symbol:VTI"})
    assert again.status_code == 422
    wish = Wish.objects.get(subject="VTI")
    end_url = reverse("portfolios:wish_end", args=[world.household.public_id, wish.pk])
    assert client.post(end_url).status_code == 302
    wish.refresh_from_db()
    assert wish.ended_at is not None
    assert "ended already" in client.post(end_url, follow=True).content.decode()
    assert client.post(url, {"kind": "NEVER_SELL", "about": "symbol:VTI"}).status_code == 302


@pytest.mark.parametrize(
    "posted",
    [
        {},
        {"kind": "NEVER_SELL"},
        {"kind": "NEVER_SELL", "about": "symbol:AAPL"},
        {"kind": "NEVER_SELL", "about": "theme:fossil-fuels"},
        {"kind": "EXCLUDE", "about": "symbol:VTI"},
        {"kind": "EXCLUDE", "about": "theme:weapons"},
        {"kind": "ALWAYS", "about": "symbol:VTI"},
    ],
)
def test_a_wish_about_nothing_is_refused(client, world, posted):
    url = reverse("portfolios:wishes", args=[world.household.public_id])
    answer = sign_in(client, world.client).post(url, posted)
    assert answer.status_code == 422
    assert not Wish.objects.exists()


def test_a_wish_of_another_household_cannot_be_ended_through_ones_own(client, world):
    other = make_client(world.other_household)
    sign_in(client, other)
    url = reverse("portfolios:wishes", args=[world.other_household.public_id])
    client.post(url, {"kind": "NEVER_BUY", "about": "symbol:VTI"})
    wish = Wish.objects.get()
    sign_in(client, world.client)
    for household in (world.household, world.other_household):
        end_url = reverse("portfolios:wish_end", args=[household.public_id, wish.pk])
        assert client.post(end_url).status_code == 404
    wish.refresh_from_db()
    assert wish.ended_at is None
