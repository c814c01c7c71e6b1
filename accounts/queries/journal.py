"""Narrowing down the journal: by words, area and time."""

from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Q, QuerySet

from accounts import models


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
