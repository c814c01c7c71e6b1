"""Value over time, rebuilt from the ledger: every day adds up, and deposits are no gains."""

import uuid
from datetime import date
from decimal import Decimal

import pytest

from portfolios.operations import books
from portfolios.queries.history import load_value_history
from tests.rebalancer.world import DAY, make_world

pytestmark = pytest.mark.django_db
MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)
LONG_AGO = date(2026, 1, 2)


def move(world, operation, amount, day):
    operation(
        account_id=world.accounts[0].pk,
        amount=Decimal(amount),
        entry_date=day,
        token=uuid.uuid4(),
        actor_id=world.admin.pk,
    )


def history(world, since=LONG_AGO, until=TUESDAY):
    ids = [account.pk for account in world.accounts]
    return load_value_history(account_ids=ids, since=since, until=until)


@pytest.fixture
def world():
    world = make_world()
    world.add_account("100", lots=[("USTM", "10", "500", date(2020, 1, 2))])
    world.set_prices(MONDAY, USTM="110")
    world.set_prices(TUESDAY, USTM="99")
    return world


def test_each_day_is_shares_at_that_days_price_and_cash(world):
    found = history(world)
    assert found.dates == (DAY, MONDAY, TUESDAY)
    assert found.values == (1100.0, 1200.0, 1090.0)
    assert found.change == pytest.approx(-10)


def test_a_deposit_raises_the_value_but_is_no_gain(world):
    move(world, books.deposit_cash, "500", MONDAY)
    move(world, books.withdraw_cash, "50", TUESDAY)
    found = history(world)
    assert found.values == (1100.0, 1700.0, 1540.0)
    assert [after - found.invested[0] for after in found.invested] == [0.0, 500.0, 450.0]
    assert found.change == pytest.approx(-10)


def test_money_that_moves_between_two_priced_days_counts_from_the_next(world):
    move(world, books.deposit_cash, "7", date(2026, 11, 21))  # a Saturday
    assert history(world).values == (1100.0, 1207.0, 1097.0)


def test_a_window_opens_and_closes_where_it_is_told(world):
    found = history(world, since=MONDAY, until=MONDAY)
    assert (found.dates, found.values) == ((MONDAY,), (1200.0,))
    assert found.change is None


def test_nothing_is_said_about_what_has_no_books_or_no_prices(world):
    assert load_value_history(account_ids=[], since=LONG_AGO, until=TUESDAY).dates == ()
    assert history(world, since=date(2026, 12, 1), until=date(2026, 12, 2)).dates == ()


def test_three_queries_whatever_the_number_of_accounts(world, django_assert_num_queries):
    with django_assert_num_queries(3):
        history(world)
    for _ in range(5):
        world.add_account("10", lots=[("BOND", "1", "80", date(2020, 1, 2))])
    with django_assert_num_queries(3):
        history(world)
