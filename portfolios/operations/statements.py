"""Taking a broker's statement into the books: all of it in one transaction, or nothing."""

from collections.abc import Collection, Mapping

from django.db import connection, transaction

from accounts.domain.roles import TaxStatus
from accounts.operations.audit import record_audit_entry
from portfolios import models
from portfolios.domain.import_plan import AccountState, ImportPlan, ImportTerms, PlannedAccount
from portfolios.domain.lots import OpeningLot
from portfolios.domain.statements import Statement
from portfolios.operations.books import book_opening, open_account
from portfolios.operations.securities import create_unclassified
from portfolios.queries.prices import get_security_ids
from portfolios.queries.statements import plan_import
from robo.common.errors import Conflict, Refused

# First key of the advisory lock, under which one firm takes in one statement at a time.
IMPORTS_LOCK = 7102


class ImportRefused(Refused):
    """Rows of the statement were refused, so none of it was booked."""

    def __init__(self, plan: ImportPlan) -> None:
        super().__init__(f"{len(plan.refused)} rows were refused; nothing was imported.")
        self.plan = plan


class PlanChanged(Conflict):
    """The books moved since the plan was shown."""


@transaction.atomic
def apply_import(
    *,
    firm_id: int,
    statement: Statement,
    file_name: str,
    terms: ImportTerms,
    actor_id: int,
    account_ids: Collection[int] | None = None,
    fingerprint: str | None = None,
) -> ImportPlan:
    """Take a statement into the books and return what was done; the same file is taken once.

    `fingerprint` is that of the plan that was shown; None carries out whatever the plan is now.

    :raises ImportRefused: with the plan, when it refuses any row.
    :raises PlanChanged: when the plan is no longer the one that was shown.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [IMPORTS_LOCK, firm_id])
    _lock_books(firm_id, {account.number for account in statement.accounts})
    plan = plan_import(firm_id=firm_id, statement=statement, terms=terms, account_ids=account_ids)
    if plan.imported_before:
        return plan
    if plan.refused:
        raise ImportRefused(plan)
    if fingerprint is not None and fingerprint != plan.fingerprint:
        raise PlanChanged("The books have changed since this was shown. Look at it once more.")
    create_unclassified(firm_id=firm_id, names=plan.new_securities, actor_id=actor_id)
    security_ids = get_security_ids(
        firm_id, {holding.symbol for account in plan.accounts for holding in account.holdings}
    )
    for account in plan.accounts:
        if account.state is not AccountState.UNCHANGED:
            _take_on(account, plan, terms, security_ids, actor_id)
    _record_import(firm_id, plan, file_name, actor_id)
    return plan


def _lock_books(firm_id: int, numbers: set[str]) -> None:
    """Hold the books of the accounts meant still, from comparing them until they are opened."""
    list(
        models.CashBalance.objects.select_for_update(of=("self",))
        .filter(account__firm_id=firm_id, account__number__in=numbers)
        .order_by("account_id")
        .values_list("pk")
    )


def _take_on(
    account: PlannedAccount,
    plan: ImportPlan,
    terms: ImportTerms,
    security_ids: Mapping[str, int],
    actor_id: int,
) -> None:
    account_id = account.account_id
    if account_id is None:
        account_id = open_account(
            household_id=terms.household_id or 0,
            name=account.name,
            number=account.number,
            custodian=plan.broker,
            tax_status=account.tax_status or TaxStatus.TAXABLE,
            is_discretionary=False,
            opened_date=plan.as_of,
            actor_id=actor_id,
        )
    lots = [
        OpeningLot(security_ids[holding.symbol], lot.quantity, lot.cost, lot.acquired_date)
        for holding in account.holdings
        for lot in holding.lots
    ]
    # An entry moves something: an empty account gets its books with its first deposit.
    if lots or account.cash:
        book_opening(
            account_id=account_id,
            entry_date=plan.as_of,
            source=f"statement:{account_id}:{plan.content_sha256}",
            cash=account.cash,
            lots=lots,
            actor_id=actor_id,
            memo=_memo(account, plan.broker),
        )


def _memo(account: PlannedAccount, broker: str) -> str:
    assumed = [holding.symbol for holding in account.holdings if holding.note]
    said = f"From a {broker} statement."
    if assumed:
        said += f" Holding period unknown: {', '.join(assumed)}."
    return said[:200]


def _record_import(firm_id: int, plan: ImportPlan, file_name: str, actor_id: int) -> None:
    states = [account.state for account in plan.accounts]
    summary = {
        "as_of": plan.as_of.isoformat(),
        "accounts": {account.number: account.state for account in plan.accounts},
        "new_securities": sorted(plan.new_securities),
        "notes": list(plan.notes),
        "assumed": {
            f"{account.number} {holding.symbol}": holding.note
            for account in plan.accounts
            for holding in account.holdings
            if holding.note
        },
    }
    models.StatementImport.objects.create(
        firm_id=firm_id,
        content_sha256=plan.content_sha256,
        broker=plan.broker[:20],
        file_name=file_name[:200],
        imported_by_id=actor_id,
        summary=summary,
    )
    opened = len(states) - states.count(AccountState.UNCHANGED)
    record_audit_entry(
        firm_id=firm_id,
        actor_id=actor_id,
        action="portfolios.statement.imported",
        object_id=plan.content_sha256[:60],
        summary=f"Imported a {plan.broker} statement of {plan.as_of}: {opened} accounts taken on",
        detail=summary,
    )
