"""The database of a run outside of pytest: made, emptied, and quick."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.cache import cache
from django.core.management import call_command
from django.core.management.color import no_style
from django.core.management.sql import sql_flush
from django.db import connection, transaction
from django.test import override_settings

from robo.pytest_services import _TRUNCATE_TRIGGERS

HASHER = "django.contrib.auth.hashers.MD5PasswordHasher"
# The same statements come again and again: planned once, they cost a fraction.
PREPARE_AFTER = 3
PREPARED_MAX = 500


@contextmanager
def fast_settings() -> Iterator[None]:
    """Hash passwords quickly: no schedule is about their strength. Log nothing that is meant."""
    logging.disable(logging.CRITICAL)
    with override_settings(PASSWORD_HASHERS=[HASHER]):
        yield


def make_tables() -> None:
    """Migrate."""
    call_command("migrate", verbosity=0)


@contextmanager
def planned_once() -> Iterator[None]:
    """Let the connection prepare what it repeats, and PostgreSQL plan it once for every firm."""
    connection.ensure_connection()
    raw = connection.connection
    before = raw.prepare_threshold, raw.prepared_max
    raw.prepare_threshold, raw.prepared_max = PREPARE_AFTER, PREPARED_MAX
    with connection.cursor() as cursor:
        cursor.execute("SET plan_cache_mode = force_generic_plan")
    try:
        yield
    finally:
        raw.prepare_threshold, raw.prepared_max = before
        with connection.cursor() as cursor:
            cursor.execute("RESET plan_cache_mode")


def empty_tables() -> None:
    """Empty every table; ids go on, so that nothing that is remembered fits another row."""
    statements = sql_flush(no_style(), connection, reset_sequences=False, allow_cascade=False)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_TRUNCATE_TRIGGERS)
        triggers = cursor.fetchall()
        for table, trigger in triggers:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
        for statement in statements:
            cursor.execute(statement)
        for table, trigger in triggers:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER {trigger}")
    cache.clear()


def say(text: str) -> None:
    """Write a line that is read while the run goes on."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
