"""One comparison: the broker's orders and positions against ours, and what becomes of differences.

A difference is put on record as a break, by its account and security, once; what the broker has
and nobody here knows of is parked for people. Neither is ever turned into an order or an entry.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models.functions import Now

from accounts.queries import people
from portfolios.domain.kinds import BreakKind
from portfolios.domain.money import ZERO
from portfolios.operations.breaks import close_break, open_break
from portfolios.operations.entries import lock_books
from portfolios.queries.books import get_today
from portfolios.queries.breaks import list_open_breaks
from portfolios.queries.custody import (
    get_versions,
    list_moved_accounts,
    load_holdings,
    map_symbols,
)
from portfolios.queries.settlement import measure_unsettled_proceeds
from rebalancer import models
from rebalancer.brokers.port import Broker, BrokerPosition, BrokerUnavailable
from rebalancer.domain.kinds import BrokerKind
from rebalancer.domain.reconciliation import (
    Difference,
    RunStatus,
    UnderWay,
    Unit,
    compare_books,
)
from rebalancer.operations.custody import is_unsettled
from rebalancer.operations.execution.asking import REVIEW_WINDOW, WORKING, ask, record_list
from rebalancer.operations.execution.brokers import name_account
from robo.common.errors import Refused

logger = logging.getLogger(__name__)

# Beyond this a fill is absurd, and a break of its own.
PRICE_MARGIN = Decimal("1.5")
SOURCE = "reconciliation"
BATCH_ACCOUNTS = 1_000


@dataclass(slots=True)
class Tally:
    """The figures of a run."""

    accounts: int = 0
    executions: int = 0
    orders_missing: int = 0
    reports_open: int = 0
    in_flight: int = 0
    differences: int = 0
    opened: int = 0
    closed: int = 0

    def as_figures(self) -> dict[str, int]:
        """Return the figures by name."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Work:
    """What one run has at hand."""

    firm_id: int
    kind: BrokerKind
    broker: Broker
    now: datetime
    tally: Tally = field(default_factory=Tally)


# --- Orders --------------------------------------------------------------------------------------


def compare_orders(work: Work) -> None:
    """Take up what the broker's list has and we have not heard of, and park what it does not know.

    An order is never made from what a broker says.
    """
    before = models.ReconciliationRun.objects.filter(
        firm_id=work.firm_id, status=RunStatus.DONE
    ).order_by("-pk")
    last = before.values_list("started_at", flat=True).first()
    since = min(work.now, last or work.now) - REVIEW_WINDOW
    listed = work.broker.list_orders(since)
    work.tally.executions += record_list(listed, kind=work.kind, firm_id=work.firm_id, now=work.now)
    names = {order.client_order_id for order in listed}
    unlisted = list(
        models.Slice.objects.select_related("block")
        .filter(WORKING, block__firm_id=work.firm_id, block__broker=work.kind)
        .exclude(client_order_id__in=names)
        .order_by("pk")
    )
    found, missing = ask(unlisted, now=work.now)
    work.tally.executions += found
    work.tally.orders_missing = len(missing)
    _park_missing(work, missing)


def _park_missing(work: Work, missing: Sequence[models.Slice]) -> None:
    """Keep for a person what we have as sent and the broker does not know."""
    reports = [
        models.ParkedReport(
            report_key=f"missing:{row.client_order_id}",
            client_order_id=row.client_order_id,
            reason="We have this order as sent, and the broker does not know it.",
            report={"quantity": f"{row.quantity:f}", "status": row.status},
        )
        for row in missing
    ]
    _keep(work, "missing:", reports)
    # So that two people can end what no broker ever will; if it does know it after all, the next
    # look says so and nobody is asked.
    models.Slice.objects.filter(WORKING, pk__in=[row.pk for row in missing]).update(
        is_parked=True, reason="The broker took this order, and does not know it now."
    )


@transaction.atomic(durable=True)
def _keep(work: Work, prefix: str, reports: Sequence[models.ParkedReport]) -> None:
    """Keep these reports, and no others of their kind: what is no longer so is settled by itself.

    What a person has settled does not come back.
    """
    keys = [report.report_key for report in reports]
    mine = models.ParkedReport.objects.filter(
        firm_id=work.firm_id, broker=work.kind, report_key__startswith=prefix
    )
    mine.filter(resolved_at__isnull=True).exclude(report_key__in=keys).update(
        resolved_at=Now(), resolution="It was no longer so when it was next compared."
    )
    again = mine.filter(report_key__in=keys, resolved_at__isnull=False, resolved_by__isnull=True)
    again.update(resolved_at=None, resolution="")
    known = set(mine.filter(report_key__in=keys).values_list("report_key", flat=True))
    for report in reports:
        report.firm_id, report.broker = work.firm_id, work.kind
    models.ParkedReport.objects.bulk_create(
        [report for report in reports if report.report_key not in known]
    )


# --- Positions -----------------------------------------------------------------------------------


def compare_positions(work: Work) -> None:
    """Compare what every account of the firm holds, and put on record what differs."""
    numbers = {
        account_id: name_account(work.kind, number, public_id)
        for account_id, (number, public_id) in people.list_account_numbers(work.firm_id).items()
    }
    symbols = map_symbols(work.firm_id)
    ids = sorted(numbers)
    work.tally.accounts = len(ids)
    strangers: list[tuple[int, BrokerPosition]] = []
    for start in range(0, len(ids), BATCH_ACCOUNTS):
        some = {key: numbers[key] for key in ids[start : start + BATCH_ACCOUNTS]}
        strangers += _compare_accounts(work, some, symbols)
    _park_strangers(work, strangers)
    work.tally.reports_open = models.ParkedReport.objects.filter(
        firm_id=work.firm_id, resolved_at__isnull=True
    ).count()


def _compare_accounts(
    work: Work, numbers: Mapping[int, str], symbols: Mapping[str, int]
) -> list[tuple[int, BrokerPosition]]:
    """Compare some accounts; return the positions in what is no security of the firm's."""
    ids = sorted(numbers)
    before = get_versions(ids)
    # What is settled while the broker answers was on its way when it began to.
    orders = _measure_orders(ids)
    told = work.broker.list_positions([numbers[key] for key in ids])
    books = load_holdings(ids)
    theirs, strangers = _sort_positions(told, numbers, symbols)
    differences = compare_books(
        ours=books.quantities,
        theirs=theirs,
        under_way=UnderWay(
            orders=_take_larger(orders, _measure_orders(ids)),
            unsettled=measure_unsettled_proceeds(
                account_ids=ids, on_date=get_today(people.get_firm(work.firm_id), work.now)
            ),
            moving={key for key in ids if before.get(key) != books.versions.get(key)}
            | _list_untold(work, ids),
        ),
    )
    broken = {(row.account_id, row.security_id) for row in list_open_breaks(ids)}
    real = [one for one in differences if not one.explanation]
    work.tally.in_flight += len(differences) - len(real)
    work.tally.differences += len(real)
    for one in real:
        is_new = (one.account_id, one.security_id) not in broken
        work.tally.opened += int(_put_on_record(one, books.versions[one.account_id]) and is_new)
    _close_settled(work, ids, differences, theirs)
    return strangers


def _sort_positions(
    told: Iterable[BrokerPosition], numbers: Mapping[int, str], symbols: Mapping[str, int]
) -> tuple[dict[Unit, Decimal], list[tuple[int, BrokerPosition]]]:
    """Return what the broker says of the accounts that were asked about, by our own ids.

    Whatever else it says is somebody else's, and not looked at.
    """
    accounts = {number: account_id for account_id, number in numbers.items()}
    theirs: dict[Unit, Decimal] = defaultdict(lambda: ZERO)
    strangers = []
    for row in told:
        account_id = accounts.get(row.account_number)
        if account_id is None:
            continue
        if not row.quantity.is_finite():
            raise BrokerUnavailable(f"the broker says {row.quantity} of {row.symbol or 'cash'}")
        if row.symbol and row.symbol not in symbols:
            if row.quantity:
                strangers.append((account_id, row))
            continue
        theirs[account_id, symbols[row.symbol] if row.symbol else None] += row.quantity
    return dict(theirs), strangers


def _measure_orders(account_ids: Sequence[int]) -> dict[Unit, Decimal]:
    """Return how far orders that are not settled with the broker may move each unit, at most."""
    found: dict[Unit, Decimal] = defaultdict(lambda: ZERO)
    for order in models.Order.objects.filter(
        is_unsettled(), account_id__in=account_ids
    ).select_related("block", "trade"):
        price = order.trade.fill_price
        if order.block is not None:
            price = max(price, order.block.reserve_price, order.block.arrival_price)
        found[order.account_id, order.security_id] += order.quantity
        found[order.account_id, None] += order.quantity * price * PRICE_MARGIN
    return dict(found)


def _take_larger(one: Mapping[Unit, Decimal], other: Mapping[Unit, Decimal]) -> dict[Unit, Decimal]:
    return {unit: max(one.get(unit, ZERO), other.get(unit, ZERO)) for unit in {*one, *other}}


def _list_untold(work: Work, account_ids: Sequence[int]) -> set[int]:
    """Return the accounts of which the paper broker does not know everything yet."""
    if work.kind is not BrokerKind.PAPER:
        return set()
    cursors = dict(
        models.CustodyCursor.objects.filter(
            account_id__in=account_ids, is_taken_on=True
        ).values_list("account_id", "told_entry_id")
    )
    return (set(account_ids) - set(cursors)) | list_moved_accounts(cursors)


@transaction.atomic(durable=True)
def _put_on_record(one: Difference, version: int) -> bool:
    """Open a break, or show the newest figures in the one that there is; return whether it stands.

    Books that moved since they were compared are left for the next time.
    """
    balance = lock_books([one.account_id])[one.account_id]
    if balance.books_version != version:
        return False
    source = _name_source(one.account_id, one.security_id)
    others = [
        row
        for row in list_open_breaks([one.account_id])
        if row.security_id == one.security_id and row.source != source
    ]
    if others:
        return False  # It is on record, by what made it.
    kind = BreakKind.CASH if one.security_id is None else BreakKind.POSITION
    open_break(
        account_id=one.account_id,
        security_id=one.security_id,
        kind=kind,
        source=source,
        ours=one.ours,
        theirs=one.theirs,
        note="Found when the books were compared with the broker's.",
    )
    return True


def _name_source(account_id: int, security_id: int | None) -> str:
    return f"{SOURCE}:{account_id}:{'cash' if security_id is None else security_id}"


def _close_settled(
    work: Work,
    account_ids: Sequence[int],
    differences: Sequence[Difference],
    theirs: Mapping[Unit, Decimal],
) -> None:
    """Close the breaks that an earlier comparison opened, where both sides agree again."""
    differing = {(one.account_id, one.security_id) for one in differences}
    engine_id = people.get_service_user(work.firm_id).pk
    for row in list_open_breaks(account_ids):
        unit = (row.account_id, row.security_id)
        if not row.source.startswith(f"{SOURCE}:") or unit in differing:
            continue
        try:
            close_break(
                break_id=row.pk,
                user_id=engine_id,
                note="Both sides agreed again when they were next compared.",
                now=work.now,
                theirs=theirs.get(unit, ZERO),
            )
        except Refused:
            # Closed by a person meanwhile, or the books moved: the next comparison tells.
            logger.info("break %s is left for the next comparison", row.public_id)
        else:
            work.tally.closed += 1


def _park_strangers(work: Work, strangers: Sequence[tuple[int, BrokerPosition]]) -> None:
    """Keep for a person what the broker holds that is no security of the firm's."""
    prefix = f"position:{work.firm_id}:"
    reports = {
        f"{prefix}{account_id}:{row.symbol}:{row.quantity:f}"[:160]: models.ParkedReport(
            report_key=f"{prefix}{account_id}:{row.symbol}:{row.quantity:f}"[:160],
            reason=f"The broker holds {row.quantity:f} {row.symbol[:60]} in an account of ours, "
            "and it is no security of the firm's.",
            report={"account": account_id, "symbol": row.symbol, "quantity": f"{row.quantity:f}"},
        )
        for account_id, row in strangers
    }
    _keep(work, prefix, list(reports.values()))
