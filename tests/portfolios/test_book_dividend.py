"""A dividend reaches everyone who holds the security, once."""

from datetime import date
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command

from portfolios.models import CashBalance
from portfolios.queries.books import check_books
from tests.rebalancer.world import make_world

pytestmark = pytest.mark.django_db
OLD = date(2020, 1, 2)


def test_holders_are_paid_once(capsys):
    world = make_world()
    holder = world.add_account("10", lots=[("USTM", "12", "900", OLD), ("USTM", "3", "200", OLD)])
    other = world.add_account("10", lots=[("BOND", "5", "400", OLD)])
    for _ in range(2):
        call_command("book_dividend", "USTM", "2026-11-19", "0.337", firm=world.firm.name)
    assert CashBalance.objects.get(account=holder).amount == Decimal("15.06")  # 10 + 15 x 0.337
    assert CashBalance.objects.get(account=other).amount == Decimal("10")
    assert capsys.readouterr().out.splitlines() == [
        "USTM: 0.337 a share booked to 1 accounts",
        "USTM: 0.337 a share booked to 0 accounts",
    ]
    assert check_books(world.firm.pk) == []


@pytest.mark.parametrize(
    ("symbol", "ex_date", "amount", "said"),
    [
        ("NOPE", "2026-11-19", "1", "NOPE is not one of the securities"),
        ("USTM", "2025-11-01", "1", "2025-11-01 is not within 366 days"),
        ("USTM", "2026-11-21", "1", "2026-11-21 is not within 366 days"),
        ("USTM", "2026-11-19", "nan", "nan is not an amount"),
        ("USTM", "2026-11-19", "-1", "-1 is not an amount"),
        ("USTM", "2026-11-19", "1e400", "1e400 is not an amount"),
        ("USTM", "2026-11-19", "abc", "abc is not an amount"),
    ],
)
def test_nonsense_is_refused_by_name(symbol, ex_date, amount, said):
    world = make_world()
    with pytest.raises(CommandError, match=said):
        call_command("book_dividend", symbol, ex_date, "--", amount, firm=world.firm.name)
