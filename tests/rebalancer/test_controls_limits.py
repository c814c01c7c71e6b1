"""Who may change limits and halt securities; what takes two people; what it leaves behind."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from accounts.domain.roles import Role
from accounts.models import AuditEntry
from portfolios.models import Halt
from portfolios.operations.halts import lift_halt, set_halt
from portfolios.queries.halts import get_halt_reasons, list_halts
from rebalancer import models
from rebalancer.domain.limits import DEFAULTS, LimitStatus
from rebalancer.operations import limits as limit_operations
from rebalancer.queries import controls as reads
from robo.common.errors import Conflict, NotAllowed, Refused
from tests import people
from tests.rebalancer.test_controls_people import make_person
from tests.rebalancer.world import NOW, make_world

pytestmark = pytest.mark.django_db(transaction=True)
D = Decimal


# --- Limits -------------------------------------------------------------------------------------


def propose(world, user=None, **values):
    return limit_operations.propose_limits(
        firm_id=world.firm.pk,
        user_id=(user or world.admin).pk,
        values=values or {"order_amount_max": D(5000)},
        reason="smaller steps",
    )


def limits_of(world):
    return reads.get_limits([world.firm.pk])[world.firm.pk]


def test_limits_are_proposed_by_one_and_approved_by_another():
    world = make_world()
    assert limits_of(world) == DEFAULTS
    row = propose(world)
    assert limits_of(world) == DEFAULTS, "proposed is not in force"
    with pytest.raises(NotAllowed, match="somebody else"):
        limit_operations.approve_limits(limit_set_id=row.pk, user_id=world.admin.pk)
    limit_operations.approve_limits(limit_set_id=row.pk, user_id=world.other_admin.pk)
    assert limits_of(world).order_amount_max == 5000
    assert limits_of(world).firm_orders_max == DEFAULTS.firm_orders_max
    second = propose(world, order_amount_max=D(6000), cool_down_days=3)
    assert second.revision == 2
    supervisor = people.make_user(world.firm, Role.SUPERVISOR)
    limit_operations.approve_limits(limit_set_id=second.pk, user_id=supervisor.pk)
    assert (limits_of(world).order_amount_max, limits_of(world).cool_down_days) == (6000, 3)
    row.refresh_from_db()
    assert row.status == LimitStatus.RETIRED
    entry = AuditEntry.objects.filter(action="rebalancer.limits.approved").latest("pk")
    assert entry.actor == supervisor
    assert entry.detail["changed"] == {
        "order_amount_max": ["5000.00", "6000.00"],
        "cool_down_days": ["0", "3"],
    }


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.ADMIN}))
def test_only_an_administrator_proposes_limits(role):
    world = make_world()
    with pytest.raises(NotAllowed):
        propose(world, make_person(world, role))


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.ADMIN, Role.SUPERVISOR}))
def test_who_approves_trades_approves_no_limits(role):
    world = make_world()
    row = propose(world)
    with pytest.raises(NotAllowed):
        limit_operations.approve_limits(limit_set_id=row.pk, user_id=make_person(world, role).pk)
    assert limits_of(world) == DEFAULTS


def test_limits_that_make_no_sense_are_refused_by_name():
    world = make_world()
    for values, words in (
        ({"order_amount_max": D(0)}, "Largest order"),
        ({"volume_share_max": D(2)}, "Share of a usual day"),
        ({"collar_bps": D("NaN")}, "Price collar"),
        ({"speed": 1}, "speed"),
        ({"order_amount_max": DEFAULTS.order_amount_max}, "in force already"),
    ):
        with pytest.raises(Refused, match=words):
            propose(world, **values)
    with pytest.raises(Refused, match="why"):
        limit_operations.propose_limits(
            firm_id=world.firm.pk,
            user_id=world.admin.pk,
            values={"cool_down_days": 1},
            reason=" ",
        )


def test_one_proposal_of_limits_waits_at_a_time():
    world = make_world()
    row = propose(world)
    with pytest.raises(Conflict, match="wait"):
        propose(world, cool_down_days=2)
    with pytest.raises(Refused, match="why"):
        limit_operations.refuse_limits(limit_set_id=row.pk, user_id=world.other_admin.pk, note="")
    limit_operations.refuse_limits(
        limit_set_id=row.pk, user_id=world.other_admin.pk, note="too small"
    )
    with pytest.raises(Conflict, match="refused"):
        limit_operations.approve_limits(limit_set_id=row.pk, user_id=world.other_admin.pk)
    own = propose(world, cool_down_days=2)
    limit_operations.refuse_limits(limit_set_id=own.pk, user_id=world.admin.pk, note="a mistake")
    own.refresh_from_db()
    assert own.status == LimitStatus.WITHDRAWN
    assert limits_of(world) == DEFAULTS


def test_limits_of_another_firm_are_nobody_s_to_change():
    world = make_world()
    stranger = people.make_user(people.make_firm(), Role.ADMIN)
    with pytest.raises(NotAllowed):
        propose(world, stranger)
    row = propose(world)
    with pytest.raises(NotAllowed):
        limit_operations.approve_limits(limit_set_id=row.pk, user_id=stranger.pk)


def test_postgresql_itself_refuses_to_rewrite_limits_or_that_one_person_sets_them():
    world = make_world()
    row = propose(world)
    rows = models.LimitSet.objects.filter(pk=row.pk)
    for change in (
        lambda: rows.update(order_amount_max=1),
        lambda: rows.update(status="IN_FORCE", decided_by=world.admin),
        lambda: rows.update(status="IN_FORCE"),
        lambda: rows.update(status="RETIRED", decided_by=world.other_admin),
        lambda: rows.delete(),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()
    limit_operations.approve_limits(limit_set_id=row.pk, user_id=world.other_admin.pk)
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.update(cool_down_days=9)


# --- Halts --------------------------------------------------------------------------------------


def halt(world, user=None, symbol="USTM", **facts):
    return set_halt(
        **{
            "security_id": world.security_ids[symbol],
            "user_id": (user or world.admin).pk,
            "reason": "news",
            "now": NOW,
            **facts,
        }
    )


def reasons(world, now=NOW):
    return get_halt_reasons(security_ids=world.security_ids.values(), now=now)


def test_a_halt_lasts_from_its_beginning_to_its_end():
    world = make_world()
    halt(world, until=NOW + timedelta(hours=1))
    ustm = world.security_ids["USTM"]
    second = timedelta(seconds=1)
    assert reasons(world, NOW - second) == {}
    assert reasons(world) == {ustm: "news"}
    assert reasons(world, NOW + timedelta(hours=1) - second) == {ustm: "news"}
    assert reasons(world, NOW + timedelta(hours=1)) == {}
    # What ended by itself does not stand in the way of another.
    halt(world, now=NOW + timedelta(hours=2), reason="more news")
    assert reasons(world, NOW + timedelta(days=300)) == {ustm: "more news"}
    assert Halt.objects.filter(lifted_at__isnull=True).count() == 1
    assert [row.reason for row in list_halts(firm_id=world.firm.pk, now=NOW)] == ["more news"]


def test_a_halt_is_set_and_lifted_once():
    world = make_world()
    row = halt(world)
    with pytest.raises(Conflict, match="USTM"):
        halt(world, world.other_admin)
    lift_halt(security_id=row.security_id, user_id=world.other_admin.pk, now=NOW)
    with pytest.raises(Conflict):
        lift_halt(security_id=row.security_id, user_id=world.admin.pk, now=NOW)
    assert reasons(world) == {}
    actions = (
        AuditEntry.objects.filter(action__contains="security.halted").count(),
        (AuditEntry.objects.filter(action__contains="security.lifted").count()),
    )
    assert actions == (1, 1)


def test_halts_are_refused_without_sense_or_to_the_wrong_people():
    world = make_world()
    for faulty in ({"reason": " "}, {"until": NOW}):
        with pytest.raises(Refused):
            halt(world, **faulty)
    for person in (
        world.advisor,
        people.make_client(world.household),
        people.make_user(people.make_firm(), Role.ADMIN),
    ):
        with pytest.raises(NotAllowed):
            halt(world, person)
    row = halt(world)
    with pytest.raises(NotAllowed):
        lift_halt(security_id=row.security_id, user_id=world.advisor.pk, now=NOW)
    assert reasons(world)


# --- Alarms -------------------------------------------------------------------------------------


def test_the_end_of_the_calendar_is_announced_sixty_days_before():
    last = reads.get_last_known_session("XNYS")
    assert reads.find_calendar_alarm(exchange="XNYS", today=last - timedelta(days=60)) is None
    alarm = reads.find_calendar_alarm(exchange="XNYS", today=last - timedelta(days=59))
    assert (alarm.exchange, alarm.last_session) == ("XNYS", last)
