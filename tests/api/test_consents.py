"""The client's word over the API: yes or no to trades, texts to agree to, and what still waits."""

from datetime import timedelta

import pytest
from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY

from accounts.models import Consent
from accounts.operations import consents as account_consents
from rebalancer import models
from rebalancer.domain.lifecycle import ProposalStatus
from tests import people
from tests.api.cast import HEAVY, V1, post, read_errors, sign_in
from tests.rebalancer.world import DAY


@pytest.fixture
def client(cast):
    return sign_in(cast.people["client"])


@pytest.fixture
def asked(cast):
    """Give a proposal for an account without a mandate."""
    account = cast.world.add_account("1000", lots=HEAVY, is_discretionary=False)
    cast.world.look()
    return account.proposals.get()


def answer(client, proposal, word="YES", **changes):
    options = {"headers": changes.pop("headers")} if "headers" in changes else {}
    body = {"answer": word, "content_hash": proposal.content_hash, **changes}
    return post(client, f"proposals/{proposal.public_id}/answer/", body, **options)


def show(client, proposal):
    return client.get(f"{V1}proposals/{proposal.public_id}/").json()


def documents(client, cast):
    return client.get(f"{V1}households/{cast.keys['household']}/documents/").json()


# --- Yes or no ------------------------------------------------------------------------------------


def test_a_client_reads_what_is_asked_and_says_yes(cast, client, asked, nudged):
    seen = show(client, asked)
    assert seen["is_answer_wanted"] is True
    assert seen["content_hash"] == asked.content_hash
    assert {trade["symbol"] for trade in seen["trades"]} == {"USTM", "INTL", "BOND"}
    assert seen["turnover_amount"] == str(asked.turnover_amount)
    assert "If nothing is done" in " ".join(seen["rationale"])
    assert seen["missing"] == ["The client has not said yes to these trades."]
    listed = {row["id"]: row for row in client.get(f"{V1}proposals/").json()["results"]}
    assert listed[seen["id"]]["tax_amount"] == str(asked.tax_amount)
    assert listed[cast.keys["proposal"]]["tax_amount"] is None, "under a mandate nobody is asked"

    response = answer(client, asked, note="go ahead", content_hash=seen["content_hash"])
    assert response.status_code == 200, response.content
    told = response.json()
    assert told["answered_at"]
    assert told | {"answered_at": ""} == {
        "proposal_id": seen["id"],
        "status": "PENDING",
        "answer": "YES",
        "answered_by": cast.people["client"].name,
        "answered_at": "",
        "note": "go ahead",
    }
    assert nudged == ["rebalancer.tasks.submit_orders"]
    after = show(client, asked)
    assert (after["is_answer_wanted"], after["missing"]) == (False, [])
    assert after["client_answer"]["answer"] == "YES"
    advisor = show(sign_in(cast.people["advisor"]), asked)
    assert advisor["client_answer"]["note"] == "go ahead"
    assert advisor["rationale"] == []


def test_a_no_ends_it_and_its_answer_can_be_asked_for_again(cast, client, asked, nudged):
    key = {"Idempotency-Key": "once"}
    first, again = (answer(client, asked, "NO", headers=key) for _ in range(2))
    assert (first.status_code, first.json()["status"]) == (200, "EXPIRED")
    assert again.content == first.content
    assert again["Idempotent-Replayed"] == "true"
    assert nudged == []
    asked.refresh_from_db()
    assert asked.status == ProposalStatus.EXPIRED
    # Gone for the client, and with it every other key.
    assert answer(client, asked, "NO").status_code == 404
    other = sign_in(cast.people["other_client"])
    assert answer(other, asked, "NO", headers=key).status_code == 404


def test_an_answer_is_given_once_by_the_household_and_to_what_was_seen(cast, client, asked):
    assert answer(client, asked, content_hash="0" * 64).status_code == 409
    for name in ("advisor", "colleague"):
        refused = answer(sign_in(cast.people[name]), asked)
        assert refused.status_code == 403
        assert read_errors(refused) == [("not_allowed", None)]
    assert answer(sign_in(cast.people["other_client"]), asked).status_code == 404
    assert not models.ClientAnswer.objects.exists()
    assert answer(client, asked).status_code == 200
    spouse = sign_in(people.make_client(cast.world.household))
    second = answer(spouse, asked, "NO")
    assert second.status_code == 409
    assert "answered already" in second.json()["errors"][0]["detail"]
    assert models.ClientAnswer.objects.get().is_yes


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"answer": "yes"}, "answer"),
        ({"answer": True}, "answer"),
        ({"note": "x" * 301}, "note"),
        ({"content_hash": ""}, "content_hash"),
        ({"is_yes": True}, "non_field_errors"),
    ],
)
def test_what_cannot_be_read_is_no_answer(client, asked, changes, field):
    response = answer(client, asked, **changes)
    assert response.status_code == 400
    assert read_errors(response)[0][1] == field
    assert not models.ClientAnswer.objects.exists()


def test_an_answer_and_a_consent_need_a_fresh_sign_in(cast, asked):
    client = sign_in(cast.people["client"])
    session = client.session
    session[AUTHENTICATION_METHODS_SESSION_KEY] = [{"method": "password", "at": 0}]
    session.save()
    text = people.publish_text(cast.world.firm, today=DAY)
    body = {"agree": [{"id": str(text.public_id), "text_hash": text.text_hash}]}
    address = f"households/{cast.keys['household']}/documents/"
    for response in (answer(client, asked), post(client, address, body)):
        assert response.status_code == 403
        assert read_errors(response) == [("step_up_required", None)]
    assert client.get(V1 + address).status_code == 200, "reading is free"


# --- Texts and what is missing --------------------------------------------------------------------


def test_a_client_reads_the_texts_and_agrees(cast, client):
    firm = cast.world.firm
    text = people.publish_text(firm, today=DAY)
    sentence = "The household has not agreed to “What it costs”."
    before = documents(client, cast)
    [line] = before["documents"]
    assert line["text"] == "Nothing is free."
    assert (line["is_in_force"], line["agreed_by"], line["agreed_at"]) == (True, None, None)
    [account] = before["accounts"]
    assert account["missing"] == [sentence]
    assert show(client, cast.proposal)["missing"] == [sentence]

    address = f"households/{cast.keys['household']}/documents/"
    wrong = {"agree": [{"id": line["id"], "text_hash": "0" * 64}]}
    assert post(client, address, wrong).status_code == 409
    agree = {"agree": [{"id": line["id"], "text_hash": line["text_hash"]}]}
    assert post(sign_in(cast.people["advisor"]), address, agree).status_code == 403
    assert not Consent.objects.exists()
    for _ in range(2):
        response = post(client, address, agree)
        assert response.status_code == 200
    after = response.json()
    assert after["documents"][0]["agreed_by"] == cast.people["client"].name
    assert after["accounts"][0]["missing"] == []
    assert Consent.objects.get().text_hash == text.text_hash


def test_a_draft_is_nothing_that_a_client_could_agree_to(cast, client):
    draft = account_consents.draft_disclosure(
        firm_id=cast.world.firm.pk,
        kind="FEES",
        title="A draft",
        text="Not yet.",
        user_id=cast.people["admin"].pk,
    )
    assert documents(client, cast)["documents"] == []
    body = {"agree": [{"id": str(draft.public_id), "text_hash": draft.text_hash}]}
    response = post(client, f"households/{cast.keys['household']}/documents/", body)
    assert response.status_code == 409


def test_mandates_and_profiles_that_no_longer_hold_are_named(cast, client):
    admin, account = cast.people["admin"], cast.account
    tomorrow = DAY + timedelta(days=1)
    people.give_mandate(account, starts_on=tomorrow, asset_classes=["us-equity"])
    own = cast.world.add_account("10", is_discretionary=False, name="Own")
    cast.world.firm.price_source = "FILE"
    cast.world.firm.save()
    shown = {row["account"]["id"]: row for row in documents(client, cast)["accounts"]}
    mine = shown[cast.keys["account"]]
    assert mine["mandate"]["asset_classes"] == ["us-equity"]
    assert f"The mandate starts on {tomorrow:%d %B %Y}." in mine["missing"]
    assert any("has no risk profile" in words for words in mine["missing"])
    other = shown[str(own.public_id)]
    assert (other["is_discretionary"], other["mandate"]) == (False, None)
    assert not any("mandate" in words for words in other["missing"])
    assert any(words.startswith("Own has no risk profile") for words in other["missing"])

    account_consents.end_mandate(account_id=account.pk, user_id=admin.pk)
    account.refresh_from_db()
    account.is_discretionary = True
    account.save()
    shown = {row["account"]["id"]: row for row in documents(client, cast)["accounts"]}
    assert "No mandate of the client is on record." in shown[cast.keys["account"]]["missing"]
