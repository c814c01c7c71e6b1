"""Policies and the market in the browser: rules in words, bad input, one run at a time."""

import re
from decimal import Decimal

import pytest
import time_machine
from django.urls import reverse

from rebalancer import models
from tests import people
from tests.rebalancer.browsing import browser, get, make_scene, post, text_of
from tests.rebalancer.world import NOW

pytestmark = pytest.mark.django_db
D = Decimal
TERMS = {
    "name": "Quarterly, wide",
    "trigger": "COMBINED",
    "schedule": "QUARTERLY",
    "cron_line": "",
    "band_level": "ASSET_CLASS",
    "band_measure": "WIDER",
    "absolute_band": "5",
    "relative_band": "25",
    "band_floor": "1.5",
    "destination": "BAND_EDGE",
    "min_trade_amount": "100",
    "cash_floor_amount": "0",
    "need_horizon_days": "30",
    "approval_hours_max": "24",
    "price_tolerance": "1.5",
    "is_active": "on",
    "tracking_error_max": "2",
    "hurdle_bps": "0",
    "destination_share": "50",
    "drift_measure": "WEIGHT",
    "risk_aversion": "4",
    "risk_horizon_years": "0.5",
    "willingness": "2.5",
    "ticket_price": "1",
    "commission_fixed": "0",
    "commission_bps": "0",
    "lot_method": "LEAST_TAX",
    "harvests_losses": "on",
    "harvest_benefit_min": "20",
    "harvest_drift_max": "2",
    "hold_for_long_term_days": "0",
    "transition_years": "0",
    "transition_start_year": "",
    "caps": "",
    "turnover_max": "",
}


@pytest.fixture(autouse=True)
def _market_time():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def scene():
    return make_scene()


def test_a_new_policy_is_stored_as_fractions_and_said_in_words(scene):
    response = post(scene.world.admin, "add_policy", **TERMS)
    policy = models.Policy.objects.get(name="Quarterly, wide")
    assert response.url == reverse("rebalancer:policy", args=[policy.public_id])
    assert (policy.absolute_band, policy.relative_band) == (D("0.05"), D("0.25"))
    assert (policy.band_floor, policy.price_tolerance) == (D("0.015"), D("0.015"))
    page = text_of(get(scene.world.advisor, "policy", policy.public_id))
    assert "on the first trading day of every quarter" in page
    assert "the larger of 5 points and 25% of its target" in page
    assert "Trades stop at the edge of the band" in page
    assert "4 Jan 2027, 1 Apr 2027, 1 Jul 2027" in page


def test_changing_a_policy_makes_a_revision_and_keeps_what_was_not_changed(scene):
    policy = scene.world.policy
    assert post(scene.world.admin, "policy", policy.public_id, **TERMS).status_code == 302
    policy.refresh_from_db()
    assert (policy.revision, policy.name) == (2, "Quarterly, wide")
    page = text_of(get(scene.world.admin, "policy", policy.public_id))
    assert 'value="1.5"' in page
    assert 'value="25"' in page


def test_a_new_policy_starts_mindful_of_tax_and_cost(scene):
    page = text_of(get(scene.world.admin, "add_policy"))
    assert "correcting may cost up to 2.50% of what is traded, tax included" in page
    assert "Losses are harvested where that saves at least $20.00 of tax." in page
    for name, value in (("willingness", "2.5"), ("ticket_price", "1")):
        assert re.search(rf'name="{name}" value="{value}"', page)
    for group in ("When to act", "How far", "Costs", "Taxes", "Limits"):
        assert f'<legend class="fs-5">{group}</legend>' in page


def test_every_term_is_saved_shown_again_and_said_in_words(scene):
    terms = {
        **TERMS,
        "trigger": "ECONOMIC",
        "hurdle_bps": "1.5",
        "destination": "BETWEEN",
        "destination_share": "40",
        "turnover_max": "30",
        "hold_for_long_term_days": "45",
        "transition_years": "3",
        "transition_start_year": "2026",
        "caps": "class us equity 60%\n\nSecurity BOND 45.5 %",
    }
    assert (
        post(scene.world.admin, "policy", scene.world.policy.public_id, **terms).status_code == 302
    )
    policy = models.Policy.objects.get(pk=scene.world.policy.pk)
    assert (policy.willingness, policy.turnover_max) == (D("0.025"), D("0.3"))
    assert (policy.destination_share, policy.hurdle_bps) == (D("0.4"), D("1.5"))
    assert policy.caps == [
        {"kind": "ASSET_CLASS", "name": "US equity", "max_weight": "0.6"},
        {"kind": "SECURITY", "name": "BOND", "max_weight": "0.455"},
    ]
    page = text_of(get(scene.world.admin, "policy", policy.public_id))
    for words in (
        "gains more than it costs and is taxed by more than 1.5 bp of its value",
        "Trades go 40% of the way from the edge of the band to the target.",
        "Gains within 45 days of being long-term are kept.",
        "Gains of the old portfolio are spread over 2026 to 2028.",
        "A plan trades at most 30.0% of the value.",
        "Never more than: US equity 60.0%, BOND 45.5%.",
        "class US equity 60% security BOND 45.5%",
        'name="turnover_max" value="30"',
    ):
        assert words in page, words
    post(scene.world.admin, "policy", policy.public_id, **{**terms, "trigger": "RISK"})
    page = text_of(get(scene.world.admin, "policy", policy.public_id))
    assert "may stray from its model by more than 2.0% a year" in page


def test_an_advisor_reads_a_policy_but_cannot_change_it(scene):
    policy = scene.world.policy
    page = text_of(get(scene.world.advisor, "policy", policy.public_id))
    assert "Save" not in page
    post(scene.world.advisor, "policy", policy.public_id, **TERMS)
    policy.refresh_from_db()
    assert policy.revision == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schedule": "CRON", "cron_line": ""}, "Write the schedule line"),
        ({"schedule": "CRON", "cron_line": "every day"}, "That is no schedule"),
        ({"schedule": "CRON", "cron_line": "0 0 30 2 *"}, "That is no schedule"),
        ({"absolute_band": "101"}, "less than or equal to 100"),
        ({"absolute_band": "-1"}, "greater than or equal to 0"),
        ({"absolute_band": "NaN"}, "Enter a number"),
        ({"trigger": "ALWAYS"}, "Select a valid choice"),
        ({"approval_hours_max": "0"}, "greater than or equal to 1"),
        ({"name": ""}, "This field is required"),
        ({"name": "Daily"}, "already"),
        ({"willingness": "0"}, "greater than or equal to 0.0001"),
        ({"willingness": "501"}, "less than or equal to 500"),
        ({"destination": "SIDEWAYS"}, "Select a valid choice"),
        ({"lot_method": "SPECIFIED"}, "Select a valid choice"),
        ({"risk_aversion": "0"}, "greater than or equal to 0.001"),
        ({"turnover_max": "NaN"}, "Enter a number"),
        ({"transition_years": "3"}, "Say in which year it begins"),
        ({"caps": "sixty percent of shares"}, "is no limit"),
        ({"caps": "class US equity 101%"}, "more than 100%"),
        ({"caps": "class Gold 10%"}, "No security of the firm is of the asset class “Gold”"),
        ({"caps": "security BOND 50%\nsecurity bond 40%"}, "two caps on the security “BOND”"),
    ],
)
def test_terms_that_make_no_sense_are_refused_where_they_stand(scene, changes, words):
    response = post(scene.world.admin, "add_policy", **{**TERMS, **changes})
    assert response.status_code == 422
    assert words in text_of(response)
    assert models.Policy.objects.count() == 1


def test_the_sentence_follows_the_form_and_saves_nothing(scene):
    terms = {**TERMS, "name": "", "schedule": "CRON", "cron_line": "0 16 15 * *"}
    page = text_of(post(scene.world.admin, "explain_policy", **terms))
    assert "on the days that “0 16 15 * *” names" in page
    assert "15 Dec 2026, 15 Jan 2027, 16 Feb 2027" in page  # 15 Feb 2027 is Presidents' Day
    broken = text_of(post(scene.world.admin, "explain_policy", **{**terms, "cron_line": "nope"}))
    assert "Not complete yet" in broken
    assert models.Policy.objects.count() == 1


def test_accounts_are_given_a_policy(scene):
    post(scene.world.admin, "add_policy", **TERMS)
    policy = models.Policy.objects.get(name="Quarterly, wide")
    account = scene.account.public_id
    assert post(scene.world.admin, "assign_policy", policy.public_id, account=account)
    assert models.PolicyAssignment.objects.get(account=scene.account).policy == policy
    page = text_of(get(scene.world.admin, "policy", policy.public_id, q="joint"))
    assert "This policy" in page
    assert "1 account follows it" in text_of(get(scene.world.admin, "policies"))


def test_an_account_of_another_firm_cannot_be_given_a_policy(scene):
    foreign = people.make_account(people.make_household(scene.stranger.firm))
    browse = browser(scene.world.admin)
    address = reverse("rebalancer:assign_policy", args=[scene.world.policy.public_id])
    for account in (foreign.public_id, "x"):
        response = browse.post(address, {"account": account}, follow=True)
        assert "Select a valid choice" in text_of(response)
    assert not models.PolicyAssignment.objects.filter(account=foreign).exists()


def test_the_next_looks_are_those_that_really_come(scene):
    """The page asks the scheduler's own rule: what it promises is when a look becomes due."""
    from rebalancer.domain.schedule import find_latest_look
    from rebalancer.queries.books import describe_policy
    from rebalancer.queries.pages.looks import list_next_looks
    from robo.common.market_calendar import list_sessions

    sessions = list_sessions("XNYS")
    for schedule, line in [("MONTHLY", ""), ("ANNUAL", ""), ("CRON", "0 9 * * 1")]:
        policy = scene.world.policy
        policy.trigger, policy.schedule, policy.cron_line = "COMBINED", schedule, line
        terms = describe_policy(policy)
        found = list_next_looks(terms=terms, exchange="XNYS", after=NOW.date(), count=3)
        assert len(found) == 3
        for day in found:
            look = find_latest_look(
                schedule=terms.schedule, cron_line=line, sessions=sessions, market_date=day
            )
            assert look is not None
            assert look.session == day


# --- The market --------------------------------------------------------------------------------


def test_moving_the_market_asks_for_a_run_and_shows_it(scene):
    world = scene.world
    browse = browser(world.advisor)
    response = browse.post(reverse("rebalancer:move_market"), {"move": "CRASH"}, follow=True)
    run = models.CycleRun.objects.get()
    assert (run.market_shock, run.requested_by_id) == ("CRASH", world.advisor.pk)
    shown = text_of(response)
    assert "Waiting for a worker" in shown
    assert reverse("rebalancer:cycle_run", args=[run.public_id]) in shown
    assert 'value="CRASH"' not in shown
    again = browse.post(reverse("rebalancer:move_market"), {"move": "NEXT_DAY"})
    assert again.status_code == 409
    assert "A run is under way" in text_of(again)


def test_a_finished_run_asks_for_the_whole_page_and_shows_its_figures(scene):
    world = scene.world
    post(world.advisor, "move_market", move="NEXT_DAY")
    run = models.CycleRun.objects.get()
    assert get(world.advisor, "cycle_run", run.public_id).status_code == 200
    run.status = "DONE"
    run.figures = {"prices": 4, "checks_due": 3, "checks_quiet": 7, "answers_proposed": 2}
    run.finished_at = NOW
    run.save()
    assert get(world.advisor, "cycle_run", run.public_id)["HX-Refresh"] == "true"
    page = text_of(get(world.advisor, "market"))
    assert "Next day: what followed" in page
    assert "on 4 new prices" in page
    # Whoever has no work list is given no way to it.
    address = reverse("rebalancer:work_list")
    assert f"{address}?tab=pending" in page
    assert f"{address}?tab=" not in text_of(get(world.admin, "market"))
    assert get(scene.stranger, "cycle_run", run.public_id).status_code == 404


def test_a_failed_run_says_why(scene):
    post(scene.world.advisor, "move_market", move="RALLY")
    models.CycleRun.objects.update(status="FAILED", error="ValueError: no closes")
    page = text_of(get(scene.world.advisor, "market"))
    assert "Rally failed." in page
    assert "ValueError: no closes" in page


@pytest.mark.parametrize("values", [{}, {"move": "MOON"}])
def test_a_move_that_is_none_does_nothing(scene, values):
    browse = browser(scene.world.advisor)
    response = browse.post(reverse("rebalancer:move_market"), values, follow=True)
    assert "Choose how the market should move" in text_of(response)
    assert not models.CycleRun.objects.exists()


def test_a_real_market_cannot_be_moved(scene):
    firm = scene.world.firm
    firm.simulated_date = None
    firm.save()
    assert get(scene.world.admin, "market").status_code == 404
    assert post(scene.world.admin, "move_market", move="CRASH").status_code == 404


def test_a_publish_preview_counts_who_would_be_out_of_band(scene):
    page = text_of(get(scene.world.admin, "publish_preview", scene.proposal.model_version_id))
    assert "1 of 1 account would be out of band" in page
    assert get(scene.world.admin, "publish_preview", 10**9).status_code == 404
