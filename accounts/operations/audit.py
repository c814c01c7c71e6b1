"""The journal of who changed what: written in the same transaction as the change itself."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from accounts.domain import journal
from accounts.queries.journal import BODY_COLUMNS
from robo.common import tracing

SUMMARY_LENGTH_MAX = 300
OBJECT_ID_LENGTH_MAX = 60
# One statement: number, time, transaction and the actor's role are PostgreSQL's to say, and they
# are in the body too. Numbers are drawn in the order in which the entries were given.
_INSERT = """
    INSERT INTO accounts_auditentry (
        id, firm_id, recorded_at, xid, actor_id, role, acting_for_id, household_id,
        action, object_id, request_id, summary, detail, salt, body)
    SELECT e.id, e.firm_id, e.recorded_at, e.xid, e.actor_id, e.role, e.acting_for_id,
        e.household_id, e.action, e.object_id, e.request_id, e.summary, e.detail, e.salt,
        {plain} || e.hidden
    FROM (
        SELECT nextval(pg_get_serial_sequence('accounts_auditentry', 'id')) AS id,
            statement_timestamp() AS recorded_at, pg_current_xact_id() AS xid, ordered.*
        FROM (
            SELECT given.*, coalesce(u.role, '') AS role
            FROM unnest(
                %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::bigint[], %s::text[],
                %s::text[], %s::text[], %s::text[], %s::text[], %s::text[]
            ) WITH ORDINALITY AS given (
                firm_id, actor_id, acting_for_id, action, household_id, object_id,
                request_id, summary, detail, salt, hidden, n)
            LEFT JOIN accounts_user u ON u.id = given.actor_id
            ORDER BY given.n
        ) AS ordered
    ) AS e
""".replace("{plain}", journal.compose_sql(BODY_COLUMNS))


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One audit entry to be written; `action` is dotted (`app.object.event`)."""

    firm_id: int
    actor_id: int
    action: str
    object_id: str
    summary: str
    household_id: int | None = None
    detail: Mapping[str, Any] | None = None


def record_audit_entry(
    *,
    firm_id: int,
    actor_id: int,
    action: str,
    object_id: str,
    summary: str,
    household_id: int | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Write one audit entry; the summary is read by clients too, so it speaks plainly.

    :raises TransactionManagementError: outside a transaction, where entry and change could part.
    """
    record_audit_entries(
        [
            AuditRecord(
                firm_id=firm_id,
                actor_id=actor_id,
                action=action,
                object_id=object_id,
                summary=summary,
                household_id=household_id,
                detail=detail,
            )
        ]
    )


def record_audit_entries(records: Sequence[AuditRecord]) -> None:
    """Write any number of audit entries, in order.

    :raises TransactionManagementError: outside a transaction, where entry and change could part.
    """
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError(
            "An audit entry belongs in the transaction of the change that it tells of."
        )
    if records:
        rows = [_make_row(record) for record in records]
        with connection.cursor() as cursor:
            cursor.execute(_INSERT, [list(column) for column in zip(*rows, strict=True)])


def _make_row(record: AuditRecord) -> tuple[Any, ...]:
    """Return the columns of an entry that PostgreSQL does not know better, in `_INSERT`'s order."""
    summary = _cut(record.summary, SUMMARY_LENGTH_MAX)
    detail = journal.write_detail(record.detail or {})
    salt = secrets.token_hex(journal.SALT_LENGTH // 2)
    return (
        record.firm_id,
        record.actor_id,
        tracing.get_acting_for(),
        journal.make_one_line(record.action),
        record.household_id,
        _cut(journal.make_one_line(record.object_id), OBJECT_ID_LENGTH_MAX),
        journal.make_one_line(tracing.get_request_id()),
        summary,
        detail,
        salt,
        journal.compose_hidden(salt, summary, detail),
    )


def _cut(text: str, length_max: int) -> str:
    return text if len(text) <= length_max else f"{text[: length_max - 1]}…"
