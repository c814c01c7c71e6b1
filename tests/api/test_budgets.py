"""Budgets: so many calls a minute, counted in one step, for whoever calls and for their firm."""

import threading
import uuid

import pytest

from rebalancer.api import CASE_SHOWN
from robo.common.api import budgets
from tests.api.cast import V1, post, read_errors, sign_in


@pytest.fixture(autouse=True)
def _small(settings, monkeypatch):
    settings.API_BUDGETS = {"read": 3, "write": 2, "solve": 1}
    monkeypatch.setattr(budgets, "FIRM_FACTOR", 2)


def test_reads_writes_and_solves_have_their_own(cast):
    client = sign_in(cast.people["advisor"])
    assert [client.get(V1 + "me/").status_code for _ in range(5)] == [200] * 3 + [429] * 2
    assert post(client, "solve/", CASE_SHOWN).status_code == 200
    refused = post(client, "solve/", CASE_SHOWN)
    assert refused.status_code == 429
    assert read_errors(refused) == [("throttled", None)]
    assert 0 < int(refused["Retry-After"]) <= 60
    address = f"accounts/{cast.keys['account']}/checks/"
    assert [post(client, address, {}).status_code for _ in range(3)] == [201, 201, 429]


def test_a_firm_has_one_too_and_another_firm_its_own(cast, other):
    people = [cast.people[name] for name in ("client", "advisor", "colleague")]
    statuses = [sign_in(one).get(V1 + "me/").status_code for one in people for _ in range(3)]
    assert statuses == [200] * 6 + [429] * 3
    assert sign_in(other.people["advisor"]).get(V1 + "me/").status_code == 200


def test_what_was_refused_changed_nothing_and_its_key_can_be_used_again(cast, settings):
    client = sign_in(cast.people["advisor"])
    address = f"accounts/{cast.keys['account']}/deposits/"
    for _ in range(2):
        post(client, address, {"amount": "1.00"})
    key = {"Idempotency-Key": "later"}
    assert post(client, address, {"amount": "5.00"}, headers=key).status_code == 429
    settings.API_BUDGETS = {"read": 9, "write": 9, "solve": 9}
    assert post(client, address, {"amount": "5.00"}, headers=key).status_code == 201


def test_parallel_calls_do_not_slip_through(settings):
    settings.API_BUDGETS = {"read": 50, "write": 2, "solve": 1}
    who, passed, start = f"user:{uuid.uuid4()}", [], threading.Barrier(20)

    def call():
        start.wait()
        for _ in range(10):
            if not budgets.spend(budgets.READS, credential=who, firm_id=uuid.uuid4().int):
                passed.append(1)

    threads = [threading.Thread(target=call) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passed) == 50


def test_a_count_always_ends(settings):
    who = f"user:{uuid.uuid4()}"
    budgets.spend(budgets.READS, credential=who, firm_id=1)
    client = budgets._client(settings.CACHES["default"]["LOCATION"])
    assert 0 < client.pttl(f"api:read:{who}") <= 60_000


def test_without_redis_people_work_on_and_solving_waits(cast, settings):
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://[::1]:1/0"}}
    client = sign_in(cast.people["advisor"])
    assert {client.get(V1 + "me/").status_code for _ in range(5)} == {200}
    address = f"accounts/{cast.keys['account']}/deposits/"
    assert {post(client, address, {"amount": "1.00"}).status_code for _ in range(3)} == {201}
    assert post(client, "solve/", CASE_SHOWN).status_code == 429
