"""Approving, rejecting and editing over the API, and what a second caller gets."""

import uuid
from datetime import date, timedelta

import pytest

from rebalancer import models
from rebalancer.domain.lifecycle import ProposalStatus
from robo.common import clock
from tests.api.cast import HEAVY, OLD, V1, approve, post, read_errors, sign_in
from tests.people import enter


@pytest.fixture
def advisor(cast):
    return sign_in(cast.people["advisor"])


def show(client, proposal_id):
    return client.get(f"{V1}proposals/{proposal_id}/").json()


def test_an_approval_writes_the_orders_and_calls_a_worker(cast, advisor, nudged):
    seen = show(advisor, cast.keys["proposal"])
    response = approve(advisor, cast.proposal, note="fits", content_hash=seen["content_hash"])
    assert response.status_code == 200
    body = response.json()
    assert body["status"] == "APPROVED"
    assert body["decision"]["note"] == "fits"
    assert body["decision"]["decided_by"] == cast.people["advisor"].name
    assert {(o["symbol"], o["quantity"]) for o in body["orders"]} == {
        (t["symbol"], t["quantity"]) for t in seen["trades"]
    }
    assert nudged == ["rebalancer.tasks.submit_orders"]


def test_the_orders_show_their_fills(cast, advisor):
    approve(advisor, cast.proposal)
    cast.world.trade()
    orders = advisor.get(V1 + "orders/").json()["results"]
    assert {order["status"] for order in orders} == {"FILLED"}
    sale = next(order for order in orders if order["side"] == "SELL")
    assert sale["filled_amount"] == "4099.18"
    assert sale["average_price"] == "99.980000"
    assert sum(float(fill["quantity"]) for fill in sale["fills"]) == 41
    assert sale["account"]["id"] == cast.keys["account"]
    assert sale["proposal_id"] == cast.keys["proposal"]
    [client_sees] = [
        order
        for order in sign_in(cast.people["client"]).get(V1 + "orders/").json()["results"]
        if order["side"] == "SELL"
    ]
    assert client_sees == sale


def test_a_second_approval_is_a_conflict_and_changes_nothing(cast, advisor):
    assert approve(advisor, cast.proposal).status_code == 200
    orders = set(models.Order.objects.values_list("client_order_id", flat=True))
    for person in ("advisor", "colleague"):
        response = approve(sign_in(cast.people[person]), cast.proposal)
        assert response.status_code == 409
        assert read_errors(response) == [("conflict", None)]
        assert "approved this proposal already" in response.json()["errors"][0]["detail"]
        assert "fresh_proposal_id" not in response.json()
    assert set(models.Order.objects.values_list("client_order_id", flat=True)) == orders
    assert models.Decision.objects.count() == 1


@pytest.mark.parametrize("content_hash", ["0" * 64, "short", "ü"])
def test_what_was_not_seen_is_not_decided(cast, advisor, content_hash):
    for action in ("approve", "reject"):
        body = {"content_hash": content_hash, "note": "why"}
        response = post(advisor, f"proposals/{cast.keys['proposal']}/{action}/", body)
        assert response.status_code == 409
        assert "not the proposal you saw" in response.json()["errors"][0]["detail"]
    assert not models.Decision.objects.exists()


def test_a_stale_approval_names_the_fresh_proposal(cast, advisor):
    cast.world.set_prices(date(2026, 11, 23), USTM="95")
    response = approve(advisor, cast.proposal)
    assert response.status_code == 409
    assert read_errors(response) == [("stale", None)]
    fresh = show(advisor, response.json()["fresh_proposal_id"])
    assert fresh["supersedes"] == cast.keys["proposal"]
    assert fresh["status"] == "PENDING"
    old = show(advisor, cast.keys["proposal"])
    assert (old["status"], old["superseded_by"]) == ("SUPERSEDED", fresh["id"])
    body = {"content_hash": fresh["content_hash"]}
    assert post(advisor, f"proposals/{fresh['id']}/approve/", body).status_code == 200


def test_a_stale_approval_with_nothing_left_to_trade_says_so(cast, advisor):
    # At 80 a share, this account would be exactly on its target.
    lots = [("USTM", "80", "4000", OLD), ("INTL", "80", "3000", OLD), ("BOND", "76", "6000", OLD)]
    account = cast.world.add_account("320", lots=lots)
    cast.world.look()
    proposal = models.Proposal.objects.get(account=account)
    cast.world.set_prices(date(2026, 11, 23), USTM="80")
    response = approve(advisor, proposal)
    assert response.status_code == 409
    assert response.json()["fresh_proposal_id"] is None
    assert show(advisor, proposal.public_id)["status"] == "EXPIRED"


def test_moved_prices_are_shown_before_anybody_approves(cast, advisor):
    assert show(advisor, cast.keys["proposal"])["changes"] == []
    cast.world.set_prices(date(2026, 11, 23), USTM="95")
    shown = show(advisor, cast.keys["proposal"])
    assert any("USTM" in change for change in shown["changes"])
    [moved] = shown["moved_prices"]
    assert (moved["then"], moved["now"], moved["is_too_far"]) == ("100.000000", "95.000000", True)
    assert moved["change"] == "-0.05000000"


def test_a_rejection_keeps_its_reason(cast, advisor):
    body = {"content_hash": cast.proposal.content_hash, "note": "The client objects."}
    response = post(advisor, f"proposals/{cast.keys['proposal']}/reject/", body)
    assert response.status_code == 200
    assert response.json()["status"] == "REJECTED"
    assert response.json()["decision"]["note"] == "The client objects."
    assert response.json()["orders"] == []
    again = post(advisor, f"proposals/{cast.keys['proposal']}/reject/", body)
    assert again.status_code == 409
    assert approve(advisor, cast.proposal).status_code == 409


@pytest.mark.parametrize("note", ["", "   ", None])
def test_a_rejection_needs_a_reason(cast, advisor, note):
    body = {"content_hash": cast.proposal.content_hash}
    body |= {} if note is None else {"note": note}
    response = post(advisor, f"proposals/{cast.keys['proposal']}/reject/", body)
    assert response.status_code == 400
    assert read_errors(response)[0][1] == "note"


def test_whoever_removes_a_trade_cannot_approve_the_rest(cast, advisor):
    seen = show(advisor, cast.keys["proposal"])
    buy = next(trade for trade in seen["trades"] if trade["symbol"] == "INTL")
    address = f"proposals/{seen['id']}/remove-trades/"
    response = post(advisor, address, {"trades": [buy["id"]]})
    assert response.status_code == 201
    fresh = response.json()
    assert fresh["id"] != seen["id"]
    assert "INTL" not in {trade["symbol"] for trade in fresh["trades"]}
    assert fresh["proposed_by"] == cast.people["advisor"].name
    body = {"content_hash": fresh["content_hash"]}
    own = post(advisor, f"proposals/{fresh['id']}/approve/", body)
    assert own.status_code == 403
    assert read_errors(own) == [("not_allowed", None)]
    colleague = sign_in(cast.people["colleague"])
    assert post(colleague, f"proposals/{fresh['id']}/approve/", body).status_code == 200
    # The proposal it replaced is out of reach, whoever asks again.
    assert post(advisor, address, {"trades": [buy["id"]]}).status_code == 409
    assert approve(colleague, cast.proposal).status_code == 409


@pytest.mark.parametrize("trades", [[], None, "all", [7], ["x"], [str(uuid.uuid4())]])
def test_trades_that_are_none_cannot_be_removed(cast, advisor, trades):
    address = f"proposals/{cast.keys['proposal']}/remove-trades/"
    response = post(advisor, address, {"trades": trades})
    assert response.status_code == 400
    assert read_errors(response)[0][1].startswith("trades")
    assert models.Proposal.objects.get(pk=cast.proposal.pk).status == ProposalStatus.PENDING


def test_trades_of_another_proposal_cannot_be_removed(cast, advisor):
    account = cast.world.add_account("1000", lots=HEAVY)
    cast.world.look()
    elsewhere = models.Proposal.objects.get(account=account)
    [trade, *_] = show(advisor, elsewhere.public_id)["trades"]
    address = f"proposals/{cast.keys['proposal']}/remove-trades/"
    response = post(advisor, address, {"trades": [trade["id"]]})
    assert response.status_code == 400
    assert read_errors(response) == [("unknown_trade", "trades")]


def test_removing_every_trade_is_refused_in_the_end(cast, advisor):
    """The engine finds other ways for a while; when none is left, the last proposal stays."""
    proposal = show(advisor, cast.keys["proposal"])
    for _ in range(8):
        trades = [trade["id"] for trade in proposal["trades"]]
        address = f"proposals/{proposal['id']}/remove-trades/"
        response = post(advisor, address, {"trades": trades})
        if response.status_code != 201:
            break
        proposal = response.json()
    assert response.status_code == 400
    assert read_errors(response) == [("refused", "non_field_errors")]
    assert "reject it instead" in response.json()["errors"][0]["detail"]
    assert show(advisor, proposal["id"])["status"] == "PENDING"


def test_a_late_approval_is_a_conflict(cast, advisor, monkeypatch):
    late = cast.proposal.expires_at + timedelta(seconds=1)
    monkeypatch.setattr(clock, "database_now", lambda: late)
    enter(advisor, cast.people["advisor"])
    response = approve(advisor, cast.proposal)
    assert response.status_code == 409
    assert "expired" in response.json()["errors"][0]["detail"]
