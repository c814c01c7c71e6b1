"""Guessing is slowed down at every door, and nobody is locked out by somebody else's guesses."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from allauth.usersessions.models import UserSession
from django.contrib.auth.tokens import default_token_generator
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import connection
from django.test import Client, RequestFactory
from django.urls import reverse
from redis.exceptions import ConnectionError as RedisGone

from accounts import tasks
from accounts.access import build_sign_in_path
from accounts.domain.doors import FREE_ATTEMPTS, FREE_ATTEMPTS_OF_A_NETWORK, WAIT_SECONDS_MAX
from accounts.domain.roles import Role
from accounts.models import Attempt, AuditEntry
from accounts.operations import throttling
from accounts.views import throttle
from tests.people import PASSWORD, make_firm, make_user

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
SIGN_IN = "/sign-in/"


@pytest.fixture
def advisor(db):
    return make_user(make_firm(), Role.ADVISOR, email="ann@example.com")


def attempt(client, email, password, **extra):
    return client.post(SIGN_IN, {"username": email, "password": password}, **extra)


@pytest.mark.parametrize("email", ["ann@example.com", "nobody@example.com"])
def test_each_further_miss_waits_twice_as_long_known_or_not(advisor, client, email):
    with time_machine.travel(NOW, tick=False) as clock:
        for _ in range(FREE_ATTEMPTS + 1):
            assert attempt(client, email, "wrong").status_code == 200
        for wait_seconds in (15, 30, 60):
            stopped = attempt(client, email, PASSWORD)
            assert stopped.status_code == 429
            assert wait_seconds <= int(stopped["Retry-After"]) <= wait_seconds + 1
            assert "Too many attempts" in stopped.content.decode()
            clock.shift(wait_seconds)
            assert attempt(client, email, "wrong").status_code == 200


def test_a_wait_holds_for_one_network_only_and_ends_with_the_right_password(advisor, client):
    with time_machine.travel(NOW, tick=False):
        for _ in range(FREE_ATTEMPTS + 1):
            attempt(client, advisor.email, "wrong")
        assert attempt(client, advisor.email.upper(), PASSWORD).status_code == 429
        elsewhere = attempt(client, advisor.email, PASSWORD, REMOTE_ADDR="203.0.113.9")
        assert elsewhere.status_code == 302
    client.logout()
    for _ in range(3):
        for _ in range(FREE_ATTEMPTS - 1):
            attempt(client, advisor.email, "wrong", REMOTE_ADDR="203.0.113.10")
        right = attempt(client, advisor.email, PASSWORD, REMOTE_ADDR="203.0.113.10")
        assert right.status_code == 302
        client.logout()


def test_a_hundred_wrong_tries_lock_nobody_out(advisor, client):
    """The lock-out weapon: whoever guesses waits; the owner comes in from elsewhere at once."""
    with time_machine.travel(NOW, tick=False) as clock:
        answers = [attempt(client, advisor.email, f"guess {n}").status_code for n in range(100)]
        assert answers.count(200) == FREE_ATTEMPTS + 1
        elsewhere = attempt(Client(), advisor.email, PASSWORD, REMOTE_ADDR="203.0.113.9")
        assert elsewhere.status_code == 302
        clock.shift(WAIT_SECONDS_MAX)
        # Even where the guesses came from, the wait ends by itself.
        assert attempt(Client(), advisor.email, PASSWORD).status_code == 302


def test_no_wait_grows_without_end(db):
    now, waits = NOW, []
    for _ in range(60):
        waits.append(throttling.register_attempt(key="k", now=now).seconds)
        now += timedelta(seconds=waits[-1])
    # An hour after the first miss the counting begins anew, so waits do not even add up.
    assert WAIT_SECONDS_MAX / 2 < max(waits) <= WAIT_SECONDS_MAX + 1
    assert waits.count(0) > 20


def test_trying_many_addresses_from_one_network_is_slowed_down_too(db):
    request = RequestFactory().post("/", REMOTE_ADDR="192.0.2.7")
    with time_machine.travel(NOW, tick=False):
        waits = [
            throttle.register(request, door="password", who=f"{n}@example.com").seconds
            for n in range(FREE_ATTEMPTS_OF_A_NETWORK + 3)
        ]
    assert not any(waits[: FREE_ATTEMPTS_OF_A_NETWORK + 1])
    assert all(waits[FREE_ATTEMPTS_OF_A_NETWORK + 1 :])


@pytest.mark.django_db(transaction=True)
def test_parallel_guesses_do_not_slip_through():
    outcomes, gate = [], threading.Barrier(12)

    def guess():
        try:
            gate.wait()
            outcomes.append(throttling.register_attempt(key="same", now=NOW).seconds)
        finally:
            connection.close()

    threads = [threading.Thread(target=guess) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(wait == 0 for wait in outcomes) == FREE_ATTEMPTS + 1
    assert len(outcomes) == 12


def test_a_cache_that_is_gone_or_emptied_opens_no_door_and_shuts_none(advisor, client, monkeypatch):
    """F-07: the counts are where the people are, so signing in needs no cache to be safe."""
    with time_machine.travel(NOW, tick=False):
        for _ in range(FREE_ATTEMPTS + 1):
            attempt(client, advisor.email, "wrong")
        cache.clear()
        assert attempt(client, advisor.email, PASSWORD).status_code == 429

        def gone(*args, **kwargs):
            raise RedisGone("connection refused")

        for name in ("get", "set", "add", "incr", "delete_many"):
            monkeypatch.setattr(cache, name, gone)
        assert attempt(client, advisor.email, PASSWORD).status_code == 429
        elsewhere = attempt(client, advisor.email, PASSWORD, REMOTE_ADDR="203.0.113.9")
        assert elsewhere.status_code == 302


@pytest.mark.parametrize(
    ("proxy_header", "forwarded", "address"),
    [
        (None, "198.51.100.1", "127.0.0.1"),
        (("HTTP_X_FORWARDED_PROTO", "https"), "198.51.100.1, 203.0.113.5", "203.0.113.5"),
        (("HTTP_X_FORWARDED_PROTO", "https"), "", "127.0.0.1"),
    ],
)
def test_only_our_own_proxy_is_believed_about_addresses(settings, proxy_header, forwarded, address):
    settings.SECURE_PROXY_SSL_HEADER = proxy_header
    request = RequestFactory().get("/", HTTP_X_FORWARDED_FOR=forwarded)
    assert throttle.get_address(request) == address


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_an_ipv6_customer_is_one_network_however_many_addresses_they_use(address, network):
    request = RequestFactory().get("/", REMOTE_ADDR=address)
    assert throttle.get_network(request) == network


def test_the_counts_name_nobody_and_go_after_a_while(advisor, client):
    with time_machine.travel(NOW, tick=False):
        attempt(client, advisor.email, "wrong")
    keys = list(Attempt.objects.values_list("key", flat=True))
    assert keys
    assert not any("ann" in key or "127" in key for key in keys)
    assert throttling.purge_attempts(now=NOW + timedelta(minutes=59)) == 0
    assert throttling.purge_attempts(now=NOW + timedelta(minutes=61)) == len(keys)


def test_other_doors_count_as_well(advisor, client):
    forgotten = reverse("account_reset_password")
    answers = [
        client.post(forgotten, {"email": advisor.email}).status_code
        for _ in range(FREE_ATTEMPTS + 2)
    ]
    assert answers == [302] * (FREE_ATTEMPTS + 1) + [429]
    path = build_sign_in_path(advisor)
    guesses = [client.get(path[:-5] + f"{n:04d}/").status_code for n in range(FREE_ATTEMPTS + 2)]
    assert guesses == [200] * (FREE_ATTEMPTS + 1) + [429]
    assert default_token_generator.check_token(advisor, path.split("/")[-2])
    # The owner's link works from where nobody guessed.
    assert Client(REMOTE_ADDR="203.0.113.9").get(path).status_code == 302


def test_confirming_who_one_is_counts_as_well(advisor, client):
    client.force_login(advisor)
    confirm = reverse("account_reauthenticate")
    answers = [
        client.post(confirm, {"password": "wrong"}).status_code for _ in range(FREE_ATTEMPTS + 2)
    ]
    assert answers == [422] * (FREE_ATTEMPTS + 1) + [429]
    # It is the same count as at the front door, so that neither is a way around the other.
    assert attempt(Client(), advisor.email, PASSWORD).status_code == 429


def test_the_journal_tells_of_misses_and_of_the_wait_once_each(advisor, client, caplog):
    with time_machine.travel(NOW, tick=False):
        for _ in range(FREE_ATTEMPTS + 5):
            attempt(client, advisor.email, "wrong")
    entries = AuditEntry.objects.filter(object_id=str(advisor.public_id))
    assert entries.filter(action="accounts.door.password_failed").count() == FREE_ATTEMPTS + 1
    assert entries.filter(action="accounts.door.refused").count() == 1
    assert "127.0.0.1" not in str(list(entries.values_list("detail", "summary")))


def test_strangers_leave_a_hash_in_the_log_and_nothing_in_the_journal(advisor, client, caplog):
    before = AuditEntry.objects.count()
    attempt(client, "Some.Stranger@example.com", "wrong")
    assert AuditEntry.objects.count() == before
    assert "unknown address" in caplog.text
    assert "stranger" not in caplog.text.lower()


def test_old_counts_and_ended_sessions_are_removed_in_time(advisor, client):
    with time_machine.travel(NOW, tick=False):
        assert attempt(client, advisor.email, PASSWORD).status_code == 302
        attempt(client, advisor.email, "wrong")
        tasks.purge_doors()
        assert Session.objects.count() == UserSession.objects.count() == 1
    with time_machine.travel(NOW + timedelta(hours=13), tick=False):
        tasks.purge_doors()
    assert not Attempt.objects.exists()
    assert not Session.objects.exists()
    assert not UserSession.objects.exists()
