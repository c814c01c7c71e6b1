"""The second wall between firms: what this request may see, told to PostgreSQL in each transaction.

The web's database role sees no row of any firm until `app.firm` names one (`row_security`). Before
anybody is known, `app.door` opens the tables that signing in needs, and no other.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from psycopg.pq import TransactionStatus

# The roles of the database: who owns the tables migrates, the web and the workers use them.
APP_ROLE, WORKER_ROLE = "robo_app", "robo_worker"
# Where a connection remembers what it has told PostgreSQL in the transaction that is open.
_TOLD = "_robo_tenant_told"
_TELL = "SELECT set_config('app.firm', %s, true), set_config('app.door', %s, true)"


@dataclass(slots=True)
class Tenant:
    """Whose rows the code that runs now may see: nobody's yet, or one firm's."""

    firm_id: int | None = None

    def list_settings(self) -> tuple[str, str]:
        """Return the values of `app.firm` and `app.door`."""
        return ("", "open") if self.firm_id is None else (str(self.firm_id), "")


class FirmMixedUp(Exception):
    """Code that works for one firm was about to work for another: a fault of ours, never shown."""


_current: ContextVar[Tenant | None] = ContextVar("tenant", default=None)


def enter_firm(firm_id: int) -> None:
    """Say whose request this is, as soon as it is known; outside of requests, nothing happens.

    :raises FirmMixedUp: when the request was another firm's already.
    """
    tenant = _current.get()
    if tenant is None or tenant.firm_id == firm_id:
        return
    if tenant.firm_id is not None:
        raise FirmMixedUp(f"This request is of firm {tenant.firm_id}, not of {firm_id}.")
    tenant.firm_id = firm_id


@contextmanager
def as_firm(firm_id: int) -> Iterator[None]:
    """Work for one firm for a moment, before anybody is signed in: write its journal, say.

    :raises FirmMixedUp: when the request is another firm's already.
    """
    tenant = _current.get()
    if tenant is None or tenant.firm_id is not None:
        enter_firm(firm_id)
        yield
        return
    token = _current.set(Tenant(firm_id))
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def guard() -> Iterator[None]:
    """Tell PostgreSQL whose rows may be seen, in every transaction, until the block ends."""
    token = _current.set(Tenant())
    setattr(connection, _TOLD, None)  # what an earlier request told says nothing about this one
    try:
        with connection.execute_wrapper(_tell_first):
            yield
    finally:
        _current.reset(token)


def _tell_first(
    execute: Callable[..., Any],
    sql: Any,
    params: Any,
    many: bool,  # noqa: FBT001  (Django calls it by position)
    context: Mapping[str, Any],
) -> Any:
    """Run a statement where PostgreSQL knows the tenant; alone, it gets a transaction of its own.

    The settings end with the transaction (`set_config(…, true)`), so that a connection that is
    used again carries nothing over; without them every table of a firm is empty.
    """
    database = context["connection"]
    if not database.in_atomic_block and database.get_autocommit():
        with transaction.atomic(using=database.alias):
            _tell(database)
            return execute(sql, params, many, context)
    _tell(database)
    try:
        return execute(sql, params, many, context)
    finally:
        # What was told after a savepoint goes with it.
        if isinstance(sql, str) and sql.startswith("ROLLBACK TO"):
            setattr(database, _TOLD, None)


def _tell(database: Any) -> None:
    tenant = _current.get()
    raw = database.connection
    if tenant is None or raw is None:
        return
    settings = tenant.list_settings()
    status = raw.info.transaction_status
    if status == TransactionStatus.INERROR:
        return  # nothing can be said until the transaction is rolled back
    if status == TransactionStatus.INTRANS and getattr(database, _TOLD, None) == settings:
        return
    # On the bare connection: this is no query of anybody's, and must not call itself.
    with database.wrap_database_errors:
        raw.execute(_TELL, settings)
    setattr(database, _TOLD, settings)
