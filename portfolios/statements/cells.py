"""Read one cell of a broker's export: numbers as exact Decimal, dates, symbols. Guess nothing."""

import re
from datetime import date
from decimal import Decimal

INTEGER_DIGITS_MAX = 15
FRACTION_DIGITS_MAX = 15
SYMBOL_LENGTH_MAX = 24

_EMPTY = frozenset({"", "-", "--", "---", "n/a", "na", "none", "not available", "incomplete"})
_NUMBER = re.compile(r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(?:\.[0-9]*)?", re.ASCII)
_SCIENTIFIC = re.compile(r"[0-9.]+[eE][+-]?[0-9]+", re.ASCII)
_NOT_FINITE = frozenset({"nan", "inf", "infinity", "snan"})
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9./\- ]*", re.ASCII)
_YEAR_FIRST = re.compile(r"([0-9]{4})([-/]?)([0-9]{2})\2([0-9]{2})(?![0-9])", re.ASCII)
_MONTH_FIRST = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})", re.ASCII)


class CellRefused(Exception):
    """A cell that does not hold what its column promises; the text says why."""


def read_decimal(text: str, name: str) -> Decimal | None:
    """Return the exact number in `text` (`$1,234.56`, `(12.00)`, `+3`, `-4%`), None when blank.

    :raises CellRefused: naming the column and the text, for anything that is not a finite number.
    """
    body = text.strip().replace("\N{MINUS SIGN}", "-")
    if body.casefold() in _EMPTY:
        return None
    is_negative, digits = _strip_sign(body)
    if digits.casefold() in _NOT_FINITE:
        raise CellRefused(f"{name} {_quote(text)} is not a finite number")
    if _SCIENTIFIC.fullmatch(digits):
        raise CellRefused(f"{name} {_quote(text)} is in scientific notation")
    if not _NUMBER.fullmatch(digits) or not any("0" <= sign <= "9" for sign in digits):
        raise CellRefused(f"{name} {_quote(text)} is not a number")
    whole, _, fraction = digits.replace(",", "").partition(".")
    if len(whole.lstrip("0")) > INTEGER_DIGITS_MAX or len(fraction) > FRACTION_DIGITS_MAX:
        raise CellRefused(f"{name} {_quote(text)} has too many digits")
    number = Decimal(f"{whole or '0'}.{fraction}" if fraction else whole)
    return -number if is_negative and number else number


def require_decimal(text: str, name: str) -> Decimal:
    """Return the exact number in `text`.

    :raises CellRefused: when it is blank or no finite number.
    """
    number = read_decimal(text, name)
    if number is None:
        raise CellRefused(f"{name} is missing")
    return number


def read_date(text: str, name: str) -> date:
    """Return the calendar date that `text` starts with.

    Read are 2024-12-31, 2024/12/31, 20241231, and month first: 12/31/2024.

    :raises CellRefused: naming the column and the text.
    """
    body = text.strip()
    year_first = _YEAR_FIRST.match(body)
    month_first = _MONTH_FIRST.match(body)
    if year_first:
        year, month, day = year_first[1], year_first[3], year_first[4]
    elif month_first:
        month, day, year = month_first.groups()
    else:
        raise CellRefused(f"{name} {_quote(text)} is not a date")
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        raise CellRefused(f"{name} {_quote(text)} is not a day of the calendar") from None


def read_symbol(text: str) -> str:
    """Return a ticker or CUSIP in upper case.

    :raises CellRefused: when it is blank, too long, or has signs no symbol has (formula cells).
    """
    symbol = text.strip().upper()
    if not symbol or symbol == "--":
        raise CellRefused("symbol is missing")
    if len(symbol) > SYMBOL_LENGTH_MAX or not _SYMBOL.fullmatch(symbol):
        raise CellRefused(f"symbol {_quote(text)} is not a ticker or CUSIP")
    return symbol


def clean_text(text: str, length_max: int = 120) -> str:
    """Return text on one line with single spaces, cut to `length_max` characters."""
    return " ".join(text.split())[:length_max]


def _strip_sign(body: str) -> tuple[bool, str]:
    """Take brackets, one sign, one dollar and one per cent sign off; leave the digits."""
    is_negative = False
    if body.startswith("(") and body.endswith(")"):
        is_negative, body = True, body[1:-1].strip()
    elif body[:1] in {"+", "-"}:
        is_negative, body = body[0] == "-", body[1:].strip()
    if body.startswith("$"):
        body = body[1:].strip()
        if body[:1] == "-" and not is_negative:
            is_negative, body = True, body[1:]
    return is_negative, body.removesuffix("%").strip()


def _quote(text: str) -> str:
    return repr(clean_text(text, 40))
