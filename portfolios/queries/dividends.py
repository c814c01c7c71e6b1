"""Who is paid a dividend, and who wants it reinvested."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from django.db import connection
from django.db.models import F, Q

from portfolios import models

# What was taken back later was never held: neither the entry nor its reversal counts.
_HOLDERS = """
    SELECT e.account_id,
           sum(CASE WHEN t.target_pocket = 'SECURITIES' THEN t.quantity ELSE -t.quantity END)
    FROM portfolios_transfer t
    JOIN portfolios_journalentry e ON e.id = t.entry_id
    WHERE t.security_id = %s AND e.entry_date < %s AND e.reverses_id IS NULL
      AND NOT EXISTS (SELECT 1 FROM portfolios_journalentry r WHERE r.reverses_id = e.id)
    GROUP BY 1
    HAVING sum(CASE WHEN t.target_pocket = 'SECURITIES' THEN t.quantity
                    ELSE -t.quantity END) > 0
    ORDER BY 1"""


def list_holders(security_id: int, ex_date: date) -> dict[int, Decimal]:
    """Return by account how many shares it held before a day's opening."""
    with connection.cursor() as cursor:
        cursor.execute(_HOLDERS, [security_id, ex_date])
        return dict(cursor.fetchall())


def list_reinvesting(security_id: int, account_ids: Sequence[int]) -> list[int]:
    """Return the accounts whose dividends of this security buy more of it, in order.

    A choice for the security itself counts before the one for all.
    """
    choices: dict[int, bool] = {}
    for account_id, reinvests in (
        models.ReinvestmentChoice.objects.filter(account_id__in=account_ids)
        .filter(Q(security_id=security_id) | Q(security_id__isnull=True))
        .order_by("account_id", F("security_id").asc(nulls_last=True))
        .values_list("account_id", "reinvests")
    ):
        choices.setdefault(account_id, reinvests)
    return sorted(account_id for account_id, reinvests in choices.items() if reinvests)


def list_choices(account_ids: Sequence[int]) -> list[models.ReinvestmentChoice]:
    """Return the reinvestment choices of these accounts, the general one first."""
    return list(
        models.ReinvestmentChoice.objects.filter(account_id__in=account_ids)
        .select_related("security")
        .order_by("account_id", F("security__symbol").asc(nulls_first=True))
    )
