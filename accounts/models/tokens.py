"""Service tokens: how a program, not a person, calls the API."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from accounts.domain.scopes import Scope
from accounts.models.people import Firm, User


class ServiceToken(models.Model):
    """A secret that acts for the firm in its scopes until it expires; only its hash is kept."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    firm = models.ForeignKey(Firm, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the token")
    hint = models.CharField(max_length=12, help_text="its first characters, to tell tokens apart")
    scopes = models.JSONField()
    networks = models.JSONField(default=list, help_text="where it may be used; empty: anywhere")
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(revoked_at__isnull=True, revoked_by__isnull=True)
                | models.Q(revoked_at__isnull=False, revoked_by__isnull=False),
                name="token_revoked_by_somebody",
            ),
            models.CheckConstraint(
                condition=models.Q(scopes__contained_by=[str(scope) for scope in Scope])
                & ~models.Q(scopes=[]),
                name="token_scopes_known",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["firm", "-id"], name="token_by_firm")]

    def __str__(self) -> str:
        return self.name
