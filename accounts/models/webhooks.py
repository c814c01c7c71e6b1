"""Webhooks: where a firm wants to be told, how far its journal was read, and every delivery."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from accounts.domain.webhook_events import DeliveryStatus
from accounts.models.journal import AuditEntry
from accounts.models.people import Firm, User


class WebhookEndpoint(models.Model):
    """An address of the firm that is told of events, signed with a secret of its own."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    firm = models.ForeignKey(Firm, on_delete=models.PROTECT, related_name="+")
    url = models.CharField(max_length=500)
    events = models.JSONField()
    sealed_secret = models.TextField(help_text="the signing secret, encrypted")
    is_active = models.BooleanField(default=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["firm", "url"],
                condition=models.Q(is_active=True),
                name="webhook_url_once",
            ),
        ]

    def __str__(self) -> str:
        return self.url


class WebhookCursor(models.Model):
    """The place in a firm's journal up to which it was looked at for events."""

    firm = models.OneToOneField(Firm, on_delete=models.PROTECT, related_name="+")
    seq = models.BigIntegerField(default=0, help_text="of the journal's links, without gaps")

    def __str__(self) -> str:
        return f"{self.firm_id}: {self.seq}"


class WebhookDelivery(models.Model):
    """One event on its way to one endpoint; the row is the queue."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    firm = models.ForeignKey(Firm, on_delete=models.PROTECT, related_name="+")
    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.PROTECT, related_name="deliveries"
    )
    entry = models.ForeignKey(AuditEntry, on_delete=models.PROTECT, related_name="+")
    event = models.CharField(max_length=60)
    body = models.TextField(help_text="the exact bytes that are signed and sent")
    status = models.CharField(
        max_length=10,
        choices=[(s, s) for s in DeliveryStatus],
        default=DeliveryStatus.PENDING,
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(db_default=Now())
    answered = models.PositiveSmallIntegerField(null=True, help_text="HTTP status of the last try")
    error = models.CharField(max_length=200, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["endpoint", "entry"], name="webhook_entry_once"),
            models.CheckConstraint(
                condition=models.Q(status__in=[str(s) for s in DeliveryStatus]),
                name="webhook_status_known",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["next_attempt_at"],
                condition=models.Q(status="PENDING"),
                name="webhook_due",
            ),
            models.Index(fields=["endpoint", "-id"], name="webhook_by_endpoint"),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.public_id}"
