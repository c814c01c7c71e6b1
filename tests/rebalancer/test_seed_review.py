"""`manage.py seed_review`: two firms in which everything is there, and whose names keep apart."""

import io
import json
import stat

import pytest
import time_machine
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts.domain.scopes import Scope
from accounts.models import Firm
from portfolios.queries.books import check_books
from rebalancer import models
from rebalancer.domain.lifecycle import OrderStatus, ProposalStatus
from rebalancer.management.review_firm import CANARY_B, CANARY_C, PEOPLE
from rebalancer.queries.proof import check_orders
from tests.rebalancer.world import NOW

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _an_installation(settings, tmp_path, monkeypatch):
    settings.PAPER_BROKER_PATH = tmp_path / "paper_broker.sqlite3"
    settings.PAPER_BROKER_URL = ""
    settings.DEMO, settings.SECOND_FACTOR_REQUIRED = True, False
    settings.SECRETS_KEYS = [Fernet.generate_key().decode()]
    monkeypatch.setattr("rebalancer.tasks.nudge", lambda task, **_: None)
    with time_machine.travel(NOW, tick=False):
        yield


def seed(path, *options):
    call_command("seed_review", "--json", str(path), *options, stdout=io.StringIO())
    return json.loads(path.read_text())


def test_everything_is_there_and_can_be_used(tmp_path):
    path = tmp_path / "review.json"
    told = seed(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(told["firms"]) == {"a", "b"}
    for key, firm in told["firms"].items():
        assert set(firm["people"]) == set(PEOPLE)
        assert set(ProposalStatus) - set(firm["proposals"]) == set()
        # One silence of the broker is enough for both.
        assert set(OrderStatus) - set(firm["orders"]) == ({"SUBMITTING"} if key == "b" else set())
        assert set(firm["blocks"]) >= {"FILLED", "PARTIALLY_FILLED", "SUBMITTED", "EXPIRED"}
        assert set(firm["switches"]) == {"STOPPED", "CLEAR_ASKED", "CLEARED"}
        assert set(firm["limits"]) == {"IN_FORCE", "PROPOSED"}
        assert set(firm["tokens"]) == {*map(str, Scope), "all"}
        assert set(firm["breaks"]) == {"OPEN", "CLOSED"}
        assert set(firm["secrets"]) == {"review.in_use", "review.waiting"}
    for firm_id in models.Proposal.objects.values_list("firm_id", flat=True).distinct():
        assert check_books(firm_id) == []
        assert check_orders(firm_id) == []
    # Two accounts at least were traded as one.
    assert any(block.orders.count() > 1 for block in models.Block.objects.filter(status="FILLED"))
    read_as_everybody(told)


def read_as_everybody(told):
    """Sign in by the door, and look: nobody of firm a reads a word of firm b."""
    seen = {}
    for key, firm in told["firms"].items():
        for who in ("client", "other_client", "advisor", "supervisor"):
            client = Client()
            answer = client.post(
                reverse("accounts:sign_in"),
                {"username": firm["people"][who]["email"], "password": told["password"]},
            )
            assert answer.status_code == 302, (key, who)
            pages = [client.get("/", follow=True)]
            pages += [
                client.get(reverse("rebalancer:account", args=[public_id]))
                for public_id in told["firms"]["a"]["accounts"].values()
            ]
            seen[key, who] = "".join(page.content.decode() for page in pages)
            token = firm["tokens"][Scope.READ_BOOKS]
            answer = Client().get("/api/v1/accounts/", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 200
            assert (CANARY_B in answer.content.decode()) is (key == "b")
    for (key, who), text in seen.items():
        assert (CANARY_B in text) is (key == "b"), (key, who)
        assert (CANARY_C in text) is ((key, who) in {("a", "other_client"), ("a", "supervisor")})


def test_it_refuses_what_it_must(tmp_path, settings):
    path = tmp_path / "review.json"
    with pytest.raises(CommandError, match="letters and digits"):
        seed(path, "--tag", "../x")
    with pytest.raises(CommandError, match="cannot be written"):
        seed(tmp_path / "nowhere" / "review.json")
    assert not Firm.objects.exists()
    settings.SECOND_FACTOR_REQUIRED = True
    told = seed(path, "--quick")
    people = told["firms"]["a"]["people"]
    assert len(people["admin"]["totp_secret"]) >= 16
    assert people["client"]["totp_secret"] is None
    before = path.read_text()
    with pytest.raises(CommandError, match="choose another --tag"):
        seed(path)
    settings.DEMO = settings.DEBUG = False
    with pytest.raises(CommandError, match="--force"):
        seed(path, "--tag", "3")
    assert path.read_text() == before
