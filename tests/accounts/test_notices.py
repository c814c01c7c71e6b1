"""Notices: written with what they tell of, told once and to all at one moment, sent over SMTP."""

import socket
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from aiosmtpd.controller import Controller
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from accounts.domain.doors import MailKind
from accounts.domain.roles import Role
from accounts.models import Firm, OutgoingMail
from accounts.operations import mails, notices
from portfolios.domain.kinds import BreakKind
from portfolios.operations.breaks import assign_break, open_break
from rebalancer.domain.limits import SwitchScope
from rebalancer.operations import controls
from tests import people
from tests.rebalancer.world import make_world

pytestmark = pytest.mark.django_db
SOON = timedelta(seconds=5)


def send():
    return mails.send_mails(now=datetime.now(UTC) + SOON)


class Inbox:
    """What a mail server of this test was given."""

    def __init__(self):
        self.letters = []

    async def handle_DATA(self, server, session, envelope):
        self.letters.append((envelope.rcpt_tos, envelope.content.decode()))
        return "250 OK"

    @property
    def message_ids(self):
        """Return the Message-ID of each letter, in order."""
        return [
            line.partition(":")[2].strip()
            for _to, text in self.letters
            for line in text.splitlines()
            if line.lower().startswith("message-id:")
        ]


@pytest.fixture
def inbox(settings):
    """Give a mail server that takes everything."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_TIMEOUT = "127.0.0.1", 5
    with socket.create_server(("127.0.0.1", 0)) as free:
        settings.EMAIL_PORT = free.getsockname()[1]
    inbox = Inbox()
    server = Controller(inbox, hostname="127.0.0.1", port=settings.EMAIL_PORT)
    server.start()
    yield inbox
    server.stop()


# --- Whom, and when -------------------------------------------------------------------------------


def told(kind):
    return OutgoingMail.objects.filter(kind=kind).order_by("pk")


def test_clients_and_staff_are_told_of_a_stop_at_one_moment():
    world = make_world()
    client = people.make_client(world.household)
    people.make_client(people.make_household(people.make_firm()))
    switch = controls.set_switch(
        scope=SwitchScope.FIRM, user_id=world.admin.pk, reason="something looks wrong"
    )
    rows = told("TRADING_STOPPED")
    everybody = {world.admin, world.other_admin, world.advisor, world.colleague, client}
    assert {row.person for row in rows} == everybody, "and neither the engine nor another firm"
    assert len({row.asked_at for row in rows}) == 1
    supervisor = people.make_user(world.firm, Role.SUPERVISOR)
    controls.ask_to_clear(switch_id=switch.pk, user_id=world.admin.pk, reason="looked into")
    controls.clear_switch(switch_id=switch.pk, user_id=supervisor.pk)
    assert {row.person for row in told("TRADING_RESUMED")} == everybody | {supervisor}
    assert len({row.asked_at for row in told("TRADING_RESUMED")}) == 1


def test_a_stop_of_one_account_is_told_to_those_it_concerns():
    world = make_world()
    account = world.add_account()
    client = people.make_client(world.household)
    people.make_client(people.make_household(world.firm))
    people.make_user(world.firm)
    controls.set_switch(
        scope=SwitchScope.ACCOUNT, account_id=account.pk, user_id=client.pk, reason="wait please"
    )
    assert {row.person for row in told("TRADING_STOPPED")} == {
        client,
        world.advisor,
        world.colleague,
    }


def test_a_stop_of_everything_is_told_by_the_workers_once_to_every_firm():
    world, other = make_world(), make_world()
    client = people.make_client(other.household)
    operator = people.make_user(world.firm, Role.OPERATOR)
    controls.set_switch(scope=SwitchScope.ALL, user_id=operator.pk, reason="the feed is wrong")
    assert not told("TRADING_STOPPED").exists(), "the web sees the people of one firm only"
    for _ in range(2):
        controls.announce_stop_of_all()
    rows = told("TRADING_STOPPED")
    assert {client, operator, world.advisor, other.advisor} <= {row.person for row in rows}
    assert len(rows) == len({row.person for row in rows})
    assert len({row.asked_at for row in rows}) == 1


def test_a_stop_that_is_rolled_back_is_told_to_nobody():
    world = make_world()
    with transaction.atomic():
        controls.set_switch(scope=SwitchScope.FIRM, user_id=world.admin.pk, reason="a slip")
        transaction.set_rollback(True)
    assert not OutgoingMail.objects.exists()


def test_a_break_is_told_to_whoever_owns_it_once():
    world = make_world()
    account = world.add_account()
    row = open_break(
        account_id=account.pk,
        security_id=world.security_ids["USTM"],
        kind=BreakKind.POSITION,
        source="nightly:1",
        ours=Decimal(1),
        theirs=Decimal(2),
        note="nightly look",
    )
    assert [mail.person for mail in told("BREAK_OPENED")] == [world.advisor]
    for _ in range(2):
        assign_break(break_id=row.pk, owner_id=world.colleague.pk, user_id=world.advisor.pk)
    assert [mail.person for mail in told("BREAK_OPENED")] == [world.advisor, world.colleague]


def test_the_same_event_is_told_to_a_person_once():
    person = people.make_user(people.make_firm())
    for event in ("one", "one", "two"):
        notices.announce(person_ids=[person.pk, person.pk], kind=MailKind.TRADES_DONE, event=event)
    assert OutgoingMail.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_notice_outside_the_transaction_of_its_event_is_refused():
    person = people.make_user(people.make_firm())
    with pytest.raises(transaction.TransactionManagementError):
        notices.announce(person_ids=[person.pk], kind=MailKind.TRADES_DONE, event="x")


def test_an_invitation_goes_by_mail_with_its_link(mailoutbox):
    firm = people.make_firm("Harbor Lane")
    admin = people.make_user(firm, Role.ADMIN)
    browser = Client()
    people.enter(browser, admin)
    facts = {"email": "new@example.com", "name": "New Person", "role": "ADVISOR"}
    assert browser.post(reverse("accounts:person_invite"), facts).status_code == 302
    assert "/welcome/" not in str(OutgoingMail.objects.get().facts), "no link in the database"
    assert send() == 1
    (mail,) = mailoutbox
    assert mail.to == ["new@example.com"]
    assert "http://testserver/welcome/" in mail.body


# --- Over the wire --------------------------------------------------------------------------------


def ask(count=1):
    """Ask for mails to a new person each; return the people."""
    firm = people.make_firm()
    persons = [people.make_user(firm) for _ in range(count)]
    with transaction.atomic():
        notices.announce(
            person_ids=[person.pk for person in persons], kind=MailKind.TRADES_DONE, event="x"
        )
    return persons


@pytest.mark.django_db(transaction=True)
def test_two_workers_send_each_mail_once(inbox):
    persons = ask(8)
    sent = []

    def work():
        try:
            sent.append(send())
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(sent) == 8
    assert sorted(to for to, _text in inbox.letters) == sorted([p.email] for p in persons)
    assert len(set(inbox.message_ids)) == 8


def test_killed_between_sending_and_noting_it_the_second_has_the_same_id(inbox, monkeypatch):
    ask()

    class Killed(BaseException):
        """The process ended here."""

    def die(*_args, **_kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(OutgoingMail, "save", die)
        with pytest.raises(Killed):
            send()
    assert OutgoingMail.objects.get().sent_at is None
    assert send() == 1
    first, second = inbox.message_ids
    assert first == second


def test_a_server_that_is_away_is_tried_again_later(inbox, settings):
    ask()
    settings.EMAIL_PORT, port = 1, settings.EMAIL_PORT
    assert send() == 0
    mail = OutgoingMail.objects.get()
    assert mail.tries == 1
    assert mail.error == "ConnectionRefusedError"
    settings.EMAIL_PORT = port
    assert send() == 0, "not before its time"
    assert mails.send_mails(now=mail.next_try_at) == 1
    mail.refresh_from_db()
    assert mail.sent_at
    assert mail.error == ""


def test_a_line_break_in_a_name_writes_no_header(inbox):
    (person,) = ask()
    Firm.objects.filter(pk=person.firm_id).update(name="Harbor\r\nBcc: thief@example.com")
    assert send() == 0
    mail = OutgoingMail.objects.get()
    assert mail.tries == mails.TRIES_MAX, "no later try makes it better"
    assert "line break" in mail.error
    assert inbox.letters == []


def test_notices_hold_no_figures(mailoutbox):
    person = people.make_user(people.make_firm("Harbor Lane"))
    with transaction.atomic():
        for kind in (MailKind.TRADES_DONE, MailKind.BREAK_OPENED, MailKind.ANSWER_WANTED):
            notices.announce(person_ids=[person.pk], kind=kind, event="x", facts={"until": "noon"})
    assert send() == 3
    for mail in mailoutbox:
        assert not any(sign.isdigit() for sign in mail.body.replace(person.name, ""))
