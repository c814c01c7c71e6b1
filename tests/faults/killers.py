"""Cases made for seeded bugs that no single process can come upon: races, strangers, bad prices."""

import threading
from random import Random

from django.db import connections

from accounts.domain.roles import Role
from portfolios.domain.pricing import Quote
from portfolios.operations.prices import record_prices
from rebalancer import models
from rebalancer.operations import approvals
from rebalancer.operations.execution import deciding
from robo.common.errors import NotAllowed
from tests import people
from tests.faults.firm import make_firm, prepare_proposal
from tests.rebalancer.world import NOW, SECURITIES


def race_approvals() -> None:
    """Two advisors approve the same proposal in the same moment, ten times over."""
    firm = make_firm(Random(1))
    rng = Random(2)
    for _ in range(10):
        for account in firm.world.accounts:
            service = firm.world.admin.pk
            prepare_proposal(firm, account, rng, maker_id=service, now=NOW)
        for proposal in models.Proposal.objects.filter(firm_id=firm.pk, status="PENDING"):
            _race(proposal, [firm.world.advisor.pk, firm.world.colleague.pk])
            models.Order.objects.filter(proposal=proposal).update(status="CANCELLED")
            models.Proposal.objects.filter(pk=proposal.pk).update(status="EXECUTING")
            models.Proposal.objects.filter(pk=proposal.pk).update(status="COMPLETED_ADJUSTED")


def _race(proposal: models.Proposal, user_ids: list[int]) -> None:
    barrier, errors = threading.Barrier(2), []

    def approve(user_id: int) -> None:
        try:
            barrier.wait(20)
            approvals.approve_proposal(
                proposal_id=proposal.pk,
                user_id=user_id,
                content_hash=proposal.content_hash,
                note="",
                now=NOW,
            )
            errors.append("approved")
        except Exception as error:
            errors.append(type(error).__name__)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=approve, args=(user_id,)) for user_id in user_ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(errors) == ["Conflict", "approved"], errors


def offer_bad_prices() -> None:
    """A feed offers what is no price."""
    firm = make_firm(Random(1))
    symbol = next(iter(SECURITIES))
    for bad in ("NaN", "Infinity", "-Infinity", "0", "-1", ""):
        report = record_prices(
            firm_id=firm.pk,
            quotes=[Quote(symbol, firm.today, bad)],
            source="feed",
            now=NOW,
            actor_id=firm.world.admin.pk,
        )
        assert len(report.refused) == 1, bad


def seal_out_of_order() -> None:
    """An entry with a lower number is committed after higher ones were sealed."""
    from tests.accounts import test_journal_sealing as sealing

    sealing.test_an_entry_of_a_transaction_that_commits_late_is_not_passed_over()


def cancel_a_strangers_order() -> None:
    """An advisor of another firm asks to cancel an order."""
    firm, rng = make_firm(Random(1)), Random(2)
    stranger = people.make_user(people.make_firm(), Role.SUPERVISOR)
    for account in firm.world.accounts:
        prepare_proposal(firm, account, rng, maker_id=firm.world.admin.pk, now=NOW)
    for proposal in models.Proposal.objects.filter(firm_id=firm.pk, status="PENDING"):
        firm.world.approve(proposal)
    order = models.Order.objects.filter(firm_id=firm.pk).first()
    assert order is not None
    try:
        deciding.cancel_order(order_id=order.pk, user_id=stranger.pk, reason="Mine.", now=NOW)
    except NotAllowed:
        return
    raise AssertionError("another firm's supervisor cancelled it")
