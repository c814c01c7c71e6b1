"""An advisor tries another way in place, leaves the page as it is, and puts a plan in its place."""

import re

import pytest

from rebalancer.domain.lifecycle import ProposalStatus
from rebalancer.models import Proposal

pytestmark = [pytest.mark.browser, pytest.mark.django_db]
ADVISOR = "ana@harborlane.example"
_FITS = "(width) => document.documentElement.scrollWidth <= width"


@pytest.fixture
def page(visit, open_proposal):
    page = visit(ADVISOR).page
    page.goto(f"/proposals/{open_proposal.public_id}/")
    page.wait_for_selector("#alternatives table")
    return page


@pytest.fixture
def open_proposal():
    """Give a proposal of Ana's whose account could trade otherwise."""
    return (
        Proposal.objects.filter(
            status=ProposalStatus.PENDING, account__household__assignments__advisor__email=ADVISOR
        )
        .order_by("pk")
        .first()
    )


def test_a_change_is_worked_out_in_place_and_nothing_is_stored(page, open_proposal):
    before = Proposal.objects.count()
    address = page.url
    assert page.get_by_text("Change something above").is_visible()
    result = page.locator("#what-if-result")
    compared = result.get_by_role("columnheader", name="With your changes")
    answer = compared.or_(result.get_by_text("there is no plan"))
    page.get_by_label("Way of trading").select_option("SELL_ONLY")
    answer.wait_for()
    assert page.url == address
    # Nonsense is said in the same place, and goes when it is mended.
    page.get_by_label("Gains budget").fill("-5")
    result.get_by_text("cannot be below zero").wait_for()
    page.get_by_label("Gains budget").fill("")
    page.get_by_label("Way of trading").select_option("")
    page.get_by_text("Change something above").wait_for()
    page.get_by_text("Leave securities out").click()
    page.locator("#what-if input[type=checkbox]").first.check()
    answer.wait_for()
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate(_FITS, 360)
    assert Proposal.objects.count() == before


def test_another_plan_takes_the_place_and_waits_for_a_colleague(page, open_proposal):
    button = page.get_by_role("button", name=re.compile("^Use this plan: ")).first
    button.click()
    page.get_by_role("dialog").get_by_role("button", name="Use this plan").click()
    page.get_by_text("so a colleague must approve it").first.wait_for()
    fresh = Proposal.objects.get(supersedes=open_proposal)
    assert str(fresh.public_id) in page.url
    assert fresh.wanted["mode"]
    assert page.get_by_text("Asked for:").is_visible()
    assert page.get_by_role("button", name="Approve and send orders").count() == 0
