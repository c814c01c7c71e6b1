"""Webhooks: from an entry of the journal to a signed call, once each, with all that can fail."""

import json
import threading
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from django.db import connections, transaction

from accounts.domain.roles import Role
from accounts.domain.webhook_events import ATTEMPTS_MAX, EVENTS, schedule_retry
from accounts.models import AuditEntry, WebhookDelivery, WebhookEndpoint
from accounts.operations.audit import record_audit_entry
from accounts.operations.deliveries import collect_events, send_deliveries, sign
from accounts.operations.sealing import seal_journal
from accounts.operations.webhooks import add_endpoint, remove_endpoint, replay_delivery
from accounts.queries.people import get_service_user
from robo.common import clock
from robo.common.errors import Conflict, NotAllowed, Refused
from robo.common.outbound import Route
from tests.accounts.journal_world import use_own_key
from tests.people import make_firm, make_user
from tests.security.test_ssrf import HOST, Receiver, check_signature, webhook_targets

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver(tmp_path, monkeypatch):
    one = Receiver(tmp_path)
    monkeypatch.setattr(webhook_targets, "PORT", one.port)
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.fixture(autouse=True)
def _own_settings(settings, tmp_path):
    use_own_key(settings, tmp_path, name="journal.pem")
    settings.WEBHOOK_HOSTS = [HOST]
    settings.SECRETS_KEYS = [Fernet.generate_key().decode()]


@pytest.fixture
def firm():
    return make_firm()


@pytest.fixture
def admin(firm):
    return make_user(firm, Role.ADMIN)


def write(firm, action, object_id="thing"):
    with transaction.atomic():
        record_audit_entry(
            firm_id=firm.pk,
            actor_id=get_service_user(firm.pk).pk,
            action=action,
            object_id=object_id,
            summary="Approved the trades of Zoë Client",
        )


def add(firm, admin, port, events=("proposal.approved", "order.closed")):
    return add_endpoint(
        firm_id=firm.pk, url=f"https://{HOST}:{port}/in", events=events, actor_id=admin.pk
    )


def tell(firm):
    seal_journal(firm_id=firm.pk)
    return collect_events(firm_id=firm.pk)


def test_an_event_is_told_once_signed_and_without_names(firm, admin, receiver):
    write(firm, "rebalancer.proposal.approved", "before")
    seal_journal(firm_id=firm.pk)
    _, secret = add(firm, admin, receiver.port)
    write(firm, "rebalancer.proposal.approved", "p-1")
    write(firm, "rebalancer.proposal.made", "not wanted")
    write(firm, "test.unknown", "no event at all")
    write(firm, "rebalancer.order.filled", "o-1")
    assert tell(firm) == 2
    assert tell(firm) == 0
    now = clock.now()
    assert send_deliveries(now=now + timedelta(seconds=5), luck=0, route=receiver.route()) == 2
    assert send_deliveries(now=now + timedelta(hours=9), luck=0, route=receiver.route()) == 0
    bodies = []
    for path, headers, body in receiver.calls:
        bodies.append(check_signature(secret, headers["Evenkeel-Signature"], body))
        assert path == "/in"
        assert headers["Evenkeel-Event"] == bodies[-1]["event"]
        assert "Zo" not in body.decode()
    assert [(b["event"], b["object_id"]) for b in bodies] == [
        ("proposal.approved", "p-1"),
        ("order.closed", "o-1"),
    ]
    assert set(WebhookDelivery.objects.values_list("status", flat=True)) == {"DELIVERED"}


def test_an_entry_that_commits_late_is_not_passed_over(firm, admin, receiver):
    """Ids are given before commits: the later id may be there first."""
    add(firm, admin, receiver.port)
    wrote, go_on = threading.Event(), threading.Event()

    def slow():
        with transaction.atomic():
            record_audit_entry(
                firm_id=firm.pk,
                actor_id=get_service_user(firm.pk).pk,
                action="rebalancer.proposal.approved",
                object_id="slow",
                summary="x",
            )
            wrote.set()
            go_on.wait(10)
        connections.close_all()

    thread = threading.Thread(target=slow)
    thread.start()
    wrote.wait(10)
    write(firm, "rebalancer.proposal.approved", "fast")
    tell(firm)
    go_on.set()
    thread.join()
    tell(firm)
    told = WebhookDelivery.objects.values_list("entry__object_id", flat=True)
    assert sorted(told) == ["fast", "slow"]


def test_other_firms_are_told_nothing(firm, admin, receiver):
    other = make_firm()
    add(firm, admin, receiver.port)
    write(other, "rebalancer.proposal.approved")
    seal_journal(firm_id=other.pk)
    assert collect_events(firm_id=other.pk) == 0
    assert tell(firm) == 0


def test_a_failure_is_tried_again_later_and_later_and_given_up(firm, admin, receiver):
    add(firm, admin, receiver.port)
    write(firm, "rebalancer.proposal.approved")
    tell(firm)
    receiver.status = 500
    now, waits = clock.now() + timedelta(seconds=5), []
    while send_deliveries(now=now, luck=1, route=receiver.route()):
        row = WebhookDelivery.objects.get()
        if row.status != "PENDING":
            break
        waits.append((row.next_attempt_at - now).total_seconds())
        assert send_deliveries(now=row.next_attempt_at - timedelta(seconds=1), luck=1) == 0
        now = row.next_attempt_at
    assert waits == [30 * 2**n for n in range(ATTEMPTS_MAX - 1)]
    assert (row.status, row.attempts, row.answered) == ("GIVEN_UP", ATTEMPTS_MAX, 500)
    assert row.error == "the answer was 500"
    assert len(receiver.calls) == ATTEMPTS_MAX
    # By hand it is sent again, as the same delivery.
    receiver.status = 204
    replay_delivery(delivery_id=row.pk, now=now, actor_id=admin.pk)
    with pytest.raises(Conflict):
        replay_delivery(delivery_id=row.pk, now=now, actor_id=admin.pk)
    assert send_deliveries(now=now, luck=0, route=receiver.route()) == 1
    row.refresh_from_db()
    assert row.status == "DELIVERED"
    assert len({headers["Evenkeel-Delivery"] for _, headers, _ in receiver.calls}) == 1


def test_a_worker_that_died_while_sending_loses_the_delivery_to_another(
    firm, admin, receiver, monkeypatch
):
    add(firm, admin, receiver.port)
    write(firm, "rebalancer.proposal.approved")
    tell(firm)
    now = clock.now() + timedelta(seconds=5)

    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("robo.common.outbound.post", die)
        with pytest.raises(KeyboardInterrupt):
            send_deliveries(now=now, luck=0)
    assert send_deliveries(now=now + timedelta(seconds=60), luck=0) == 0
    later = now + timedelta(seconds=121)
    assert send_deliveries(now=later, luck=0, route=receiver.route()) == 1
    assert WebhookDelivery.objects.get().attempts == 2


def test_a_host_taken_off_the_list_is_not_called_any_more(firm, admin, receiver, settings):
    add(firm, admin, receiver.port)
    write(firm, "rebalancer.proposal.approved")
    tell(firm)
    settings.WEBHOOK_HOSTS = []
    send_deliveries(now=clock.now() + timedelta(seconds=5), luck=0, route=receiver.route())
    assert receiver.calls == []
    assert "not among the hosts" in WebhookDelivery.objects.get().error


def test_a_host_that_leads_inside_is_not_called(firm, admin, receiver):
    add(firm, admin, receiver.port)
    write(firm, "rebalancer.proposal.approved")
    tell(firm)
    inside = Route(webhook_targets.check_address, lambda *_: ["10.0.0.8"])
    send_deliveries(now=clock.now() + timedelta(seconds=5), luck=0, route=inside)
    assert "may not go to" in WebhookDelivery.objects.get().error


def test_a_removed_webhook_is_told_nothing_more(firm, admin, receiver):
    endpoint, _ = add(firm, admin, receiver.port)
    write(firm, "rebalancer.proposal.approved")
    tell(firm)
    for _ in range(2):
        remove_endpoint(endpoint_id=endpoint.pk, actor_id=admin.pk)
    write(firm, "rebalancer.proposal.approved")
    assert tell(firm) == 0
    now = clock.now() + timedelta(seconds=5)
    assert send_deliveries(now=now, luck=0, route=receiver.route()) == 0
    row = WebhookDelivery.objects.get()
    with pytest.raises(Conflict):
        replay_delivery(delivery_id=row.pk, now=now, actor_id=admin.pk)
    actions = AuditEntry.objects.filter(action__startswith="accounts.webhook.")
    assert [entry.action for entry in actions.order_by("pk")] == [
        "accounts.webhook.added",
        "accounts.webhook.removed",
    ]


def test_without_the_key_nothing_is_signed_with_something_else(firm, admin, receiver, settings):
    add(firm, admin, receiver.port)
    write(firm, "rebalancer.proposal.approved")
    tell(firm)
    settings.SECRETS_KEYS = [Fernet.generate_key().decode()]
    send_deliveries(now=clock.now() + timedelta(seconds=5), luck=0, route=receiver.route())
    assert receiver.calls == []
    assert WebhookDelivery.objects.get().status == "GIVEN_UP"


def test_what_cannot_be_a_webhook_is_refused(firm, admin, receiver, settings):
    good = {"firm_id": firm.pk, "actor_id": admin.pk, "events": ["order.closed"]}
    for url in ("http://hooks.example.com/", "https://127.0.0.1/", "https://evil.example/"):
        with pytest.raises(Refused):
            add_endpoint(url=url, **good)
    url = f"https://{HOST}:{receiver.port}/in"
    for events in ([], ["order.closed", "no.such"]):
        with pytest.raises(Refused):
            add_endpoint(url=url, **good | {"events": events})
    for role in (Role.ADVISOR, Role.SUPERVISOR, Role.OPERATOR, Role.MODEL_ADMIN):
        with pytest.raises(NotAllowed):
            add_endpoint(url=url, **good | {"actor_id": make_user(firm, role).pk})
    add_endpoint(url=url, **good)
    with pytest.raises(Conflict):
        add_endpoint(url=url, **good)
    settings.SECRETS_KEYS = []
    with pytest.raises(Refused, match="EVENKEEL_SECRETS_KEY"):
        add_endpoint(url=url + "2", **good)
    assert WebhookEndpoint.objects.count() == 1


def test_retries_of_many_do_not_come_all_at_once():
    now = clock.now()
    moments = {schedule_retry(attempts=3, now=now, luck=luck / 10) for luck in range(11)}
    waits = sorted((moment - now).total_seconds() for moment in moments)
    assert (waits[0], waits[-1], len(waits)) == (60, 120, 11)
    assert schedule_retry(attempts=ATTEMPTS_MAX, now=now, luck=0) is None


def test_a_signature_binds_time_and_body():
    now = clock.now()
    one = sign(secret="s", sent_at=now, body=b"{}")
    assert one != sign(secret="s", sent_at=now + timedelta(seconds=1), body=b"{}")
    assert one != sign(secret="s", sent_at=now, body=b"{ }")
    assert one != sign(secret="t", sent_at=now, body=b"{}")
    assert json.loads(json.dumps(EVENTS)) == EVENTS
