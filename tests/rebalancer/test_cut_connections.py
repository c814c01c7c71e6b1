"""PostgreSQL ends our connections under requests and workers: 503 or done, and nothing twice."""

import json
import uuid
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
from django.db import InterfaceError, OperationalError, close_old_connections, connection
from django.test import Client

from accounts.models import AuditEntry
from rebalancer import models, tasks
from robo.common import clock
from tests import people
from tests.rebalancer.test_faults import approved_world, assert_converged, drain, drifted_account
from tests.rebalancer.world import DAY, NOW, make_world

pytestmark = pytest.mark.django_db(transaction=True)
KEYS = ("host", "port", "dbname", "user", "password")
EVERY = 6  # the connection is cut after every so many statements, one more each time


@pytest.fixture(autouse=True)
def _day_of_the_prices(monkeypatch):
    for name in ("now", "database_now"):
        monkeypatch.setattr(clock, name, lambda: NOW + timedelta(minutes=5))


@pytest.fixture
def scissors():
    """Give what ends this thread's connection from outside, after its n-th statement."""
    asked = connection.get_connection_params()
    with psycopg.connect(
        **{key: asked[key] for key in KEYS if key in asked}, autocommit=True
    ) as outside:

        @contextmanager
        def cut(at):
            seen = 0

            def count(execute, sql, params, many, context):
                nonlocal seen
                answer = execute(sql, params, many, context)
                seen += 1
                if seen == at:
                    pid = context["connection"].connection.info.backend_pid
                    outside.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
                return answer

            with connection.execute_wrapper(count):
                yield lambda: seen >= at

        yield cut
    connection.close()


def end_request():
    """Do what Django does when a request or a task is over, which its test client leaves out."""
    close_old_connections()


def sign_in(user):
    client = Client(raise_request_exception=False)
    people.enter(client, user)
    return client


def test_a_page_says_try_again_and_the_next_one_is_there(scissors):
    world = approved_world()
    client = sign_in(world.advisor)
    at, cuts = 1, 0
    while True:
        with scissors(at) as was_cut:
            answer = client.get("/work/")
            end_request()
        if not was_cut():
            break
        # After the last statement it does no harm any more.
        assert answer.status_code in (200, 503)
        if answer.status_code == 503:
            assert answer["Retry-After"] == "5"
            assert "This is not possible right now" in answer.text
            cuts += 1
        assert client.get("/work/").status_code == 200
        end_request()
        at += EVERY
    assert cuts >= 2


def approve(client, proposal, key):
    return client.post(
        f"/api/v1/proposals/{proposal.public_id}/approve/",
        json.dumps({"content_hash": proposal.content_hash, "note": ""}),
        content_type="application/json",
        headers={"Idempotency-Key": key},
    )


def test_an_approval_cut_anywhere_is_made_once_when_it_is_sent_again(scissors, monkeypatch):
    monkeypatch.setattr(tasks, "nudge", lambda *_args, **_facts: None)
    world = make_world()
    for _ in range(14):
        drifted_account(world)
    world.look()
    client = sign_in(world.advisor)
    waiting = list(models.Proposal.objects.order_by("id"))
    at, cuts = 1 - EVERY, 0
    for proposal in waiting:
        at += EVERY
        key = str(uuid.uuid4())
        with scissors(at) as was_cut:
            answer = approve(client, proposal, key)
            end_request()
        if not was_cut():
            break
        if answer.status_code == 503:
            cuts += 1
            assert answer["Retry-After"] == "5"
            assert answer.json()["errors"][0]["code"] == "unavailable"
            # All of it, or nothing; and who sends it again is told which.
            decided = models.Decision.objects.filter(proposal=proposal).count()
            assert proposal.orders.count() == decided * proposal.trades.count()
            answer = approve(client, proposal, key)
            if decided and answer.status_code == 409:
                assert "approved this proposal already" in answer.text
                continue
        assert answer.status_code == 200, (at, answer.content)
        assert models.Decision.objects.filter(proposal=proposal).count() == 1
        assert proposal.orders.count() == proposal.trades.count()
        told = AuditEntry.objects.filter(object_id=str(proposal.public_id))
        assert told.filter(action__endswith=".approved").count() == 1
    else:
        pytest.fail("the approval takes more statements than there are proposals")
    assert cuts >= 5


def test_a_worker_cut_off_at_every_stage_goes_on_and_doubles_nothing(scissors):
    world = make_world()
    for _ in range(2):
        drifted_account(world)
    cuts = 0

    def work(task):
        """Repeat a task with ever longer-lived connections until one lives long enough."""
        nonlocal cuts
        at = 2
        while True:
            with scissors(at) as was_cut:
                try:
                    task()
                except (OperationalError, InterfaceError):
                    cuts += 1
                end_request()
            if not was_cut():
                return
            at += 4 * EVERY

    work(tasks.find_due_checks)
    assert models.Check.objects.count() == 2
    assert models.Proposal.objects.count() == 2
    assert not models.Proposal.objects.exclude(price_date=DAY).exists()
    for proposal in models.Proposal.objects.all():
        world.approve(proposal)
    for task in (tasks.submit_orders, tasks.poll_broker, tasks.sweep):
        work(task)
    drain(NOW)
    assert_converged(world)
    assert set(models.Proposal.objects.values_list("status", flat=True)) == {"COMPLETED"}
    assert cuts >= 6
