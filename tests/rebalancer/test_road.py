"""The road of a rebalance on a real PostgreSQL: from a price to books that agree."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from accounts.models import AuditEntry
from portfolios.models import CashBalance, Holding
from portfolios.queries.books import check_books
from rebalancer import models
from rebalancer.domain.kinds import CheckStatus
from rebalancer.domain.lifecycle import OrderStatus, ProposalStatus
from rebalancer.operations import approvals, orders, proposals
from rebalancer.operations.connections import get_paper_broker
from rebalancer.queries.proof import check_orders
from robo.common.errors import Conflict, NotAllowed
from tests.rebalancer.world import NOW, make_world

pytestmark = pytest.mark.django_db(transaction=True)
D = Decimal
OLD = date(2020, 1, 2)


def drifted_account(world):
    """Return an account that holds far too many US shares."""
    return world.add_account("1000", lots=[("USTM", "80", "4000", OLD), ("BOND", "10", "900", OLD)])


def test_drift_to_booked_fills():
    world = make_world()
    account = drifted_account(world)
    world.look()
    [check] = models.Check.objects.all()
    assert (check.status, check.is_breached) == (CheckStatus.PROPOSED, True)
    [proposal] = models.Proposal.objects.all()
    assert proposal.drift_after < D("0.02") < proposal.drift_before
    world.approve(proposal)
    world.trade()
    proposal.refresh_from_db()
    assert proposal.status == ProposalStatus.COMPLETED
    assert set(proposal.orders.values_list("status", flat=True)) == {OrderStatus.FILLED}
    # What was promised is what was booked, to the cent.
    assert CashBalance.objects.get(account=account).amount == proposal.cash_after
    assert Holding.objects.get(account=account, security__symbol="USTM").quantity < 80
    assert check_books(world.firm.pk) == []
    assert check_orders(world.firm.pk) == []
    # The next look finds nothing to do.
    world.set_prices(date(2026, 11, 23))
    world.look(date(2026, 11, 23))
    assert models.Check.objects.latest("id").status == CheckStatus.QUIET


def test_looking_and_proposing_twice_changes_nothing():
    world = make_world()
    drifted_account(world)
    world.look()
    world.look()
    assert models.Check.objects.count() == models.Proposal.objects.count() == 1


def test_the_maker_cannot_approve():
    world = make_world()
    drifted_account(world)
    world.look()
    proposal = models.Proposal.objects.get()
    trade = proposal.trades.filter(side="BUY").first()
    edited = proposals.remove_trades(
        proposal_id=proposal.pk, user_id=world.advisor.pk, trade_ids=[trade.pk], now=NOW
    )
    proposal.refresh_from_db()
    assert proposal.status == ProposalStatus.SUPERSEDED
    assert not edited.trades.filter(security=trade.security).exists()
    with pytest.raises(NotAllowed, match="made this proposal"):
        world.approve(edited, world.advisor)
    world.approve(edited, world.colleague)
    world.trade()
    assert check_orders(world.firm.pk) == []


def test_moved_prices_refuse_the_approval_and_offer_a_fresh_proposal():
    world = make_world()
    drifted_account(world)
    world.look()
    proposal = models.Proposal.objects.get()
    world.set_prices(date(2026, 11, 23), USTM="95")
    with pytest.raises(approvals.ProposalStale, match="USTM moved -5.0%") as stale:
        world.approve(proposal)
    fresh = models.Proposal.objects.get(public_id=stale.value.fresh_public_id)
    assert fresh.supersedes_id == proposal.pk
    assert fresh.status == ProposalStatus.PENDING
    assert not models.Order.objects.exists()
    world.approve(fresh)


def test_prices_inside_the_tolerance_do_not_disturb_the_approval():
    world = make_world()
    drifted_account(world)
    world.look()
    world.set_prices(date(2026, 11, 23), USTM="101")
    world.approve(models.Proposal.objects.get())


def test_what_was_not_seen_is_not_approved():
    world = make_world()
    drifted_account(world)
    world.look()
    proposal = models.Proposal.objects.get()
    with pytest.raises(Conflict, match="not the proposal you saw"):
        approvals.approve_proposal(
            proposal_id=proposal.pk,
            user_id=world.advisor.pk,
            content_hash="0" * 64,
            note="",
            now=NOW,
        )


def test_an_expired_proposal_is_refused_and_swept():
    world = make_world()
    drifted_account(world)
    world.look()
    late = NOW + timedelta(hours=49)
    with pytest.raises(Conflict, match="expired"):
        world.approve(models.Proposal.objects.get(), now=late)
    assert approvals.expire_proposals(now=late) == 1
    assert approvals.expire_proposals(now=late) == 0


def test_an_approval_lapses_when_prices_move_before_anything_is_sent():
    world = make_world()
    drifted_account(world)
    world.look()
    world.approve(models.Proposal.objects.get())
    world.set_prices(date(2026, 11, 23), USTM="90")
    orders.submit_orders(now=NOW)
    proposal = models.Proposal.objects.get()
    assert proposal.status == ProposalStatus.EXPIRED
    assert set(proposal.orders.values_list("status", flat=True)) == {OrderStatus.CANCELLED}
    assert get_paper_broker().count_orders() == 0


def actions_of(proposal):
    rows = AuditEntry.objects.filter(object_id=str(proposal.public_id)).order_by("id")
    return [row.action.removeprefix("rebalancer.proposal.") for row in rows]


def test_every_change_of_state_leaves_a_trace():
    world = make_world()
    drifted_account(world)
    world.look()
    first = models.Proposal.objects.get()
    world.set_prices(date(2026, 11, 23), USTM="95")
    world.look(date(2026, 11, 23))
    second = models.Proposal.objects.get(supersedes=first)
    world.approve(second)
    world.trade()
    assert actions_of(first) == ["made", "superseded"]
    assert actions_of(second) == ["made", "approved", "executing", "completed"]
    approval = AuditEntry.objects.get(action="rebalancer.proposal.approved")
    assert approval.actor == world.advisor
    assert approval.household == world.household
