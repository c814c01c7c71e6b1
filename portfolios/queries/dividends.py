"""Who is paid a dividend, and who wants it reinvested."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from django.db import connection
from django.db.models import F, Q

from portfolios import models

# What was taken back later was never held. Its reversal is in the shares of its own day, so both
# count together; where a split lies between the dividend and the reversal, neither does.
_HOLDERS = """
    SELECT e.account_id,
           sum(CASE WHEN t.target_pocket = 'SECURITIES' THEN t.quantity ELSE -t.quantity END)
    FROM portfolios_transfer t
    JOIN portfolios_journalentry e ON e.id = t.entry_id
    LEFT JOIN portfolios_journalentry taken ON taken.id = e.reverses_id
    LEFT JOIN portfolios_journalentry back ON back.reverses_id = COALESCE(taken.id, e.id)
    WHERE t.security_id = %(security)s AND COALESCE(taken.entry_date, e.entry_date) < %(ex_date)s
      AND (back.id IS NULL OR NOT EXISTS (
            SELECT FROM portfolios_corporateaction a
            WHERE a.security_id = t.security_id AND a.kind IN ('SPLIT', 'REVERSE_SPLIT')
              AND a.effective_date >= %(ex_date)s AND a.effective_date <= back.entry_date))
    GROUP BY 1
    HAVING sum(CASE WHEN t.target_pocket = 'SECURITIES' THEN t.quantity
                    ELSE -t.quantity END) > 0
    ORDER BY 1"""


def list_holders(security_id: int, ex_date: date) -> dict[int, Decimal]:
    """Return by account how many shares it held before a day's opening."""
    with connection.cursor() as cursor:
        cursor.execute(_HOLDERS, {"security": security_id, "ex_date": ex_date})
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
