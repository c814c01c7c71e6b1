"""One proposal's whole life, for auditors: what is on record, who did it, and the journal."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.operations.sealing import seal_journal
from rebalancer import models
from rebalancer.queries.pages.life import load_life
from tests.accounts.journal_world import use_own_key
from tests.rebalancer.browsing import OLD, browser, make_scene

pytestmark = pytest.mark.django_db(transaction=True)
STAGES = ["Trigger", "Proposal", "Decision", "Orders", "Executions", "Books"]


@pytest.fixture(autouse=True)
def own_key(settings, tmp_path):
    settings.SECOND_FACTOR_REQUIRED = False
    settings.JOURNAL_CHECKPOINT_ENTRIES = 1
    return use_own_key(settings, tmp_path)


@pytest.fixture
def lived():
    """Return a scene whose proposal was approved, traded and sealed."""
    scene = make_scene()
    scene.world.approve(scene.proposal)
    scene.world.trade()
    seal_journal(firm_id=scene.world.firm.pk)
    return scene


def reload(scene):
    return models.Proposal.objects.get(pk=scene.proposal.pk)


def test_a_life_is_told_from_trigger_to_lots(lived):
    life = load_life(reload(lived))
    stages = {stage.title: stage.facts for stage in life.stages}
    assert list(stages) == STAGES
    assert all(stages.values())
    assert life.fault_count == 0
    assert life.trace_count == life.sealed_count == life.covered_count > 4
    (decision,) = stages["Decision"]
    assert decision.who == lived.world.advisor.name
    assert decision.fingerprint == lived.proposal.content_hash
    assert decision.traces[0].entry.role == "ADVISOR"
    told = "\n".join(line for fact in stages["Books"] for line in fact.lines)
    assert "of lot" in told
    assert "opened lot" in told
    assert len(stages["Orders"]) == reload(lived).orders.count()


def test_what_is_not_sealed_yet_is_said_to_wait(lived):
    scene = make_scene()
    life = load_life(scene.proposal)
    assert (life.sealed_count, life.fault_count) == (0, 0)
    assert life.trace_count > 0
    facts = {stage.title: stage.facts for stage in life.stages}
    assert facts["Decision"] == facts["Orders"] == ()


TAMPERING = {
    "another approver": "UPDATE rebalancer_decision SET decided_by_id = {colleague}",
    "other contents": "UPDATE rebalancer_proposal SET content_hash = repeat('0', 64)",
    "decided on other contents": "UPDATE rebalancer_decision SET content_hash = repeat('0', 64)",
    "an order's fill": "UPDATE rebalancer_order SET filled_quantity = filled_quantity - 1",
    "an entry's words": "UPDATE accounts_auditentry SET summary = 'x' WHERE object_id = '{id}'",
    "an entry's actor": (
        "UPDATE accounts_auditentry SET actor_id = {colleague} WHERE object_id = '{id}'"
    ),
    "a link": "UPDATE accounts_journallink SET entry_hash = repeat('0', 64)",
    "no word of the decision": "UPDATE accounts_auditentry SET object_id = 'x' "
    "WHERE action = 'rebalancer.proposal.approved'",
}


@pytest.mark.parametrize("name", TAMPERING)
def test_what_does_not_agree_is_marked(lived, name):
    tables = ("rebalancer_decision", "accounts_auditentry", "accounts_journallink")
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(
            TAMPERING[name].format(colleague=lived.world.colleague.pk, id=lived.proposal.public_id)
        )
        assert cursor.rowcount > 0
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    assert load_life(reload(lived)).fault_count > 0
    page = browser(lived.world.advisor).get(
        reverse("rebalancer:proposal_life", args=[lived.proposal.public_id])
    )
    assert "not agree with the journal" in page.content.decode()


def test_those_who_decide_or_supervise_see_it_and_nobody_else(lived):
    address = reverse("rebalancer:proposal_life", args=[lived.proposal.public_id])
    answers = {name: browser(user).get(address) for name, user in lived.people().items()}
    seen = {name for name, answer in answers.items() if answer.status_code == 200}
    assert seen == {"advisor", "supervisor"}
    assert {answers[name].status_code for name in set(answers) - seen} == {404}
    text = answers["supervisor"].content.decode()
    assert lived.proposal.content_hash in text
    assert "agree with the journal" not in text
    proposal_page = browser(lived.world.advisor).get(
        reverse("rebalancer:proposal", args=[lived.proposal.public_id])
    )
    assert address in proposal_page.content.decode()


def test_more_lots_take_no_more_queries(lived):
    world = lived.world
    lots = [("USTM", "10", "500", OLD)] * 8 + [("BOND", "10", "900", OLD)]
    account = world.add_account("1000", lots=lots)
    world.look()
    proposal = account.proposals.get()
    world.approve(proposal)
    world.trade()
    counts, lines = [], []
    for each in (reload(lived), models.Proposal.objects.get(pk=proposal.pk)):
        with CaptureQueriesContext(connection) as captured:
            life = load_life(each)
        counts.append(len(captured))
        lines.append(sum(len(fact.lines) for fact in life.stages[-1].facts))
    assert lines[0] != lines[1]
    assert counts[0] == counts[1] < 30
