"""The pages of the controls: who sees and does what, what they say, and what they cost."""

import uuid
from decimal import Decimal

import pytest
from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.domain.roles import Role
from portfolios.operations.halts import set_halt
from rebalancer import models
from rebalancer.domain.limits import DEFAULTS, FIELD_NAMES, SwitchScope
from rebalancer.operations.controls import ask_to_clear, set_switch
from rebalancer.queries.controls import get_limits
from robo.common import clock
from tests import people
from tests.rebalancer.browsing import text_of
from tests.rebalancer.world import NOW, make_world

pytestmark = pytest.mark.django_db
D = Decimal
S = SwitchScope


@pytest.fixture
def world():
    return make_world()


@pytest.fixture
def account(world):
    return world.add_account("1000", name="Joint account")


def go(user):
    client = Client()
    people.enter(client, user)
    return client


def go_stale(user):
    """Sign somebody in whose password was given an hour ago."""
    client = go(user)
    session = client.session
    long_ago = clock.now().timestamp() - 3600
    session[AUTHENTICATION_METHODS_SESSION_KEY] = [{"method": "password", "at": long_ago}]
    session.save()
    return client


def get(user, name, *args):
    return go(user).get(reverse(f"rebalancer:{name}", args=args))


def post(user, name, *args, **values):
    return go(user).post(reverse(f"rebalancer:{name}", args=args), values)


def person(world, role):
    return {
        Role.CLIENT: lambda: people.make_client(world.household),
        Role.ADVISOR: lambda: world.advisor,
    }.get(role, lambda: people.make_user(world.firm, role))()


PEOPLE = sorted(set(Role) - {Role.SERVICE})


@pytest.mark.parametrize("role", PEOPLE)
def test_who_sees_the_controls_and_their_limits(world, role):
    response = get(person(world, role), "controls")
    if role in (Role.CLIENT, Role.MODEL_ADMIN):
        assert response.status_code == 404
        return
    page = text_of(response)
    assert response.status_code == 200
    assert ("Largest order" in page) == (role != Role.OPERATOR)
    assert ("Halt a security" in page) == (role in (Role.SUPERVISOR, Role.ADMIN))
    assert ("Propose others" in page) == (role == Role.ADMIN)
    assert ("Stop something" in page) == (role != Role.ADVISOR)
    assert ("All firms of this installation" in page) == (role == Role.OPERATOR)


def test_stopping_the_firm_is_said_on_every_page_to_staff_and_to_clients(world, account):
    client, supervisor = person(world, Role.CLIENT), person(world, Role.SUPERVISOR)
    response = post(supervisor, "stop", scope="FIRM", reason="prices of Monday are odd")
    assert response.status_code == 302
    staff = text_of(get(world.advisor, "work_list"))
    assert "All trading is stopped: prices of Monday are odd" in staff
    own = text_of(get(client, "account", account.public_id))
    assert "Trading is paused for now" in own
    assert "prices of Monday" not in own, "reasons among staff are not the client's to read"
    elsewhere = people.make_user(people.make_firm())
    assert "All trading is stopped" not in text_of(get(elsewhere, "work_list"))


def test_what_is_stopped_in_part_is_counted_in_the_banner_without_names(world, account):
    set_switch(scope=S.ACCOUNT, account_id=account.pk, user_id=world.advisor.pk, reason="divorce")
    set_switch(scope=S.BROKER, broker="FIX", user_id=world.admin.pk, reason="line down")
    for user in (world.admin, people.make_user(world.firm)):
        page = text_of(get(user, "controls"))
        assert "Stopped now: 1 account, 1 broker." in page
    assert "divorce" not in text_of(get(people.make_user(world.firm), "controls"))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"scope": "FIRM", "reason": ""}, "Say why"),
        ({"scope": "ALL", "reason": "x"}, "Select a valid choice"),
        ({"scope": "SECURITY", "reason": "x"}, "Which security?"),
        ({"scope": "SECURITY", "symbol": "NONE", "reason": "x"}, "no security NONE"),
        ({"scope": "BROKER", "reason": "x"}, "Which broker?"),
        ({"scope": "BROKER", "broker": "<b>", "reason": "x"}, "Select a valid choice"),
        ({"reason": "x"}, "required"),
    ],
)
def test_a_stop_that_makes_no_sense_is_refused_on_the_page(world, values, words):
    response = post(world.admin, "stop", **values)
    assert response.status_code == 422
    assert words in text_of(response)
    assert not models.Switch.objects.filter(is_stopped=True).exists()


def test_a_second_stop_is_a_conflict(world):
    assert post(world.admin, "stop", scope="SECURITY", symbol="ustm", reason="x").status_code == 302
    response = post(world.other_admin, "stop", scope="SECURITY", symbol="USTM", reason="y")
    assert response.status_code == 409
    assert "is stopped already" in text_of(response)


def test_a_client_stops_the_own_account_and_two_people_let_it_go_on(world, account):
    client, supervisor = person(world, Role.CLIENT), person(world, Role.SUPERVISOR)
    assert "Stop this account" in text_of(get(client, "stop_account", account.public_id))
    assert post(client, "stop_account", account.public_id, reason="").status_code == 422
    assert post(client, "stop_account", account.public_id, reason="moving").status_code == 302
    switch = models.Switch.objects.get(scope=S.ACCOUNT)
    page = text_of(get(world.advisor, "controls"))
    assert "Joint account" in page
    assert "The client asks first" in page
    refused = post(world.advisor, "ask_to_clear", switch.public_id, reason="they said so")
    assert refused.status_code == 403
    assert post(client, "ask_to_clear", switch.public_id, reason="").status_code == 422
    assert post(client, "clear_switch", switch.public_id).status_code == 404
    assert post(client, "ask_to_clear", switch.public_id, reason="moved").status_code == 302
    assert "Let it go on" in text_of(get(supervisor, "controls"))
    assert "Let it go on" not in text_of(get(world.advisor, "controls"))
    assert post(world.advisor, "clear_switch", switch.public_id).status_code == 403
    assert post(supervisor, "clear_switch", switch.public_id).status_code == 302
    switch.refresh_from_db()
    assert not switch.is_stopped


def test_who_asked_does_not_confirm(world):
    supervisor = person(world, Role.SUPERVISOR)
    switch = set_switch(scope=S.FIRM, user_id=world.admin.pk, reason="stop")
    assert post(supervisor, "ask_to_clear", switch.public_id, reason="fine").status_code == 302
    response = post(supervisor, "clear_switch", switch.public_id)
    assert response.status_code == 403
    assert "somebody else must confirm" in text_of(response)
    switch.refresh_from_db()
    assert switch.is_stopped


def test_other_people_s_switches_accounts_and_limits_do_not_exist(world, account):
    switch = set_switch(
        scope=S.ACCOUNT, account_id=account.pk, user_id=world.advisor.pk, reason="stop"
    )
    row = propose(world)
    strangers = [
        people.make_user(people.make_firm(), Role.SUPERVISOR),
        people.make_user(world.firm),
        people.make_client(people.make_household(world.firm)),
    ]
    for stranger in strangers:
        for name in ("ask_to_clear", "stop_account"):
            key = account.public_id if name == "stop_account" else switch.public_id
            assert post(stranger, name, key, reason="x").status_code == 404
            assert post(stranger, name, uuid.uuid4(), reason="x").status_code == 404
        assert post(stranger, "clear_switch", switch.public_id).status_code == 404
        assert get(stranger, "stop_account", account.public_id).status_code == 404
    other = people.make_user(people.make_firm(), Role.ADMIN)
    assert post(other, "decide_limits", row.public_id, decision="approve").status_code == 404
    key = world.firm and models.LimitSet.objects.get().pk
    assert models.LimitSet.objects.get(pk=key).status == "PROPOSED"


# --- Limits -------------------------------------------------------------------------------------


def read_form(page):
    """Return what the form of limits would send if nothing were changed."""
    form = page.context["form"]
    return {name: form[name].value() for name in FIELD_NAMES}


def propose(world, **values):
    sent = read_form(get(world.admin, "limits")) | {"reason": "smaller steps"}
    sent |= values or {"order_amount_max": "5000", "account_turnover_max": "12.5"}
    assert post(world.admin, "propose_limits", **sent).status_code == 302
    return models.LimitSet.objects.get(status="PROPOSED")


def test_limits_are_proposed_in_percent_and_put_in_force_by_another(world):
    row = propose(world)
    assert get_limits([world.firm.pk])[world.firm.pk] == DEFAULTS
    page = text_of(get(world.other_admin, "controls"))
    assert "smaller steps" in page
    assert "$5,000.00" in page
    assert "12.50%" in page
    own = text_of(get(world.admin, "controls"))
    assert "Withdraw" in own
    assert "Put in force" not in own
    assert post(world.admin, "decide_limits", row.public_id, decision="approve").status_code == 422
    response = post(world.other_admin, "decide_limits", row.public_id, decision="approve")
    assert response.status_code == 302
    limits = get_limits([world.firm.pk])[world.firm.pk]
    assert (limits.order_amount_max, limits.account_turnover_max) == (5000, D("0.125"))
    assert limits.volume_share_max == DEFAULTS.volume_share_max
    again = post(world.other_admin, "decide_limits", row.public_id, decision="approve")
    assert again.status_code == 409


def test_limits_are_refused_with_a_reason(world):
    row = propose(world)
    supervisor = person(world, Role.SUPERVISOR)
    assert post(supervisor, "decide_limits", row.public_id, decision="refuse").status_code == 422
    values = {"decision": "refuse", "note": "too tight for the quarter"}
    assert post(supervisor, "decide_limits", row.public_id, **values).status_code == 302
    page = text_of(get(supervisor, "controls"))
    assert "too tight for the quarter" in page
    assert post(supervisor, "decide_limits", row.public_id, decision="maybe").status_code == 422


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"reason": ""}, "Say why"),
        ({}, "in force already"),
        ({"order_amount_max": "-1"}, "greater than or equal"),
        ({"order_amount_max": "NaN"}, "Enter a number"),
        ({"collar_bps": ""}, "required"),
        ({"volume_share_max": "100.01"}, "less than or equal"),
        ({"open_minutes": "2.5"}, "Enter a whole number"),
        ({"status": "IN_FORCE", "decided_by": "1"}, "in force already"),
    ],
)
def test_limits_that_make_no_sense_are_refused_on_the_page(world, values, words):
    sent = read_form(get(world.admin, "limits")) | {"reason": "why not"} | values
    response = post(world.admin, "propose_limits", **sent)
    assert response.status_code == 422
    assert words in text_of(response)
    assert not models.LimitSet.objects.exists()


@pytest.mark.parametrize("role", sorted(set(PEOPLE) - {Role.ADMIN}))
def test_only_administrators_reach_the_form_of_limits(world, role):
    user = person(world, role)
    assert get(user, "limits").status_code == 404
    assert post(user, "propose_limits", reason="x").status_code == 404


# --- Halts --------------------------------------------------------------------------------------


def test_a_security_is_halted_and_the_halt_lifted(world):
    from portfolios.models import Security

    security = Security.objects.get(pk=world.security_ids["USTM"])
    assert post(world.admin, "halt", symbol="ustm", reason="news").status_code == 302
    assert "news" in text_of(get(world.advisor, "controls"))
    assert post(world.admin, "halt", symbol="USTM", reason="news").status_code == 409
    assert post(world.advisor, "lift_halt", security.public_id).status_code == 403
    assert post(world.other_admin, "lift_halt", security.public_id).status_code == 302
    assert post(world.other_admin, "lift_halt", security.public_id).status_code == 409
    for values, words in (
        ({"symbol": "", "reason": "x"}, "required"),
        ({"symbol": "WHAT", "reason": "x"}, "no security WHAT"),
        ({"symbol": "USTM", "reason": "x", "until": "2001-01-01T00:00"}, "before it began"),
        ({"symbol": "USTM", "reason": "x", "until": "soon"}, "valid date"),
    ):
        response = post(world.admin, "halt", **values)
        assert response.status_code == 422
        assert words in text_of(response)


# --- What it asks for, and what it costs --------------------------------------------------------


@pytest.mark.parametrize("name", ["ask_to_clear", "clear_switch", "propose_limits"])
def test_letting_things_go_on_and_limits_need_a_fresh_sign_in(world, name):
    switch = set_switch(scope=S.FIRM, user_id=world.admin.pk, reason="stop")
    if name == "clear_switch":
        ask_to_clear(switch_id=switch.pk, user_id=world.admin.pk, reason="fine")
    user = world.admin if name == "propose_limits" else person(world, Role.SUPERVISOR)
    client = go_stale(user)
    args = [] if name == "propose_limits" else [switch.public_id]
    response = client.post(reverse(f"rebalancer:{name}", args=args), {"reason": "x"})
    assert response.status_code == 302
    assert response.url != reverse("rebalancer:controls")
    switch.refresh_from_db()
    assert switch.is_stopped
    assert not models.LimitSet.objects.exists()


def test_stopping_never_waits_for_a_fresh_sign_in(world):
    client = go_stale(world.admin)
    values = {"scope": "FIRM", "reason": "now"}
    assert client.post(reverse("rebalancer:stop"), values).url == reverse("rebalancer:controls")
    assert models.Switch.objects.get(scope=S.FIRM).is_stopped


def test_names_and_reasons_are_text_on_the_page(world):
    set_switch(scope=S.FIRM, user_id=world.admin.pk, reason="<script>alert(1)</script>")
    page = get(world.admin, "controls").content.decode()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_page_takes_no_more_queries_for_more_rows(world):
    browse = go(world.admin)
    address = reverse("rebalancer:controls")

    def count():
        browse.get(address)
        with CaptureQueriesContext(connection) as captured:
            assert browse.get(address).status_code == 200
        return len(captured)

    set_switch(scope=S.BROKER, broker="FIX", user_id=world.admin.pk, reason="x")
    set_halt(security_id=world.security_ids["USTM"], user_id=world.admin.pk, reason="x", now=NOW)
    few = count()
    for symbol in ("USTM", "BOND", "INTL"):
        set_switch(
            scope=S.SECURITY,
            security_id=world.security_ids[symbol],
            user_id=world.admin.pk,
            reason="x",
        )
    for symbol in ("BOND", "INTL"):
        set_halt(
            security_id=world.security_ids[symbol], user_id=world.admin.pk, reason="x", now=NOW
        )
    for _ in range(3):
        account = world.add_account("10")
        set_switch(scope=S.ACCOUNT, account_id=account.pk, user_id=world.advisor.pk, reason="x")
    assert count() == few
