"""Celery's nudges to look for facts."""

from celery import shared_task
from django.conf import settings

from accounts.queries import people
from portfolios.operations.price_inbox import collect_price_files
from robo.common import clock


@shared_task
def collect_prices() -> None:
    """Take in the price files that have arrived for any firm."""
    if settings.PRICE_INBOX is None:
        return
    for firm in people.list_firms():
        collect_price_files(firm_id=firm.pk, inbox=settings.PRICE_INBOX, now=clock.now())
