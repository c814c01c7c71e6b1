"""An unsafe call with an Idempotency-Key happens once, whatever repeats, races or dies."""

import json
import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection, connections

from accounts.models import AuditEntry, IdempotentAnswer
from accounts.operations import idempotency
from accounts.operations.people import assign_advisor, release_advisor
from portfolios.models import CashBalance, JournalEntry, Price
from portfolios.operations import books
from rebalancer.api import Deposits
from robo.common import clock
from tests.api.cast import V1, approve, post, read_errors, sign_in

DAY = "2026-11-20"
KEY = {"Idempotency-Key": "the-very-key"}


@pytest.fixture
def advisor(cast):
    return sign_in(cast.people["advisor"])


def deposit(client, cast, amount="100.00", headers=KEY):
    return post(
        client, f"accounts/{cast.keys['account']}/deposits/", {"amount": amount}, headers=headers
    )


def cash(cast):
    return CashBalance.objects.get(account=cast.account).amount


def test_a_repeat_gets_the_same_answer_and_books_nothing(cast, advisor):
    before = cash(cast)
    first, again = deposit(advisor, cast), deposit(advisor, cast)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert "Idempotent-Replayed" not in first
    assert again["Idempotent-Replayed"] == "true"
    assert cash(cast) == before + 100
    # Another key is another deposit.
    deposit(advisor, cast, headers={"Idempotency-Key": "another"})
    assert cash(cast) == before + 200


@pytest.mark.parametrize("change", ["body", "address"])
def test_a_key_with_other_content_is_refused(cast, advisor, change):
    before = cash(cast)
    deposit(advisor, cast)
    if change == "body":
        response = deposit(advisor, cast, "100.01")
    else:
        address = f"accounts/{cast.keys['account']}/withdrawals/"
        response = post(advisor, address, {"amount": "100.00"}, headers=KEY)
    assert response.status_code == 422
    assert read_errors(response) == [("idempotency_key_reused", None)]
    assert cash(cast) == before + 100


def test_a_key_belongs_to_whoever_sent_it(cast, advisor):
    before = cash(cast)
    deposit(advisor, cast)
    response = deposit(sign_in(cast.people["colleague"]), cast)
    assert response.status_code == 201
    assert "Idempotent-Replayed" not in response
    assert cash(cast) == before + 200


@pytest.mark.parametrize(
    ("address", "body"),
    [
        ("accounts/{account}/deposits/", {"amount": "1.00"}),
        ("accounts/{account}/withdrawals/", {"amount": "1.00"}),
        ("proposals/{proposal}/approve/", {"content_hash": "0"}),
        ("proposals/{proposal}/reject/", {"content_hash": "0", "note": "no"}),
        ("proposals/{proposal}/remove-trades/", {"trades": []}),
        ("proposals/{proposal}/answer/", {"answer": "YES", "content_hash": "0"}),
        ("orders/{order}/cancel/", {"reason": "why"}),
        ("prices/", []),
    ],
)
def test_money_and_trades_need_a_key(cast, advisor, address, body):
    for key in (None, "", " ", "a b", "x" * 129, "ä", "a\tb"):
        sent = {"Idempotency-Key": key}
        response = post(advisor, address.format(**cast.keys), body, headers=sent)
        assert response.status_code == 400, key
        code = "required" if key is None else "invalid"
        assert read_errors(response) == [(code, "Idempotency-Key")]


def test_where_a_key_is_not_needed_it_counts_all_the_same(cast, advisor):
    address = f"accounts/{cast.keys['account']}/checks/"
    assert post(advisor, address, {}, headers={"Idempotency-Key": None}).status_code == 201
    first, again = (post(advisor, address, {}, headers=KEY) for _ in range(2))
    assert first.content == again.content
    assert again["Idempotent-Replayed"] == "true"


def test_a_refusal_of_the_content_is_kept(cast, advisor):
    for _ in range(2):
        response = deposit(advisor, cast, "-1")
        assert response.status_code == 400
    assert response["Idempotent-Replayed"] == "true"


def test_what_was_not_tried_is_not_kept(cast, advisor, monkeypatch):
    unassigned = sign_in(cast.people["unassigned"])
    assert deposit(unassigned, cast).status_code == 404
    assign_advisor(
        household_id=cast.world.household.pk,
        advisor_id=cast.people["unassigned"].pk,
        is_lead=False,
        actor_id=cast.people["admin"].pk,
    )
    assert deposit(unassigned, cast).status_code == 201
    # A conflict may be over the next time.
    cast.account.is_open = False
    cast.account.save()
    assert deposit(advisor, cast).status_code == 409
    cast.account.is_open = True
    cast.account.save()
    assert deposit(advisor, cast).status_code == 201


def test_a_failure_of_ours_leaves_nothing_and_can_be_repeated(cast, advisor, monkeypatch):
    before, entries = cash(cast), AuditEntry.objects.count()

    def fail_after_booking(**facts):
        books.deposit_cash(**facts)
        raise RuntimeError("out of memory, say")

    monkeypatch.setattr(Deposits, "operation", staticmethod(fail_after_booking))
    advisor.raise_request_exception = False
    assert deposit(advisor, cast).status_code == 500
    assert (cash(cast), AuditEntry.objects.count()) == (before, entries)
    assert not IdempotentAnswer.objects.exists()
    monkeypatch.setattr(Deposits, "operation", staticmethod(books.deposit_cash))
    assert deposit(advisor, cast).status_code == 201
    assert cash(cast) == before + 100


def test_who_lost_the_right_to_see_is_not_shown_the_answer_again(cast, advisor):
    assert deposit(advisor, cast).status_code == 201
    release_advisor(
        household_id=cast.world.household.pk,
        advisor_id=cast.people["advisor"].pk,
        actor_id=cast.people["admin"].pk,
    )
    assert deposit(advisor, cast).status_code == 404


def test_a_decision_is_made_once_and_answered_twice(cast, advisor):
    first, again = (approve_with_key(advisor, cast) for _ in range(2))
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.content == again.content
    # With another key the second approval is what it always was: a conflict.
    assert approve(advisor, cast.proposal).status_code == 409


def approve_with_key(client, cast):
    body = {"content_hash": cast.proposal.content_hash, "note": ""}
    return post(client, f"proposals/{cast.proposal.public_id}/approve/", body, headers=KEY)


def test_prices_are_recorded_once(cast):
    admin = sign_in(cast.people["admin"])
    body = [{"symbol": "OURS", "price_date": DAY, "price": "12.50"}]
    first, again = (post(admin, "prices/", body, headers=KEY) for _ in range(2))
    assert first.json() == again.json()
    assert first.json()["recorded"] == 1
    assert Price.objects.filter(security__symbol="OURS").count() == 1


def test_old_answers_are_dropped_after_two_days(cast, advisor):
    deposit(advisor, cast)
    now = clock.now()
    row = IdempotentAnswer.objects.get()
    assert idempotency.purge_answers(now=row.created_at + timedelta(hours=47)) == 0
    assert idempotency.purge_answers(now=row.created_at + timedelta(hours=49)) == 1
    assert row.created_at - now < timedelta(days=400)


@pytest.mark.django_db(transaction=True)
def test_many_at_once_book_once(cast):
    """Twenty parallel calls with one key: one books, the others wait or repeat its answer."""
    before = cash(cast)
    clients = [sign_in(cast.people["advisor"]) for _ in range(20)]
    start, seen = threading.Barrier(20), []

    def call(client):
        start.wait()
        seen.append(deposit(client, cast))
        connections.close_all()

    threads = [threading.Thread(target=call, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = {response.status_code for response in seen}
    assert statuses <= {201, 409}
    for response in seen:
        if response.status_code == 409:
            assert read_errors(response) == [("in_progress", None)]
            assert response["Retry-After"] == "1"
    assert len({r.content for r in seen if r.status_code == 201}) == 1
    assert cash(cast) == before + 100
    assert JournalEntry.objects.filter(account=cast.account, kind="DEPOSIT").count() <= 2


@pytest.mark.django_db(transaction=True)
def test_a_process_that_dies_lets_go_of_its_key_and_leaves_nothing(cast, advisor):
    """The connection that held the key is cut in mid-transaction, as when its process is killed."""
    before = cash(cast)
    taken, cut = threading.Event(), threading.Event()
    whose = {"credential": f"user:{cast.people['advisor'].pk}", "key": KEY["Idempotency-Key"]}

    def die():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [idempotency._lock_number(**whose)])
            cursor.execute("BEGIN")
            cursor.execute("UPDATE portfolios_cashbalance SET amount = amount + 100")
        taken.set()
        cut.wait(10)
        connections.close_all()

    thread = threading.Thread(target=die)
    thread.start()
    taken.wait(10)
    response = deposit(advisor, cast)
    assert (response.status_code, response["Retry-After"]) == (409, "1")
    cut.set()
    thread.join()
    assert deposit(advisor, cast).status_code == 201
    assert cash(cast) == before + Decimal(100)


def test_a_key_does_not_open_other_doors(cast):
    """Without a sign-in or CSRF token a known key answers nothing."""
    deposit(sign_in(cast.people["advisor"]), cast)
    address = V1 + f"accounts/{cast.keys['account']}/deposits/"
    body = json.dumps({"amount": "100.00"})
    sent = {"data": body, "content_type": "application/json", "headers": KEY}
    assert sign_in(None).post(address, **sent).status_code == 401
    strict = sign_in(cast.people["advisor"], enforce_csrf_checks=True)
    assert strict.post(address, **sent).status_code == 403
