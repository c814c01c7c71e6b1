"""Which broker a firm's orders go to."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from rebalancer.domain.kinds import BrokerKind


class BrokerConnection(models.Model):
    """A firm's broker and how to reach it; a firm without one uses the paper broker.

    What must stay secret is not here: `secret_name` names one of the firm's secrets.
    """

    firm = models.OneToOneField(
        "accounts.Firm", on_delete=models.PROTECT, related_name="broker_connection"
    )
    kind = models.CharField(max_length=8, choices=[(k, k) for k in BrokerKind])
    settings = models.JSONField(default=dict, help_text="address, names, abilities")
    secret_name = models.CharField(max_length=80, blank=True)
    connected_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    connected_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(kind__in=list(BrokerKind)), name="broker_kind_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.firm_id}: {self.kind}"
