"""Celery's nudges to look for facts."""

from celery import shared_task
from django.conf import settings

from accounts.queries import people
from portfolios.operations import corporate_actions
from portfolios.operations.price_inbox import collect_price_files
from portfolios.queries.books import get_today
from robo.common import clock


@shared_task
def collect_prices() -> None:
    """Take in the price files that have arrived for any firm."""
    if settings.PRICE_INBOX is None:
        return
    for firm in people.list_firms():
        collect_price_files(firm_id=firm.pk, inbox=settings.PRICE_INBOX, now=clock.now())


@shared_task
def apply_actions() -> None:
    """Book the corporate actions whose day has come at any firm."""
    now = clock.now()
    for firm in people.list_firms():
        corporate_actions.apply_actions(firm_id=firm.pk, on_date=get_today(firm, now))
