"""The pages of execution in the demo firm: they answer, read well, and fit a phone."""

import pytest

from tests.browser.test_every_page import PEOPLE, look_at

pytestmark = [pytest.mark.browser, pytest.mark.django_db]


@pytest.mark.parametrize("address", ["/execution/", "/execution/fairness/", "/controls/limits/"])
def test_a_page_of_execution(address: str, visit):
    page = visit(PEOPLE["admin"]).page
    assert list(look_at(page, address, is_new=True)) == []


def test_an_administrator_has_costs_estimated(visit):
    page = visit(PEOPLE["admin"]).page
    page.goto("/execution/")
    page.get_by_role("button", name="Estimate now").click()
    page.wait_for_url("**/execution/")
    assert page.get_by_role("region", name="Estimates").is_visible()
