"""The page about the journal's proof, the banner of look-only, and its release by two people."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.domain.roles import Role
from accounts.operations.installation import note_reconciled
from accounts.operations.sealing import seal_journal
from accounts.queries import checkpoint_files
from accounts.queries.installation import is_look_only
from robo.common import clock
from tests import people
from tests.accounts.journal_world import make_sealed_firm, use_own_key, write_entries

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "accounts:journal_proof"


@pytest.fixture(autouse=True)
def own_key(settings, tmp_path):
    settings.SECOND_FACTOR_REQUIRED = False
    return use_own_key(settings, tmp_path)


def enter(user):
    client = Client()
    people.enter(client, user)
    return client


def stop(settings, firm):
    """Make the folder outside know of a checkpoint that the database has lost."""
    other = checkpoint_files.list_notes(firm.public_id)[-1].text
    path = checkpoint_files.get_path(firm.public_id)
    path.write_text(path.read_text() + other.replace("\n17\n", "\n18\n") + "\n")
    seal_journal(firm_id=firm.pk)
    assert is_look_only(firm.pk)


@pytest.mark.parametrize(
    ("role", "status"),
    [
        (Role.SUPERVISOR, 200),
        (Role.ADMIN, 200),
        (Role.OPERATOR, 200),
        (Role.ADVISOR, 404),
        (Role.MODEL_ADMIN, 404),
    ],
)
def test_who_sees_the_proof(settings, role, status):
    firm = make_sealed_firm(settings)
    write_entries(firm, 1)
    answer = enter(people.make_user(firm, role)).get(reverse(PAGE))
    assert answer.status_code == status
    if status == 200:
        newest = checkpoint_files.list_notes(firm.public_id)[-1].text
        text = answer.content.decode()
        assert newest.split("\n")[2].replace("+", "&#x2B;") in text or newest.split("\n")[2] in text
        assert "Zoë" not in text  # without its content
        assert answer.context["status"].sealed_count == 17
        assert not answer.context["status"].alarms
        # What was written by this very request's set-up waits.
        assert answer.context["status"].waiting_count >= 1


def test_a_client_does_not_see_it(settings):
    firm = make_sealed_firm(settings)
    client = people.make_client(firm.households.get())
    assert enter(client).get(reverse(PAGE)).status_code == 404
    assert Client().get(reverse(PAGE)).status_code == 302


def test_alarms_are_told(settings, tmp_path):
    firm = make_sealed_firm(settings, batches=(1, 1))
    page = enter(people.make_user(firm, Role.OPERATOR))
    settings.JOURNAL_KEY_FILE = ""
    settings.JOURNAL_CHECKPOINT_DIR = tmp_path / "lost"
    alarms = page.get(reverse(PAGE)).context["status"].alarms
    assert any("EVENKEEL_JOURNAL_KEY_FILE" in alarm for alarm in alarms)
    assert any("No checkpoint is found outside" in alarm for alarm in alarms)


def test_two_people_end_look_only_on_the_page(settings):
    firm = make_sealed_firm(settings)
    supervisor, admin = (people.make_user(firm, r) for r in (Role.SUPERVISOR, Role.ADMIN))
    client = people.make_client(firm.households.get())
    assert "Look-only" not in enter(admin).get(reverse(PAGE)).content.decode()
    stop(settings, firm)
    first, second = enter(supervisor), enter(admin)
    assert "Look-only since" in first.get(reverse(PAGE)).content.decode()
    assert (
        "No order is sent until two people"
        in second.get(reverse("portfolios:models")).content.decode()
    )
    assert "Trading is paused" in enter(client).get(reverse("accounts:journal")).content.decode()
    answer = first.post(reverse("accounts:release_ask"), {"note": " "})
    assert answer.status_code == 422
    answer = second.post(reverse("accounts:release_confirm"))
    assert answer.status_code == 409
    assert "Somebody must first say" in answer.content.decode()
    answer = first.post(reverse("accounts:release_ask"), {"note": "all agree"})
    assert answer.status_code == 422
    assert "reconcile first" in answer.content.decode()
    note_reconciled(firm_id=firm.pk, started_at=clock.database_now())
    assert "was compared with the broker" in first.get(reverse(PAGE)).content.decode()
    assert first.post(reverse("accounts:release_ask"), {"note": "all agree"}).status_code == 302
    answer = first.post(reverse("accounts:release_confirm"))
    assert answer.status_code == 409
    assert "somebody else must confirm" in answer.content.decode()
    assert second.post(reverse("accounts:release_confirm")).status_code == 302
    assert (
        "It ends when the next checkpoint is signed" in second.get(reverse(PAGE)).content.decode()
    )
    seal_journal(firm_id=firm.pk)
    assert not is_look_only(firm.pk)
    assert "Look-only" not in second.get(reverse(PAGE)).content.decode()


def test_only_those_who_verify_release(settings):
    firm = make_sealed_firm(settings)
    stop(settings, firm)
    for role in (Role.ADVISOR, Role.MODEL_ADMIN):
        client = enter(people.make_user(firm, role))
        assert client.post(reverse("accounts:release_ask"), {"note": "x"}).status_code == 404
        assert client.post(reverse("accounts:release_confirm")).status_code == 404
    other = enter(people.make_user(people.make_firm(), Role.ADMIN))
    assert other.post(reverse("accounts:release_ask"), {"note": "x"}).status_code == 422
    assert is_look_only(firm.pk)


def test_the_journal_leads_to_its_proof_for_those_who_verify(settings):
    firm = make_sealed_firm(settings)
    link = reverse(PAGE)
    for role, leads in ((Role.SUPERVISOR, True), (Role.ADVISOR, False)):
        page = enter(people.make_user(firm, role)).get(reverse("accounts:journal"))
        assert (link in page.content.decode()) == leads
