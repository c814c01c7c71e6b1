"""Mail to the firm's people: a row in the transaction of what it tells of, sent afterwards."""

import logging
from datetime import datetime, timedelta
from email.utils import parseaddr
from smtplib import SMTPException
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.template.loader import render_to_string

from accounts import models
from accounts.access import PeopleBackend, build_sign_in_path
from accounts.domain.doors import MailKind

logger = logging.getLogger(__name__)

BATCH_SIZE = 20
TRIES_MAX = 8
FIRST_DELAY_SECONDS = 30
KEPT_DAYS = 30
LINK_KINDS = (MailKind.PASSWORD_LINK, MailKind.INVITATION)
SUBJECTS = {
    MailKind.PASSWORD_LINK: "A link to choose a new password",
    MailKind.PASSWORD_CHANGED: "Your password was changed",
    MailKind.LINK_MADE: "Your password was withdrawn",
    MailKind.ADDRESS_CHANGED: "Your e-mail address for signing in was changed",
    MailKind.SECOND_FACTOR_CHANGED: "Your second step for signing in was changed",
    MailKind.SECOND_FACTOR_RESET: "Your second step for signing in was removed",
    MailKind.RECOVERY_CODE_USED: "A recovery code was used",
    MailKind.INVITATION: "Your invitation",
    MailKind.ANSWER_WANTED: "Trades wait for your answer",
    MailKind.TRADES_DONE: "Trades in your account are done",
    MailKind.DOCUMENT_CHANGED: "A document for you to read",
    MailKind.TRADING_STOPPED: "Trading is stopped",
    MailKind.TRADING_RESUMED: "Trading goes on",
    MailKind.BREAK_OPENED: "A difference with the broker is yours to look at",
    MailKind.MANDATE_RECORDED: "A mandate for your account",
    MailKind.MANDATE_ENDED: "The mandate for your account has ended",
}


def queue_mail(
    *,
    person_id: int | None,
    kind: MailKind,
    facts: dict[str, Any] | None = None,
    address: str = "",
) -> None:
    """Ask for a mail to a person, to `address` if it is not the one they sign in with now.

    Without a person the row is written all the same, and goes to nobody.
    """
    models.OutgoingMail.objects.create(
        person_id=person_id, kind=kind, facts=facts or {}, address=address
    )


def send_mails(*, now: datetime) -> int:
    """Send what is due, and return how many went out.

    Each in a transaction of its own, its row locked: two workers never send the same mail. One that
    went out just before a crash is sent once more.
    """
    sent = 0
    for _ in range(BATCH_SIZE):
        with transaction.atomic():
            mail = (
                models.OutgoingMail.objects.select_for_update(skip_locked=True, of=("self",))
                .select_related("person__firm")
                .filter(sent_at=None, next_try_at__lte=now, tries__lt=TRIES_MAX)
                .order_by("next_try_at", "pk")
                .first()
            )
            if mail is None:
                break
            sent += _send(mail, now)
    return sent


def purge_mails(*, now: datetime) -> int:
    """Remove mails that were sent, or given up, long ago; return how many."""
    old = models.OutgoingMail.objects.filter(asked_at__lt=now - timedelta(days=KEPT_DAYS))
    return old.delete()[0]


def _send(mail: models.OutgoingMail, now: datetime) -> bool:
    if mail.person_id is None:
        mail.delete()
        return False
    mail.tries += 1
    mail.next_try_at = now + timedelta(seconds=FIRST_DELAY_SECONDS * 2**mail.tries)
    message = _write(mail)
    try:
        if message is not None:
            message.send()
    except ValueError:
        # A line break in a name would write headers of its own, or the address is none: no later
        # try makes it better, and the mails behind it wait for nothing.
        logger.exception("Mail %d cannot be written and is not sent", mail.pk)
        mail.tries, mail.error = TRIES_MAX, "A line break in a header, or no address."
        mail.save(update_fields=["tries", "next_try_at", "error"])
        return False
    except (OSError, SMTPException) as error:
        # The address stays out of the log.
        logger.exception("Mail %d could not be sent; it was try %d", mail.pk, mail.tries)
        mail.error = type(error).__name__
        mail.save(update_fields=["tries", "next_try_at", "error"])
        return False
    mail.sent_at, mail.error = now, ""
    mail.save(update_fields=["tries", "next_try_at", "sent_at", "error"])
    return message is not None


def _write(mail: models.OutgoingMail) -> EmailMessage | None:
    """Return the mail, or None when there is nobody who should get it."""
    person = mail.person
    if person is None or not PeopleBackend().user_can_authenticate(person):
        return None
    kind = MailKind(mail.kind)
    context = {"person": person, "firm": person.firm, **mail.facts}
    if kind in LINK_KINDS:
        # Made only now: a link in the row could be used by whoever reads the database.
        context["link"] = mail.facts["site"].rstrip("/") + build_sign_in_path(person)
    body = render_to_string(f"mail/{kind.lower()}.txt", context)
    return EmailMessage(
        subject=f"{SUBJECTS[kind]} ({person.firm.name})",
        body=body,
        to=[mail.address or person.email],
        # The same at every try: whoever gets it twice can tell.
        headers={"Message-ID": build_message_id(mail.public_id)},
    )


def build_message_id(public_id: UUID) -> str:
    """Return the Message-ID of a mail, a function of its row."""
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
    return f"<{public_id}@{domain}>"
