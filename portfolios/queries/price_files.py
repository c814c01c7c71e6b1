"""What importing a price file would do: how many prices are new, and every row that is refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from portfolios.domain.pricing import BadQuote, Quote
from portfolios.domain.statements import RefusedRow
from portfolios.domain.symbols import is_symbol
from portfolios.price_sources.csv_file import PriceFile
from portfolios.queries.prices import get_security_ids, judge_quotes

if TYPE_CHECKING:
    from accounts.models import Firm


@dataclass(frozen=True, slots=True)
class PriceImport:
    """What importing a file did or would do; `new_symbols` would become securities."""

    recorded: int
    unchanged: int
    refused: tuple[RefusedRow, ...]
    new_symbols: tuple[str, ...] = ()


def list_quotes(price_file: PriceFile) -> list[Quote]:
    """Return the file's rows as quotes."""
    return [
        Quote(symbol, day, f"{price:f}")
        for symbol, day, price in zip(
            price_file.symbols, price_file.dates, price_file.prices, strict=True
        )
    ]


def list_refused_rows(price_file: PriceFile, refused: Sequence[BadQuote]) -> tuple[RefusedRow, ...]:
    """Return unreadable rows and disbelieved quotes as lines of the file, in order."""
    if not refused:
        return price_file.refused
    lines = {
        (symbol, day): line
        for symbol, day, line in zip(
            price_file.symbols, price_file.dates, price_file.lines, strict=True
        )
    }
    rows = [
        RefusedRow(
            line=lines[bad.quote.symbol, bad.quote.price_date],
            culprit=bad.quote.symbol,
            reason=f"{bad.reason}: {bad.detail}",
        )
        for bad in refused
    ]
    return tuple(sorted([*price_file.refused, *rows], key=lambda row: row.line))


def plan_price_import(
    *, firm: "Firm", price_file: PriceFile, market_date: date, create_missing: bool
) -> PriceImport:
    """Return what importing the file would do; writes nothing."""
    symbols = set(price_file.symbols)
    missing = symbols - get_security_ids(firm.pk, symbols).keys()
    new_symbols = {symbol for symbol in missing if is_symbol(symbol)} if create_missing else set()
    judged = judge_quotes(
        firm=firm,
        quotes=list_quotes(price_file),
        market_date=market_date,
        extra_symbols=frozenset(new_symbols),
    )
    return PriceImport(
        recorded=len(judged.good),
        unchanged=judged.unchanged + price_file.repeated_count,
        refused=list_refused_rows(price_file, judged.refused),
        new_symbols=tuple(sorted(new_symbols)),
    )
