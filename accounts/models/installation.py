"""Whether a firm may act at all, or may only look: after a restore from backup."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from accounts.models.people import Firm, User


class LookOnly(models.Model):
    """A firm's stop after a restore: nothing is sent until two people have let it go on."""

    firm = models.OneToOneField(
        Firm, primary_key=True, on_delete=models.PROTECT, related_name="look_only"
    )
    is_on = models.BooleanField(default=True)
    reason = models.CharField(max_length=300)
    since = models.DateTimeField(db_default=Now())
    # The last comparison with the broker that came to its end; none before `since` counts.
    reconciled_at = models.DateTimeField(null=True)
    release_note = models.CharField(max_length=300, blank=True, help_text="how it was reconciled")
    asked_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    # Set by the second person; the sealer then signs a checkpoint that starts anew, and ends it.
    released_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(released_by__isnull=True)
                | (models.Q(asked_by__isnull=False) & ~models.Q(asked_by=models.F("released_by"))),
                name="look_only_released_by_two",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.firm_id}: {self.reason}"
