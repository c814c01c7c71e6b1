"""Where our books and the broker's word differ, until somebody has settled it."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from portfolios.domain.kinds import BreakKind
from portfolios.models.books import JournalEntry
from portfolios.models.securities import Security


class Break(models.Model):
    """One difference in one account; while it is open, what it is about does not trade."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    account = models.ForeignKey("accounts.Account", on_delete=models.PROTECT, related_name="breaks")
    security = models.ForeignKey(
        Security, null=True, on_delete=models.PROTECT, related_name="+", help_text="empty: cash"
    )
    kind = models.CharField(max_length=10, choices=[(k, k) for k in BreakKind])
    source = models.CharField(max_length=120, help_text="what found it; open at most once")
    # As last seen; the broker's may be below zero, ours never.
    our_quantity = models.DecimalField(max_digits=28, decimal_places=8)
    their_quantity = models.DecimalField(max_digits=28, decimal_places=8)
    note = models.CharField(max_length=300, blank=True)
    owner = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    opened_at = models.DateTimeField(db_default=Now(), editable=False)
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    closing_note = models.CharField(max_length=300, blank=True)
    closing_entry = models.OneToOneField(
        JournalEntry, null=True, on_delete=models.PROTECT, related_name="closed_break"
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["source"],
                condition=models.Q(closed_at__isnull=True),
                name="break_open_once",
            ),
            models.CheckConstraint(
                condition=models.Q(kind__in=list(BreakKind)), name="break_kind_known"
            ),
            models.CheckConstraint(
                condition=models.Q(closed_at__isnull=True, closed_by__isnull=True)
                | models.Q(closed_at__isnull=False, closed_by__isnull=False),
                name="break_closed_by_somebody",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["account"], condition=models.Q(closed_at__isnull=True), name="break_open"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: ours {self.our_quantity}, theirs {self.their_quantity}"
