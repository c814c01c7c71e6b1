"""Who changed what, when and why."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from accounts.models.people import Firm, Household, User


class AuditEntry(models.Model):
    """Who changed what, when and why. Append-only, in the same transaction as the change."""

    firm = models.ForeignKey(Firm, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)
    actor = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    action = models.CharField(max_length=60, help_text="dotted: app.object.event")
    household = models.ForeignKey(Household, null=True, on_delete=models.PROTECT, related_name="+")
    object_id = models.CharField(max_length=60)
    summary = models.CharField(max_length=300)
    detail = models.JSONField(default=dict)

    class Meta:
        verbose_name_plural = "audit entries"
        indexes: ClassVar = [
            models.Index(fields=["firm", "-id"], name="audit_by_firm"),
            models.Index(fields=["household", "-id"], name="audit_by_household"),
            models.Index(fields=["object_id"], name="audit_by_object"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_id}"
