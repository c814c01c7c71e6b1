"""The one place where figures become text: money, weights, quantities, prices and dates.

Every filter is a template builtin. None and a missing variable show as "—", what is no number
(NaN, infinity, a stray word) as "n/a": a page never shows a figure that it cannot stand for.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext

from django import template
from django.utils.timesince import timesince

register = template.Library()

MINUS = "\u2212"  # the real minus sign: as wide as a plus, and never broken off at a line's end
NO_BREAK_SPACE = "\u00a0"
NOTHING = "—"
NOT_A_NUMBER = "n/a"

CURRENCY_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "CAD": "C$", "AUD": "A$"}
CURRENCY_PLACES = {"JPY": 0}
PRICE_PLACES_MIN, PRICE_PLACES_MAX = 2, 6
QUANTITY_PLACES = 8
# From which amount on, divided by what. The limit is where rounding turns the letter below into
# "1000": without it 999,960 would read "$1000K".
COMPACT_STEPS = (
    (Decimal(999_950_000), Decimal(10) ** 9, "B"),
    (Decimal(999_950), Decimal(10) ** 6, "M"),
    (Decimal("999.5"), Decimal(10) ** 3, "K"),
)
# Room for every number the books can hold (38 digits) with its decimals; the default of 28 is not.
DIGITS_MAX = 60
MAGNITUDE_MAX = 40


class _Unreadable(Exception):
    """The value has no figure to show; the argument is the text to show instead."""


def _number(value: object) -> Decimal:
    """Return the value as a finite Decimal.

    Floats come from the engine (weights, statistics): their shortest text is what they mean.
    :raises _Unreadable: for None, a missing variable, NaN, infinity and what is no number.
    """
    if value is None or value == "":
        raise _Unreadable(NOTHING)
    if isinstance(value, bool) or not isinstance(value, Decimal | int | float | str):
        raise _Unreadable(NOT_A_NUMBER)
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:
        raise _Unreadable(NOT_A_NUMBER) from None
    if not number.is_finite() or number.adjusted() > MAGNITUDE_MAX:
        raise _Unreadable(NOT_A_NUMBER)
    return number


def _rounded(number: Decimal, places: int) -> Decimal:
    """Round half away from zero, as people do on paper; never return a negative zero."""
    with localcontext() as context:
        context.prec = DIGITS_MAX
        rounded = number.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    return rounded.copy_abs() if rounded == 0 else rounded


def _places(places: object, default: int) -> int:
    """Return the number of decimals a template asked for, within reason."""
    try:
        return min(max(int(str(places)), 0), 12)
    except ValueError:
        return default


def _grouped(number: Decimal) -> str:
    """Return the digits with thousands separators and without a sign."""
    # abs() would round to the context's 28 digits; copy_abs() keeps every one.
    return f"{number.copy_abs():,f}"


def _sign(number: Decimal, *, show_plus: bool) -> str:
    if number < 0:
        return MINUS
    return "+" if show_plus and number > 0 else ""


def _trimmed(text: str) -> str:
    """Drop trailing zeros behind the decimal point."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _shown(value: object, draw: Callable[[Decimal], str]) -> str:
    """Draw the number, or the text that stands for its absence."""
    try:
        return draw(_number(value))
    except _Unreadable as absence:
        return str(absence)


def _with_currency(digits: str, currency: str) -> str:
    symbol = CURRENCY_SYMBOLS.get(currency)
    return f"{symbol}{digits}" if symbol else f"{currency}{NO_BREAK_SPACE}{digits}"


def _money(number: Decimal, currency: str, *, show_plus: bool) -> str:
    rounded = _rounded(number, CURRENCY_PLACES.get(currency, 2))
    sign = _sign(rounded, show_plus=show_plus)
    return sign + _with_currency(_grouped(rounded), currency)


def _percent(number: Decimal, places: int, unit: str, *, show_plus: bool) -> str:
    rounded = _rounded(number.scaleb(2), places)
    return f"{_sign(rounded, show_plus=show_plus)}{_grouped(rounded)}{unit}"


@register.filter
def money(value: object, currency: str = "USD") -> str:
    """Show an amount of money: "$1,234.56", "−$1,234.56"."""
    return _shown(value, lambda number: _money(number, currency or "USD", show_plus=False))


@register.filter
def signed_money(value: object, currency: str = "USD") -> str:
    """Show a change in money with its sign: "+$12.00", "−$12.00", "$0.00"."""
    return _shown(value, lambda number: _money(number, currency or "USD", show_plus=True))


@register.filter
def compact_money(value: object, currency: str = "USD") -> str:
    """Show money at a glance, in three figures or so: "$1.2M", "$15.3K", "$950"."""

    def draw(number: Decimal) -> str:
        scaled, suffix = _rounded(number, 0), ""
        for limit, step, letter in COMPACT_STEPS:
            if abs(number) >= limit:
                scaled, suffix = _rounded(number / step, 1), letter
                break
        digits = _trimmed(_grouped(scaled))
        return _sign(scaled, show_plus=False) + _with_currency(digits + suffix, currency or "USD")

    return _shown(value, draw)


@register.filter
def price(value: object, currency: str = "USD") -> str:
    """Show the price of one share with two to six decimals: "$101.25", "$0.123456"."""

    def draw(number: Decimal) -> str:
        rounded = _rounded(number, PRICE_PLACES_MAX)
        whole, _, decimals = _grouped(rounded).partition(".")
        decimals = decimals.rstrip("0").ljust(PRICE_PLACES_MIN, "0")
        digits = _with_currency(f"{whole}.{decimals}", currency or "USD")
        return _sign(rounded, show_plus=False) + digits

    return _shown(value, draw)


@register.filter
def quantity(value: object, places: object = QUANTITY_PLACES) -> str:
    """Show a number of shares without trailing zeros: "1,200", "0.5", "−12.25"."""

    def draw(number: Decimal) -> str:
        rounded = _rounded(number, _places(places, QUANTITY_PLACES))
        return _sign(rounded, show_plus=False) + _trimmed(_grouped(rounded))

    return _shown(value, draw)


@register.filter
def number(value: object, places: object = 2) -> str:
    """Show a plain figure, such as a ratio or a count, with fixed decimals: "1,234.50"."""

    def draw(figure: Decimal) -> str:
        rounded = _rounded(figure, _places(places, 2))
        return _sign(rounded, show_plus=False) + _grouped(rounded)

    return _shown(value, draw)


@register.filter
def percent(value: object, places: object = 1) -> str:
    """Show a fraction as a percentage: 0.1234 becomes "12.3%"."""
    return _shown(value, lambda number: _percent(number, _places(places, 1), "%", show_plus=False))


@register.filter
def signed_percent(value: object, places: object = 1) -> str:
    """Show a relative change with its sign: 0.0123 becomes "+1.2%"."""
    return _shown(value, lambda number: _percent(number, _places(places, 1), "%", show_plus=True))


@register.filter
def points(value: object, places: object = 1) -> str:
    """Show a difference between two weights in percentage points: 0.012 becomes "+1.2 pp"."""
    unit = f"{NO_BREAK_SPACE}pp"
    return _shown(value, lambda number: _percent(number, _places(places, 1), unit, show_plus=True))


@register.filter
def bps(value: object, places: object = 1) -> str:
    """Show a fraction in basis points: 0.00125 becomes "12.5 bp", 0.0012 becomes "12 bp"."""

    def draw(fraction: Decimal) -> str:
        rounded = _rounded(fraction.scaleb(4), _places(places, 1))
        digits = _trimmed(_grouped(rounded))
        return f"{_sign(rounded, show_plus=False)}{digits}{NO_BREAK_SPACE}bp"

    return _shown(value, draw)


@register.filter
def day(value: object) -> str:
    """Show a calendar date, also one kept as ISO text: "5 Mar 2026"."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value[:10])
        except ValueError:
            return NOT_A_NUMBER
    return f"{value.day} {value:%b %Y}" if isinstance(value, date) else NOT_A_NUMBER


@register.filter
def moment(value: object) -> str:
    """Show an instant in UTC, also one kept as ISO text: "5 Mar 2026, 14:05 UTC"."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return NOT_A_NUMBER
    # A time without a zone could be any of twenty-four: show none rather than a wrong one.
    if not isinstance(value, datetime) or value.tzinfo is None:
        return NOT_A_NUMBER
    utc = value.astimezone(UTC)
    return f"{utc.day} {utc:%b %Y, %H:%M} UTC"


@register.filter
def ago(value: object, now: object) -> str:
    """Show how long before `now` something was: "just now", "5 minutes ago"."""
    if not isinstance(value, datetime) or not isinstance(now, datetime):
        return NOTHING
    if now - value < timedelta(minutes=1):
        return "just now"
    return f"{timesince(value, now)} ago"


@register.filter
def tone(value: object) -> str:
    """Return the CSS class for a gain, a loss or neither: "tone-positive", "tone-negative", …"""
    try:
        figure = _number(value)
    except _Unreadable:
        return "tone-zero"
    if figure == 0:
        return "tone-zero"
    return "tone-positive" if figure > 0 else "tone-negative"
