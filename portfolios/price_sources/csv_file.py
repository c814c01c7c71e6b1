"""Prices from a file in long format: one row per symbol and market day, .csv or .csv.gz.

Every cell is read as text and typed here, because a data-frame reader makes `NA` a missing value,
`TRUE` a truth value and a price a float, and shifts all columns by one surplus cell without a word.
"""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO

import numpy as np

from portfolios.domain.money import round_price
from portfolios.domain.statements import RefusedRow

BYTES_MAX = 500 * 1024 * 1024
UNZIP_RATIO_MAX = 200
UNZIP_UNCHECKED_BYTES = 1024 * 1024
LINE_CHARACTERS_MAX = 1_000_000
LINES_MAX = 25_000_000
COLUMNS_MAX = 1_000
ROWS_MAX = 20_000_000
REFUSED_MAX = 100_000
PROGRESS_ROWS = 50_000
SYMBOL_LENGTH_MAX = 24
WHOLE_DIGITS_MAX = 12

# Our name for a column, and the names of the file that mean it, the best first.
_COLUMNS = {
    "date": ("date", "price_date"),
    "symbol": ("symbol", "ticker"),
    "price": ("close", "price"),
    "dividend": ("dividend",),
}
_REQUIRED = ("date", "symbol", "price")
_DELIMITERS = (",", "\t", ";")
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_DATE = re.compile(r"([0-9]{4})([-/]?)([0-9]{2})\2([0-9]{2})(?:[T ]00:00(?::00(?:\.0+)?)?)?")
_NUMBER = re.compile(r"\+?([0-9]*)(?:\.[0-9]*)?")
_SYMBOL = re.compile(r"[A-Z0-9^][A-Z0-9./^=\-]*")
# More than any ordinal of a date: symbol and day become one integer.
_DAYS_SPAN = 10_000_000


class PriceFileUnreadable(Exception):
    """The file as a whole cannot be read; `reason` names what is at fault."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PriceFile:
    """The believed rows as columns of equal length, in file order, and every refused row.

    Prices and dividends are US dollars per share, exact from the text, to six places; `lines` are
    lines of the file. Rows that say the same twice are kept once and counted in `repeated_count`.
    """

    symbols: list[str]
    dates: list[date]
    prices: list[Decimal]
    lines: list[int]
    dividends: list[tuple[str, date, Decimal]]
    refused: tuple[RefusedRow, ...]
    repeated_count: int


def read_price_file(
    source: BinaryIO | Path, *, on_progress: Callable[[int], None] | None = None
) -> PriceFile:
    """Return the prices of a file; `on_progress` is told the number of rows read so far.

    A row that cannot be believed is refused; so is every row of a symbol and day that comes with
    two prices. Whether a date lies in the future is for the caller, who has a clock.

    :raises PriceFileUnreadable: when the file as a whole cannot be read, with the culprit.
    """
    try:
        with source.open("rb") if isinstance(source, Path) else nullcontext(source) as stream:
            return _read(_open_text(stream), on_progress)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise PriceFileUnreadable(f"the gzip archive is damaged: {error}") from error
    except UnicodeDecodeError as error:
        raise PriceFileUnreadable(f"wrong encoding: not {error.encoding}") from error
    except csv.Error as error:
        raise PriceFileUnreadable(f"not valid CSV: {error}") from error


def _read(text: io.TextIOWrapper, on_progress: Callable[[int], None] | None) -> PriceFile:
    lines = _bounded_lines(text)
    header_line, header_text = next(((n, t) for n, t in enumerate(lines, 1) if t.strip()), (0, ""))
    if not header_text:
        raise PriceFileUnreadable("the file is empty")
    delimiter, places, width = _read_header(header_text)
    columns = _Columns()
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    count, line = 0, header_line + 1
    for cells in rows:
        if cells and (len(cells) > 1 or cells[0].strip()):
            count += 1
            columns.add_row(cells, places, width, line)
            if count > ROWS_MAX:
                raise PriceFileUnreadable(f"line {line}: more than {ROWS_MAX:,} rows")
            if on_progress is not None and count % PROGRESS_ROWS == 0:
                on_progress(count)
        line = header_line + rows.line_num + 1
    if count == 0:
        raise PriceFileUnreadable("the file has a header but no rows")
    if on_progress is not None:
        on_progress(count)
    return columns.finish()


class _RowRefused(Exception):
    """A row at fault: the text names the cell and says why."""


@dataclass(slots=True)
class _Columns:
    """The rows read so far; typed cells are remembered, for symbols and days repeat."""

    symbols: list[str] = field(default_factory=list)
    dates: list[date] = field(default_factory=list)
    prices: list[Decimal] = field(default_factory=list)
    dividends: list[Decimal | None] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    refused: list[RefusedRow] = field(default_factory=list)
    known_symbols: dict[str, str] = field(default_factory=dict)
    known_dates: dict[str, date] = field(default_factory=dict)

    def add_row(self, cells: Sequence[str], places: dict[str, int], width: int, line: int) -> None:
        try:
            if len(cells) != width and (len(cells) < width or any(cells[width:])):
                raise _RowRefused(f"has {len(cells)} cells, but the header names {width}")
            symbol = self._symbol(cells[places["symbol"]])
            day = self._date(cells[places["date"]])
            price = _read_price(cells[places["price"]])
            place = places.get("dividend")
            dividend = None if place is None else _read_dividend(cells[place])
        except _RowRefused as refusal:
            culprit = cells[places["symbol"]] if places["symbol"] < len(cells) else "row"
            self.refuse(line, culprit, str(refusal))
            return
        self.symbols.append(symbol)
        self.dates.append(day)
        self.prices.append(price)
        self.dividends.append(dividend)
        self.lines.append(line)

    def refuse(self, line: int, culprit: str, reason: str) -> None:
        self.refused.append(RefusedRow(line, _show(culprit) or "row", reason))
        if len(self.refused) > REFUSED_MAX:
            first = self.refused[0]
            raise PriceFileUnreadable(
                f"more than {REFUSED_MAX:,} rows are refused; the first on line {first.line}: "
                f"{first.culprit} {first.reason}"
            )

    def finish(self) -> PriceFile:
        """Return the rows without repetitions and contradictions."""
        dropped, repeated_count = self._drop_twins()
        kept = [i for i in range(len(self.symbols)) if i not in dropped]
        return PriceFile(
            symbols=[self.symbols[i] for i in kept],
            dates=[self.dates[i] for i in kept],
            prices=[self.prices[i] for i in kept],
            lines=[self.lines[i] for i in kept],
            dividends=[
                (self.symbols[i], self.dates[i], dividend)
                for i in kept
                if (dividend := self.dividends[i])
            ],
            refused=tuple(sorted(self.refused, key=lambda row: row.line)),
            repeated_count=repeated_count,
        )

    def _drop_twins(self) -> tuple[set[int], int]:
        """Return the places of rows to leave out, and how many of them merely repeat another."""
        dropped: set[int] = set()
        repeated_count = 0
        for twins in self._find_twins():
            said = {(self.prices[i], self.dividends[i]) for i in twins}
            if len(said) == 1:
                dropped.update(twins[1:])
                repeated_count += len(twins) - 1
                continue
            dropped.update(twins)
            symbol, day = self.symbols[twins[0]], self.dates[twins[0]]
            both = ", ".join(self._say(i) for i in twins[:5])
            for i in twins:
                self.refuse(self.lines[i], symbol, f"{symbol} of {day} is given twice: {both}")
        return dropped, repeated_count

    def _say(self, i: int) -> str:
        dividend = f" with dividend {self.dividends[i]}" if self.dividends[i] else ""
        return f"{self.prices[i]}{dividend} on line {self.lines[i]}"

    def _find_twins(self) -> Iterator[list[int]]:
        """Yield the places, in file order, of rows that share symbol and day."""
        codes = {symbol: code for code, symbol in enumerate(dict.fromkeys(self.symbols))}
        keys = np.fromiter(
            (
                codes[symbol] * _DAYS_SPAN + day.toordinal()
                for symbol, day in zip(self.symbols, self.dates, strict=True)
            ),
            dtype=np.int64,
            count=len(self.symbols),
        )
        order = np.argsort(keys, kind="stable")
        same = keys[order][1:] == keys[order][:-1]
        twins: list[int] = []
        for place in np.flatnonzero(same).tolist():
            first, second = int(order[place]), int(order[place + 1])
            if twins and twins[-1] == first:
                twins.append(second)
                continue
            if twins:
                yield twins
            twins = [first, second]
        if twins:
            yield twins

    def _symbol(self, text: str) -> str:
        symbol = self.known_symbols.get(text)
        if symbol is None:
            symbol = text.strip().upper()
            if not symbol:
                raise _RowRefused("symbol is missing")
            if len(symbol) > SYMBOL_LENGTH_MAX or not _SYMBOL.fullmatch(symbol):
                raise _RowRefused(f"symbol {_show(text)!r} is not a ticker")
            self.known_symbols[text] = symbol
        return symbol

    def _date(self, text: str) -> date:
        day = self.known_dates.get(text)
        if day is None:
            found = _DATE.fullmatch(text.strip())
            if found is None:
                raise _RowRefused(f"date {_show(text)!r} is not a date such as 2024-12-31")
            try:
                day = date(int(found[1]), int(found[3]), int(found[4]))
            except ValueError:
                reason = f"date {_show(text)!r} is not a day of the calendar"
                raise _RowRefused(reason) from None
            self.known_dates[text] = day
        return day


def _read_price(text: str) -> Decimal:
    price = round_price(_read_number(text, "price"))
    if price <= 0:
        raise _RowRefused(f"price {_show(text)!r} is not above zero")
    return price


def _read_dividend(text: str) -> Decimal | None:
    return round_price(_read_number(text, "dividend")) if text.strip() else None


def _read_number(text: str, name: str) -> Decimal:
    body = text.strip()
    found = _NUMBER.fullmatch(body)
    if found is not None and body.strip("+."):
        if len(found[1]) > WHOLE_DIGITS_MAX or len(body) > 60:
            raise _RowRefused(f"{name} {_show(text)!r} has too many digits")
        return Decimal(body)
    if not body:
        raise _RowRefused(f"{name} is missing")
    if body.startswith("-") and _NUMBER.fullmatch(body[1:]) and body.strip("-."):
        raise _RowRefused(f"{name} {_show(text)!r} is negative")
    if body.strip("+-").casefold() in {"nan", "inf", "infinity"}:
        raise _RowRefused(f"{name} {_show(text)!r} is not a finite number")
    raise _RowRefused(f"{name} {_show(text)!r} is not a plain number")


def _read_header(text: str) -> tuple[str, dict[str, int], int]:
    """Return the delimiter, where our columns stand, and the number of columns."""
    for delimiter in _DELIMITERS:
        if text.count(delimiter) > COLUMNS_MAX:
            raise PriceFileUnreadable(f"the header has more than {COLUMNS_MAX:,} columns")
        cells = next(csv.reader([text], delimiter=delimiter))
        while cells and not cells[-1].strip():
            cells.pop()
        names = [" ".join(cell.split()).casefold() for cell in cells]
        places = {
            ours: names.index(theirs[0])
            for ours, aliases in _COLUMNS.items()
            if (theirs := [alias for alias in aliases if alias in names])
        }
        if all(name in places for name in _REQUIRED):
            for place in places.values():
                if names.count(names[place]) > 1:
                    raise PriceFileUnreadable(f"the header names {names[place]!r} twice")
            return delimiter, places, len(cells)
    shown = ", ".join(repr(_show(cell)) for cell in next(csv.reader([text]))[:20])
    raise PriceFileUnreadable(
        f"unknown header: found are {shown}; needed are date, symbol (or ticker), close (or price)"
    )


def _bounded_lines(text: io.TextIOWrapper) -> Iterator[str]:
    """Yield lines, none of which may fill the memory."""
    number = 0
    while line := text.readline(LINE_CHARACTERS_MAX):
        number += 1
        if number > LINES_MAX:
            raise PriceFileUnreadable(f"the file has more than {LINES_MAX:,} lines")
        if len(line) >= LINE_CHARACTERS_MAX:
            limit = f"{LINE_CHARACTERS_MAX:,} characters"
            raise PriceFileUnreadable(f"line {number} has more than {limit}")
        yield line


class _CountedBytes(io.RawIOBase):
    """A stream of bytes that is refused once it grows above a limit, or out of proportion."""

    def __init__(self, source: BinaryIO | gzip.GzipFile, head: bytes = b"") -> None:
        self.source = source
        self.head = head
        self.count = 0
        self.packed: _CountedBytes | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, at most 1 MB at a time."""
        size = 1 << 20 if size < 0 else min(size, 1 << 20)
        data, self.head = self.head[:size], self.head[size:]
        data = data or self.source.read(size)
        self.count += len(data)
        if self.count > BYTES_MAX:
            raise PriceFileUnreadable(f"the file has more than {BYTES_MAX // 1024**2} MB of text")
        if (
            self.packed is not None
            and self.count > UNZIP_UNCHECKED_BYTES
            and self.count > UNZIP_RATIO_MAX * self.packed.count
        ):
            ratio = self.count // max(self.packed.count, 1)
            raise PriceFileUnreadable(f"the gzip archive unpacks to {ratio} times its size")
        return data

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill `buffer` from the stream; return the number of bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _open_text(stream: BinaryIO) -> io.TextIOWrapper:
    """Return the text of a plain or gzipped stream, told apart by their first bytes."""
    head = stream.read(4)
    counted = _CountedBytes(stream, head)
    if head.startswith(b"\x1f\x8b"):
        unpacked = gzip.GzipFile(fileobj=counted, mode="rb")
        head = unpacked.read(4)
        packed, counted = counted, _CountedBytes(unpacked, head)
        counted.packed = packed
    if head.startswith(b"PK"):
        raise PriceFileUnreadable("the file is a zip archive or Excel workbook, not CSV")
    encoding = "utf-16" if head.startswith(_UTF16_MARKS) else "utf-8-sig"
    # Columns that are ignored may hold any bytes; a cell that is used must be plain ASCII anyway.
    errors = "strict" if encoding == "utf-16" else "surrogateescape"
    return io.TextIOWrapper(
        io.BufferedReader(counted), encoding=encoding, errors=errors, newline=""
    )


def _show(text: str) -> str:
    """Return text for a message: one line, short, plain ASCII."""
    short = " ".join(text.split())[:40]
    return short.encode("ascii", "backslashreplace").decode("ascii")
