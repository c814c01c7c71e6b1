"""Broker statements that were taken into the books."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now


class StatementImport(models.Model):
    """A broker statement that was taken into the books, by the hash of its bytes."""

    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    content_sha256 = models.CharField(max_length=64)
    broker = models.CharField(max_length=20)
    file_name = models.CharField(max_length=200)
    imported_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    imported_at = models.DateTimeField(db_default=Now(), editable=False)
    summary = models.JSONField(default=dict)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["firm", "content_sha256"], name="statement_imported_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.broker} {self.file_name}"
