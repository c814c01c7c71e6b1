"""Celery's nudges for people's things: each calls operations that may run twice."""

import logging
import random

from celery import shared_task

from accounts.operations import deliveries, idempotency, mails, sign_ins, throttling
from accounts.operations.sealing import ChainBroken, seal_journal
from accounts.queries import people
from robo.common import clock

logger = logging.getLogger(__name__)


@shared_task
def seal_journals() -> None:
    """Seal what waits in every firm's journal, and put due checkpoints outside the database."""
    for firm in people.list_firms():
        try:
            seal_journal(firm_id=firm.pk)
        except ChainBroken as alarm:
            # One firm's broken chain is no reason to leave the others' open.
            logger.critical("%s", alarm)


@shared_task
def tell_events() -> None:
    """Turn what the journal tells into deliveries to webhooks, and send what is due."""
    for firm in people.list_firms():
        deliveries.collect_events(firm_id=firm.pk)
    deliveries.send_deliveries(now=clock.now(), luck=random.random())


@shared_task
def purge_answers() -> None:
    """Drop answers of the API that no repeat will ask for any more."""
    idempotency.purge_answers(now=clock.now())


@shared_task
def send_mails() -> None:
    """Send the mail that waits."""
    mails.send_mails(now=clock.now())


@shared_task
def purge_doors() -> None:
    """Drop counts of attempts that no longer matter, ended sessions and old mail."""
    now = clock.now()
    throttling.purge_attempts(now=now)
    sign_ins.purge_sessions(now=now)
    mails.purge_mails(now=now)
