"""Reads for taking on broker statements: the plan of an import, and what was imported before."""

from collections import defaultdict
from collections.abc import Collection
from decimal import Decimal
from typing import TYPE_CHECKING

from django.db.models import QuerySet

from accounts.queries.people import get_firm
from portfolios import models
from portfolios.domain.import_plan import ImportPlan, ImportTerms, KnownAccount, plan_statement
from portfolios.domain.money import ZERO
from portfolios.domain.statements import Statement

if TYPE_CHECKING:
    from accounts.models import Account


def plan_import(
    *,
    firm_id: int,
    statement: Statement,
    terms: ImportTerms,
    account_ids: Collection[int] | None = None,
) -> ImportPlan:
    """Return what importing the statement would do; writes nothing.

    `account_ids` are the accounts that the person who asks may change; None means all the firm's.
    """
    earlier = models.StatementImport.objects.filter(
        firm_id=firm_id, content_sha256=statement.content_sha256
    ).first()
    if earlier is not None:
        return ImportPlan(
            content_sha256=statement.content_sha256,
            broker=statement.broker,
            as_of=statement.as_of or terms.market_date,
            accounts=(),
            refused=(),
            notes=(f"This file was imported on {earlier.imported_at:%d %B %Y}; nothing to do.",),
            imported_before=True,
        )
    numbers = {account.number for account in statement.accounts}
    rows = list(get_firm(firm_id).accounts.filter(number__in=numbers).order_by("id"))
    visible = [row for row in rows if account_ids is None or row.pk in account_ids]
    stated = {holding.symbol for account in statement.accounts for holding in account.holdings}
    return plan_statement(
        statement=statement,
        terms=terms,
        known=_load_known(visible),
        hidden_numbers=frozenset(row.number for row in rows) - {row.number for row in visible},
        symbols=frozenset(
            models.Security.objects.filter(
                firm_id=firm_id, symbol__in=stated | {symbol.upper() for symbol in stated}
            ).values_list("symbol", flat=True)
        ),
    )


def _load_known(rows: "Collection[Account]") -> list[KnownAccount]:
    ids = [row.pk for row in rows]
    balances = {
        balance.account_id: balance
        for balance in models.CashBalance.objects.filter(account_id__in=ids)
    }
    holdings: dict[int, dict[str, Decimal]] = defaultdict(dict)
    for account_id, symbol, quantity in models.Holding.objects.filter(
        account_id__in=ids
    ).values_list("account_id", "security__symbol", "quantity"):
        holdings[account_id][symbol] = quantity
    return [
        KnownAccount(
            account_id=row.pk,
            household_id=row.household_id,
            number=row.number,
            name=row.name,
            custodian=row.custodian,
            is_open=row.is_open,
            is_booked=row.pk in balances and balances[row.pk].books_version > 0,
            cash=balances[row.pk].amount if row.pk in balances else ZERO,
            holdings=holdings[row.pk],
        )
        for row in rows
    ]


def list_imports(firm_id: int) -> "QuerySet[models.StatementImport]":
    """Return the firm's imported statements, newest first, with who imported them."""
    return (
        models.StatementImport.objects.filter(firm_id=firm_id)
        .select_related("imported_by")
        .order_by("-id")
    )
