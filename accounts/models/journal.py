"""Who changed what, when and why; how these entries are chained; what left the database signed."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from accounts.models.people import Firm, Household, User
from robo.common.fields import CurrentTransactionId, StoredJSONField, TransactionIdField


class AuditEntry(models.Model):
    """Who changed what, when and why. Append-only, in the same transaction as the change.

    `body` is the text that is hashed: it repeats every other column, summary and detail as salted
    hashes. The one change that PostgreSQL lets through is to forget: old words, with their salt.
    """

    firm = models.ForeignKey(Firm, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)
    actor = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    role = models.CharField(max_length=12, blank=True, help_text="the actor's, at that time")
    acting_for = models.ForeignKey(
        User, null=True, on_delete=models.PROTECT, related_name="+", help_text="whose eyes it used"
    )
    action = models.CharField(max_length=60, help_text="dotted: app.object.event")
    household = models.ForeignKey(Household, null=True, on_delete=models.PROTECT, related_name="+")
    object_id = models.CharField(max_length=60)
    request_id = models.CharField(max_length=64, blank=True)
    summary = models.CharField(max_length=300)
    detail = StoredJSONField(default=dict)
    salt = models.CharField(max_length=64, blank=True, help_text="empty: the words were erased")
    body = models.TextField(default="", editable=False)
    # Says which entries can be sealed: those of transactions older than any that is still open.
    xid = TransactionIdField(db_default=CurrentTransactionId(), editable=False)

    class Meta:
        verbose_name_plural = "audit entries"
        indexes: ClassVar = [
            models.Index(fields=["firm", "-id"], name="audit_by_firm"),
            models.Index(fields=["household", "-id"], name="audit_by_household"),
            models.Index(fields=["object_id"], name="audit_by_object"),
            models.Index(fields=["firm", "xid"], name="audit_to_seal"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_id}"


class JournalHead(models.Model):
    """Where a firm's chain stands: the counter that numbers entries, and the lock of its sealer."""

    firm = models.OneToOneField(
        Firm, primary_key=True, on_delete=models.PROTECT, related_name="journal_head"
    )
    size = models.PositiveBigIntegerField(default=0)
    last_hash = models.CharField(max_length=64)
    frontier = models.TextField(blank=True, help_text="the full subtrees of the Merkle tree")
    horizon = TransactionIdField(
        default=0, help_text="entries of older transactions are all sealed"
    )

    def __str__(self) -> str:
        return f"{self.firm_id}: {self.size}"


class JournalLink(models.Model):
    """One entry's place in its firm's chain. Append-only."""

    entry = models.OneToOneField(
        AuditEntry, primary_key=True, on_delete=models.PROTECT, related_name="link"
    )
    firm = models.ForeignKey(Firm, on_delete=models.PROTECT, related_name="+")
    seq = models.PositiveBigIntegerField(help_text="from 1, without gaps")
    prev_hash = models.CharField(max_length=64)
    entry_hash = models.CharField(max_length=64)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["firm", "seq"], name="link_seq_once"),
            # A fork of the chain is an error, not a choice.
            models.UniqueConstraint(fields=["firm", "prev_hash"], name="link_never_forks"),
        ]

    def __str__(self) -> str:
        return f"{self.firm_id} {self.seq}"


class JournalCheckpoint(models.Model):
    """A signed statement of how far a chain had come, as it left the database. Append-only."""

    digest = models.CharField(max_length=64, primary_key=True, help_text="hash of the note")
    firm = models.ForeignKey(Firm, on_delete=models.PROTECT, related_name="+")
    size = models.PositiveBigIntegerField()
    root = models.CharField(max_length=64)
    checkpoint_at = models.DateTimeField()
    key_id = models.CharField(max_length=8)
    note = models.TextField()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["firm", "-checkpoint_at"], name="checkpoint_by_firm"),
        ]

    def __str__(self) -> str:
        return f"{self.firm_id} {self.size}"
