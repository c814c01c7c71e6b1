"""An operator's time-boxed look at one household, which a supervisor allows."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from accounts.models.people import Firm, Household, User


class SupportGrant(models.Model):
    """A look at one household: asked for with a reason, allowed by a supervisor, over by itself."""

    firm = models.ForeignKey(Firm, on_delete=models.PROTECT, related_name="+")
    operator = models.ForeignKey(User, on_delete=models.PROTECT, related_name="support_grants")
    household = models.ForeignKey(Household, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=300)
    hours = models.PositiveSmallIntegerField(help_text="how long it lasts once it is allowed")
    requested_at = models.DateTimeField(db_default=Now(), editable=False)
    decided_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    until = models.DateTimeField(null=True, help_text="empty until it is allowed")
    ended_at = models.DateTimeField(null=True, help_text="refused, or given back before its time")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(hours__gte=1, hours__lte=24), name="support_grant_hours"
            ),
            models.CheckConstraint(
                condition=models.Q(until__isnull=True) | models.Q(decided_by__isnull=False),
                name="support_grant_allowed_by_somebody",
            ),
            models.CheckConstraint(
                condition=models.Q(decided_by__isnull=True)
                | ~models.Q(decided_by=models.F("operator")),
                name="support_grant_by_another_person",
            ),
            models.UniqueConstraint(
                fields=["operator", "household"],
                condition=models.Q(until__isnull=True, ended_at__isnull=True),
                name="support_grant_asked_once",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["operator", "until"], name="support_grant_of_operator"),
        ]

    def __str__(self) -> str:
        return f"{self.operator} at {self.household}"
