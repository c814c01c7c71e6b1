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


@contextmanager
def fast_settings() -> Iterator[None]:
    """Hash passwords quickly: no schedule is about their strength. Log nothing that is meant."""
    logging.disable(logging.CRITICAL)
    with override_settings(PASSWORD_HASHERS=[HASHER]):
        yield


def make_tables() -> None:
    """Migrate, and let the connection prepare what it repeats."""
    call_command("migrate", verbosity=0)
    connection.ensure_connection()
    connection.connection.prepare_threshold = PREPARE_AFTER


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
