"""Narrowing down the journal: by words, area and time; and its columns as its bodies spell them."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Q, QuerySet

from accounts import models

# How each column of an entry `e` is spelled in its body; what is NULL is empty there.
BODY_COLUMNS = {
    "id": "e.id",
    "firm_id": "e.firm_id",
    "recorded_at": """to_char(e.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""",
    "xid": "e.xid::text",
    "actor_id": "e.actor_id",
    "role": "e.role",
    "acting_for_id": "coalesce(e.acting_for_id::text, '')",
    "household_id": "coalesce(e.household_id::text, '')",
    "action": "e.action",
    "object_id": "e.object_id",
    "request_id": "e.request_id",
}


def narrow_entries(
    entries: QuerySet[models.AuditEntry],
    *,
    words: str = "",
    area: str = "",
    from_date: date | None = None,
    to_date: date | None = None,
) -> QuerySet[models.AuditEntry]:
    """Return the entries that fit, newest first; dates are UTC and both ends belong."""
    if words:
        entries = entries.filter(
            Q(summary__icontains=words)
            | Q(actor__name__icontains=words)
            | Q(household__name__icontains=words)
            | Q(object_id__iexact=words)
        )
    if area:
        entries = entries.filter(action__startswith=f"{area}.")
    if from_date is not None:
        entries = entries.filter(recorded_at__gte=datetime.combine(from_date, time(), UTC))
    if to_date is not None and to_date < date.max:
        after = datetime.combine(to_date + timedelta(days=1), time(), UTC)
        entries = entries.filter(recorded_at__lt=after)
    return entries.order_by("-pk")


def list_traces(*, firm_id: int, object_ids: Sequence[str]) -> list[models.AuditEntry]:
    """Return what a firm's journal says of these objects, oldest first, with who did it."""
    return list(
        models.AuditEntry.objects.select_related("actor", "acting_for")
        .filter(firm_id=firm_id, object_id__in=object_ids)
        .order_by("pk")
    )
