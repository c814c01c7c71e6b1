"""Answers of the API that are kept for repeats; `robo.common.api.idempotency` says when.

The whole of a request runs under one lock of PostgreSQL, held by its connection: when the process
dies, the lock goes with it, and nothing is left to time out.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import DatabaseError, connection

from accounts import models
from robo.common.api.idempotency import KeptAnswer

KEPT_FOR = timedelta(hours=48)


@contextmanager
def hold_key(*, credential: str, key: str) -> Iterator[bool]:
    """Hold a key of a credential while the block runs; tell whether that was possible.

    It is not while another request with the same key runs.
    """
    number = _lock_number(credential, key)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [number])
        [is_held] = cursor.fetchone()
    try:
        yield is_held
    finally:
        if is_held:
            _let_go(number)


def find_answer(*, credential: str, key: str) -> KeptAnswer | None:
    """Return what was answered under this key, if anything is still kept."""
    row = (
        models.IdempotentAnswer.objects.filter(credential=credential, key=key)
        .values_list("request_hash", "status", "body")
        .first()
    )
    return KeptAnswer(*row) if row else None


def keep_answer(*, firm_id: int, credential: str, key: str, answer: KeptAnswer) -> None:
    """Keep what was answered."""
    models.IdempotentAnswer.objects.create(
        firm_id=firm_id,
        credential=credential,
        key=key,
        request_hash=answer.request_hash,
        status=answer.status,
        body=answer.body,
    )


def purge_answers(*, now: datetime) -> int:
    """Drop answers that are older than any repeat would be; return how many."""
    dropped, _ = models.IdempotentAnswer.objects.filter(created_at__lt=now - KEPT_FOR).delete()
    return dropped


def _let_go(number: int) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [number])
    except DatabaseError:
        # A connection that cannot be asked lets go by ending.
        connection.close()


def _lock_number(credential: str, key: str) -> int:
    digest = hashlib.sha256(f"idempotency\n{credential}\n{key}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
