"""A client's own yes or no to a proposal for an account that the firm may not trade unasked."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from rebalancer.models.proposals import Proposal


class ClientAnswer(models.Model):
    """Yes or no to exactly what the client saw, with its fingerprint. Append-only."""

    proposal = models.OneToOneField(
        Proposal, on_delete=models.PROTECT, related_name="client_answer"
    )
    is_yes = models.BooleanField()
    answered_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    content_hash = models.CharField(max_length=64)
    note = models.CharField(max_length=300, blank=True)
    answered_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=~models.Q(content_hash=""), name="client_answer_names_content"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.proposal_id}: {'yes' if self.is_yes else 'no'}"
