"""Texts for clients, consents to them and mandates: by whom, when they count, and their pages."""

from datetime import date, timedelta

import pytest
from django.core import mail
from django.db import connection, transaction
from django.db.utils import DatabaseError
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.domain.disclosures import DEFAULT_TEXTS, DisclosureKind, hash_text
from accounts.domain.roles import Role
from accounts.domain.text_diff import compare_texts
from accounts.models import AuditEntry, Consent, Disclosure, Mandate, OutgoingMail
from accounts.operations import consents, mails
from accounts.queries import consents as queries
from robo.common import clock
from robo.common.errors import Conflict, NotAllowed, Refused
from tests import people

pytestmark = pytest.mark.django_db
TODAY = date(2026, 11, 20)
FEES = DisclosureKind.FEES


@pytest.fixture
def firm():
    return people.make_firm()


@pytest.fixture
def household(firm):
    return people.make_household(firm)


@pytest.fixture
def client_user(household):
    return people.make_client(household)


@pytest.fixture
def admin(firm):
    return people.make_user(firm, Role.ADMIN)


def browser(user):
    client = Client()
    people.enter(client, user)
    return client


def draft(admin, text="Nothing is free.", **facts):
    return consents.draft_disclosure(
        **{
            "firm_id": admin.firm_id,
            "kind": FEES,
            "title": "What it costs",
            "text": text,
            "user_id": admin.pk,
            **facts,
        }
    )


def publish(row, user, effective=TODAY, today=TODAY):
    return consents.publish_disclosure(
        disclosure_id=row.pk, effective_date=effective, today=today, user_id=user.pk
    )


def gaps(household, today):
    day = queries.FirmDay(household.firm_id, today, is_practice=True)
    return queries.list_consent_gaps({household.pk: day})[household.pk]


# --- Texts ----------------------------------------------------------------------------------------


def test_the_author_does_not_publish(admin, firm):
    row = draft(admin)
    with pytest.raises(NotAllowed, match="somebody else"):
        publish(row, admin)
    published = publish(row, people.make_user(firm, Role.SUPERVISOR))
    assert published.published_by_id != published.author_id
    with pytest.raises(Conflict, match="already"):
        publish(row, people.make_user(firm, Role.ADMIN))
    actions = AuditEntry.objects.filter(object_id=str(row.public_id)).order_by("pk")
    assert [entry.action.rpartition(".")[2] for entry in actions] == ["drafted", "published"]


@pytest.mark.parametrize("role", [Role.ADVISOR, Role.OPERATOR, Role.MODEL_ADMIN])
def test_who_may_neither_write_nor_publish(admin, firm, role):
    person = people.make_user(firm, role)
    with pytest.raises(NotAllowed):
        draft(person)
    with pytest.raises(NotAllowed):
        publish(draft(admin), person)
    with pytest.raises(NotAllowed):
        publish(draft(admin, "Other."), people.make_user(people.make_firm(), Role.ADMIN))


@pytest.mark.parametrize(
    "faulty",
    [
        {"title": " "},
        {"title": "x" * 121},
        {"title": "a bell\x07"},
        {"text": " \n "},
        {"text": "x" * 20_001},
        {"text": "a\x00b"},
        {"kind": "GOSSIP"},
    ],
)
def test_texts_that_make_no_sense_are_refused(admin, faulty):
    with pytest.raises(Refused):
        draft(admin, **faulty)


def test_words_that_stand_are_never_changed(admin, firm):
    row = publish(draft(admin), people.make_user(firm, Role.ADMIN))
    changes = (
        lambda: Disclosure.objects.filter(pk=row.pk).update(text="Free!"),
        lambda: Disclosure.objects.filter(pk=row.pk).update(effective_date=date(2000, 1, 1)),
        lambda: Disclosure.objects.filter(pk=row.pk).delete(),
    )
    for change in changes:
        with pytest.raises(DatabaseError), transaction.atomic():
            change()


def test_a_new_version_is_announced_and_the_old_consent_holds_until_then(
    admin, firm, household, client_user, settings
):
    settings.DISCLOSURE_NOTICE_DAYS = 30
    other = people.make_user(firm, Role.ADMIN)
    first = publish(draft(admin), other)
    people.agree(client_user, first)
    assert gaps(household, TODAY) == []
    OutgoingMail.objects.all().delete()
    second = draft(admin, "It costs more.")
    with pytest.raises(Refused, match="20 December 2026 at the earliest"):
        publish(second, other, TODAY + timedelta(days=29))
    starts = TODAY + timedelta(days=30)
    publish(second, other, starts)
    (mail,) = OutgoingMail.objects.filter(kind="DOCUMENT_CHANGED")
    assert mail.person == client_user
    assert mail.facts["effective"] == "20 December 2026"
    assert gaps(household, starts - timedelta(days=1)) == []
    assert gaps(household, starts) == ["The household has not agreed to “What it costs”."]
    people.agree(client_user, second)
    assert gaps(household, starts) == []


def test_versions_take_effect_in_their_order(admin, firm, settings):
    settings.DISCLOSURE_NOTICE_DAYS = 0
    other = people.make_user(firm, Role.ADMIN)
    publish(draft(admin), other)
    older, newer = draft(admin, "Second."), draft(admin, "Third.")
    publish(newer, other, TODAY + timedelta(days=9))
    with pytest.raises(Conflict, match="newer"):
        publish(older, other, TODAY + timedelta(days=1))
    with pytest.raises(Refused, match="29 November 2026"):
        publish(draft(admin, "Fourth."), other, TODAY + timedelta(days=8))


# --- Consents -------------------------------------------------------------------------------------


def test_only_what_was_read_is_agreed_to_and_by_the_household_itself(
    admin, firm, household, client_user
):
    row = publish(draft(admin), people.make_user(firm, Role.ADMIN))
    with pytest.raises(Conflict, match="not the document you saw"):
        consents.give_consents(
            household_id=household.pk, user_id=client_user.pk, agreed=[(row.pk, "0" * 64)]
        )
    with pytest.raises(Conflict):
        people.agree(client_user, draft(admin, "A draft."))
    neighbour = people.make_client(people.make_household(firm))
    for person in (neighbour, admin, people.make_user(firm)):
        with pytest.raises(NotAllowed):
            consents.give_consents(
                household_id=household.pk, user_id=person.pk, agreed=[(row.pk, row.text_hash)]
            )
    assert not Consent.objects.exists()
    people.agree(client_user, row, row)
    people.agree(client_user, row)
    consent = Consent.objects.get()
    assert consent.text_hash == hash_text("What it costs", "Nothing is free.")
    assert AuditEntry.objects.filter(action="accounts.consent.given").count() == 1
    with pytest.raises(DatabaseError), transaction.atomic():
        Consent.objects.all().delete()


def test_another_firms_text_is_none_of_ours(client_user):
    theirs = people.publish_text(people.make_firm(), today=TODAY)
    with pytest.raises(Conflict):
        people.agree(client_user, theirs)


# --- Mandates -------------------------------------------------------------------------------------


def record(account, user, **facts):
    return consents.record_mandate(
        account_id=account.pk,
        details=consents.MandateDetails(
            **{
                "text": "Trade for me.",
                "signed_by": "Mia",
                "signed_on": TODAY,
                "starts_on": TODAY,
                **facts,
            }
        ),
        user_id=user.pk,
    )


def test_a_mandate_makes_an_account_discretionary_and_its_end_undoes_that(household, admin):
    account = people.make_account(household)
    first = record(account, admin)
    second = record(account, admin, text="Trade, but less.")
    account.refresh_from_db()
    assert account.is_discretionary
    assert Mandate.objects.get(ended_at__isnull=True) == second
    assert first.text_hash != second.text_hash
    with pytest.raises(DatabaseError), transaction.atomic():
        Mandate.objects.filter(pk=second.pk).update(trade_amount_max=5)
    consents.end_mandate(account_id=account.pk, user_id=people.make_client(household).pk)
    account.refresh_from_db()
    assert not account.is_discretionary
    with pytest.raises(Conflict, match="no mandate to end"):
        consents.end_mandate(account_id=account.pk, user_id=admin.pk)


def test_the_household_is_told_of_a_mandate_that_somebody_put_on_record(household, admin):
    account, person = people.make_account(household), people.make_client(household)
    record(account, admin)
    consents.end_mandate(account_id=account.pk, user_id=admin.pk)
    told = OutgoingMail.objects.filter(person=person).order_by("pk")
    assert [row.kind for row in told] == ["MANDATE_RECORDED", "MANDATE_ENDED"]
    assert mails.send_mails(now=clock.now()) == 2
    assert "without asking you" in mail.outbox[0].body


@pytest.mark.parametrize(
    "faulty",
    [
        {"text": ""},
        {"signed_by": " "},
        {"signed_by": "a bell\x07"},
        {"ends_on": TODAY - timedelta(days=1)},
        {"signed_on": TODAY + timedelta(days=1)},
        {"trade_amount_max": 0},
        {"turnover_share_max": 2},
    ],
)
def test_mandates_that_make_no_sense_are_refused(household, admin, faulty):
    account = people.make_account(household)
    with pytest.raises(Refused):
        record(account, admin, **faulty)
    account.refresh_from_db()
    assert not account.is_discretionary


def test_neither_advisors_nor_other_clients_record_or_end_a_mandate(firm, household, admin):
    account = people.make_account(household)
    record(account, admin)
    neighbour = people.make_client(people.make_household(firm))
    for person in (people.make_user(firm), neighbour):
        with pytest.raises(NotAllowed):
            record(account, person)
        with pytest.raises(NotAllowed):
            consents.end_mandate(account_id=account.pk, user_id=person.pk)


# --- Pages ----------------------------------------------------------------------------------------


def test_a_client_reads_ticks_and_agrees(admin, firm, household, client_user):
    row = publish(draft(admin, "Nothing <b>is</b> free."), people.make_user(firm, Role.ADMIN))
    visitor, address = (
        browser(client_user),
        reverse("accounts:documents", args=[household.public_id]),
    )
    page = visitor.get(address).content.decode()
    assert "Nothing &lt;b&gt;is&lt;/b&gt; free." in page
    value = f"{row.pk}:{row.text_hash}"
    assert value in page
    nothing = visitor.post(address)
    assert nothing.status_code == 422
    assert "Tick what you agree to." in nothing.content.decode()
    forged = visitor.post(address, {"agree": f"{row.pk}:{'0' * 64}"})
    assert forged.status_code == 422
    assert "has changed since you opened this page" in forged.content.decode()
    assert visitor.post(address, {"agree": value}).status_code == 302
    assert "agreed on" in visitor.get(address).content.decode()
    assert Consent.objects.get().client == client_user
    assert browser(admin).post(address, {"agree": value}).status_code == 404


def test_the_documents_page_shows_what_is_different(admin, firm, household, client_user):
    other = people.make_user(firm, Role.ADMIN)
    publish(draft(admin, "One.\n\nTwo."), other)
    publish(draft(admin, "One.\n\nThree."), other, date(2099, 1, 1))
    page = browser(client_user).get(reverse("accounts:documents", args=[household.public_id]))
    text = page.content.decode()
    assert "</span>Three.</ins>" in text
    assert "</span>Two.</del>" in text
    assert [(line.state, line.text) for line in compare_texts("a\nb", "a\nc")] == [
        ("same", "a"),
        ("gone", "b"),
        ("new", "c"),
    ]


def test_a_text_says_whether_it_is_to_come_in_force_or_replaced(admin, firm, settings):
    settings.DISCLOSURE_NOTICE_DAYS = 0
    other = people.make_user(firm, Role.ADMIN)
    long_ago = date(2020, 1, 2)
    rows = {
        "took effect on 2 Jan 2020": publish(draft(admin, "One."), other, long_ago, long_ago),
        "in force since 20 Nov 2026": publish(draft(admin, "Two."), other),
        "takes effect on 1 Jan 2099": publish(draft(admin, "3."), other, date(2099, 1, 1)),
    }
    visitor = browser(admin)
    for words, row in rows.items():
        page = visitor.get(reverse("accounts:disclosure", args=[row.public_id])).content.decode()
        assert [other for other in rows if other[:14] in page] == [words]
        assert words in page
    listed = visitor.get(reverse("accounts:disclosures")).content.decode()
    assert [listed.count(state) for state in (">Announced<", ">Replaced<")] == [1, 1]


def test_admins_write_and_colleagues_publish_in_the_browser(admin, firm):
    author = browser(admin)
    new = reverse("accounts:disclosure_new")
    shipped = author.get(f"{new}?kind=HALTS").content.decode()
    assert "Letting trading go on takes two different people." in shipped
    assert author.post(new, {"kind": "HALTS", "title": "", "text": ""}).status_code == 422
    made = author.post(new, {"kind": "HALTS", "title": "Stops", "text": "We stop."})
    assert made.status_code == 302
    row = Disclosure.objects.get()
    publishing = reverse("accounts:disclosure_publish", args=[row.public_id])
    refused = author.post(publishing, {"effective_date": "2099-01-01"})
    assert refused.status_code == 403
    assert "somebody else must publish it" in refused.content.decode()
    supervisor = browser(people.make_user(firm, Role.SUPERVISOR))
    assert supervisor.post(publishing, {"effective_date": "soon"}).status_code == 422
    assert supervisor.post(publishing, {"effective_date": "1999-01-01"}).status_code == 422
    assert supervisor.post(publishing, {"effective_date": "2099-01-01"}).status_code == 302
    assert supervisor.post(publishing, {"effective_date": "2099-01-01"}).status_code == 409
    assert "Stops" in supervisor.get(reverse("accounts:disclosures")).content.decode()


def test_pages_take_no_more_queries_for_more_rows(admin, firm, household, client_user, settings):
    settings.DISCLOSURE_NOTICE_DAYS = 0
    other = people.make_user(firm, Role.ADMIN)
    addresses = (
        (client_user, reverse("accounts:documents", args=[household.public_id])),
        (admin, reverse("accounts:disclosures")),
    )
    counts = []
    for kinds in (list(DisclosureKind)[:1], list(DisclosureKind)[1:]):
        for kind in kinds:
            publish(draft(admin, kind=kind), other)
            record(people.make_account(household), admin)
        found = []
        for user, address in addresses:
            visitor = browser(user)
            with CaptureQueriesContext(connection) as captured:
                assert visitor.get(address).status_code == 200
            found.append(len(captured))
        counts.append(found)
    assert counts[0] == counts[1]


def test_every_kind_of_text_ships_and_fits():
    assert set(DEFAULT_TEXTS) == set(DisclosureKind)
    for text in DEFAULT_TEXTS.values():
        assert 0 < len(text.title) <= 120
        assert "\n\n" in text.write()
