"""What the API answered to a request that carried an Idempotency-Key."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from accounts.models.people import Firm


class IdempotentAnswer(models.Model):
    """An answer that is given again when the same request comes again; kept for a day or two."""

    firm = models.ForeignKey(Firm, on_delete=models.PROTECT, related_name="+")
    credential = models.CharField(max_length=40, help_text="whose key it is: a user or a token")
    key = models.CharField(max_length=128)
    request_hash = models.CharField(max_length=64, help_text="of method, address and body")
    status = models.PositiveSmallIntegerField()
    body = models.TextField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["credential", "key"], name="idempotency_key_once"),
        ]
        indexes: ClassVar = [models.Index(fields=["created_at"], name="answer_by_age")]

    def __str__(self) -> str:
        return f"{self.credential} {self.key}"
