"""How a block is shared out, for any block: exact sums, one price, one step from pro rata."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolios.domain.money import round_money
from rebalancer.domain.blocks import (
    Share,
    hash_statement,
    make_slice_id,
    share_out,
    share_surplus,
    take_lots,
)
from rebalancer.domain.executions import Effect, Word, find_flaw, is_absurd, measure_effect
from rebalancer.domain.kinds import ExecutionKind

D = Decimal
STEPS = st.sampled_from([D("1"), D("0.001"), D("0.00000001"), D("100")])


@st.composite
def blocks(draw):
    """Return (quantities ordered, share step, filled, value)."""
    step = draw(STEPS)
    counts = draw(st.lists(st.integers(1, 10**6), min_size=1, max_size=40))
    ordered = [count * step for count in counts]
    if draw(st.booleans()):
        # A whole holding may be sold, the fraction of a step with it.
        ordered[0] += D("0.00000001") * draw(st.integers(0, 99_999_999))
    whole = int(sum(ordered) / D("0.00000001"))
    filled = draw(st.integers(0, whole)) * D("0.00000001")
    price = draw(st.integers(1, 10**12)) * D("0.000001")
    return ordered, step, filled, filled * price


@given(blocks())
def test_shares_and_cash_add_up_and_nobody_is_a_step_from_the_exact_share(block):
    ordered, step, filled, value = block
    shares = share_out(ordered=ordered, share_step=step, filled=filled, value=value)
    assert sum(share.quantity for share in shares) == filled
    assert sum(share.amount for share in shares) == round_money(value)
    total = Fraction(sum(ordered))
    for share, quantity in zip(shares, ordered, strict=True):
        assert 0 <= share.quantity <= quantity
        exact = Fraction(filled) * Fraction(quantity) / total
        assert abs(Fraction(share.quantity) - exact) <= Fraction(step)
        if filled:
            # One average price for all, to the cent that cannot be split.
            cash = Fraction(value) * Fraction(share.quantity) / Fraction(filled)
            assert abs(Fraction(share.amount) - cash) < Fraction(1, 100)
        assert share.amount == share.amount.quantize(D("0.01"))
    if filled == sum(ordered):
        assert [share.quantity for share in shares] == ordered


@given(blocks())
def test_whoever_orders_more_gets_no_less(block):
    ordered, step, filled, value = block
    shares = share_out(ordered=ordered, share_step=step, filled=filled, value=value)
    for i in range(len(ordered)):
        for j in range(len(ordered)):
            if ordered[i] >= ordered[j]:
                assert shares[i].quantity >= shares[j].quantity - step


def test_ties_go_by_the_order_of_the_statement():
    shares = share_out(
        ordered=[D(10), D(10), D(10)], share_step=D(1), filled=D(10), value=D("100.01")
    )
    assert [share.quantity for share in shares] == [4, 3, 3]
    assert [share.amount for share in shares] == [D("40.01"), D("30.00"), D("30.00")]


def test_of_one_order_the_amount_is_what_was_promised():
    [share] = share_out(ordered=[D(7)], share_step=D(1), filled=D(7), value=7 * D("33.335001"))
    assert share == Share(D(7), round_money(7 * D("33.335001")))


def test_nothing_filled_is_nothing_for_everybody():
    shares = share_out(ordered=[D(3), D(4)], share_step=D(1), filled=D(0), value=D(0))
    assert shares == [Share(D(0), D(0))] * 2


@given(blocks(), st.integers(1, 10**9))
def test_what_is_filled_beyond_the_orders_is_nobodys(block, more):
    ordered, step, _filled, _value = block
    surplus = more * D("0.00000001")
    filled = sum(ordered) + surplus
    shares = share_out(ordered=ordered, share_step=step, filled=filled, value=filled * D(20))
    assert [share.quantity for share in shares] == ordered
    assert sum(share.amount for share in shares) == round_money(sum(ordered) * D(20))
    parts = share_surplus(ordered=ordered, share_step=step, filled=filled)
    assert sum(parts) == surplus
    assert min(parts) >= 0


@pytest.mark.parametrize(
    ("ordered", "filled", "value"),
    [([], 1, 1), ([D(0)], 1, 1), ([D(-1), D(5)], 1, 1), ([D(5)], -1, 1), ([D(5)], 1, -1)],
)
def test_what_cannot_be_shared_out_is_refused(ordered, filled, value):
    with pytest.raises(ValueError, match="cannot be shared out"):
        share_out(ordered=ordered, share_step=D(1), filled=D(filled), value=D(value))


def test_lots_are_taken_in_their_order_up_to_the_quantity():
    assert take_lots([(1, D(5)), (2, D(5))], D(7)) == ((1, D(5)), (2, D(2)))
    assert take_lots([(1, D(5)), (2, D(5))], D(5)) == ((1, D(5)),)
    assert take_lots([(1, D(5))], D(0)) == ()


def test_ids_and_hashes_are_functions_of_what_they_name():
    assert make_slice_id("b", 1) == make_slice_id("b", 1) != make_slice_id("b", 2)
    facts = {"block_public_id": "b", "security_id": 1, "side": "BUY"}
    one = hash_statement(**facts, statement=[["a", "1"]])
    assert one == hash_statement(**facts, statement=[("a", "1")])
    assert one != hash_statement(**facts, statement=[["a", "2"]])


# --- What reports come to -------------------------------------------------------------------

FILL = Word(ExecutionKind.FILL, D(10), D(20))


@pytest.mark.parametrize(
    ("words", "effect"),
    [
        ([FILL], (10, 200)),
        ([FILL, Word(ExecutionKind.BUST, D(10), D(20))], (0, 0)),
        ([FILL, Word(ExecutionKind.BUST, D(4), D(20))], (6, 120)),
        ([FILL, Word(ExecutionKind.CORRECTION, D(9), D(21))], (9, 189)),
        (
            [
                FILL,
                Word(ExecutionKind.CORRECTION, D(9), D(21)),
                Word(ExecutionKind.BUST, D(9), D(1)),
            ],
            (0, 0),
        ),
        (
            [
                FILL,
                Word(ExecutionKind.BUST, D(10), D(20)),
                Word(ExecutionKind.CORRECTION, D(3), D(7)),
            ],
            (3, 21),
        ),
    ],
)
def test_a_fill_stands_as_it_was_last_spoken_of(words, effect):
    assert measure_effect(words) == Effect(*map(D, effect))


def test_no_more_is_taken_back_than_was_filled():
    with pytest.raises(ValueError, match="more is taken back"):
        measure_effect([FILL, Word(ExecutionKind.BUST, D(11), D(20))])


@pytest.mark.parametrize(
    ("quantity", "price", "flaw"),
    [
        ("NaN", "1", "no number"),
        ("Infinity", "1", "no number"),
        ("0", "1", "no number"),
        ("-1", "1", "no number"),
        ("1e11", "1", "no number"),
        ("0.000000001", "1", "finer"),
        ("1", "NaN", "no price"),
        ("1", "0", "no price"),
        ("1", "-2", "no price"),
        ("1", "1e13", "no price"),
        ("1", "2", ""),
    ],
)
def test_what_is_no_number_is_not_recorded(quantity, price, flaw):
    found = find_flaw(Word(ExecutionKind.FILL, D(quantity), D(price)))
    assert flaw in found
    assert bool(found) == bool(flaw)


def test_an_absurd_price_is_more_than_half_off():
    assert not is_absurd(D(150), D(100))
    assert is_absurd(D("150.01"), D(100))
    assert is_absurd(D("49.99"), D(100))
