"""Every read of the books: cash, lots, entries, values, and the proof that they all agree."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from django.db import connection
from django.db.models import Max

from portfolios import models
from portfolios.domain.kinds import EntryKind
from robo.common.market_calendar import (
    get_latest_closed_session,
    get_local_date,
    list_sessions_after,
)

if TYPE_CHECKING:
    from accounts.models import Firm


def get_market_date(firm: "Firm", now: datetime) -> date:
    """Return the firm's market day: its simulated one, else the newest closed session by `now`."""
    return firm.simulated_date or get_latest_closed_session(firm.exchange, now)


def get_today(firm: "Firm", now: datetime) -> date:
    """Return the firm's own calendar day: a split holds from its morning, before any close."""
    return firm.simulated_date or get_local_date(firm.exchange, now)


def get_exchanges(account_ids: Sequence[int]) -> dict[int, str]:
    """Return the market code of each account's firm."""
    return dict(
        models.CashBalance.objects.filter(account_id__in=account_ids).values_list(
            "account_id", "account__firm__exchange"
        )
    )


def find_settlement_date(exchange: str, trade_date: date) -> date:
    """Return when money and shares of a trade move: one session after it."""
    return next(iter(list_sessions_after(exchange, trade_date, 1)), trade_date + timedelta(days=1))


@dataclass(frozen=True, slots=True)
class OpenLot:
    """One open lot, as stored."""

    account_id: int
    lot_id: int
    security_id: int
    quantity: Decimal
    cost: Decimal
    acquired_date: date


def list_open_lots(account_ids: Sequence[int]) -> list[OpenLot]:
    """Return the open lots of these accounts, by account and age."""
    return [
        OpenLot(*row)
        for row in models.Lot.objects.filter(account_id__in=account_ids, quantity__gt=0)
        .order_by("account_id", "security_id", "acquired_date", "id")
        .values_list("account_id", "id", "security_id", "quantity", "cost", "acquired_date")
    ]


def get_cash(account_ids: Sequence[int]) -> dict[int, tuple[Decimal, int]]:
    """Return cash and books version by account."""
    return {
        account_id: (amount, version)
        for account_id, amount, version in models.CashBalance.objects.filter(
            account_id__in=account_ids
        ).values_list("account_id", "amount", "books_version")
    }


def list_cash_flows(*, firm_id: int, since_date: date) -> list[tuple[int, int]]:
    """Return (account id, newest entry id) of accounts that money came to or left since."""
    return list(
        models.JournalEntry.objects.filter(
            kind__in=[EntryKind.DEPOSIT, EntryKind.WITHDRAWAL],
            account__firm_id=firm_id,
            entry_date__gte=since_date,
        )
        .values("account_id")
        .annotate(newest=Max("id"))
        .order_by("account_id")
        .values_list("account_id", "newest")
    )


def list_entries(account_ids: Sequence[int], limit: int = 50) -> list[models.JournalEntry]:
    """Return the newest journal entries of these accounts with their transfers."""
    return list(
        models.JournalEntry.objects.filter(account_id__in=account_ids)
        .select_related("account")
        .prefetch_related("transfers__security")
        .order_by("-id")[:limit]
    )


# --- Proof ---------------------------------------------------------------------------------------

_FAULTS: dict[str, str] = {
    "cash differs from the ledger": """
        WITH ledger AS (
            SELECT e.account_id,
                   sum(CASE WHEN t.target_pocket = 'CASH' THEN t.quantity
                            ELSE -t.quantity END) AS total
            FROM portfolios_transfer t JOIN portfolios_journalentry e ON e.id = t.entry_id
            WHERE t.security_id IS NULL GROUP BY 1)
        SELECT a.id, format('account %%s: cash %%s, ledger %%s', a.number, b.amount,
                      coalesce(l.total, 0))
        FROM portfolios_cashbalance b
        FULL JOIN ledger l USING (account_id)
        JOIN accounts_account a ON a.id = account_id
        WHERE a.firm_id = %(firm)s AND b.amount IS DISTINCT FROM coalesce(l.total, 0)""",
    "holding, lots and ledger differ": """
        WITH ledger AS (
            SELECT e.account_id, t.security_id,
                   sum(CASE WHEN t.target_pocket = 'SECURITIES' THEN t.quantity
                            ELSE -t.quantity END) AS total
            FROM portfolios_transfer t JOIN portfolios_journalentry e ON e.id = t.entry_id
            WHERE t.security_id IS NOT NULL GROUP BY 1, 2),
        lots AS (
            SELECT account_id, security_id, sum(quantity) AS total
            FROM portfolios_lot GROUP BY 1, 2)
        SELECT a.id, format('account %%s, %%s: holding %%s, lots %%s, ledger %%s', a.number,
                      s.symbol, coalesce(h.quantity, 0), coalesce(lots.total, 0),
                      coalesce(ledger.total, 0))
        FROM ledger
        FULL JOIN lots USING (account_id, security_id)
        FULL JOIN portfolios_holding h USING (account_id, security_id)
        JOIN accounts_account a ON a.id = account_id
        JOIN portfolios_security s ON s.id = security_id
        WHERE a.firm_id = %(firm)s
          AND (coalesce(h.quantity, 0) <> coalesce(lots.total, 0)
               OR coalesce(lots.total, 0) <> coalesce(ledger.total, 0))""",
    "a lot does not add up": """
        SELECT a.id, format('account %%s, lot %%s: opened %%s for %%s, adjusted by %%s for %%s, '
                      'left %%s for %%s, disposed %%s for %%s', a.number, l.id, l.opened_quantity,
                      l.opened_cost, coalesce(j.quantity, 0), coalesce(j.cost, 0), l.quantity,
                      l.cost, coalesce(d.quantity, 0), coalesce(d.cost, 0))
        FROM portfolios_lot l
        JOIN accounts_account a ON a.id = l.account_id
        LEFT JOIN (SELECT lot_id, sum(quantity) AS quantity, sum(cost) AS cost
                   FROM portfolios_disposal GROUP BY 1) d ON d.lot_id = l.id
        LEFT JOIN (SELECT lot_id, sum(quantity) AS quantity, sum(cost) AS cost
                   FROM portfolios_lotadjustment GROUP BY 1) j ON j.lot_id = l.id
        WHERE a.firm_id = %(firm)s
          AND (l.opened_quantity + coalesce(j.quantity, 0)
                   <> l.quantity + coalesce(d.quantity, 0)
               OR l.opened_cost + coalesce(j.cost, 0) <> l.cost + coalesce(d.cost, 0))""",
    "a lot is below zero without a break": """
        SELECT a.id, format('account %%s, lot %%s: %%s for %%s', a.number, l.id, l.quantity, l.cost)
        FROM portfolios_lot l
        JOIN accounts_account a ON a.id = l.account_id
        WHERE a.firm_id = %(firm)s AND (l.quantity < 0 OR l.cost < 0)
          AND NOT EXISTS (SELECT 1 FROM portfolios_break b
                          WHERE b.account_id = l.account_id AND b.security_id = l.security_id
                            AND b.closed_at IS NULL)""",
    "an entry moves nothing": """
        SELECT a.id, format('account %%s, entry %%s (%%s)', a.number, e.id, e.kind)
        FROM portfolios_journalentry e
        JOIN accounts_account a ON a.id = e.account_id
        WHERE a.firm_id = %(firm)s
          AND NOT EXISTS (SELECT 1 FROM portfolios_transfer t WHERE t.entry_id = e.id)""",
    "lots differ from their entry": """
        WITH moved AS (
            SELECT t.entry_id, t.security_id,
                   sum(CASE WHEN t.target_pocket = 'SECURITIES' THEN t.quantity
                            ELSE -t.quantity END) AS total
            FROM portfolios_transfer t WHERE t.security_id IS NOT NULL GROUP BY 1, 2),
        changed AS (
            SELECT x.entry_id, l.security_id, sum(x.quantity) AS total
            FROM (SELECT opened_by_id AS entry_id, id AS lot_id, opened_quantity AS quantity
                  FROM portfolios_lot
                  UNION ALL SELECT entry_id, lot_id, -quantity FROM portfolios_disposal
                  UNION ALL SELECT entry_id, lot_id, quantity FROM portfolios_lotadjustment) x
            JOIN portfolios_lot l ON l.id = x.lot_id GROUP BY 1, 2)
        SELECT a.id, format('account %%s, entry %%s: lots changed by %%s, ledger by %%s', a.number,
                      e.id, coalesce(changed.total, 0), coalesce(moved.total, 0))
        FROM moved FULL JOIN changed USING (entry_id, security_id)
        JOIN portfolios_journalentry e ON e.id = entry_id
        JOIN accounts_account a ON a.id = e.account_id
        WHERE a.firm_id = %(firm)s AND coalesce(changed.total, 0) <> coalesce(moved.total, 0)""",
    "a purchase's lot is not what was paid for": """
        SELECT a.id, format('account %%s, entry %%s: %%s shares for %%s on %%s, '
                      'lot of %%s for %%s on %%s', a.number, e.id, shares.quantity,
                      coalesce(cash.quantity, 0), e.entry_date, l.opened_quantity,
                      l.opened_cost, l.acquired_date)
        FROM portfolios_journalentry e
        JOIN accounts_account a ON a.id = e.account_id
        LEFT JOIN portfolios_transfer shares
               ON shares.entry_id = e.id AND shares.target_pocket = 'SECURITIES'
        LEFT JOIN portfolios_transfer cash ON cash.entry_id = e.id AND cash.source_pocket = 'CASH'
        LEFT JOIN portfolios_lot l ON l.opened_by_id = e.id
        WHERE a.firm_id = %(firm)s AND e.kind IN ('BUY', 'REINVEST')
          AND (l.account_id, l.security_id, l.opened_quantity, l.opened_cost, l.acquired_date)
              IS DISTINCT FROM (e.account_id, shares.security_id, shares.quantity,
                                coalesce(cash.quantity, 0), e.entry_date)""",
    "a sale's proceeds differ from its cash": """
        SELECT a.id, format('account %%s, entry %%s: cash %%s, proceeds %%s', a.number, e.id,
                      coalesce(cash.quantity, 0), coalesce(d.proceeds, 0))
        FROM portfolios_journalentry e
        JOIN accounts_account a ON a.id = e.account_id
        LEFT JOIN portfolios_transfer cash ON cash.entry_id = e.id AND cash.target_pocket = 'CASH'
        LEFT JOIN (SELECT entry_id, sum(proceeds) AS proceeds
                   FROM portfolios_disposal GROUP BY 1) d ON d.entry_id = e.id
        WHERE a.firm_id = %(firm)s AND e.kind IN ('SELL', 'MERGER', 'SPLIT')
          AND coalesce(cash.quantity, 0) <> coalesce(d.proceeds, 0)""",
    "a disposal does not fit its lot": """
        SELECT a.id, format('account %%s, lot %%s of %%s, disposed on %%s by entry %%s, '
                      'long-term: %%s', a.number, l.id, l.acquired_date, d.disposed_date, e.id,
                      d.is_long_term)
        FROM portfolios_disposal d
        JOIN portfolios_lot l ON l.id = d.lot_id
        JOIN portfolios_journalentry e ON e.id = d.entry_id
        JOIN accounts_account a ON a.id = l.account_id
        WHERE a.firm_id = %(firm)s
          AND (e.account_id <> l.account_id
               OR (e.entry_date <> d.disposed_date AND d.reverses_id IS NULL)
               OR d.is_long_term <> (d.disposed_date >= (l.acquired_date + 1 + interval '1 year'
                  + CASE WHEN to_char(l.acquired_date + 1, 'MMDD') = '0229'
                         THEN interval '1 day' ELSE interval '0' END)))""",
    "an adjustment does not fit its lot": """
        SELECT a.id, format('account %%s, entry %%s adjusts lot %%s of account %%s', a.number, e.id,
                      l.id, l.account_id)
        FROM portfolios_lotadjustment j
        JOIN portfolios_lot l ON l.id = j.lot_id
        JOIN portfolios_journalentry e ON e.id = j.entry_id
        JOIN accounts_account a ON a.id = e.account_id
        WHERE a.firm_id = %(firm)s
          AND (e.account_id <> l.account_id
               OR e.kind NOT IN ('SPLIT', 'REVERSAL', 'ADJUSTMENT'))""",
    "a split changes cost": """
        SELECT a.id, format('account %%s, entry %%s: %%s', a.number, e.id, sum(j.cost))
        FROM portfolios_lotadjustment j
        JOIN portfolios_journalentry e ON e.id = j.entry_id
        JOIN accounts_account a ON a.id = e.account_id
        WHERE a.firm_id = %(firm)s AND e.kind = 'SPLIT'
        GROUP BY 1, a.number, e.id HAVING sum(j.cost) <> 0""",
    "a reversal is not the opposite of what it reverses": """
        SELECT a.id, format('account %%s, entry %%s reverses %%s', a.number, e.id, o.id)
        FROM portfolios_journalentry e
        JOIN portfolios_journalentry o ON o.id = e.reverses_id
        JOIN accounts_account a ON a.id = e.account_id
        WHERE a.firm_id = %(firm)s
          AND (o.account_id <> e.account_id
               OR EXISTS (SELECT 1 FROM portfolios_transfer t
                          WHERE t.entry_id IN (e.id, o.id) AND t.security_id IS NULL
                          GROUP BY t.currency
                          HAVING sum(CASE WHEN t.target_pocket = 'CASH' THEN t.quantity
                                          ELSE -t.quantity END) <> 0)
               OR EXISTS (SELECT 1 FROM portfolios_lot l
                          WHERE l.opened_by_id = o.id AND (l.quantity <> 0 OR l.cost <> 0))
               OR EXISTS (SELECT 1 FROM portfolios_disposal d
                          LEFT JOIN portfolios_disposal r
                                 ON r.reverses_id = d.id AND r.entry_id = e.id
                          WHERE d.entry_id = o.id
                            AND (r.lot_id, -r.quantity, -r.proceeds, -r.cost, r.disposed_date)
                                IS DISTINCT FROM
                                (d.lot_id, d.quantity, d.proceeds, d.cost, d.disposed_date)))""",
    "an entry's kind and what it reverses differ": """
        SELECT a.id, format('account %%s, entry %%s (%%s)', a.number, e.id, e.kind)
        FROM portfolios_journalentry e
        JOIN accounts_account a ON a.id = e.account_id
        WHERE a.firm_id = %(firm)s AND (e.kind = 'REVERSAL') <> (e.reverses_id IS NOT NULL)""",
    "a disposal is reversed by another entry": """
        SELECT a.id, format('account %%s, entry %%s, disposal %%s', a.number, r.entry_id, r.id)
        FROM portfolios_disposal r
        JOIN portfolios_disposal d ON d.id = r.reverses_id
        JOIN portfolios_journalentry e ON e.id = r.entry_id
        JOIN accounts_account a ON a.id = e.account_id
        WHERE a.firm_id = %(firm)s AND e.reverses_id IS DISTINCT FROM d.entry_id""",
    "an adjusting entry belongs to no break": """
        SELECT a.id, format('account %%s, entry %%s', a.number, e.id)
        FROM portfolios_journalentry e
        JOIN accounts_account a ON a.id = e.account_id
        WHERE a.firm_id = %(firm)s AND e.kind = 'ADJUSTMENT'
          AND NOT EXISTS (SELECT 1 FROM portfolios_break b WHERE b.closing_entry_id = e.id
                            AND b.account_id = e.account_id)""",
    "an entry moves what its kind does not move": """
        SELECT a.id, format('account %%s, entry %%s (%%s): %%s to %%s', a.number, e.id, e.kind,
                      t.source_pocket, t.target_pocket)
        FROM portfolios_transfer t
        JOIN portfolios_journalentry e ON e.id = t.entry_id
        JOIN accounts_account a ON a.id = e.account_id
        LEFT JOIN portfolios_journalentry o ON o.id = e.reverses_id
        LEFT JOIN (VALUES
            ('OPENING', 'OPENING'), ('DEPOSIT', 'EXTERNAL'), ('WITHDRAWAL', 'EXTERNAL'),
            ('BUY', 'MARKET'), ('SELL', 'MARKET'), ('REINVEST', 'MARKET'), ('MERGER', 'MARKET'),
            ('SPLIT', 'MARKET'), ('SPLIT', 'ACTIONS'), ('DIVIDEND', 'INCOME'),
            ('ADJUSTMENT', 'ADJUSTMENT')) AS known (kind, pocket)
               ON known.kind = coalesce(o.kind, e.kind)
              AND known.pocket IN (t.source_pocket, t.target_pocket)
        WHERE a.firm_id = %(firm)s
          AND (known.kind IS NULL
               OR CASE WHEN t.security_id IS NULL THEN 'CASH' ELSE 'SECURITIES' END
                  NOT IN (t.source_pocket, t.target_pocket))""",
    "the books version miscounts": """
        SELECT a.id, format('account %%s: version %%s, entries %%s', a.number, b.books_version,
                      e.total)
        FROM portfolios_cashbalance b
        JOIN accounts_account a ON a.id = b.account_id
        CROSS JOIN LATERAL (SELECT count(*) AS total FROM portfolios_journalentry e
                            WHERE e.account_id = a.id) e
        WHERE a.firm_id = %(firm)s AND b.books_version <> e.total""",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One place where the books disagree with themselves."""

    title: str
    detail: str


def run_fault_queries(queries: dict[str, str], firm_id: int) -> Iterable[Fault]:
    """Run queries that each return (id, detail) rows for every violation of one invariant."""
    with connection.cursor() as cursor:
        for title, sql in queries.items():
            cursor.execute(sql, {"firm": firm_id})
            for _account_id, detail in cursor.fetchall():
                yield Fault(title, detail)


def check_books(firm_id: int) -> list[Fault]:
    """Return every place where a firm's cash, holdings, lots and ledger disagree."""
    return list(run_fault_queries(_FAULTS, firm_id))
