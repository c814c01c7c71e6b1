"""What guards the doors: counted attempts, mail on its way out, and second factors being reset."""

from typing import ClassVar

from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models.functions import Now

from accounts.domain.doors import MailKind, ResetStatus
from accounts.models.people import Firm, User


class Attempt(models.Model):
    """How often somebody tried to get through a door from one network; the key is a hash."""

    key = models.CharField(primary_key=True, max_length=64)
    count = models.PositiveIntegerField(default=0)
    counted_at = models.DateTimeField(help_text="when the counting began")
    waits_until = models.DateTimeField(null=True)
    is_told = models.BooleanField(default=False, help_text="whether the journal tells of this wait")

    class Meta:
        indexes: ClassVar = [models.Index(fields=["counted_at"], name="attempt_by_age")]

    def __str__(self) -> str:
        return self.key


class OutgoingMail(models.Model):
    """A mail to somebody of the firm, sent by a task; the row is the queue.

    Without a person it goes to nobody: asking for a link costs the same for unknown addresses.
    """

    public_id = models.UUIDField(
        db_default=RandomUUID(), unique=True, editable=False, help_text="its Message-ID, each try"
    )
    person = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    dedupe_key = models.CharField(
        max_length=160, null=True, unique=True, help_text="the same event tells a person once"
    )
    address = models.EmailField(blank=True, help_text="where to, when not the person's present one")
    kind = models.CharField(max_length=30, choices=[(kind, kind) for kind in MailKind])
    facts = models.JSONField(default=dict)
    asked_at = models.DateTimeField(db_default=Now(), editable=False)
    sent_at = models.DateTimeField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(db_default=Now())
    error = models.CharField(max_length=200, blank=True, help_text="why the last try failed")

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["next_try_at"], condition=models.Q(sent_at=None), name="mail_waiting"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.person_id}"


class SecondFactorReset(models.Model):
    """Taking a lost second factor away takes two people, neither of them its owner."""

    firm = models.ForeignKey(Firm, on_delete=models.PROTECT, related_name="+")
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=200)
    status = models.CharField(
        max_length=10, choices=[(s, s) for s in ResetStatus], default=ResetStatus.ASKED
    )
    asked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(db_default=Now(), editable=False)
    settled_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    settled_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["person"],
                condition=models.Q(status=ResetStatus.ASKED),
                name="second_factor_reset_one_open",
            ),
            models.CheckConstraint(
                condition=~models.Q(person=models.F("asked_by")),
                name="second_factor_reset_not_asked_by_owner",
            ),
            models.CheckConstraint(
                condition=~models.Q(status=ResetStatus.DONE)
                | (
                    models.Q(settled_by__isnull=False)
                    & ~models.Q(settled_by=models.F("asked_by"))
                    & ~models.Q(settled_by=models.F("person"))
                ),
                name="second_factor_reset_by_two_people",
            ),
            models.CheckConstraint(
                condition=models.Q(status=ResetStatus.ASKED, settled_at__isnull=True)
                | (~models.Q(status=ResetStatus.ASKED) & models.Q(settled_at__isnull=False)),
                name="second_factor_reset_settled_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.person_id} {self.status}"
