"""The two walls between firms, each of which a test can take down: the ORM's conditions in the
access functions, and PostgreSQL's row security, which binds the web's role and not the owner.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from django.db import connection
from django.db.models import Q, QuerySet
from django.test.client import ClientHandler
from psycopg.pq import TransactionStatus

from accounts import access
from robo.common.tenancy import APP_ROLE

EVERYTHING = Q()


@contextmanager
def take_role(role: str = APP_ROLE) -> Iterator[None]:
    """Be another role of the database for a while, as a process of that kind would."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {role}")
    try:
        yield
    finally:
        # A transaction that failed takes the role with it when it is rolled back.
        if connection.connection.info.transaction_status != TransactionStatus.INERROR:
            with connection.cursor() as cursor:
                cursor.execute("RESET ROLE")


@contextmanager
def as_the_web() -> Iterator[None]:
    """Let every request of a test client run under the web's role, row security included."""
    call = ClientHandler.__call__

    def call_as_app(self: ClientHandler, environ: Any) -> Any:
        with take_role():
            return call(self, environ)

    with mock.patch.object(ClientHandler, "__call__", call_as_app):
        yield


@contextmanager
def without_access_conditions() -> Iterator[None]:
    """Take down the first wall: no condition of a query asks for a firm any more."""
    narrow = QuerySet._filter_or_exclude

    def widen(self: Any, negate: bool, args: Any, kwargs: Any) -> Any:
        kept = {key: value for key, value in kwargs.items() if not _names_firm(key)}
        return narrow(self, negate, args, kept)

    with (
        mock.patch.object(access, "_household_condition", return_value=EVERYTHING),
        mock.patch.object(access, "_user_condition", return_value=EVERYTHING),
        mock.patch.object(QuerySet, "_filter_or_exclude", widen),
    ):
        yield


def _names_firm(key: str) -> bool:
    return key.split("__")[-1] in ("firm", "firm_id")
