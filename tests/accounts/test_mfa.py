"""The second step: required of staff, spent once, never skipped, and lost only with two people."""

import re
import time
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse

from accounts.domain.doors import FREE_ATTEMPTS, STAFF
from accounts.domain.roles import Role
from accounts.models import AuditEntry, OutgoingMail, SecondFactorReset
from accounts.operations import second_factors, users
from accounts.operations.mails import send_mails
from accounts.views.security import SET_UP_PAGES
from robo.common.errors import Refused
from robo.start import check_start
from tests.accounts.doors import (
    count_factors,
    enter_code,
    enter_password,
    give_app,
    give_recovery_codes,
    is_signed_in,
    read_code,
    set_up_app,
    sign_in,
)
from tests.people import PASSWORD, make_client, make_firm, make_household, make_user

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 9, 0, 5, tzinfo=UTC)
HOME = "/"


@pytest.fixture
def firm():
    return make_firm()


@pytest.fixture
def advisor(firm):
    return make_user(firm, Role.ADVISOR)


@pytest.fixture
def required(settings):
    settings.SECOND_FACTOR_REQUIRED = True


# --- Nothing opens without it -----------------------------------------------------------------


def list_routes():
    """Yield name, address and view of every route, with something in each place of its path."""
    values = {
        "uuid": "00000000-0000-4000-8000-000000000000", "int": "1", "slug": "x", "str": "x",
        "path": "x", "sha256": "a" * 64,
    }  # fmt: skip

    def walk(patterns, prefix, names):
        for pattern in patterns:
            raw = str(pattern.pattern)
            if isinstance(pattern, URLPattern):
                yield ":".join([*names, pattern.name or ""]), prefix + raw, pattern.callback
            else:
                namespace = [pattern.namespace] if pattern.namespace else []
                yield from walk(pattern.url_patterns, prefix + raw, names + namespace)

    for name, raw, view in walk(get_resolver().url_patterns, "/", []):
        path = re.sub(r"<(?:(\w+):)?\w+>", lambda m: values.get(m.group(1) or "str", "x"), raw)
        yield name, fill_regular_expression(path), view


def fill_regular_expression(path):
    """Return an address that a route written as a regular expression matches."""
    path = path.replace(r"^[\s\S]*/$", "nothing/").replace("^", "").replace("$", "")
    return re.sub(r"\(\?P<\w+>[^)]*\)", "x", path).replace("\\", "").replace(".*", "x")


ROUTES = list(list_routes())


def test_the_walk_knows_every_kind_of_route():
    names = {name for name, _, _ in ROUTES}
    assert len(ROUTES) > 80
    assert names >= SET_UP_PAGES
    assert {"home", "admin:index", "api:approve", "rebalancer:work_list"} <= names


@pytest.mark.parametrize("role", sorted(STAFF))
def test_with_the_first_factor_alone_staff_reach_the_set_up_and_nothing_else(required, firm, role):
    client = sign_in(make_user(firm, role))
    methods = ("get", "post") if role == Role.ADMIN else ("get",)
    wrong = []
    for name, address, view in ROUTES:
        is_open = not getattr(view, "login_required", True)
        if name in SET_UP_PAGES or is_open or "sign_out" in name or "logout" in name:
            continue
        for method in methods:
            answer = getattr(client, method)(address)
            if name.startswith("api:") and name != "api:docs":
                is_shut = answer.status_code == 403 and "mfa_required" in answer.content.decode()
            else:
                is_shut = answer.status_code == 302 and answer["Location"] == "/security/"
            if not is_shut:
                wrong.append((name, method, address, answer.status_code))
    assert wrong == []
    assert is_signed_in(client)


def test_htmx_is_led_to_the_set_up_as_a_whole_page(required, advisor):
    answer = sign_in(advisor).get(HOME, HTTP_HX_REQUEST="true")
    assert answer["HX-Redirect"] == "/security/"


def test_clients_and_installations_without_the_rule_go_on_with_a_password(required, firm, settings):
    person = make_client(make_household(firm))
    assert sign_in(person).get(HOME)["Location"] != "/security/"
    settings.SECOND_FACTOR_REQUIRED = False
    assert sign_in(make_user(firm)).get(HOME)["Location"] != "/security/"


def test_setting_up_an_app_opens_the_rest_at_once(required, advisor):
    client = sign_in(advisor)
    answer, _ = set_up_app(client)
    assert answer["Location"] == reverse("mfa_view_recovery_codes")
    shown = client.get(answer["Location"]).content.decode()
    assert shown.count("<code>") == 10
    assert "<code>" not in client.get(answer["Location"]).content.decode(), "shown once only"
    assert client.get(HOME)["Location"] == reverse("rebalancer:work_list")
    entry = AuditEntry.objects.get(action="accounts.door.second_factor_added")
    assert entry.object_id == str(advisor.public_id)
    assert OutgoingMail.objects.filter(person=advisor, kind="SECOND_FACTOR_CHANGED").exists()


def test_a_session_that_never_saw_the_second_factor_is_asked_for_it(required, advisor):
    """However the session came about: `force_login` stands for a way that we did not think of."""
    give_app(advisor)
    client = Client()
    client.force_login(advisor)
    assert client.get(HOME)["Location"] == reverse("mfa_reauthenticate")


def test_the_admin_site_has_no_way_around(required, firm):
    admin = make_user(firm, Role.ADMIN)
    secret = give_app(admin)
    client = Client()
    assert client.get("/admin/login/")["Location"].startswith("/sign-in/")
    answer = client.post("/admin/login/", {"username": admin.email, "password": PASSWORD})
    assert answer["Location"].startswith("/sign-in/")
    enter_password(client, admin)
    assert client.get("/admin/")["Location"].startswith("/admin/login/")
    enter_code(client, read_code(secret))
    assert client.get("/admin/").status_code == 200


# --- Codes ------------------------------------------------------------------------------------


def test_the_second_step_cannot_be_skipped_by_its_address(advisor):
    give_app(advisor)
    client = Client()
    assert client.get(reverse("mfa_authenticate"))["Location"] == "/sign-in/"
    assert enter_password(client, advisor)["Location"] == reverse("mfa_authenticate")
    assert client.get(HOME)["Location"].startswith("/sign-in/")
    assert client.get("/api/v1/me/").status_code == 401
    assert enter_code(client, "000000").status_code == 422
    assert client.get(HOME)["Location"].startswith("/sign-in/")


def test_a_code_works_in_its_own_half_minute_only(advisor):
    secret = give_app(advisor)
    with time_machine.travel(NOW, tick=False):
        for steps_on in (-2, -1, 1, 2):
            client = Client()
            enter_password(client, advisor)
            assert enter_code(client, read_code(secret, steps_on=steps_on)).status_code == 422
        client = Client()
        enter_password(client, advisor)
        assert enter_code(client, read_code(secret)).status_code == 302
        assert is_signed_in(client)


def test_a_code_works_once_even_when_the_cache_is_emptied(advisor):
    secret = give_app(advisor)
    with time_machine.travel(NOW, tick=False):
        sign_in(advisor, secret)
        cache.clear()
        thief = Client()
        enter_password(thief, advisor)
        assert enter_code(thief, read_code(secret)).status_code == 422
        assert not is_signed_in(thief)
    with time_machine.travel(NOW + timedelta(seconds=30), tick=False):
        assert enter_code(thief, read_code(secret)).status_code == 302


def test_the_code_that_set_the_app_up_is_spent(advisor):
    with time_machine.travel(NOW, tick=False):
        _, secret = set_up_app(sign_in(advisor))
        client = Client()
        enter_password(client, advisor)
        assert enter_code(client, read_code(secret)).status_code == 422


def test_two_at_once_cannot_spend_one_code(advisor):
    secret = give_app(advisor)
    code = read_code(secret)
    now = datetime.fromtimestamp(time.time(), UTC)
    first = second_factors.spend_code(user_id=advisor.pk, code=code, now=now)
    second = second_factors.spend_code(user_id=advisor.pk, code=code, now=now)
    assert first is not None
    assert second is None


def test_recovery_codes_are_long_work_once_and_are_told_by_mail(advisor):
    give_app(advisor)
    codes = give_recovery_codes(advisor)
    assert len(codes) == len(set(codes)) == 10
    assert all(len(code) == 34 and code.isdigit() for code in codes), "112 bits at least"
    client = Client()
    enter_password(client, advisor)
    spaced = " ".join(re.findall(".{1,6}", codes[3]))
    assert enter_code(client, spaced).status_code == 302
    again = Client()
    enter_password(again, advisor)
    assert enter_code(again, codes[3]).status_code == 422
    mail = OutgoingMail.objects.get(person=advisor, kind="RECOVERY_CODE_USED")
    assert mail.facts == {"left": 9}


def test_secrets_of_the_second_step_are_not_readable_in_the_database(advisor):
    secret = give_app(advisor)
    codes = give_recovery_codes(advisor)
    stored = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in stored
    assert not any(code in stored for code in codes)


def test_guessing_codes_is_slowed_down_and_written_down(advisor):
    secret = give_app(advisor)
    with time_machine.travel(NOW, tick=False):
        client = Client()
        enter_password(client, advisor)
        answers = [enter_code(client, f"{n:06d}").status_code for n in range(FREE_ATTEMPTS + 3)]
        assert answers == [422] * (FREE_ATTEMPTS + 1) + [429] * 2
        assert enter_code(client, read_code(secret)).status_code == 429
        elsewhere = Client(REMOTE_ADDR="203.0.113.9")
        enter_password(elsewhere, advisor)
        assert enter_code(elsewhere, read_code(secret)).status_code == 302
    misses = AuditEntry.objects.filter(action="accounts.door.code_failed")
    assert misses.count() == FREE_ATTEMPTS + 1


@pytest.mark.parametrize("code", ["", "\x00", "x" * 500, "１２３４５６", "١٢٣٤٥٦", "-1", "{}"])
def test_nonsense_in_place_of_a_code_is_only_a_miss(advisor, code):
    give_app(advisor)
    give_recovery_codes(advisor)
    client = Client()
    enter_password(client, advisor)
    assert enter_code(client, code).status_code == 422


@pytest.mark.parametrize(
    "credential",
    [
        "", "{}", "[]", "null", "1", '"x"', '{"response": []}', '{"response": {"userHandle": 3}}',
        '{"id": "x", "response": {"userHandle": "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"}}',
        '{"id": "AA", "rawId": "AA", "type": "public-key", "response": {"clientDataJSON": "AA",'
        ' "authenticatorData": "AA", "signature": "AA", "userHandle": "MQ"}}',
    ],
)  # fmt: skip
def test_nonsense_in_place_of_a_passkey_is_only_a_miss(advisor, credential):
    client = Client()
    client.get(reverse("mfa_login_webauthn"), HTTP_ACCEPT="application/json")
    answer = client.post(reverse("mfa_login_webauthn"), {"credential": credential})
    assert answer["Location"] == "/sign-in/"
    give_app(advisor)
    enter_password(client, advisor)
    assert client.post(reverse("mfa_authenticate"), {"credential": credential}).status_code == 422
    assert not is_signed_in(client)


# --- Other doors ------------------------------------------------------------------------------


def test_a_new_password_by_mail_leaves_the_second_step_as_it_is(advisor, mailoutbox):
    secret = give_app(advisor)
    Client().post(reverse("account_reset_password"), {"email": advisor.email})
    send_mails(now=datetime.now(UTC) + timedelta(seconds=5))
    link = re.search(r"http://testserver(/welcome/\S+)", mailoutbox[0].body).group(1)
    client = Client()
    page = client.get(link)["Location"]
    new = "another-even-keel-9"
    client.post(page, {"new_password1": new, "new_password2": new})
    answer = client.post("/sign-in/", {"username": advisor.email, "password": new})
    assert answer["Location"] == reverse("mfa_authenticate")
    assert not is_signed_in(client)
    assert enter_code(client, read_code(secret)).status_code == 302


def test_removing_it_asks_again_and_ends_other_sessions(required, advisor, settings):
    secret = give_app(advisor)
    with time_machine.travel(NOW, tick=False):
        client, other = sign_in(advisor, secret), Client()
    with time_machine.travel(NOW + timedelta(minutes=11), tick=False):
        enter_password(other, advisor)
        enter_code(other, read_code(secret))
        removal = reverse("mfa_deactivate_totp")
        asked = client.post(removal)
        assert asked["Location"].startswith(reverse("mfa_reauthenticate"))
        assert count_factors(advisor) == 1
    with time_machine.travel(NOW + timedelta(minutes=12), tick=False):
        client.post(asked["Location"], {"code": read_code(secret)})
        assert client.post(removal).status_code == 302
        assert count_factors(advisor) == 0
        assert not is_signed_in(other)
        # And what is left of it is what somebody without a second step has.
        assert client.get(HOME)["Location"] == "/security/"


# --- A lost one -------------------------------------------------------------------------------


def test_a_lost_second_step_takes_two_people_and_tells_its_owner(firm, advisor):
    admin, second = make_user(firm, Role.ADMIN), make_user(firm, Role.SUPERVISOR)
    secret = give_app(advisor)
    give_recovery_codes(advisor)
    owner = sign_in(advisor, secret)
    asking = sign_in(admin)
    ask = reverse("accounts:reset_ask", args=[advisor.public_id])
    assert asking.post(ask, {"reason": ""}).status_code == 422
    assert asking.post(ask, {"reason": "Phone in the lake"}).status_code == 302
    assert asking.post(ask, {"reason": "Again"}).status_code == 422
    reset = SecondFactorReset.objects.get()
    confirm = reverse("accounts:reset_confirm", args=[reset.pk])
    asking.post(confirm)
    assert count_factors(advisor) == 2, "whoever asked does not confirm"
    assert "Phone in the lake" in sign_in(second).get(reverse("accounts:resets")).content.decode()
    sign_in(second).post(confirm)
    assert count_factors(advisor) == 0
    assert not is_signed_in(owner)
    mail = OutgoingMail.objects.get(person=advisor, kind="SECOND_FACTOR_RESET")
    assert mail.facts == {"reason": "Phone in the lake"}
    actions = AuditEntry.objects.filter(object_id=str(advisor.public_id))
    assert actions.filter(action="accounts.door.second_factor_reset", actor=second).exists()


def test_nobody_resets_their_own_or_a_strangers(firm, advisor):
    admin, other = make_user(firm, Role.ADMIN), make_user(firm, Role.ADMIN)
    stranger = make_user(make_firm(), Role.ADMIN)
    give_app(admin)
    give_app(advisor)
    with pytest.raises(Refused, match="colleague"):
        second_factors.ask_for_reset(user_id=admin.pk, reason="Lost", actor_id=admin.pk)
    reset = second_factors.ask_for_reset(user_id=admin.pk, reason="Lost", actor_id=other.pk)
    with pytest.raises(Refused, match="must confirm"):
        second_factors.confirm_reset(reset_id=reset.pk, actor_id=admin.pk, now=NOW)
    client = sign_in(stranger)
    for name in ("reset_confirm", "reset_withdraw"):
        assert client.post(reverse(f"accounts:{name}", args=[reset.pk])).status_code == 404
    ask = reverse("accounts:reset_ask", args=[advisor.public_id])
    assert client.get(ask).status_code == 404
    assert count_factors(admin) == count_factors(advisor) == 1


@pytest.mark.parametrize("by", ["asked_by", "person"])
def test_the_database_itself_wants_two_people(firm, advisor, by):
    admin = make_user(firm, Role.ADMIN)
    give_app(advisor)
    reset = second_factors.ask_for_reset(user_id=advisor.pk, reason="Lost", actor_id=admin.pk)
    with pytest.raises(IntegrityError, match="by_two_people"), transaction.atomic():
        SecondFactorReset.objects.filter(pk=reset.pk).update(
            status="DONE", settled_by=getattr(reset, by), settled_at=NOW
        )


def test_a_withdrawn_reset_removes_nothing(firm, advisor):
    admin, second = make_user(firm, Role.ADMIN), make_user(firm, Role.ADMIN)
    give_app(advisor)
    reset = second_factors.ask_for_reset(user_id=advisor.pk, reason="Lost", actor_id=admin.pk)
    sign_in(second).post(reverse("accounts:reset_withdraw", args=[reset.pk]))
    with pytest.raises(Refused, match="settled already"):
        second_factors.confirm_reset(reset_id=reset.pk, actor_id=second.pk, now=NOW)
    assert count_factors(advisor) == 1


def test_who_has_nobody_to_ask_uses_the_servers_console(firm):
    admin = make_user(firm, Role.ADMIN)
    with pytest.raises(CommandError, match="no second step"):
        call_command("reset_second_factor", admin.email, reason="Phone lost")
    give_app(admin)
    with pytest.raises(CommandError, match="Nobody"):
        call_command("reset_second_factor", "nobody@example.com", reason="Phone lost")
    call_command("reset_second_factor", admin.email, reason="Phone lost")
    assert count_factors(admin) == 0
    entry = AuditEntry.objects.get(action="accounts.door.second_factor_reset")
    assert entry.detail["reason"] == "From the server's console: Phone lost"


def test_disabled_people_come_in_by_no_factor(firm, advisor):
    secret = give_app(advisor)
    admin = make_user(firm, Role.ADMIN)
    half_way = Client()
    enter_password(half_way, advisor)
    users.disable_user(user_id=advisor.pk, actor_id=admin.pk)
    assert enter_code(half_way, read_code(secret))["Location"] == "/sign-in/"
    assert not is_signed_in(half_way)


def test_a_new_key_outside_the_database_leaves_every_second_step_working(advisor, settings):
    secret = give_app(advisor)
    codes = give_recovery_codes(advisor)
    new = Fernet.generate_key().decode()
    settings.SECRETS_KEYS = [new, *settings.SECRETS_KEYS]
    assert second_factors.reseal_factors() == 2
    settings.SECRETS_KEYS = [new]
    client = Client()
    enter_password(client, advisor)
    assert enter_code(client, read_code(secret)).status_code == 302
    again = Client()
    enter_password(again, advisor)
    assert enter_code(again, codes[0]).status_code == 302


def test_without_a_key_nothing_is_set_up_and_the_page_says_why(advisor, settings):
    client = sign_in(advisor)
    settings.SECRETS_KEYS = []
    answer, _ = set_up_app(client)
    assert answer.status_code == 422
    assert "EVENKEEL_SECRETS_KEY" in answer.content.decode()
    assert count_factors(advisor) == 0


def test_nothing_starts_where_staff_could_never_set_one_up(required, settings):
    settings.SECRETS_KEYS = []
    with pytest.raises(ImproperlyConfigured, match="EVENKEEL_SECRETS_KEY"):
        check_start()
