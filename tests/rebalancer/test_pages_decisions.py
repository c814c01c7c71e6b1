"""Deciding in the browser: exactly what was seen, once, by the right person, with a reason."""

from datetime import timedelta

import pytest
import time_machine
from django.urls import reverse

from rebalancer import models
from rebalancer.domain.lifecycle import ProposalStatus
from tests import people
from tests.rebalancer.browsing import DRIFTED_LOTS, browser, get, make_scene, post, text_of
from tests.rebalancer.world import DAY, NOW

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _market_time():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def scene():
    return make_scene()


def decide(scene, user, decision, *, note="", content_hash=None):
    return post(
        user,
        "decide",
        scene.proposal.public_id,
        decision=decision,
        note=note,
        content_hash=content_hash or scene.proposal.content_hash,
    )


def status_of(scene):
    return models.Proposal.objects.get(pk=scene.proposal.pk).status


def test_the_page_shows_every_trade_with_its_lots_and_its_reason(scene):
    page = text_of(get(scene.world.advisor, "proposal", scene.proposal.public_id))
    for trade in scene.proposal.trades.all():
        assert trade.explanation.replace("'", "&#x27;") in page
        assert trade.security.name in page
    assert "2 tax lots" in page  # the sale takes the loss first, then part of the old lot
    assert "1 Sep 2026" in page
    assert scene.proposal.content_hash in page


def test_approving_writes_orders_and_says_so(scene):
    response = decide(scene, scene.world.advisor, "approve", note="as agreed by phone")
    assert response.status_code == 302
    assert response.url == reverse("rebalancer:proposal", args=[scene.proposal.public_id])
    assert status_of(scene) == ProposalStatus.APPROVED
    assert models.Order.objects.count() == scene.proposal.trades.count()
    page = text_of(get(scene.world.advisor, "proposal", scene.proposal.public_id))
    assert "as agreed by phone" in page
    assert 'id="decision"' not in page
    # While orders are under way the page asks for their state again and again.
    assert 'hx-trigger="every 2s"' in page


def test_a_second_click_changes_nothing_and_says_who_decided(scene):
    decide(scene, scene.world.advisor, "approve")
    for again in (scene.world.advisor, scene.world.colleague):
        for decision in ("approve", "reject"):
            response = decide(scene, again, decision, note="late")
            assert response.status_code == 409
            assert f"{scene.world.advisor.name} approved this proposal already" in text_of(response)
    assert models.Decision.objects.count() == 1
    assert models.Order.objects.count() == scene.proposal.trades.count()


def test_a_fingerprint_of_something_else_is_a_conflict(scene):
    response = decide(scene, scene.world.advisor, "approve", content_hash="0" * 64)
    assert response.status_code == 409
    assert "not the proposal you saw" in text_of(response)
    assert status_of(scene) == ProposalStatus.PENDING


def test_a_rejection_needs_a_reason(scene):
    response = decide(scene, scene.world.advisor, "reject")
    assert response.status_code == 422
    assert "Say in a few words why you reject it" in text_of(response)
    assert status_of(scene) == ProposalStatus.PENDING
    assert (
        decide(scene, scene.world.advisor, "reject", note="client moves house").status_code == 302
    )
    assert status_of(scene) == ProposalStatus.REJECTED
    page = text_of(get(scene.world.advisor, "proposal", scene.proposal.public_id))
    assert "client moves house" in page


@pytest.mark.parametrize("values", [{}, {"decision": "approve"}, {"decision": "maybe"}])
def test_a_decision_that_cannot_be_read_decides_nothing(scene, values):
    response = post(scene.world.advisor, "decide", scene.proposal.public_id, **values)
    assert response.status_code == 422
    assert "could not be read" in text_of(response)
    assert status_of(scene) == ProposalStatus.PENDING


def test_neither_an_admin_nor_the_client_can_decide(scene):
    page = text_of(get(scene.client, "proposal", scene.proposal.public_id))
    assert 'value="approve"' not in page
    assert decide(scene, scene.client, "approve").status_code in {403, 404}
    assert get(scene.world.admin, "proposal", scene.proposal.public_id).status_code == 404
    assert decide(scene, scene.world.admin, "approve").status_code == 404
    assert status_of(scene) == ProposalStatus.PENDING


def test_facts_that_moved_lead_to_a_fresh_proposal(scene):
    scene.world.set_prices(DAY + timedelta(days=3), USTM="110")
    page = text_of(get(scene.world.advisor, "proposal", scene.proposal.public_id))
    assert "Facts have moved" in page
    response = decide(scene, scene.world.advisor, "approve")
    fresh = models.Proposal.objects.get(supersedes=scene.proposal)
    assert response.status_code == 409
    assert "USTM" in text_of(response)
    fresh_url = reverse("rebalancer:proposal", args=[fresh.public_id])
    assert fresh_url in text_of(response)
    assert models.Order.objects.count() == 0
    # Each names the other.
    old = text_of(get(scene.world.advisor, "proposal", scene.proposal.public_id))
    assert fresh_url in old
    assert str(scene.proposal.public_id) in text_of(
        get(scene.world.advisor, "proposal", fresh.public_id)
    )


def test_a_price_within_tolerance_is_told_but_does_not_stop_an_approval(scene):
    scene.world.set_prices(DAY + timedelta(days=3), USTM="100.5")
    page = text_of(get(scene.world.advisor, "proposal", scene.proposal.public_id))
    assert "within the tolerance" in page
    assert "$100.00 then, $100.50 now" in page
    assert decide(scene, scene.world.advisor, "approve").status_code == 302


def test_a_lapsed_proposal_offers_no_approval(scene):
    with time_machine.travel(NOW + timedelta(hours=49), tick=False):
        page = text_of(get(scene.world.advisor, "proposal", scene.proposal.public_id))
        assert "It has lapsed" in page
        assert 'value="approve"' not in page
        assert decide(scene, scene.world.advisor, "approve").status_code == 409


def test_removing_a_trade_makes_a_proposal_that_a_colleague_must_approve(scene):
    buy = scene.proposal.trades.get(security__symbol="INTL")
    advisor, colleague = scene.world.advisor, scene.world.colleague
    response = post(advisor, "remove_trades", scene.proposal.public_id, trade=buy.pk)
    fresh = models.Proposal.objects.get(supersedes=scene.proposal)
    assert response.url == reverse("rebalancer:proposal", args=[fresh.public_id])
    assert not fresh.trades.filter(security__symbol="INTL", side="BUY").exists()
    own_page = text_of(get(advisor, "proposal", fresh.public_id))
    assert "a colleague must approve it" in own_page
    assert 'value="approve"' not in own_page
    assert "took 1 trade out" in own_page
    values = {"decision": "approve", "content_hash": fresh.content_hash}
    refused = post(advisor, "decide", fresh.public_id, **values)
    assert refused.status_code == 403
    assert "somebody else must approve it" in text_of(refused)
    assert post(colleague, "decide", fresh.public_id, **values).status_code == 302


def test_trades_of_another_proposal_cannot_be_named(scene):
    other = scene.world.add_account("1000", lots=DRIFTED_LOTS)
    scene.world.look()
    foreign = other.proposals.get().trades.first()
    for trade in (foreign.pk, "x", ""):
        response = post(scene.world.advisor, "remove_trades", scene.proposal.public_id, trade=trade)
        assert response.status_code == 302
    assert not models.Proposal.objects.filter(supersedes__isnull=False).exists()


def test_removing_every_trade_is_refused_with_the_reason(scene):
    proposal = scene.proposal
    for _ in range(4):  # other trades may take the place of those removed, but not for ever
        ids = list(proposal.trades.values_list("pk", flat=True))
        response = post(scene.world.advisor, "remove_trades", proposal.public_id, trade=ids)
        if response.status_code != 302:
            break
        proposal = models.Proposal.objects.get(supersedes=proposal)
    assert response.status_code == 422
    assert "reject it instead" in text_of(response)
    proposal.refresh_from_db()
    assert proposal.status == ProposalStatus.PENDING


def test_progress_asks_for_the_whole_page_once_the_state_has_changed(scene):
    decide(scene, scene.world.advisor, "approve")
    same = get(scene.world.advisor, "progress", scene.proposal.public_id, seen="APPROVED")
    assert same.status_code == 200
    assert "HX-Refresh" not in same
    assert "0 of" in text_of(same)
    scene.world.trade()
    changed = get(scene.world.advisor, "progress", scene.proposal.public_id, seen="APPROVED")
    assert changed["HX-Refresh"] == "true"
    page = text_of(get(scene.client, "proposal", scene.proposal.public_id))
    assert "Done" in page
    assert 'hx-trigger="every 2s"' not in page
    assert "100%" in page


# --- Many at once ----------------------------------------------------------------------------


def make_wave(scene):
    """Add two more accounts in breach; return every pending proposal, oldest first."""
    for _ in range(2):
        scene.world.add_account("500", lots=DRIFTED_LOTS)
    scene.world.look()
    return list(models.Proposal.objects.filter(status=ProposalStatus.PENDING).order_by("id"))


def choices_of(proposals):
    return [f"{row.public_id}:{row.content_hash}" for row in proposals]


def test_a_wave_approves_what_it_can_and_names_what_it_cannot(scene):
    first, second, third = make_wave(scene)
    page = browser(scene.world.advisor)
    listed = text_of(page.get(reverse("rebalancer:work_list")))
    assert all(choice in listed for choice in choices_of([first, second, third]))
    # Somebody rejects one of them between the page and the click.
    post(
        scene.world.colleague,
        "decide",
        second.public_id,
        decision="reject",
        note="not now",
        content_hash=second.content_hash,
    )
    response = page.post(
        reverse("rebalancer:approve_many"),
        {"choice": choices_of([first, second, third]), "note": "monthly round"},
        follow=True,
    )
    shown = text_of(response)
    assert "2 approved, 1 not approved." in shown
    assert f"{scene.world.colleague.name} rejected this proposal already" in shown
    assert {row.note for row in models.Decision.objects.filter(is_approved=True)} == {
        "monthly round"
    }
    # The result is told once.
    assert "2 approved" not in text_of(page.get(reverse("rebalancer:work_list")))


def test_a_wave_stops_at_what_its_reader_may_not_see(scene):
    outsider = people.make_user(scene.world.firm)
    response = browser(outsider).post(
        reverse("rebalancer:approve_many"), {"choice": choices_of([scene.proposal])}, follow=True
    )
    assert "1 could not be found" in text_of(response)
    assert status_of(scene) == ProposalStatus.PENDING


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ([], "Choose at least one"),
        (["nonsense"], "could not be read"),
        (["1' OR '1'='1:x"], "could not be read"),
    ],
)
def test_a_wave_that_cannot_be_read_does_nothing(scene, choice, words):
    response = browser(scene.world.advisor).post(
        reverse("rebalancer:approve_many"), {"choice": choice}, follow=True
    )
    assert words in text_of(response)
    assert status_of(scene) == ProposalStatus.PENDING


def test_a_wave_with_a_stale_fingerprint_approves_nothing_of_it(scene):
    response = browser(scene.world.advisor).post(
        reverse("rebalancer:approve_many"),
        {"choice": [f"{scene.proposal.public_id}:{'0' * 64}"]},
        follow=True,
    )
    assert "not the proposal you saw" in text_of(response)
    assert status_of(scene) == ProposalStatus.PENDING


# --- The list --------------------------------------------------------------------------------


def test_every_tab_shows_its_own(scene):
    world = scene.world
    blocked = world.add_account("10", lots=[("BOND", "5", "400", DAY)], name="Unmanaged")
    blocked.model_assignment.delete()
    quiet = world.add_account("10000", name="Waiting cash")
    world.look()
    decided = quiet.proposals.get()
    world.approve(decided)
    advisor = world.advisor
    pages = {
        tab: text_of(get(advisor, "work_list", tab=tab))
        for tab in ("pending", "blocked", "executing", "done", "breached")
    }
    assert "Joint account" in pages["pending"]
    assert "Waiting cash" in pages["executing"]
    assert "Unmanaged" in pages["blocked"]
    assert "follows no published model portfolio" in pages["blocked"]
    assert "Every account is inside its bands" in pages["breached"]
    world.trade()
    assert "Waiting cash" in text_of(get(advisor, "work_list", tab="done"))


def test_what_is_out_of_band_without_a_proposal_is_listed(scene):
    post(
        scene.world.advisor,
        "decide",
        scene.proposal.public_id,
        decision="reject",
        note="no",
        content_hash=scene.proposal.content_hash,
    )
    assert "Joint account" in text_of(get(scene.world.advisor, "work_list", tab="breached"))


def test_searching_and_odd_addresses(scene):
    advisor = scene.world.advisor
    assert "Joint account" in text_of(get(advisor, "work_list", q="joint"))
    assert "Nothing matches" in text_of(get(advisor, "work_list", q="%' --"))
    for query in ({"tab": "x"}, {"sort": "x"}, {"page": "999"}, {"page": "x"}, {"size": "x"}):
        assert get(advisor, "work_list", **query).status_code == 200
