"""Secrets that a firm keeps with us, such as keys of its broker: encrypted, never shown again."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from accounts.domain.secret_names import SecretStatus
from accounts.models.people import Firm, User


class FirmSecret(models.Model):
    """One value of a named secret; it is in use once a second person has confirmed it."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    firm = models.ForeignKey(Firm, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=80)
    sealed_value = models.TextField(help_text="encrypted with a key that is not in this database")
    status = models.CharField(
        max_length=10, choices=[(s, s) for s in SecretStatus], default=SecretStatus.PENDING
    )
    set_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    set_at = models.DateTimeField(db_default=Now(), editable=False)
    decided_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["firm", "name"],
                condition=models.Q(status="ACTIVE"),
                name="secret_one_in_use",
            ),
            models.UniqueConstraint(
                fields=["firm", "name"],
                condition=models.Q(status="PENDING"),
                name="secret_one_waiting",
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=[str(s) for s in SecretStatus]),
                name="secret_status_known",
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=["PENDING", "REFUSED"])
                | (
                    models.Q(decided_by__isnull=False, decided_at__isnull=False)
                    & ~models.Q(decided_by=models.F("set_by"))
                ),
                name="secret_confirmed_by_another",
            ),
        ]

    def __str__(self) -> str:
        return self.name
