"""Figures as text: signs, rounding, absence, and what must never be shown as a number."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robo.common.templatetags import figures

NUMERIC_FILTERS = [
    figures.money,
    figures.signed_money,
    figures.compact_money,
    figures.price,
    figures.quantity,
    figures.number,
    figures.percent,
    figures.signed_percent,
    figures.points,
    figures.bps,
]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1234.56"), "$1,234.56"),
        (Decimal("-1234.56"), "−$1,234.56"),
        (Decimal("0.005"), "$0.01"),
        (Decimal("-0.001"), "$0.00"),
        (Decimal("-0"), "$0.00"),
        (Decimal("1E+3"), "$1,000.00"),
        (7, "$7.00"),
        ("1234.5", "$1,234.50"),
        (Decimal("9" * 30 + ".99"), "$" + f"{int('9' * 30):,}" + ".99"),
    ],
)
def test_money_keeps_the_cents_and_a_real_minus(value, text):
    assert figures.money(value) == text


def test_money_in_other_currencies():
    assert figures.money(Decimal("1234.5"), "EUR") == "€1,234.50"
    assert figures.money(Decimal("1234.5"), "JPY") == "¥1,235"
    assert figures.money(Decimal("-1234.5"), "CHF") == "−CHF\u00a01,234.50"
    assert figures.money(Decimal("1"), "") == "$1.00"


def test_signed_money_has_a_sign_unless_zero():
    assert figures.signed_money(Decimal("12")) == "+$12.00"
    assert figures.signed_money(Decimal("-12")) == "−$12.00"
    assert figures.signed_money(Decimal("0.001")) == "$0.00"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("950", "$950"),
        ("999.4", "$999"),
        ("999.6", "$1K"),
        ("1000", "$1K"),
        ("15340", "$15.3K"),
        ("-15340", "−$15.3K"),
        ("999940", "$999.9K"),
        ("999950", "$1M"),
        ("1240000", "$1.2M"),
        ("999950000", "$1B"),
        ("2500000000", "$2.5B"),
        ("0", "$0"),
    ],
)
def test_compact_money_moves_up_after_rounding(value, text):
    assert figures.compact_money(Decimal(value)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("101.25", "$101.25"), ("101", "$101.00"), ("0.123456", "$0.123456"), ("1.2340", "$1.234")],
)
def test_price_shows_two_to_six_decimals(value, text):
    assert figures.price(Decimal(value)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1200.00000000", "1,200"),
        ("0.50000000", "0.5"),
        ("-12.25", "−12.25"),
        ("0.00000001", "0.00000001"),
        ("0.000000001", "0"),
        ("100", "100"),
    ],
)
def test_quantity_trims_only_the_decimals(value, text):
    assert figures.quantity(Decimal(value)) == text


def test_fractions_become_percent_points_and_basis_points():
    assert figures.percent(Decimal("0.1234")) == "12.3%"
    assert figures.percent(Decimal("0.12345"), 2) == "12.35%"
    assert figures.percent(0.1, 0) == "10%"
    assert figures.percent(Decimal("-0.0004")) == "0.0%"
    assert figures.signed_percent(Decimal("0.0123")) == "+1.2%"
    assert figures.points(Decimal("-0.012")) == "−1.2\u00a0pp"
    assert figures.points(Decimal("0.0149"), 2) == "+1.49\u00a0pp"
    assert figures.bps(Decimal("0.00125")) == "12.5\u00a0bp"
    assert figures.bps(Decimal("0.0012")) == "12\u00a0bp"
    assert figures.percent(Decimal("0.5"), "many") == "50.0%"


def test_float_noise_of_the_engine_is_not_shown():
    assert figures.percent(0.1 + 0.2, 12) == "30.000000000000%"
    assert figures.number(2.675) == "2.68"


@pytest.mark.parametrize("show", NUMERIC_FILTERS)
def test_absence_is_a_dash(show):
    assert show(None) == show("") == "—"


@pytest.mark.parametrize("show", NUMERIC_FILTERS)
@pytest.mark.parametrize(
    "value",
    [
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        float("nan"),
        float("-inf"),
        "twelve",
        True,
        object(),
        Decimal("1E+900000"),
        [],
    ],
)
def test_what_is_no_number_is_never_shown_as_one(show, value):
    assert show(value) == "n/a"
    assert figures.tone(value) == "tone-zero"


def test_days_and_moments():
    assert figures.day(date(2026, 3, 5)) == "5 Mar 2026"
    assert figures.day("2026-03-05") == "5 Mar 2026"
    assert figures.day("soon") == "n/a"
    assert figures.day(None) == figures.moment("") == "—"
    assert figures.moment(datetime(2026, 3, 5, 14, 5, tzinfo=UTC)) == "5 Mar 2026, 14:05 UTC"
    east = timezone(timedelta(hours=9))
    assert figures.moment(datetime(2026, 3, 5, 1, 5, tzinfo=east)) == "4 Mar 2026, 16:05 UTC"
    assert figures.moment("2026-03-05T14:05:00+00:00") == "5 Mar 2026, 14:05 UTC"
    assert figures.moment(datetime(2026, 3, 5, 14, 5)) == "n/a"


def test_tone_follows_the_sign():
    assert figures.tone(Decimal("0.01")) == "tone-positive"
    assert figures.tone(Decimal("-0.01")) == "tone-negative"
    assert figures.tone(0) == figures.tone(None) == "tone-zero"


@given(st.decimals(min_value=-(10**15), max_value=10**15, places=2))
def test_money_can_be_read_back(amount):
    text = figures.money(amount)
    assert Decimal(text.replace("$", "").replace(",", "").replace("−", "-")) == amount


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=8))
def test_quantity_can_be_read_back(amount):
    assert Decimal(figures.quantity(amount).replace(",", "").replace("−", "-")) == amount


def test_how_long_ago_is_told_in_words():
    now = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
    assert figures.ago(now - timedelta(seconds=59), now) == "just now"
    assert figures.ago(now - timedelta(minutes=1), now) == "1\xa0minute ago"
    assert figures.ago(now - timedelta(days=2), now) == "2\xa0days ago"
    assert figures.ago(None, now) == figures.NOTHING
