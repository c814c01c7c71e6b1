"""Forgetting: the words of old entries, and the salt without which their hashes say nothing.

Number, time, kind, people (by id) and hashes stay, so the chain still verifies. That words were
erased, of whom and from before when, is itself an entry, without which the proof fails.
"""

from datetime import UTC, date, datetime, time

from django.conf import settings
from django.db import transaction

from accounts import models
from accounts.domain.journal import ERASURE_ACTION
from accounts.domain.roles import Role
from accounts.operations.audit import record_audit_entry
from robo.common.errors import NotAllowed, Refused


@transaction.atomic
def erase_words(
    *, household_id: int, before_date: date, user_id: int, second_user_id: int, today: date
) -> int:
    """Erase the words of a household's entries from before a day (UTC); return how many.

    :raises Refused: when the day is inside the years for which words must be kept.
    :raises NotAllowed: unless both are administrators or supervisors of the firm, and two people.
    """
    household = models.Household.objects.get(pk=household_id)
    _check_both(household.firm_id, user_id, second_user_id)
    # Five years after the fiscal year in which it was written, two more to be sure: whole years.
    newest = date(today.year - settings.JOURNAL_RETENTION_YEARS, 1, 1)
    if before_date > newest:
        raise Refused(f"Words from {newest} on must still be kept.")
    before = datetime.combine(before_date, time(), UTC)
    entries = models.AuditEntry.objects.filter(
        household=household, recorded_at__lt=before, link__isnull=False
    ).exclude(salt="")
    # Before the rows: until this is sealed the proof would find words gone without a reason.
    record_audit_entry(
        firm_id=household.firm_id,
        actor_id=user_id,
        household_id=household.pk,
        action=ERASURE_ACTION,
        object_id=before.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        summary=f"Words of entries from before {before_date} were erased",
        detail={"second_user": second_user_id},
    )
    return entries.update(summary="", detail={}, salt="")


def _check_both(firm_id: int, user_id: int, second_user_id: int) -> None:
    able = models.User.objects.filter(
        pk__in=[user_id, second_user_id],
        firm_id=firm_id,
        is_active=True,
        role__in=(Role.ADMIN, Role.SUPERVISOR),
    )
    if able.count() != 2:
        raise NotAllowed("Two different administrators or supervisors of the firm must agree.")
