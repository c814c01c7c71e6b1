"""What PostgreSQL refuses to change in decisions and orders, and what the proof finds if it was."""

import itertools
from contextlib import suppress
from datetime import date
from decimal import Decimal

import pytest
from django.db import DataError, IntegrityError, connection, transaction

from rebalancer import models
from rebalancer.domain import lifecycle
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
        (
            *("rebalancer_trade", "rebalancer_tradelot", "rebalancer_decision"),
            *("rebalancer_fill", "rebalancer_execution"),
        ),
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
    "a fill's cash": "UPDATE rebalancer_fill SET amount = amount + 1 WHERE id = {fill}",
    "a fill without its entry": "UPDATE rebalancer_fill SET entry_id = NULL WHERE id = {fill}",
    "an execution's price": "UPDATE rebalancer_execution SET price = price + 1",
    "an execution's quantity": "UPDATE rebalancer_execution SET quantity = quantity - 1",
    "no execution": "DELETE FROM rebalancer_execution",
    "a fill turned into a bust": (
        "UPDATE rebalancer_execution SET kind = 'BUST', refers_to_id = id WHERE quantity > 1"
    ),
    "who takes part": (
        "UPDATE rebalancer_block SET statement ="
        " jsonb_set(statement, '{{0,0}}', to_jsonb(reverse(statement -> 0 ->> 0)))"
    ),
    "who takes part, hashed again": (
        "UPDATE rebalancer_block SET statement_hash = repeat('0', 64)"
    ),
    "a block's total": "UPDATE rebalancer_block SET filled_value = filled_value + 1",
    "what was shared out": "UPDATE rebalancer_block SET shared_quantity = shared_quantity - 1",
    "an order of another block": (
        "UPDATE rebalancer_order SET block_id = NULL WHERE side = 'SELL'"
    ),
    "a slice's total": "UPDATE rebalancer_slice SET filled_quantity = filled_quantity - 1",
    "more sent than ordered": "UPDATE rebalancer_slice SET quantity = quantity + 1",
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
        "rebalancer_order",
        "rebalancer_block",
        "rebalancer_slice",
        "rebalancer_execution",
        "rebalancer_trade",
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
    "rebalancer_block": (
        *("quantity", "filled_quantity", "filled_value", "shared_quantity", "shared_value"),
        *("arrival_price", "reserve_price"),
    ),
    "rebalancer_slice": ("quantity", "filled_quantity", "broker_quantity"),
    "rebalancer_execution": ("quantity", "price"),
    "rebalancer_fill": ("quantity", "amount", "price"),
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


def test_states_change_only_as_their_tables_say():
    """PostgreSQL knows the same transitions as the tables in `lifecycle`."""
    world = approved_world()
    drain(NOW)
    late = {
        (a.value, lifecycle.LATE_TRANSITIONS[a, e].value) for a, e in lifecycle.LATE_TRANSITIONS
    }
    for table, transitions in (
        ("rebalancer_order", lifecycle.ORDER_TRANSITIONS),
        ("rebalancer_block", lifecycle.ORDER_TRANSITIONS),
        ("rebalancer_slice", lifecycle.SLICE_TRANSITIONS),
    ):
        allowed = {(a.value, b.value) for (a, _e), b in transitions.items() if a != b} | late
        accepted = set()
        for before, after in itertools.permutations(lifecycle.OrderStatus, 2):
            with suppress(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
                cursor.execute(f"UPDATE {table} SET status = %s", [before])
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
                cursor.execute(f"UPDATE {table} SET status = %s", [after])
                transaction.set_rollback(True)
                accepted.add((before.value, after.value))
        assert accepted == allowed, table
    assert check_orders(world.firm.pk) == []


def test_what_a_block_was_made_for_never_changes():
    approved_world()
    drain(NOW)
    for statement in (
        "UPDATE rebalancer_block SET statement = '[]'",
        "UPDATE rebalancer_block SET statement_hash = repeat('0', 64)",
        "UPDATE rebalancer_block SET quantity = quantity + 1",
        "UPDATE rebalancer_slice SET client_order_id = client_order_id || 'x'",
        "UPDATE rebalancer_slice SET quantity = quantity + 1",
        "DELETE FROM rebalancer_slice",
        "DELETE FROM rebalancer_block",
        "TRUNCATE rebalancer_block CASCADE",
    ):
        with connection.cursor() as cursor, pytest.raises(IntegrityError):
            cursor.execute(statement)
