"""Who is told of a security that is held up: whoever's orders wait for it, in their own words."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.domain.roles import Role
from portfolios.operations.halts import lift_halt, set_halt
from rebalancer import models
from rebalancer.domain.limits import SwitchScope
from rebalancer.domain.stops import tell_client, tell_client_paused
from rebalancer.operations import orders
from rebalancer.operations.controls import set_switch
from tests import people
from tests.rebalancer.browsing import browser, get, text_of
from tests.rebalancer.test_controls_pages import go
from tests.rebalancer.world import NOW, make_world

pytestmark = pytest.mark.django_db
HALTED = "Orders or proposals wait for USTM, which is halted: a secret of staff"
PAUSED = "Trading of USTM is paused for now. Your orders in it wait, and go when it goes on."


@pytest.fixture
def world():
    return make_world()


@pytest.fixture
def proposal(world):
    account = world.add_account("10000")
    world.look()
    return account.proposals.get()


def halt(world, symbol="USTM"):
    set_halt(
        security_id=world.security_ids[symbol],
        user_id=world.admin.pk,
        reason="a secret of staff",
        now=NOW,
    )


def read(user, name="password"):
    return text_of(browser(user).get(reverse(f"accounts:{name}")))


def test_whoever_looks_after_what_waits_is_told_of_a_halt(world, proposal):
    client = people.make_client(world.household)
    unassigned = people.make_user(world.firm)
    supervisor = people.make_user(world.firm, Role.SUPERVISOR)
    stranger = people.make_client(people.make_household(world.firm))
    halt(world)
    # A proposal that waits for a decision is its advisors' to know of.
    for person in (world.advisor, world.colleague, supervisor):
        assert HALTED in read(person)
    for person in (client, unassigned, stranger, world.admin):
        assert "USTM" not in read(person)

    world.approve(proposal)
    assert PAUSED in read(client)
    assert "secret" not in read(client)
    assert HALTED in read(world.advisor)
    for person in (unassigned, stranger):
        assert "USTM" not in read(person)

    lift_halt(security_id=world.security_ids["USTM"], user_id=world.other_admin.pk, now=NOW)
    for person in (client, world.advisor):
        assert "USTM" not in read(person)


def test_a_halt_of_what_nobody_trades_is_no_news(world, proposal):
    halt(world, "USLC")
    assert "halted" not in read(world.advisor)


def test_a_switch_of_one_security_says_the_same_and_a_wider_one_says_it_all(world, proposal):
    client = people.make_client(world.household)
    world.approve(proposal)
    set_switch(
        scope=SwitchScope.SECURITY,
        security_id=world.security_ids["USTM"],
        user_id=world.admin.pk,
        reason="fat finger",
    )
    page = read(world.advisor)
    assert "Stopped now: 1 security." in page
    assert "wait for USTM, which is stopped: fat finger" in page
    assert PAUSED in read(client)
    assert "one of your accounts" not in read(client)
    set_switch(scope=SwitchScope.FIRM, user_id=world.admin.pk, reason="all of it")
    assert "wait for USTM" not in read(world.advisor)
    assert "Trading is paused for now. What you own stays as it is." in read(client)
    assert PAUSED not in read(client)


def test_the_order_that_waits_says_why_to_its_client_without_words_of_staff(world, proposal):
    client = people.make_client(world.household)
    world.approve(proposal)
    halt(world)
    orders.submit_orders(now=NOW)
    order = models.Order.objects.get(proposal=proposal, security__symbol="USTM")
    assert order.reason == "Waits: USTM is halted: a secret of staff"
    words = "Waits: trading of USTM is paused for now."
    page = text_of(get(client, "proposal", proposal.public_id))
    assert words in page
    assert "secret" not in page
    assert "a secret of staff" in text_of(get(world.advisor, "proposal", proposal.public_id))
    assert "secret" not in get(client, "progress", proposal.public_id).content.decode()
    exported = browser(client).get(reverse("rebalancer:export_orders"))
    assert words in exported.content.decode()
    for address in ("orders/", f"proposals/{proposal.public_id}/"):
        told = browser(client).get(f"/api/v1/{address}").content.decode()
        assert words in told
        assert "secret" not in told


def test_stops_that_read_alike_are_counted_each(world):
    for _ in range(2):
        account = world.add_account("10")
        set_switch(
            scope=SwitchScope.ACCOUNT,
            account_id=account.pk,
            user_id=world.advisor.pk,
            reason="the same",
        )
    assert "Stopped now: 2 accounts." in read(world.advisor)


def test_what_is_said_of_halts_takes_as_many_queries_for_many_as_for_one(world, proposal):
    visitor = go(world.advisor)
    address = reverse("accounts:password")
    counts = []
    for symbols in (["USTM"], ["BOND", "INTL"]):
        for symbol in symbols:
            halt(world, symbol)
        visitor.get(address)
        with CaptureQueriesContext(connection) as captured:
            page = text_of(visitor.get(address))
        assert page.count("wait for") == len(symbols) + bool(len(symbols) - 1)
        counts.append(len(captured))
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("", ""),
        ("Cancelled by Ann: x", "Cancelled by Ann: x"),
        ("Waits: USTM is halted: x", "Waits: trading of USTM is paused for now."),
        (
            "Waits: Trading of this security is stopped: x",
            "Waits: trading of USTM is paused for now.",
        ),
        ("Waits: The firm's trading is stopped: x", "Waits: trading is paused for now."),
        ("Waits: Nothing is sent to this broker: x", "Waits: trading is paused for now."),
        ("Waits: XNYS is closed.", "Waits: XNYS is closed."),
    ],
)
def test_a_client_reads_reasons_without_what_staff_wrote(reason, told):
    assert tell_client(reason, "USTM") == told


def test_several_securities_are_named_in_one_sentence():
    assert tell_client_paused(["A", "B", "C"]).startswith("Trading of A, B and C is paused")
