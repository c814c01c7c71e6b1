"""Where our books and the broker's word differ, until somebody has settled it."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from portfolios.domain.kinds import AdjustmentStatus, BreakKind
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


class BreakAdjustment(models.Model):
    """An entry that would settle a break, as one person asks for it and another books it."""

    settles = models.ForeignKey(Break, on_delete=models.PROTECT, related_name="adjustments")
    # What both sides said when it was asked for: once they say something else, it is void.
    our_quantity = models.DecimalField(max_digits=28, decimal_places=8)
    their_quantity = models.DecimalField(max_digits=28, decimal_places=8)
    cost = models.DecimalField(max_digits=20, decimal_places=2, null=True)
    entry_date = models.DateField()
    note = models.CharField(max_length=300)
    asked_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(db_default=Now(), editable=False)
    status = models.CharField(
        max_length=8, choices=[(s, s) for s in AdjustmentStatus], default=AdjustmentStatus.WAITING
    )
    decided_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["settles"],
                condition=models.Q(status=AdjustmentStatus.WAITING),
                name="break_adjustment_waits_once",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    status=AdjustmentStatus.WAITING,
                    decided_by__isnull=True,
                    decided_at__isnull=True,
                )
                | models.Q(
                    status=AdjustmentStatus.DROPPED,
                    decided_by__isnull=False,
                    decided_at__isnull=False,
                )
                | models.Q(
                    status=AdjustmentStatus.BOOKED,
                    decided_by__isnull=False,
                    decided_at__isnull=False,
                )
                & ~models.Q(asked_by=models.F("decided_by")),
                name="break_adjustment_by_two",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.settles_id}: {self.status}"
