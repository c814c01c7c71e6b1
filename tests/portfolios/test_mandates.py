"""A mandate that a client signed, put on record by an admin: its limits name what the firm has."""

import pytest
from django.urls import reverse

from accounts.domain.roles import Role
from accounts.models import Mandate
from portfolios.operations.securities import create_asset_class
from tests import people
from tests.rebalancer.browsing import browser

pytestmark = pytest.mark.django_db


def test_an_admin_records_a_mandate_and_the_client_ends_it():
    household = people.make_household(people.make_firm())
    admin, client_user = people.make_user(household.firm, Role.ADMIN), people.make_client(household)
    account = people.make_account(household)
    address = reverse("portfolios:mandate_new", args=[household.public_id])
    facts = {
        "account": str(account.public_id),
        "signed_by": "Mia",
        "signed_on": "2026-11-20",
        "starts_on": "2026-11-20",
        "text": "Trade for me.",
        "turnover_share_max": "25",
        "asset_classes": "us-equity  us-bonds",
    }
    for code in ("us-equity", "us-bonds"):
        create_asset_class(
            firm_id=household.firm_id, code=code, name=code, rank=1, actor_id=admin.pk
        )
    shown = browser(admin).get(address).content.decode()
    assert "The firm has: us-bonds, us-equity. Empty: all." in shown
    assert browser(admin).post(address, {**facts, "starts_on": "2026-11-19"}).status_code == 422
    refused = browser(admin).post(address, {**facts, "asset_classes": "us-equity us-bond"})
    assert refused.status_code == 422
    words = "The firm has no asset class “us-bond”. It has: us-bonds, us-equity."
    assert words in refused.content.decode()
    assert not Mandate.objects.exists()
    assert browser(admin).post(address, facts).status_code == 302
    mandate = Mandate.objects.get()
    assert str(mandate.turnover_share_max) == "0.25000000"
    assert mandate.asset_classes == ["us-equity", "us-bonds"]
    page = reverse("accounts:documents", args=[household.public_id])
    assert "Within the mandate that Mia signed" in browser(client_user).get(page).content.decode()
    end = reverse("accounts:mandate_end", args=[household.public_id, account.public_id])
    assert browser(client_user).post(end).status_code == 302
    mandate.refresh_from_db()
    assert mandate.ended_by == client_user
