"""The plain rules of the facts: splitting, rounding, lots, transfers, and quotes to believe."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolios.domain.kinds import Pocket, PriceRefusal, Side
from portfolios.domain.ledger import Transfer, Unit, transfer_for_cash, transfers_for_trade
from portfolios.domain.lots import Lot, NotEnoughShares, is_long_term, use_lots
from portfolios.domain.money import (
    CENT,
    QUANTITY_STEP,
    ZERO,
    floor_to_step,
    round_money,
    split_by_ratio,
)
from portfolios.domain.pricing import Quote, read_price, validate_quotes

D = Decimal
cents = st.decimals("0", "1e9", places=2)
quantities = st.decimals("0.00000001", "1e6", places=8)
steps = st.sampled_from([D("0.00000001"), D("0.001"), D("0.1"), D(1), D(10)])


# --- Splitting and rounding -------------------------------------------------------------------


@given(
    st.decimals("-1e9", "1e9", places=2),
    st.lists(st.decimals("0", "1e6", places=8), min_size=1, max_size=12).filter(any),
)
def test_a_split_adds_up_and_nobody_is_a_cent_from_the_exact_share(amount, ratios):
    parts = split_by_ratio(amount, ratios)
    assert sum(parts) == amount
    for part, ratio in zip(parts, ratios, strict=True):
        assert part == round_money(part)
        assert abs(part - amount * ratio / sum(ratios)) < CENT + D("1e-12")
        assert part * amount >= 0  # never on the other side of zero
        assert ratio > 0 or abs(part) <= CENT


def test_split_gives_the_remainder_to_the_largest_and_ties_to_the_first():
    assert split_by_ratio(D("0.05"), [D(1), D(1), D(1)]) == [D("0.02"), D("0.02"), D("0.01")]
    assert split_by_ratio(D("100"), [D(1), D(2)], unit=D(1)) == [D(33), D(67)]
    assert split_by_ratio(D("0.00"), [D(1), D(2)]) == [ZERO, ZERO]


@pytest.mark.parametrize(
    ("amount", "ratios"),
    [("1.00", []), ("1.00", ["0", "0"]), ("1.00", ["1", "-1"]), ("1.005", ["1"])],
)
def test_what_cannot_be_split_is_refused(amount, ratios):
    with pytest.raises(ValueError, match=r"ratios|multiple"):
        split_by_ratio(D(amount), [D(ratio) for ratio in ratios])


@given(st.decimals("0", "1e9", places=8), steps)
def test_floor_to_step_is_the_largest_multiple_below(quantity, step):
    floored = floor_to_step(quantity, step)
    assert floored % step == 0
    assert floored <= quantity < floored + step


def test_money_is_rounded_half_to_even():
    assert [round_money(D(x)) for x in ("0.005", "0.015", "-0.005", "2.675")] == [
        D("0.00"),
        D("0.02"),
        D("0.00"),
        D("2.68"),
    ]


# --- Lots -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("acquired", "sold", "expected"),
    [
        ("2024-06-30", "2025-06-30", False),
        ("2024-06-30", "2025-07-01", True),
        ("2024-02-29", "2025-02-28", False),
        ("2024-02-29", "2025-03-01", True),
        # The last day of a month turns long on the first day of the 13th month after it.
        ("2023-02-28", "2024-02-29", False),
        ("2023-02-28", "2024-03-01", True),
        ("2024-02-28", "2025-02-28", False),
        ("2024-02-28", "2025-03-01", True),
        # Across a leap day an anniversary lies 366 days ahead, and is not yet long-term.
        ("2023-03-01", "2024-03-01", False),
        ("2023-03-01", "2024-03-02", True),
        ("2024-12-31", "2025-12-31", False),
        ("2024-12-31", "2026-01-01", True),
        ("2024-06-30", "2024-06-30", False),
    ],
)
def test_held_for_more_than_a_year(acquired, sold, expected):
    found = is_long_term(
        acquired_date=date.fromisoformat(acquired), sold_date=date.fromisoformat(sold)
    )
    assert found is expected


@given(st.dates(date(1990, 1, 1), date(2090, 1, 1)))
def test_every_purchase_turns_long_term_once_after_365_to_367_days(acquired):
    terms = [
        is_long_term(acquired_date=acquired, sold_date=acquired + timedelta(days=days))
        for days in range(360, 372)
    ]
    assert terms == sorted(terms)
    assert 366 <= 360 + terms.index(True) <= 367


def lots_of(*parts):
    return [
        Lot(number, D(quantity), D(cost), date(2020, 1, 2))
        for number, (quantity, cost) in enumerate(parts, start=1)
    ]


@given(st.lists(st.tuples(quantities, cents, st.integers(1, 100)), min_size=1, max_size=12), cents)
def test_a_sale_conserves_shares_cost_and_proceeds_to_the_cent(parts, proceeds):
    lots = lots_of(*((quantity, cost) for quantity, cost, _share in parts))
    picks = [
        (lot, max(floor_to_step(lot.quantity * share / 100, QUANTITY_STEP), QUANTITY_STEP))
        for lot, (_quantity, _cost, share) in zip(lots, parts, strict=True)
    ]
    uses = use_lots(picks=picks, proceeds=proceeds, sold_date=date(2025, 1, 2))
    assert sum(use.proceeds for use in uses) == proceeds
    assert sum(use.gain for use in uses) == proceeds - sum(use.cost for use in uses)
    for use, (lot, quantity) in zip(uses, picks, strict=True):
        assert use.quantity == quantity
        assert use.proceeds >= 0
        assert 0 <= use.cost <= lot.cost
        assert abs(use.cost - lot.cost * quantity / lot.quantity) <= CENT
        assert quantity < lot.quantity or use.cost == lot.cost


def test_the_last_pick_of_many_never_gets_less_than_nothing():
    # Rounding each of nine shares up would leave the tenth, a crumb, with minus three cents.
    lots = lots_of(*[("100", "1")] * 9, ("0.00000001", "0"))
    uses = use_lots(
        picks=[(lot, lot.quantity) for lot in lots], proceeds=D("90.05"), sold_date=date(2025, 1, 2)
    )
    assert min(use.proceeds for use in uses) >= 0
    assert sum(use.proceeds for use in uses) == D("90.05")


@given(quantities, cents, st.lists(st.integers(1, 99), min_size=1, max_size=6))
def test_a_lot_sold_piece_by_piece_gives_up_exactly_its_cost(quantity, cost, shares):
    left, given_up = Lot(1, quantity, cost, date(2020, 1, 2)), ZERO
    for share in [*shares, 100]:
        piece = floor_to_step(left.quantity * share / 100, QUANTITY_STEP)
        if not piece:
            continue
        [use] = use_lots(picks=[(left, piece)], proceeds=ZERO, sold_date=date(2025, 1, 2))
        given_up += use.cost
        left = Lot(1, left.quantity - piece, left.cost - use.cost, left.acquired_date)
    assert (left.quantity, left.cost, given_up) == (0, 0, cost)


@pytest.mark.parametrize("quantity", ["0", "-1", "10.00000001"])
def test_a_pick_beyond_its_lot_is_refused(quantity):
    [lot] = lots_of(("10", "100"))
    with pytest.raises(NotEnoughShares, match="lot 1 holds 10"):
        use_lots(picks=[(lot, D(quantity))], proceeds=D(1), sold_date=date(2025, 1, 2))


# --- Transfers --------------------------------------------------------------------------------


def test_a_trade_moves_cash_one_way_and_shares_the_other():
    facts = {"security_id": 7, "quantity": D(3), "amount": D("30.01"), "currency": "USD"}
    cash, shares = Unit(currency="USD"), Unit(security_id=7)
    bought = transfers_for_trade(side=Side.BUY, **facts)
    sold = transfers_for_trade(side=Side.SELL, **facts)
    assert set(bought) == {
        Transfer(Pocket.CASH, Pocket.MARKET, D("30.01"), cash),
        Transfer(Pocket.MARKET, Pocket.SECURITIES, D(3), shares),
    }
    assert set(sold) == {
        Transfer(move.target, move.source, move.quantity, move.unit) for move in bought
    }


def test_a_sale_for_less_than_half_a_cent_moves_only_shares():
    moves = transfers_for_trade(
        side=Side.SELL, security_id=7, quantity=D("0.00001"), amount=ZERO, currency="USD"
    )
    assert [move.unit for move in moves] == [Unit(security_id=7)]


def test_a_withdrawal_is_a_transfer_the_other_way():
    out = transfer_for_cash(pocket=Pocket.EXTERNAL, amount=D("-5"), currency="USD")
    assert (out.source, out.target, out.quantity) == (Pocket.CASH, Pocket.EXTERNAL, D(5))
    back = transfer_for_cash(pocket=Pocket.EXTERNAL, amount=D("5"), currency="USD")
    assert (back.source, back.target, back.quantity) == (Pocket.EXTERNAL, Pocket.CASH, D(5))


@pytest.mark.parametrize("quantity", ["0", "-1", "NaN", "Infinity", "-Infinity"])
def test_a_transfer_moves_something(quantity):
    with pytest.raises(ValueError, match="moves something"):
        Transfer(Pocket.CASH, Pocket.MARKET, D(quantity), Unit(currency="USD"))


def test_a_transfer_goes_somewhere():
    with pytest.raises(ValueError, match="goes somewhere"):
        Transfer(Pocket.CASH, Pocket.CASH, D(1), Unit(currency="USD"))


# --- Quotes -----------------------------------------------------------------------------------

MONDAY, TUESDAY, WEDNESDAY = date(2026, 11, 16), date(2026, 11, 17), date(2026, 11, 18)


def judge(*quotes, latest=None, market_date=WEDNESDAY, jump_max="0.25", actions=None):
    """Return (believed as {(symbol, day): price}, refused as [(quoted, reason)])."""
    good, bad = validate_quotes(
        quotes=[Quote(*quote) for quote in quotes],
        known_symbols=frozenset({"AAA", "BBB"}),
        latest=latest or {},
        market_date=market_date,
        jump_max=D(jump_max),
        actions=actions or {},
    )
    believed = {(quote.symbol, quote.price_date): quote.price for quote in good}
    return believed, [(row.quote.quoted, row.reason) for row in bad]


@pytest.mark.parametrize(
    ("quoted", "reason"),
    [
        ("NaN", PriceRefusal.NOT_A_NUMBER),
        ("sNaN", PriceRefusal.NOT_A_NUMBER),
        ("Infinity", PriceRefusal.NOT_A_NUMBER),
        ("-Infinity", PriceRefusal.NOT_A_NUMBER),
        ("", PriceRefusal.NOT_A_NUMBER),
        ("abc", PriceRefusal.NOT_A_NUMBER),
        ("1,000.5", PriceRefusal.NOT_A_NUMBER),
        ("0", PriceRefusal.NOT_POSITIVE),
        ("-0.0", PriceRefusal.NOT_POSITIVE),
        ("-5", PriceRefusal.NOT_POSITIVE),
        ("-1e30", PriceRefusal.NOT_POSITIVE),
        ("0.0000001", PriceRefusal.NOT_POSITIVE),
        ("1e-400", PriceRefusal.NOT_POSITIVE),
        ("1e30", PriceRefusal.TOO_LARGE),
        ("10000000.01", PriceRefusal.TOO_LARGE),
    ],
)
def test_what_is_no_price_is_refused_with_its_reason(quoted, reason):
    assert judge(("AAA", MONDAY, quoted)) == ({}, [(quoted, reason)])


def test_prices_are_kept_to_six_places():
    assert read_price(Quote("AAA", MONDAY, "100.12345649")) == D("100.123456")
    assert read_price(Quote("AAA", MONDAY, "1e2")) == 100
    assert read_price(Quote("AAA", MONDAY, "0.000001")) == D("0.000001")


def test_unknown_symbols_and_days_to_come_are_refused():
    assert judge(("ZZZ", MONDAY, "1"))[1] == [("1", PriceRefusal.UNKNOWN_SECURITY)]
    assert judge(("AAA", WEDNESDAY, "1"), market_date=TUESDAY)[1] == [("1", PriceRefusal.FUTURE)]


@pytest.mark.parametrize("quoted", ["74.99", "125.01"])
def test_a_jump_from_the_last_believed_price_is_refused(quoted):
    latest = {"AAA": (MONDAY, D(100))}
    assert judge(("AAA", TUESDAY, quoted), latest=latest) == ({}, [(quoted, PriceRefusal.JUMP)])
    assert judge(("AAA", TUESDAY, quoted)) == ({("AAA", TUESDAY): D(quoted)}, [])


@pytest.mark.parametrize("quoted", ["75", "125"])
def test_a_move_of_exactly_the_limit_is_believed(quoted):
    believed, refused = judge(("AAA", TUESDAY, quoted), latest={"AAA": (MONDAY, D(100))})
    assert (len(believed), refused) == (1, [])


def test_a_series_is_judged_by_its_own_predecessors_in_any_order():
    series = [
        ("AAA", WEDNESDAY, "102"),
        ("AAA", MONDAY, "100"),
        ("BBB", TUESDAY, "9"),
        ("AAA", TUESDAY, "1000"),
    ]
    believed, refused = judge(*series)
    assert believed == {
        ("AAA", MONDAY): 100,
        ("BBB", TUESDAY): 9,
        ("AAA", WEDNESDAY): 102,
    }
    assert refused == [("1000", PriceRefusal.JUMP)]
    # The wrong level stays wrong until a person says otherwise.
    believed, refused = judge(
        ("AAA", MONDAY, "100"), ("AAA", TUESDAY, "1000"), ("AAA", WEDNESDAY, "1001")
    )
    assert (len(believed), [reason for _q, reason in refused]) == (1, [PriceRefusal.JUMP] * 2)


def test_two_prices_for_one_day_conflict_and_repeats_do_not():
    believed, refused = judge(("AAA", MONDAY, "100"), ("AAA", MONDAY, "100.00"))
    assert (len(believed), refused) == (1, [])
    _believed, refused = judge(("AAA", MONDAY, "100"), ("AAA", MONDAY, "101"))
    assert refused == [("101", PriceRefusal.CONFLICT)]


@given(st.lists(st.text(max_size=12), max_size=6))
def test_no_text_whatever_gets_past_as_a_price_that_is_none(texts):
    believed, refused = judge(*(("AAA", MONDAY, text) for text in texts))
    assert all(0 < price <= D("1e7") for price in believed.values())
    assert len(refused) <= len(texts)
