"""No page asks the database once per row: few rows and many cost the same number of queries."""

from datetime import date

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests import people
from tests.rebalancer.browsing import DRIFTED_LOTS, browser, make_scene
from tests.rebalancer.world import DAY, NOW

pytestmark = pytest.mark.django_db
# What a page may cost at most, whatever it shows. Lower it when a page gets cheaper.
BUDGETS = {
    "work_list?tab=pending": 9,
    "work_list?tab=blocked": 9,
    "work_list?tab=executing": 9,
    "households": 33,
    "households?sort=value": 33,
    "household": 49,
    "account": 42,
    "proposal": 47,
    "progress": 4,
    "orders": 8,
    "policies": 7,
    "policy": 10,
    "market": 7,
}


@pytest.fixture(autouse=True)
def _market_time():
    with time_machine.travel(NOW, tick=False):
        yield


def addresses(scene):
    rows = {
        "household": [scene.world.household.public_id],
        "account": [scene.account.public_id],
        "proposal": [scene.proposal.public_id],
        "progress": [scene.proposal.public_id],
        "policy": [scene.world.policy.public_id],
    }
    for page in BUDGETS:
        name, _, query = page.partition("?")
        yield page, f"{reverse(f'rebalancer:{name}', args=rows.get(name, []))}?{query}"


def count_queries(scene):
    """Return how many queries each page takes, after one visit that fills Django's own caches."""
    browse = browser(scene.world.advisor)
    counts = {}
    for page, address in addresses(scene):
        browse.get(address)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert browse.get(address).status_code == 200, page
        counts[page] = len(queries)
    return counts


def grow(scene):
    """Add accounts in every state, in the same household and in new ones, with needs and looks."""
    world = scene.world
    approved = []
    for number in range(4):
        household = people.make_household(world.firm, advisor=world.advisor)
        approved.append(world.add_account("500", lots=DRIFTED_LOTS, household_id=household.pk))
        approved.append(world.add_account("0", lots=DRIFTED_LOTS))
        world.add_account("300", lots=[*DRIFTED_LOTS, ("INTL", "9", "300", date(2022, 2, 2))])
        blocked = world.add_account("5", name=f"Blocked {number}")
        blocked.model_assignment.delete()
        blocked.cash_needs.create(amount=10, due_date=DAY, purpose="Roof")
    world.look()
    for account in approved[:-2]:
        world.approve(account.proposals.get())
    world.trade()
    world.approve(approved[-1].proposals.get())


def test_pages_cost_the_same_for_few_rows_and_many():
    scene = make_scene()
    grow(scene)
    few = count_queries(scene)
    grow(scene)
    many = count_queries(scene)
    assert many == few
    over = {page: (count, BUDGETS[page]) for page, count in many.items() if count > BUDGETS[page]}
    assert over == {}
