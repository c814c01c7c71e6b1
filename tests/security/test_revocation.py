"""A right that is withdrawn is gone at the next request, and at the next task (I-29).

An approval that was given stands when its approver later loses the right or the sign-in: it was
good when it was given, it is bound to what was seen, and whoever withdraws a right because of it
stops the account, which the switch of the controls does at once.
"""

import pytest
from django.urls import reverse

from accounts.domain.roles import Role
from accounts.models import CashNeed, User, Wish
from accounts.operations import people as people_operations
from accounts.operations import users
from rebalancer.domain.lifecycle import ProposalStatus
from rebalancer.models import Decision, Proposal
from rebalancer.operations.approvals import approve_proposal
from robo.common.errors import NotAllowed
from tests.rebalancer.world import NOW

pytestmark = pytest.mark.django_db


def release(scene, advisor):
    people_operations.release_advisor(
        household_id=scene.ours.world.household.pk,
        advisor_id=advisor.pk,
        actor_id=scene.people["admin"].pk,
    )


def disable(scene, advisor):
    users.disable_user(user_id=advisor.pk, actor_id=scene.people["admin"].pk)


def demote(scene, advisor):
    users.change_role(user_id=advisor.pk, role=Role.MODEL_ADMIN, actor_id=scene.people["admin"].pk)


@pytest.mark.parametrize("withdraw", [release, disable, demote])
@pytest.mark.parametrize("address", ["rebalancer:decide", "api:approve"])
def test_between_the_page_and_the_click(scene, withdraw, address):
    advisor, proposal = scene.people["colleague"], scene.ours.proposal
    client = scene.browser("colleague")
    assert client.get(reverse("rebalancer:proposal", args=[proposal.public_id])).status_code == 200
    withdraw(scene, advisor)
    body = {"content_hash": proposal.content_hash, "note": "", "decision": "approve"}
    options = {"headers": {"Idempotency-Key": "once"}}
    if address.startswith("api:"):
        body.pop("decision")
        options["content_type"] = "application/json"
    answer = client.post(reverse(address, args=[proposal.public_id]), body, **options)
    assert answer.status_code in {302, 401, 403, 404}, answer.status_code
    assert not Decision.objects.filter(proposal=proposal).exists()
    assert Proposal.objects.get(pk=proposal.pk).status == ProposalStatus.PENDING


@pytest.mark.parametrize("withdraw", [release, disable, demote])
def test_between_reading_the_rights_and_the_lock(scene, withdraw):
    """The operation asks again under its lock, whatever the view has found before."""
    advisor, proposal = scene.people["colleague"], scene.ours.proposal
    withdraw(scene, advisor)
    with pytest.raises(NotAllowed):
        approve_proposal(
            proposal_id=proposal.pk,
            user_id=advisor.pk,
            content_hash=proposal.content_hash,
            note="",
            now=NOW,
        )


@pytest.mark.parametrize("withdraw", [release, disable, demote])
def test_an_approval_stands_when_its_approver_goes(scene, withdraw):
    advisor, proposal = scene.people["colleague"], scene.ours.proposal
    # As things stood when it was proposed.
    CashNeed.objects.filter(account=scene.ours.account).update(is_settled=True)
    Wish.objects.filter(household=scene.ours.world.household).update(ended_at=NOW)
    scene.ours.world.approve(proposal, advisor)
    withdraw(scene, advisor)
    scene.ours.world.trade()
    decided = Proposal.objects.get(pk=proposal.pk)
    assert decided.status in {ProposalStatus.EXECUTING, ProposalStatus.COMPLETED}
    assert decided.decision.decided_by == advisor


def test_a_role_counts_from_the_next_request_on(scene):
    client = scene.browser("supervisor")
    page = reverse("rebalancer:household", args=[scene.ours.world.household.public_id])
    assert client.get(page).status_code == 200
    User.objects.filter(pk=scene.people["supervisor"].pk).update(role=Role.ADMIN)
    assert client.get(page).status_code in {302, 404}
