"""Who may stop, clear, halt and change limits; what takes two people; what it leaves behind."""

from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.domain.permissions import Permission, role_holds
from accounts.domain.roles import Role
from accounts.models import AuditEntry, User
from accounts.queries.people import get_service_user
from rebalancer import models
from rebalancer.domain.limits import SwitchScope
from rebalancer.operations.controls import (
    MAY_CLEAR,
    MAY_SET,
    ask_to_clear,
    clear_switch,
    set_switch,
)
from rebalancer.operations.gate import hold_switches
from robo.common.errors import Conflict, NotAllowed, Refused
from tests import people
from tests.rebalancer.test_faults_together import run_together
from tests.rebalancer.world import make_world

pytestmark = pytest.mark.django_db(transaction=True)
D = Decimal
S = SwitchScope


def find_stop(world, account=None, security_id=0, broker="PAPER"):
    with transaction.atomic():
        switches = hold_switches(firm_ids=[world.firm.pk])
    return switches.find_stop(world.firm.pk, account.pk if account else 0, security_id, broker)


# --- Setting ------------------------------------------------------------------------------------


def test_each_scope_stops_what_it_names_and_nothing_else():
    world, other = make_world(), make_world()
    one, two = world.add_account(), world.add_account()
    supervisor = people.make_user(world.firm, Role.SUPERVISOR)
    operator = people.make_user(world.firm, Role.OPERATOR)
    stock, bond = world.security_ids["USTM"], world.security_ids["BOND"]

    def probe():
        return {
            "one": bool(find_stop(world, one, bond, "FIX")),
            "two": bool(find_stop(world, two, bond, "FIX")),
            "stock": bool(find_stop(world, two, stock, "FIX")),
            "paper": bool(find_stop(world, two, bond, "PAPER")),
            "other firm": bool(find_stop(other)),
        }

    nothing = dict.fromkeys(("one", "two", "stock", "paper", "other firm"), False)
    assert probe() == nothing
    for target, stopped in (
        ({"scope": S.ACCOUNT, "account_id": one.pk}, {"one"}),
        ({"scope": S.SECURITY, "security_id": stock}, {"stock"}),
        ({"scope": S.BROKER, "broker": "PAPER"}, {"paper"}),
        ({"scope": S.FIRM}, {"one", "two", "stock", "paper"}),
        ({"scope": S.ALL}, {"one", "two", "stock", "paper", "other firm"}),
    ):
        setter = operator if target["scope"] == S.ALL else supervisor
        switch = set_switch(user_id=setter.pk, reason="looks wrong", **target)
        assert probe() == nothing | dict.fromkeys(stopped, True)
        clear(switch, operator if target["scope"] == S.ALL else world.admin, world)
        assert probe() == nothing


def clear(switch, first, world):
    """Clear a switch as two people do."""
    role = Role.OPERATOR if switch.scope == S.ALL else Role.SUPERVISOR
    ask_to_clear(switch_id=switch.pk, user_id=first.pk, reason="it was looked into")
    clear_switch(switch_id=switch.pk, user_id=people.make_user(world.firm, role).pk)


def make_person(world, role):
    if role == Role.CLIENT:
        return people.make_client(world.household)
    if role == Role.ADVISOR:
        return world.advisor
    if role == Role.SERVICE:
        return get_service_user(world.firm.pk)
    return people.make_user(world.firm, role)


@pytest.mark.parametrize("scope", S)
@pytest.mark.parametrize("role", Role)
def test_who_may_stop_how_much(scope, role):
    world = make_world()
    account = world.add_account()
    person = make_person(world, role)
    target = {
        S.ACCOUNT: {"account_id": account.pk},
        S.SECURITY: {"security_id": world.security_ids["USTM"]},
        S.BROKER: {"broker": "PAPER"},
    }.get(scope, {})
    if role in MAY_SET[scope]:
        assert set_switch(scope=scope, user_id=person.pk, reason="stop", **target).is_stopped
    else:
        with pytest.raises(NotAllowed):
            set_switch(scope=scope, user_id=person.pk, reason="stop", **target)
        assert not models.Switch.objects.filter(is_stopped=True).exists()


def test_the_roles_are_those_of_the_table_of_permissions():
    people_who_set = set.union(*map(set, MAY_SET.values())) - {Role.SERVICE}
    assert people_who_set == {
        role
        for role in Role
        if role_holds(role, Permission.SET_SWITCH) or role_holds(role, Permission.STOP_OWN_ACCOUNT)
    }
    assert {role for role in Role if role_holds(role, Permission.CLEAR_SWITCH)} == MAY_CLEAR[S.FIRM]


def test_clients_and_advisors_stop_only_accounts_of_theirs():
    world = make_world()
    account = world.add_account()
    for person in (
        people.make_client(people.make_household(world.firm)),
        people.make_user(world.firm),
        people.make_user(people.make_firm(), Role.SUPERVISOR),
    ):
        with pytest.raises(Refused):
            set_switch(scope=S.ACCOUNT, account_id=account.pk, user_id=person.pk, reason="stop")
    assert find_stop(world, account) == ""


def test_a_stop_needs_a_reason_and_exactly_one_target():
    world, other = make_world(), make_world()
    account = world.add_account()
    for faulty in (
        {"scope": S.FIRM, "reason": " \n "},
        {"scope": S.FIRM, "reason": "x", "account_id": account.pk},
        {"scope": S.ACCOUNT, "reason": "x"},
        {"scope": S.SECURITY, "reason": "x", "security_id": other.security_ids["USTM"]},
        {"scope": S.SECURITY, "reason": "x", "broker": "PAPER"},
        {"scope": S.BROKER, "reason": "x", "broker": "NOBODY"},
    ):
        with pytest.raises(Refused):
            set_switch(user_id=world.admin.pk, **faulty)


def test_a_disabled_person_stops_nothing():
    world = make_world()
    User.objects.filter(pk=world.admin.pk).update(is_active=False)
    with pytest.raises(NotAllowed):
        set_switch(scope=S.FIRM, user_id=world.admin.pk, reason="stop")


def test_what_is_stopped_is_not_stopped_twice():
    world = make_world()
    set_switch(scope=S.FIRM, user_id=world.admin.pk, reason="first")
    with pytest.raises(Conflict, match="first"):
        set_switch(scope=S.FIRM, user_id=world.other_admin.pk, reason="second")
    assert find_stop(world) == "The firm's trading is stopped: first"


def test_of_people_who_stop_at_once_one_does_and_one_row_is_left():
    world = make_world()
    account = world.add_account()
    errors = run_together(
        *[
            lambda user=user: set_switch(
                scope=S.ACCOUNT, account_id=account.pk, user_id=user.pk, reason="stop"
            )
            for user in (world.admin, world.other_admin, world.advisor, world.colleague)
        ]
    )
    assert sorted(str(type(error).__name__) for error in errors) == ["Conflict"] * 3 + ["NoneType"]
    assert models.Switch.objects.filter(scope=S.ACCOUNT).count() == 1


# --- Clearing -----------------------------------------------------------------------------------


def test_clearing_takes_two_people_and_the_setter_may_be_one():
    world = make_world()
    supervisor = people.make_user(world.firm, Role.SUPERVISOR)
    switch = set_switch(scope=S.FIRM, user_id=supervisor.pk, reason="odd prices")
    with pytest.raises(Conflict, match="two people"):
        clear_switch(switch_id=switch.pk, user_id=supervisor.pk)
    ask_to_clear(switch_id=switch.pk, user_id=supervisor.pk, reason="prices are fine")
    with pytest.raises(NotAllowed, match="somebody else"):
        clear_switch(switch_id=switch.pk, user_id=supervisor.pk)
    with pytest.raises(Conflict, match="already"):
        ask_to_clear(switch_id=switch.pk, user_id=world.admin.pk, reason="me too")
    for person in (world.admin, world.advisor, people.make_user(world.firm, Role.OPERATOR)):
        with pytest.raises(NotAllowed):
            clear_switch(switch_id=switch.pk, user_id=person.pk)
    assert find_stop(world)
    second = people.make_user(world.firm, Role.SUPERVISOR)
    cleared = clear_switch(switch_id=switch.pk, user_id=second.pk)
    assert (cleared.set_by, cleared.clear_asked_by, cleared.cleared_by) == (
        supervisor,
        supervisor,
        second,
    )
    assert find_stop(world) == ""
    with pytest.raises(Conflict, match="not stopped"):
        clear_switch(switch_id=switch.pk, user_id=second.pk)
    assert list(
        AuditEntry.objects.filter(action__startswith="rebalancer.switch")
        .order_by("pk")
        .values_list("action", "actor", "summary")
    ) == [
        (
            "rebalancer.switch.set",
            supervisor.pk,
            "Stopped the firm's trading: odd prices",
        ),
        (
            "rebalancer.switch.clear_asked",
            supervisor.pk,
            "Asked for the firm's trading to go on: prices are fine",
        ),
        (
            "rebalancer.switch.cleared",
            second.pk,
            "Let the firm's trading go on: prices are fine",
        ),
    ]


def test_a_new_reason_to_stop_puts_the_request_to_clear_aside():
    world = make_world()
    supervisor = people.make_user(world.firm, Role.SUPERVISOR)
    switch = set_switch(scope=S.FIRM, user_id=world.admin.pk, reason="first")
    ask_to_clear(switch_id=switch.pk, user_id=world.admin.pk, reason="fine again")
    set_switch(scope=S.FIRM, user_id=world.other_admin.pk, reason="not fine at all")
    with pytest.raises(Conflict):
        clear_switch(switch_id=switch.pk, user_id=supervisor.pk)
    assert find_stop(world) == "The firm's trading is stopped: not fine at all"


def test_what_a_client_stopped_goes_on_at_the_client_s_asking_only():
    world = make_world()
    account, client = world.add_account(), people.make_client(world.household)
    supervisor = people.make_user(world.firm, Role.SUPERVISOR)
    switch = set_switch(
        scope=S.ACCOUNT, account_id=account.pk, user_id=client.pk, reason="I move house"
    )
    for person in (world.advisor, supervisor, world.admin):
        with pytest.raises(NotAllowed, match=client.name):
            ask_to_clear(switch_id=switch.pk, user_id=person.pk, reason="they said so")
    stranger = people.make_client(people.make_household(world.firm))
    with pytest.raises(NotAllowed):
        ask_to_clear(switch_id=switch.pk, user_id=stranger.pk, reason="go on")
    ask_to_clear(switch_id=switch.pk, user_id=client.pk, reason="moved")
    with pytest.raises(NotAllowed):
        clear_switch(switch_id=switch.pk, user_id=client.pk)
    clear_switch(switch_id=switch.pk, user_id=supervisor.pk)
    assert find_stop(world, account) == ""


def test_another_firm_s_switch_is_nobody_s_to_clear():
    world = make_world()
    switch = set_switch(scope=S.FIRM, user_id=world.admin.pk, reason="stop")
    stranger = people.make_user(people.make_firm(), Role.SUPERVISOR)
    with pytest.raises(NotAllowed):
        ask_to_clear(switch_id=switch.pk, user_id=stranger.pk, reason="go on")
    ask_to_clear(switch_id=switch.pk, user_id=world.admin.pk, reason="go on")
    with pytest.raises(NotAllowed):
        clear_switch(switch_id=switch.pk, user_id=stranger.pk)


def test_of_two_who_confirm_at_once_one_does():
    world = make_world()
    switch = set_switch(scope=S.FIRM, user_id=world.admin.pk, reason="stop")
    ask_to_clear(switch_id=switch.pk, user_id=world.admin.pk, reason="go on")
    supervisors = [people.make_user(world.firm, Role.SUPERVISOR) for _ in range(2)]
    errors = run_together(
        *[lambda s=s: clear_switch(switch_id=switch.pk, user_id=s.pk) for s in supervisors]
    )
    assert sorted(str(type(error).__name__) for error in errors) == ["Conflict", "NoneType"]


def test_postgresql_itself_refuses_a_switch_that_one_person_clears_or_that_vanishes():
    world = make_world()
    switch = set_switch(scope=S.FIRM, user_id=world.admin.pk, reason="stop")
    rows = models.Switch.objects.filter(pk=switch.pk)
    for change in (
        lambda: rows.update(is_stopped=False),
        lambda: rows.update(is_stopped=False, cleared_by=world.admin),
        lambda: rows.update(is_stopped=False, clear_asked_by=world.admin, cleared_by=world.admin),
        lambda: rows.update(reason=""),
        lambda: rows.delete(),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE rebalancer_switch CASCADE")
    assert find_stop(world)
