"""Runs of the cycle, and the looks at accounts that they take."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from rebalancer.domain.kinds import (
    Cause,
    CheckStatus,
    CycleStatus,
)
from rebalancer.models.policies import Policy
from robo.common.fields import (
    WeightField,
)


class CycleRun(models.Model):
    """One run of the whole cycle, with its progress as it goes."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    label = models.CharField(max_length=80)
    status = models.CharField(
        max_length=8, choices=[(s, s) for s in CycleStatus], default=CycleStatus.QUEUED
    )
    # What is still to be done, so that a killed run can be taken up where it stopped.
    price_dates = models.JSONField(default=list)
    market_shock = models.CharField(max_length=10, blank=True)
    step = models.CharField(max_length=120, blank=True)
    done_count = models.PositiveIntegerField(default=0)
    total_count = models.PositiveIntegerField(default=0)
    figures = models.JSONField(default=dict)
    error = models.CharField(max_length=500, blank=True)
    requested_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    advanced_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["firm"],
                condition=models.Q(status__in=["QUEUED", "RUNNING"]),
                name="cycle_one_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label}: {self.status}"


class LookShard(models.Model):
    """Accounts that a worker looks at together; gone with what it found.

    One that stays behind tells of a worker that did not survive it, or of an error.
    """

    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    price_date = models.DateField()
    account_ids = models.JSONField()
    started_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"{self.price_date}: {len(self.account_ids)} accounts"


class Check(models.Model):
    """One look at one account: how far it had drifted, and whether that calls for trades."""

    firm = models.ForeignKey("accounts.Firm", on_delete=models.PROTECT, related_name="+")
    account = models.ForeignKey("accounts.Account", on_delete=models.PROTECT, related_name="checks")
    policy = models.ForeignKey(Policy, null=True, on_delete=models.PROTECT, related_name="+")
    model_version = models.ForeignKey(
        "portfolios.ModelVersion", null=True, on_delete=models.PROTECT, related_name="+"
    )
    cause = models.CharField(max_length=12, choices=[(c, c) for c in Cause])
    period_key = models.CharField(max_length=40, help_text="an account is looked at once per key")
    price_date = models.DateField()
    status = models.CharField(max_length=8, choices=[(s, s) for s in CheckStatus])
    reason = models.CharField(max_length=300, blank=True)
    is_breached = models.BooleanField(default=False)
    drift_max = WeightField(default=0, help_text="largest distance from target in weight")
    value = models.DecimalField(max_digits=20, decimal_places=2, default=0)
    # [{"label", "weight", "target", "low", "high"}] as decimal strings, for pages and charts.
    drift = models.JSONField(default=list)
    tracking_error = WeightField(null=True, help_text="per year; where the policy looks at risk")
    certificate = models.JSONField(default=dict, help_text="why no trade was worth it, in numbers")
    attempt_count = models.PositiveSmallIntegerField(
        default=0, help_text="how often a worker set out to answer it"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account", "cause", "period_key"], name="check_once_per_period"
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=list(CheckStatus)), name="check_status_known"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["account", "-id"], name="check_by_account"),
            models.Index(fields=["firm", "id"], condition=models.Q(status="DUE"), name="check_due"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.price_date}: {self.status}"
