"""Which quotes are believed. What is not believed is kept apart with the reason and never used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation

from portfolios.domain.corporate_actions import Action, expect_price
from portfolios.domain.kinds import PriceRefusal
from portfolios.domain.money import round_price

PRICE_MAX = Decimal("1e7")


@dataclass(frozen=True, slots=True)
class Quote:
    """What a source said, letter by letter, of one symbol on one market day."""

    symbol: str
    price_date: date
    quoted: str


@dataclass(frozen=True, slots=True)
class GoodQuote:
    """A quote that may be recorded as a price."""

    symbol: str
    price_date: date
    price: Decimal


@dataclass(frozen=True, slots=True)
class BadQuote:
    """A quote that must not be used, and why."""

    quote: Quote
    reason: PriceRefusal
    detail: str


def read_price(quote: Quote) -> Decimal | BadQuote:
    """Return the price that a quote states to six places, or why it states none."""
    try:
        price = Decimal(quote.quoted)
    except InvalidOperation:
        price = Decimal("NaN")
    if not price.is_finite():
        return BadQuote(quote, PriceRefusal.NOT_A_NUMBER, f"{quote.quoted!r} is not a number")
    if price > PRICE_MAX:
        return BadQuote(quote, PriceRefusal.TOO_LARGE, f"{quote.quoted} is above {PRICE_MAX:,.0f}")
    # Judged before rounding as well: a huge negative number cannot be rounded at all.
    if price <= 0 or round_price(price) <= 0:
        return BadQuote(quote, PriceRefusal.NOT_POSITIVE, f"{quote.quoted} is not above zero")
    return round_price(price)


def validate_quotes(
    *,
    quotes: Sequence[Quote],
    known_symbols: frozenset[str],
    latest: Mapping[str, tuple[date, Decimal]],
    market_date: date,
    jump_max: Decimal,
    actions: Mapping[str, Sequence[Action]],
) -> tuple[list[GoodQuote], list[BadQuote]]:
    """Split quotes into those to believe and those to keep apart.

    `latest` holds the newest price on record before these quotes, by symbol. A series in one batch
    is judged day by day against its own predecessor. A quote that jumps by more than
    `jump_max` is refused, and so is the one after it unless that returns to the believed level.
    `actions` are the corporate actions on record by symbol: what they explain is no jump, and a
    price that does not follow them is one.
    """
    good: list[GoodQuote] = []
    bad: list[BadQuote] = []
    previous = dict(latest)
    seen: dict[tuple[str, date], Decimal] = {}
    for quote in sorted(quotes, key=lambda q: (q.price_date, q.symbol)):
        if quote.symbol not in known_symbols:
            detail = f"{quote.symbol} is not one of the firm's securities"
            bad.append(BadQuote(quote, PriceRefusal.UNKNOWN_SECURITY, detail))
            continue
        if quote.price_date > market_date:
            detail = f"{quote.price_date} is after the market day {market_date}"
            bad.append(BadQuote(quote, PriceRefusal.FUTURE, detail))
            continue
        price = read_price(quote)
        if isinstance(price, BadQuote):
            bad.append(price)
            continue
        key = (quote.symbol, quote.price_date)
        if key in seen:
            if seen[key] != price:
                detail = f"{price} and {seen[key]} are both given for {quote.price_date}"
                bad.append(BadQuote(quote, PriceRefusal.CONFLICT, detail))
            continue
        refusal = _jump(
            quote, price, previous.get(quote.symbol), jump_max, actions.get(quote.symbol, ())
        )
        if refusal is not None:
            bad.append(refusal)
            continue
        seen[key] = price
        if quote.symbol not in previous or previous[quote.symbol][0] <= quote.price_date:
            previous[quote.symbol] = (quote.price_date, price)
        good.append(GoodQuote(quote.symbol, quote.price_date, price))
    return good, bad


def _jump(
    quote: Quote,
    price: Decimal,
    previous: tuple[date, Decimal] | None,
    jump_max: Decimal,
    actions: Sequence[Action],
) -> BadQuote | None:
    if previous is None or previous[0] >= quote.price_date:
        return None
    expected = expect_price(previous[1], actions, price_date=previous[0], until=quote.price_date)
    move = price / expected - 1
    if abs(move) <= jump_max:
        return None
    after = "" if expected == previous[1] else f" ({previous[1]} before a corporate action)"
    detail = (
        f"{price} is {move:+.1%} from {expected}{after} on {previous[0]}; "
        f"more than {jump_max:.0%} is not believed without a person's word"
    )
    return BadQuote(quote, PriceRefusal.JUMP, detail)
