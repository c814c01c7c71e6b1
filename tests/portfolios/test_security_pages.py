"""Pages of securities and prices."""

from decimal import Decimal

import pytest
from django.urls import reverse

from portfolios import models
from tests.portfolios.world import TODAY, sign_in

pytestmark = pytest.mark.django_db


def security_form(world, **changes):
    return {
        "symbol": "vea",
        "name": "Developed markets",
        "asset_class": str(world.vti.asset_class_id),
        "share_step": "0.001",
        "half_spread_bps": "1.5",
        "themes": "ESG, tobacco, esg",
        "substitutes": "bnd, vti",
        "identical_group": "developed",
        "volatility": "16.5",
        "qualified_yield": "1.25",
        "is_active": "on",
        **changes,
    }


def test_a_security_is_added_and_changed(client, world):
    sign_in(client, world.admin)
    assert (
        client.post(reverse("portfolios:security_create"), security_form(world)).status_code == 302
    )
    vea = models.Security.objects.get(symbol="VEA")
    assert vea.themes == ["esg", "tobacco"]
    assert [row.substitute.symbol for row in vea.substitutes.all()] == ["BND", "VTI"]
    assert (vea.volatility, vea.qualified_yield) == (Decimal("0.165"), Decimal("0.0125"))
    assert (vea.daily_volume, vea.ordinary_yield) == (None, 0)
    url = reverse("portfolios:security_edit", args=[vea.public_id])
    changed = security_form(world, symbol="HACK", name="Renamed", substitutes="", is_active="")
    assert client.post(url, changed).status_code == 302
    shown = client.get(url).content.decode()
    assert 'value="16.5"' in shown
    assert 'value="1.25"' in shown
    facts = client.get(reverse("portfolios:security", args=[vea.public_id])).content.decode()
    assert "16.5% a year" in facts
    assert "developed" in facts
    vea.refresh_from_db()
    assert (vea.symbol, vea.name, vea.is_active) == ("VEA", "Renamed", False)
    assert not vea.substitutes.exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"symbol": "VTI"}, "already on your list"),
        ({"symbol": ""}, "required"),
        ({"substitutes": "NOPE"}, "Not on your list: NOPE"),
        ({"share_step": "0"}, "greater than or equal"),
        ({"share_step": "NaN"}, "Enter a number"),
        ({"half_spread_bps": "-1"}, "greater than or equal"),
        ({"half_spread_bps": "1001"}, "less than or equal"),
        ({"asset_class": "999999999"}, "not one of the available choices"),
        ({"themes": "x" * 41}, "longer than 40"),
        ({"taxable_substitutes": "NOPE"}, "Not on your list: NOPE"),
        ({"taxable_substitutes": "BND"}, "named twice"),
        ({"identical_group": "two words"}, "valid “slug”"),
        ({"volatility": "501"}, "less than or equal"),
        ({"ordinary_yield": "-1"}, "greater than or equal"),
        ({"daily_volume": "NaN"}, "Enter a number"),
    ],
)
def test_a_security_that_makes_no_sense_stays_on_the_page(client, world, changes, said):
    url = reverse("portfolios:security_create")
    answer = sign_in(client, world.admin).post(url, security_form(world, **changes))
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert models.Security.objects.filter(firm=world.firm).count() == 2


def test_the_list_of_securities_can_be_narrowed(client, world):
    sign_in(client, world.advisor)
    url = reverse("portfolios:securities")

    def shown(**query):
        return {row.symbol for row in client.get(url, query).context["page"]}

    assert shown() == {"VTI", "BND"}
    assert shown(text="bn") == {"BND"}
    assert shown(asset_class=world.vti.asset_class_id) == {"VTI"}
    assert shown(asset_class="nonsense") == {"VTI", "BND"}
    models.Security.objects.filter(symbol="BND").update(is_active=False)
    assert shown() == {"VTI"}
    assert shown(all="on") == {"VTI", "BND"}


def test_a_security_shows_its_history_and_who_uses_it(client, world):
    page = sign_in(client, world.advisor).get(
        reverse("portfolios:security", args=[world.vti.public_id]), {"span": "5y"}
    )
    assert page.context["chart"]["values"] == [Decimal(100)]
    assert page.context["age_days"] == 1
    assert "Balanced" in page.content.decode()


def test_prices_show_their_age_and_what_is_missing(client, world):
    rows = sign_in(client, world.admin).get(reverse("portfolios:prices")).context["rows"]
    assert [(row["symbol"], row["age_days"], row["is_stale"]) for row in rows] == [
        ("BND", None, True),
        ("VTI", 1, False),
    ]


def test_a_refused_jump_is_believed_on_a_supervisors_word(client, world):
    sign_in(client, world.supervisor)
    url = reverse("portfolios:release_price", args=[world.refused.pk])
    assert "Say why" in client.post(url, {"reason": ""}, follow=True).content.decode()
    page = client.post(url, {"reason": "checked with the fund"}, follow=True).content.decode()
    assert "is on record" in page
    assert models.Price.objects.get(price_date=TODAY).price == 200
    page = client.post(url, {"reason": "again"}, follow=True).content.decode()
    assert "already on record" in page
