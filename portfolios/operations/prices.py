"""Every write of prices: recording quotes, whole files of them, and a person's word for a jump."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from accounts.operations.audit import record_audit_entry
from accounts.queries.people import get_firm
from portfolios import models
from portfolios.domain.kinds import PriceRefusal
from portfolios.domain.pricing import BadQuote, GoodQuote, Quote, read_price
from portfolios.domain.statements import RefusedRow
from portfolios.operations.securities import create_unclassified
from portfolios.price_sources.csv_file import PriceFile
from portfolios.queries.books import get_market_date
from portfolios.queries.price_files import PriceImport, list_quotes, list_refused_rows
from portfolios.queries.prices import get_security_ids, judge_quotes
from robo.common.errors import Conflict, Refused
from robo.common.market_calendar import is_session

Progress = Callable[[int], None]
PROGRESS_STEP = 10_000
# First key of the advisory lock, under which one firm's prices are written by one at a time.
PRICES_LOCK = 7101


class PricesRefused(Refused):
    """Some rows of a file were not believed, and all of it was asked for or nothing."""

    def __init__(self, refused: tuple[RefusedRow, ...]) -> None:
        super().__init__(f"{len(refused)} rows were refused; nothing was recorded.")
        self.refused = refused


@dataclass(frozen=True, slots=True)
class PriceReport:
    """What became of a batch of quotes."""

    recorded: int
    unchanged: int
    refused: tuple[BadQuote, ...]


@transaction.atomic
def record_prices(
    *,
    firm_id: int,
    quotes: Sequence[Quote],
    source: str,
    now: datetime,
    actor_id: int,
    on_progress: Progress | None = None,
) -> PriceReport:
    """Record the quotes that are believed and keep the others apart; safe to repeat."""
    _lock_prices(firm_id)
    if not quotes:
        return PriceReport(0, 0, ())
    firm = get_firm(firm_id)
    judged = judge_quotes(firm=firm, quotes=quotes, market_date=get_market_date(firm, now))
    security_ids = get_security_ids(firm_id, {quote.symbol for quote in judged.good})
    _insert_prices(judged.good, security_ids, source, on_progress)
    _keep_apart(firm_id, judged.refused, source)
    if judged.good or judged.refused:
        record_audit_entry(
            firm_id=firm_id,
            actor_id=actor_id,
            action="portfolios.prices.recorded",
            object_id=source[:60],
            summary=f"Recorded {len(judged.good)} prices, refused {len(judged.refused)}",
            detail={
                "recorded": len(judged.good),
                "unchanged": judged.unchanged,
                "refused": len(judged.refused),
            },
        )
    return PriceReport(len(judged.good), judged.unchanged, judged.refused)


@transaction.atomic
def import_price_file(
    *,
    firm_id: int,
    price_file: PriceFile,
    source: str,
    create_missing: bool,
    skip_refused: bool,
    now: datetime,
    actor_id: int,
    on_progress: Progress | None = None,
) -> PriceImport:
    """Record a file of prices, all or nothing unless `skip_refused`; safe to repeat.

    With `create_missing`, symbols the firm does not know become unclassified securities.

    :raises PricesRefused: with the rows, when one was refused and `skip_refused` is not set.
    """
    _lock_prices(firm_id)
    quotes = list_quotes(price_file)
    if create_missing:
        symbols = {quote.symbol for quote in quotes}
        missing = symbols - get_security_ids(firm_id, symbols).keys()
        create_unclassified(
            firm_id=firm_id, names={symbol: symbol for symbol in missing}, actor_id=actor_id
        )
    report = record_prices(
        firm_id=firm_id,
        quotes=quotes,
        source=source,
        now=now,
        actor_id=actor_id,
        on_progress=on_progress,
    )
    refused = list_refused_rows(price_file, report.refused)
    if refused and not skip_refused:
        raise PricesRefused(refused)
    unchanged = report.unchanged + price_file.repeated_count
    return PriceImport(recorded=report.recorded, unchanged=unchanged, refused=refused)


@transaction.atomic
def release_refused_price(
    *, refused_price_id: int, reason: str, now: datetime, actor_id: int
) -> PriceReport:
    """Believe a jump on a person's word, then judge the refused quotes after it once more.

    :raises Refused: when the quote was not refused for a jump, or no reason is given.
    :raises Conflict: when another price has been recorded for the day.
    """
    refused = models.RefusedPrice.objects.get(pk=refused_price_id)
    _lock_prices(refused.firm_id)
    good = _releasable(refused, reason, now)
    ids = get_security_ids(refused.firm_id, {refused.symbol})
    if refused.symbol not in ids:
        raise Refused(f"{refused.symbol} is no longer one of your securities.")
    if models.Price.objects.filter(
        security_id=ids[refused.symbol], price_date=good.price_date
    ).exists():
        raise Conflict(f"A price of {refused.symbol} on {good.price_date} is already on record.")
    _insert_prices([good], ids, f"released: {refused.source}"[:60], None)
    record_audit_entry(
        firm_id=refused.firm_id,
        actor_id=actor_id,
        action="portfolios.price.released",
        object_id=str(refused.pk),
        summary=f"Believed {refused.symbol} at {good.price} on {good.price_date}: {reason}"[:300],
        detail={"refused": refused.detail, "reason": reason, "price": str(good.price)},
    )
    return _judge_again(refused, now, actor_id)


def _releasable(refused: models.RefusedPrice, reason: str, now: datetime) -> GoodQuote:
    if refused.reason != PriceRefusal.JUMP or refused.price_date is None:
        raise Refused("Only a price that was refused for its jump can be believed on your word.")
    if not reason.strip():
        raise Refused("Say why this price is right.")
    firm = get_firm(refused.firm_id)
    if not is_session(firm.exchange, refused.price_date) or (
        refused.price_date > get_market_date(firm, now)
    ):
        raise Refused(f"{refused.price_date} is not a market day that has closed.")
    price = read_price(Quote(refused.symbol, refused.price_date, refused.quoted))
    if isinstance(price, BadQuote):
        raise Refused(price.detail)
    return GoodQuote(refused.symbol, refused.price_date, price)


def _judge_again(refused: models.RefusedPrice, now: datetime, actor_id: int) -> PriceReport:
    """Record the quotes that were refused only because the released one was not believed."""
    later = models.RefusedPrice.objects.filter(
        firm_id=refused.firm_id,
        symbol=refused.symbol,
        reason=PriceRefusal.JUMP,
        price_date__gt=refused.price_date,
    ).order_by("price_date", "id")
    return record_prices(
        firm_id=refused.firm_id,
        quotes=[Quote(row.symbol, row.price_date, row.quoted) for row in later if row.price_date],
        source=refused.source,
        now=now,
        actor_id=actor_id,
    )


def _lock_prices(firm_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [PRICES_LOCK, firm_id])


def _insert_prices(
    good: Sequence[GoodQuote],
    security_ids: Mapping[str, int],
    source: str,
    on_progress: Progress | None,
) -> None:
    """Write prices by the thousand (COPY does not go together with row security)."""
    source = source[:60]
    with connection.cursor() as cursor:
        for start in range(0, len(good), PROGRESS_STEP):
            part = good[start : start + PROGRESS_STEP]
            cursor.execute(
                "INSERT INTO portfolios_price (security_id, price_date, price, source)"
                " SELECT *, %s FROM unnest(%s::bigint[], %s::date[], %s::numeric[])",
                [
                    source,
                    [security_ids[quote.symbol] for quote in part],
                    [quote.price_date for quote in part],
                    [quote.price for quote in part],
                ],
            )
            if on_progress and len(part) == PROGRESS_STEP:
                on_progress(start + PROGRESS_STEP)


def _keep_apart(firm_id: int, refused: Sequence[BadQuote], source: str) -> None:
    models.RefusedPrice.objects.bulk_create(
        [
            models.RefusedPrice(
                firm_id=firm_id,
                symbol=bad.quote.symbol[:60],
                price_date=bad.quote.price_date,
                quoted=bad.quote.quoted[:60],
                reason=bad.reason,
                detail=bad.detail[:300],
                source=source[:60],
            )
            for bad in refused
        ],
        batch_size=5_000,
        ignore_conflicts=True,
    )
