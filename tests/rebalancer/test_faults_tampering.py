"""What PostgreSQL refuses to change in decisions and orders, and what the proof finds if it was."""

import itertools
from contextlib import suppress
from datetime import date
from decimal import Decimal

import pytest
from django.db import DataError, IntegrityError, connection, transaction

from rebalancer import models
from rebalancer.queries.proof import check_orders
from tests.rebalancer.test_faults import (
    approved_world,
    drain,
)
from tests.rebalancer.world import NOW

pytestmark = pytest.mark.django_db(transaction=True)
D = Decimal
OLD = date(2020, 1, 2)


# --- What PostgreSQL and the proof find -----------------------------------------------------


def test_decisions_and_fills_cannot_be_changed():
    approved_world()
    drain(NOW)
    for table, statement in itertools.product(
        ("rebalancer_decision", "rebalancer_fill"),
        (
            "UPDATE {0} SET id = id",
            "DELETE FROM {0}",
            "TRUNCATE {0} CASCADE",
            "INSERT INTO {0} SELECT * FROM {0} ON CONFLICT (id) DO UPDATE SET id = excluded.id",
        ),
    ):
        with (
            connection.cursor() as cursor,
            pytest.raises(IntegrityError, match=rf"append-only: \w+ on {table} is refused"),
        ):
            cursor.execute(statement.format(table))


TAMPERING = {
    "a fill's price": "UPDATE rebalancer_fill SET price = price + 1 WHERE id = {fill}",
    "a fill's quantity": "UPDATE rebalancer_fill SET quantity = quantity + 1 WHERE id = {fill}",
    "no fill": "DELETE FROM rebalancer_fill WHERE id = {fill}",
    "an order's amount": "UPDATE rebalancer_order SET filled_amount = filled_amount + 0.01",
    "an order's status": "UPDATE rebalancer_order SET status = 'CANCELLED'",
    "an open order of a closed proposal": "UPDATE rebalancer_order SET status = 'NEW'",
    "another side": "UPDATE rebalancer_order SET side = 'BUY' WHERE side = 'SELL'",
    "a no for a yes": "UPDATE rebalancer_decision SET is_approved = FALSE",
    "no decision": "DELETE FROM rebalancer_decision",
    "something else was approved": "UPDATE rebalancer_decision SET content_hash = repeat('0', 64)",
    "another proposal than was approved": (
        "UPDATE rebalancer_proposal SET content_hash = repeat('0', 64)"
    ),
    "the maker approved": "UPDATE rebalancer_proposal SET proposed_by_id = {approver}",
    "more than was approved": (
        "UPDATE rebalancer_trade SET quantity = quantity - 1 WHERE quantity > 1"
    ),
    "all the cash of a sale": (
        "UPDATE portfolios_transfer SET quantity = quantity + 5"
        " WHERE target_pocket = 'CASH' AND source_pocket = 'MARKET';"
        "UPDATE portfolios_cashbalance SET amount = amount + 5;"
        "UPDATE portfolios_disposal SET proceeds = proceeds + 5"
    ),
}


def test_tampering_with_orders_is_found():
    world = approved_world()
    drain(NOW)
    assert check_orders(world.firm.pk) == []
    ids = {"fill": models.Fill.objects.earliest("id").pk, "approver": world.advisor.pk}
    missed = [
        name
        for name, statements in TAMPERING.items()
        if not _find_tampering(world, statements.format(**ids))
    ]
    assert missed == []
    assert check_orders(world.firm.pk) == []


def _find_tampering(world, statements):
    """Return what the proof says after SQL that an owner of the tables might run; undo it."""
    tables = (
        "rebalancer_fill",
        "rebalancer_decision",
        "portfolios_transfer",
        "portfolios_disposal",
    )
    with transaction.atomic(), connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in statements.split(";"):
            cursor.execute(statement)
            assert cursor.rowcount > 0, statement
        faults = check_orders(world.firm.pk)
        transaction.set_rollback(True)
    return faults


# What is bought, sold, paid and left in cash; gains and taxes may be below zero.
UNSIGNED = {
    "rebalancer_order": ("quantity", "filled_quantity", "filled_amount"),
    "rebalancer_fill": ("quantity", "price"),
    "rebalancer_trade": ("quantity", "price", "fill_price", "amount", "cost_amount"),
    "rebalancer_tradelot": ("quantity", "cost"),
    "rebalancer_proposal": (
        "value",
        "cash_before",
        "cash_after",
        "turnover_amount",
        "cost_amount",
    ),
}


def test_every_amount_price_and_quantity_refuses_nan_infinity_and_less_than_nothing():
    approved_world()
    drain(NOW)
    accepted = []
    for (table, columns), number in itertools.product(
        UNSIGNED.items(), ("NaN", "Infinity", "-Infinity", "-1")
    ):
        for column in columns:
            with suppress(IntegrityError, DataError), transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
                    cursor.execute(f"UPDATE {table} SET {column} = %s::numeric", [number])
                transaction.set_rollback(True)
                accepted.append((table, column, number))
    assert accepted == [], accepted
