"""Nothing is sent without the client's word: their yes, or a mandate, and consent to our texts."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.db import connection, transaction
from django.db.utils import DatabaseError
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.domain.disclosures import DisclosureKind
from accounts.models import OutgoingMail, RiskProfile
from accounts.operations import consents as account_consents
from accounts.operations import risk
from rebalancer import models
from rebalancer.domain.kinds import CheckStatus
from rebalancer.domain.lifecycle import OrderStatus, ProposalStatus
from rebalancer.domain.mandates import MandateTerms, Planned, PlannedTrade, list_mandate_gaps
from rebalancer.operations import consents, orders
from robo.common.errors import Conflict, NotAllowed, Refused
from robo.common.templatetags import figures
from tests import people
from tests.answers import make_answers
from tests.rebalancer.browsing import browser, get, post, text_of
from tests.rebalancer.world import DAY, NOW, make_world

pytestmark = pytest.mark.django_db
OLD = date(2020, 1, 2)
LOTS = [("USTM", "60", "4000", OLD), ("BOND", "10", "900", OLD)]
EXPIRED = NOW + timedelta(days=30)


@pytest.fixture(autouse=True)
def _market_time():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def world():
    return make_world()


@pytest.fixture
def client_user(world):
    return people.make_client(world.household)


def propose(world, **facts):
    """Return the proposal for a new drifted account."""
    account = world.add_account("1000", lots=LOTS, **facts)
    world.look()
    return models.Proposal.objects.get(account=account, status=ProposalStatus.PENDING)


def say(proposal, user, *, is_yes=True, now=NOW, **facts):
    return consents.answer_proposal(
        **{
            "proposal_id": proposal.pk,
            "user_id": user.pk,
            "is_yes": is_yes,
            "content_hash": proposal.content_hash,
            "now": now,
            **facts,
        }
    )


def begin(proposal, now=NOW):
    """Let the workers look, and return the proposal as it then stands."""
    orders.submit_orders(now=now)
    proposal.refresh_from_db()
    return proposal


def reasons(proposal):
    return set(proposal.orders.values_list("reason", flat=True))


# --- The client's own yes -------------------------------------------------------------------------


def test_without_the_clients_yes_nothing_begins(world, client_user):
    proposal = propose(world, is_discretionary=False)
    world.approve(proposal)
    assert begin(proposal).status == ProposalStatus.APPROVED
    assert models.Block.objects.count() == 0
    assert reasons(proposal) == {"Waits: The client has not said yes to these trades."}
    say(proposal, client_user)
    assert begin(proposal).status == ProposalStatus.EXECUTING
    assert models.Block.objects.exists()


def test_the_yes_may_come_before_the_approval(world, client_user):
    proposal = propose(world, is_discretionary=False)
    say(proposal, client_user)
    assert begin(proposal).status == ProposalStatus.PENDING, "a yes is no approval"
    world.approve(proposal)
    assert begin(proposal).status == ProposalStatus.EXECUTING


def test_a_no_ends_it_before_or_after_the_approval(world, client_user):
    for approves in (False, True):
        proposal = propose(world, is_discretionary=False)
        if approves:
            world.approve(proposal)
        say(proposal, client_user, is_yes=False, note="not now")
        assert begin(proposal).status == ProposalStatus.EXPIRED
        assert "said no: not now" in proposal.close_reason
        assert not proposal.orders.exclude(status=OrderStatus.CANCELLED).exists()


def test_an_approval_that_waits_too_long_for_the_client_lapses(world):
    proposal = propose(world, is_discretionary=False)
    world.approve(proposal)
    assert begin(proposal, now=EXPIRED).status == ProposalStatus.EXPIRED
    assert "has not said yes" in proposal.close_reason


def test_only_the_households_own_people_answer_once_and_what_they_saw(world, client_user):
    proposal = propose(world, is_discretionary=False)
    stranger = people.make_client(people.make_household(world.firm))
    for person in (world.advisor, world.admin, stranger):
        with pytest.raises(NotAllowed):
            say(proposal, person)
    with pytest.raises(Conflict, match="not the trades you saw"):
        say(proposal, client_user, content_hash="0" * 64)
    with pytest.raises(Conflict, match="no longer"):
        say(proposal, client_user, now=EXPIRED)
    with pytest.raises(Refused, match="at most"):
        say(proposal, client_user, note="x" * 301)
    say(proposal, client_user)
    with pytest.raises(Conflict, match="answered already"):
        say(proposal, client_user, is_yes=False)
    assert models.ClientAnswer.objects.get().is_yes


def test_an_answer_is_never_changed(world, client_user):
    proposal = propose(world, is_discretionary=False)
    say(proposal, client_user)
    for change in (lambda rows: rows.update(is_yes=False), lambda rows: rows.delete()):
        with pytest.raises(DatabaseError), transaction.atomic():
            change(models.ClientAnswer.objects.all())


def test_a_yes_to_other_trades_does_not_count(world, client_user):
    proposal = propose(world, is_discretionary=False)
    say(proposal, client_user)
    world.approve(proposal)
    models.Proposal.objects.filter(pk=proposal.pk).update(content_hash="f" * 64)
    assert begin(proposal).status == ProposalStatus.APPROVED
    assert reasons(proposal) == {"Waits: The client said yes to other trades than these."}


# --- Mandates -------------------------------------------------------------------------------------


def test_an_account_that_should_have_a_mandate_waits_without_one(world):
    proposal = propose(world)
    account_consents.end_mandate(account_id=proposal.account_id, user_id=world.admin.pk)
    account = proposal.account
    account.refresh_from_db()
    account.is_discretionary = True
    account.save()
    world.approve(proposal)
    assert begin(proposal).status == ProposalStatus.APPROVED
    assert reasons(proposal) == {"Waits: No mandate of the client is on record."}


def test_a_new_mandate_approves_nothing_of_before(world, client_user):
    proposal = propose(world, is_discretionary=False)
    world.approve(proposal)
    # In one transaction the database's clock stands still.
    models.Proposal.objects.update(created_at=proposal.created_at - timedelta(seconds=1))
    people.give_mandate(proposal.account)
    assert begin(proposal).status == ProposalStatus.APPROVED
    assert "put on record after these trades" in reasons(proposal).pop()
    account_consents.end_mandate(account_id=proposal.account_id, user_id=client_user.pk)
    say(proposal, client_user)
    assert begin(proposal).status == ProposalStatus.EXECUTING


TRADE = PlannedTrade("USTM", Decimal(1000), "us-equity")
PLAN = Planned(NOW, Decimal(10000), Decimal(1000), [TRADE])


def terms(**changes):
    facts = {
        "starts_on": DAY,
        "ends_on": None,
        "trade_amount_max": None,
        "turnover_share_max": None,
        "asset_classes": [],
        "recorded_at": NOW - timedelta(hours=1),
    }
    return MandateTerms(**{**facts, **changes})


@pytest.mark.parametrize(
    ("inside", "outside", "words"),
    [
        ({"starts_on": DAY}, {"starts_on": DAY + timedelta(days=1)}, "starts on"),
        ({"ends_on": DAY}, {"ends_on": DAY - timedelta(days=1)}, "ended on"),
        ({"trade_amount_max": Decimal(1000)}, {"trade_amount_max": Decimal("999.99")}, "one trade"),
        (
            {"turnover_share_max": Decimal("0.1")},
            {"turnover_share_max": Decimal("0.0999")},
            "account allowed",
        ),
        ({"asset_classes": ["us-equity"]}, {"asset_classes": ["us-bonds"]}, "does not cover"),
        ({"recorded_at": NOW}, {"recorded_at": NOW + timedelta(seconds=1)}, "after these trades"),
    ],
)
def test_a_mandate_holds_within_its_limits_and_dates(inside, outside, words):
    assert list_mandate_gaps(terms(**inside), PLAN, today=DAY) == []
    (gap,) = list_mandate_gaps(terms(**outside), PLAN, today=DAY)
    assert words in gap


def test_a_mandate_that_ends_in_the_middle_stops_the_rest(world):
    proposal = propose(world)
    world.approve(proposal)
    while orders.begin_executions(now=NOW):
        pass
    account_consents.end_mandate(account_id=proposal.account_id, user_id=world.admin.pk)
    assert begin(proposal).status == ProposalStatus.EXECUTING
    assert models.Block.objects.count() == 0
    sales = proposal.orders.filter(side="SELL")
    assert {row.reason for row in sales} == {"Waits: The client has not said yes to these trades."}
    begin(proposal, now=EXPIRED)
    assert not proposal.orders.exclude(status=OrderStatus.CANCELLED).exists()
    assert any("days old" in reason for reason in reasons(proposal))


# --- Consent to our texts -------------------------------------------------------------------------


def test_without_consent_to_the_words_in_force_nothing_begins(world, client_user):
    first = people.publish_text(world.firm, today=DAY)
    proposal = propose(world)
    world.approve(proposal)
    assert begin(proposal).status == ProposalStatus.APPROVED
    assert reasons(proposal) == {"Waits: The household has not agreed to “What it costs”."}
    people.agree(client_user, first)
    assert begin(proposal).status == ProposalStatus.EXECUTING


def test_a_firm_that_trades_in_earnest_needs_every_kind_of_text(world):
    proposal = propose(world)
    world.firm.price_source = "FILE"
    world.firm.save()
    missing = consents.list_missing(proposal, now=NOW)
    assert sum("has published no text" in words for words in missing) == len(DisclosureKind)


def test_missing_words_of_many_proposals_take_as_many_queries_as_those_of_one(world):
    proposals = [propose(world) for _ in range(4)]
    counts = []
    for some in (proposals[:1], proposals):
        with CaptureQueriesContext(connection) as captured:
            consents.find_missing(some, now=NOW)
        counts.append(len(captured))
    assert counts[0] == counts[1]


# --- Profiles -------------------------------------------------------------------------------------


def answer_questions(client_user, **changes):
    return risk.answer_questionnaire(
        household_id=client_user.household_id,
        answers=make_answers(**changes),
        actor_id=client_user.pk,
        now=NOW,
    )


def look_again(world, account, day):
    models.Check.objects.filter(account=account).delete()
    models.Proposal.objects.filter(account=account).delete()
    world.look(day)
    return models.Check.objects.filter(account=account).order_by("-pk").first()


def test_an_old_or_contradictory_profile_stops_proposals(world, client_user):
    contradictory = answer_questions(client_user, horizon_years="1", priority="growth")
    assert contradictory.contradictions
    account = world.add_account("1000", lots=LOTS)
    check = look_again(world, account, DAY)
    assert check.status == CheckStatus.BLOCKED
    assert "contradict each other" in check.reason
    assert not models.Proposal.objects.filter(account=account).exists()
    with pytest.raises(NotAllowed):
        account_consents.review_profile(
            profile_id=contradictory.pk, note="all well", user_id=client_user.pk
        )
    account_consents.review_profile(
        profile_id=contradictory.pk, note="short money is elsewhere", user_id=world.advisor.pk
    )
    assert look_again(world, account, DAY).status == CheckStatus.PROPOSED


def test_a_profile_of_fourteen_months_ago_stops_proposals(world, client_user, monkeypatch):
    answer_questions(client_user)
    account = world.add_account("1000", lots=LOTS)
    answered = RiskProfile.objects.get().answered_at
    monkeypatch.setattr("tests.rebalancer.world.NOW", answered + timedelta(days=430))
    check = look_again(world, account, DAY)
    assert check.status == CheckStatus.BLOCKED
    assert "13 months old" in check.reason


def test_an_advisor_settles_contradictions_in_the_browser(world, client_user):
    answer_questions(client_user, horizon_years="1", priority="growth")
    page = reverse("accounts:risk_profile", args=[world.household.public_id])
    address = reverse("accounts:profile_review", args=[world.household.public_id])
    visitor = browser(world.advisor)
    assert address in text_of(visitor.get(page))
    visitor.post(address, {"note": ""})
    assert address in text_of(visitor.get(page)), "an empty note settles nothing"
    visitor.post(address, {"note": "we spoke"})
    assert "we spoke" in text_of(visitor.get(page))
    assert browser(client_user).post(address, {"note": "x"}).status_code == 404


# --- Pages ----------------------------------------------------------------------------------------


def test_the_client_reads_why_and_what_it_costs(world, client_user):
    proposal = propose(world, is_discretionary=False)
    page = text_of(get(client_user, "proposal", proposal.public_id))
    assert "A part of your account has moved too far from its target." in page
    assert f"Trading is expected to cost {figures.money(proposal.cost_amount)}." in page
    assert "Waiting for your answer" in page
    assert "Being reviewed" not in page
    assert "If nothing is done" in page
    for trade in proposal.trades.all():
        assert trade.explanation.replace("'", "&#x27;") in page
    assert 'id="answer"' in page


def test_with_a_mandate_the_client_is_not_asked(world, client_user):
    proposal = propose(world)
    page = text_of(get(client_user, "proposal", proposal.public_id))
    assert 'id="answer"' not in page
    assert proposal.trades.first().explanation.replace("'", "&#x27;") not in page
    answered = post(
        client_user,
        "answer",
        proposal.public_id,
        answer="yes",
        content_hash=proposal.content_hash,
    )
    assert answered.status_code == 422


def test_the_household_page_says_what_there_is_to_do(world, client_user):
    text = people.publish_text(world.firm, today=DAY)
    proposal = propose(world, is_discretionary=False)
    page = text_of(get(client_user, "household", world.household.public_id))
    assert "Read and accept 1 document" in page
    assert "Say yes or no to the trades" in page
    assert "Waiting for your answer" in page
    assert "are being reviewed by your advisor" not in page
    assert "Waits for the client" in text_of(
        get(world.advisor, "household", world.household.public_id)
    )
    people.agree(client_user, text)
    say(proposal, client_user)
    page = text_of(get(client_user, "household", world.household.public_id))
    assert "To do for you" not in page
    assert "are being reviewed by your advisor" in page


def test_answering_in_the_browser(world, client_user):
    proposal = propose(world, is_discretionary=False)
    sent = {"content_hash": proposal.content_hash, "note": "fine"}
    assert (
        post(client_user, "answer", proposal.public_id, answer="maybe", **sent).status_code == 422
    )
    assert (
        post(world.advisor, "answer", proposal.public_id, answer="yes", **sent).status_code == 404
    )
    assert post(client_user, "answer", proposal.public_id, answer="yes", **sent).status_code == 302
    assert post(client_user, "answer", proposal.public_id, answer="no", **sent).status_code == 409
    assert "Being reviewed" in text_of(get(client_user, "proposal", proposal.public_id))
    page = text_of(get(world.advisor, "proposal", proposal.public_id))
    assert f"<strong>{client_user.name}</strong> said yes" in page
    assert "cannot be sent yet" not in page


def test_the_advisor_sees_what_is_missing_and_may_approve_all_the_same(world, client_user):
    proposal = propose(world, is_discretionary=False)
    page = text_of(get(world.advisor, "proposal", proposal.public_id))
    assert "The client has not said yes to these trades." in page
    assert "sent when nothing is missing" in page
    answered = browser(world.advisor).post(
        reverse("rebalancer:decide", args=[proposal.public_id]),
        {"decision": "approve", "content_hash": proposal.content_hash},
        follow=True,
    )
    assert "It is sent when this is settled: The client has not said yes" in text_of(answered)


# --- Notices --------------------------------------------------------------------------------------


def test_clients_are_told_of_a_question_and_of_trades_done(world, client_user):
    proposal = propose(world, is_discretionary=False)
    (asked,) = OutgoingMail.objects.filter(kind="ANSWER_WANTED")
    assert asked.person == client_user
    say(proposal, client_user)
    world.approve(proposal)
    world.trade()
    proposal.refresh_from_db()
    assert proposal.status in (ProposalStatus.COMPLETED, ProposalStatus.COMPLETED_ADJUSTED)
    (done,) = OutgoingMail.objects.filter(kind="TRADES_DONE")
    assert done.person == client_user


def test_with_a_mandate_nobody_is_asked(world, client_user):
    propose(world)
    assert not OutgoingMail.objects.filter(kind="ANSWER_WANTED").exists()
