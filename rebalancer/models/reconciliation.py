"""Comparisons with the broker's books, and what two people decide about a slice nobody knows of."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from rebalancer.domain.kinds import BrokerKind
from rebalancer.domain.reconciliation import RunStatus, SliceAnswer
from rebalancer.models.orders import Slice


class ReconciliationRun(models.Model):
    """One comparison of a firm's books and orders with what its broker says of them."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    broker = models.CharField(max_length=8, choices=[(b, b) for b in BrokerKind])
    day = models.DateField(help_text="the firm's market day")
    status = models.CharField(
        max_length=7, choices=[(s, s) for s in RunStatus], default=RunStatus.ASKED
    )
    figures = models.JSONField(default=dict)
    error = models.CharField(max_length=300, blank=True)
    # Empty: nobody asked, its hour had come.
    asked_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["firm"],
                condition=models.Q(status__in=["ASKED", "RUNNING"]),
                name="reconciliation_one_at_a_time",
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=list(RunStatus)), name="reconciliation_status_known"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["firm", "-id"], name="reconciliation_by_firm"),
        ]

    def __str__(self) -> str:
        return f"{self.firm_id}, {self.day}: {self.status}"


class CustodyCursor(models.Model):
    """How far the paper broker, which is nobody's custodian by itself, knows an account's books.

    A real broker is told nothing: what comes and goes, comes and goes through it.
    """

    account = models.OneToOneField(
        "accounts.Account", primary_key=True, on_delete=models.PROTECT, related_name="+"
    )
    # [[symbol, quantity]], no symbol: cash. Written down before it is sent: it is sent once.
    taken_on = models.JSONField()
    is_taken_on = models.BooleanField(default=False)
    told_entry_id = models.BigIntegerField(help_text="the last journal entry that it was told of")

    def __str__(self) -> str:
        return f"{self.account_id}: {self.told_entry_id}"


class SliceDecision(models.Model):
    """What becomes of a slice whose broker would take it twice; one asks, another confirms."""

    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    slice = models.ForeignKey(Slice, on_delete=models.PROTECT, related_name="decisions")
    answer = models.CharField(max_length=8, choices=[(a, a) for a in SliceAnswer])
    # Sent again since, and of unknown outcome again: that is another question.
    attempt_count = models.PositiveSmallIntegerField()
    reason = models.CharField(max_length=300)
    asked_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(db_default=Now(), editable=False)
    confirmed_by = models.ForeignKey(
        "accounts.User", null=True, on_delete=models.PROTECT, related_name="+"
    )
    confirmed_at = models.DateTimeField(null=True)
    # The broker spoke before anybody confirmed, or another answer was asked for.
    is_withdrawn = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["slice"],
                condition=models.Q(confirmed_at__isnull=True, is_withdrawn=False),
                name="slice_decision_open_once",
            ),
            models.CheckConstraint(
                condition=models.Q(confirmed_by__isnull=True, confirmed_at__isnull=True)
                | models.Q(confirmed_by__isnull=False, confirmed_at__isnull=False)
                & ~models.Q(asked_by=models.F("confirmed_by")),
                name="slice_decision_by_two",
            ),
            models.CheckConstraint(
                condition=models.Q(answer__in=list(SliceAnswer)), name="slice_decision_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.slice_id}: {self.answer}"
