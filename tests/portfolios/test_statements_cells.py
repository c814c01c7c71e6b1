"""Cells: what a broker can print is read back exactly; what is not plainly a number is refused."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolios.statements.cells import (
    CellRefused,
    read_date,
    read_decimal,
    read_symbol,
    require_decimal,
)

NUMBERS = st.decimals(min_value="-9999999999", max_value="9999999999", places=4)


def print_plain(number: Decimal) -> str:
    return f"{number:f}"


def print_dollars(number: Decimal) -> str:
    return f"{'-' if number < 0 else ''}${abs(number):,.4f}"


def print_dollar_first(number: Decimal) -> str:
    return f"${number:,.4f}"


def print_brackets(number: Decimal) -> str:
    return f"(${abs(number):,.4f})" if number < 0 else f"  {number:,.4f} "


def print_gain(number: Decimal) -> str:
    return f"{number:+,.4f}%"


def print_typographic(number: Decimal) -> str:
    return print_plain(number).replace("-", "\N{MINUS SIGN}")


PRINTERS = [
    print_plain,
    print_dollars,
    print_dollar_first,
    print_brackets,
    print_gain,
    print_typographic,
]


@given(number=NUMBERS, printer=st.sampled_from(PRINTERS))
def test_what_is_printed_is_read_back_exactly(number, printer):
    assert read_decimal(printer(number), "value") == number


@pytest.mark.parametrize("text", ["", "  ", "--", "n/a", "N/A", "-", "Not Available"])
def test_blank_is_none_and_never_zero(text):
    assert read_decimal(text, "cost basis") is None
    with pytest.raises(CellRefused, match="cost basis is missing"):
        require_decimal(text, "cost basis")


@pytest.mark.parametrize(
    ("text", "number"),
    [("$1,234.56", "1234.56"), ("(12.00)", "-12"), ("+0.5", "0.5"), (".5", "0.5"), ("7.", "7"),
     ("-0.00", "0"), ("$ 3", "3"), ("1,000,000", "1000000"), ("42.55%", "42.55")],
)  # fmt: skip
def test_examples(text, number):
    read = read_decimal(text, "value")
    assert read == Decimal(number)
    assert not str(read).startswith("-0.0")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", "not a finite number"),
        ("Infinity", "not a finite number"),
        ("-inf", "not a finite number"),
        ("1e5", "scientific"),
        ("1.5E-3", "scientific"),
        ("10,5", "not a number"),
        ("1,23,456", "not a number"),
        ("1.234.567,89", "not a number"),
        ("12 USD", "not a number"),
        ("=1+1", "not a number"),
        ("--5", "not a number"),
        ("(5", "not a number"),
        ("$", "not a number"),
        (".", "not a number"),
        ("1_000", "not a number"),
        ("٣", "not a number"),
        ("1" * 16, "too many digits"),
        ("0." + "1" * 16, "too many digits"),
    ],
)
def test_what_is_no_plain_number_is_refused_by_name(text, reason):
    with pytest.raises(CellRefused, match=f"^market value .*{reason}"):
        read_decimal(text, "market value")


@given(text=st.text(max_size=30))
def test_any_text_is_a_finite_number_or_blank_or_refused(text):
    try:
        number = read_decimal(text, "value")
    except CellRefused:
        return
    assert number is None or number.is_finite()


@given(day=st.dates(min_value=date(1900, 1, 1)))
def test_dates_are_read_back(day):
    for text in (f"{day:%Y-%m-%d}", f"{day:%Y/%m/%d};101500", f"{day:%m/%d/%Y}", f"{day:%Y%m%d}"):
        assert read_date(text, "date") == day


def test_compact_dates_are_read():
    assert read_date("20300304;101500", "date") == date(2030, 3, 4)


@pytest.mark.parametrize(
    "text", ["", "31.12.2024", "2024-13-01", "2024-02-30", "13/13/2024", "2024-1231", "soon"]
)
def test_what_is_no_date_is_refused(text):
    with pytest.raises(CellRefused, match="^trade date "):
        read_date(text, "trade date")


@pytest.mark.parametrize("text", ["", "--", "=CMD()", "@SUM", "+A", "A" * 25, "A\x00", "ÄÖ", "**"])
def test_what_is_no_symbol_is_refused(text):
    with pytest.raises(CellRefused, match="symbol"):
        read_symbol(text)


@pytest.mark.parametrize("text", ["vti", " BRK.B ", "BRK B", "912810RW0", "NA", "TRUE"])
def test_symbols_are_upper_case_and_stay_text(text):
    assert read_symbol(text) == text.strip().upper()
