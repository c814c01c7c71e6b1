"""The journal of who changed what: written in the same transaction as the change itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from accounts import models

SUMMARY_LENGTH_MAX = 300
OBJECT_ID_LENGTH_MAX = 60


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
    models.AuditEntry.objects.bulk_create(
        [
            models.AuditEntry(
                firm_id=record.firm_id,
                actor_id=record.actor_id,
                action=record.action,
                household_id=record.household_id,
                object_id=_cut(record.object_id, OBJECT_ID_LENGTH_MAX),
                summary=_cut(record.summary, SUMMARY_LENGTH_MAX),
                detail=dict(record.detail or {}),
            )
            for record in records
        ],
        batch_size=2000,
    )


def _cut(text: str, length_max: int) -> str:
    return text if len(text) <= length_max else f"{text[: length_max - 1]}…"
