"""Jobs take a fixed number of queries, whatever the number of accounts."""

import json
import os
from datetime import date
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from rebalancer import models
from rebalancer.brokers import paper
from rebalancer.operations import approvals, checks, orders, proposals
from rebalancer.queries.books import load_book
from tests.rebalancer.world import DAY, NOW, make_world

pytestmark = pytest.mark.django_db(transaction=True)
GOLDEN = Path(__file__).with_name("query_counts.json")
OLD = date(2020, 1, 2)
# What belongs to a transaction rather than to the work done in it.
FRAME = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "SET ")


def count(work) -> int:
    with CaptureQueriesContext(connection) as captured:
        work()
    return sum(not query["sql"].startswith(FRAME) for query in captured.captured_queries)


def count_stages(account_count: int) -> dict[str, int]:
    """Return the queries of each stage of a rebalance of so many drifted accounts."""
    world = make_world()
    for _ in range(account_count):
        world.add_account("1000", lots=[("USTM", "60", "4000", OLD), ("BOND", "10", "900", OLD)])
    firm_id = world.firm.pk
    ids = [account.pk for account in world.accounts]
    counts = {
        "load_book": count(lambda: load_book(firm_id=firm_id, account_ids=ids, price_date=DAY)),
        "find_due_checks": count(
            lambda: checks.find_due_checks(firm_id=firm_id, price_date=DAY, now=NOW)
        ),
        "propose": count(lambda: proposals.propose(firm_id=firm_id, price_date=DAY, now=NOW)),
    }
    assert models.Proposal.objects.filter(firm_id=firm_id).count() == account_count
    for proposal in models.Proposal.objects.filter(firm_id=firm_id):
        world.approve(proposal)
    counts["expire_proposals"] = count(lambda: approvals.expire_proposals(now=NOW))
    while orders.begin_executions(now=NOW):
        pass
    # The sales of every account are one batch; so are their fills.
    counts["submit_orders"] = count(lambda: orders.submit_orders(now=NOW))
    counts["poll_broker"] = count(lambda: orders.poll_broker(now=NOW))
    world.trade()  # leave nothing under way for the next firm to find
    return counts


def test_more_accounts_take_no_more_queries(monkeypatch):
    # Every order fills whole, so that few and many accounts go through the same stages.
    monkeypatch.setattr(paper, "PARTIAL_SHARE", 0.0)
    few = count_stages(2)
    many = count_stages(14)
    assert many == few
    if os.environ.get("UPDATE_QUERY_COUNTS"):
        GOLDEN.write_text(json.dumps(few, indent=2) + "\n")
    assert few == json.loads(GOLDEN.read_text()), "a changed count is a change to look at"
