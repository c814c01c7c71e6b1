"""The monitor of shared blocks: it passes the fair and names the favoured."""

import random
from decimal import Decimal

import pytest
from scipy.stats import kruskal

from rebalancer.domain.fairness import compare_ranks, measure_fairness

D = Decimal


def test_a_fair_block_is_fair():
    found = measure_fairness(
        ordered=[D(500), D(300), D(250), D(7), D(3)],
        given=[D(473), D(284), D(236), D(7), D(3)],
        amounts=[D(4730), D(2840), D(2360), D(70), D(30)],
        share_step=D(1),
    )
    assert found.is_fair
    assert found.steps_off_max < 1
    assert found.price_spread == 0


def test_a_share_too_many_is_not():
    found = measure_fairness(
        ordered=[D(100), D(100)], given=[D(12), D(8)], amounts=[D(120), D(80)], share_step=D(1)
    )
    assert not found.is_fair
    assert found.steps_off_max == 2


def test_a_better_price_for_one_is_not():
    found = measure_fairness(
        ordered=[D(100), D(100)],
        given=[D(100), D(100)],
        amounts=[D("1000.00"), D("1000.05")],
        share_step=D(1),
    )
    assert not found.is_fair


def test_what_rounding_to_the_cent_does_is_fair():
    found = measure_fairness(
        ordered=[D(3), D(1000)],
        given=[D(3), D(1000)],
        amounts=[D("30.01"), D("10003.33")],
        share_step=D(1),
    )
    assert found.is_fair


def test_h_is_that_of_an_independent_library():
    dice = random.Random(4)
    samples = {
        name: [round(dice.gauss(0, 1), 1) for _ in range(dice.randint(3, 12))] for name in "abcd"
    }
    statistic, chance = compare_ranks(samples, seed=1)
    reference = kruskal(*samples.values())
    assert statistic == pytest.approx(reference.statistic)
    assert chance == pytest.approx(reference.pvalue, abs=0.05)


def test_a_favourite_stands_out_and_chance_does_not():
    dice = random.Random(8)
    plain = {str(n): [dice.gauss(0, 1) for _ in range(30)] for n in range(6)}
    assert compare_ranks(plain, seed=1)[1] > 0.05
    favoured = {**plain, "0": [one + 1.5 for one in plain["0"]]}
    assert compare_ranks(favoured, seed=1)[1] < 0.01


def test_nothing_to_compare_is_no_finding():
    assert compare_ranks({}, seed=1) == (0.0, 1.0)
    assert compare_ranks({"a": [1.0, 2.0]}, seed=1) == (0.0, 1.0)
    assert compare_ranks({"a": [1.0], "b": [1.0]}, seed=1) == (0.0, 1.0)
    with pytest.raises(ValueError, match="a block has"):
        measure_fairness(ordered=[D(1)], given=[], amounts=[], share_step=D(1))
