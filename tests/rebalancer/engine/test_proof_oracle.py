"""The wash-sale oracle itself, against the authorities' examples, and against a spoilt answer."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from rebalancer.engine.answering import solve_household
from tests.rebalancer.engine.oracle_wash import LossSale, Purchase, list_washed
from tests.rebalancer.engine.proof_checks import list_faults
from tests.rebalancer.engine.proof_households import CENT, draw

SALE_DAY = date(2025, 3, 1)


def sale(shares: int, *, bought: date = date(2024, 1, 2)) -> LossSale:
    return LossSale("fund", SALE_DAY, (1, 1, bought), Decimal(shares), "the sale")


def purchase(day: date, shares: int, *, account: int = 1, group: str = "fund") -> Purchase:
    return Purchase(group, day, (account, 1, day), Decimal(shares))


@pytest.mark.parametrize(
    ("day", "is_washed"),
    [
        (date(2025, 1, 29), False),
        (date(2025, 1, 30), True),
        (date(2025, 3, 31), True),
        (date(2025, 4, 1), False),
    ],
)
def test_the_window_is_thirty_days_on_either_side(day, is_washed):
    """Methods, vector W6."""
    assert bool(list_washed([sale(100)], [purchase(day, 100)])) is is_washed


def test_only_as_many_shares_are_denied_as_were_bought_oldest_first():
    """Methods, vectors W2 and W3: 25 of 100, then 50 and 50 of four purchases."""
    [one] = list_washed([sale(100)], [purchase(date(2025, 3, 4), 25)])
    assert one.startswith("25 of")
    four = [purchase(date(2025, 3, 3 + n), 50) for n in range(4)]
    assert [text.split()[0] for text in list_washed([sale(100)], four)] == ["50", "50"]


def test_the_other_accounts_count_and_other_funds_and_the_own_purchase_do_not():
    day = SALE_DAY - timedelta(days=5)
    assert list_washed([sale(10)], [purchase(day, 10, account=2)])
    assert not list_washed([sale(10)], [purchase(day, 10, group="other")])
    assert not list_washed([sale(10, bought=day)], [purchase(day, 10)])


def test_in_britain_what_was_bought_before_does_not_count():
    before, after = SALE_DAY - timedelta(days=3), SALE_DAY + timedelta(days=3)
    assert not list_washed([sale(10)], [purchase(before, 10)], is_british=True)
    assert list_washed([sale(10)], [purchase(after, 10)], is_british=True)


@pytest.mark.parametrize("seed", [2, 24, 29, 46])
def test_the_checks_see_a_plan_whose_cash_is_a_cent_off(seed):
    drawn = draw(seed)
    answer = solve_household(drawn.build(), 0, mode=drawn.mode)
    assert list_faults(drawn, answer) == []
    account, plan = next(iter(answer.plans.items()))
    spoilt = replace(
        answer, plans={**answer.plans, account: replace(plan, cash_after=plan.cash_after + CENT)}
    )
    assert list_faults(drawn, spoilt) != []
