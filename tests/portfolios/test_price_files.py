"""Price files: exact figures, every doubtful row refused by name, hostile files stopped early."""

import gzip
import io
import os
import time
from datetime import date
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolios.price_sources import csv_file
from portfolios.price_sources.csv_file import PriceFile, PriceFileUnreadable, read_price_file

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("EVENKEEL_DATA_DIR", ROOT.parent / "shared" / "data"))
SECONDS_MAX = 3

GOOD = """date,ticker,open,close,volume,dividend
2030-03-01,AAA,10,10.123456,100,0.0
2030-03-01,BBB,20,20.5,100,0.25
2030-03-04,AAA,10,10.2,100,0
"""


def read(content: str | bytes) -> PriceFile:
    data = content.encode() if isinstance(content, str) else content
    return read_price_file(io.BytesIO(data))


def rows(file: PriceFile) -> list[tuple[str, date, Decimal]]:
    return list(zip(file.symbols, file.dates, file.prices, strict=True))


def test_a_good_file_is_read_exactly():
    file = read(GOOD)
    assert rows(file) == [
        ("AAA", date(2030, 3, 1), Decimal("10.123456")),
        ("BBB", date(2030, 3, 1), Decimal("20.5")),
        ("AAA", date(2030, 3, 4), Decimal("10.2")),
    ]
    assert file.lines == [2, 3, 4]
    assert file.dividends == [("BBB", date(2030, 3, 1), Decimal("0.25"))]
    assert (file.refused, file.repeated_count) == ((), 0)
    assert all(price.as_tuple().exponent == -6 for price in file.prices)


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(GOOD.encode()),
        GOOD.encode("utf-8-sig"),
        GOOD.encode("utf-16"),
        gzip.compress(GOOD.encode("utf-16")),
        GOOD.replace("\n", "\r\n").encode(),
        GOOD.replace("\n", "\r").encode(),
        GOOD.replace(",", ";").encode(),
        GOOD.replace(",", "\t").encode(),
        GOOD.replace("ticker", "Symbol ").replace("close", "PRICE").encode(),
        GOOD.replace("\n", ",\n").encode(),
        GOOD.replace("AAA", '"aaa"').encode(),
        GOOD.replace(",10,", ",Caf\xe9,").encode("cp1252"),
    ],
)
def test_dress_changes_nothing(content):
    assert read(content) == read(GOOD)


def test_column_order_and_unknown_columns_change_nothing():
    frame = pd.read_csv(io.StringIO(GOOD), dtype=str)
    frame["unknown"] = "x, y"
    shuffled = frame[["dividend", "unknown", "close", "volume", "date", "ticker", "open"]]
    assert read(shuffled.to_csv(index=False)) == read(GOOD)


def test_a_path_is_read_like_a_stream(tmp_path):
    path = tmp_path / "prices.txt"
    path.write_bytes(gzip.compress(GOOD.encode()))
    assert read_price_file(path) == read(GOOD)


def test_blank_lines_and_quoted_line_breaks_keep_the_line_numbers():
    file = read('\n\ndate,note,symbol,close\n\n2030-03-01,"a\nb",AAA,1\n2030-03-04,,AAA,2\n')
    assert file.lines == [5, 7]


@pytest.mark.parametrize("symbol", ["NA", "NULL", "TRUE", "NAN", "INF", "1E5", "BRK.B", "^GSPC"])
def test_symbols_that_look_like_values_stay_symbols(symbol):
    assert read(f"date,symbol,close\n2030-03-01,{symbol},1\n").symbols == [symbol]


@pytest.mark.parametrize(
    ("text", "price"),
    [("1.00000050", "1.000000"), ("1.0000015", "1.000002"), ("+7", "7"), (".5", "0.5"),
     (" 3 ", "3")],
)  # fmt: skip
def test_prices_are_rounded_once_half_to_even(text, price):
    assert read(f"date,symbol,close\n2030-03-01,AAA,{text}\n").prices == [Decimal(price)]


BAD_ROWS = {
    "not a number": ("2030-03-01,AAA,abc", "AAA", "price 'abc' is not a plain number"),
    "NaN": ("2030-03-01,AAA,NaN", "AAA", "price 'NaN' is not a finite number"),
    "infinity": ("2030-03-01,AAA,-Infinity", "AAA", "price '-Infinity' is not a finite number"),
    "zero": ("2030-03-01,AAA,0.00", "AAA", "price '0.00' is not above zero"),
    "negative": ("2030-03-01,AAA,-1.5", "AAA", "price '-1.5' is negative"),
    "zero when rounded": ("2030-03-01,AAA,0.0000004", "AAA", "is not above zero"),
    "scientific": ("2030-03-01,AAA,1e2", "AAA", "price '1e2' is not a plain number"),
    "thousands": ('2030-03-01,AAA,"1,000"', "AAA", "price '1,000' is not a plain number"),
    "decimal comma": ('2030-03-01,AAA,"10,5"', "AAA", "price '10,5' is not a plain number"),
    "underscore": ("2030-03-01,AAA,1_0", "AAA", "price '1_0' is not a plain number"),
    "foreign digits": ("2030-03-01,AAA,\u0661", "AAA", "is not a plain number"),
    "point alone": ("2030-03-01,AAA,.", "AAA", "price '.' is not a plain number"),
    "too large": ("2030-03-01,AAA,1234567890123", "AAA", "has too many digits"),
    "price missing": ("2030-03-01,AAA,", "AAA", "price is missing"),
    "symbol missing": ("2030-03-01, ,1", "row", "symbol is missing"),
    "formula": ("2030-03-01,=1+1,1", "=1+1", "symbol '=1+1' is not a ticker"),
    "symbol too long": ("2030-03-01," + "A" * 25 + ",1", "A" * 25, "is not a ticker"),
    "control sign": ("2030-03-01,A\x00A,1", "A\x00A", "is not a ticker"),
    "date order": ("01/03/2030,AAA,1", "AAA", "date '01/03/2030' is not a date such as"),
    "no such day": ("2030-02-30,AAA,1", "AAA", "date '2030-02-30' is not a day of the calendar"),
    "date missing": (",AAA,1", "AAA", "date '' is not a date"),
    "time of day": ("2030-03-01 16:00,AAA,1", "AAA", "is not a date such as"),
    "too many cells": ("2030-03-01,x,AAA,1", "x", "has 4 cells, but the header names 3"),
    "too few cells": ("2030-03-01,AAA", "AAA", "has 2 cells, but the header names 3"),
    "one cell": ("total", "row", "has 1 cells, but the header names 3"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows_are_refused_with_the_culprit_and_the_others_kept(case):
    row, culprit, reason = BAD_ROWS[case]
    file = read(f"date,symbol,close\n2030-03-01,CCC,5\n{row}\n2030-03-04,CCC,6\n")
    assert [(r.line, r.culprit) for r in file.refused] == [(3, culprit)]
    assert reason in file.refused[0].reason
    assert (file.symbols, file.lines) == (["CCC", "CCC"], [2, 4])


@pytest.mark.parametrize("dividend", ["NaN", "-0.1", "1e-5", "n/a"])
def test_a_row_with_an_unreadable_dividend_is_refused(dividend):
    file = read(f"date,symbol,close,dividend\n2030-03-01,AAA,1,{dividend}\n2030-03-04,AAA,1,\n")
    assert [row.line for row in file.refused] == [2]
    assert f"dividend '{dividend}'" in file.refused[0].reason
    assert (file.lines, file.dividends) == ([3], [])


def test_repeated_rows_are_counted_and_contradictions_refused_on_every_line():
    file = read(
        "date,symbol,close\n2030-03-01,AAA,1\n2030-03-01,BBB,2\n2030-03-01,AAA,1.000\n"
        "2030-03-01,BBB,3\n2030-03-01,bbb,2\n2030-03-04,BBB,4\n"
    )
    assert rows(file) == [
        ("AAA", date(2030, 3, 1), Decimal(1)),
        ("BBB", date(2030, 3, 4), Decimal(4)),
    ]
    assert file.repeated_count == 1
    assert [(row.line, row.culprit) for row in file.refused] == [(3, "BBB"), (5, "BBB"), (6, "BBB")]
    assert "2.000000 on line 3, 3.000000 on line 5" in file.refused[0].reason


def test_two_dividends_for_one_day_are_a_contradiction():
    file = read(
        "date,symbol,close,dividend\n2030-03-01,AAA,1,0.1\n2030-03-01,AAA,1,0.2\n2030-03-04,AAA,1,0\n"
    )
    assert [row.line for row in file.refused] == [2, 3]
    assert "dividend 0.100000 on line 2" in file.refused[0].reason
    assert file.dividends == []


UNREADABLE = {
    "empty": (b"", "the file is empty"),
    "blank": (b"\n\n", "the file is empty"),
    "header only": (b"date,symbol,close\n", "no rows"),
    "unknown header": (b"day,name,amount\n1,2,3\n", "'day', 'name', 'amount'; needed are date"),
    "no price": (b"date,symbol,open\n", "unknown header: found are 'date', 'symbol', 'open'"),
    "twice": (b"date,close,symbol,close\n", "the header names 'close' twice"),
    "zip": (b"PK\x03\x04....", "zip archive"),
    "binary": (bytes(range(256)), "unknown header"),
    "cut off gzip": (gzip.compress(GOOD.encode())[:-12], "gzip archive is damaged"),
    "gzip with a wrong sum": (gzip.compress(GOOD.encode())[:-8] + bytes(8), "is damaged"),
    "gzip of nothing": (gzip.compress(b""), "the file is empty"),
    "gzip head alone": (b"\x1f\x8b", "is damaged"),
    "open quote": (GOOD.encode() + b'"2030', "not valid CSV"),
    "half a utf-16 sign": (GOOD.encode("utf-16")[:-1], "wrong encoding"),
    "endless line": (b"date,symbol,close" + b"x" * 1_500_000, "line 1 has more than 1,000,000"),
    "endless cell": (b"date,symbol,close\n1," + b"x" * 200_000, "not valid CSV"),
    "bomb": (gzip.compress(b"date,symbol,close\n" + b"\n" * 5_000_000), "times its size"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_files_that_cannot_be_read_are_refused_with_the_culprit(case):
    content, reason = UNREADABLE[case]
    with pytest.raises(PriceFileUnreadable) as caught:
        read(content)
    assert reason in caught.value.reason


def test_limits_stop_large_files(monkeypatch):
    monkeypatch.setattr(csv_file, "ROWS_MAX", 2)
    with pytest.raises(PriceFileUnreadable, match="line 4: more than 2 rows"):
        read(GOOD)
    monkeypatch.setattr(csv_file, "LINES_MAX", 3)
    with pytest.raises(PriceFileUnreadable, match="more than 3 lines"):
        read("\n\n\n\n")
    monkeypatch.undo()
    monkeypatch.setattr(csv_file, "BYTES_MAX", 1024 * 1024)
    with pytest.raises(PriceFileUnreadable, match="more than 1 MB"):
        read("date,symbol,close\n" + "\n" * 1_100_000)
    monkeypatch.setattr(csv_file, "REFUSED_MAX", 1)
    with pytest.raises(PriceFileUnreadable, match="the first on line 2: AAA price is missing"):
        read("date,symbol,close\n2030-03-01,AAA,\n2030-03-04,AAA,\n")


def test_the_caller_s_stream_stays_open():
    stream = io.BytesIO(gzip.compress(GOOD.encode()))
    read_price_file(stream)
    assert not stream.closed


def test_progress_ends_with_the_number_of_rows():
    heard: list[int] = []
    body = "".join(f"2030-03-01,S{i},1\n" for i in range(60_000))
    read_price_file(io.BytesIO(b"date,symbol,close\n" + body.encode()), on_progress=heard.append)
    assert heard == [50_000, 60_000]


@settings(max_examples=300, deadline=None)
@given(
    body=st.binary(max_size=200),
    head=st.sampled_from([b"", b"date,symbol,close\n", b"\x1f\x8b\x08"]),
)
def test_random_bytes_are_read_or_refused(body, head):
    try:
        file = read(head + body)
    except PriceFileUnreadable:
        return
    assert all(price > 0 for price in file.prices)
    assert len(file.symbols) == len(file.dates) == len(file.prices) == len(file.lines)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["AAA", "BBB", "NA"]),
            st.dates(min_value=date(1990, 1, 1), max_value=date(2040, 1, 1)),
            st.decimals(min_value="0.000001", max_value="9999999", places=6),
        ),
        min_size=1,
        unique_by=lambda row: row[:2],
    )
)
def test_what_is_written_is_read_back_exactly(wanted):
    body = "".join(f"{day},{symbol},{price:f}\n" for symbol, day, price in wanted)
    assert rows(read("date,symbol,close\n" + body)) == wanted


@pytest.mark.data
def test_the_whole_market_history_is_read_exactly_and_fast():
    path = DATA / "etf_daily.csv.gz"
    if not path.exists():
        pytest.skip("etf_daily.csv.gz: the market data folder is absent (EVENKEEL_DATA_DIR)")
    started = time.process_time()
    file = read_price_file(path)
    seconds = time.process_time() - started
    # A second reader, by another author: pandas, told to leave every cell as text.
    other = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert file.symbols == other["ticker"].tolist()
    assert [str(day) for day in file.dates] == other["date"].tolist()
    assert file.prices == [Decimal(text) for text in other["close"]]
    assert file.lines == list(range(2, 154_827))
    paid = other[other["dividend"].astype(float) > 0]
    assert [amount for _s, _d, amount in file.dividends] == [Decimal(t) for t in paid["dividend"]]
    assert (len(file.prices), file.refused, file.repeated_count) == (154_825, (), 0)
    assert seconds < SECONDS_MAX
