"""Every read of prices: which quotes to believe, the latest, history, what was refused."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.models import F, OuterRef, QuerySet, Subquery

from portfolios import models
from portfolios.domain.corporate_actions import (
    SPLITS,
    expect_price,
    multiply_splits,
    scale_price,
)
from portfolios.domain.kinds import PriceRefusal
from portfolios.domain.pricing import BadQuote, GoodQuote, Quote, read_price, validate_quotes
from portfolios.queries.corporate_actions import load_actions
from robo.common.market_calendar import list_sessions

if TYPE_CHECKING:
    from accounts.models import Firm

Recorded = Mapping[str, Mapping[date, Decimal]]


@dataclass(frozen=True, slots=True)
class Judgement:
    """Quotes sorted into those to record, those already on record, and those not to believe."""

    good: tuple[GoodQuote, ...]
    unchanged: int
    refused: tuple[BadQuote, ...]


def judge_quotes(
    *,
    firm: "Firm",
    quotes: Sequence[Quote],
    market_date: date,
    extra_symbols: frozenset[str] = frozenset(),
) -> Judgement:
    """Judge quotes against what is on record; writes nothing.

    Each is compared with the believed price of the day before it, never with a later one, so that
    history older than what is on record can be taken in. `extra_symbols` count as known although
    the firm has no such security yet.
    """
    security_ids = get_security_ids(firm.pk, {quote.symbol for quote in quotes})
    known = frozenset(security_ids) | extra_symbols
    recorded = _load_recorded(security_ids, quotes)
    sessions = frozenset(list_sessions(firm.exchange))
    unchanged = 0
    refused: list[BadQuote] = []
    fresh: list[Quote] = []
    for quote in quotes:
        on_record = recorded.get(quote.symbol, {}).get(quote.price_date)
        if on_record is not None:
            conflict = _compare(quote, on_record)
            if conflict is None:
                unchanged += 1
            else:
                refused.append(conflict)
        elif (
            quote.symbol in known
            and quote.price_date <= market_date
            and quote.price_date not in sessions
        ):
            detail = f"{firm.exchange} was closed on {quote.price_date}"
            refused.append(BadQuote(quote, PriceRefusal.NOT_A_SESSION, detail))
        else:
            fresh.append(quote)
    good: list[GoodQuote] = []
    by_security = load_actions(firm_id=firm.pk)
    actions = {symbol: by_security.get(key, ()) for symbol, key in security_ids.items()}
    for run, latest in _split_into_runs(fresh, recorded, security_ids):
        believed, doubted = validate_quotes(
            quotes=run,
            known_symbols=known,
            latest=latest,
            market_date=market_date,
            jump_max=firm.price_jump_max,
            actions=actions,
        )
        good += believed
        refused += doubted
    # An exact repetition inside the batch is neither recorded twice nor refused.
    unchanged += len(quotes) - unchanged - len(good) - len(refused)
    return Judgement(tuple(good), unchanged, tuple(refused))


def _compare(quote: Quote, on_record: Decimal) -> BadQuote | None:
    price = read_price(quote)
    if isinstance(price, BadQuote):
        return price
    if price == on_record:
        return None
    detail = f"{price} differs from {on_record}, which is on record for {quote.price_date}"
    return BadQuote(quote, PriceRefusal.CONFLICT, detail)


def _load_recorded(security_ids: Mapping[str, int], quotes: Sequence[Quote]) -> Recorded:
    recorded: dict[str, dict[date, Decimal]] = defaultdict(dict)
    if not security_ids:
        return recorded
    symbols = {security_id: symbol for symbol, security_id in security_ids.items()}
    dates = [quote.price_date for quote in quotes]
    rows = models.Price.objects.filter(
        security_id__in=symbols, price_date__range=(min(dates), max(dates))
    ).values_list("security_id", "price_date", "price")
    for security_id, price_date, price in rows.iterator(chunk_size=20_000):
        recorded[symbols[security_id]][price_date] = price
    return recorded


def _split_into_runs(
    fresh: Sequence[Quote], recorded: Recorded, security_ids: Mapping[str, int]
) -> list[tuple[list[Quote], dict[str, tuple[date, Decimal]]]]:
    """Split quotes wherever a price on record lies between two of them.

    Each run comes with the price on record just before it, by symbol; that is what its first quote
    is judged by. Nearly always there is one run.
    """
    by_symbol: dict[str, list[Quote]] = defaultdict(list)
    for quote in fresh:
        by_symbol[quote.symbol].append(quote)
    first_dates = {
        symbol: min(quote.price_date for quote in group)
        for symbol, group in by_symbol.items()
        if symbol in security_ids
    }
    earlier = _load_prices_before(
        {security_ids[symbol]: day for symbol, day in first_dates.items()}
    )
    runs: list[tuple[list[Quote], dict[str, tuple[date, Decimal]]]] = []
    for symbol, group in by_symbol.items():
        on_record = recorded.get(symbol, {})
        dates = sorted(on_record)
        by_position: dict[int, list[Quote]] = defaultdict(list)
        for quote in group:
            by_position[bisect_left(dates, quote.price_date)].append(quote)
        for number, position in enumerate(sorted(by_position)):
            if number == len(runs):
                runs.append(([], {}))
            quotes, latest = runs[number]
            quotes += by_position[position]
            if position:
                latest[symbol] = (dates[position - 1], on_record[dates[position - 1]])
            elif (before := earlier.get(security_ids.get(symbol, 0))) is not None:
                latest[symbol] = before
    return runs


def _load_prices_before(days: Mapping[int, date]) -> dict[int, tuple[date, Decimal]]:
    """Return by security the newest price on record before its day."""
    if not days:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT wanted.security_id, newest.price_date, newest.price
            FROM unnest(%s::bigint[], %s::date[]) AS wanted (security_id, before_date)
            CROSS JOIN LATERAL (
                SELECT price_date, price FROM portfolios_price
                WHERE security_id = wanted.security_id AND price_date < wanted.before_date
                ORDER BY price_date DESC LIMIT 1) AS newest""",
            [list(days), list(days.values())],
        )
        return {row[0]: (row[1], row[2]) for row in cursor.fetchall()}


def get_security_ids(firm_id: int, symbols: set[str]) -> dict[str, int]:
    """Return the ids of the firm's securities by symbol; symbols it does not have are left out."""
    return dict(
        models.Security.objects.filter(firm_id=firm_id, symbol__in=symbols).values_list(
            "symbol", "id"
        )
    )


def list_latest_prices(firm_id: int) -> "QuerySet[models.Security, Any]":
    """Return a row per active security with its latest price or None; the oldest come first."""
    newest = models.Price.objects.filter(security=OuterRef("pk")).order_by("-price_date")[:1]
    return (
        models.Security.objects.filter(firm_id=firm_id, is_active=True)
        .annotate(
            latest_date=Subquery(newest.values("price_date")),
            latest_price=Subquery(newest.values("price")),
            latest_source=Subquery(newest.values("source")),
        )
        .order_by(F("latest_date").asc(nulls_first=True), "symbol")
        .values(
            "public_id",
            "symbol",
            "name",
            "asset_class__name",
            "latest_date",
            "latest_price",
            "latest_source",
        )
    )


def list_refused_prices(firm_id: int, *, reason: str = "") -> "QuerySet[models.RefusedPrice, Any]":
    """Return refused quotes, newest first, with the `price_on_record` of their day or None."""
    on_record = models.Price.objects.filter(
        security__firm_id=firm_id,
        security__symbol=OuterRef("symbol"),
        price_date=OuterRef("price_date"),
    )
    rows = models.RefusedPrice.objects.filter(firm_id=firm_id)
    if reason:
        rows = rows.filter(reason=reason)
    return (
        rows.annotate(price_on_record=Subquery(on_record.values("price")[:1]))
        .order_by("-id")
        .values(
            "id",
            "symbol",
            "price_date",
            "quoted",
            "reason",
            "detail",
            "source",
            "recorded_at",
            "price_on_record",
        )
    )


def list_price_history(security_id: int, *, since: date) -> list[tuple[date, Decimal]]:
    """Return (day, price) of a security from `since` on, in order of day.

    All are prices of a share as it is on the last of these days, whatever split came between.
    """
    rows = list(
        models.Price.objects.filter(security_id=security_id, price_date__gte=since)
        .order_by("price_date")
        .values_list("price_date", "price")
    )
    splits = load_actions(security_ids=[security_id], kinds=SPLITS).get(security_id, [])
    if not rows or not splits:
        return rows
    last = rows[-1][0]
    return [
        (day, scale_price(price, multiply_splits(splits, after=day, until=last)))
        for day, price in rows
    ]


def list_closes(
    *, security_ids: Collection[int], days: Collection[date]
) -> dict[tuple[int, date], Decimal]:
    """Return the recorded prices of these securities on these days, where there are any."""
    return {
        (security_id, day): price
        for security_id, day, price in models.Price.objects.filter(
            security_id__in=security_ids, price_date__in=days
        ).values_list("security_id", "price_date", "price")
    }


def find_price(security_id: int, day: date) -> tuple[date, Decimal] | None:
    """Return (market day, price) of the newest price up to `day`, as a share is on that day.

    What recorded splits and dividends have made of an older price is in it.
    """
    row = (
        models.Price.objects.filter(security_id=security_id, price_date__lte=day)
        .order_by("-price_date")
        .values_list("price_date", "price")
        .first()
    )
    if row is None:
        return None
    actions = load_actions(security_ids=[security_id]).get(security_id, [])
    return row[0], expect_price(row[1], actions, price_date=row[0], until=day)
