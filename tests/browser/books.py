"""What the books say, read from the tables with as little of the product's code as can be."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

from django.db import connection

_VALUES = """
    SELECT h.security_id, h.quantity, p.price
    FROM portfolios_holding h
    JOIN LATERAL (SELECT price FROM portfolios_price WHERE security_id = h.security_id
                  ORDER BY price_date DESC LIMIT 1) p ON true
    WHERE h.account_id = ANY(%s) AND h.quantity > 0
"""


def get_value(account_ids: list[int]) -> Decimal:
    """Return what accounts are worth together: cash, and holdings at the newest price."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(amount) FROM portfolios_cashbalance WHERE account_id = ANY(%s)",
            [account_ids],
        )
        (cash,) = cursor.fetchone()
        cursor.execute(_VALUES, [account_ids])
        return cash + sum(quantity * price for _security, quantity, price in cursor.fetchall())


@contextmanager
def proposals_held_up() -> Iterator[None]:
    """Hold the rows that whoever writes proposals must lock: a run stops at its last step."""
    other = connection.copy()
    other.set_autocommit(False)
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT 1 FROM rebalancer_policyassignment FOR UPDATE")
        yield
    finally:
        other.rollback()
        other.close()
