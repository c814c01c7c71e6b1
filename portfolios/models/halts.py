"""Securities that do not trade for the time being."""

import uuid
from typing import ClassVar

from django.db import models

from portfolios.models.securities import Security


class Halt(models.Model):
    """A time in which a security is not sent to market; without an end until somebody lifts it."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    security = models.ForeignKey(Security, on_delete=models.PROTECT, related_name="halts")
    since = models.DateTimeField()
    until = models.DateTimeField(null=True, help_text="it ends by itself; empty: when it is lifted")
    reason = models.CharField(max_length=300)
    set_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    lifted_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    lifted_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["security"],
                condition=models.Q(lifted_at__isnull=True),
                name="halt_one_at_a_time",
            ),
            models.CheckConstraint(
                condition=models.Q(until__isnull=True) | models.Q(until__gt=models.F("since")),
                name="halt_ends_after_it_began",
            ),
            models.CheckConstraint(
                condition=models.Q(lifted_at__isnull=True, lifted_by__isnull=True)
                | models.Q(lifted_at__isnull=False, lifted_by__isnull=False),
                name="halt_lifted_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.security}: {self.reason}"
