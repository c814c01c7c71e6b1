"""An operator sees nothing of clients; one household for a while, when a supervisor allows it."""

from datetime import timedelta

import pytest
from django.urls import reverse

from accounts.domain.roles import Role
from accounts.models import AuditEntry, SupportGrant
from accounts.operations import support
from robo.common.errors import Conflict, NotAllowed, Refused
from tests import people

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk():
    """Give a firm with an operator who asked to look at a household, and its supervisor."""
    firm = people.make_firm()
    household = people.make_household(firm)
    operator, supervisor = (people.make_user(firm, r) for r in (Role.OPERATOR, Role.SUPERVISOR))
    grant = support.request_support(
        operator_id=operator.pk, household_id=household.pk, reason="a wrong figure", hours=2
    )
    return firm, household, operator, supervisor, grant


def entries(household, event):
    return AuditEntry.objects.filter(household=household, action=f"accounts.support.{event}")


def allow(grant, supervisor, later=timedelta()):
    grant.refresh_from_db()
    support.allow_support(grant_id=grant.pk, user_id=supervisor.pk, now=grant.requested_at + later)


def test_nothing_is_seen_until_it_is_allowed_and_every_page_is_written_down(desk, client):
    _firm, household, operator, supervisor, grant = desk
    address = reverse("accounts:risk_profile", args=[household.public_id])
    people.enter(client, operator)
    assert client.get(address).status_code == 404
    assert not entries(household, "read").exists()
    allow(grant, supervisor)
    page = client.get(address)
    assert page.status_code == 200
    assert "You are looking at a client" in page.content.decode()
    [read] = entries(household, "read")
    assert (read.actor, address in read.summary) == (operator, True)
    client.post(reverse("accounts:support_answer", args=[grant.pk, "end"]))
    assert client.get(address).status_code == 404
    assert entries(household, "read").count() == 1
    assert {e.action.split(".")[-1] for e in AuditEntry.objects.filter(household=household)} >= {
        "requested",
        "allowed",
        "ended",
    }


def test_a_look_ends_by_itself(desk, client):
    _firm, household, operator, supervisor, grant = desk
    allow(grant, supervisor, later=timedelta(hours=-3))
    people.enter(client, operator)
    address = reverse("rebalancer:household", args=[household.public_id])
    assert client.get(address).status_code == 404


def test_a_look_that_cannot_be_written_down_is_not_given(desk, client, monkeypatch):
    _firm, household, operator, supervisor, grant = desk
    allow(grant, supervisor)
    people.enter(client, operator)
    client.raise_request_exception = False

    def break_down(**_facts):
        raise RuntimeError("no journal")

    monkeypatch.setattr("accounts.views.support.support.record_support_reads", break_down)
    answer = client.get(reverse("accounts:risk_profile", args=[household.public_id]))
    assert answer.status_code == 500
    assert household.name not in answer.content.decode()


def test_it_opens_one_household_and_only_to_the_one_who_asked(desk, client):
    firm, household, operator, supervisor, grant = desk
    other, other_operator = people.make_household(firm), people.make_user(firm, Role.OPERATOR)
    allow(grant, supervisor)
    for user, home, status in ((operator, other, 404), (other_operator, household, 404)):
        people.enter(client, user)
        address = reverse("accounts:risk_profile", args=[home.public_id])
        assert client.get(address).status_code == status


@pytest.mark.parametrize("role", [Role.ADMIN, Role.ADVISOR, Role.OPERATOR, Role.CLIENT])
def test_only_a_supervisor_allows_it(desk, role):
    firm, household, _operator, _supervisor, grant = desk
    user = people.make_client(household) if role == Role.CLIENT else people.make_user(firm, role)
    with pytest.raises(NotAllowed):
        allow(grant, user)
    assert SupportGrant.objects.get().until is None


def test_a_supervisor_of_another_firm_and_a_disabled_one_are_refused(desk):
    firm, _household, _operator, supervisor, grant = desk
    with pytest.raises(NotAllowed):
        allow(grant, people.make_user(people.make_firm(), Role.SUPERVISOR))
    supervisor.is_active = False
    supervisor.save()
    with pytest.raises(NotAllowed):
        allow(grant, supervisor)


def test_it_is_answered_once(desk):
    _firm, household, operator, supervisor, grant = desk
    with pytest.raises(Conflict):
        support.request_support(
            operator_id=operator.pk, household_id=household.pk, reason="again", hours=1
        )
    support.refuse_support(grant_id=grant.pk, user_id=supervisor.pk)
    with pytest.raises(Conflict):
        allow(grant, supervisor)


@pytest.mark.parametrize(("reason", "hours"), [("", 1), ("x" * 301, 1), ("fine", 0), ("fine", 25)])
def test_a_question_needs_a_reason_and_an_end(desk, reason, hours):
    firm, _household, operator, _supervisor, _grant = desk
    with pytest.raises(Refused):
        support.request_support(
            operator_id=operator.pk,
            household_id=people.make_household(firm).pk,
            reason=reason,
            hours=hours,
        )


def test_the_page_asks_and_answers(desk, client):
    firm, _household, operator, supervisor, _grant = desk
    home = people.make_household(firm, "Marsh")
    people.enter(client, operator)
    ask = reverse("accounts:support_ask")
    facts = {"household": str(home.public_id), "reason": "a wrong figure", "hours": "1"}
    unknown = client.post(ask, facts | {"household": "6a3e0a4e-1111-4111-8111-111111111111"})
    assert (unknown.status_code, "No household" in unknown.content.decode()) == (422, True)
    assert client.post(ask, facts).status_code == 302
    page = client.get(reverse("accounts:support")).content.decode()
    assert str(home.public_id) in page
    assert "Marsh" not in page, "a name is told when it is allowed, not before"
    people.enter(client, supervisor)
    made = SupportGrant.objects.get(household=home)
    assert "Marsh" in client.get(reverse("accounts:support")).content.decode()
    client.post(reverse("accounts:support_answer", args=[made.pk, "allow"]))
    made.refresh_from_db()
    assert made.decided_by == supervisor
    assert (
        client.post(reverse("accounts:support_answer", args=[made.pk, "burn"])).status_code == 404
    )
