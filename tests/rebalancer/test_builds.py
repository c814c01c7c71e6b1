"""Old and new builds side by side: whoever does not fit the database only looks, and says so."""

import logging

import psycopg
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.domain.roles import Role
from portfolios.operations import corporate_actions
from rebalancer import models, tasks
from rebalancer.domain.kinds import CycleStatus, MarketMove
from rebalancer.domain.lifecycle import OrderStatus
from rebalancer.operations import checks, cycles, orders, proposals
from rebalancer.operations.execution import sending
from robo.common import builds, schema
from robo.common.builds import OtherBuild
from tests import people
from tests.rebalancer.browsing import text_of
from tests.rebalancer.test_execution import get_sale, prove, script
from tests.rebalancer.test_sending import form
from tests.rebalancer.world import DAY, NOW, expire_leases, make_world

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["script"]
NEWER = ("rebalancer", "9999_from_tomorrow")
OLDER = ("accounts", "0001_initial")


def write(sql, row):
    with connection.cursor() as cursor:
        cursor.execute(sql, row)


def migrate(row=NEWER):
    write("INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, now())", row)


def undo(row=NEWER):
    write("DELETE FROM django_migrations WHERE app = %s AND name = %s", row)


@pytest.fixture(params=["the process is older", "the process is newer"])
def misfit(request):
    """Make this process one that does not fit the database, until the test calls what it gets."""
    is_older = request.param == "the process is older"
    (migrate if is_older else lambda: undo(OLDER))()
    builds.agreement = builds.Agreement()
    fitting = iter([lambda: undo() if is_older else migrate(OLDER)])

    def fit():
        for mend in fitting:
            mend()

    yield fit
    fit()


@pytest.fixture
def newer():
    """Give what migrates the database under a process that works; it is undone afterwards."""
    yield migrate
    undo()


def test_a_process_that_does_not_fit_takes_no_work_and_says_so(misfit, script, caplog, monkeypatch):
    misfit_world = make_world()
    misfit_world.add_account("1000", lots=[("USTM", "80", "4000", "2020-01-02")])
    with caplog.at_level(logging.CRITICAL):
        tasks.find_due_checks()
        tasks.sweep()
    assert not models.Check.objects.exists()
    assert len(caplog.messages) == 2
    assert "it takes no work until" in caplog.messages[0]
    # Not by the claims either, where a task is under way already.
    firm_id = misfit_world.firm.pk
    assert checks.find_due_checks(firm_id=firm_id, price_date=DAY, now=NOW) == {}
    with pytest.raises(OtherBuild, match="takes no work"):
        checks.request_check(
            account_id=misfit_world.accounts[0].pk, user_id=misfit_world.advisor.pk, now=NOW
        )
    misfit()
    tasks.find_due_checks()
    assert models.Check.objects.get().status == "PROPOSED"


def test_no_stage_of_the_road_is_taken_by_a_process_that_does_not_fit(script, newer):
    world = form(80)
    checks.request_check(account_id=world.add_account("500").pk, user_id=world.advisor.pk, now=NOW)
    models.Check.objects.filter(cause="REQUESTED").update(status="DUE", attempt_count=0)
    before = list(models.Slice.objects.values()), list(models.Order.objects.values())
    newer()
    assert proposals.propose(firm_id=world.firm.pk, price_date=DAY, now=NOW) == {}
    assert models.Check.objects.get(cause="REQUESTED").attempt_count == 0
    assert orders.submit_orders(now=NOW) == 0
    assert orders.poll_broker(now=NOW) == orders.resolve_unknown_orders(now=NOW) == 0
    assert script.tickets == []
    assert before == (list(models.Slice.objects.values()), list(models.Order.objects.values()))


def test_a_migration_in_the_middle_of_a_wave_leaves_it_to_the_new_workers(script, newer):
    world = form(80)
    [old] = sending._claim(after=0, now=NOW).going
    newer()
    # The old worker has it in hand, and lets it lie where it is.
    assert sending._send_batch([old], {}) == {}
    assert script.tickets == []
    assert get_sale(world).status == OrderStatus.SUBMITTING
    undo()  # from here on we are the new worker
    expire_leases()
    orders.resolve_unknown_orders(now=NOW)
    orders.submit_orders(now=NOW)
    assert len(script.tickets) == 1
    prove(world)


def test_what_a_broker_reports_meanwhile_is_asked_for_again(script, newer, monkeypatch):
    world = form(80)
    submit = script.submit

    def migrating(ticket):
        newer()
        return submit(ticket)

    monkeypatch.setattr(script, "submit", migrating)
    with pytest.raises(OtherBuild):
        orders.submit_orders(now=NOW)
    assert get_sale(world).status == OrderStatus.SUBMITTING
    undo()
    monkeypatch.undo()
    assert len(script.tickets) == 1
    expire_leases()
    monkeypatch.setattr("rebalancer.operations.execution.brokers.get_paper_broker", lambda: script)
    orders.resolve_unknown_orders(now=NOW)
    orders.submit_orders(now=NOW)
    assert get_sale(world).status == OrderStatus.SUBMITTED
    assert len(script.tickets) == 1
    prove(world)


def test_a_cycle_is_given_back_and_not_failed(newer, monkeypatch):
    world = make_world()
    world.add_account("1000", lots=[("USTM", "80", "4000", "2020-01-02")])
    run = cycles.request_cycle(
        firm_id=world.firm.pk, user_id=world.admin.pk, move=MarketMove.NEXT_DAY
    )
    apply_actions = corporate_actions.apply_actions

    def migrating(**facts):
        newer()
        return apply_actions(**facts)

    monkeypatch.setattr(cycles, "apply_actions", migrating)
    with pytest.raises(OtherBuild):
        cycles.run_cycle(cycle_run_id=run.pk, now=NOW)
    run.refresh_from_db()
    assert (run.status, len(run.price_dates)) == (CycleStatus.RUNNING, 1)
    assert cycles.list_stuck_cycles(now=NOW) == []


def test_the_web_says_whether_it_is_ready_and_refuses_looks_while_it_is_not(misfit):
    world = make_world()
    account = world.add_account("1000")
    answer = Client().get("/ready/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert answer.text == "not ready: the database is of another build"
    client = Client()
    people.enter(client, world.advisor)
    asked = client.post(f"/accounts/{account.public_id}/look/")
    assert asked.status_code in (302, 409)
    assert not models.Check.objects.exists()
    assert Client().get("/health/").status_code == 200
    misfit()
    assert Client().get("/ready/").status_code == 200


def test_the_operator_sees_who_is_connected_and_who_does_not_fit():
    world = make_world()
    operator = people.make_user(world.firm, Role.OPERATOR)
    old = connection.get_connection_params() | {"application_name": "evenkeel worker v1.2 0a1b2c3d"}
    keys = ("host", "port", "dbname", "user", "password", "application_name")
    with psycopg.connect(**{key: old[key] for key in keys if key in old}):
        found = {program.build: program.fits for program in builds.list_programs()}
        assert found == {"v1.2": False, "unnamed": True}
        client = Client()
        people.enter(client, operator)
        page = text_of(client.get("/controls/"))
        [line] = [row for row in page.split("<tr>") if "0a1b2c3d" in row]
        assert "Worker" in line
        assert "v1.2" in line
        assert "Another build than the database: it takes no work" in line
        assert page.count("Fits the database") == 1
        people.enter(client, people.make_user(world.firm, Role.SUPERVISOR))
        assert "0a1b2c3d" not in text_of(client.get("/controls/"))


@pytest.mark.parametrize(
    ("known", "applied", "words"),
    [
        ({"a.1"}, {"a.1"}, ""),
        ({"a.1"}, {"a.1", "a.2"}, "older build than the database, which has a.2"),
        ({"a.1", "a.2"}, {"a.1"}, "newer build than the database, which lacks a.2"),
        ({"a.1"}, {"a.2"}, "older build"),
        (set(), {f"a.{n}" for n in range(6)}, "which has a.0, a.1, a.2 and 3 more:"),
    ],
)
def test_a_misfit_is_told_by_its_migrations(known, applied, words):
    told = schema.describe_mismatch(known=known, applied=applied)
    assert words in told
    assert bool(told) == bool(words)


def test_the_name_of_a_connection_fits_and_has_four_words():
    name = schema.name_connection("worker", "v 1.2\n" + "x" * 99, ["a.1"])
    assert len(name) <= schema.NAME_LENGTH_MAX
    assert len(name.split(" ")) == 4
    assert name.startswith("evenkeel worker v1.2")


def test_that_it_fits_is_believed_for_a_while_and_that_it_does_not_never(newer):
    agreement = builds.Agreement()
    assert agreement.holds()
    newer()
    with CaptureQueriesContext(connection) as asked:
        assert agreement.holds()
    assert len(asked) == 0
    agreement = builds.Agreement()
    assert not agreement.holds()
    undo()
    assert agreement.holds()


def test_the_digest_is_the_same_on_both_sides():
    assert builds.find_mismatch() == ""
    assert models.Check.objects.filter(builds.this_build()).exists() is False
    assert models.Policy.objects.filter(builds.this_build()).count() == 0
    make_world()
    assert models.Policy.objects.filter(builds.this_build()).count() == 1
