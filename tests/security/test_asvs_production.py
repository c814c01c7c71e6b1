"""The settings of an installation that says nothing, and what its web server does not tell."""

import base64
import json
import os
import random
import secrets
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client
from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from gunicorn.http.parser import RequestParser

from accounts.domain.roles import Role
from accounts.models import User
from accounts.urls import door_patterns
from rebalancer.brokers.alpaca import client as alpaca_client
from robo.common import clock
from robo.common.errors import Refused
from robo.common.secrets import SecretUnreadable, seal, unseal
from tests import people

CHECKOUT = Path(__file__).resolve().parents[2]
ASKED = (
    "import json; from django.conf import settings as s; names = json.loads({names!r});"
    "print(json.dumps({{n: getattr(s, n) for n in names}}, default=str))"
)
DECIDED = {
    "DEBUG": False,
    "DEMO": False,
    "SECOND_FACTOR_REQUIRED": True,
    "STEP_UP_MINUTES": 10,
    "IDLE_MINUTES_STAFF": 15,
    "IDLE_MINUTES_CLIENTS": 30,
    "SESSION_HOURS": 12,
    "SECURE_SSL_REDIRECT": True,
    "SECURE_HSTS_SECONDS": 31536000,
    "SECURE_HSTS_INCLUDE_SUBDOMAINS": True,
    "SESSION_COOKIE_SECURE": True,
    "SESSION_COOKIE_HTTPONLY": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
    "CSRF_COOKIE_SECURE": True,
    "CSRF_COOKIE_HTTPONLY": True,
    "CSRF_COOKIE_SAMESITE": "Lax",
    "SECURE_PROXY_SSL_HEADER": None,
    "WEBHOOK_HOSTS": [],
    "MFA_TOTP_TOLERANCE": 0,
    "MFA_RECOVERY_CODE_DIGITS": 34,
}


def clean_environment(tmp_path, **more):
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {
        "DJANGO_SETTINGS_MODULE": "robo.settings",
        "DJANGO_SECRET_KEY": secrets.token_urlsafe(60),
        "EVENKEEL_SECRETS_KEY": "3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "EVENKEEL_RUNTIME_DIR": str(tmp_path),
        **more,
    }


def run(tmp_path, *words, **more):
    return subprocess.run(
        [sys.executable, *words],
        cwd=CHECKOUT,
        env=clean_environment(tmp_path, **more),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_an_installation_that_sets_nothing_is_strict(tmp_path):
    done = run(tmp_path, "-c", ASKED.format(names=json.dumps(list(DECIDED))))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == DECIDED


def test_djangos_own_check_of_a_deployment_is_silent(tmp_path):
    done = run(tmp_path, "manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stderr


def test_a_demos_key_and_no_key_start_nothing(tmp_path):
    demo = run(tmp_path, "-c", "import django; django.setup()", DJANGO_SECRET_KEY="demo-x" * 9)
    assert demo.returncode != 0
    assert "is a demo's" in demo.stderr
    none = run(
        tmp_path, "-c", "from django.core.signing import dumps; dumps(1)", DJANGO_SECRET_KEY=""
    )
    assert none.returncode != 0
    assert "SECRET_KEY" in none.stderr


@pytest.mark.parametrize(
    "address",
    [
        "/.git/config", "/.env", "/robo/settings.py", "/static/", "/static/robo/", "/static",
        "/static/../robo/settings.py", "/static/%2e%2e/manage.py", "/media/", "/manage.py",
        "/__debug__/", "/phpinfo.php", "/server-status", "/metrics",
    ],
)  # fmt: skip
def test_nothing_is_served_that_is_no_page(db, address):
    client = Client()
    client.raise_request_exception = False
    response = client.get(address)
    assert response.status_code in {302, 404}, address
    assert b"SECRET_KEY" not in response.content


def test_what_goes_into_the_image_holds_no_history_and_no_tests():
    ignored = (CHECKOUT / ".dockerignore").read_text().split()
    assert {".git", ".env", "tests", "docs", ".robo"} <= set(ignored)


def test_a_new_database_knows_nobody(db):
    assert not User.objects.exists()
    firm = people.make_firm()
    [engine] = User.objects.filter(firm=firm)
    assert engine.role == Role.SERVICE
    assert not engine.has_usable_password()


def test_a_password_need_not_be_changed_after_any_time(db):
    user = people.make_user(people.make_firm())
    with time_machine.travel(clock.now() + timedelta(days=2000)):
        client = Client()
        answer = client.post("/sign-in/", {"username": user.email, "password": people.PASSWORD})
        assert answer.status_code == 302
        assert "password" not in answer["Location"]
        assert SESSION_KEY in client.session or "/2fa" in answer["Location"]


def test_password_fields_hide_what_is_typed_and_let_managers_help(db):
    user = people.make_user(people.make_firm())
    client = Client()
    people.enter(client, user)
    pages = {
        "/sign-in/": Client().get("/sign-in/").content.decode(),
        "/password/": client.get("/password/").content.decode(),
    }
    for address, page in pages.items():
        fields = [field for field in page.split("<input")[1:] if "password" in field.split(">")[0]]
        assert fields, address
        for field in fields:
            words = field.split(">")[0]
            if 'name="username"' in words:
                continue
            assert 'type="password"' in words, (address, words)
            assert 'autocomplete="off"' not in words
            assert "onpaste" not in words
    assert 'autocomplete="current-password"' in pages["/sign-in/"]
    assert 'autocomplete="new-password"' in pages["/password/"]


@pytest.mark.parametrize("name", ["A\r\nBcc: all@example.com", "A\nB", "A\x00B", "A\u2028B"])
def test_a_name_with_a_line_break_is_taken_nowhere(db, name):
    """Names stand in the headers of mails; an address that is none is refused by its form."""
    with pytest.raises(Refused):
        people.make_firm(name)
    firm = people.make_firm()
    with pytest.raises(Refused):
        people.make_user(firm, name=name)
    with pytest.raises(Refused):
        people.make_household(firm, name)
    with pytest.raises(Refused):
        people.make_user(firm, email=f"a@example.com{name}")


def test_brokers_are_called_over_https_with_the_certificate_checked():
    source = Path(alpaca_client.__file__).read_text()
    assert "verify" not in source, "certificates are checked by default"
    assert "http://" not in source


def test_logs_go_to_standard_output_alone(settings):
    handlers = settings.LOGGING["handlers"]
    assert {name: entry["class"] for name, entry in handlers.items()} == {
        "console": "logging.StreamHandler"
    }
    assert not settings.ADMINS, "no mails with the details of failures"


def test_a_session_key_has_more_than_128_bits(db):
    keys = [SessionStore()._get_new_session_key() for _ in range(200)]
    assert len(set(keys)) == 200
    assert {len(key) for key in keys} == {32}
    assert len(set("".join(keys))) == 36  # letters and figures: 165 bits


def test_codes_and_seeds_are_drawn_from_the_system():
    """The same state of Python's ordinary chance gives other seeds: they do not come from it."""
    drawn = set()
    for _ in range(50):
        random.seed(1)
        drawn.add(totp.generate_totp_secret())
    assert len(drawn) == 50
    assert {len(seed) for seed in drawn} == {32}  # base32: 160 bits
    seeds = set()
    for _ in range(50):
        random.seed(1)
        seeds.add(RecoveryCodes.generate_seed())
    assert len(seeds) == 50


def test_what_is_encrypted_is_authenticated_and_differs_each_time():
    sealed = [seal("the key", place="here") for _ in range(20)]
    assert len(set(sealed)) == 20
    raw = bytearray(base64.urlsafe_b64decode(sealed[0]))
    assert raw[0] == 0x80  # Fernet: AES-128 in CBC mode, then HMAC-SHA-256 over all of it
    for place in (1, 9, 20, 30, len(raw) - 1):
        changed = bytearray(raw)
        changed[place] ^= 1
        with pytest.raises(SecretUnreadable):
            unseal(base64.urlsafe_b64encode(changed).decode(), place="here")
    assert unseal(sealed[0], place="here") == "the key"


def test_the_ways_in_are_the_ones_written_down(settings):
    assert settings.MFA_SUPPORTED_TYPES == ["totp", "webauthn", "recovery_codes"]
    assert settings.AUTHENTICATION_BACKENDS == ["accounts.access.PeopleBackend"]
    assert "allauth.socialaccount" not in settings.INSTALLED_APPS
    at_the_door = {pattern.name for pattern in door_patterns}
    assert not {"account_signup", "account_login_code", "account_email"} & at_the_door
    names = {field.name for field in User._meta.get_fields()}
    assert not any(word in name for name in names for word in ("hint", "question", "answer"))


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\n",
    ],
)
def test_a_request_of_two_lengths_is_refused_by_the_server(head):
    """The server that the image starts, with its own settings."""
    body = b"0\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n"
    parser = RequestParser(Config(), iter([head + body]), ("127.0.0.1", 1))
    try:
        request = next(parser)
    except ParseException:
        return
    # RFC 9112 lets a server take the coding over the length, if it then closes the connection.
    assert b"transfer-encoding: chunked" in head.lower()
    assert request.should_close()
