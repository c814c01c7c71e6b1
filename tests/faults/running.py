"""The database of a run outside of pytest: emptied, and quick."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.cache import cache
from django.db import connection
from django.test import override_settings

from robo import pytest_services

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
    """Empty every table and the cache."""
    pytest_services.empty_tables(connection.introspection.django_table_names(only_existing=True))
    cache.clear()


def say(text: str) -> None:
    """Write a line that is read while the run goes on."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
