"""What else could be done, what if, and how good a plan is: what an advisor sees of the engine."""

import re
from decimal import Decimal

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from rebalancer import models
from rebalancer.domain.kinds import CheckStatus, Mode
from rebalancer.domain.lifecycle import ProposalStatus
from rebalancer.operations.solving import read_wanted
from rebalancer.queries.pages import alternatives, words
from rebalancer.queries.pages.alternatives import WhatIf
from tests.rebalancer.browsing import DRIFTED_LOTS, OLD, browser, get, make_scene, post, text_of
from tests.rebalancer.world import NOW

pytestmark = pytest.mark.django_db
D = Decimal


@pytest.fixture(autouse=True)
def _market_time():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def scene():
    return make_scene()


def load(scene):
    return models.Proposal.objects.select_related("origin_check").get(pk=scene.proposal.pk)


def solve(scene, **terms):
    return alternatives.compare_alternative(load(scene), WhatIf(**terms))[1]


def list_trades(plan):
    return [(move.side, move.symbol, move.quantity) for move in plan.trades]


def list_stored(proposal):
    rows = proposal.trades.order_by("-side", "security__symbol")
    return sorted(rows.values_list("side", "security__symbol", "quantity"))


# --- Solving from the stored case ----------------------------------------------------------------


def test_solving_the_stored_case_gives_the_proposal_again(scene):
    plan = solve(scene)
    assert sorted(list_trades(plan)) == list_stored(scene.proposal)
    assert plan.tax == scene.proposal.tax_amount
    assert plan.cost == scene.proposal.cost_amount
    assert plan.turnover == scene.proposal.turnover_amount
    assert plan.cash_after == scene.proposal.cash_after
    assert plan.drift_after == pytest.approx(float(scene.proposal.drift_after), abs=1e-8)
    assert plan.total == pytest.approx(float(scene.proposal.certificate["plan"]["total"]), abs=1e-5)


def test_every_way_to_trade_keeps_to_its_rule(scene):
    proposed, *others = alternatives.list_alternatives(load(scene))
    plans = {plan.mode: plan for plan in others}
    # The policy's own way is the proposal itself, and is not shown twice.
    assert (proposed.mode, proposed.is_proposed) == (scene.proposal.mode, True)
    assert set(plans) == set(alternatives.OFFERED_MODES) - {scene.proposal.mode}
    assert sorted(list_trades(proposed)) == list_stored(scene.proposal)
    assert all(side == "BUY" for side, *_ in list_trades(plans[Mode.BUY_ONLY]))
    assert all(side == "SELL" for side, *_ in list_trades(plans[Mode.SELL_ONLY]))
    # By one yardstick, nothing that considers fewer trades comes cheaper in all.
    assert proposed.total == pytest.approx(
        float(scene.proposal.certificate["plan"]["total"]), abs=1e-5
    )
    assert all(plan.total > proposed.total - 0.02 for plan in others if not plan.problem)
    edge = plans[Mode.BAND_EDGE]
    assert edge.turnover < proposed.turnover
    assert edge.drift_after > proposed.drift_after
    assert all(bool(plan.trades) is not bool(plan.problem) for plan in others)


def test_a_plan_of_the_whole_household_stays_beside_what_the_account_would_do_alone(scene):
    # As if its trades had been agreed with another account.
    with connection.cursor() as cursor:
        # As an earlier engine might have left it: on record it cannot be changed.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE rebalancer_trade DISABLE TRIGGER USER")
        scene.proposal.trades.filter(side="BUY").first().delete()
        cursor.execute("ALTER TABLE rebalancer_trade ENABLE TRIGGER USER")
    proposed, *others = alternatives.list_alternatives(load(scene))
    assert len(proposed.trades) == scene.proposal.trades.count()
    assert scene.proposal.mode in {plan.mode for plan in others}
    assert not any(plan.is_proposed for plan in others)


def test_a_gains_budget_of_nothing_realises_no_gain(scene):
    free, bound = solve(scene), solve(scene, gains_budget=D(0))
    assert bound.tax < free.tax
    assert bound.drift_after > free.drift_after


def test_a_security_left_out_is_not_traded_that_way(scene):
    assert ("BUY", "INTL") in {row[:2] for row in list_trades(solve(scene))}
    assert ("BUY", "INTL") not in {row[:2] for row in list_trades(solve(scene, never_buy=["INTL"]))}
    kept = solve(scene, never_sell=["USTM"])
    assert ("SELL", "USTM") not in {row[:2] for row in list_trades(kept)}


def test_nothing_is_stored_and_few_questions_are_asked(scene):
    browse = browser(scene.world.advisor)
    before = models.Proposal.objects.count(), models.Trade.objects.count()
    for name in ("alternatives", "what_if"):
        address = reverse(f"rebalancer:{name}", args=[scene.proposal.public_id])
        browse.get(address)
        with CaptureQueriesContext(connection) as queries:
            assert browse.get(address, {"mode": "BUY_ONLY"}).status_code == 200
        assert len(queries) <= 7, name
        assert not any(query["sql"].startswith(("INSERT", "UPDATE")) for query in queries)
    assert (models.Proposal.objects.count(), models.Trade.objects.count()) == before


def test_a_proposal_of_an_earlier_engine_says_so(scene):
    models.Proposal.objects.filter(pk=scene.proposal.pk).update(
        inputs={"engine_version": "1", "accounts": [{"account_id": scene.account.pk}]},
        certificate={},
        untraded=[],
    )
    advisor, public_id = scene.world.advisor, scene.proposal.public_id
    page = text_of(get(advisor, "proposal", public_id))
    assert "How good is this plan?" not in page
    assert "Not traded, and why" not in page
    assert "Leave securities out" not in page
    assert "worked out by an earlier engine" in text_of(get(advisor, "alternatives", public_id))
    answer = get(advisor, "what_if", public_id, mode="BUY_ONLY")
    assert "worked out by an earlier engine" in text_of(answer)


# --- On the page ---------------------------------------------------------------------------------


def test_the_page_says_how_good_the_plan_is(scene):
    certificate = scene.proposal.certificate
    page = text_of(get(scene.world.advisor, "proposal", scene.proposal.public_id))
    for key in ("plan", "nothing", "buy_only", "naive"):
        if certificate[key] is not None:
            amount = D(certificate[key]["total"]).quantize(D("0.01"))
            assert f"${abs(amount):,.2f}" in page, key
    assert "No plan can cost less than" in page
    assert words.explain_path(path=scene.proposal.path, reason=scene.proposal.path_reason) in page
    assert "Why this much" in page
    trade = scene.proposal.trades.exclude(rule="").first()
    assert trade.rule[1:] in page


def test_what_is_not_traded_is_told_with_its_reason():
    scene = make_scene(willingness="0.002")
    proposal = scene.world.accounts[0].proposals.first()
    models.Proposal.objects.filter(pk=proposal.pk).update(
        untraded=[
            {
                "symbol": "BOND",
                "code": "TAX",
                "amount": "-1200.00",
                "saves": "3.10",
                "costs": "180.00",
                "words": "selling 1,200.00 would cost 179.00 in tax",
            }
        ]
    )
    page = text_of(get(scene.world.advisor, "proposal", proposal.public_id))
    assert "Not traded, and why" in page
    assert "Selling 1,200.00 would cost 179.00 in tax." in page
    assert "$180.00" in page


def test_a_client_sees_none_of_the_workings(scene):
    browse = browser(scene.client)
    address = reverse("rebalancer:proposal", args=[scene.proposal.public_id])
    scene.world.approve(scene.proposal)
    scene.world.trade()
    page = text_of(browse.get(address))
    for words_of_staff in ("How good is this plan?", "Why this much", "What if?", "Other ways"):
        assert words_of_staff not in page


def test_accounts_that_were_solved_together_name_each_other(scene):
    other = scene.world.add_account("1000", lots=DRIFTED_LOTS, name="Hers")
    scene.world.look()
    sibling = other.proposals.get()
    models.Proposal.objects.filter(pk=sibling.pk).update(
        household_plan=scene.proposal.household_plan
    )
    page = text_of(get(scene.world.advisor, "proposal", scene.proposal.public_id))
    assert "Part of one plan for the household" in page
    assert reverse("rebalancer:proposal", args=[sibling.public_id]) in page
    alone = text_of(get(scene.world.advisor, "proposal", make_scene().proposal.public_id))
    assert "Part of one plan" not in alone


def test_a_decided_proposal_offers_no_other_way(scene):
    scene.world.approve(scene.proposal)
    advisor, public_id = scene.world.advisor, scene.proposal.public_id
    page = text_of(get(advisor, "proposal", public_id))
    assert "What if?" not in page
    assert 'id="alternatives"' not in page
    assert "Use this plan" not in text_of(get(advisor, "alternatives", public_id))
    response = post(advisor, "use_alternative", public_id, mode="BUY_ONLY")
    assert response.status_code == 409
    assert "approved already" in text_of(response)


def test_the_ways_stand_side_by_side_with_their_figures(scene):
    page = text_of(get(scene.world.advisor, "alternatives", scene.proposal.public_id))
    for plan in alternatives.list_alternatives(load(scene)):
        assert (plan.label.lower() if plan.is_proposed else plan.label) in page
        assert plan.is_proposed or plan.is_same or plan.rule in page
        if not plan.problem:
            assert f"${plan.turnover:,.2f}" in page
    assert page.count("Use this plan:") >= 2
    # All that drifted is all that the proposal trades.
    assert 'Only what drifted<span class="cell-sub">the same trades as proposed' in page
    assert "Use this plan: Only what drifted" not in page
    # An admin reads them, but cannot put another in its place.
    assert "Use this plan" not in text_of(
        get(scene.world.admin, "alternatives", scene.proposal.public_id)
    )


def test_a_way_without_a_plan_says_why():
    scene = make_scene()
    # No cash to buy with and no cash wanted: buying alone can do nothing.
    account = scene.world.add_account("0", lots=[("USTM", "90", "8900", OLD)], name="No cash")
    scene.world.look()
    proposal = account.proposals.get()
    page = text_of(get(scene.world.advisor, "alternatives", proposal.public_id))
    row = re.search(r"Buy only.*?</tr>", page)
    assert row
    assert "No such plan: no trade would gain more than it costs" in row.group()


# --- What if -------------------------------------------------------------------------------------


def test_a_change_shows_both_plans_in_place(scene):
    page = text_of(get(scene.world.advisor, "what_if", scene.proposal.public_id, gains_budget="0"))
    plan = solve(scene, gains_budget=D(0))
    assert "With your changes" in page
    assert f"${scene.proposal.turnover_amount:,.2f}" in page
    assert f"${plan.turnover:,.2f}" in page
    assert f"{len(plan.trades)} trade" in page
    for trade in plan.trades:
        assert f"{trade.side.lower()} {trade.quantity.normalize():f} {trade.symbol}" in page


def test_no_change_asks_for_one(scene):
    page = text_of(get(scene.world.advisor, "what_if", scene.proposal.public_id))
    assert "Change something above" in page
    assert "Use this plan" not in page


BAD = [
    ({"gains_budget": "-1"}, "cannot be below zero"),
    ({"gains_budget": "NaN"}, "Write an amount such as"),
    ({"gains_budget": "Infinity"}, "Write an amount such as"),
    ({"gains_budget": "1e3000"}, "more than any budget"),
    ({"gains_budget": "0.001"}, "at most two decimals"),
    ({"gains_budget": "all"}, "Write an amount such as"),
    ({"mode": "EVERYTHING"}, "no such way of trading"),
    ({"mode": "RAISE_CASH"}, "no such way of trading"),
    ({"never_buy": "NOPE"}, "NOPE is not held or wanted here"),
    ({"never_sell": "<b>"}, "&lt;b&gt; is not held or wanted here"),
]


@pytest.mark.parametrize(("values", "message"), BAD)
def test_what_makes_no_sense_is_said_and_changes_nothing(scene, values, message):
    advisor, public_id = scene.world.advisor, scene.proposal.public_id
    shown = get(advisor, "what_if", public_id, **values)
    assert shown.status_code == 422
    assert message in text_of(shown)
    assert "Use this plan" not in text_of(shown)
    refused = post(advisor, "use_alternative", public_id, **values)
    assert refused.status_code == 422
    assert message in text_of(refused)
    assert models.Proposal.objects.count() == 1


def test_only_an_advisor_of_the_household_may_ask_or_use(scene):
    may_look = {"alternatives": {"advisor", "supervisor"}, "what_if": {"advisor"}}
    for who, user in scene.people().items():
        for name in ("alternatives", "what_if"):
            status = get(user, name, scene.proposal.public_id, mode="BUY_ONLY").status_code
            assert status == (200 if who in may_look[name] else 404), (who, name)
        if who != "advisor":
            status = post(
                user, "use_alternative", scene.proposal.public_id, mode="BAND_EDGE"
            ).status_code
            assert status in {403, 404}, who
    assert models.Proposal.objects.count() == 1


# --- Using another plan --------------------------------------------------------------------------


def use(scene, **values):
    response = post(scene.world.advisor, "use_alternative", scene.proposal.public_id, **values)
    assert response.status_code == 302, text_of(response)
    fresh = models.Proposal.objects.get(supersedes=scene.proposal)
    assert response.url == reverse("rebalancer:proposal", args=[fresh.public_id])
    return fresh


def test_a_used_plan_is_what_was_shown_and_a_colleague_approves_it(scene):
    shown = solve(scene, mode=Mode.BAND_EDGE)
    fresh = use(scene, mode="BAND_EDGE")
    assert list_stored(fresh) == sorted(list_trades(shown))
    assert (fresh.mode, fresh.proposed_by) == ("BAND_EDGE", scene.world.advisor)
    page = text_of(get(scene.world.advisor, "proposal", fresh.public_id))
    assert "Asked for: to the edge of the band." in page
    assert 'value="approve"' not in page
    values = {"decision": "approve", "content_hash": fresh.content_hash}
    assert post(scene.world.advisor, "decide", fresh.public_id, **values).status_code == 403
    assert post(scene.world.colleague, "decide", fresh.public_id, **values).status_code == 302


def test_a_used_budget_holds_through_approval_and_further_changes(scene):
    shown = solve(scene, gains_budget=D(0))
    fresh = use(scene, gains_budget="0")
    assert list_stored(fresh) == sorted(list_trades(shown))
    assert read_wanted(fresh.wanted).gains_budget == 0
    assert fresh.short_term_gain + fresh.long_term_gain <= D("0.01")
    assert scene.proposal.short_term_gain + scene.proposal.long_term_gain > 0
    # Another way on top of it keeps the budget.
    again = post(scene.world.advisor, "use_alternative", fresh.public_id, mode="BAND_EDGE")
    assert again.status_code in {302, 422}
    last = models.Proposal.objects.get(status=ProposalStatus.PENDING)
    assert read_wanted(last.wanted).gains_budget == 0
    values = {"decision": "approve", "content_hash": last.content_hash}
    assert post(scene.world.colleague, "decide", last.public_id, **values).status_code == 302


def test_a_used_plan_keeps_the_wishes_it_was_shown_with(scene):
    shown = solve(scene, never_buy=["INTL"])
    fresh = use(scene, never_buy="INTL")
    assert list_stored(fresh) == sorted(list_trades(shown))
    values = {"decision": "approve", "content_hash": fresh.content_hash}
    assert post(scene.world.colleague, "decide", fresh.public_id, **values).status_code == 302


def test_nothing_asked_for_is_refused(scene):
    response = post(scene.world.advisor, "use_alternative", scene.proposal.public_id)
    assert response.status_code == 422
    assert "Nothing is asked for" in text_of(response)
    assert models.Proposal.objects.count() == 1


# --- The list of looks ---------------------------------------------------------------------------


def test_a_look_without_a_trade_shows_its_numbers(scene):
    def describe(**terms):
        certificate = {"nothing": {"total": "12.30"}, "gain": "1.2", "hurdle": "5", **terms}
        return words.explain_look(
            reason="no trade would gain more than it costs",
            certificate=certificate,
            tracking_error=None,
            currency="USD",
        )

    assert describe() == "the best plan gains $1.20, not more than the hurdle of $5.00"
    assert describe(gain="0").endswith("more than it costs; standing as it is costs $12.30")
    # Another account of the household has the gain.
    assert describe(gain="9") == "no trade would gain more than it costs"
    models.Check.objects.filter(account=scene.account).update(
        status=CheckStatus.NO_TRADE,
        reason="the best plan gains 1.20, not more than the hurdle of 5.00",
        certificate={"nothing": {"total": "12.30"}, "gain": "1.2", "hurdle": "5"},
        tracking_error=D("0.0123"),
    )
    page = text_of(get(scene.world.advisor, "account", scene.account.public_id))
    assert "the best plan gains $1.20, not more than the hurdle of $5.00" in page
    assert "tracking error 1.23% a year" in page
    assert "hurdle" not in text_of(get(scene.client, "account", scene.account.public_id))
